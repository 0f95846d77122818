"""Two small drawings beside a cell: its HER2 intensity among the cut-offs, and the probabilities of its grades."""

from __future__ import annotations

import itertools
import math

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from cher2.cells.objects import GRADE_NAMES, GRADES
from cher2.napari.cell_facts import CellFacts, intensity_words
from cher2.palette import GRADE_COLOURS

_TEXT_PX = 12
_LINE_PX = 17
_BAR_PX = 14
_EDGE_PX = 10  # room for an arrow
_GAP_PX = 8
_INDENT_PX = 5  # as Qt indents a label


def axis_fraction(intensity: float, cutoffs: tuple[float, float, float]) -> float:
    """Return where an intensity lies on the square-root axis from 0 to twice the highest cut-off.

    Returns
    -------
    float
        0 to 1; below and above for what is beyond the axis.
    """
    end = 2 * cutoffs[-1] if cutoffs[-1] > 0 else 1.0
    return math.copysign(math.sqrt(abs(intensity) / end), intensity)


class _Drawing(QWidget):
    """A small drawing of a cell's facts, of fixed height."""

    def __init__(self, height: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.facts: CellFacts | None = None
        self._height = height
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_facts(self, facts: CellFacts) -> None:
        """Show a cell."""
        self.facts = facts
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802  (Qt's name)
        """Return the size: as wide as the narrowest dock."""
        return QSize(320, self._height)

    def minimumSizeHint(self) -> QSize:  # noqa: N802  (Qt's name)
        """Return the size below which numbers meet."""
        return QSize(220, self._height)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802  (Qt's name)
        """Paint the cell that is shown."""
        if self.facts is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = painter.font()
        font.setPixelSize(_TEXT_PX)
        painter.setFont(font)
        self._paint(painter, self.facts, self.palette().color(QPalette.ColorRole.WindowText))
        painter.end()

    def _paint(self, painter: QPainter, facts: CellFacts, ink: QColor) -> None:
        raise NotImplementedError


class IntensityBar(_Drawing):
    """The cut-offs as marks on a bar in the colours of the grades, and on it the cell with its standard error.

    The axis is :func:`axis_fraction`'s; a cell beyond it is an arrow at its end.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(2 * _LINE_PX + _BAR_PX + 8, parent)
        self.setToolTip("Square-root axis from 0 to twice the cut-off of 3+; the whisker is one standard error")

    def _paint(self, painter: QPainter, facts: CellFacts, ink: QColor) -> None:
        painter.setPen(ink)
        painter.drawText(
            QRectF(_INDENT_PX, 0, self.width(), _LINE_PX), Qt.AlignmentFlag.AlignVCenter, intensity_words(facts)
        )
        bar = QRectF(_EDGE_PX, _LINE_PX + 4, self.width() - 2 * _EDGE_PX, _BAR_PX)
        marks = [_clipped(axis_fraction(cut, facts.cutoffs)) for cut in facts.cutoffs]
        for grade, (start, end) in enumerate(itertools.pairwise([0.0, *marks, 1.0])):
            band = QRectF(bar.left() + start * bar.width(), bar.top(), (end - start) * bar.width(), bar.height())
            painter.setOpacity(0.6)
            painter.fillRect(band, QColor(GRADE_COLOURS[grade]))
        painter.setOpacity(1)
        self._paint_cutoffs(painter, bar, marks, facts, ink)
        if math.isfinite(facts.her2_intensity):
            self._paint_cell(painter, bar, facts)

    def _paint_cutoffs(self, painter: QPainter, bar: QRectF, marks: list[float], facts: CellFacts, ink: QColor) -> None:
        painter.setPen(QPen(ink, 1))
        taken = 0.0
        for mark, cut in zip(marks, facts.cutoffs, strict=True):
            x = bar.left() + mark * bar.width()
            painter.drawLine(QPointF(x, bar.top() - 2), QPointF(x, bar.bottom() + 3))
            width = painter.fontMetrics().horizontalAdvance(f"{cut:g}") + 4
            # Numbers that would meet are left out: the mark stays.
            if x - width / 2 >= taken:
                place = QRectF(x - width / 2, bar.bottom() + 3, width, _LINE_PX)
                painter.drawText(place, Qt.AlignmentFlag.AlignCenter, f"{cut:g}")
                taken = x + width / 2

    def _paint_cell(self, painter: QPainter, bar: QRectF, facts: CellFacts) -> None:
        at = axis_fraction(facts.her2_intensity, facts.cutoffs)
        middle = bar.center().y()
        if not 0 <= at <= 1:
            end, way = (bar.left(), -1) if at < 0 else (bar.right(), 1)
            tip = [QPointF(end + way * _EDGE_PX, middle)]
            tip += [QPointF(end - way * 4, middle + side * (_BAR_PX / 2 + 2)) for side in (-1, 1)]
            painter.setPen(QPen(QColor("black"), 1))
            painter.setBrush(QColor("white"))
            painter.drawPolygon(QPolygonF(tip))
            return
        error = facts.her2_se if math.isfinite(facts.her2_se) else 0.0
        low, high = (
            bar.left() + bar.width() * _clipped(axis_fraction(facts.her2_intensity + way * error, facts.cutoffs))
            for way in (-1, 1)
        )
        x = bar.left() + at * bar.width()
        for colour, width in ((QColor("black"), 4.5), (QColor("white"), 2.0)):
            painter.setPen(QPen(colour, width))
            painter.drawLine(QPointF(x, bar.top() - 2), QPointF(x, bar.bottom() + 2))
            painter.drawLine(QPointF(low, middle), QPointF(high, middle))
            for end in (low, high):
                painter.drawLine(QPointF(end, middle - 4), QPointF(end, middle + 4))


class ProbabilityBars(_Drawing):
    """p0 to p3 as four bars beside each other, each with its number.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(_LINE_PX + 8, parent)
        self.setToolTip("Probability of each grade, from the standard error and the intensity's CV")

    def _paint(self, painter: QPainter, facts: CellFacts, ink: QColor) -> None:
        if facts.probabilities is None or not all(map(math.isfinite, facts.probabilities)):
            words = f"No probabilities: {facts.not_graded or 'not graded'}"
            painter.setPen(ink)
            painter.drawText(self.rect().translated(_INDENT_PX, 0), Qt.AlignmentFlag.AlignVCenter, words)
            return
        step = (self.width() - 2 * _EDGE_PX + _GAP_PX) / len(GRADES)
        for grade, probability in zip(GRADES, facts.probabilities, strict=True):
            left, width = _EDGE_PX + grade * step, step - _GAP_PX
            painter.setPen(ink)
            words = f"p({GRADE_NAMES[grade]}) {probability:.2f}"
            painter.drawText(QRectF(left, 0, width, _LINE_PX), Qt.AlignmentFlag.AlignVCenter, words)
            painter.setOpacity(0.2)
            painter.fillRect(QRectF(left, _LINE_PX, width, 6), ink)
            painter.setOpacity(1)
            painter.fillRect(QRectF(left, _LINE_PX, width * probability, 6), QColor(GRADE_COLOURS[grade]))


def _clipped(fraction: float) -> float:
    return min(max(fraction, 0.0), 1.0)
