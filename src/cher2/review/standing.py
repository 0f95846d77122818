"""How a cell stands for a reader: what is shown of it, and which cells a filter lets through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cher2.review.decisions import Decision
from cher2.review.state import CellHistory, in_force


@dataclass(frozen=True)
class CellStanding:
    """How a cell stands.

    Parameters
    ----------
    kind : str
        What it is taken for: by a reader, else by the machine.
    grade : int or None
        Its grade likewise; None for none.
    reviewed : bool
        A reader has decided, and that is stored: in a blind reading this one, else anyone.
    skipped : bool
        This reader has passed it over, and that is stored.
    unsaved : bool
        What is shown is not stored yet, or not all of it.
    hidden : bool
        Kind and grade are the machine's or another reader's, and must not be shown.
    reader, decided_at : str
        Who decided and when; empty where only the machine has.
    disagreement : bool
        Readers differ and nobody has settled it; False in a blind reading.
    notes : tuple of str
        What readers noted, each after its reader's name; in a blind reading only this reader's.
    """

    kind: str
    grade: int | None
    reviewed: bool = False
    skipped: bool = False
    unsaved: bool = False
    hidden: bool = False
    reader: str = ""
    decided_at: str = ""
    disagreement: bool = False
    notes: tuple[str, ...] = ()


def standing_of(
    machine: tuple[str, int | None],
    entries: Sequence[Decision],
    reader: str,
    *,
    blind: bool,
    waiting: Sequence[Decision] = (),
) -> CellStanding:
    """Return how a cell stands for a reader.

    Parameters
    ----------
    machine : (str, int or None)
        The machine's kind and grade.
    entries : sequence of Decision
        The log's entries on this cell, undos among them, in order.
    reader : str
    blind : bool
        Whether the reader must not see what the machine and the others say.
    waiting : sequence of Decision
        Those that are not stored yet, in order: they are shown, but nothing counts as reviewed by them.
    """
    if not entries and not waiting:
        return CellStanding(*machine, hidden=blind)
    stored = CellHistory(in_force(entries))
    shown = CellHistory(in_force([*entries, *waiting])) if waiting else stored
    whose = reader if blind else None
    holding = shown.deciding(whose)
    kind, grade = (holding.kind, holding.grade) if holding else machine
    return CellStanding(
        kind=kind,
        grade=grade,
        reviewed=stored.deciding(whose) is not None,
        skipped=stored.skipped_by(reader),
        unsaved=bool(waiting),
        hidden=blind and holding is None,
        reader=holding.reader if holding else "",
        decided_at=holding.decided_at if holding else "",
        disagreement=stored.disagreement and not blind,
        notes=shown.notes_of(whose),
    )


@dataclass(frozen=True)
class CellFilter:
    """Which cells are shown.

    Parameters
    ----------
    patient : str
        Only this patient's; empty for all.
    grades : frozenset of int
        Only these grades; empty for all. Hidden grades are let through.
    kinds : frozenset of str
        Only these kinds; empty for all.
    unreviewed : bool
        Only what is neither reviewed nor passed over.
    rows : frozenset of int or None
        Only these rows, such as those of a lasso; None for all.
    """

    patient: str = ""
    grades: frozenset[int] = field(default_factory=frozenset)
    kinds: frozenset[str] = field(default_factory=frozenset)
    unreviewed: bool = False
    rows: frozenset[int] | None = None

    def keeps(self, row: int, patient: str, standing: CellStanding) -> bool:
        """Say whether a cell is shown."""
        return (
            (not self.patient or patient == self.patient)
            and (not self.grades or standing.hidden or standing.grade in self.grades)
            and (not self.kinds or standing.hidden or standing.kind in self.kinds)
            and not (self.unreviewed and (standing.reviewed or standing.skipped))
            and (self.rows is None or row in self.rows)
        )


@dataclass(frozen=True)
class Progress:
    """How far a reader is in a queue."""

    reviewed: int
    skipped: int
    total: int
    unsaved: int

    def __str__(self) -> str:
        words = f"{self.reviewed} of {self.total} reviewed"
        words += f", {self.skipped} skipped" if self.skipped else ""
        return words + (f", {self.unsaved} not saved" if self.unsaved else "")


@dataclass
class UndoStack:
    """What one reader can take back and put in force again, from the reader's own entries in their order."""

    done: list[Decision] = field(default_factory=list)
    undone: list[Decision] = field(default_factory=list)

    def follow(self, entry: Decision) -> None:
        """Take in one more entry of the reader."""
        if entry.action == "undo":
            self._move(self.done, self.undone, entry.refers_to)
        elif entry.action == "redo":
            self._move(self.undone, self.done, entry.refers_to)
        else:
            self.done.append(entry)
            self.undone.clear()

    @staticmethod
    def _move(source: list[Decision], target: list[Decision], decision_id: str) -> None:
        # The newest is the one in all but imported logs.
        for place in range(len(source) - 1, -1, -1):
            if source[place].decision_id == decision_id:
                target.append(source.pop(place))
                return


def with_standings(cells: pd.DataFrame, standings: Sequence[CellStanding]) -> pd.DataFrame:
    """Add to a table of cells what stands: ``kind_final, grade, reader, reviewed_at``; hidden ones as they are."""
    grades = pd.array([standing.grade for standing in standings], dtype="Int8")
    return cells.assign(
        kind_final=np.array([standing.kind for standing in standings], dtype=object),
        grade=grades,
        reader=np.array([standing.reader for standing in standings], dtype=object),
        reviewed_at=np.array([standing.decided_at for standing in standings], dtype=object),
    )


def machine_words(cells: pd.DataFrame) -> list[tuple[str, int | None]]:
    """Return the machine's kind and grade of each cell."""
    grades = cells["grade_auto"].astype("Float64").to_numpy(float, na_value=np.nan)
    return [
        (str(kind), None if np.isnan(grade) or kind != "ctc" else int(grade))
        for kind, grade in zip(cells["kind"], grades.tolist(), strict=True)
    ]
