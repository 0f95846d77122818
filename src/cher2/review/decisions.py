"""A reader's decision on one cell: what it says, and its form in the log.

Nothing in the log is ever changed or removed. An undo is an entry of its own that names the one that it takes back,
and so is a redo; what is in force is found by reading the log from its beginning (:mod:`cher2.review.state`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field, fields
from datetime import UTC, datetime
from typing import Literal, get_args

import pandas as pd

from cher2.cells.objects import GRADES, KINDS
from cher2.errors import ReviewError
from cher2.study.machine import host_if_asked

Action = Literal["grade", "not_ctc", "ctc", "skip", "note", "undo", "redo"]
"""What a decision does: gives a grade (the cell is a CTC then), says that it is no CTC, says that it is one without
grading it, passes it over, only notes something, takes back an entry, or puts it in force again."""

Reading = Literal["open", "blind", "consensus"]
"""How the reader read: with the machine's grades in view, without them, or to settle what readers disagree on."""

ACTIONS: tuple[Action, ...] = get_args(Action)
READINGS: tuple[Reading, ...] = get_args(Reading)

REFERRING: tuple[Action, ...] = ("undo", "redo")
"""Actions on an earlier entry."""

MOST_TEXT = 2000
"""Characters of a note or a reader's name: more is a file pasted by mistake."""


def utc_now() -> str:
    """Return the time in UTC, to the microsecond: ``2026-11-22T15:20:03.000000+00:00``."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


@dataclass(frozen=True, slots=True)
class Decision:
    """One entry of the log.

    Parameters
    ----------
    study : str
        The study's identity (:attr:`cher2.study.folder.Study.identity`).
    image : str
        The frame, named as in the table of objects.
    object_id : int
        The object's number when the decision was made; with `score` it says which object that was.
    y_px, x_px, radius_px : float
        Its centroid, and the radius of a circle of its area: by these a decision finds its cell again when the
        image was scored anew.
    action : str
        One of :data:`ACTIONS`.
    reader : str
        Who decided.
    kind_before, grade_before : str, int or None
        What was in force for this reader before; the grade is None for none.
    kind, grade : str, int or None
        What is in force by this decision.
    reason : str
        The reader's note.
    reading : str
        One of :data:`READINGS`.
    refers_to : str
        Of an undo or a redo, the ``decision_id`` of the decision that it takes back or puts in force again.
    protocol, score : str
        Fingerprints of the protocol and of the image's results that the reader saw.
    machine : str
        The computer's name, where ``CHER2_NAME_HOST=1`` asks for it; else empty.
    decided_at : str
        Time in UTC (:func:`utc_now`).
    decision_id : str
        Different for every decision ever made: an append that is repeated, because nobody knows whether the first
        arrived, is stored once.
    entry : int
        The place in the log, from 1 in the order of storing; 0 before it is stored.

    Raises
    ------
    ReviewError
        A field makes no sense.
    """

    study: str
    image: str
    object_id: int
    y_px: float
    x_px: float
    radius_px: float
    action: Action
    reader: str
    kind_before: str
    grade_before: int | None
    kind: str
    grade: int | None
    reason: str = ""
    reading: Reading = "open"
    refers_to: str = ""
    protocol: str = ""
    score: str = ""
    machine: str = field(default_factory=host_if_asked)
    decided_at: str = field(default_factory=utc_now)
    decision_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    entry: int = 0

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("action", self.action, ACTIONS),
            ("reading", self.reading, READINGS),
            ("kind", self.kind, KINDS),
            ("kind_before", self.kind_before, KINDS),
            ("grade", self.grade, (None, *GRADES)),
            ("grade_before", self.grade_before, (None, *GRADES)),
        ):
            if value not in allowed:
                shown = ", ".join("none" if known is None else str(known) for known in allowed)
                raise ReviewError(f"a decision's {name} is {value!r}", remedy=f"It must be one of {shown}")
        if not self.reader.strip():
            raise ReviewError("a decision needs the name of its reader", remedy="Give one with --reader")
        if "\x00" in self.reason or any("\ud800" <= sign <= "\udfff" for sign in self.reason):
            raise ReviewError("a note holds a character that cannot be stored", remedy="Type it anew")
        if max(len(self.reader), len(self.reason)) > MOST_TEXT:
            raise ReviewError(f"a note or a reader's name is longer than {MOST_TEXT} characters", remedy="Shorten it")
        if (self.action in REFERRING) != bool(self.refers_to):
            raise ReviewError(
                f"a decision of action {self.action} names {'no' if not self.refers_to else 'an'} earlier decision",
                remedy="An undo and a redo name the decision that they refer to, and no other does",
            )


def times_set_back(decisions: Iterable[Decision]) -> list[Decision]:
    """Return the entries whose time is before that of an earlier one of the same reader at the same computer.

    A clock was set back there, or decisions were imported later than they were made. What holds is the order of the
    entries; the times say only when a clock believed it to be.
    """
    latest: dict[tuple[str, str], str] = {}
    back = []
    for decision in decisions:
        of = decision.reader, decision.machine
        if decision.decided_at < latest.get(of, ""):
            back.append(decision)
        latest[of] = max(latest.get(of, ""), decision.decided_at)
    return back


COLUMNS = tuple(item.name for item in fields(Decision))
"""The fields of a decision in order: the columns of the log's table and of its CSV."""


def decisions_table(decisions: Iterable[Decision]) -> pd.DataFrame:
    """Return decisions as a table, one row each in the order given; grades are nullable integers."""
    table = pd.DataFrame([astuple(decision) for decision in decisions], columns=list(COLUMNS))
    whole = {"object_id": "int64", "entry": "int64", "grade": "Int8", "grade_before": "Int8"}
    return table.astype(whole | dict.fromkeys(("y_px", "x_px", "radius_px"), "float64"))
