"""From a cell's HER2 intensity to its grade, and how sure that grade is."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from cher2.cells.objects import HER2_SATURATED
from cher2.protocol import Grade

Values = NDArray[np.float64]

MIN_LEUKOCYTES = 20
"""Leukocytes of a sample that a unit of leukocytes needs: their median is then known to about a tenth."""


def grade_objects(
    objects: pd.DataFrame, settings: Grade, reference: tuple[float, float, str] | None = None
) -> pd.DataFrame:
    """Grade every object of a sample by its HER2 intensity.

    An object that says in ``not_measurable`` why its HER2 cannot be measured has no grade, but for one: what is
    saturated, and whole, is at least as bright as it was measured, so that from the highest cut-off on it is 3+
    for certain.

    Parameters
    ----------
    objects : DataFrame
        All objects of one sample, with ``kind``; without ``not_measurable``, all were measured.
    settings : Grade
        The protocol's unit and cut-offs.
    reference : tuple of float, float and str, optional
        What is 0 and what is 1 in that unit, as :func:`intensity_reference` gives it, where `objects` are not the
        whole sample.

    Returns
    -------
    DataFrame
        Columns ``her2_intensity`` (in the protocol's unit; of a saturated 3+ cell the least that it can be),
        ``grade_auto``, ``p0`` to ``p3`` and ``not_graded`` (why, in words; empty where graded), with the index of
        `objects`. A cell exactly on a cut-off takes the higher grade.
    """
    centre, scale, reason = reference or intensity_reference(objects, settings.unit)
    intensity = (objects["her2_mean"].to_numpy(float) - centre) / scale
    error = objects["her2_se"].to_numpy(float) / scale
    unmeasured = _not_measurable(objects)
    # Of a cell that is cut, the part beyond the border may be as dim as it likes.
    saturated = (unmeasured == HER2_SATURATED) & ~objects["touches_border"].to_numpy(bool)
    certain = saturated & (intensity >= settings.cutoffs[-1])
    graded = np.isfinite(intensity) & np.isfinite(error) & ((unmeasured == "") | certain)
    intensity = np.where(graded, intensity, np.nan)
    grades = pd.array(np.searchsorted(settings.cutoffs, np.where(graded, intensity, 0.0), side="right"), dtype="Int8")
    grades[~graded] = pd.NA
    table = {"her2_intensity": intensity, "grade_auto": grades}
    probabilities = grade_probabilities(intensity, error, settings)
    probabilities[certain] = (0.0, 0.0, 0.0, 1.0)
    table |= {f"p{grade}": probabilities[:, grade] for grade in range(4)}
    why = np.where(unmeasured != "", unmeasured, reason or "HER2 could not be measured")
    table["not_graded"] = np.where(graded, "", why)
    return pd.DataFrame(table, index=objects.index)


def grade_probabilities(intensity: Values, error: Values, settings: Grade) -> Values:
    """Return the probability of each grade, shape (n, 4), rows summing to 1.

    The true intensity is taken as normal around the measured one, with the standard error of the measurement
    and the protocol's coefficient of variation.
    """
    spread = np.hypot(error, settings.intensity_cv * np.abs(intensity))
    spread = np.maximum(spread, 1e-9)
    below = ndtr((np.asarray(settings.cutoffs) - intensity[:, None]) / spread[:, None])
    edges = np.hstack([np.zeros((len(intensity), 1)), below, np.ones((len(intensity), 1))])
    probabilities = np.diff(edges, axis=1)
    probabilities[~np.isfinite(intensity)] = np.nan
    return np.asarray(probabilities)


def intensity_reference(objects: pd.DataFrame, unit: str) -> tuple[float, float, str]:
    """Return what is 0 and what is 1 in a unit of HER2 intensity, in counts.

    Parameters
    ----------
    objects : DataFrame
        All objects of one sample, with ``kind``.
    unit : {"counts", "leukocyte_ratio", "leukocyte_sd"}

    Returns
    -------
    centre, scale : float
        An intensity is (counts - centre) / scale; NaN where the sample has no such unit.
    reason : str
        Why it has none; empty where it has.
    """
    if unit == "counts":
        return 0.0, 1.0, ""
    leukocytes = usable_leukocytes(objects)
    if len(leukocytes) < MIN_LEUKOCYTES:
        return (
            np.nan,
            np.nan,
            (f"{len(leukocytes)} leukocytes in the sample, but the unit {unit} needs {MIN_LEUKOCYTES}"),
        )
    median = float(np.median(leukocytes))
    spread = 1.4826 * float(np.median(np.abs(leukocytes - median)))
    if unit == "leukocyte_sd":
        return (median, spread, "") if spread > 0 else (np.nan, np.nan, "the leukocytes' HER2 does not vary")
    if median <= 0:
        return np.nan, np.nan, f"the leukocytes' median HER2 is {median:.1f} counts: nothing to divide by"
    return 0.0, median, ""


def usable_leukocytes(objects: pd.DataFrame) -> Values:
    """Return HER2 in counts of those leukocytes of a sample that are whole, measured and seen once."""
    usable = (objects["kind"] == "leukocyte") & ~objects["touches_border"] & (objects["duplicate_of"] == "")
    usable &= (_not_measurable(objects) == "") & np.isfinite(objects["her2_mean"])
    leukocytes: Values = objects.loc[usable, "her2_mean"].to_numpy(float)
    return leukocytes


def _not_measurable(objects: pd.DataFrame) -> NDArray[np.object_]:
    """Return why each object's HER2 cannot be measured; empty where it can."""
    if "not_measurable" not in objects:
        return np.full(len(objects), "", dtype=object)
    return np.asarray(objects["not_measurable"].fillna("").to_numpy(object))
