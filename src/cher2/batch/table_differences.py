"""Where two versions of a result differ: tables column by column, label images pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.batch.findings import Check, Finding, Level

ROUNDING = 1e-6
"""Relative difference up to which two numbers may come from other libraries or another processor."""

_MISSING = "\0missing"


def compare_objects(
    stored: pd.DataFrame, again: pd.DataFrame, check: Check, where: str, *, same_machine: bool = True
) -> list[Finding]:
    """Compare a stored table of objects with the same one computed again.

    Parameters
    ----------
    stored, again : DataFrame
        One row an object, with ``object_id``.
    check, where : str
        As of :class:`~cher2.batch.findings.Finding`.
    same_machine : bool
        Whether libraries and processor are those that `stored` was computed with. Where they are not, numbers that
        agree to :data:`ROUNDING` are noted and not taken for a difference.

    Returns
    -------
    list of Finding
        One for each column that differs, with the number of rows and the largest difference; a single one where the
        objects are not the same ones.
    """
    if stored["object_id"].tolist() != again["object_id"].tolist():
        what = f"{len(stored)} objects are stored, and {len(again)} are found again, or with other numbers"
        return [Finding(check, "differs", what, where, "object_id", abs(len(stored) - len(again)))]
    found = _of_columns(list(stored), list(again), check, where)
    for name in again:
        if name not in stored:
            continue
        differs = _differing(stored[name], again[name])
        if differs.any():
            largest, relative = _largest(stored[name][differs], again[name][differs])
            level: Level = "note" if relative <= ROUNDING and not same_machine else "differs"
            # Both tables hold the same objects in the same order.
            which = ", ".join(str(number) for number in again["object_id"][differs].tolist()[:3])
            what = (
                "the last digits differ, as other libraries or another processor make them"
                if level == "note"
                else f"stored values are not those that are computed again, such as of object {which}"
            )
            found.append(Finding(check, level, what, where, str(name), int(differs.sum()), largest))
    return found


def compare_texts(stored: pd.DataFrame, again: pd.DataFrame, keys: Sequence[str], where: str) -> list[Finding]:
    """Compare a stored derived table with the same one derived again, both read as text.

    Rows are paired by their `keys`. A number that was only written otherwise (0.750 for 0.75) is no difference.
    """
    found = _of_columns(list(stored), list(again), "derived", where)
    if any(key not in stored for key in keys):
        return found
    old, new = (table.set_index(_row_names(table, keys)) for table in (stored, again))
    twice = old.index[old.index.duplicated()]
    gone, more = new.index.difference(old.index, sort=False), old.index.difference(new.index, sort=False)
    for rows, what in ((twice, "stand twice"), (gone, "are missing"), (more, "should not be there")):
        if len(rows):
            found.append(Finding("derived", "differs", f"rows {what}, such as {rows[0]}", where, rows=len(rows)))
    if len(twice):
        return found
    common = [row for row in new.index if row in set(old.index)]
    old, new = old.loc[common], new.loc[common]
    for name in (name for name in again if name in stored):
        was, now = old[name], new[name]
        differs = _other_texts(was, now)
        if differs.any():
            row = was.index[differs][0]
            what = f"{row} says {was[row]!r}, and {now[row]!r} is derived"
            largest, _ = _largest(was[differs], now[differs])
            found.append(Finding("derived", "differs", what, where, str(name), int(differs.sum()), largest))
    return found


def compare_labels(stored: NDArray[Any], again: NDArray[Any], where: str) -> list[Finding]:
    """Compare a stored label image (Y, X) with the same one segmented again."""
    if stored.shape != again.shape:
        what = f"the stored labels are of {stored.shape} pixels, the image of {again.shape}"
        return [Finding("measured", "differs", what, where, "labels.tif")]
    pixels = np.count_nonzero(stored != again)
    what = "pixels of the stored labels are not those that are segmented again"
    return [Finding("measured", "differs", what, where, "labels.tif", int(pixels))] if pixels else []


def _of_columns(stored: list[Any], again: list[Any], check: Check, where: str) -> list[Finding]:
    missing = [str(name) for name in again if name not in stored]
    more = [str(name) for name in stored if name not in again]
    return [
        *(Finding(check, "differs", "the column is missing", where, name) for name in missing),
        *(Finding(check, "differs", "the column should not be there", where, name) for name in more),
    ]


def _differing(stored: pd.Series, again: pd.Series) -> NDArray[np.bool_]:
    """Say for each row whether two values differ; two missing ones do not."""
    if all(pd.api.types.is_float_dtype(column) for column in (stored, again)):
        was, now = (column.to_numpy(np.float64, na_value=np.nan) for column in (stored, again))
        return np.asarray((was != now) & ~(np.isnan(was) & np.isnan(now)))
    was, now = (column.astype(object).where(column.notna(), _MISSING).to_numpy(object) for column in (stored, again))
    return np.array([old != new for old, new in zip(was, now, strict=True)], dtype=bool)


def _other_texts(was: pd.Series, now: pd.Series) -> NDArray[np.bool_]:
    texts = was.to_numpy(object) != now.to_numpy(object)
    old, new = (pd.to_numeric(column, errors="coerce").to_numpy(float) for column in (was, now))
    return np.asarray(texts & ~(old == new), dtype=bool)


def _largest(was: pd.Series, now: pd.Series) -> tuple[float | None, float]:
    """Return the largest difference of two columns of numbers, and the largest relative one; None for texts."""
    if any(pd.api.types.is_bool_dtype(column) for column in (was, now)):
        return None, np.inf
    old, new = (pd.to_numeric(column, errors="coerce").to_numpy(float, na_value=np.nan) for column in (was, now))
    both = np.isfinite(old) & np.isfinite(new)
    if not both.any():
        return None, np.inf
    apart = np.abs(old - new)[both]
    size = np.maximum(np.abs(old), np.abs(new))[both]
    relative = np.divide(apart, size, out=np.zeros_like(apart), where=size > 0)
    return float(apart.max()), float(relative.max()) if both.all() else np.inf


def _row_names(table: pd.DataFrame, keys: Sequence[str]) -> pd.Index:
    return pd.Index([" ".join(row) for row in table[list(keys)].itertuples(index=False, name=None)], dtype=object)
