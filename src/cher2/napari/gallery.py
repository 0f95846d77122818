"""The gallery: thousands of cells as small pictures, to be looked through, chosen and selected.

It shows what it is told and tells what the user does; it decides nothing. What a program sets is never echoed as
a signal, and keys that do not move through the gallery are left to the window around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from qtpy.QtCore import (  # type: ignore[attr-defined]  # qtpy renames PyQt's pyqtSignal
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QPoint,
    QRect,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from qtpy.QtGui import QKeyEvent, QKeySequence, QPainter, QPaintEvent, QPalette, QResizeEvent
from qtpy.QtWidgets import QApplication, QListView, QScrollBar, QVBoxLayout, QWidget

from cher2.napari.gallery_model import CellState, GalleryModel, Rows
from cher2.napari.gallery_tiles import CellDelegate
from cher2.napari.picture_loader import PictureLoader
from cher2.palette import CHANNEL_COLOURS
from cher2.report.cell_pictures import CellPlace, Channel, cell_places

_MOVES = (
    Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down,
    Qt.Key.Key_PageUp, Qt.Key.Key_PageDown, Qt.Key.Key_Home, Qt.Key.Key_End,
)  # fmt: skip
_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
_COLUMNS, _ROWS = 4, 5
_SEVERAL = Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.ControlModifier


class Gallery(QWidget):
    """Cells as small pictures with a border in the colour of the grade.

    Parameters
    ----------
    loader : PictureLoader
        Gives the pictures; it is not closed by the gallery.
    colours : mapping of role to str
        The channels' colours in a composite.
    parent : QWidget, optional

    Attributes
    ----------
    cell_chosen : Signal
        The user wants this row: by a click, Enter, or a key that moves through the gallery.
    selection_changed : Signal
        The rows that the user has selected (an array, in the order shown), by clicks with Shift or Ctrl or a frame.
    """

    cell_chosen = Signal(int)
    selection_changed = Signal(object)

    def __init__(
        self,
        loader: PictureLoader,
        colours: Mapping[str, str] = CHANNEL_COLOURS,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._loader = loader
        self._model = GalleryModel(loader, self)
        self.view = _GalleryView(self._model, colours, self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.view)
        self._echo = False
        self.view.chosen.connect(self._choose)
        self.view.moved.connect(self._ask)
        self.view.picked.selectionChanged.connect(self._tell_selection)
        loader.loaded.connect(self._show_loaded)
        self._ask_soon = QTimer(self)
        self._ask_soon.setSingleShot(True)
        self._ask_soon.timeout.connect(self._ask_now)

    @property
    def selected(self) -> Rows:
        """The selected rows, in the order shown."""
        positions = sorted(index.row() for index in self.view.picked.selectedIndexes())
        return np.array([self._model.row(at) for at in positions], dtype=np.intp)

    def set_cells(self, cells: pd.DataFrame) -> None:
        """Show the cells of a table, in its order; what was shown, selected and known is forgotten.

        Parameters
        ----------
        cells : DataFrame
            With ``image``, ``y_px`` and ``x_px``. Elsewhere here, a row is a position in this table, from 0.
        """
        self._model.set_cells(cell_places(cells))
        self._ask()

    def set_order(self, rows: Iterable[int]) -> None:
        """Show only these rows, in this order; of what was selected, what is still shown stays so."""
        selected = self.selected
        self._model.set_order(rows)
        self.select(selected)
        if self._model.current is not None:
            self.set_current(self._model.current)
        self._ask()

    def set_states(self, rows: Iterable[int], states: Iterable[CellState]) -> None:
        """Say what is known of some cells."""
        self._model.set_states(rows, states)
        self.view.canvas.update()

    def set_channel(self, channel: Channel) -> None:
        """Show the composite, or one channel in grey; nothing is read again for it."""
        self.view.delegate.channel = channel
        self.view.canvas.update()

    def set_current(self, row: int | None) -> None:
        """Mark the cell that is being reviewed, and bring it into sight; the selection stays as it is."""
        self._model.current = row
        position = None if row is None else self._model.position(row)
        if position is not None:
            index = self._model.index(position)
            self.view.picked.setCurrentIndex(index, QItemSelectionModel.SelectionFlag.NoUpdate)
            self.view.scrollTo(index)
        self.view.canvas.update()

    def select(self, rows: Iterable[int]) -> None:
        """Select these rows, as far as they are shown, and no others."""
        positions = np.sort([at for at in map(self._model.position, map(int, rows)) if at is not None])
        selection = QItemSelection()
        for run in np.split(positions, np.flatnonzero(np.diff(positions) > 1) + 1):
            if len(run):
                selection.select(self._model.index(int(run[0])), self._model.index(int(run[-1])))
        self._echo = True
        try:
            self.view.picked.select(selection, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        finally:
            self._echo = False

    def _choose(self, index: QModelIndex) -> None:
        self.cell_chosen.emit(self._model.row(index.row()))

    def _tell_selection(self) -> None:
        if not self._echo:
            self.selection_changed.emit(self.selected)

    def _ask(self) -> None:
        # While the user scrolls on, one question a turn of the event loop is enough.
        self._ask_soon.start(0)

    def _ask_now(self) -> None:
        first, last = self.view.shown_positions()
        page = last - first
        count = self._model.rowCount()
        near = [*range(last, min(last + page, count)), *range(max(first - page, 0), first)]
        self._loader.want(self._model.place(at) for at in [*range(first, last), *near])

    def _show_loaded(self, places: list[CellPlace]) -> None:
        first, last = self.view.shown_positions()
        shown = {self._model.place(at) for at in range(first, last)}
        if not shown.isdisjoint(places):
            self.view.canvas.update()


class _GalleryView(QListView):
    """A list view in rows from left to right; quick, for all of its items are of one size."""

    chosen = Signal(QModelIndex)
    moved = Signal()

    def __init__(self, model: GalleryModel, colours: Mapping[str, str], parent: QWidget) -> None:
        super().__init__(parent)
        self._cells = model
        self.delegate = CellDelegate(model, self, colours)
        # Held by name: Qt's own getters may give None, as far as its types know.
        self.canvas, self.bar, self.picked = QWidget(self), QScrollBar(self), QItemSelectionModel(model, self)
        self.canvas.setBackgroundRole(QPalette.ColorRole.Base)
        self.canvas.setAutoFillBackground(True)
        self.setViewport(self.canvas)
        self.setVerticalScrollBar(self.bar)
        self.setModel(model)
        self.setSelectionModel(self.picked)
        self.setItemDelegate(self.delegate)
        # Qt's icon mode keeps a tree of free positions; a wrapped list needs none and lays out 10,000 at once.
        self.setFlow(QListView.Flow.LeftToRight)
        self.setWrapping(True)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setGridSize(self.delegate.tile_size)
        self._columns = 1
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSelectionMode(QListView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QListView.EditTrigger.NoEditTriggers)
        self.bar.setSingleStep(self.delegate.tile_size.height() // 2)
        self.bar.valueChanged.connect(lambda _: self.moved.emit())
        self.clicked.connect(self._click)

    def shown_positions(self) -> tuple[int, int]:
        """Return the first position in sight and the one after the last."""
        height, columns, top = self.gridSize().height(), self._columns, self.bar.value()
        first = top // height * columns
        last = -(-(top + self.canvas.height()) // height) * columns
        count = self._cells.rowCount()
        return min(first, count), min(last, count)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 - Qt's name
        """Move through the cells; leave every other key to the window, and never search by letters."""
        if event is None:
            return
        if event.key() in _ENTER and self.currentIndex().isValid():
            self.chosen.emit(self.currentIndex())
        elif event.key() in _MOVES:
            super().keyPressEvent(event)
            if not event.modifiers() & _SEVERAL and self.currentIndex().isValid():
                self.chosen.emit(self.currentIndex())
        elif event.matches(QKeySequence.StandardKey.SelectAll):
            self.selectAll()
        else:
            event.ignore()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 - Qt's name
        """Share the width among the columns, and ask for the pictures that come into sight."""
        tile = self.delegate.tile_size
        # Qt wraps a row that fills the width to the last pixel.
        width = self.canvas.width() - 1
        self._columns = max(1, width // tile.width())
        self.setGridSize(QSize(max(tile.width(), width // self._columns), tile.height()))
        super().resizeEvent(event)
        self.moved.emit()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return a size with room for some columns and rows."""
        tile = self.delegate.tile_size
        frame = 2 * self.frameWidth()
        width = _COLUMNS * tile.width() + 1 + self.bar.sizeHint().width() + frame
        return QSize(width, _ROWS * tile.height() + frame)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        """Paint the cells in the event's region, or say that there are none."""
        if event is None:
            return
        painter = QPainter(self.canvas)
        ink = self.palette().color(QPalette.ColorRole.Text)
        painter.setPen(ink)
        if not self._cells.rowCount():
            painter.drawText(self.canvas.rect(), int(Qt.AlignmentFlag.AlignCenter), "No cells to show")
        for position in range(*self.shown_positions()):
            room = self.room_of(position)
            if room.intersects(event.rect()):
                selected = self.picked.isSelected(self._cells.index(position))
                self.delegate.paint_cell(painter, room, position, selected, ink)
        painter.end()

    def room_of(self, position: int) -> QRect:
        """Return where a cell lies in the viewport."""
        grid = self.gridSize()
        row, column = divmod(position, self._columns)
        return QRect(QPoint(column * grid.width(), row * grid.height() - self.bar.value()), self.delegate.tile_size)

    def _click(self, index: QModelIndex) -> None:
        if not QApplication.keyboardModifiers() & _SEVERAL:
            self.chosen.emit(index)
