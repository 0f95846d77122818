"""What a log of decisions must be able to do, whatever database it is kept in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from cher2.review.decisions import Decision


@dataclass(frozen=True)
class Bookmark:
    """Where a reader was: the queue, and the cell in it.

    Parameters
    ----------
    queue : str
        The queue's name.
    image : str
    object_id : int
        The cell, as in the table of objects.
    """

    queue: str
    image: str
    object_id: int


@runtime_checkable
class DecisionLog(Protocol):
    """An append-only log of the decisions on one study."""

    @property
    def where(self) -> str:
        """The database in words, without a password."""

    @property
    def note(self) -> str:
        """What a reader should know about how decisions are stored here; empty where all is as it should be."""

    @property
    def read_only(self) -> bool:
        """Whether decisions can only be read here: whatever would store one is refused."""

    def append(self, decisions: Sequence[Decision]) -> list[Decision]:
        """Store decisions, all or none; on the disk when this returns.

        Returns
        -------
        list of Decision
            The same with their ``entry``. One that is stored already, by its ``decision_id``, is not stored again.

        Raises
        ------
        ReviewError
            They could not be stored, or nobody knows whether they were: appending the same decisions again is safe.
        """

    def entries(self, after: int = 0) -> list[Decision]:
        """Return the stored decisions with a greater ``entry`` than `after`, of all readers, in order.

        Raises
        ------
        ReviewError
            The log cannot be read.
        """

    def bookmark(self, reader: str) -> Bookmark | None:
        """Return where a reader was; None where nobody knows."""

    def set_bookmark(self, reader: str, bookmark: Bookmark) -> None:
        """Remember where a reader is; it is no decision, so only the last one stays."""

    def back_up(self) -> None:
        """Make a backup copy where this is cher2's to do, and something has changed since the newest.

        Raises
        ------
        ReviewError
            It could not be made, or the log is damaged.
        """

    def close(self) -> None:
        """Let go of the database; closing twice is fine."""
