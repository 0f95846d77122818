"""The report's figures in the window: as wide as there is room, in the colours of the window's theme."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.colors import is_color_like, to_hex
from matplotlib.figure import Figure
from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtGui import QColor, QKeyEvent, QPalette, QResizeEvent, QShowEvent, QWheelEvent
from qtpy.QtWidgets import QFrame, QLabel, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from cher2.napari.cohort_reading import CohortDrawing
from cher2.report.svg import INK

LEAST_DPI, MOST_DPI = 76, 125
"""A figure of the report is 7.2 inches wide, with text of 8 points: 8 to 14 pixels high."""

_INKS = ("color", "edgecolor", "facecolor", "markeredgecolor", "markerfacecolor")


class FigureView(FigureCanvasQTAgg):
    """A figure that grows and shrinks as a whole, so that its text never overlaps.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Drawn in :data:`~cher2.report.svg.INK`.
    """

    def __init__(self, figure: Figure) -> None:
        self._inches = figure.get_figwidth(), figure.get_figheight()
        super().__init__(figure)  # type: ignore[no-untyped-call]
        # Found once: later another thing may have the colour that the theme's ink has.
        self._in_ink = _setters_of(figure, INK)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        width = self._inches[0]
        self.setMinimumSize(round(width * LEAST_DPI), self.heightForWidth(round(width * LEAST_DPI)))
        self.setMaximumWidth(round(width * MOST_DPI))

    def heightForWidth(self, width: int) -> int:  # noqa: N802  (Qt's name)
        """Return the height that keeps the figure's shape."""
        return round(width * self._inches[1] / self._inches[0])

    def sizeHint(self) -> QSize:  # noqa: N802  (Qt's name)
        """Return the size at 100 dots per inch."""
        return QSize(round(100 * self._inches[0]), round(100 * self._inches[1]))

    def set_theme(self, ground: QColor, ink: QColor) -> None:
        """Draw in the colours of the window: all that was drawn in the report's ink, and what is behind it."""
        for put in self._in_ink:
            put(ink.name())
        self.figure.set_facecolor(ground.name())
        self.draw_idle()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802  (Qt's name)
        """Keep the inches and change the dots in each."""
        self.figure.dpi = max(event.size().width(), 1) * self.device_pixel_ratio / self._inches[0]
        super().resizeEvent(event)  # type: ignore[no-untyped-call]

    def draw_idle(self, *args: object, **kwargs: object) -> None:
        """Draw soon, where it is seen: figures on pages that nobody looks at would hold the window up."""
        if self.isVisible():
            super().draw_idle(*args, **kwargs)  # type: ignore[no-untyped-call]

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802  (Qt's name)
        """Draw what was put off."""
        super().showEvent(event)  # type: ignore[no-untyped-call]
        self.draw_idle()

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802  (Qt's name)
        """Leave the wheel to what scrolls the figure: matplotlib's canvas would swallow it."""
        event.ignore()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802  (Qt's name)
        """Leave every key to the dock."""
        event.ignore()


class FigurePage(QScrollArea):
    """Figures one below the other, each with what is to be said of it.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        # Qt tells of the style already while the area is made.
        self.views: list[FigureView] = []
        self.labels: list[QLabel] = []
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.show_drawings(())

    def show_drawings(self, drawings: Sequence[CohortDrawing], otherwise: str = "") -> None:
        """Show figures in place of those that are there; words where there is nothing else to show."""
        self.views = [FigureView(drawing.figure) for drawing in drawings if drawing.figure is not None]
        self.labels = []
        content = QWidget()
        column = QVBoxLayout(content)
        views = iter(self.views)
        for drawing in drawings:
            if drawing.figure is not None:
                column.addWidget(next(views))
            for note in drawing.notes:
                column.addWidget(self._label(f"{note}."))
        if not column.count() and otherwise:
            column.addWidget(self._label(otherwise))
        column.addStretch(1)
        # The content that was there is destroyed with its canvases.
        self.setWidget(content)
        self._follow_theme()

    def words(self) -> str:
        """Return what is said beside the figures."""
        return "\n".join(label.text() for label in self.labels)

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802  (Qt's name)
        """Take on the window's colours when its theme changes."""
        super().changeEvent(event)
        if event is not None and event.type() in (QEvent.Type.StyleChange, QEvent.Type.PaletteChange):
            self._follow_theme()

    def _label(self, text: str) -> QLabel:
        label = QLabel(text)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setWordWrap(True)
        self.labels.append(label)
        return label

    def _follow_theme(self) -> None:
        palette = self.palette()
        for view in self.views:
            view.set_theme(palette.color(QPalette.ColorRole.Window), palette.color(QPalette.ColorRole.WindowText))


def _setters_of(figure: Figure, colour: str) -> list[Callable[[str], object]]:
    """Return what changes the colour of everything in a figure that has a colour now."""
    return [
        getattr(artist, f"set_{name}")
        for artist in figure.findobj()
        for name in _INKS
        if hasattr(artist, f"get_{name}") and _is_colour(getattr(artist, f"get_{name}")(), colour)
    ]


def _is_colour(value: Any, colour: str) -> bool:
    """Say whether what an artist calls its colour is this one; what has several colours has not."""
    return is_color_like(value) and to_hex(value) == colour
