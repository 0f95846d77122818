"""Where a reader is in a list of cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from cher2.errors import ReviewError


class Place:
    """Rows in the order in which they are read, and the one that is current."""

    def __init__(self) -> None:
        self.rows: NDArray[np.intp] = np.zeros(0, np.intp)
        self._at = 0
        self._place_of: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, row: object) -> bool:
        return row in self._place_of

    @property
    def current(self) -> int | None:
        """The current row; None where there is none."""
        return int(self.rows[self._at]) if len(self.rows) else None

    def set_rows(self, rows: Sequence[int], current: int | None) -> None:
        """Take another list; the row that was current stays so where it is in it, else the first is."""
        self.rows = np.array(rows, dtype=np.intp)
        self._place_of = {row: at for at, row in enumerate(self.rows.tolist())}
        self._at = self._place_of.get(current, 0) if current is not None else 0

    def insert(self, row: int) -> None:
        """Put a row that is not in the list behind the current one."""
        at = self._at + 1 if len(self.rows) else 0
        self.set_rows(np.insert(self.rows, at, row).tolist(), self.current)

    def go_to(self, row: int) -> bool:
        """Make a row current; returns whether it was not.

        Raises
        ------
        ReviewError
            It is not in the list.
        """
        if row not in self._place_of:
            raise ReviewError("this cell is not in the queue", remedy="Choose another queue, or clear the filter")
        return self._move(self._place_of[row])

    def step(self, by: int) -> bool:
        """Go on, or back where `by` is negative, no farther than the ends; returns whether another row is current."""
        return self._move(max(0, min(self._at + by, len(self.rows) - 1)))

    def ahead(self, count: int) -> list[int]:
        """Return the rows that come after the current one, no more than `count`."""
        return [int(row) for row in self.rows[self._at + 1 : self._at + 1 + count]]

    def following(self, wanted: Callable[[int], bool]) -> int | None:
        """Return the next row that is wanted, from the end on to the beginning, the current one last; None for none."""
        rows = self.rows.tolist()
        return next((row for row in rows[self._at + 1 :] + rows[: self._at + 1] if wanted(row)), None)

    def _move(self, at: int) -> bool:
        moved, self._at = at != self._at, at
        return moved
