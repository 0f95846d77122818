"""Readers' decisions as lines of the audit: from what, to what, and in which reading."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cher2.audit.lines import AuditLine, joined, moment
from cher2.cells.objects import GRADE_NAMES
from cher2.review.chain import BrokenEntry
from cher2.review.decisions import REFERRING
from cher2.study.trail import Event

DONE = {
    "grade": "graded",
    "not_ctc": "called no CTC",
    "ctc": "called a CTC",
    "skip": "skipped",
    "note": "noted",
    "undo": "undone",
    "redo": "redone",
}
"""What each action is called."""


def decision_lines(
    rows: Sequence[Mapping[str, Any]],
    patients: Mapping[str, str],
    events: Iterable[Event],
    broken: Iterable[BrokenEntry],
) -> list[AuditLine]:
    """Return the entries of a log as lines of the audit, in the order of storing.

    Parameters
    ----------
    rows : sequence of mapping
        The entries as they are stored, whatever somebody made of them.
    patients : mapping
        The patient of each image.
    events : iterable of Event
        The study's trail, which tells what was imported.
    broken : iterable of BrokenEntry
        Where the log was altered: it is said beside the entry.
    """
    faults: dict[int, str] = {}
    for fault in broken:
        faults[fault.entry] = joined(faults.get(fault.entry, ""), f"NOT AS STORED: {fault.what}")
    imported = _imported(events)
    entry_of = {row["decision_id"]: row["entry"] for row in rows}
    lines, before = [], None
    for row in rows:
        at = moment(str(row["decided_at"]))
        late = "its time is earlier than that of the entry before it" if at and before and at < before else ""
        meant = f"entry {entry_of.get(row['refers_to'], 'unknown')}" if row["action"] in REFERRING else ""
        details = joined(
            faults.get(row["entry"], ""),
            meant,
            {"blind": "blind reading", "consensus": "consensus"}.get(row["reading"], ""),
            imported.get(row["entry"], ""),
            late,
            f"at {row['machine']}" if row["machine"] else "",
        )
        lines.append(_line(row, patients, details))
        before = at or before
    return lines


def _line(row: Mapping[str, Any], patients: Mapping[str, str], details: str) -> AuditLine:
    decides = row["action"] not in ("note", "skip")
    done = DONE.get(row["action"], str(row["action"]))
    number = row["object_id"]
    return AuditLine(
        at=str(row["decided_at"]),
        source="decision",
        number=row["entry"],
        who=str(row["reader"]),
        what=f"adjudicated: {done}" if row["reading"] == "consensus" else done,
        patient_id=patients.get(row["image"], ""),
        image=str(row["image"]),
        object_id=number if isinstance(number, int) else None,
        before=in_words(row["kind_before"], row["grade_before"]) if decides else "",
        after=in_words(row["kind"], row["grade"]) if decides else "",
        reason=str(row["reason"]),
        details=details,
        hash=str(row["hash"]),
    )


def in_words(kind: object, grade: object) -> str:
    """Return what a cell is in words.

    Examples
    --------
    >>> in_words("ctc", 2), in_words("ctc", None), in_words("other", None)
    ('2+', 'CTC, not graded', 'not a CTC')
    """
    if kind != "ctc":
        return "leukocyte" if kind == "leukocyte" else "not a CTC"
    if isinstance(grade, int) and 0 <= grade < len(GRADE_NAMES):
        return GRADE_NAMES[grade]
    return "CTC, not graded" if grade is None else f"CTC, grade {grade!r}"


def _imported(events: Iterable[Event]) -> dict[int, str]:
    """Return for each entry that was imported, from which file."""
    found: dict[int, str] = {}
    for event in events:
        if event.what == "imported":
            first, last = imported_entries(event)
            found |= dict.fromkeys(range(first, last + 1), f"imported from {event.facts.get('file')}")
    return found


def imported_entries(event: Event) -> tuple[int, int]:
    """Return the first and the last entry of an import; (1, 0) where its event does not tell."""
    entries = event.facts.get("entries")
    told = isinstance(entries, list) and len(entries) == 2 and all(isinstance(entry, int) for entry in entries)
    return (entries[0], entries[1]) if told and isinstance(entries, list) else (1, 0)
