"""The rows of a CSV file of decisions, checked one by one.

Two kinds of files are read: cher2's own, with every column of the log; and a plain one of another program, with
``image, grade``, ``object_id`` or ``y_px, x_px``, and where there are ``reader, decided_at, reason, reading``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from cher2.cells.objects import GRADE_NAMES, GRADES
from cher2.errors import ReviewError
from cher2.review.decisions import COLUMNS, READINGS, Decision
from cher2.review.decisions_csv import unguarded
from cher2.study.tables import read_csv

NOT_A_CTC = ("not a ctc", "not_ctc", "no ctc")
"""What a plain file writes in place of a grade for a cell that is no CTC, in upper or lower case."""

_OWN = frozenset(COLUMNS) - {"entry"}


class RowError(ValueError):
    """A row that cannot be used; its text says why."""


@dataclass(frozen=True)
class PlainRow:
    """A row of a plain file.

    Parameters
    ----------
    image : str
    object_id : int or None
        The object's number; None where only the place is given.
    place : (float, float) or None
        y and x in pixels; None where only the number is given.
    grade : int or None
        None for what is no CTC.
    reader, reason, reading : str
    decided_at : str
        Time in UTC; empty where none is given.
    """

    image: str
    object_id: int | None
    place: tuple[float, float] | None
    grade: int | None
    reader: str
    reason: str
    reading: str
    decided_at: str


def read_rows(path: Path, reader: str = "") -> tuple[list[Decision | PlainRow | RowError], bool]:
    """Read a CSV file of decisions.

    Parameters
    ----------
    path : Path
        The file.
    reader : str
        Who has decided where a row names nobody.

    Returns
    -------
    rows : list of Decision, PlainRow or RowError
        One for each row; an error where it makes no sense by itself.
    own : bool
        Whether it is cher2's own file.

    Raises
    ------
    ReviewError
        The file is no table, or lacks a column.
    """
    table = read_csv(path, ReviewError, "the table of decisions")
    own = set(table.columns) >= _OWN
    if not own:
        _check_columns(table, path)
    table = table.apply(lambda column: column.map(unguarded))
    rows: list[Decision | PlainRow | RowError] = []
    for row in table.to_dict("records"):
        values = {str(name): value for name, value in row.items()}
        try:
            rows.append(_decision(values) if own else _plain(values, reader))
        except RowError as error:
            rows.append(error)
        except ReviewError as error:
            rows.append(RowError(error.what))
    return rows, own


def _check_columns(table: pd.DataFrame, path: Path) -> None:
    place = ("object_id",) if "object_id" in table else ("y_px", "x_px")
    missing = [name for name in ("image", "grade", *place) if name not in table]
    if missing:
        raise ReviewError(
            f"there is no column {missing[0]}; there are {', '.join(table.columns)}",
            where=str(path),
            remedy="Give the columns image, grade, and object_id or y_px and x_px; reader too, or --reader NAME",
        )


def _decision(row: dict[str, str]) -> Decision:
    """Return the decision of a row of cher2's own file."""
    values: dict[str, Any] = {name: row[name] for name in COLUMNS if name != "entry"}
    values["object_id"] = _whole(row, "object_id")
    values |= {name: _number(row, name) for name in ("y_px", "x_px", "radius_px")}
    values |= {name: _grade_or_none(row, name) for name in ("grade", "grade_before")}
    values["decided_at"] = _time(row["decided_at"])
    for name in ("decision_id", "decided_at"):
        if not values[name]:
            raise RowError(f"{name} is empty")
    return Decision(**values)


def _plain(row: dict[str, str], reader: str) -> PlainRow:
    word = row["grade"].strip()
    no_ctc = word.casefold() in NOT_A_CTC
    number = _whole(row, "object_id") if row.get("object_id", "").strip() else None
    has_place = bool(row.get("y_px", "").strip() and row.get("x_px", "").strip())
    place = (_number(row, "y_px"), _number(row, "x_px")) if has_place else None
    if number is None and place is None:
        raise RowError("neither object_id nor y_px and x_px says which cell it is")
    who = row.get("reader", "").strip() or reader.strip()
    if not who:
        raise RowError("no reader is named (--reader NAME names one for all rows)")
    reading = row.get("reading", "").strip() or "open"
    if reading not in READINGS:
        raise RowError(f"reading = {reading!r} is none of {', '.join(READINGS)}")
    grade = None if no_ctc else _grade(word)
    time = _time(row.get("decided_at", ""))
    return PlainRow(row["image"].strip(), number, place, grade, who, row.get("reason", "").strip(), reading, time)


def _grade(word: str) -> int:
    names = {name: grade for grade, name in enumerate(GRADE_NAMES)} | {str(grade): grade for grade in GRADES}
    if word not in names:
        raise RowError(f"grade = {word!r} is none of {', '.join(GRADE_NAMES)} or 'not a CTC'")
    return names[word]


def _grade_or_none(row: dict[str, str], name: str) -> int | None:
    word = row[name].strip()
    if word and word not in map(str, GRADES):
        raise RowError(f"{name} = {word!r} is none of {', '.join(map(str, GRADES))}")
    return int(word) if word else None


def _whole(row: dict[str, str], name: str) -> int:
    word = row[name].strip()
    # A spreadsheet may have written 17 as 17.0; isdecimal takes other scripts' digits, which int reads as well.
    digits = word.removesuffix(".0")
    if not (digits.isdecimal() and len(digits) <= 18):
        raise RowError(f"{name} = {word!r} is no whole number")
    return int(digits)


def _number(row: dict[str, str], name: str) -> float:
    try:
        value = float(row[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RowError(f"{name} = {row[name]!r} is no number")
    return value


def _time(word: str) -> str:
    """Return a time in UTC as the log has it; one without a zone is taken for UTC."""
    if not word.strip():
        return ""
    try:
        time = datetime.fromisoformat(word.strip())
        time = (time.replace(tzinfo=UTC) if time.tzinfo is None else time).astimezone(UTC)
    except (ValueError, OverflowError):
        raise RowError(f"decided_at = {word!r} is no time such as 2026-11-22T15:20:03+00:00") from None
    if time > datetime.now(UTC) + timedelta(days=1):
        raise RowError(f"decided_at = {word!r} lies in the future")
    return time.isoformat(timespec="microseconds")
