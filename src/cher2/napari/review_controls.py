"""What a reader chooses by hand: the queue, the filter, and a decision by its button."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from qtpy.QtCore import QSignalBlocker, Qt, Signal  # type: ignore[attr-defined]  # qtpy renames PyQt's pyqtSignal
from qtpy.QtWidgets import QCheckBox, QComboBox, QGridLayout, QHBoxLayout, QLabel, QPushButton, QWidget

from cher2.cells.objects import GRADE_NAMES, GRADES
from cher2.napari.cell_facts import ink_on
from cher2.napari.review_keys import KEYS, key_of
from cher2.palette import GRADE_COLOURS
from cher2.review.queues import QUEUES
from cher2.review.standing import CellFilter

ALL = "all"

KIND_CHOICES = {ALL: frozenset[str](), "CTCs": frozenset({"ctc"}), "no CTCs": frozenset({"leukocyte", "other"})}


class QueueControls(QWidget):
    """The queue and the filter.

    Parameters
    ----------
    patients : sequence of str
        In the order of a menu; empty for a blind reading, where the patient must not be chosen.
    parent : QWidget, optional
    """

    queue_chosen = Signal(str)
    filter_chosen = Signal(object)

    def __init__(self, patients: Sequence[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.queue, self.patient, self.grade, self.kind = (QComboBox() for _ in range(4))
        self.unreviewed = QCheckBox("Unreviewed only")
        for queue in QUEUES.values():
            self.queue.addItem(queue.title, queue.name)
        self.patient.addItem("all patients", "")
        for patient in patients:
            self.patient.addItem(patient, patient)
        self.grade.addItem("all grades", None)
        for grade in GRADES:
            self.grade.addItem(f"grade {GRADE_NAMES[grade]}", grade)
        for title in KIND_CHOICES:
            self.kind.addItem("all kinds" if title == ALL else title, title)
        self._selection: frozenset[int] | None = None
        self._lay_out()
        self.queue.activated.connect(lambda _: self.queue_chosen.emit(self.queue.currentData()))
        for box in (self.patient, self.grade, self.kind):
            box.activated.connect(self._tell)
        self.unreviewed.toggled.connect(self._tell)

    def set_queue(self, name: str) -> None:
        """Show which queue is in force."""
        with QSignalBlocker(self.queue):
            self.queue.setCurrentIndex(self.queue.findData(name))

    def set_blind(self, blind: bool) -> None:
        """Take away the choices that would tell a blind reader something."""
        for box in (self.patient, self.grade, self.kind):
            if blind and box.currentIndex() != 0:
                box.setCurrentIndex(0)
            box.setEnabled(not blind)

    def choose_patient(self, patient_id: str) -> bool:
        """Show the cells of one patient, whatever else was chosen; False where that patient has none to choose."""
        place = self.patient.findData(patient_id)
        if place < 0 or not self.patient.isEnabled():
            return False
        with QSignalBlocker(self.unreviewed):
            self.unreviewed.setChecked(False)
        for box in (self.grade, self.kind):
            box.setCurrentIndex(0)
        self.patient.setCurrentIndex(place)
        self._selection = None
        self._tell()
        return True

    def set_selection(self, rows: frozenset[int] | None) -> None:
        """Let only these cells through, such as those of a lasso, or all."""
        self._selection = rows
        self._tell()

    def chosen(self) -> CellFilter:
        """Return the filter."""
        grade = self.grade.currentData()
        return CellFilter(
            patient=self.patient.currentData(),
            grades=frozenset() if grade is None else frozenset({grade}),
            kinds=KIND_CHOICES[self.kind.currentData()],
            unreviewed=self.unreviewed.isChecked(),
            rows=self._selection,
        )

    def _tell(self) -> None:
        self.filter_chosen.emit(self.chosen())

    def _lay_out(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        grid.addWidget(QLabel("Queue"), 0, 0)
        grid.addWidget(self.queue, 0, 1, 1, 2)
        grid.addWidget(self.unreviewed, 0, 3)
        grid.addWidget(QLabel("Show"), 1, 0)
        for column, box in enumerate((self.patient, self.grade, self.kind), start=1):
            grid.addWidget(box, 1, column)
        for column in (1, 2, 3):
            grid.setColumnStretch(column, 1)
        choices: tuple[QWidget, ...] = (self.queue, self.patient, self.grade, self.kind, self.unreviewed)
        for choice in choices:
            # A box that has the focus takes letters for its entries; the reader's keys must stay the review's.
            choice.setFocusPolicy(Qt.FocusPolicy.NoFocus)


class DecisionButtons(QWidget):
    """A button for each thing that a reader can do with a cell, with its key.

    Parameters
    ----------
    actions : mapping of str to callable
        What each action of :data:`~cher2.napari.review_keys.KEYS` does.
    parent : QWidget, optional
    """

    ROWS = (
        (("grade_0", "0"), ("grade_1", "1+"), ("grade_2", "2+"), ("grade_3", "3+"), ("not_ctc", "No CTC")),
        (("is_ctc", "CTC"), ("skip", "Skip"), ("note", "Note"), ("undo", "Undo"), ("redo", "Redo")),
        (
            ("previous", "◀"),
            ("next", "▶"),
            ("next_unreviewed", "Open"),
            ("outlines", "Edit"),
            ("agreement", "Kappa"),
            ("show_keys", "Keys"),
        ),
    )

    def __init__(self, actions: Mapping[str, Callable[[], None]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        words = {key.action: key.words for key in KEYS}
        self.buttons: dict[str, QPushButton] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        for number, row in enumerate(self.ROWS):
            line = QHBoxLayout()
            line.setSpacing(4)
            for action, title in row:
                button = QPushButton(f"{title}  [{key_of(action)}]" if title != key_of(action) else title)
                button.setToolTip(f"{words[action]} ({key_of(action)})")
                button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
                button.clicked.connect(lambda _=False, do=actions[action]: do())
                self.buttons[action] = button
                line.addWidget(button, 1)
            grid.addLayout(line, number, 0)
        for grade in GRADES:
            colour = GRADE_COLOURS[grade]
            self.buttons[f"grade_{grade}"].setStyleSheet(
                f"background-color: {colour}; color: {ink_on(colour)}; font-weight: bold"
            )
