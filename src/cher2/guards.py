"""How cher2 checks its own numbers on every run: a rule that every row must keep, or the work stops.

What is checked stands beside what is checked: ``cells.object_guards``, ``patients.patient_guards``,
``cohorts.cohort_guards``, ``report.table_guards`` and ``report.page_guards``. A check computes anew, in another way
than the number came about, or asks for what must hold of any right number. It costs next to nothing, changes nothing,
and can fail only where cher2 is wrong: what a user can bring about has errors of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cher2.errors import ISSUES, Cher2FaultError

SHOWN = 20
"""Rows that a fault carries at most."""


def guard(
    check: str,
    sound: ArrayLike,
    table: pd.DataFrame,
    what: str,
    *,
    columns: Sequence[str],
    where: str = "",
    expected: ArrayLike | None = None,
) -> None:
    """Stop where a row of a table breaks a rule.

    Parameters
    ----------
    check : str
        The rule by name, such as ``object-areas``.
    sound : array_like of bool, shape (N,)
        Whether each row keeps it.
    table : DataFrame, N rows
    what : str
        What does not fit where it is broken, as a sentence without its full stop and without a name.
    columns : sequence of str
        The columns that tell of it; those that the table has go along.
    where : str
        The image, sample or table.
    expected : array_like, shape (N,), optional
        What stands against the table's own value.

    Raises
    ------
    Cher2FaultError
        Names the check, the place and the values of the first rows that break it.
    """
    kept: NDArray[np.bool_] = np.asarray(sound, dtype=np.bool_)
    if kept.all():
        return
    broken = np.flatnonzero(~kept)
    rows = table.iloc[broken[:SHOWN]][[name for name in columns if name in table]].to_dict("records")
    if expected is not None:
        against = np.asarray(expected)[broken[:SHOWN]]
        rows = [{**row, "expected": value} for row, value in zip(rows, against, strict=True)]
    told = [
        {"row": int(row) + 1} | {str(key): value for key, value in of.items()}
        for row, of in zip(broken[:SHOWN], rows, strict=True)
    ]
    fault(check, f"{what} in {len(broken)} of {len(kept)} rows", told, where)


def fault(check: str, what: str, rows: Sequence[Mapping[str, Any]], where: str = "") -> NoReturn:
    """Stop: a check has failed.

    Parameters
    ----------
    check, what, where
        As of :func:`guard`.
    rows : sequence of mapping
        The values concerned.

    Raises
    ------
    Cher2FaultError
    """
    plain = tuple({key: plain_value(value) for key, value in row.items()} for row in rows[:SHOWN])
    first = (
        ", ".join(f"{key} {value}" for key, value in plain[0].items() if not isinstance(value, str)) if plain else ""
    )
    said = f"this is a fault of cher2, not of your data: {what}{f', {first}' if first else ''} (check {check})"
    raise Cher2FaultError(said, where=where, remedy=f"Report it with this message at {ISSUES}", check=check, rows=plain)


def plain_value(value: Any) -> Any:
    """Return a value as JSON can hold it, a missing one as None."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return None
    return value if isinstance(value, (bool, int, float)) else str(value)


def in_unit(values: ArrayLike, *, empty: bool = True) -> NDArray[np.bool_]:
    """Say which values are probabilities: from 0 to 1, or, where that is allowed, not there.

    Examples
    --------
    >>> in_unit([0.0, 1.0, 1.1, float("nan")]).tolist()
    [True, True, False, True]
    """
    numbers: NDArray[np.float64] = np.asarray(values, np.float64)
    return np.asarray(((numbers >= 0) & (numbers <= 1)) | (np.isnan(numbers) & empty))


def covers(low: ArrayLike, value: ArrayLike, high: ArrayLike) -> NDArray[np.bool_]:
    """Say which intervals hold their estimates, or are not there as these are not.

    Examples
    --------
    >>> nan = float("nan")
    >>> covers([0.1, 0.3, nan, nan], [0.2, 0.2, nan, 0.2], [0.5, 0.5, nan, nan]).tolist()
    [True, False, True, False]
    """
    lower, middle, upper = (np.asarray(numbers, np.float64) for numbers in (low, value, high))
    none = np.isnan(lower) & np.isnan(middle) & np.isnan(upper)
    return np.asarray(none | ((lower <= middle) & (middle <= upper)))
