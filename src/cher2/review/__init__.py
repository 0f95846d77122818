"""Readers' decisions on cells: an append-only log, what follows from it, and the session of one reader."""
