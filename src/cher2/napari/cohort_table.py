"""The comparison of cohorts in the window: a table as a paper prints it, and the notes below it."""

from __future__ import annotations

from html import escape

from qtpy.QtCore import Qt
from qtpy.QtGui import QFont, QResizeEvent
from qtpy.QtWidgets import QHeaderView, QSplitter, QTableWidget, QTableWidgetItem, QTextBrowser, QVBoxLayout, QWidget

from cher2.cohorts.comparison import CohortComparison
from cher2.cohorts.layout import PaperLine, paper_lines, tests_by_name

LEAST_TITLE_PX = 96


class PaperTable(QTableWidget):
    """A table whose first column takes the room that is left, and wraps, so that the numbers need no scrolling."""

    def fit(self) -> None:
        """Share the width out."""
        viewport, header = self.viewport(), self.horizontalHeader()
        if viewport is None or header is None or not self.columnCount():
            return
        others = sum(header.sectionSize(column) for column in range(1, self.columnCount()))
        self.setColumnWidth(0, max(LEAST_TITLE_PX, viewport.width() - others))
        self.resizeRowsToContents()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802  (Qt's name)
        """Follow the room."""
        super().resizeEvent(event)
        self.fit()


class ComparisonTable(QWidget):
    """The lines of a comparison, laid out as in a paper.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table, self.notes = PaperTable(), QTextBrowser()
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QTableWidget.SelectionMode.NoSelection)
        self.table.setShowGrid(False)
        self.table.setWordWrap(True)
        for header in (self.table.verticalHeader(), self.table.horizontalHeader()):
            if header is not None:
                header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
                header.setMinimumSectionSize(16)
        if (rows := self.table.verticalHeader()) is not None:
            rows.hide()
        splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.addWidget(self.table)
        splitter.addWidget(self.notes)
        splitter.setStretchFactor(0, 3)
        splitter.setStretchFactor(1, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(splitter)

    def show_comparison(self, comparison: CohortComparison | None, otherwise: str = "") -> None:
        """Show a comparison in place of the one that is there; where there is none, why."""
        self.table.clear()
        self.table.clearSpans()
        self.table.setRowCount(0)
        if comparison is None:
            self.notes.setPlainText(otherwise)
            return
        lines = paper_lines(comparison.table, comparison.titles)
        titles = ["", f"High\nn = {comparison.high}", f"Low\nn = {comparison.low}", "OR\n(95% CI)", "p", "p\nadjusted"]
        if any(line.missing for line in lines):
            titles.append("Missing\nhigh, low")
        self.table.setColumnCount(len(titles))
        self.table.setHorizontalHeaderLabels(titles)
        if (header := self.table.horizontalHeader()) is not None:
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        self.table.setRowCount(len(lines))
        for row, line in enumerate(lines):
            self._fill(row, line, len(titles))
        self.table.fit()
        said = (*comparison.notes, *tests_by_name(comparison.table, comparison.titles))
        self.notes.setHtml("".join(f"<p style='margin:2px'>{escape(note)}.</p>" for note in said))

    def _fill(self, row: int, line: PaperLine, columns: int) -> None:
        if line.role == "family":
            self.table.setItem(row, 0, _item(line.title, bold=True))
            self.table.setSpan(row, 0, 1, columns)
            return
        title = f"\u2003{line.title}" if line.role == "level" else line.title
        for column, text in enumerate((title, line.high, line.low)):
            self.table.setItem(row, column, _item(text))
        if line.estimable:
            for column, text in enumerate((line.odds_ratio, line.p, line.p_adjusted), start=3):
                self.table.setItem(row, column, _item(text, tip=line.test))
        else:
            # Why there is no test has the place of its numbers.
            self.table.setItem(row, 3, _item(line.test, italic=True, tip=line.test))
            self.table.setSpan(row, 3, 1, 3)
        if columns > 6:
            self.table.setItem(row, 6, _item(line.missing))


def _item(text: str, *, bold: bool = False, italic: bool = False, tip: str = "") -> QTableWidgetItem:
    item = QTableWidgetItem(text)
    item.setToolTip(escape(tip))
    font = QFont()
    font.setBold(bold)
    font.setItalic(italic)
    item.setFont(font)
    return item
