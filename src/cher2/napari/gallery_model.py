"""What the gallery shows: which cells in which order, and what is known of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractListModel, QModelIndex, QObject, Qt

from cher2.cells.objects import GRADE_NAMES
from cher2.errors import Cher2Error
from cher2.napari.picture_loader import PictureLoader
from cher2.report.cell_pictures import CellPlace

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class CellState:
    """What is known of a cell, as far as the gallery shows it.

    Parameters
    ----------
    kind : {"ctc", "leukocyte", "other"}
    grade : int or None
        0 to 3; None where it has none.
    reviewed : bool
        A reader has decided on it.
    unsaved : bool
        The decision is not stored yet.
    hidden : bool
        Neither kind, grade nor patient may be shown: the reader is blind to them.
    """

    kind: str = "ctc"
    grade: int | None = None
    reviewed: bool = False
    unsaved: bool = False
    hidden: bool = False

    @property
    def caption(self) -> str:
        """The grade or the kind in a word; nothing where it is hidden."""
        if self.hidden:
            return ""
        if self.kind != "ctc":
            return "leukocyte" if self.kind == "leukocyte" else "no CTC"
        return "no grade" if self.grade is None else GRADE_NAMES[self.grade]

    @property
    def in_words(self) -> str:
        """All that is shown of the cell, for those who listen instead of look."""
        words = [self.caption, "reviewed" if self.reviewed else "not reviewed", "unsaved" if self.unsaved else ""]
        return ", ".join(word for word in words if word)


class GalleryModel(QAbstractListModel):
    """The shown cells by position; `row` is a cell's row in the table, `position` its place in the gallery.

    Parameters
    ----------
    loader : PictureLoader
    parent : QObject, optional
    """

    def __init__(self, loader: PictureLoader, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.loader = loader
        self.current: int | None = None
        self._places: list[CellPlace] = []
        self._states: list[CellState] = []
        self._order: Rows = np.arange(0)
        self._position: Rows = np.arange(0)

    def set_cells(self, places: Sequence[CellPlace]) -> None:
        """Show other cells: all, in the table's order, of which nothing is known yet."""
        self.beginResetModel()
        self._places = list(places)
        self._states = [CellState()] * len(self._places)
        self.current = None
        self._take_order(np.arange(len(self._places)))
        self.endResetModel()

    def set_order(self, rows: Iterable[int]) -> None:
        """Show these rows, in this order, each once."""
        self.beginResetModel()
        self._take_order(np.asarray(list(rows), dtype=np.intp))
        self.endResetModel()

    def _take_order(self, rows: Rows) -> None:
        self._order = rows
        self._position = np.full(len(self._places), -1, dtype=np.intp)
        self._position[rows] = np.arange(len(rows))

    def set_states(self, rows: Iterable[int], states: Iterable[CellState]) -> None:
        """Say what is known of some cells; the view is to be painted again."""
        # Without dataChanged: a list view answers it by laying out all of its items again.
        for row, state in zip(rows, states, strict=True):
            self._states[row] = state

    def row(self, position: int) -> int:
        """Return the table's row of a position."""
        return int(self._order[position])

    def position(self, row: int) -> int | None:
        """Return where a row is shown; None where it is not."""
        shown = 0 <= row < len(self._position) and self._position[row] >= 0
        return int(self._position[row]) if shown else None

    def place(self, position: int) -> CellPlace:
        """Return the frame and centroid of the cell at a position."""
        return self._places[self.row(position)]

    def state(self, position: int) -> CellState:
        """Return what is known of the cell at a position."""
        return self._states[self.row(position)]

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Return the number of cells shown."""
        return 0 if parent is not None and parent.isValid() else len(self._order)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return words; pictures are painted by the delegate."""
        if not index.isValid():
            return None
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"cell {index.row() + 1}: {self.state(index.row()).in_words}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._why_no_picture(index.row())
        return None

    def _why_no_picture(self, position: int) -> str | None:
        fault = self.loader.fault(self.place(position))
        if fault is None:
            return None
        # Where the image lies names the patient.
        hidden = self.state(position).hidden
        return str(Cher2Error("the image is not found", remedy=fault.remedy)) if hidden else str(fault)
