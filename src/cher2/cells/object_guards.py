"""Checks of a frame's objects against its labels, and of a sample's grades against what they come from.

They run whenever objects are measured and graded; :mod:`cher2.guards` says what a check is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.cells.objects import KINDS
from cher2.guards import fault, guard, in_unit
from cher2.protocol import Grade

_ID = ("image", "object_id")
_SUM = 1e-9
"""By how much the four probabilities may miss 1: some hundred times the rounding of three differences."""

_RELATIVE = 1e-9
"""By how much an intensity that is computed in another order may differ."""

_STAINS = ("dapi_mean", "ck_mean", "cd45_mean", "ck_gate", "cd45_gate")
_HER2 = ("her2_mean", "her2_background", "her2_se", "her2_p90", "her2_membrane")
_SHAPE = ("y_px", "x_px", "area_um2", "diameter_um", "eccentricity", "solidity")
_PARTS = ("eccentricity", "solidity", "nucleus_overlap", "saturated_fraction")


def check_measured(
    objects: pd.DataFrame, labels: NDArray[Any], pixel_size_um: float, *, name: str, has_her2: bool, numbered: bool
) -> None:
    """Check the measured objects of a frame against its labels.

    Parameters
    ----------
    objects : DataFrame
        As :func:`cher2.cells.segmented.measure_bodies` gives them.
    labels : ndarray of int, shape (Y, X)
        The bodies, under the numbers that the table has.
    pixel_size_um : float
    name : str
        The frame.
    has_her2 : bool
        Whether HER2 was measured; else it is empty.
    numbered : bool
        Whether the numbers must be 1 to n, as the machine's are.

    Raises
    ------
    Cher2FaultError
    """
    ids = objects["object_id"].to_numpy(np.int64)
    pixels = np.bincount(labels[labels > 0])
    there = np.flatnonzero(pixels)
    if not np.array_equal(np.sort(ids), there):
        numbers = {"rows": len(ids), "labels": len(there), "number": next(iter(np.setxor1d(ids, there)), None)}
        fault("object-numbers", "the table's objects are not those of the labels", [numbers], name)
    order = np.arange(1, len(ids) + 1) if numbered else there
    guard(
        "object-order", ids == order, objects, "objects are not in the order of their numbers", columns=_ID, where=name
    )
    area = pixels[ids] * pixel_size_um**2
    same = np.abs(objects["area_um2"].to_numpy(float) - area) <= _RELATIVE * area
    what = "an area is not that of the label's pixels"
    guard("object-areas", same, objects, what, columns=(*_ID, "area_um2"), where=name, expected=area)
    _check_values(objects, labels.shape, name=name, has_her2=has_her2)


def _check_values(objects: pd.DataFrame, shape: tuple[int, ...], *, name: str, has_her2: bool) -> None:
    y, x = (objects[axis].to_numpy(float) for axis in ("y_px", "x_px"))
    inside = (y >= 0) & (y <= shape[0] - 1) & (x >= 0) & (x <= shape[1] - 1)
    guard(
        "object-places", inside, objects, "a centroid is outside the frame", columns=(*_ID, "y_px", "x_px"), where=name
    )
    wanted = [*_SHAPE, "nucleus_overlap", "saturated_fraction", *_STAINS, *(_HER2 if has_her2 else ())]
    finite = np.isfinite(np.stack([objects[column].to_numpy(float) for column in wanted])).all(axis=0)
    guard("object-numbers-finite", finite, objects, "a measurement is no number", columns=(*_ID, *wanted), where=name)
    parts = np.stack([objects[column].to_numpy(float) for column in _PARTS])
    fit = ((parts >= 0) & (parts <= 1 + _RELATIVE)).all(axis=0)
    guard("object-parts", fit, objects, "a part of a whole is not from 0 to 1", columns=(*_ID, *_PARTS), where=name)
    if has_her2:
        positive = objects["her2_se"].to_numpy(float) >= 0
        guard("object-errors", positive, objects, "a standard error is negative", columns=(*_ID, "her2_se"), where=name)
        return
    empty = np.isnan(objects[[*_HER2]].to_numpy(float)).all(axis=1) & (objects["not_measurable"] != "").to_numpy(bool)
    guard("object-no-her2", empty, objects, "HER2 was read where there is none", columns=(*_ID, *_HER2), where=name)


def check_graded(graded: pd.DataFrame, measured: pd.DataFrame, settings: Grade) -> None:
    """Check the kinds and grades of a sample against its measured objects and the protocol.

    Parameters
    ----------
    graded : DataFrame
        As :func:`cher2.cells.score.grade_sample` gives it.
    measured : DataFrame
        What it was given.
    settings : Grade
        The protocol's unit and cut-offs.

    Raises
    ------
    Cher2FaultError
    """
    where = _sample(graded)
    if not np.array_equal(graded["object_id"].to_numpy(), measured["object_id"].to_numpy()):
        fault(
            "sample-rows",
            "graded rows are not the measured ones",
            [{"graded": len(graded), "of": len(measured)}],
            where,
        )
    kind = graded["kind"].to_numpy(object)
    known = np.isin(kind, KINDS)
    guard("kinds", known, graded, "an object is of no kind", columns=(*_ID, "kind"), where=where)
    fits = (kind == "ctc") == (graded["failed_gate"] == "").to_numpy(bool)
    guard("gates", fits, graded, "kind and failed gate differ", columns=(*_ID, "kind", "failed_gate"), where=where)
    _check_duplicates(graded, where)
    check_grades(graded, settings, where)
    expected = _intensities(graded, settings.unit)
    intensity = graded["her2_intensity"].to_numpy(float)
    # Less the median of the leukocytes, an intensity near 0 has lost digits: the error is that of the two numbers.
    same_unit = np.isnan(intensity) | np.isclose(intensity, expected, rtol=_RELATIVE, atol=1e-9)
    columns = (*_ID, "her2_mean", "her2_intensity")
    guard("grade-units", same_unit, graded, "an intensity is not in the protocol's unit", columns=columns, where=where)


def check_grades(objects: pd.DataFrame, settings: Grade, where: str = "") -> None:
    """Check that each grade follows from its intensity, has its probabilities, and that none is missing unexplained.

    Parameters
    ----------
    objects : DataFrame
        ``her2_intensity, grade_auto, p0, p1, p2, p3, not_graded``.
    settings : Grade
        The protocol's cut-offs.
    where : str

    Raises
    ------
    Cher2FaultError
    """
    intensity, probabilities = (
        objects["her2_intensity"].to_numpy(float),
        objects[["p0", "p1", "p2", "p3"]].to_numpy(float),
    )
    grade = objects["grade_auto"].to_numpy(float, na_value=np.nan)
    ungraded = np.isnan(grade)
    explained = (objects["not_graded"] != "").to_numpy(bool) == ungraded
    empty = (np.isnan(intensity) == ungraded) & (np.isnan(probabilities) == ungraded[:, None]).all(axis=1)
    columns = (*_ID, "her2_intensity", "grade_auto", "p0", "p1", "p2", "p3", "not_graded")
    what = "a grade is missing without a reason, or there in spite of one"
    guard("grade-missing", explained & empty, objects, what, columns=columns, where=where)
    expected = sum((intensity >= cutoff).astype(float) for cutoff in settings.cutoffs)
    what = "a grade does not follow from the intensity and the cut-offs"
    guard("grade-cutoffs", ungraded | (grade == expected), objects, what, columns=columns, where=where)
    sums = np.abs(probabilities.sum(axis=1) - 1) <= _SUM
    fit = ungraded | (sums & in_unit(probabilities).all(axis=1))
    guard("grade-probabilities", fit, objects, "probabilities do not sum to 1", columns=columns, where=where)


def _check_duplicates(graded: pd.DataFrame, where: str) -> None:
    """Check that each copy names a cell of another frame of the sample, that counts itself."""
    named = graded["duplicate_of"].to_numpy(object)
    copies = np.flatnonzero(named != "")
    if not len(copies):
        return
    images, numbers = graded["image"].to_numpy(object), graded["object_id"].tolist()
    owner = {f"{image} {number}": image for image, number in zip(images, numbers, strict=True)}
    counted = {f"{images[row]} {numbers[row]}" for row in np.flatnonzero(named == "")}
    sound = np.ones(len(graded), np.bool_)
    sound[copies] = [named[row] in counted and owner[named[row]] != images[row] for row in copies]
    what = "a copy names no counted cell of another frame"
    guard("duplicates", sound, graded, what, columns=(*_ID, "duplicate_of"), where=where)


def _intensities(graded: pd.DataFrame, unit: str) -> pd.Series[float]:
    """Return HER2 in a unit: from the definition, by pandas' own median."""
    her2 = graded["her2_mean"].astype("float64")
    if unit == "counts":
        return her2
    usable = (graded["kind"] == "leukocyte") & ~graded["touches_border"].astype(bool)
    usable &= (graded["duplicate_of"] == "") & (graded["not_measurable"] == "")
    leukocytes = her2[usable].dropna()
    middle = leukocytes.median()
    if unit == "leukocyte_ratio":
        return her2 / middle
    return (her2 - middle) / (1.4826 * (leukocytes - middle).abs().median())


def _sample(graded: pd.DataFrame) -> str:
    return f"sample {graded['sample_id'].iloc[0]}" if len(graded) else ""
