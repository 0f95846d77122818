"""How far readers agree, in the window: kappa of each two, and the confusion table, whose cells can be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]  # qtpy renames PyQt's pyqtSignal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QComboBox, QHeaderView, QLabel, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget
from superqt.utils import FunctionWorker, create_worker

from cher2.cohorts.results import Estimate
from cher2.errors import Cher2Error
from cher2.napari.protocol_form import ERROR_STYLE
from cher2.review.agreement import PairAgreement, StudyAgreement, study_agreement
from cher2.review.decisions import Decision
from cher2.review.ledger import Ledger
from cher2.study.folder import Study

AGREED, DISAGREED = QColor("#2e7d4f"), QColor("#a0522d")
"""Behind the counts on the diagonal, and beside it."""


class AgreementPanel(QWidget):
    """The agreement of a study's readers, with each other and with the automatic grade.

    Parameters
    ----------
    ledger : Ledger
        The one of the session, which goes on while the agreement is computed from a copy.
    parent : QWidget, optional
    """

    cells_chosen = Signal(object)
    """The rows of the cells that two called what the chosen place in the table says, as a frozenset."""

    def __init__(self, ledger: Ledger, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._ledger = ledger
        self._copy: Ledger | None = None
        self._agreement: StudyAgreement | None = None
        self._worker: FunctionWorker[tuple[Ledger, StudyAgreement]] | None = None
        self.pair, self.words, self.table, self.notes = QComboBox(), QLabel(), QTableWidget(), QLabel()
        self._lay_out()
        self.pair.currentIndexChanged.connect(self._show_pair)
        self.table.cellClicked.connect(self._choose)

    def compute(self) -> None:
        """Compute the agreement anew, in a thread."""
        if self._worker is not None:
            return
        self._say("Comparing the readers…")
        worker: FunctionWorker[tuple[Ledger, StudyAgreement]] = create_worker(
            _compute, self._ledger.study, self._ledger.entries, _start_thread=False, _ignore_errors=True
        )
        worker.returned.connect(self._take)
        worker.errored.connect(self._fail)
        self._worker = worker
        worker.start()

    def close_panel(self) -> None:
        """Drop what is being computed."""
        if self._worker is not None:
            self._worker.returned.disconnect(self._take)
            self._worker.errored.disconnect(self._fail)
            self._worker = None

    def _take(self, found: tuple[Ledger, StudyAgreement]) -> None:
        self._worker = None
        self._copy, self._agreement = found
        chosen = self.pair.currentText()
        self.pair.clear()
        self.pair.addItems([_title(pair) for pair in self._agreement.pairs])
        self.pair.setCurrentIndex(max(self.pair.findText(chosen), 0))
        self._show_pair(self.pair.currentIndex())

    def _fail(self, error: Exception) -> None:
        self._worker = None
        if not isinstance(error, Cher2Error):
            raise error
        self._say(str(error), is_error=True)

    def _show_pair(self, index: int) -> None:
        if self._agreement is None or not 0 <= index < len(self._agreement.pairs):
            return
        agreement, pair = self._agreement, self._agreement.pairs[index]
        lines = [f"{len(pair.rows)} cells judged by both", _line(pair.grade), f"CTC or not: {_line(pair.ctc)}"]
        if agreement.disagreements or agreement.settled:
            lines.append(f"{agreement.disagreements} open disagreements, {agreement.settled} settled by consensus")
        self._say("<br>".join(escape(line) for line in lines))
        self._fill(pair)
        self.notes.setText("<i>" + "<br>".join(escape(note) + "." for note in agreement.notes()) + "</i>")

    def _fill(self, pair: PairAgreement) -> None:
        confusion = pair.confusion
        self.table.setRowCount(len(confusion))
        self.table.setColumnCount(len(confusion.columns))
        self.table.setVerticalHeaderLabels([f"{pair.first}: {word}" for word in confusion.index])
        self.table.setHorizontalHeaderLabels([str(word) for word in confusion.columns])
        self.table.setToolTip(f"Rows: {pair.first}; columns: {pair.second}. Click on a number to review its cells")
        for (row, column), count in np.ndenumerate(confusion.to_numpy()):
            item = QTableWidgetItem(str(count) if count else "")
            item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
            if count:
                item.setBackground(AGREED if row == column else DISAGREED)
            self.table.setItem(row, column, item)

    def _choose(self, row: int, column: int) -> None:
        if self._agreement is None or self._copy is None:
            return
        pair = self._agreement.pairs[self.pair.currentIndex()]
        words = pair.confusion
        found = pair.examples(str(words.index[row]), str(words.columns[column])).tolist()
        # The copy may have numbered added objects otherwise.
        rows = (self._ledger.row_of(*self._copy.object_of(at)) for at in found)
        chosen = frozenset(at for at in rows if at is not None)
        if chosen:
            self.cells_chosen.emit(chosen)

    def _say(self, text: str, *, is_error: bool = False) -> None:
        self.words.setStyleSheet(ERROR_STYLE if is_error else "")
        self.words.setText(text)

    def _lay_out(self) -> None:
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        for header in (self.table.horizontalHeader(), self.table.verticalHeader()):
            if header is not None:
                header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        for widget in (self.pair, self.table):
            widget.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for label in (self.words, self.notes):
            label.setWordWrap(True)
        column.addWidget(self.pair)
        column.addWidget(self.words)
        column.addWidget(self.table, 1)
        column.addWidget(self.notes)


def _compute(study: Study, entries: Sequence[Decision]) -> tuple[Ledger, StudyAgreement]:
    copy = Ledger(study, entries)
    return copy, study_agreement(copy)


def _title(pair: PairAgreement) -> str:
    return f"{pair.first} and {pair.second}, {pair.reading}"


def _line(estimate: Estimate) -> str:
    if np.isnan(estimate.value):
        return f"{estimate.quantity} not estimable: {estimate.reason}"
    return f"{estimate.quantity} {estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"
