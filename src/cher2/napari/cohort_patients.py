"""The patients of a study in the window: a table to be sorted and filtered, from which a review begins."""

from __future__ import annotations

from typing import Any

import pandas as pd
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]  # qtpy renames PyQt's pyqtSignal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QHeaderView, QLineEdit, QPushButton, QTableView, QVBoxLayout, QWidget

from cher2.napari.patient_model import PatientModel, PatientOrder
from cher2.patients.table import GROUPS

ALL = "all groups"
GRADE_PX = 52
"""Width of a column that counts the CTCs of a grade."""


class PatientView(QTableView):
    """A table whose rows open with Enter, too."""

    chosen = Signal()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802  (Qt's name)
        """Take Enter for a choice, and leave the other keys to Qt."""
        if event is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.chosen.emit()
            return
        super().keyPressEvent(event)


class PatientsPanel(QWidget):
    """The table of patients with its filter, and the button that opens a review.

    Parameters
    ----------
    parent : QWidget, optional
    """

    review_wanted = Signal(str)
    """The patient whose cells are to be reviewed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = PatientModel(self)
        self.order = PatientOrder(self.model, self)
        self.view, self.group, self.search = PatientView(), QComboBox(), QLineEdit()
        self.review_button = QPushButton("Review this patient's cells")
        self.view.setModel(self.order)
        self._lay_out()
        self._name_groups(pd.Series(dtype=object))
        self.group.activated.connect(self._filter)
        self.search.textChanged.connect(self._filter)
        self.view.doubleClicked.connect(self._choose)
        self.view.chosen.connect(self._choose)
        self.review_button.clicked.connect(self._choose)
        self.order.modelReset.connect(self._update_button)
        self.order.layoutChanged.connect(self._update_button)
        if (selection := self.view.selectionModel()) is not None:
            selection.selectionChanged.connect(self._update_button)
        self._update_button()

    @property
    def patient(self) -> str:
        """The selected patient; empty where none is."""
        selection = self.view.selectionModel()
        rows = selection.selectedRows() if selection is not None else []
        return str(self.model.row(self.order.mapToSource(rows[0]).row())["patient_id"]) if rows else ""

    def shown(self) -> list[str]:
        """Return the patients in the order in which they are shown."""
        numbers = (self.order.mapToSource(self.order.index(at, 0)).row() for at in range(self.order.rowCount()))
        return [str(self.model.row(number)["patient_id"]) for number in numbers]

    def show_patients(self, patients: pd.DataFrame, index_title: str) -> None:
        """Show other patients; the sorting and the filter stay."""
        self.model.set_patients(patients, index_title)
        self._name_groups(patients["group"])
        self._filter()
        self.view.resizeColumnsToContents()
        for number, column in enumerate(self.model.columns):
            if column.colour:
                self.view.setColumnWidth(number, GRADE_PX)

    def _name_groups(self, groups: pd.Series[Any]) -> None:
        chosen, counts = self.group.currentIndex(), groups.value_counts()
        self.group.clear()
        self.group.addItem(f"{ALL} ({len(groups)})", "")
        for group in GROUPS:
            self.group.addItem(f"{group} ({counts.get(group, 0)})", group)
        self.group.setCurrentIndex(max(chosen, 0))

    def _filter(self) -> None:
        self.order.set_filter(self.group.currentData(), self.search.text())
        self._update_button()

    def _choose(self) -> None:
        if self.patient:
            self.review_wanted.emit(self.patient)

    def _update_button(self) -> None:
        self.review_button.setEnabled(bool(self.patient))

    def _lay_out(self) -> None:
        self.search.setPlaceholderText("find a patient")
        self.search.setClearButtonEnabled(True)
        self.view.setSortingEnabled(True)
        self.view.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.view.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        self.view.setSelectionMode(QTableView.SelectionMode.SingleSelection)
        self.view.setWordWrap(False)
        if (numbers := self.view.verticalHeader()) is not None:
            numbers.hide()
            numbers.setDefaultSectionSize(self.fontMetrics().height() + 8)
        if (titles := self.view.horizontalHeader()) is not None:
            titles.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
            titles.setStretchLastSection(True)
        self.review_button.setToolTip("Or double-click the patient, or press Enter")
        head = QHBoxLayout()
        head.addWidget(self.group)
        head.addWidget(self.search, 1)
        head.addWidget(self.review_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(head)
        column.addWidget(self.view, 1)
