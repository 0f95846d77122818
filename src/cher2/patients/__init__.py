"""From graded cells to patients: counts, the cHER2 ratio, its uncertainty and the group."""
