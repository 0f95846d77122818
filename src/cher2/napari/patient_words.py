"""A patient in one line, for the window."""

from __future__ import annotations

from html import escape
from typing import Any

import pandas as pd

from cher2.cells.objects import GRADES
from cher2.palette import GROUP_COLOURS


def patient_html(patient: pd.Series[Any]) -> str:
    """Return a patient's counts, ratio with its interval, and group, as they stand now."""
    colour = GROUP_COLOURS[patient["group"]]
    ratio = "no ratio: no HER2+ CTC"
    if not pd.isna(patient["cher2_ratio"]):
        low, high = patient["ratio_low"], patient["ratio_high"]
        ratio = f"cHER2 ratio <b>{patient['cher2_ratio']:.2f}</b> ({low:.2f} to {high:.2f})"
    counts = " / ".join(str(patient[f"n_grade_{grade}"]) for grade in GRADES)
    borderline = ", borderline" if patient["borderline"] else ""
    return (
        f"<b>{escape(str(patient['patient_id']))}</b>: {patient['n_ctcs']} CTCs (0 / 1+ / 2+ / 3+: {counts}), {ratio}, "
        f'<span style="color:{colour}">&#9632;</span> <b>{patient["group"]}</b>{borderline}'
    )
