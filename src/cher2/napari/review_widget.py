"""The widget that reviews a study: choose it, say who reads, and grade its cells one by one."""

from __future__ import annotations

import getpass
from pathlib import Path

import napari.viewer
from napari.utils.notifications import show_error, show_warning
from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMainWindow,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from cher2.errors import Cher2Error, ReviewError
from cher2.napari.protocol_form import ERROR_STYLE
from cher2.napari.review_keys import ReviewShortcuts, main_window
from cher2.napari.review_panel import ReviewPanel
from cher2.napari.unsaved_work import may_close
from cher2.review.background_log import BackgroundLog
from cher2.review.log_state import note_review
from cher2.review.open_log import open_to_write
from cher2.review.queues import QUEUES
from cher2.review.session import ReviewSession
from cher2.study.folder import Study
from cher2.study.trail import What

LEFT_OFF = "Where I left off"


class ReviewWidget(QWidget):
    """Open a study for review, and review it.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Shows the frames; a second dock with gallery and plot is added to its window.
    parent : QWidget, optional

    Attributes
    ----------
    note : str
        What the reader should know of how decisions are stored in the study that is open; empty where all is well.
    """

    # napari finds the parameter for its viewer by this very annotation.
    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.panel: ReviewPanel | None = None
        self.note = ""
        self._shortcuts: ReviewShortcuts | None = None
        self._window: QWidget | None = None
        self._reviews, self._is_noted = "", True
        self.study, self.reader, self.reviews = QLineEdit(), QLineEdit(login_name()), QLineEdit()
        self.browse_button, self.open_button = QPushButton("Choose…"), QPushButton("Review")
        self.queue, self.blind = QComboBox(), QCheckBox("Blind: hide grades, patients and cohorts")
        self.error = QLabel()
        self.form = QWidget()
        self._lay_out()
        self.browse_button.clicked.connect(self._browse)
        self.open_button.clicked.connect(self._open_chosen)

    def open_study(
        self,
        path: str | Path,
        reader: str,
        queue: str | None = None,
        *,
        blind: bool = False,
        images: Path | None = None,
        reviews: str = "",
    ) -> None:
        """Open a study for review; one that is open is closed first.

        Parameters
        ----------
        path : str or Path
            The study folder.
        reader : str
        queue : str, optional
            A name of :data:`cher2.review.queues.QUEUES`; where the reader left off, where none is given.
        blind : bool
        images : Path, optional
            The folder of the images, where it is not the one that they were scored in.
        reviews : str
            URL of a database; the study's own where it is empty.

        Raises
        ------
        Cher2Error
            The study cannot be reviewed.
        """
        if not self.may_close():
            raise ReviewError("the study that is open has unsaved work", remedy="Save or discard it first")
        self.close_study()
        study = Study.open(path)
        opened, self.note = open_to_write(study, reviews)
        log = BackgroundLog(opened)
        try:
            session = ReviewSession(study, log, reader, queue, blind=blind)
        except Cher2Error:
            log.close()
            raise
        self.panel = ReviewPanel(self._viewer, session, images, note=self.note)
        self._column.addWidget(self.panel, 1)
        self.form.hide()
        self._reviews, self._is_noted = reviews, not opened.read_only
        self._note("review_opened", session)
        window = main_window(self)
        if isinstance(window, QMainWindow):
            # The current cell has the whole height; gallery and plot are wide rather than high.
            window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
        name = f"Cells of {study.path.absolute().name}"
        self._viewer.window.add_dock_widget(self.panel.cells, name=name, area="bottom")
        self._shortcuts = ReviewShortcuts(self.panel.commands)
        self._attach()
        if self.note:
            show_warning(self.note)

    def show_patient(self, patient_id: str) -> None:
        """Limit the queue of the study that is open to one patient's cells.

        Raises
        ------
        ReviewError
            No study is open, patients are hidden from a blind reader, or the patient has no cell to review.
        """
        if self.panel is None:
            raise ReviewError("no study is open for review", remedy="Open one")
        if self.panel.session.blind:
            raise ReviewError(
                "the reading that is open is blind, which hides patients",
                remedy="End it, or choose an open queue in it",
            )
        if not self.panel.controls.choose_patient(patient_id):
            raise ReviewError(f"patient {patient_id!r} has no CTC to review", remedy="Choose another patient")

    def may_close(self, *, can_stay: bool = True) -> bool:
        """Ask what becomes of what is not saved (:func:`cher2.napari.unsaved_work.may_close`); False to go on."""
        panel = self.panel
        return panel is None or may_close(self, panel.session, panel.outlines.editor, can_stay=can_stay)

    def close_study(self) -> None:
        """Close the study that is open: no layer, no dock, no key and no thread stays behind."""
        panel, self.panel = self.panel, None
        if self._shortcuts is not None:
            self._shortcuts.detach()
            self._shortcuts = None
        if self._window is not None:
            self._window.removeEventFilter(self)
            self._window = None
        if panel is None:
            return
        try:
            panel.close_review()
        except Cher2Error as error:
            show_error(str(error))
        self._note("review_closed", panel.session)
        # The reader may have closed the dock, or the whole window, before.
        if panel.cells.parent() is not None:
            self._viewer.window.remove_dock_widget(panel.cells)
        panel.setParent(None)
        panel.deleteLater()
        self.form.show()

    def _note(self, what: What, session: ReviewSession) -> None:
        """Let the study's trail note that a review was opened or closed; where it cannot, the reader is told."""
        if not self._is_noted:
            return
        facts = {"blind": session.blind, "queue": session.queue.name}
        try:
            note_review(session.study, what, session.reader, self._reviews, **facts)
        except Cher2Error as error:
            show_error(str(error))

    def event(self, event: QEvent | None) -> bool:
        """Take the keys along when the dock moves to another window, and let go when it is closed."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parent() is None:
                self.may_close(can_stay=False)
                self.close_study()
            elif self._shortcuts is not None:
                # The window is the new one only when the move has ended.
                QTimer.singleShot(0, self._attach)
        return bool(super().event(event))

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802  (Qt's name)
        """Close the study with the widget."""
        self.may_close(can_stay=False)
        self.close_study()
        super().closeEvent(event)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802  (Qt's name)
        """Close the study before its window, unless the reader stays: afterwards there is nothing to close it with."""
        if event is not None and event.type() == QEvent.Type.Close and watched is self._window:
            if not self.may_close():
                event.ignore()
                return True
            self.close_study()
        return bool(super().eventFilter(watched, event))

    def _attach(self) -> None:
        if self._shortcuts is not None:
            self._window = main_window(self)
            self._window.installEventFilter(self)
            self._shortcuts.attach(self._window)

    def _browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Study folder", self.study.text())
        if folder:
            self.study.setText(folder)

    def _open_chosen(self) -> None:
        self.error.clear()
        try:
            self.open_study(
                self.study.text().strip(),
                self.reader.text(),
                self.queue.currentData(),
                blind=self.blind.isChecked(),
                reviews=self.reviews.text().strip(),
            )
        except Cher2Error as error:
            self.error.setText(str(error))

    def _lay_out(self) -> None:
        self.error.setStyleSheet(ERROR_STYLE)
        self.error.setWordWrap(True)
        self.study.setPlaceholderText("folder that 'cher2 run' has written")
        self.reviews.setPlaceholderText("in the study folder")
        self.reviews.setEchoMode(QLineEdit.EchoMode.PasswordEchoOnEdit)
        self.queue.addItem(LEFT_OFF, None)
        for queue in QUEUES.values():
            self.queue.addItem(queue.title, queue.name)
        place = QHBoxLayout()
        place.addWidget(self.study, 1)
        place.addWidget(self.browse_button)
        form = QFormLayout(self.form)
        form.addRow("Study", place)
        form.addRow("Reader", self.reader)
        form.addRow("Queue", self.queue)
        form.addRow("Database", self.reviews)
        form.addRow(self.blind)
        form.addRow(self.open_button)
        form.addRow(self.error)
        form.addRow(QLabel("<i>For research use only</i>"))
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.addWidget(self.form, 0, Qt.AlignmentFlag.AlignTop)
        # napari would push the cells of a dock that does not ask for height down by a stretch.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.setMinimumWidth(400)


def login_name() -> str:
    """Return the name that the computer knows the user by; empty where it knows none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
