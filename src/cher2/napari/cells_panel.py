"""All cells of a review side by side: the gallery and the scatter plot, one selection in both."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSignalBlocker, Qt, QTimer, Signal  # type: ignore[attr-defined]  # qtpy renames PyQt's pyqtSignal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPushButton, QSplitter, QVBoxLayout, QWidget

from cher2.napari.cell_scatter import CellScatter, final_colours
from cher2.napari.gallery import Gallery
from cher2.napari.gallery_model import CellState
from cher2.napari.picture_loader import PictureLoader
from cher2.protocol import ROLES
from cher2.report.cell_pictures import CellPlace, Channel, cell_places
from cher2.review.reader_view import ReaderView
from cher2.review.standing import CellStanding, with_standings

CHANNELS: tuple[Channel, ...] = ("composite", *ROLES)

COLOUR = "U9"
"""Room for #rrggbbaa."""

AHEAD = 12
"""Cells of the queue whose pictures are loaded before they are reached."""


COLOUR_AFTER_MS = 1500
"""How long after the last decision the points take their colours."""


class CellsPanel(QWidget):
    """Gallery and scatter plot of a review.

    Parameters
    ----------
    view : ReaderView
    loader : PictureLoader
        Closed by whoever made it.
    parent : QWidget, optional
    """

    cell_chosen = Signal(int)
    filter_by_selection = Signal(object)
    """The selected rows, to which the queue is to be narrowed; None to widen it again."""

    def __init__(self, view: ReaderView, loader: PictureLoader, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view, self._loader = view, loader
        self.gallery, self.scatter = Gallery(loader), CellScatter()
        self.channel = QComboBox()
        self.narrow, self.count = QPushButton("Only the selected"), QLabel()
        self._places: list[CellPlace] = []
        self._colours: NDArray[np.str_] = np.empty(0, dtype=COLOUR)
        self._changed: set[int] = set()
        self._recolour = QTimer(self)
        self._recolour.setSingleShot(True)
        self._recolour.timeout.connect(self._colour_points)
        self._lay_out()
        self.take_cells()
        self.take_order()
        self.scatter.set_lines({"her2_intensity": view.protocol.grade.cutoffs})
        self.gallery.cell_chosen.connect(self.cell_chosen)
        self.scatter.cell_chosen.connect(self.cell_chosen)
        self.gallery.selection_changed.connect(self._take_selection)
        self.scatter.selection_changed.connect(self._take_selection)
        self.channel.activated.connect(lambda index: self.gallery.set_channel(CHANNELS[index]))
        self.narrow.toggled.connect(self._narrow)

    def take_cells(self) -> None:
        """Take over the table of cells, which may have grown."""
        cells = self._view.cells
        self.gallery.set_cells(cells)
        self.scatter.set_cells(cells, self._view.protocol.grade.unit)
        self._places = cell_places(cells)
        self._colours = final_colours(cells).astype(COLOUR)
        self._changed.clear()
        self.take_standings(range(len(cells)))

    def take_order(self) -> None:
        """Take over the queue, and what the filter lets through."""
        order = self._view.order
        self.gallery.set_order(order)
        self.scatter.set_rows(order)
        self.scatter.set_blind(self._view.blind)
        self.count.setText(f"{len(order)} cells")

    def take_standings(self, rows: Iterable[int]) -> None:
        """Take over how some cells stand."""
        changed = list(rows)
        self.gallery.set_states(changed, [state_of(self._view.standing(row)) for row in changed])
        self._changed.update(changed)
        # All points are coloured in one go, in a pause: drawing them takes longer than the next cell may.
        self._recolour.start(COLOUR_AFTER_MS)

    def take_current(self, row: int | None) -> None:
        """Mark the current cell, and load the pictures of those that follow."""
        self.gallery.set_current(row)
        if row is None:
            return
        self.scatter.set_current(row)
        self._loader.expect(self._places[after] for after in self._view.following(AHEAD))

    def narrow_to(self, rows: frozenset[int]) -> None:
        """Narrow the queue to some cells, as if they had been selected."""
        with QSignalBlocker(self.narrow):
            self.narrow.setChecked(True)
        self.narrow.setText(f"Only the {len(rows)} selected")
        self.narrow.setEnabled(True)
        self.filter_by_selection.emit(rows)

    def next_channel(self) -> Channel:
        """Show the next channel in the gallery, after the last the composite again; returns which."""
        index = (self.channel.currentIndex() + 1) % len(CHANNELS)
        self.channel.setCurrentIndex(index)
        self.gallery.set_channel(CHANNELS[index])
        return CHANNELS[index]

    def place(self, row: int) -> CellPlace:
        """Return where a cell is."""
        return self._places[row]

    def _take_selection(self, rows: NDArray[np.intp]) -> None:
        self.gallery.select(rows)
        self.scatter.select(rows)
        self.narrow.setText(f"Only the {len(rows)} selected" if len(rows) else "Only the selected")
        self.narrow.setEnabled(len(rows) > 0 or self.narrow.isChecked())

    def _narrow(self, only: bool) -> None:
        self.filter_by_selection.emit(frozenset(self.gallery.selected.tolist()) if only else None)

    def _colour_points(self) -> None:
        """Give the points whose cells changed their colours; all are drawn anew."""
        rows = sorted(self._changed)
        self._changed.clear()
        changed = with_standings(self._view.cells.iloc[rows], [self._view.standing(row) for row in rows])
        self._colours[rows] = final_colours(changed)
        self.scatter.set_colours(self._colours)

    def _lay_out(self) -> None:
        self.channel.addItems(["Composite", *(str(role).upper() for role in ROLES)])
        self.channel.setToolTip("What the gallery shows (C)")
        self.narrow.setCheckable(True)
        self.narrow.setEnabled(False)
        self.narrow.setToolTip("Review only the cells that are selected in the gallery or in the plot")
        head = QHBoxLayout()
        for widget in (self.channel, self.narrow):
            widget.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            head.addWidget(widget)
        head.addWidget(self.count)
        head.addStretch(1)
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(head)
        column.addWidget(self.gallery, 1)
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.addWidget(left)
        splitter.addWidget(self.scatter)
        splitter.setStretchFactor(0, 2)
        splitter.setStretchFactor(1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(splitter)


def state_of(standing: CellStanding) -> CellState:
    """Return what the gallery shows of how a cell stands."""
    return CellState(standing.kind, standing.grade, standing.reviewed, standing.unsaved, standing.hidden)
