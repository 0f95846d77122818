"""Decisions made elsewhere, brought into a study's log: all of a file, or nothing."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cher2.errors import ReviewError
from cher2.exchange.decision_rows import PlainRow, RowError, read_rows
from cher2.exchange.imported_cells import CellsOfStudy
from cher2.review.decisions import Decision
from cher2.review.log import DecisionLog
from cher2.study.folder import Study
from cher2.study.trail import add_event, sha256_of

REASONS = 20
"""Rows that are named where a file is refused."""


@dataclass(frozen=True)
class Imported:
    """What became of a file of decisions.

    Parameters
    ----------
    stored : int
        Decisions that are in the log now and were not before.
    known : int
        Decisions that were there already.
    on_copies : int
        Of the stored ones, those on a copy of a cell in another frame: they were taken for the cell that counts.
    """

    stored: int
    known: int
    on_copies: int = 0

    def __str__(self) -> str:
        text = f"{self.stored} decisions imported"
        text += f", {self.known} were there already" if self.known else ""
        if self.on_copies:
            text += f"; {self.on_copies} on copies of a cell in another frame were taken for the cell that counts"
        return text


def import_decisions(study: Study, log: DecisionLog, path: Path, reader: str = "") -> Imported:
    """Bring the decisions of a CSV file into the log of a study.

    The study's trail notes what was imported. Importing the same file again stores nothing twice. The log's order is
    that of storing: what is imported comes after what is there, whatever its time says.

    Parameters
    ----------
    study : Study
        With its images scored.
    log : DecisionLog
    path : Path
        As :func:`cher2.exchange.decision_rows.read_rows` reads it.
    reader : str
        Who has decided where a row of a plain file names nobody.

    Returns
    -------
    Imported

    Raises
    ------
    ReviewError
        A row cannot be used: the message names the first of them with their reasons. Nothing is stored then.
    """
    rows, own = read_rows(path, reader)
    entries = log.entries()
    checked = _own(study, entries, rows) if own else _plain(study, entries, rows)
    wrong = [(number, row) for number, row in enumerate(checked.rows, start=2) if isinstance(row, RowError)]
    if wrong:
        named = "; ".join(f"row {number}: {error}" for number, error in wrong[:REASONS])
        more = f"; and {len(wrong) - REASONS} more" if len(wrong) > REASONS else ""
        raise ReviewError(
            f"{len(wrong)} of {len(rows)} rows cannot be imported, so nothing was: {named}{more}",
            where=str(path),
            remedy="Mend these rows, or take them out, and import the file again",
        )
    known = {entry.decision_id for entry in entries}
    new = [row for row in checked.rows if isinstance(row, Decision) and row.decision_id not in known]
    stored = [decision.entry for decision in log.append(new)]
    if stored:
        facts = {"file": path.name, "sha256": sha256_of(path), "entries": [min(stored), max(stored)]}
        add_event(study.path, "imported", reader.strip(), **facts)
    return Imported(len(new), len(rows) - len(new), checked.on_copies)


@dataclass(frozen=True)
class _Checked:
    rows: list[Decision | RowError]
    on_copies: int = 0


def _own(study: Study, entries: Sequence[Decision], rows: Sequence[Decision | PlainRow | RowError]) -> _Checked:
    """Check the rows of cher2's own file against the study and its log."""
    identity = study.identity
    mine = [_as_of(row, identity) if isinstance(row, Decision) else row for row in rows]
    known = {entry.decision_id: entry for entry in entries}
    new = [row for row in mine if isinstance(row, Decision) and row.decision_id not in known]
    cells = CellsOfStudy(study, entries, {row.image for row in new})
    found = dict(zip((row.decision_id for row in new), cells.of_decisions(new), strict=True))
    seen: dict[str, Decision] = {}
    checked: list[Decision | RowError] = []
    for row in mine:
        if not isinstance(row, Decision):
            checked.append(row if isinstance(row, RowError) else RowError("not a row of cher2's own file"))
            continue
        why = _why_not(row, known, seen, cells, found)
        seen[row.decision_id] = row
        checked.append(RowError(why) if why else row)
    return _Checked(checked)


def _why_not(
    row: Decision,
    known: dict[str, Decision],
    seen: dict[str, Decision],
    cells: CellsOfStudy,
    found: dict[str, bool],
) -> str:
    if row.decision_id in seen:
        return "the file has its decision_id twice"
    if (stored := known.get(row.decision_id)) is not None:
        return (
            "" if _says(stored) == _says(row) else f"entry {stored.entry} has its decision_id and says something else"
        )
    if row.refers_to and row.refers_to not in seen and row.refers_to not in known:
        return "refers_to names no earlier decision"
    if row.image not in cells.images:
        return f"{row.image!r} is no scored image of this study"
    return "" if found[row.decision_id] else f"no object lies at row {row.y_px:.1f}, column {row.x_px:.1f} of its image"


def _says(decision: Decision) -> tuple[object, ...]:
    return decision.image, decision.reader, decision.action, decision.kind, decision.grade, decision.refers_to


def _as_of(decision: Decision, identity: str) -> Decision:
    """Return a decision as one on this study: of another study's it is a copy, with an identity of its own."""
    if decision.study == identity:
        return decision
    refers_to = _identity(identity, "copy of", decision.refers_to) if decision.refers_to else ""
    own = _identity(identity, "copy of", decision.decision_id)
    return replace(decision, study=identity, decision_id=own, refers_to=refers_to)


def _identity(*words: object) -> str:
    """Return an identity that is the same for the same words."""
    return uuid.uuid5(uuid.NAMESPACE_OID, "\n".join(map(repr, words))).hex


def _plain(study: Study, entries: Sequence[Decision], rows: Sequence[Decision | PlainRow | RowError]) -> _Checked:
    """Turn the rows of a plain file into decisions."""
    images = {row.image for row in rows if isinstance(row, PlainRow)}
    cells, identity = CellsOfStudy(study, entries, images), study.identity
    first: dict[str, int] = {}
    graded: dict[tuple[int, str], int] = {}
    checked: list[Decision | RowError] = []
    on_copies = 0
    for number, row in enumerate(rows, start=2):
        if not isinstance(row, PlainRow):
            checked.append(row if isinstance(row, RowError) else RowError("not a row of a plain file"))
            continue
        try:
            cell = cells.of_row(row)
            key = _identity(identity, row)
            if key in first:
                raise RowError(f"it repeats row {first[key]}")
            whose = cell.ledger_row, row.reader
            if not row.decided_at and whose in graded:
                raise RowError(f"it is on the same cell as row {graded[whose]}; decided_at must say which is later")
            checked.append(cells.decide(cell.ledger_row, row, key))
        except RowError as error:
            checked.append(error)
        except ReviewError as error:
            checked.append(RowError(error.what))
        else:
            first[key], graded[whose] = number, number
            on_copies += cell.copied
    return _Checked(checked, on_copies)
