"""Checks of the table of patients: counts that add up, ratios and groups by whole numbers, intervals that hold them.

They run whenever patients are summed up; :mod:`cher2.guards` says what a check is.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.guards import covers, guard, in_unit
from cher2.patients.table import GROUPS
from cher2.protocol import PatientRules

_COUNTS = ("n_ctcs", "n_grade_0", "n_grade_1", "n_grade_2", "n_grade_3", "n_her2_positive")
_INTERVALS = (("ratio_low", "ratio_high"), ("wilson_low", "wilson_high"))


def check_patients(patients: pd.DataFrame, ungraded: NDArray[np.int64], rules: PatientRules) -> None:
    """Check a table of patients.

    Parameters
    ----------
    patients : DataFrame
        With the columns of :data:`cher2.patients.table.COLUMNS`.
    ungraded : ndarray of int, shape (N,)
        Each patient's CTCs without a grade, which no column tells.
    rules : PatientRules
        The protocol's minimum and threshold.

    Raises
    ------
    Cher2FaultError
    """
    once = ~patients["patient_id"].duplicated() & (patients["patient_id"] != "")
    guard("patient-rows", once, patients, "a patient has two rows, or no name", columns=("patient_id",))
    counts = {name: patients[name].to_numpy(np.int64) for name in _COUNTS}
    by_grade = np.stack([counts[f"n_grade_{grade}"] for grade in range(4)])
    adds_up = (by_grade.sum(axis=0) + ungraded == counts["n_ctcs"]) & (by_grade.min(axis=0) >= 0) & (ungraded >= 0)
    told = patients.assign(ungraded=ungraded)
    columns = ("patient_id", *_COUNTS, "ungraded")
    guard("patient-counts", adds_up, told, "grades and ungraded cells are not all CTCs", columns=columns)
    positive = by_grade[1:].sum(axis=0) == counts["n_her2_positive"]
    guard("patient-her2-positive", positive, patients, "HER2+ CTCs are not those of 1+, 2+ and 3+", columns=columns)
    _check_ratios(patients, rules)
    _check_certainty(patients)


def _check_ratios(patients: pd.DataFrame, rules: PatientRules) -> None:
    """Check ratio and group by fractions, each distinct set of counts once."""
    graded = (patients[name].tolist() for name in ("n_ctcs", "n_grade_1", "n_grade_2", "n_grade_3"))
    keys: list[tuple[int, int, int, int]] = [*zip(*graded, strict=True)]
    known = {key: _expected(*key, rules) for key in set(keys)}
    ratios = np.array([known[key][0] for key in keys], np.float64)
    written = patients["cher2_ratio"].to_numpy(float)
    columns = ("patient_id", *_COUNTS, "cher2_ratio", "group")
    # Both are the float that is nearest to the same fraction.
    same = (written == ratios) | (np.isnan(written) & np.isnan(ratios))
    guard("patient-ratios", same, patients, "a ratio is not that of its counts", columns=columns)
    groups = np.array([known[key][1] for key in keys], object)
    fit = patients["group"].to_numpy(object) == groups
    what = "a group is not that of its counts and the threshold"
    guard("patient-groups", fit, patients, what, columns=columns, expected=groups)


def _expected(n_ctcs: int, one: int, two: int, three: int, rules: PatientRules) -> tuple[float, str]:
    """Return ratio and group by the abstract's words, in fractions."""
    positive = one + two + three
    if (n_ctcs if rules.count == "all" else positive) < rules.min_ctcs:
        group = "excluded"
    elif not positive:
        group = "undefined"
    else:
        group = "high" if Fraction(two + three, positive) > Fraction(repr(float(rules.ratio_threshold))) else "low"
    return (float(Fraction(two + three, positive)) if positive else float("nan")), group


def _check_certainty(patients: pd.DataFrame) -> None:
    ratio = patients["cher2_ratio"].to_numpy(float)
    for low, high in _INTERVALS:
        lower, upper = (patients[name].to_numpy(float) for name in (low, high))
        sound = covers(lower, ratio, upper) & in_unit(lower) & in_unit(upper)
        told = ("patient_id", *_COUNTS, "cher2_ratio", low, high)
        guard("patient-intervals", sound, patients, "an interval does not hold its ratio", columns=told)
    for name in ("p_high", "p_high_counts"):
        p = patients[name].to_numpy(float)
        sound = in_unit(p) & (np.isnan(p) == np.isnan(ratio))
        columns = ("patient_id", *_COUNTS, name)
        guard("patient-probabilities", sound, patients, "a probability is not from 0 to 1", columns=columns)
    fits = patients["group"].isin(["high", "low"]) | ~patients["borderline"]
    what = "a patient is borderline and neither high nor low"
    guard("patient-borderline", fits, patients, what, columns=("patient_id", "group", "borderline"))
    reasoned = (patients["reason"] != "") & patients["group"].isin(GROUPS)
    guard("patient-reasons", reasoned, patients, "a group has no reason", columns=("patient_id", "group"))
