"""The widget that scores the image in the viewer."""

from __future__ import annotations

from typing import Any

import napari.viewer
from napari.utils.notifications import notification_manager, show_error, show_warning
from qtpy.QtCore import QEvent, Qt, Signal  # type: ignore[attr-defined]  # qtpy renames PyQt's pyqtSignal
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import (
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import GeneratorWorker, create_worker

from cher2.errors import Cher2Error
from cher2.napari.channel_form import ChannelForm
from cher2.napari.layer_roles import join_layers
from cher2.napari.palettes import OUTLINE_PX
from cher2.napari.protocol_form import ERROR_STYLE, ProtocolForm
from cher2.napari.reader import METADATA
from cher2.napari.results import LAYER_NAME, grades_layer, summary_html, summary_rows
from cher2.napari.scoring import ScoredFrames, score_frames

STALE = "The protocol has changed since: score again."


class ScoreWidget(QWidget):
    """Choose the channels and the protocol, score, and read the result.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Its layers are read and added to in the window's thread only.
    parent : QWidget, optional
    """

    scored = Signal()
    failed = Signal(str)
    cancelled = Signal()

    # napari finds the parameter for its viewer by this very annotation.
    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._worker: GeneratorWorker[int, Any, ScoredFrames] | None = None
        self._done = self._total = 0
        self._failed = False
        self.channels = ChannelForm(viewer)
        self.protocol = ProtocolForm()
        self.score_button = QPushButton("Score")
        self.cancel_button = QPushButton("Cancel")
        self.progress = QProgressBar()
        self.status, self.summary = QLabel(), QLabel()
        self._lay_out()
        self.protocol.changed.connect(self._protocol_changed)
        self.channels.changed.connect(self._channels_changed)
        self.score_button.clicked.connect(self.score)
        self.cancel_button.clicked.connect(self.cancel)
        # A window that goes takes its widgets with it unasked; the viewer must not call them then.
        self.destroyed.connect(self.channels.stop_listening)
        self.channels.listen()
        self._update_buttons()

    def score(self) -> None:
        """Score the chosen layers in a thread of their own; what is wrong is told in red and as a notification."""
        protocol = self.protocol.protocol()
        if self._worker is not None or protocol is None:
            return
        # A result must not stand beside the error of another image.
        self._say("")
        self.summary.clear()
        try:
            frames = join_layers(self.channels.layers())
        except Cher2Error as error:
            self._fail(error)
            return
        self._done, self._total = 0, len(frames)
        # Qt shows a bar that has neither a range nor a value as busy.
        self.progress.setRange(0, self._total if self._total > 1 else 0)
        # superqt would also raise an error once more in the window's thread, where it prints a traceback.
        worker: GeneratorWorker[int, Any, ScoredFrames] = create_worker(
            score_frames, frames, protocol, _start_thread=False, _ignore_errors=True
        )
        worker.yielded.connect(self._count)
        worker.returned.connect(self._show)
        worker.errored.connect(self._fail)
        worker.warned.connect(self._warn)
        # superqt declares signals without an argument as having one that is None.
        worker.aborted.connect(self._tell_cancelled)  # type: ignore[arg-type]
        worker.finished.connect(self._finish)  # type: ignore[arg-type]
        self._worker = worker
        self._update_buttons()
        worker.start()

    def cancel(self) -> None:
        """Stop before the next frame; nothing is added to the viewer."""
        if self._worker is not None:
            self._worker.quit()
            self.cancel_button.setEnabled(False)

    def event(self, event: QEvent | None) -> bool:
        """Follow the viewer while the widget has a place in a window, and let go of it when that is closed."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parent() is None:
                self._let_go()
            else:
                self.channels.listen()
        return bool(super().event(event))

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802  (Qt's name)
        """Let go of the viewer, and of what still runs."""
        self._let_go()
        super().closeEvent(event)

    def _lay_out(self) -> None:
        for label in (self.status, self.summary):
            label.setWordWrap(True)
        run = QHBoxLayout()
        run.addWidget(self.score_button, 1)
        run.addWidget(self.cancel_button)
        content = QWidget()
        column = QVBoxLayout(content)
        for title, inner in (("Channels", self.channels), ("Protocol", self.protocol)):
            box = QGroupBox(title)
            QVBoxLayout(box).addWidget(inner)
            column.addWidget(box)
        column.addLayout(run)
        for widget in (self.progress, self.status, self.summary):
            column.addWidget(widget)
        column.addStretch(1)
        scroll = self._scroll = QScrollArea()
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidgetResizable(True)
        scroll.setWidget(content)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scroll)
        self.setMinimumWidth(360)

    def _update_buttons(self) -> None:
        running = self._worker is not None
        self.score_button.setEnabled(not running and self.protocol.protocol() is not None)
        self.cancel_button.setVisible(running and self._total > 1)
        self.cancel_button.setEnabled(True)
        self.progress.setVisible(running)

    def _channels_changed(self) -> None:
        if self._worker is None and self._failed:
            self._say("")

    def _protocol_changed(self) -> None:
        protocol = self.protocol.protocol()
        if protocol is not None:
            self.channels.set_protocol(protocol)
        if self._worker is None:
            self._say(STALE if self.summary.text() else "")
        self._update_buttons()

    def _say(self, text: str, *, is_error: bool = False) -> None:
        self._failed = is_error
        self.status.setStyleSheet(ERROR_STYLE if is_error else "")
        self.status.setText(text)
        self.status.setVisible(bool(text))

    def _count(self, done: int) -> None:
        self._done = done
        if self._total > 1:
            self.progress.setValue(done)
            self._say(f"Frame {done} of {self._total}")

    def _show(self, scored: ScoredFrames) -> None:
        self._say("")
        for layer in [layer for layer in self._viewer.layers if _is_result(layer)]:
            self._viewer.layers.remove(layer)
        labels, settings, _ = grades_layer(scored)
        self._viewer.add_labels(labels, **settings).contour = OUTLINE_PX
        self.summary.setText(summary_html(summary_rows(scored)))
        self._scroll.ensureWidgetVisible(self.summary)
        self.scored.emit()

    def _fail(self, error: Exception) -> None:
        if isinstance(error, Cher2Error):
            show_error(str(error))
        else:
            # A fault of the program, not of the data: napari shows it with what its author needs.
            notification_manager.receive_error(type(error), error, error.__traceback__)
        self._say(str(error), is_error=True)
        self.failed.emit(str(error))

    def _warn(self, warning: tuple[Any, ...]) -> None:
        show_warning(str(warning[0]))

    def _tell_cancelled(self) -> None:
        self._say(f"Cancelled after {self._done} of {self._total} frames; nothing was added.")
        self.cancelled.emit()

    def _finish(self) -> None:
        self._worker = None
        self._update_buttons()

    def _let_go(self) -> None:
        self.channels.stop_listening()
        self.cancel()


def _is_result(layer: Any) -> bool:
    said = layer.metadata.get(METADATA, {})
    return bool(layer.name == LAYER_NAME and said.get("layer") == LAYER_NAME)
