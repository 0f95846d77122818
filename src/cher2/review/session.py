"""One reader's review of a study: where the reader is, what is decided, and what is not stored yet.

Free of Qt: a window shows a session, a script or a test drives it. It belongs to one thread.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from psygnal import Signal

from cher2.errors import ReviewError
from cher2.review.decisions import Action, Decision, Reading
from cher2.review.ledger import Ledger
from cher2.review.log import Bookmark, DecisionLog
from cher2.review.queues import SAMPLE_SIZE
from cher2.review.reader_view import ReaderView
from cher2.review.standing import Progress, UndoStack
from cher2.review.state import CellHistory, in_force
from cher2.study.folder import Study


class ReviewSession(ReaderView):
    """A reader's session.

    Parameters
    ----------
    study : Study
        With its images scored.
    log : DecisionLog
        The log of decisions; the session closes it.
    reader : str
        The reader's name.
    queue : str, optional
        A name of :data:`cher2.review.queues.QUEUES`; where the reader left off, where none is given.
    blind, seed, sample_size
        As in :class:`~cher2.review.reader_view.ReaderView`.

    Raises
    ------
    ReviewError
        The reader has no name, there is no such queue, or the log cannot be read.
    StudyError
        The study's results cannot be read.
    """

    unsaved_changed = Signal(int)
    """How many decisions are not stored yet."""
    failed = Signal(str)
    """Why something could not be stored, in words."""

    def __init__(
        self,
        study: Study,
        log: DecisionLog,
        reader: str,
        queue: str | None = None,
        *,
        blind: bool = False,
        seed: int = 0,
        sample_size: int = SAMPLE_SIZE,
    ) -> None:
        if not reader.strip():
            raise ReviewError("a review needs the name of its reader", remedy="Give one with --reader")
        self.study, self.log = study, log
        self._unsaved: dict[str, tuple[Decision, int]] = {}
        self._stored_any = False
        self._undo = UndoStack()
        stored = log.entries()
        ledger, bookmark = Ledger(study, stored), log.bookmark(reader.strip())
        super().__init__(
            ledger,
            reader.strip(),
            queue or (bookmark.queue if bookmark else "patient"),
            ledger.row_of(bookmark.image, bookmark.object_id) if bookmark else None,
            blind=blind,
            seed=seed,
            sample_size=sample_size,
        )
        self._read_to = ledger.last_entry
        self._follow_own(stored)

    @property
    def read_only(self) -> bool:
        """Whether decisions can only be looked at."""
        return self.log.read_only

    @property
    def unsaved(self) -> tuple[Decision, ...]:
        """Decisions that are not stored yet, in their order."""
        return tuple(decision for decision, _ in self._unsaved.values())

    @property
    def progress(self) -> Progress:
        """How far the reader is in the queue."""
        shown = [self.standing(row) for row in self.order.tolist()]
        reviewed = sum(standing.reviewed for standing in shown)
        skipped = sum(standing.skipped and not standing.reviewed for standing in shown)
        return Progress(reviewed, skipped, len(shown), len(self._unsaved))

    def grade(self, grade: int) -> bool:
        """Grade the current cell, which makes it a CTC, and go on.

        Returns
        -------
        bool
            Whether the decision is stored. One that is not is shown as unsaved, and the cell stays current; while any
            waits for :meth:`retry`, so do all that follow.
        """
        return self._decide("grade", "ctc", grade)

    def not_ctc(self) -> bool:
        """Say that the current cell is no CTC, and go on; returns as :meth:`grade`."""
        return self._decide("not_ctc", "other", None)

    def is_ctc(self) -> bool:
        """Say that the current cell is a CTC, with the machine's grade where that may be seen, and go on."""
        row = self._current_row()
        seen = self.cells["grade_auto"].iloc[row]
        standing = self.standing(row)
        grade = standing.grade if standing.grade is not None or pd.isna(seen) else int(seen)
        return self._decide("ctc", "ctc", None if standing.hidden else grade)

    def skip(self) -> bool:
        """Pass the current cell over, and go on; returns as :meth:`grade`."""
        return self._decide("skip", *self._holding(self._current_row()))

    def note(self, text: str) -> bool:
        """Note something on the current cell, and stay; returns as :meth:`grade`.

        Raises
        ------
        ReviewError
            The note is empty, too long, or holds what no database keeps.
        """
        if not text.strip():
            raise ReviewError("the note is empty", remedy="Type something, or leave it")
        return self._decide("note", *self._holding(self._current_row()), reason=text.strip())

    def undo(self) -> bool:
        """Take back this reader's newest decision in force whose cell is there, and go to that cell.

        Returns
        -------
        bool
            Whether there was one, and its undo is stored.

        Raises
        ------
        ReviewError
            A decision waits to be stored.
        """
        return self._refer("undo", self._undo.done)

    def redo(self) -> bool:
        """Put in force again what was taken back last, and go to its cell; returns and raises as :meth:`undo`."""
        return self._refer("redo", self._undo.undone)

    def retry(self) -> bool:
        """Try to store what is not stored yet.

        Returns
        -------
        bool
            Whether all is stored now; why not is told by the signal ``failed``.
        """
        if not self._unsaved:
            return True
        try:
            self.take_stored(self.log.append(self.unsaved))
        except ReviewError as error:
            self.unsaved_changed.emit(len(self._unsaved))
            self.failed.emit(str(error))
            return False
        return True

    def take_stored(self, stored: Sequence[Decision]) -> None:
        """Take note of decisions of this session that are stored now, by :meth:`retry` or in a thread of the window's.

        What others have stored in between is taken in before them.

        Raises
        ------
        ReviewError
            What others have stored cannot be read: all stays as it was, and storing the same again is safe.
        """
        others_too = any(entry.entry > self._read_to + place for place, entry in enumerate(stored, start=1))
        if others_too:
            self._take(self.log.entries(self._read_to))
        self._take(stored)

    def refresh(self) -> int:
        """Take in what other readers, or other windows, have stored; returns how many entries were new.

        Raises
        ------
        ReviewError
            The log cannot be read.
        """
        new = self.log.entries(self._read_to)
        self._take(new)
        return len(new)

    def remember(self) -> None:
        """Store where the reader is, so that the next session begins there."""
        row = self.current
        if row is None:
            return
        try:
            self.log.set_bookmark(self.reader, Bookmark(self._queue.name, *self.ledger.object_of(row)))
        except ReviewError as error:
            self.failed.emit(str(error))

    def close(self) -> None:
        """Remember where the reader is and let go of the log; what is not stored yet is tried once more.

        Raises
        ------
        ReviewError
            Decisions could not be stored, or no backup copy of them could be made.
        """
        try:
            if self._unsaved:
                self.take_stored(self.log.append(self.unsaved))
            self.remember()
            if self._stored_any:
                self.log.back_up()
        finally:
            self.log.close()

    def _waiting(self, row: int) -> Sequence[Decision]:
        return [decision for decision, of in self._unsaved.values() if of == row]

    def _current_row(self) -> int:
        row = self.current
        if row is None:
            raise ReviewError("the queue is empty", remedy="Choose another queue, or clear the filter")
        return row

    def _holding(self, row: int) -> tuple[str, int | None]:
        return self.standing(row).kind, self.standing(row).grade

    def _decide(self, action: Action, kind: str, grade: int | None, *, reason: str = "") -> bool:
        if not self._store(self._current_row(), action, kind, grade, reason=reason):
            return False
        if action != "note":
            self.go_next()
        return True

    def _refer(self, action: Action, stack: list[Decision]) -> bool:
        if self._unsaved:
            raise ReviewError("a decision is not saved yet", remedy="Wait until it is, then take it back")
        found = ((meant, self.ledger.row_of_entry(meant)) for meant in reversed(stack))
        meant, row = next(((meant, row) for meant, row in found if row is not None), (None, None))
        if meant is None or row is None:
            return False
        entries = [entry for entry in in_force(self.ledger.entries_of(row)) if entry.decision_id != meant.decision_id]
        held = CellHistory([*entries, *([meant] if action == "redo" else [])]).deciding(self.reader)
        kind, grade = (held.kind, held.grade) if held else self.ledger.machine(row)
        stored = self._store(row, action, kind, grade, refers_to=meant.decision_id)
        if row in self._place:
            self.go_to(row)
        return stored

    def _store(
        self, row: int, action: Action, kind: str, grade: int | None, *, reason: str = "", refers_to: str = ""
    ) -> bool:
        if self.read_only:
            raise ReviewError(
                "this study is open for reading only: no decision can be stored",
                where=self.log.where,
                remedy="Allow writing to the study folder and the files reviews.sqlite*, and open the review again",
            )
        reading: Reading = "consensus" if self._queue.consensus else "blind" if self.blind else "open"
        before = self._holding(row)
        decision = self.ledger.decision_on(
            row, action, self.reader, before, (kind, grade), reason=reason, reading=reading, refers_to=refers_to
        )
        # What waits is stored first and in its order: whoever retries stores this one with it.
        waits = bool(self._unsaved)
        self._unsaved[decision.decision_id] = decision, row
        self._standings.pop(row, None)
        if waits:
            self.unsaved_changed.emit(len(self._unsaved))
        elif self.retry():
            return True
        self._changed(np.array([row]))
        return False

    def _take(self, entries: Sequence[Decision]) -> None:
        """Take entries of the log in: into the ledger, the stack of what can be undone, and the view."""
        new = [entry for entry in entries if not self.ledger.knows(entry)]
        changed = self.ledger.follow(new)
        self._follow_own(new)
        self._read_to = max(self._read_to, self.ledger.last_entry)
        arrived = [waited[1] for entry in entries if (waited := self._unsaved.pop(entry.decision_id, None))]
        if len(changed) or arrived:
            self._changed(np.union1d(changed, np.array(arrived, dtype=np.intp)))
        if arrived:
            self._stored_any = True
            self.unsaved_changed.emit(len(self._unsaved))

    def _follow_own(self, entries: Sequence[Decision]) -> None:
        for entry in entries:
            if entry.reader == self.reader:
                self._undo.follow(entry)
