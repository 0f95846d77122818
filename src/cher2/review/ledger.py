"""The cells of a study beside all that was decided on them: what every view of a review is taken from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.review.cells import (
    StudyCells,
    corrected_cells,
    judged_objects,
    reviewed_cells,
    scored_images,
    study_cells,
)
from cher2.review.decisions import REFERRING, Action, Decision, Reading
from cher2.review.outlines import corrected_objects
from cher2.review.standing import CellStanding, machine_words, standing_of, with_standings
from cher2.review.state import CellHistory, in_force, match_cells
from cher2.study.folder import Study


class Ledger:
    """Cells and decisions, each decision with its cell.

    Parameters
    ----------
    study : Study
        With its images scored.
    entries : sequence of Decision
        The log from its beginning.
    only : collection of str, optional
        Images; the cells of all others are left out.

    Raises
    ------
    StudyError
        The study's results cannot be read.
    """

    def __init__(self, study: Study, entries: Sequence[Decision] = (), only: Collection[str] | None = None) -> None:
        self.study = study
        self._identity, self._protocol = study.identity, study.protocol.fingerprint()
        self.last_entry = 0
        self._cells = reviewed_cells(study, _deciding(entries), only)
        self._objects: list[tuple[str, int]] = []
        self._machine: list[tuple[str, int | None]] = []
        self._row_by_object: dict[tuple[str, int], int] = {}
        self._entries: list[Decision] = []
        self.gone: set[int] = set()
        """Rows of objects that a correction of outlines took away since the cells were read."""
        self.looked_at: set[int] = set()
        """Rows of objects that a reader only wanted to see: they are in no queue until they are judged."""
        self._forget_rows()
        self._number(0)
        self._take(entries)

    @property
    def cells(self) -> pd.DataFrame:
        """The table of cells, numbered by row; rows are only ever added."""
        return self._cells.table

    @property
    def fingerprints(self) -> NDArray[np.object_]:
        """The fingerprint of the results that each cell comes from."""
        return self._cells.fingerprints

    @property
    def radius_px(self) -> NDArray[np.float64]:
        """The radius of a circle of each cell's area."""
        return self._cells.radius_px

    @property
    def lost(self) -> tuple[Decision, ...]:
        """Decisions in force whose cell is no longer there."""
        return tuple(in_force(self._lost))

    def __len__(self) -> int:
        return len(self._cells)

    def row_of(self, image: str, object_id: int) -> int | None:
        """Return the row of an object; None where it is not in the table."""
        return self._row_by_object.get((image, object_id))

    def object_of(self, row: int) -> tuple[str, int]:
        """Return the image and the number of a cell."""
        return self._objects[row]

    @property
    def entries(self) -> tuple[Decision, ...]:
        """The log's entries that were taken in, in order."""
        return tuple(self._entries)

    def knows(self, entry: Decision) -> bool:
        """Say whether an entry was taken in already."""
        return entry.decision_id in self._row_by_entry

    def row_of_entry(self, entry: Decision) -> int | None:
        """Return the row of an entry that was taken in; None where its cell is gone."""
        row = self._row_by_entry.get(entry.decision_id, -1)
        return row if row >= 0 else None

    def machine(self, row: int) -> tuple[str, int | None]:
        """Return the machine's kind and grade of a cell."""
        return self._machine[row]

    def entries_of(self, row: int) -> Sequence[Decision]:
        """Return the log's entries on a cell, undos among them, in order."""
        return self._by_row.get(row, ())

    def history(self, row: int) -> CellHistory:
        """Return what is in force on a cell."""
        return CellHistory(in_force(self.entries_of(row)))

    def histories(self) -> dict[int, CellHistory]:
        """Return what is in force, by row; cells without any decision are left out."""
        return {row: self.history(row) for row in self._by_row}

    def standing(self, row: int, reader: str = "", *, blind: bool = False) -> CellStanding:
        """Return how a cell stands: for a reader, or for all together."""
        return standing_of(self._machine[row], self.entries_of(row), reader, blind=blind)

    def final_cells(self, rows: NDArray[np.intp] | None = None) -> pd.DataFrame:
        """Return cells with ``kind_final, grade, reader, reviewed_at``: all, or those of some rows."""
        wanted = [row for row in (range(len(self)) if rows is None else rows.tolist()) if row not in self.gone]
        table = self.cells if len(wanted) == len(self) else self.cells.iloc[wanted]
        return with_standings(table, [self.standing(row) for row in wanted])

    def decision_on(
        self,
        row: int,
        action: Action,
        reader: str,
        before: tuple[str, int | None],
        after: tuple[str, int | None],
        *,
        reason: str = "",
        reading: Reading = "open",
        refers_to: str = "",
    ) -> Decision:
        """Return a decision on a cell, to be stored.

        Parameters
        ----------
        row : int
            The cell.
        action, reader, reason, reading, refers_to
            As in :class:`~cher2.review.decisions.Decision`.
        before, after : (str, int or None)
            Kind and grade in force before and by this decision.
        """
        image, object_id = self._objects[row]
        return Decision(
            study=self._identity,
            image=image,
            object_id=object_id,
            y_px=float(self.cells["y_px"].to_numpy()[row]),
            x_px=float(self.cells["x_px"].to_numpy()[row]),
            radius_px=float(self.radius_px[row]),
            action=action,
            reader=reader,
            kind_before=before[0],
            grade_before=before[1],
            kind=after[0],
            grade=after[1],
            reason=reason,
            reading=reading,
            refers_to=refers_to,
            protocol=self._protocol,
            score=str(self.fingerprints[row]),
        )

    def follow(self, entries: Iterable[Decision]) -> NDArray[np.intp]:
        """Take in entries of the log that are not known yet.

        Returns
        -------
        ndarray of int
            The rows whose standing may have changed; rows may have been added for objects that are judged now.
        """
        new = [entry for entry in entries if not self.knows(entry)]
        strangers = [entry for entry in _deciding(new) if self._row_by_number(entry) < 0]
        if strangers:
            self._add_judged(strangers)
        return self._take(new)

    def add_objects(self, image: str) -> NDArray[np.intp]:
        """Add all objects of an image to the table, of whatever kind, so that each can be judged.

        Returns
        -------
        ndarray of int
            The rows that are new.
        """
        objects = corrected_objects(self.study, image)
        return self._add(objects[objects["duplicate_of"] == ""])

    def add_object(self, image: str, object_id: int) -> int | None:
        """Add one object to the table, of whatever kind, so that it can be judged.

        Returns
        -------
        int or None
            Its row; None where the image has no such object, or it is a copy of a cell in another frame.
        """
        objects = corrected_objects(self.study, image)
        added = self._add(objects[(objects["object_id"] == object_id) & (objects["duplicate_of"] == "")])
        self.looked_at |= set(added.tolist())
        return self.row_of(image, object_id)

    def take_corrected(self, image: str) -> NDArray[np.intp]:
        """Take over an image whose outlines were corrected: cells that changed, came or went.

        Returns
        -------
        ndarray of int
            The rows of the image; those of objects that are gone are in :attr:`gone` from now on.
        """
        table, objects = self._cells.table, corrected_objects(self.study, image)
        before = table.loc[table["image"] == image, "object_id"]
        there = before[before.isin(objects["object_id"])]
        self.gone = (self.gone - set(there.index)) | set(before.index.difference(there.index))
        now = objects.set_index("object_id", drop=False).loc[there.to_numpy()].set_axis(there.index)
        table = pd.concat([table.drop(index=there.index), now]).sort_index()
        self._cells = study_cells(self.study, table)
        self._machine = machine_words(self._cells.table)
        self._add(corrected_cells(self.study, image))
        return np.flatnonzero((self.cells["image"] == image).to_numpy())

    def _row_by_number(self, entry: Decision) -> int:
        row = self._row_by_object.get((entry.image, entry.object_id), -1)
        return row if row >= 0 and self.fingerprints[row] == entry.score else -1

    def _take(self, entries: Sequence[Decision]) -> NDArray[np.intp]:
        """Take entries in, and return the rows whose standing may have changed."""
        changed: set[int] = set()
        rows = {entry.decision_id: self._row_by_number(entry) for entry in _deciding(entries)}
        if -1 in rows.values():
            # Places are given one to one among all decisions: those known already may have to move.
            entries, changed = [*self._entries, *entries], set(self._by_row)
            decisions = _deciding(entries)
            matched = match_cells(decisions, self.cells, self.fingerprints, self.radius_px).tolist()
            rows = {decision.decision_id: row for decision, row in zip(decisions, matched, strict=True)}
            self._entries = []
            self._forget_rows()
        for entry in entries:
            # An undo goes where its decision is: it may have been made on other results, where cells lay otherwise.
            self._put(entry, rows.get(entry.decision_id, self._row_by_entry.get(entry.refers_to, -1)))
        changed |= {self._row_by_entry[entry.decision_id] for entry in entries}
        return np.array(sorted(changed - {-1}), dtype=np.intp)

    def _put(self, entry: Decision, row: int) -> None:
        self._entries.append(entry)
        self._row_by_entry[entry.decision_id] = row
        self.last_entry = max(self.last_entry, entry.entry)
        (self._by_row.setdefault(row, []) if row >= 0 else self._lost).append(entry)

    def _forget_rows(self) -> None:
        self._by_row: dict[int, list[Decision]] = {}
        self._row_by_entry: dict[str, int] = {}
        self._lost: list[Decision] = []

    def _add_judged(self, entries: Sequence[Decision]) -> None:
        there = {entry.image for entry in entries} & set(scored_images(self.study))
        # Those known already compete for the same objects.
        here = [entry for entry in (*_deciding(self._entries), *entries) if entry.image in there]
        self._add(judged_objects(self.study, here, sorted(there)))

    def _add(self, objects: pd.DataFrame) -> NDArray[np.intp]:
        keys = zip(objects["image"], objects["object_id"], strict=True)
        new = objects[[(str(image), int(number)) not in self._row_by_object for image, number in keys]]
        first = len(self)
        if len(new):
            more = study_cells(self.study, new)
            self._cells = StudyCells(
                pd.concat([self._cells.table, more.table], ignore_index=True),
                np.concatenate([self._cells.fingerprints, more.fingerprints]),
                np.concatenate([self._cells.radius_px, more.radius_px]),
            )
            self._number(first)
        return np.arange(first, len(self))

    def _number(self, first: int) -> None:
        table = self._cells.table.iloc[first:]
        self._machine += machine_words(table)
        objects = [
            (str(image), number) for image, number in zip(table["image"], table["object_id"].tolist(), strict=True)
        ]
        self._objects += objects
        self._row_by_object |= {key: row for row, key in enumerate(objects, start=first)}


def _deciding(entries: Iterable[Decision]) -> list[Decision]:
    """Return all entries but undos and redos: those that are on a cell, and not on an entry."""
    return [entry for entry in entries if entry.action not in REFERRING]
