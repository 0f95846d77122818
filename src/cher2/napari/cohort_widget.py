"""The widget that compares the cohorts of a study: table, figures, and the patients, each a click from the review."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import napari.viewer
from napari.utils.notifications import notification_manager, show_error, show_info
from qtpy.QtCore import QEvent, QTimer, Signal  # type: ignore[attr-defined]  # qtpy renames PyQt's pyqtSignal
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QLabel, QMessageBox, QProgressBar, QPushButton, QSizePolicy, QTabWidget, QVBoxLayout, QWidget
from superqt.utils import GeneratorWorker, create_worker

from cher2.cohorts.layout import many
from cher2.errors import Cher2Error, StudyError
from cher2.napari.cohort_form import CohortForm
from cher2.napari.cohort_patients import PatientsPanel
from cher2.napari.cohort_reading import CohortView, StudyRead, read_cohorts, use_clinical
from cher2.napari.cohort_table import ComparisonTable
from cher2.napari.figure_view import FigurePage
from cher2.napari.patient_review import review_patient
from cher2.napari.protocol_form import ERROR_STYLE
from cher2.palette import GROUP_COLOURS

RESEARCH_USE = "For research use only. Not a diagnostic."
NO_FOLLOW_UP = "The clinical table has no follow-up: os_months and os_event, or pfs_months and pfs_event."

START_MS = 60
"""The form turns grey before the work begins: every step of that would wait for the other thread's Python."""


class CohortWidget(QWidget):
    """Choose a study and a clinical table, and see how the cohorts differ.

    Nothing is written into the study but by the button that says so, and by the review of a patient's cells.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Its window takes the dock of the review.
    parent : QWidget, optional
    """

    compared = Signal()
    failed = Signal(str)
    written = Signal(str)
    """The report of a study that has taken over a clinical table."""

    # napari finds the parameter for its viewer by this very annotation.
    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._worker: GeneratorWorker[str, Any, Any] | None = None
        self._connections: tuple[tuple[Any, Callable[..., None]], ...] = ()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._begin)
        self.view: CohortView | None = None
        self.form, self.tabs = CohortForm(), QTabWidget()
        self.comparison, self.patients = ComparisonTable(), PatientsPanel()
        self.forest, self.sites, self.survival = FigurePage(), FigurePage(), FigurePage()
        self.use_button = QPushButton("Use this clinical table for the study")
        self.progress, self.status, self.caption = QProgressBar(), QLabel(), QLabel()
        self._lay_out()
        self.form.read_wanted.connect(self.read)
        self.form.split_wanted.connect(self.compare)
        self.patients.review_wanted.connect(self.review)
        self.use_button.clicked.connect(self.use_table)
        self._update()

    def read(self) -> None:
        """Read the chosen study, by all decisions that are stored by now, and compare its cohorts."""
        self._start_reading(None)

    def compare(self) -> None:
        """Compare the study that is read by the chosen split and clinical table."""
        choice = self.form.choice()
        known = None if self.view is None else self.view.read
        if known is not None and (known.study.path, known.reviews) != (choice.study, choice.reviews):
            known = None
        self._start_reading(known)

    def use_table(self) -> None:
        """Make the clinical table that is shown the study's own, where the user says yes to what it replaces."""
        view = self.view
        if self._worker is not None or view is None or view.clinical is None:
            return
        study = view.read.study.path
        if (study / "clinical.csv").is_file():
            words = (
                f"{study} has a clinical table already. Replace its clinical.csv, and write its tables and report.html "
                "anew, split by the study's protocol?"
            )
            if QMessageBox.question(self, "Replace the clinical table", words) != QMessageBox.StandardButton.Yes:
                return
        self._start(self._tell_written, use_clinical, view)

    def review(self, patient_id: str) -> None:
        """Open the review of a patient's cells, in a dock beside this one."""
        if self.view is None:
            return
        read = self.view.read
        try:
            review_patient(self._viewer, read.study, patient_id, self.form.reader.text(), read.reviews)
        except Cher2Error as error:
            self._fail(error)

    def event(self, event: QEvent | None) -> bool:
        """Drop what is being read when the dock is closed."""
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._drop_worker()
        return bool(super().event(event))

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802  (Qt's name)
        """Drop what is being read."""
        self._drop_worker()
        super().closeEvent(event)

    def _start_reading(self, known: StudyRead | None) -> None:
        choice = self.form.choice()
        try:
            if not self.form.study.text().strip():
                raise StudyError("no study is chosen", remedy="Choose a folder that 'cher2 run' has written")
            choice.rule()
        except Cher2Error as error:
            # What is shown stays: it is still what its caption says.
            self._fail(error)
            return
        self._start(self._show, read_cohorts, choice, known)

    def _start(self, take: Callable[[Any], None], work: Callable[..., Generator[str, None, Any]], *given: Any) -> None:
        """Do work in a thread; its words are the progress, its result is taken in the window's thread."""
        if self._worker is not None:
            return
        self._say("")
        # superqt would also raise an error once more in the window's thread, where it prints a traceback.
        worker: GeneratorWorker[str, Any, Any] = create_worker(work, *given, _start_thread=False, _ignore_errors=True)
        self._connections = (
            (worker.yielded, self._tell_step),
            (worker.returned, take),
            (worker.errored, self._fail),
            (worker.finished, self._finish),
        )
        for signal, slot in self._connections:
            signal.connect(slot)
        self._worker = worker
        self._update()
        self._soon.start(START_MS)

    def _begin(self) -> None:
        if self._worker is not None:
            self._worker.start()

    def _drop_worker(self) -> None:
        """Let a thread end without a word: what it tells would come to a widget that is gone."""
        worker, self._worker = self._worker, None
        if worker is not None:
            for signal, slot in self._connections:
                signal.disconnect(slot)
            worker.quit()
            self._soon.stop()
            self._update()

    def _show(self, view: CohortView) -> None:
        self.view = view
        self._say("")
        why = view.fault
        self.comparison.show_comparison(view.comparison, why)
        self.forest.show_drawings((view.forest,), why)
        self.sites.show_drawings((view.sites,), why)
        self.survival.show_drawings(view.curves, why or NO_FOLLOW_UP)
        self.patients.show_patients(view.patients, view.index_title)
        self.caption.setText(caption_html(view))
        if view.fault:
            show_error(view.fault)
            self._say(view.fault, is_error=True)
            self.tabs.setCurrentWidget(self.patients)
        self.compared.emit()

    def _tell_step(self, words: str) -> None:
        self._say(f"{words}…")

    def _tell_written(self, report: Path) -> None:
        if self.view is not None:
            self.view = replace(self.view, own_clinical=True)
            self.caption.setText(caption_html(self.view))
        self.form.clinical.clear()
        show_info(f"The study has taken over the clinical table: {report}")
        self._say(f"Written: {report}")
        self.written.emit(str(report))

    def _fail(self, error: Exception) -> None:
        if isinstance(error, Cher2Error):
            show_error(str(error))
        else:
            # A fault of the program, not of the data: napari shows it with what its author needs.
            notification_manager.receive_error(type(error), error, error.__traceback__)
        self._say(str(error), is_error=True)
        self.failed.emit(str(error))

    def _finish(self) -> None:
        self._worker = None
        self._update()

    def _say(self, text: str, *, is_error: bool = False) -> None:
        self.status.setStyleSheet(ERROR_STYLE if is_error else "")
        self.status.setText(text)
        self.status.setVisible(bool(text))

    def _update(self) -> None:
        running = self._worker is not None
        self.form.setEnabled(not running)
        self.progress.setVisible(running)
        view = self.view
        usable = view is not None and view.comparison is not None and not view.own_clinical
        self.use_button.setEnabled(usable and not running)
        self.use_button.setVisible(usable)

    def _lay_out(self) -> None:
        for label in (self.status, self.caption):
            label.setWordWrap(True)
        self.caption.setText(f"<i>{RESEARCH_USE}</i>")
        # Neither a range nor a value: busy.
        self.progress.setRange(0, 0)
        self.use_button.setToolTip(
            "Does what 'cher2 compare --clinical' does: clinical.csv, the tables and report.html of the study are "
            "written, split by its protocol"
        )
        pages = (self.comparison, self.forest, self.sites, self.survival, self.patients)
        titles = ("Comparison", "Forest plot", "Number of sites", "Survival", "Patients")
        for page, title in zip(pages, titles, strict=True):
            self.tabs.addTab(page, title)
        column = QVBoxLayout(self)
        for widget in (self.form, self.progress, self.status, self.caption):
            column.addWidget(widget)
        column.addWidget(self.tabs, 1)
        column.addWidget(self.use_button)
        # napari would push what does not ask for height to the top by a stretch.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.setMinimumWidth(640)


def caption_html(view: CohortView) -> str:
    """Return what is shown, for a rich-text label: the study, the split, the groups, and what it is not for."""
    counts = view.patients["group"].value_counts()
    groups = ", ".join(
        f'<span style="color:{colour}">&#9632;</span> {counts[group]} {group}'
        for group, colour in GROUP_COLOURS.items()
        if group in counts
    )
    synthetic = "<b>SYNTHETIC DATA.</b> " if view.read.synthetic else ""
    table = (
        ""
        if view.clinical is None
        else "the study's own clinical table; "
        if view.own_clinical
        else ("<b>another clinical table than the study's</b>; ")
    )
    limit = view.read.study.protocol.patient.ratio_threshold
    split = view.split if view.index_title else f"cHER2 ratio above {limit:g}, by the protocol"
    review = f"<br>{escape(str(view.read.review))}." if view.read.review.reviewed else ""
    return (
        f"<b>{escape(view.read.study.path.absolute().name)}</b>: {many(len(view.patients))}, split by "
        f"{escape(split)}: {groups}; {table}{synthetic}<i>{RESEARCH_USE}</i>{review}"
    )
