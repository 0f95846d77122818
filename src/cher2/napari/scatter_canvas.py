"""The canvas under the scatter plot: points by matplotlib; selection and current cell painted over them by Qt.

Drawing 10,000 points takes matplotlib some 20 ms. What changes with every key press, the ring around the current
cell and the selected cells, is therefore no part of the figure: Qt paints it over the finished picture.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axis import Axis
from matplotlib.backend_bases import MouseButton, MouseEvent
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, Locator, MaxNLocator, NullLocator
from matplotlib.widgets import LassoSelector
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, Qt, Signal  # type: ignore[attr-defined]  # qtpy renames PyQt's pyqtSignal
from qtpy.QtGui import QColor, QImage, QKeyEvent, QPainter, QPaintEvent, QPen, QResizeEvent

CLICK_PX = 6
"""A click takes the nearest point up to so many pixels away; a shorter lasso is a click."""

ZOOM_STEP = 1.25
MOST_ZOOM = 500.0

_MARGINS_PX = (64, 12, 40, 8)  # left, right, bottom, top: room for the ticks' numbers and the axis' title
_TITLE_PX = 14  # of the vertical axis, from the left
_POINT_PT, _CORE_PX, _RING_PX = 2.8, 2, 8.0
_FEWEST_TICKS = 3
_NOWHERE = -1


@dataclass(frozen=True)
class ScatterAxis:
    """How one axis is drawn.

    Parameters
    ----------
    label : str
    low, high : float
        What the whole axis shows.
    linear_width : float, optional
        asinh(value / linear_width) is drawn: linear below it, logarithmic far above; None for a linear axis.
    lines : sequence of float
        Gates or cut-offs.
    """

    label: str
    low: float
    high: float
    linear_width: float | None = None
    lines: Sequence[float] = ()


AxisPair = tuple[ScatterAxis, ScatterAxis]


class ScatterCanvas(FigureCanvasQTAgg):
    """Points that can be clicked, lassoed and zoomed with the wheel; a double click shows all again.

    Points are told by their row: their position in the whole table, of which the canvas may show a part.
    """

    lassoed = Signal(object)
    """Rows inside the lasso: ndarray of int, possibly empty."""

    clicked = Signal(int)
    """Row of the point that was clicked."""

    def __init__(self) -> None:
        super().__init__(Figure())  # type: ignore[no-untyped-call]
        self.axes = self.figure.add_subplot()
        self.axes.set_autoscale_on(False)
        self._home: AxisPair = (ScatterAxis("", 0, 1), ScatterAxis("", 0, 1))
        self._drawn: list[Line2D] = []
        self._xy = np.empty((0, 2))
        self._screen = np.empty((0, 2))
        self._shown = np.empty(0, dtype=np.intp)
        self._selected = np.empty(0, dtype=np.intp)
        self._current = _NOWHERE
        self._double_click = False
        self._ink, self._ground = QColor("white"), QColor("black")
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._lasso = LassoSelector(self.axes, self._finish_stroke, button=MouseButton.LEFT, props={"linewidth": 1.2})
        self.mpl_connect("button_press_event", self._press)
        self.mpl_connect("scroll_event", self._zoom)
        self.mpl_connect("draw_event", self._place_points)

    def plot(self, xy: NDArray[Any], rows: NDArray[np.intp], colours: NDArray[Any], axes: AxisPair) -> None:
        """Draw points anew; the zoom stays where the axes do.

        Parameters
        ----------
        xy : ndarray, shape (N, 2)
            Every row of the table; not finite where the point has no place.
        rows : ndarray of int
            The rows to be drawn.
        colours : ndarray of str, shape (N,)
            As #rrggbb or #rrggbbaa.
        axes : pair of ScatterAxis
            x and y.
        """
        self._xy = xy
        self._shown = rows[np.isfinite(xy[rows]).all(axis=1)]
        for artist in self._drawn:
            artist.remove()
        for k, (new, old) in enumerate(zip(axes, self._home, strict=True)):
            if _without_lines(new) != _without_lines(old):
                self._set_axis(k, new)
        self._home = axes
        self._drawn = [*self._draw_lines(), *self._draw_points(colours)]
        self._place_points(None)
        self._draw_soon()

    def set_theme(self, ground: QColor, ink: QColor) -> None:
        """Take on the colours of the window."""
        self._ink, self._ground = ink, ground
        self.figure.set_facecolor(ground.name())
        self.axes.set_facecolor(ground.name())
        self.axes.tick_params(colors=ink.name(), labelsize=8, length=3)
        for spine in self.axes.spines.values():
            spine.set_color(ink.name())
            spine.set_alpha(0.4)
        for axis in (self.axes.xaxis, self.axes.yaxis):
            axis.label.set(color=ink.name(), size=9)
        self._lasso.set_props(color=ink.name())
        self._draw_soon()

    def set_current(self, row: int) -> None:
        """Move the ring to a row; -1 for none."""
        self._current = row
        self.update()

    def set_selected(self, rows: NDArray[np.intp]) -> None:
        """Mark rows; those that are not drawn are marked when they are."""
        self._selected = rows
        self.update()

    @property
    def drawn(self) -> int:
        """How many points are drawn."""
        return len(self._shown)

    def reset_view(self) -> None:
        """Show all of both axes."""
        self.axes.set_xlim(self._home[0].low, self._home[0].high)
        self.axes.set_ylim(self._home[1].low, self._home[1].high)
        self._draw_soon()

    def position(self, row: int) -> QPointF:
        """Return where a row is drawn, in the widget's pixels; not finite where it has no place."""
        return self._to_widget(self._screen[row])

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802  (Qt's name)
        """Paint the figure, and over it what is selected and what is current."""
        super().paintEvent(event)  # type: ignore[no-untyped-call]
        if not len(self._screen):
            return
        painter = QPainter(self)
        left, bottom, width, height = self.axes.bbox.bounds
        ratio = self.device_pixel_ratio
        top = self.height() - (bottom + height) / ratio
        painter.setClipRect(QRectF(left / ratio, top, width / ratio, height / ratio))
        self._paint_selected(painter)
        self._paint_current(painter)
        painter.end()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802  (Qt's name)
        """Leave every key to the dock: matplotlib's canvas would swallow them."""
        event.ignore()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802  (Qt's name)
        """Keep the margins as wide as their text, whatever the size."""
        left, right, bottom, top = _MARGINS_PX
        width, height = max(event.size().width(), left + right + 20), max(event.size().height(), bottom + top + 20)
        self.figure.subplots_adjust(left / width, bottom / height, 1 - right / width, 1 - top / height)
        # A fixed place: matplotlib would push the title off the canvas by the width of the ticks' numbers.
        self.axes.yaxis.set_label_coords((_TITLE_PX - left) / (width - left - right), 0.5)
        super().resizeEvent(event)  # type: ignore[no-untyped-call]

    def _draw_soon(self) -> None:
        self.draw_idle()  # type: ignore[no-untyped-call]

    def _set_axis(self, number: int, new: ScatterAxis) -> None:
        axis = (self.axes.xaxis, self.axes.yaxis)[number]
        set_scale = (self.axes.set_xscale, self.axes.set_yscale)[number]
        set_limits = (self.axes.set_xlim, self.axes.set_ylim)[number]
        if new.linear_width is None:
            set_scale("linear")
        else:
            set_scale("asinh", linear_width=new.linear_width)
            axis.set_major_locator(AsinhTicks(new.linear_width))
            axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))
        axis.set_label_text(new.label)
        set_limits(new.low, new.high)

    def _draw_lines(self) -> list[Line2D]:
        style: dict[str, Any] = {"color": self._ink.name(), "alpha": 0.6, "linewidth": 0.8, "zorder": 1}
        x, y = self._home
        across = [self.axes.axvline(value, linestyle=(0, (4, 3)), **style) for value in x.lines]
        return across + [self.axes.axhline(value, linestyle=(0, (4, 3)), **style) for value in y.lines]

    def _draw_points(self, colours: NDArray[Any]) -> list[Line2D]:
        """Draw a line of markers a colour: much faster than a collection; the rarest colour comes on top."""
        codes, names = pd.factorize(colours[self._shown])
        rarest_last = np.argsort(-np.bincount(codes, minlength=len(names)), kind="stable")
        drawn = []
        for k in rarest_last.tolist():
            x, y = self._xy[self._shown[codes == k]].T
            drawn += self.axes.plot(
                x, y, linestyle="", marker="o", markersize=_POINT_PT, markeredgewidth=0, color=str(names[k]), zorder=2
            )
        return drawn

    def _place_points(self, _event: Any) -> None:
        self._screen = self.axes.transData.transform(self._xy) if len(self._xy) else np.empty((0, 2))

    def _to_widget(self, at: NDArray[Any]) -> QPointF:
        ratio = self.device_pixel_ratio
        return QPointF(float(at[0]) / ratio, self.height() - float(at[1]) / ratio)

    def _paint_selected(self, painter: QPainter) -> None:
        """Paint a core into each selected point, whose rim still shows the grade.

        As one picture: with thousands of Qt's points Python stops for 100 ms, now and then, to collect garbage.
        """
        marked = np.intersect1d(self._selected, self._shown)
        if not len(marked):
            return
        ratio = self.device_pixel_ratio
        width, height = round(self.width() * ratio), round(self.height() * ratio)
        x, y = self._screen[marked].T
        cores = np.zeros((height, width), dtype=np.uint32)
        size = max(1, round(_CORE_PX * ratio))
        for down, right in itertools.product(range(size), repeat=2):
            row, column = np.floor(height - y - size / 2 + down + 0.5), np.floor(x - size / 2 + right + 0.5)
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            cores[row[inside].astype(int), column[inside].astype(int)] = self._ink.rgba()
        picture = QImage(cores.tobytes(), width, height, 4 * width, QImage.Format.Format_ARGB32_Premultiplied)
        picture.setDevicePixelRatio(ratio)
        painter.drawImage(QPointF(0, 0), picture)

    def _paint_current(self, painter: QPainter) -> None:
        if not 0 <= self._current < len(self._screen) or not np.isfinite(self._screen[self._current]).all():
            return
        at = self.position(self._current)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for colour, width in ((self._ground, 5), (self._ink, 2)):
            painter.setPen(QPen(colour, width))
            painter.drawEllipse(at, _RING_PX, _RING_PX)
            for way in (QPointF(1, 0), QPointF(-1, 0), QPointF(0, 1), QPointF(0, -1)):
                painter.drawLine(at + way * _RING_PX, at + way * (_RING_PX + 6))

    def _press(self, event: MouseEvent) -> None:
        self._double_click = event.dblclick
        if event.dblclick and event.button == MouseButton.LEFT:
            self.reset_view()

    def _finish_stroke(self, vertices: Sequence[tuple[float, float]]) -> None:
        """Tell a click from a lasso; both in pixels, for a straight stroke is not straight in the data."""
        stroke = self.axes.transData.transform(np.asarray(vertices, dtype=float))
        # The selector hides its line only after this, and leaves it in the picture.
        self._draw_soon()
        if self._double_click:
            return
        at = self._screen[self._shown]
        if np.ptp(stroke, axis=0).max() <= CLICK_PX * self.device_pixel_ratio:
            distance = np.hypot(*(at - stroke[0]).T)
            if len(distance) and distance.min() <= CLICK_PX * self.device_pixel_ratio:
                self.clicked.emit(int(self._shown[distance.argmin()]))
            return
        self.lassoed.emit(self._shown[Path(stroke).contains_points(at)])

    def _zoom(self, event: MouseEvent) -> None:
        if event.inaxes is not self.axes or event.xdata is None or event.ydata is None:
            return
        factor = ZOOM_STEP**-event.step
        x, y = self._home
        self.axes.set_xlim(_zoomed(self.axes.xaxis, x, event.xdata, factor))
        self.axes.set_ylim(_zoomed(self.axes.yaxis, y, event.ydata, factor))
        self._draw_soon()


class AsinhTicks(Locator):
    """Ticks at 0 and at powers of ten from the linear width on; where few are in view, at rounder steps between."""

    def __init__(self, linear_width: float) -> None:
        self.linear_width = linear_width

    def __call__(self) -> Sequence[float]:
        """Return the ticks in view."""
        assert self.axis is not None
        return self.tick_values(*self.axis.get_view_interval())

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        """Return the ticks between two values."""
        first = math.ceil(math.log10(self.linear_width) - 1e-9)
        last = math.ceil(math.log10(max(abs(vmin), abs(vmax), 10 * self.linear_width)))
        powers = 10.0 ** np.arange(first, last + 1)
        for steps in ((1,), (1, 3), (1, 2, 5)):
            positive = np.outer(powers, steps).ravel()
            ticks = np.unique(np.concatenate([-positive, [0.0], positive]))
            seen = ticks[(ticks >= vmin) & (ticks <= vmax)]
            if len(seen) >= _FEWEST_TICKS:
                return [float(tick) for tick in seen]
        return MaxNLocator(4).tick_values(vmin, vmax)


def _without_lines(axis: ScatterAxis) -> ScatterAxis:
    return replace(axis, lines=())


def _zoomed(axis: Axis, home: ScatterAxis, centre: float, factor: float) -> tuple[float, float]:
    """Return the limits after a zoom about a value, as the axis draws it; never beyond its home."""
    transform = axis.get_transform()
    low, high, at, first, last = transform.transform(np.array([*axis.get_view_interval(), centre, home.low, home.high]))
    factor = max(factor, (last - first) / MOST_ZOOM / (high - low))
    ends = np.clip([at + (low - at) * factor, at + (high - at) * factor], first, last)
    zoomed = transform.inverted().transform(ends)
    return float(zoomed[0]), float(zoomed[1])
