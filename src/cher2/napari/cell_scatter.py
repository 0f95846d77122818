"""A scatter plot of all cells, linked with what else shows them: what is lassoed here is selected there, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from qtpy.QtCore import QEvent, QSignalBlocker, Qt, QTimer, Signal  # type: ignore[attr-defined]  # qtpy renames PyQt's pyqtSignal
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from cher2.cells.objects import GRADE_NAMES, GRADES
from cher2.napari.cell_facts import UNIT_TITLES
from cher2.napari.palettes import FAINT, UNGRADED_COLOUR
from cher2.napari.scatter_canvas import ScatterAxis, ScatterCanvas
from cher2.palette import GRADE_COLOURS, KIND_COLOURS

NO_CTC_COLOUR = KIND_COLOURS["other"] + FAINT
BLIND_COLOUR = KIND_COLOURS["other"]

COLOURS_MS = 150
"""How long new colours wait for further ones."""

HER2 = "HER2"


class Measure(NamedTuple):
    """What an axis can show."""

    title: str
    column: str
    unit: str
    is_stain: bool = True


MEASURES = {
    "CK": Measure("CK", "ck_mean", "counts"),
    "CD45": Measure("CD45", "cd45_mean", "counts"),
    "DAPI": Measure("DAPI", "dapi_mean", "counts"),
    HER2: Measure(HER2, "her2_intensity", "the protocol's"),
    "Size": Measure("Size", "diameter_um", "µm", is_stain=False),
}
"""What the boxes offer, by title."""

_SPOT = '<span style="color:{}">&#9679;</span>&nbsp;{} '
_LEGEND = "&nbsp; ".join(
    _SPOT.format(colour, name)
    for colour, name in [*zip(GRADE_COLOURS, GRADE_NAMES, strict=True), (KIND_COLOURS["other"], "no CTC")]
)
_BLIND_LEGEND = "Grades and HER2 hidden: blind reading"

_LOG_TIP = (
    "Stains on an asinh scale: linear near 0, up to about a hundredth of the brightest cells or the noise of dark "
    "ones, logarithmic above. A logarithm has no place for cells that are not brighter than their background. The "
    "size stays linear."
)
_LINES_TIP = (
    "Dashed: gates and cut-offs. The gates of CK and CD45 look at the median and the 35 % quantile over the cell, "
    "not at the mean drawn here: a few cells lie on the other side."
)


def final_colours(cells: pd.DataFrame) -> NDArray[np.str_]:
    """Return the colour of each cell's final grade.

    Parameters
    ----------
    cells : DataFrame
        Rows of ``cells.csv``; where ``kind_final`` and ``grade`` are missing, ``kind`` and ``grade_auto``.

    Returns
    -------
    ndarray of str, shape (N,)
        As #rrggbb, or #rrggbbaa (faint) of what is no CTC; white where a CTC has no grade.
    """
    kind = cells["kind_final"] if "kind_final" in cells else cells["kind"]
    grade = cells["grade"] if "grade" in cells else cells["grade_auto"]
    number = grade.astype("Int64").fillna(len(GRADES)).to_numpy(dtype=np.intp)
    colours = np.array([*GRADE_COLOURS, UNGRADED_COLOUR])[number]
    return np.where(kind.to_numpy() == "ctc", colours, NO_CTC_COLOUR)


class CellScatter(QWidget):
    """Two chosen measures of every cell against each other.

    Click a point to go to its cell, draw around points to select them, turn the wheel to zoom, double-click to see
    all. Rows are positions in the table given to :meth:`set_cells`. What is set from outside is not sent back.

    Parameters
    ----------
    parent : QWidget, optional
    """

    selection_changed = Signal(object)
    """Rows that the lasso took: sorted ndarray of int; empty where it took none."""

    cell_chosen = Signal(int)
    """Row of the point that was clicked."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._cells = pd.DataFrame()
        self._rows = self._selected = np.empty(0, dtype=np.intp)
        self._colours = np.empty(0, dtype=object)
        self._lines: dict[str, tuple[float, ...]] = {}
        self._unit, self._blind = "counts", False
        self.canvas = ScatterCanvas()
        self.x_box, self.y_box = QComboBox(), QComboBox()
        self.log_box = QCheckBox("asinh scale")
        self.legend, self.status, self.clear_button = QLabel(), QLabel(), QToolButton()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(COLOURS_MS)
        self._soon.timeout.connect(self._plot)
        self._lay_out()
        self._offer_measures()
        for box in (self.x_box, self.y_box):
            box.currentIndexChanged.connect(self._plot)
        self.log_box.toggled.connect(self._plot)
        self.clear_button.clicked.connect(lambda: self._take(np.empty(0, dtype=np.intp)))
        self.canvas.lassoed.connect(self._take)
        self.canvas.clicked.connect(self.cell_chosen)
        self._follow_theme()

    def set_cells(self, cells: pd.DataFrame, unit: str = "counts") -> None:
        """Show a table: all its rows, in the colours of their final grades, nothing selected.

        Parameters
        ----------
        cells : DataFrame
            Rows of ``cells.csv`` or of a table of objects.
        unit : {"counts", "leukocyte_ratio", "leukocyte_sd"}
            Of ``her2_intensity``.
        """
        self._cells, self._unit = cells, unit
        self._rows = np.arange(len(cells))
        self._selected = np.empty(0, dtype=np.intp)
        self._colours = final_colours(cells).astype(object)
        self.canvas.set_current(-1)
        self._plot()

    def set_rows(self, rows: ArrayLike) -> None:
        """Show only these rows; the axes stay as they are for all."""
        self._rows = np.asarray(rows, dtype=np.intp)
        self._plot()

    def set_colours(self, colours: Sequence[str] | NDArray[np.str_]) -> None:
        """Colour the points: one #rrggbb or #rrggbbaa for each row of the whole table.

        They are drawn a moment later, and once for several calls in a row: a reader who grades must not wait.

        Raises
        ------
        ValueError
            There are more or fewer colours than rows.
        """
        if len(colours) != len(self._cells):
            raise ValueError(f"{len(colours)} colours for {len(self._cells)} cells")
        self._colours = np.asarray(colours, dtype=object)
        self._soon.start()

    def set_lines(self, lines: Mapping[str, Sequence[float]]) -> None:
        """Draw gates and cut-offs: the values of each column, such as ``{"her2_intensity": (30, 110, 340)}``."""
        self._lines = {column: tuple(values) for column, values in lines.items()}
        self._plot()

    def set_blind(self, blind: bool) -> None:
        """Hide what a blinded reader must not know: HER2, its cut-offs, and the colours of the grades."""
        self._blind = blind
        self._offer_measures()
        self._plot()

    def set_current(self, row: int) -> None:
        """Move the ring to a cell; -1 for none."""
        self.canvas.set_current(row)

    def select(self, rows: ArrayLike) -> None:
        """Mark cells that were selected elsewhere; no signal is sent."""
        self._selected = np.unique(np.asarray(rows, dtype=np.intp))
        self.canvas.set_selected(self._selected)
        self._say()

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802  (Qt's name)
        """Take on the window's colours when its theme changes."""
        super().changeEvent(event)
        if event is not None and event.type() in (QEvent.Type.StyleChange, QEvent.Type.PaletteChange):
            self._follow_theme()

    def _lay_out(self) -> None:
        self.clear_button.setText("Clear selection")
        self.log_box.setChecked(True)
        self.canvas.setToolTip(_LINES_TIP)
        chooser = QHBoxLayout()
        for name, box in (("x", self.x_box), ("y", self.y_box)):
            chooser.addWidget(QLabel(name))
            chooser.addWidget(box, 1)
        chooser.addWidget(self.log_box)
        below = QHBoxLayout()
        below.addWidget(self.status, 1)
        below.addWidget(self.clear_button)
        # The reader's keys must reach the dock: a box with the focus would take digits for a search.
        for widget in (self.x_box, self.y_box, self.log_box, self.clear_button):
            widget.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.status.setWordWrap(True)
        self.canvas.setMinimumSize(240, 200)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addLayout(chooser)
        column.addWidget(self.canvas, 1)
        column.addWidget(self.legend)
        column.addLayout(below)

    def _offer_measures(self) -> None:
        """Fill the boxes; a choice that is still offered stays."""
        offered = [title for title in MEASURES if not (self._blind and title == HER2)]
        chosen = [self.x_box.currentText() or "CK", self.y_box.currentText() or HER2]
        for k, box in enumerate((self.x_box, self.y_box)):
            if chosen[k] not in offered:
                chosen[k] = next(title for title in offered if title not in chosen)
            with QSignalBlocker(box):
                box.clear()
                box.addItems(offered)
                box.setCurrentText(chosen[k])

    def _plot(self) -> None:
        self._soon.stop()
        if not self._cells.empty:
            measures = (MEASURES[self.x_box.currentText()], MEASURES[self.y_box.currentText()])
            xy = np.column_stack([self._cells[measure.column].to_numpy(dtype=float) for measure in measures])
            colours = np.full(len(xy), BLIND_COLOUR, dtype=object) if self._blind else self._colours
            axes = (self._axis(measures[0], xy[:, 0]), self._axis(measures[1], xy[:, 1]))
            self.canvas.plot(xy, self._rows, colours, axes)
            widths = [
                f"{measure.title} is linear within ±{axis.linear_width:g}."
                for measure, axis in zip(measures, axes, strict=True)
                if axis.linear_width is not None
            ]
            self.log_box.setToolTip(" ".join([_LOG_TIP, *widths]))
        else:
            self.canvas.plot(
                np.empty((0, 2)), self._rows, self._colours, (ScatterAxis("", 0, 1), ScatterAxis("", 0, 1))
            )
        self.canvas.set_selected(self._selected)
        self._say()

    def _axis(self, measure: Measure, values: NDArray[np.float64]) -> ScatterAxis:
        """Return an axis on which every cell has room, whichever are shown."""
        unit = UNIT_TITLES[self._unit] if measure.title == HER2 else measure.unit
        lines = self._lines.get(measure.column, ())
        finite = values[np.isfinite(values)]
        if not len(finite):
            return ScatterAxis(f"{measure.title} (no cell has a value)", 0, 1, None, lines)
        if not (self.log_box.isChecked() and measure.is_stain):
            low, high = _with_margin(finite.min(), finite.max())
            return ScatterAxis(f"{measure.title} ({unit})", low, high, None, lines)
        width = _linear_width(finite)
        low, high = np.sinh(_with_margin(*np.arcsinh(np.array([finite.min(), finite.max()]) / width))) * width
        label = f"{measure.title} ({unit}, asinh)"
        return ScatterAxis(label, float(low), float(high), width, lines)

    def _take(self, rows: NDArray[np.intp]) -> None:
        self.select(rows)
        self.selection_changed.emit(self._selected)

    def _say(self) -> None:
        drawn, total = self.canvas.drawn, len(self._rows)
        words = [f"{drawn:,} of {len(self._cells):,} cells drawn"]
        if drawn < total:
            words.append(f"{total - drawn:,} without a value")
        if len(self._selected):
            words.append(f"{len(self._selected):,} selected")
        self.status.setText(" · ".join(words))
        self.clear_button.setEnabled(len(self._selected) > 0)
        self.legend.setText(_BLIND_LEGEND if self._blind else _LEGEND)

    def _follow_theme(self) -> None:
        # Always room for two lines: the plot must not change its size because a word comes or goes.
        self.status.setMinimumHeight(2 * self.status.fontMetrics().lineSpacing() + 4)
        palette = self.palette()
        self.canvas.set_theme(palette.color(QPalette.ColorRole.Window), palette.color(QPalette.ColorRole.WindowText))
        self._plot()


def _with_margin(low: float, high: float) -> tuple[float, float]:
    room = 0.04 * (high - low) or 0.5
    return float(low - room), float(high + room)


def _linear_width(values: NDArray[np.float64]) -> float:
    """Return a power of ten: about a hundredth of the brightest cells, and no less than the noise of dark ones.

    Within the noise a steeper scale would tear one population in two, at either side of 0.
    """
    dark, bright = np.percentile(values, [5, 99])
    width = max(float(bright) / 100, -2 * float(dark))
    return 10.0 ** round(math.log10(width)) if width > 0 else 1.0
