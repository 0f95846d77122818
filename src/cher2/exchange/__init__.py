"""A study's outlines and decisions to other programs, and decisions back."""
