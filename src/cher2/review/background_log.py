"""A log of decisions behind a thread of its own, so that a slow database never freezes a window.

A call that takes longer than a window may wait goes on in the thread, and the window is told so. Storing the same
decisions again is safe: the log knows them by their ``decision_id``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, TypeVar

from cher2.errors import ReviewError
from cher2.review.decisions import Decision
from cher2.review.log import Bookmark, DecisionLog

Answer = TypeVar("Answer")

PATIENCE_S = 1.0
"""How long a window may wait: shorter than what a reader takes for a fault, longer than a commit on a busy disk."""

GOODBYE_S = 5.0
"""How long a closing window waits for the last call."""


class BackgroundLog:
    """A log whose calls end within a time that a window can wait.

    Parameters
    ----------
    log : DecisionLog
        Used in the thread only, from now on.
    patience_s : float
        How long to wait for an answer, in seconds.
    """

    def __init__(self, log: DecisionLog, patience_s: float = PATIENCE_S) -> None:
        self._log, self._patience_s = log, patience_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cher2-decisions")
        self._running: Future[Any] | None = None
        self._closed = False

    @property
    def where(self) -> str:
        """The database in words."""
        return self._log.where

    @property
    def note(self) -> str:
        """What a reader should know about how decisions are stored there."""
        return self._log.note

    @property
    def read_only(self) -> bool:
        """Whether decisions can only be read there."""
        return self._log.read_only

    def append(self, decisions: Sequence[Decision]) -> list[Decision]:
        """Store decisions; see :meth:`cher2.review.log.DecisionLog.append`.

        Raises
        ------
        ReviewError
            They could not be stored, or there was no answer in time: the call goes on, and may yet store them.
        """
        kept = list(decisions)
        return self._ask(lambda: self._log.append(kept), self._patience_s)

    def entries(self, after: int = 0) -> list[Decision]:
        """Return stored decisions; see :meth:`cher2.review.log.DecisionLog.entries`."""
        # The whole log is read once, at the start, and may take its time.
        return self._ask(lambda: self._log.entries(after), None if after == 0 else self._patience_s)

    def bookmark(self, reader: str) -> Bookmark | None:
        """Return where a reader was."""
        return self._ask(lambda: self._log.bookmark(reader), None)

    def set_bookmark(self, reader: str, bookmark: Bookmark) -> None:
        """Remember where a reader is."""
        self._ask(lambda: self._log.set_bookmark(reader, bookmark), self._patience_s)

    def back_up(self) -> None:
        """Make a backup copy; see :meth:`cher2.review.log.DecisionLog.back_up`."""
        self._ask(self._log.back_up, GOODBYE_S)

    def close(self) -> None:
        """Let go of the database when the last call has ended, or after a few seconds without it."""
        if self._closed:
            return
        self._closed = True
        last = self._thread.submit(self._log.close)
        self._thread.shutdown(wait=False)
        try:
            last.result(GOODBYE_S)
        except FutureTimeoutError:
            raise self._too_slow() from None

    def _ask(self, call: Callable[[], Answer], patience_s: float | None) -> Answer:
        if self._closed:
            raise ReviewError("the review is closed", where=self.where, remedy="Open it again")
        if self._running is not None and not self._running.done():
            raise self._too_slow()
        asked = self._thread.submit(call)
        self._running = asked
        try:
            return asked.result(patience_s)
        except FutureTimeoutError:
            raise self._too_slow() from None

    def _too_slow(self) -> ReviewError:
        return ReviewError(
            "the database of decisions does not answer",
            where=self.where,
            remedy="What is not saved is kept and tried again; look whether the disk or the server is there",
        )
