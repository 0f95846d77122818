"""The table of patients: its columns, their types and what they mean.

One row a patient. ``patients.csv`` has these columns in this order; every part of cher2 that writes, reads or
documents the table takes them from here.
"""

from __future__ import annotations

import pandas as pd

from cher2.cells.objects import Column

GROUPS = ("high", "low", "excluded", "undefined")
"""The group of a patient: by the ratio, or why there is none (too few CTCs; no HER2+ CTC)."""

COLUMNS = (
    Column("patient_id", "str", "the patient"),
    Column("n_images", "Int64", "frames that were read and counted; empty where that is not known"),
    Column("n_ctcs", "int64", "CTCs, graded or not"),
    Column("n_grade_0", "int64", "CTCs of grade 0"),
    Column("n_grade_1", "int64", "CTCs of grade 1+"),
    Column("n_grade_2", "int64", "CTCs of grade 2+"),
    Column("n_grade_3", "int64", "CTCs of grade 3+"),
    Column("n_her2_positive", "int64", "CTCs of grade 1+, 2+ or 3+"),
    Column("cher2_ratio", "float64", "2+ and 3+ CTCs over HER2+ CTCs; empty for 0/0"),
    Column("ratio_low", "float64", "lower limit of the ratio's 95 % Jeffreys interval"),
    Column("ratio_high", "float64", "upper limit of the ratio's 95 % Jeffreys interval"),
    Column("p_high", "float64", "probability that the true ratio is above the threshold, misgrading carried through"),
    Column("group", "str", "high, low, excluded or undefined"),
    Column("reason", "str", "why the patient is in that group, in words"),
    Column("p_high_counts", "float64", "p_high from the counts alone, as if every grade were certain"),
    Column("wilson_low", "float64", "lower limit of the ratio's 95 % Wilson score interval"),
    Column("wilson_high", "float64", "upper limit of the ratio's 95 % Wilson score interval"),
    Column("borderline", "bool", "high or low, but less than 90 % sure of it by p_high"),
    Column("quality", "str", "flags of the quality of its images and staining; empty where there are none"),
)


def patients_table(values: dict[str, object]) -> pd.DataFrame:
    """Return a table of patients with its columns in order and of their types.

    Parameters
    ----------
    values : dict of str to array_like
        Every column of :data:`COLUMNS`, all of the same length.

    Returns
    -------
    DataFrame
    """
    return pd.DataFrame({c.name: values[c.name] for c in COLUMNS}).astype({c.name: c.dtype for c in COLUMNS})
