"""Splitting patients by any index of their HER2 and any threshold.

Thresholds are taken as they are written and compared in whole numbers: 7 of 10 is not above 0.7, whatever floats make
of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.errors import Cher2Error
from cher2.patients.indices import Index, grade_counts, index_values, named_index

LONGEST, GREATEST_POWER = 60, 30
"""Characters and power of ten of a threshold: 1e999999999 would be a whole number of so many digits."""


@dataclass(frozen=True)
class SplitRule:
    """An index with a threshold.

    Parameters
    ----------
    index : Index
    threshold : Fraction
    reached : bool
        Whether a patient on the threshold is high.
    """

    index: Index
    threshold: Fraction
    reached: bool

    def __str__(self) -> str:
        return f"{self.index.title} ({'at least' if self.reached else 'above'} {float(self.threshold):.4g})"

    def groups(self, counts: NDArray[Any]) -> NDArray[np.object_]:
        """Return high, low or undefined for counts of grades, shape (N, 4); compared in whole numbers of any size."""
        whole = counts.astype(object)
        over, under = self.index.numerator(whole), self.index.denominator(whole)
        left, right = over * self.threshold.denominator, under * self.threshold.numerator
        high = ((left >= right) if self.reached else (left > right)).astype(bool)
        groups = np.where(high, "high", "low").astype(object)
        groups[(under == 0).astype(bool)] = "undefined"
        return groups


def split_rule(index: str, threshold: float | str | Fraction | None = None, reached: bool | None = None) -> SplitRule:
    """Return the rule of a split; index, threshold and reached as in :func:`split_by`."""
    chosen = named_index(index)
    return SplitRule(chosen, _threshold(chosen, threshold), chosen.reached if reached is None else reached)


def split_by(
    patients: pd.DataFrame, index: str, threshold: float | str | Fraction | None = None, *, reached: bool | None = None
) -> pd.DataFrame:
    """Split patients by any index and any threshold, for :func:`cher2.compare_cohorts` to compare.

    Parameters
    ----------
    patients : DataFrame
        As for :func:`patient_indices`, with ``group``: who is excluded (too few CTCs) stays so.
    index : str
        A name of :data:`INDICES`.
    threshold : float, str or Fraction, optional
        As it is written: 0.3 is 3/10, and "1/3" is a third. The published one where none is given.
    reached : bool, optional
        Whether a patient on the threshold is high; without it as published for the index (the ratio: no).

    Returns
    -------
    DataFrame
        ``patient_id``, the index (float), ``group`` (high, low, excluded or undefined) and ``reason``.

    Raises
    ------
    Cher2Error
        There is no such index or no threshold, a column is missing, or a count is none.

    Examples
    --------
    >>> patients = pd.DataFrame({"patient_id": ["P1"], "n_grade_0": 7, "n_grade_1": 0, "n_grade_2": 0, "n_grade_3": 3})
    >>> split_by(patients.assign(group="high"), "over_expressing")["group"].tolist()
    ['low']
    """
    values = index_values(patients, index)
    rule = split_rule(index, threshold, reached)
    if "group" not in patients:
        raise Cher2Error(
            "the table has no column group", where="patients", remedy="Give what summarise_patients returns"
        )
    groups = rule.groups(grade_counts(patients))
    groups[(patients["group"] == "excluded").to_numpy()] = "excluded"
    reasons = [_reason(rule, value, group) for value, group in zip(values, groups, strict=True)]
    shown = [np.nan if value is None else float(value) for value in values]
    return pd.DataFrame(
        {"patient_id": patients["patient_id"].to_numpy(), index: shown, "group": groups, "reason": reasons}
    )


def _reason(rule: SplitRule, value: Fraction | None, group: str) -> str:
    if group == "excluded":
        return "excluded before the split"
    if value is None:
        return f"{rule.index.title}: 0/0 is undefined"
    words = "at least" if rule.reached else "above"
    verdict = words if group == "high" else f"not {words}"
    return f"{rule.index.title} {float(value):.4g} ({value}) is {verdict} {float(rule.threshold):.4g}"


def _threshold(index: Index, given: float | str | Fraction | None) -> Fraction:
    if given is None:
        if index.threshold is None:
            raise Cher2Error(f"no threshold is published for {index.name}", remedy="Give one")
        return index.threshold
    remedy = 'Give one such as 0.75 or "1/3"'
    written = str(given)
    power = written.casefold().partition("e")[2].strip().lstrip("+-").replace("_", "")
    if len(written) > LONGEST or (power.isdecimal() and int(power) > GREATEST_POWER):
        raise Cher2Error(f"the threshold {written[:LONGEST]!r} is beyond any index", remedy=remedy)
    try:
        # As it was written: 0.3 is three tenths, not the nearest binary fraction.
        return Fraction(written)
    except (ValueError, ZeroDivisionError):
        raise Cher2Error(f"the threshold {given!r} is no number", remedy=remedy) from None
