"""The cells of a study that imported decisions are about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cher2.exchange.decision_rows import PlainRow, RowError
from cher2.review.cells import StudyCells, scored_images, study_cells
from cher2.review.decisions import Decision, Reading
from cher2.review.ledger import Ledger
from cher2.review.outlines import read_corrected
from cher2.review.state import match_cells
from cher2.study.folder import Study


@dataclass(frozen=True)
class FoundCell:
    """A cell that a row is about.

    Parameters
    ----------
    ledger_row : int
        Its row in the ledger's table of cells.
    copied : bool
        Whether the row names a copy of it, in another frame.
    """

    ledger_row: int
    copied: bool


class CellsOfStudy:
    """All objects of some images of a study, and what is decided on them.

    Parameters
    ----------
    study : Study
        With its images scored.
    entries : sequence of Decision
        The log so far.
    images : iterable of str
        Those that a file names; others than the study's are left out.

    Raises
    ------
    StudyError
        The study's results cannot be read.
    """

    def __init__(self, study: Study, entries: Sequence[Decision], images: Iterable[str]) -> None:
        self.images = set(scored_images(study))
        self._ledger = Ledger(study, entries)
        wanted = sorted(self.images & set(images))
        self._objects: StudyCells = study_cells(study, read_corrected(study, wanted))
        self._of_image = self._objects.table.groupby("image", sort=False).indices
        self._numbers = self._objects.table["object_id"].to_numpy()
        self._places = self._objects.table[["y_px", "x_px"]].to_numpy(float)
        self._copy_of = self._objects.table["duplicate_of"].to_numpy(object)
        self._said: dict[tuple[int, str], tuple[str, int | None]] = {}

    def of_decisions(self, decisions: Sequence[Decision]) -> list[bool]:
        """Say of each decision whether its cell is there: by its number, or by its place where it was scored anew."""
        found = match_cells(decisions, self._objects.table, self._objects.fingerprints, self._objects.radius_px)
        return [row >= 0 for row in found.tolist()]

    def of_row(self, row: PlainRow) -> FoundCell:
        """Return the cell of a row of a plain file.

        Raises
        ------
        RowError
            There is no such image or object, or none near the place.
        """
        if row.image not in self.images:
            raise RowError(f"{row.image!r} is no scored image of this study")
        at = self._at(row)
        kept, copied = (row.image, int(self._numbers[at])), bool(self._copy_of[at])
        if copied:
            image, _, number = str(self._copy_of[at]).rpartition(" ")
            kept = image, int(number)
        found = self._ledger.row_of(*kept)
        if found is None and kept[0] in self.images:
            # Not one of the machine's CTCs.
            self._ledger.add_objects(kept[0])
            found = self._ledger.row_of(*kept)
        if found is None:
            raise RowError(f"the cell {kept[1]} of {kept[0]} is not there")
        return FoundCell(found, copied)

    def decide(self, ledger_row: int, row: PlainRow, decision_id: str) -> Decision:
        """Return the decision of a row, and remember it: the reader's next one on the cell comes after it."""
        standing = self._ledger.standing(ledger_row, row.reader)
        before = self._said.get((ledger_row, row.reader), (standing.kind, standing.grade))
        after: tuple[str, int | None] = ("other", None) if row.grade is None else ("ctc", row.grade)
        reading: Reading = next(word for word in ("open", "blind", "consensus") if word == row.reading)
        made = self._ledger.decision_on(
            ledger_row,
            "not_ctc" if row.grade is None else "grade",
            row.reader,
            before,
            after,
            reason=row.reason,
            reading=reading,
        )
        self._said[ledger_row, row.reader] = after
        return replace(made, decision_id=decision_id, decided_at=row.decided_at or made.decided_at)

    def _at(self, row: PlainRow) -> int:
        """Return the object of a row, as a row of the table of objects."""
        here = np.asarray(self._of_image.get(row.image, ()), dtype=np.intp)
        if row.object_id is not None:
            here = here[self._numbers[here] == row.object_id]
            if not len(here):
                raise RowError(f"there is no object {row.object_id} in {row.image}")
        if row.place is None:
            return int(here[0])
        far = np.hypot(*(self._places[here] - row.place).T)
        near = far <= self._objects.radius_px[here]
        if not near.any():
            what = "no object lies" if row.object_id is None else f"object {row.object_id} does not lie"
            raise RowError(f"{what} at row {row.place[0]:g}, column {row.place[1]:g} of {row.image}")
        return int(here[np.argmin(np.where(near, far, np.inf))])
