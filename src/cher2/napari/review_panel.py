"""The dock of a review: the current cell large, its decision, its patient, and what is not saved yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import napari.viewer
from napari.utils.notifications import show_error
from numpy.typing import NDArray
from psygnal import SignalInstance
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QInputDialog,
    QLabel,
    QMessageBox,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from cher2.cells.objects import GRADES
from cher2.errors import Cher2Error
from cher2.napari.agreement_panel import AgreementPanel
from cher2.napari.cell_view import CellView
from cher2.napari.cells_panel import CellsPanel
from cher2.napari.current_cell import enlarged, facts_of, outline_of, thumbnail_of, unit_scales
from cher2.napari.frame_follower import FrameFollower
from cher2.napari.outline_dock import OutlineDock
from cher2.napari.patient_words import patient_html
from cher2.napari.picture_loader import PictureLoader
from cher2.napari.protocol_form import ERROR_STYLE
from cher2.napari.review_controls import DecisionButtons, QueueControls
from cher2.napari.review_keys import keys_html
from cher2.napari.review_pages import ReviewPages
from cher2.patients.identifiers import natural_order
from cher2.protocol import ROLES, Role
from cher2.report.cell_pictures import StudyFrames
from cher2.review.session import ReviewSession

RETRY_MS, REMEMBER_AFTER_MS, REFRESH_MS = 2000, 1000, 10_000
"""How often what is not saved is tried again, how long after a move the place is stored, and how often other readers'
decisions are looked for."""

FRAMES_BYTES = 2**26
"""Most bytes of frames that are kept for the gallery: five of 1036 x 1384 pixels in four channels of 16 bit."""

PAUSE_MS = 120
"""What hangs on many cells follows when a reader pauses so long: the next cell must not wait for it."""


class ReviewPanel(QWidget):
    """The dock of one session.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    session : ReviewSession
        Closed with the panel.
    images : Path, optional
        The folder of the images, where it is not the one that they were scored in.
    note : str
        What the reader should know of how decisions are stored; it stands in the dock as long as the study is open.
    parent : QWidget, optional

    Attributes
    ----------
    cells : CellsPanel
        Gallery and plot, for another dock.
    outlines : OutlineDock
        Its editor is for one more dock.
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        session: ReviewSession,
        images: Path | None = None,
        note: str = "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.session = session
        self._frames = StudyFrames(session.study, images, FRAMES_BYTES)
        self._loader = PictureLoader(self._frames, session.cells, parent=self)
        self._scales = unit_scales(session.cells, session.protocol.grade.unit)
        self._known = len(session.cells)
        self._is_closed = self._outdated = False
        self.follower = FrameFollower(viewer, session, self._frames, self)
        self.outlines = OutlineDock(viewer, session, self._frames, self.follower)
        self.agreement = AgreementPanel(session.ledger)
        self.commands = self._make_commands()
        self.controls = QueueControls(natural_order(session.cells["patient_id"].unique()))
        self.view, self.buttons = CellView(), DecisionButtons(self.commands)
        self.patient, self.status, self.progress = QLabel(), QLabel(), QProgressBar()
        self.note = QLabel(note)
        self.pages = ReviewPages((self.view, self.patient, self.buttons), self.outlines, self.agreement, self.commands)
        self.cells = CellsPanel(session, self._loader)
        self._retry = self._timer(self._try_again, single=False)
        self._pause = self._timer(self._catch_up)
        self._remember_soon = self._timer(session.remember)
        self._refresh = self._timer(self._look_for_others, single=False)
        self._lay_out()
        self._connect()
        self._take_queue()
        self._show_current(session.current)
        self._refresh.start(REFRESH_MS)

    def close_review(self) -> None:
        """Let go of the study: layers, threads and the log; what is not saved is tried once more.

        Raises
        ------
        ReviewError
            Decisions could not be saved.
        """
        if self._is_closed:
            return
        self._is_closed = True
        for timer in (self._retry, self._pause, self._remember_soon, self._refresh):
            timer.stop()
        for signal, slot in self._connections:
            signal.disconnect(slot)
        self.outlines.close()
        self.agreement.close_panel()
        self.follower.close()
        self._loader.close()
        self.session.close()

    def _make_commands(self) -> Mapping[str, Callable[[], None]]:
        session = self.session
        decide: dict[str, Callable[[], Any]] = {f"grade_{grade}": partial(session.grade, grade) for grade in GRADES}
        decide |= {name: getattr(session, name) for name in ("not_ctc", "is_ctc", "skip", "undo", "redo")}
        go: dict[str, Callable[[], Any]] = {
            "next": session.go_next,
            "previous": session.go_previous,
            "next_unreviewed": self._jump,
            "note": self._note,
            "channels": self._next_channel,
            "auto_contrast": lambda: self.view.set_auto_contrast(not self.view.auto_box.isChecked()),
            "outlines": lambda: self.pages.toggle_outlines(),
            "agreement": lambda: self.pages.toggle_agreement(blind=session.blind),
            "show_keys": self._show_keys,
        }
        return {name: partial(self._do, do) for name, do in (decide | go).items()}

    def _do(self, action: Callable[[], Any]) -> None:
        """Do what a key or a button says; what cannot be done is said in the dock."""
        if self._is_closed:
            return
        if not self.session.unsaved:
            self._say("")
        try:
            action()
        except Cher2Error as error:
            self._say(str(error), is_error=True)

    def _connect(self) -> None:
        session = self.session
        self._connections: list[tuple[SignalInstance, Callable[..., Any]]] = [
            (session.current_changed, self._show_current),
            (session.standings_changed, self._take_standings),
            (session.order_changed, self._take_queue),
            (session.unsaved_changed, self._tell_unsaved),
            (session.failed, self._tell_failure),
        ]
        for signal, slot in self._connections:
            signal.connect(slot)
        self.controls.queue_chosen.connect(lambda name: self._do(lambda: session.set_queue(name)))
        self.controls.filter_chosen.connect(lambda chosen: self._do(lambda: session.set_filter(chosen)))
        self.cells.cell_chosen.connect(self._go_to)
        self.cells.filter_by_selection.connect(self.controls.set_selection)
        self.agreement.cells_chosen.connect(self._look_at)
        self.follower.object_clicked.connect(lambda image, number: self._do(lambda: session.look_at(image, number)))
        self.follower.arrived.connect(self._frame_arrived)
        self.follower.failed.connect(self._frame_failed)
        self._loader.loaded.connect(self._pictures_arrived)
        self._loader.contrast_known.connect(self._take_contrast)
        if self._loader.contrast is not None:
            self._take_contrast(self._loader.contrast)

    def _timer(self, do: Callable[[], Any], *, single: bool = True) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(single)
        timer.timeout.connect(do)
        return timer

    def _go_to(self, row: int) -> None:
        self._do(lambda: self.session.go_to(row))

    def _jump(self) -> None:
        if not self.session.go_next_unreviewed():
            self._say("Every cell of this queue is reviewed or skipped.")

    def _note(self) -> None:
        row = self.session.current
        text, done = QInputDialog.getText(self, "Note", "What is there to say of this cell?")
        if done and text.strip() and row is not None:
            # The reader may have been taken elsewhere while the dialog was open.
            self.session.go_to(row)
            self.session.note(text)

    def _next_channel(self) -> None:
        channel = self.cells.next_channel()
        roles: tuple[Role, ...] = ROLES if channel == "composite" else (channel,)
        self.view.set_channels_shown(roles)
        if self.follower.layers is not None:
            self.follower.layers.show_channels(roles)

    def _show_keys(self) -> None:
        QMessageBox.information(self, "Keys of the review", keys_html())

    def _show_current(self, row: int | None) -> None:
        self.cells.take_current(row)
        self.follower.go_to(row)
        self._show_cell(row)
        self._pause.start(PAUSE_MS)
        self._remember_soon.start(REMEMBER_AFTER_MS)

    def _show_cell(self, row: int | None) -> None:
        self.view.setEnabled(row is not None)
        if row is None:
            self._say("No cell in this queue. Choose another queue, or show more.")
            return
        cell, scale = self.session.cells.iloc[row], self._scales[str(self.session.cells["sample_id"].iloc[row])]
        y, x, image = float(cell["y_px"]), float(cell["x_px"]), str(cell["image"])
        frame, white = self.follower.frame(row), self._loader.contrast
        thumbnail = outline = None
        if frame is not None:
            thumbnail = thumbnail_of(frame, y, x)
            outline = outline_of(frame, thumbnail, y, x, int(cell["object_id"]))
        elif white is not None and (picture := self._loader.picture(self.cells.place(row))) is not None:
            thumbnail = enlarged(picture, white)
        message = "" if thumbnail is not None else self.follower.reader.fault(image) or "reading the frame"
        self.view.show_cell(thumbnail, facts_of(self.session, row, scale, outline=outline, message=message))

    def _take_standings(self, rows: NDArray[Any]) -> None:
        if len(self.session.cells) > self._known:
            self._known = len(self.session.cells)
            self._scales = unit_scales(self.session.cells, self.session.protocol.grade.unit)
            self.cells.take_cells()
            self.cells.take_order()
            self.cells.take_current(self.session.current)
        self.cells.take_standings(rows.tolist())
        if self.session.current in rows:
            self._show_cell(self.session.current)
        self._outdated = True
        self._pause.start(PAUSE_MS)

    def _take_queue(self) -> None:
        self.controls.set_queue(self.session.queue.name)
        self.controls.set_blind(self.session.blind)
        self.cells.take_order()
        self._show_progress()

    def _catch_up(self) -> None:
        """Bring up to date what the reader looks at in a pause: the patient, the progress, the outlines' colours."""
        self._show_patient()
        self._show_progress()
        if self._outdated:
            self._outdated = False
            self.follower.recolour()

    def _show_progress(self) -> None:
        progress = self.session.progress
        self.progress.setRange(0, max(progress.total, 1))
        self.progress.setValue(progress.reviewed)
        self.progress.setFormat(str(progress))

    def _show_patient(self) -> None:
        row = self.session.current
        if row is None or self.session.blind:
            self.patient.setText("<i>Patient and cohort are hidden: blind reading</i>" if row is not None else "")
            return
        self.patient.setText(patient_html(self.session.patient(str(self.session.cells["patient_id"].iloc[row]))))

    def _take_contrast(self, white: Mapping[Role, float]) -> None:
        self.view.set_white(white)
        self.follower.set_white(white)
        self._show_cell(self.session.current)

    def _frame_arrived(self, image: str) -> None:
        row = self.session.current
        if row is not None and self.session.cells["image"].iloc[row] == image:
            self._show_cell(row)

    def _frame_failed(self, image: str, why: str) -> None:
        self._frame_arrived(image)
        self._say(why, is_error=True)

    def _pictures_arrived(self, places: list[Any]) -> None:
        row = self.session.current
        if row is not None and self.follower.frame(row) is None and self.cells.place(row) in places:
            self._show_cell(row)

    def _tell_unsaved(self, count: int) -> None:
        if count and not self._retry.isActive():
            self._retry.start(RETRY_MS)
        elif not count and self._retry.isActive():
            self._retry.stop()
            self._say("All decisions are saved.")
        if count:
            self._show_progress()

    def _tell_failure(self, why: str) -> None:
        if not self.status.text().startswith("NOT SAVED"):
            show_error(why)
        self._say(f"NOT SAVED, will be tried again: {why}", is_error=True)

    def _try_again(self) -> None:
        self.session.retry()

    def _look_for_others(self) -> None:
        if self.session.unsaved:
            return
        try:
            self.session.refresh()
        except Cher2Error as error:
            self._say(str(error), is_error=True)

    def _say(self, text: str, *, is_error: bool = False) -> None:
        self.status.setStyleSheet(ERROR_STYLE if is_error else "")
        self.status.setText(text)

    def _look_at(self, rows: frozenset[int]) -> None:
        """Narrow the queue to the cells of a place in the table of agreement."""
        self.pages.show_cell()
        self.cells.narrow_to(rows)

    def _lay_out(self) -> None:
        self.status.setWordWrap(True)
        self.patient.setWordWrap(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addWidget(self.controls)
        column.addWidget(self.pages, 1)
        self.note.setWordWrap(True)
        self.note.setVisible(bool(self.note.text()))
        for widget in (self.note, self.progress, self.status):
            column.addWidget(widget)
