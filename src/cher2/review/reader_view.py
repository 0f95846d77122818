"""The cells of a study as one reader sees them: in which order, through which filter, and where the reader is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from psygnal import Signal

from cher2.errors import ReviewError
from cher2.patients.summary import summarise_patients
from cher2.review.cells import scored_images
from cher2.review.decisions import Decision
from cher2.review.ledger import Ledger
from cher2.review.place import Place
from cher2.review.queues import SAMPLE_SIZE, Queue, QueueInput, queue_named, shuffled
from cher2.review.standing import CellFilter, CellStanding, standing_of, with_standings


class ReaderView:
    """A reader's view of a study.

    Parameters
    ----------
    ledger : Ledger
        Cells and decisions.
    reader : str
        The reader's name.
    queue : str
        A name of :data:`cher2.review.queues.QUEUES`.
    current : int, optional
        The row of the cell to begin at, where it is in the queue.
    blind : bool
        Hide the machine's and other readers' grades in whatever queue; the cells then come in random order, for
        their order could tell.
    seed : int
        Of the random orders.
    sample_size : int
        Cells of the random sample.

    Raises
    ------
    ReviewError
        There is no such queue.
    """

    current_changed = Signal(object)
    """The row of the current cell, or None."""
    standings_changed = Signal(object)
    """The rows whose standing changed, as an array; rows beyond those known so far are new in :attr:`cells`."""
    order_changed = Signal()

    def __init__(
        self,
        ledger: Ledger,
        reader: str,
        queue: str = "patient",
        current: int | None = None,
        *,
        blind: bool = False,
        seed: int = 0,
        sample_size: int = SAMPLE_SIZE,
    ) -> None:
        self.ledger, self.reader, self.protocol = ledger, reader, ledger.study.protocol
        self._always_blind, self._seed, self._sample_size = blind, seed, sample_size
        samples = ledger.study.samples
        scored = samples["image"].isin(scored_images(ledger.study))
        self._samples = samples.assign(image=samples["image"].where(scored, ""))
        self._standings: dict[int, CellStanding] = {}
        self._queue = queue_named(queue)
        self._filter = CellFilter()
        self._place = Place()
        self._make_order(current)

    @property
    def cells(self) -> pd.DataFrame:
        """The table of cells, numbered by row; rows are only ever added."""
        return self.ledger.cells

    @property
    def order(self) -> NDArray[np.intp]:
        """The rows of the queue that the filter lets through, in order."""
        return self._place.rows

    @property
    def queue(self) -> Queue:
        """The queue in force."""
        return self._queue

    @property
    def filter(self) -> CellFilter:
        """The filter in force."""
        return self._filter

    @property
    def blind(self) -> bool:
        """Whether the machine's and other readers' grades are hidden."""
        return self._always_blind or self._queue.blind

    @property
    def current(self) -> int | None:
        """The row of the current cell; None where the queue is empty."""
        return self._place.current

    def standing(self, row: int) -> CellStanding:
        """Return how a cell stands for this reader."""
        known = self._standings.get(row)
        if known is None:
            waiting = self._waiting(row)
            machine, entries = self.ledger.machine(row), self.ledger.entries_of(row)
            known = standing_of(machine, entries, self.reader, blind=self.blind, waiting=waiting)
            self._standings[row] = known
        return known

    def patient(self, patient_id: str) -> pd.Series[Any]:
        """Return a patient's row of the table of patients, by what all readers have stored so far.

        Raises
        ------
        ReviewError
            The study has no such patient.
        """
        images = self._samples[self._samples["patient_id"] == patient_id]
        if images.empty:
            raise ReviewError(f"the study has no patient {patient_id!r}", remedy="Name one of its samples.csv")
        rows = np.flatnonzero((self.cells["patient_id"] == patient_id).to_numpy())
        return summarise_patients(self.ledger.final_cells(rows), self.protocol, images).iloc[0]

    def following(self, count: int) -> list[int]:
        """Return the rows that come after the current one, no more than `count`."""
        return self._place.ahead(count)

    def go_to(self, row: int) -> None:
        """Make a cell of the queue the current one.

        Raises
        ------
        ReviewError
            The cell is not in the queue, or the filter hides it.
        """
        self._moved(self._place.go_to(row))

    def look_at(self, image: str, object_id: int) -> None:
        """Make any object of an image the current one, also one that the machine took for no CTC.

        Where it is not in the queue, it comes next in it.

        Raises
        ------
        ReviewError
            There is no such object, or it is a copy of a cell in another frame.
        """
        row = self.ledger.row_of(image, object_id)
        if row is None:
            row = self.ledger.add_object(image, object_id)
        if row is None or row in self.ledger.gone:
            raise ReviewError(
                f"object {object_id} of {image} cannot be judged here",
                remedy="It is a copy of a cell in another frame, or no longer there",
            )
        if row not in self._place:
            self._place.insert(row)
            self._changed(np.array([row]))
            self.order_changed.emit()
        self.go_to(row)

    def go_next(self) -> None:
        """Go to the next cell; from the last nowhere."""
        self._moved(self._place.step(1))

    def go_previous(self) -> None:
        """Go to the cell before; from the first nowhere."""
        self._moved(self._place.step(-1))

    def go_next_unreviewed(self) -> bool:
        """Go to the next cell that is neither reviewed nor skipped, from the end on to the beginning.

        Returns
        -------
        bool
            Whether there is one.
        """
        row = self._place.following(lambda at: not (self.standing(at).reviewed or self.standing(at).skipped))
        if row is not None:
            self.go_to(row)
        return row is not None

    def set_queue(self, name: str) -> None:
        """Choose another queue; the current cell stays current where it is in it."""
        was_blind, row, self._queue = self.blind, self.current, queue_named(name)
        if was_blind != self.blind:
            self._changed(np.arange(len(self.ledger)))
        self._make_order(row)

    def set_filter(self, chosen: CellFilter) -> None:
        """Show only some cells of the queue; the current one stays current where it is among them."""
        row, self._filter = self.current, chosen
        self._make_order(row)

    def take_corrected(self, image: str) -> None:
        """Take over an image whose outlines were corrected, and order the cells anew."""
        row = self.current
        self._changed(self.ledger.take_corrected(image))
        self._make_order(row)

    def _waiting(self, row: int) -> Sequence[Decision]:
        """Return the decisions on a cell that are not stored yet."""
        return ()

    def _changed(self, rows: NDArray[np.intp]) -> None:
        for row in rows.tolist():
            self._standings.pop(row, None)
        self.standings_changed.emit(rows)

    def _make_order(self, row: int | None) -> None:
        """Order the cells anew, and go to a row where it is among them, else to the first."""
        standings = [self.standing(at) for at in range(len(self.ledger))]
        given = QueueInput(
            cells=with_standings(self.cells, standings),
            rules=self.protocol.patient,
            reader=self.reader,
            histories=self.ledger.histories(),
            seed=self._seed,
            sample_size=self._sample_size,
        )
        order = self._queue.order(given)
        if self.blind and not self._queue.blind:
            order = shuffled(self.cells, order, self._seed)
        patients = self.cells["patient_id"].tolist()
        unasked = {at for at in self.ledger.looked_at if not self.ledger.entries_of(at)}
        there = [at for at in order.tolist() if at not in self.ledger.gone and at not in unasked]
        kept = [at for at in there if self._filter.keeps(at, patients[at], standings[at])]
        self._place.set_rows(kept, row)
        self.order_changed.emit()
        self.current_changed.emit(self.current)

    def _moved(self, moved: bool) -> None:
        if moved:
            self.current_changed.emit(self.current)
