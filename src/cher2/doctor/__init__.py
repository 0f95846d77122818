"""Looks whether this computer and its Python have what cher2 needs, and says what to do about what is missing."""
