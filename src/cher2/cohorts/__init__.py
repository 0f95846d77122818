"""From patients and a clinical table to the comparison of cohorts."""
