"""Checks of what compares the cohorts: counts that add up, p from 0 to 1, intervals, curves that only fall.

They run whenever a comparison or a curve is made; :mod:`cher2.guards` says what a check is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cher2.guards import covers, guard, in_unit

if TYPE_CHECKING:
    from cher2.cohorts.curves import Curve

_ROUNDED = 1e-12
"""By how much a p-value that is adjusted may be below its own by rounding, and a curve differ from its product."""


def check_comparison(table: pd.DataFrame, high: int, low: int) -> None:
    """Check the lines of a comparison.

    Parameters
    ----------
    table : DataFrame
        With the columns of :data:`cher2.cohorts.comparison.COLUMNS`.
    high, low : int
        Patients of each group.

    Raises
    ------
    Cher2FaultError
    """
    line = ("variable", "level", "kind", "high_n", "high_total", "high_missing", "low_n", "low_total", "low_missing")
    for group, size in (("high", high), ("low", low)):
        n, total, missing = (table[f"{group}_{name}"].to_numpy(np.int64) for name in ("n", "total", "missing"))
        sound = (n >= 0) & (n <= total) & (missing >= 0) & (total + missing == size)
        what = f"a line's {group} patients are not all {size}"
        guard("comparison-counts", sound, table, what, columns=line)
    _check_levels(table, line)
    p, adjusted = table["p_value"].to_numpy(float), table["p_adjusted"].to_numpy(float)
    sound = in_unit(p) & in_unit(adjusted) & (np.isnan(p) == np.isnan(adjusted))
    sound &= np.isnan(p) | (adjusted >= p * (1 - _ROUNDED))
    what = "a p-value is not from 0 to 1, or larger than its adjusted one"
    guard("comparison-p", sound, table, what, columns=("variable", "level", "p_value", "p_adjusted", "test"))
    ratio, lower, upper = (table[name].to_numpy(float) for name in ("odds_ratio", "ci_low", "ci_high"))
    held = covers(lower, ratio, upper) & (np.isnan(ratio) | (ratio >= 0))
    columns = (*line, "odds_ratio", "ci_low", "ci_high")
    guard("comparison-intervals", held, table, "an interval does not hold its odds ratio", columns=columns)
    explained = ~np.isnan(p) | (table["test"] != "").to_numpy(bool)
    guard("comparison-reasons", explained, table, "p is missing without a reason", columns=(*line, "p_value"))


def _check_levels(table: pd.DataFrame, line: tuple[str, ...]) -> None:
    """Check that the levels of a variable are all its patients, each once."""
    levels = table[table["kind"].eq("categorical")]
    sums = levels.groupby("variable", sort=False)[["high_n", "low_n", "high_total", "low_total"]].agg(
        {"high_n": "sum", "low_n": "sum", "high_total": "first", "low_total": "first"}
    )
    sound = (sums["high_n"] == sums["high_total"]) & (sums["low_n"] == sums["low_total"])
    what = "the levels of a variable are not all its patients"
    guard("comparison-levels", sound, sums.reset_index(), what, columns=line)


def check_curve(curve: Curve) -> None:
    """Check a Kaplan-Meier curve: that it only falls, is the product that it should be, and loses each patient once.

    Raises
    ------
    Cher2FaultError
    """
    steps = pd.DataFrame(
        {
            "time": curve.times,
            "survival": curve.survival,
            "low": curve.low,
            "high": curve.high,
            "at_risk": curve.at_risk,
            "events": curve.events,
            "censored": curve.censored,
        }
    )
    where = f"Kaplan-Meier, {curve.group}"
    columns = ("time", "survival", "low", "high", "at_risk", "events", "censored")
    left = curve.at_risk - curve.events - curve.censored
    counted = (curve.events >= 0) & (curve.censored >= 0) & (left == np.append(curve.at_risk[1:], 0))
    guard("curve-at-risk", counted, steps, "the numbers at risk do not add up", columns=columns, where=where)
    ordered = np.append(True, np.diff(curve.times) > 0)[: len(steps)]
    guard("curve-times", ordered, steps, "the times do not increase", columns=columns, where=where)
    falls = np.append(True, np.diff(curve.survival) <= 0)[: len(steps)] & in_unit(curve.survival, empty=False)
    guard("curve-falls", falls, steps, "the curve rises, or is not from 0 to 1", columns=columns, where=where)
    product = np.cumprod(1 - curve.events / curve.at_risk)
    same = np.isclose(curve.survival, product, rtol=1e-9, atol=_ROUNDED)
    guard("curve-product", same, steps, "the curve is not the product of its steps", columns=columns, where=where)
    limits = ~(np.isnan(curve.low) | np.isnan(curve.high))
    held = ~limits | (covers(curve.low, curve.survival, curve.high) & in_unit(curve.low) & in_unit(curve.high))
    guard("curve-limits", held, steps, "the limits do not hold the curve", columns=columns, where=where)


def check_survival(table: pd.DataFrame, high: int, low: int) -> None:
    """Check the rows of ``survival.csv``.

    Parameters
    ----------
    table : DataFrame
        With the columns of :data:`cher2.cohorts.group_survival.COLUMNS`.
    high, low : int
        Patients of each group that are compared.

    Raises
    ------
    Cher2FaultError
    """
    line = ("endpoint", "group", "n", "events", "missing")
    n, events, missing = (table[name].to_numpy(np.int64) for name in ("n", "events", "missing"))
    size = np.where(table["group"] == "high", high, low)
    sound = (events >= 0) & (events <= n) & (n + missing == size)
    guard("survival-counts", sound, table, "a row's patients are not its group's", columns=line)
    for name in ("log_rank_p", "hr_p", "proportional_hazards_p"):
        guard("survival-p", in_unit(table[name]), table, "p is not from 0 to 1", columns=(*line, name))
    for value, lower, upper in (("median_months", "median_low", "median_high"), ("hazard_ratio", "hr_low", "hr_high")):
        estimate = table[value].to_numpy(float)
        held = np.isnan(estimate) | (covers(table[lower], estimate, table[upper]) & (estimate >= 0))
        what = "an interval does not hold its estimate"
        guard("survival-intervals", held, table, what, columns=(*line, value, lower, upper))
    empty = table[["median_months"]].isna().all(axis=1).to_numpy(bool)
    explained = ~empty | (table["reason"] != "").to_numpy(bool)
    guard("survival-reasons", explained, table, "a number is missing without a reason", columns=line)
