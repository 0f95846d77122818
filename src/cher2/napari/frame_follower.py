"""The viewer follows the review: the current cell's frame, its neighbours in the queue, and clicks on cells."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import napari.viewer
import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]  # qtpy renames PyQt's pyqtSignal

from cher2.napari.frame_layers import FrameLayers, Target
from cher2.napari.frame_reader import FramePixels, FrameReader
from cher2.napari.palettes import outline_colours
from cher2.palette import KIND_COLOURS
from cher2.protocol import Role
from cher2.report.cell_pictures import StudyFrames
from cher2.review.outlines import corrected_labels
from cher2.review.reader_view import ReaderView

AFTER_MS = 120
"""The viewer follows when a reader stays this long: going through cells must not wait for whole frames."""

AHEAD = 3
"""Frames that are read before the reader comes to them."""

BLIND_COLOUR = KIND_COLOURS["other"]
"""All outlines, where grades are hidden."""


class FrameFollower(QObject):
    """Shows the frame of the current cell in the viewer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    view : ReaderView
    frames : StudyFrames
    parent : QObject, optional
    """

    arrived = Signal(str)
    """The name of a frame that is read now."""
    failed = Signal(str, str)
    """The name of a frame that cannot be read, and why."""
    object_clicked = Signal(str, int)
    """The name of the frame, and the number of an object in it."""

    def __init__(
        self, viewer: napari.viewer.Viewer, view: ReaderView, frames: StudyFrames, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer, self._view, self._frames = viewer, view, frames
        self.reader = FrameReader(self._read, self)
        self.layers: FrameLayers | None = None
        self._row: int | None = None
        self._held = False
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._show)
        self.reader.ready.connect(self._arrive)
        self.reader.failed.connect(self.failed)
        viewer.mouse_drag_callbacks.append(self._pick)

    def set_white(self, white: Mapping[Role, float]) -> None:
        """Set the study's contrast; nothing is shown in the viewer before."""
        self.layers = FrameLayers(self._viewer, white, self._colours)
        self._soon.start(0)

    def go_to(self, row: int | None) -> None:
        """Follow to a cell: read its frame and the next ones, and show it when the reader stays."""
        self._row = row
        if row is None:
            return
        images = self._view.cells["image"]
        coming = dict.fromkeys(images.iloc[after] for after in (row, *self._view.following(50)))
        self.reader.want(list(coming)[: AHEAD + 1])
        self._soon.start(AFTER_MS)

    def set_held(self, held: bool) -> None:
        """Stay at the frame that is shown, its outlines hidden, while they are corrected; or follow again."""
        self._held = held
        if self.layers is not None and self.layers.outlines is not None:
            self.layers.outlines.visible = not held
        if not held:
            self.go_to(self._row)

    def frame(self, row: int) -> FramePixels | None:
        """Return the frame of a cell, where it is read."""
        return self.reader.frame(str(self._view.cells["image"].iloc[row]))

    def recolour(self) -> None:
        """Take the outlines' colours anew."""
        if self.layers is not None:
            self.layers.recolour()

    def close(self) -> None:
        """Stop reading, and take the layers out of the viewer."""
        self._soon.stop()
        self.reader.close()
        if self.layers is not None:
            self.layers.remove()
        if self._pick in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._pick)

    def _read(self, image: str) -> FramePixels:
        planes = self._frames.planes(image)
        labels = corrected_labels(self._view.ledger.study, image)
        return FramePixels(image, planes, labels, self._frames.pixel_size_um(image))

    def _arrive(self, image: str) -> None:
        self.arrived.emit(image)
        if self._row is not None and image == self._view.cells["image"].iloc[self._row]:
            self._soon.start(0)

    def _show(self) -> None:
        if self._row is None or self.layers is None or self._held:
            return
        frame = self.frame(self._row)
        if frame is not None:
            cell = self._view.cells.iloc[self._row]
            radius = float(self._view.ledger.radius_px[self._row])
            self.layers.show(frame, Target(float(cell["y_px"]), float(cell["x_px"]), radius))

    def _colours(self, image: str) -> dict[int | None, str]:
        """Return the outline colours of a frame: by what stands for its cells, faint for other objects."""
        frame, cells = self.reader.frame(image), self._view.cells
        count = 0 if frame is None else int(frame.labels.max(initial=0))
        if self._view.blind:
            return {None: "#00000000", 0: "#00000000", **dict.fromkeys(range(1, count + 1), BLIND_COLOUR)}
        kinds, grades = ["other"] * count, list[int | None]([None] * count)
        for row in np.flatnonzero((cells["image"] == image).to_numpy()).tolist():
            number, standing = int(cells["object_id"].iloc[row]), self._view.standing(row)
            if number <= count:
                kinds[number - 1], grades[number - 1] = standing.kind, standing.grade
        return outline_colours(kinds, grades)

    def _pick(self, viewer: Any, event: Any) -> Generator[None, None, None]:
        """Tell of a click on an object that is no drag."""
        yield
        dragged = False
        while event.type == "mouse_move":
            dragged = True
            yield
        layers = self.layers
        if dragged or layers is None or layers.shown is None or self._painting(viewer):
            return
        number = layers.object_at(event.position)
        if number:
            self.object_clicked.emit(layers.shown.image, number)

    def _painting(self, viewer: Any) -> bool:
        """Say whether a click means a tool of the active layer, not a cell."""
        active = viewer.layers.selection.active
        return active is not None and str(getattr(active, "mode", "pan_zoom")) not in ("pan_zoom", "Mode.PAN_ZOOM")
