"""Correcting outlines within a review: the editor takes over the current cell's frame, and the review what it saved."""

from __future__ import annotations

import napari.viewer
from qtpy.QtCore import QObject

from cher2.errors import ReviewError
from cher2.napari.frame_follower import FrameFollower
from cher2.napari.outline_editor import OutlineEditor
from cher2.report.cell_pictures import StudyFrames
from cher2.review.outline_saving import SavedCorrection
from cher2.review.session import ReviewSession


class OutlineDock(QObject):
    """The editor of outlines beside a review.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    session : ReviewSession
    frames : StudyFrames
    follower : FrameFollower
        It stays where it is while outlines are corrected.
    """

    def __init__(
        self, viewer: napari.viewer.Viewer, session: ReviewSession, frames: StudyFrames, follower: FrameFollower
    ) -> None:
        super().__init__(follower)
        self._session, self._frames, self._follower = session, frames, follower
        self.editor = OutlineEditor(viewer)
        self._image = ""
        self.editor.corrected.connect(self._take_saved)
        self.editor.taken_back.connect(lambda _: self._take())

    @property
    def is_open(self) -> bool:
        """Whether outlines are being corrected."""
        return bool(self._image)

    def toggle(self) -> None:
        """Begin to correct the frame of the current cell, or end it.

        Raises
        ------
        ReviewError
            The reading is blind, there is no cell, or what is drawn is not saved.
        Cher2Error
            The frame cannot be read.
        """
        if self.is_open:
            self.end()
        else:
            self._begin()

    def end(self) -> None:
        """End correcting; the viewer follows the review again.

        Raises
        ------
        ReviewError
            What is drawn is not saved.
        """
        if self.editor.has_unsaved:
            raise ReviewError(
                "the outlines that were drawn are not saved",
                where=self._image,
                remedy="Save the correction, or discard it",
            )
        self.close()
        self._follower.set_held(False)

    def close(self) -> None:
        """Take the editor's layer away, saved or not: the window goes."""
        self._image = ""
        self.editor.close_frame()

    def _begin(self) -> None:
        row = self._session.current
        if row is None:
            raise ReviewError("there is no cell whose outline could be corrected", remedy="Choose another queue")
        if self._session.blind:
            raise ReviewError(
                "outlines are not corrected in a blind reading: the colours of other cells would tell their grades",
                remedy="Choose a queue that is not blind",
            )
        cell = self._session.cells.iloc[row]
        image = str(cell["image"])
        size = self._frames.pixel_size_um(image)
        placement = {"scale": (size, size), "units": ("um", "um")}
        self.editor.show_frame(self._session.study, self._frames.frame(image), self._session.reader, placement)
        self.editor.select(int(cell["object_id"]))
        self._image = image
        self._follower.set_held(True)

    def _take_saved(self, saved: SavedCorrection) -> None:
        """Take over a correction, and go to the cell that was drawn: the next key is meant for it."""
        self._take()
        drawn = (*saved.change.added, *saved.change.changed)
        rows = [self._session.ledger.row_of(self._image, number) for number in drawn]
        here = [row for row in rows if row is not None and row in self._session.order]
        if here and self._session.current not in here:
            self._session.go_to(here[0])

    def _take(self) -> None:
        """Take over what was saved: other cells, other measurements, other grades."""
        self._session.take_corrected(self._image)
        self._follower.reader.forget(self._image)
