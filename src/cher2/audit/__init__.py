"""Who changed what in a study, when and why: decisions, outlines, reviews, imports and runs in one time line."""
