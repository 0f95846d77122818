"""What the cohort widget is told: the study, the clinical table, who reads, and how the patients are split."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QRegularExpression, QSignalBlocker, Signal  # type: ignore[attr-defined]  # qtpy renames PyQt's pyqtSignal
from qtpy.QtGui import QRegularExpressionValidator
from qtpy.QtWidgets import QComboBox, QFileDialog, QFormLayout, QHBoxLayout, QLabel, QLineEdit, QPushButton, QWidget

from cher2.napari.cohort_reading import CohortChoice
from cher2.napari.review_widget import login_name
from cher2.patients.indices import INDICES
from cher2.patients.splits import split_rule

BY_PROTOCOL = "the study's protocol"


class CohortForm(QWidget):
    """The study, the clinical table and the split.

    Parameters
    ----------
    parent : QWidget, optional
    """

    read_wanted = Signal()
    split_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.study, self.clinical, self.reader, self.reviews = (QLineEdit() for _ in range(4))
        self.study_button, self.clinical_button = QPushButton("Choose…"), QPushButton("Choose…")
        self.read_button, self.compare_button = QPushButton("Read and compare"), QPushButton("Compare")
        self.index, self.threshold = QComboBox(), QLineEdit()
        self._fill()
        self._lay_out()
        self.study_button.clicked.connect(self._browse_study)
        self.clinical_button.clicked.connect(self._browse_clinical)
        self.read_button.clicked.connect(self.read_wanted)
        self.compare_button.clicked.connect(self.split_wanted)
        self.index.activated.connect(self._index_chosen)
        self.threshold.returnPressed.connect(self.split_wanted)
        self._show_threshold()

    def choice(self) -> CohortChoice:
        """Return what is chosen."""
        clinical, index = self.clinical.text().strip(), self.index.currentData()
        return CohortChoice(
            study=Path(self.study.text().strip()),
            clinical=Path(clinical) if clinical else None,
            reviews=self.reviews.text().strip(),
            index=index,
            threshold=self.threshold.text().strip() if index else "",
        )

    def choose_index(self, name: str, threshold: str = "") -> None:
        """Choose an index (empty: by the protocol), with its published threshold where none is given."""
        with QSignalBlocker(self.index):
            self.index.setCurrentIndex(self.index.findData(name))
        self._show_threshold()
        self.threshold.setText(threshold)

    def _index_chosen(self) -> None:
        self._show_threshold()
        # Without a published threshold there is nothing to compare by until one is typed.
        if self.index.currentData() and INDICES[self.index.currentData()].threshold is None:
            self.threshold.setFocus()
        else:
            self.split_wanted.emit()

    def _show_threshold(self) -> None:
        name = self.index.currentData()
        self.threshold.clear()
        self.threshold.setEnabled(bool(name))
        if not name:
            self.threshold.setPlaceholderText("the protocol's")
        elif INDICES[name].threshold is None:
            self.threshold.setPlaceholderText("none is published")
        else:
            rule = split_rule(name)
            words = "at least" if rule.reached else "above"
            self.threshold.setPlaceholderText(f"published: {words} {float(rule.threshold):.4g}")
        self.index.setToolTip(INDICES[name].definition if name else "The groups of patients.csv and of the report")

    def _browse_study(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Study folder", self.study.text())
        if folder:
            self.study.setText(folder)

    def _browse_clinical(self) -> None:
        start = self.clinical.text() or self.study.text()
        file, _ = QFileDialog.getOpenFileName(
            self, "Clinical table", start, "Tables (*.csv *.tsv *.txt);;All files (*)"
        )
        if file:
            self.clinical.setText(file)

    def _fill(self) -> None:
        self.study.setPlaceholderText("folder that 'cher2 run' has written")
        self.clinical.setPlaceholderText("the study's own clinical.csv")
        self.clinical.setClearButtonEnabled(True)
        self.reader.setText(login_name())
        self.reader.setToolTip("Whose decisions they are, when you review a patient's cells")
        self.reviews.setPlaceholderText("in the study folder")
        self.reviews.setToolTip("Database of readers' decisions, postgresql://...")
        self.reviews.setEchoMode(QLineEdit.EchoMode.PasswordEchoOnEdit)
        self.index.addItem(BY_PROTOCOL, "")
        for index in INDICES.values():
            self.index.addItem(index.title, index.name)
        self.threshold.setMinimumWidth(160)
        self.index.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.threshold.setToolTip("Such as 0.3 or 1/3; empty for the published one. Nothing is written into the study")
        # Longer numbers are no thresholds, and 1e99999999 would be worked out.
        digits = QRegularExpression(r"[0-9]{0,6}([./][0-9]{0,6})?")
        self.threshold.setValidator(QRegularExpressionValidator(digits, self.threshold))

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(4)
        form.addRow("Study", _row((self.study, 1), (self.study_button, 0)))
        form.addRow("Clinical table", _row((self.clinical, 1), (self.clinical_button, 0)))
        people = _row((self.reader, 1), (QLabel("Database"), 0), (self.reviews, 1), (self.read_button, 0))
        form.addRow("Reader", people)
        split = _row((self.index, 1), (QLabel("threshold"), 0), (self.threshold, 0), (self.compare_button, 0))
        form.addRow("Split by", split)


def _row(*widgets: tuple[QWidget, int]) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(6)
    for widget, stretch in widgets:
        row.addWidget(widget, stretch)
    return row
