"""Correcting the outlines of one frame in the viewer: painted, erased, split, merged, added, deleted; then saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import napari.viewer
import numpy as np
import pandas as pd
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from napari.utils.notifications import show_error
from qtpy.QtCore import QTimer, Signal  # type: ignore[attr-defined]  # qtpy renames PyQt's pyqtSignal
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from cher2.cells.sample_rules import SampleRules
from cher2.cells.segmented import SegmentedImage, segment_image
from cher2.errors import Cher2Error, ReviewError
from cher2.images.image import Image
from cher2.napari.outline_panel import OutlinePanel, described, lost_in_words
from cher2.napari.outline_tools import HINTS, OutlineTools, Tool
from cher2.napari.palettes import DRAWN_COLOUR, OUTLINE_PX, outline_colours
from cher2.review.outline_frame import FrameOutlines, check_same_frame, load_outlines
from cher2.review.outline_rules import sample_rules
from cher2.review.outline_saving import SavedCorrection, measure_again, save_correction, take_back
from cher2.review.outlines import objects_within
from cher2.study.folder import Study

LAYER_NAME = "cher2 outlines"
LOOK_EVERY_MS = 250
"""How often what is drawn is compared with what is saved: napari tells of some changes only, and of none in public."""


class OutlineEditor(QWidget):
    """The tools, and the layer of the frame whose outlines are corrected.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Its layers are added to and changed in the window's thread only.
    parent : QWidget, optional
    """

    corrected = Signal(object)
    """A correction was saved; a :class:`cher2.review.outline_saving.SavedCorrection`."""

    taken_back = Signal(str)
    """The newest correction of this image was taken back."""

    unsaved_changed = Signal(bool)
    """Whether something is drawn that is not saved."""

    # napari finds the parameter for its viewer by this very annotation.
    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layer: Labels | None = None
        self._tools: OutlineTools | None = None
        self._outlines: FrameOutlines | None = None
        self._image: Image | None = None
        self._segmented: SegmentedImage | None = None
        self._reader = ""
        self._unsaved = False
        self.panel = OutlinePanel()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.panel)
        self.panel.tool_chosen.connect(self.use)
        self.panel.brush_changed.connect(self._set_brush)
        for button, does in (
            (self.panel.save_button, self.save),
            (self.panel.discard_button, self.discard),
            (self.panel.take_back_button, self.take_back),
        ):
            # A button would pass on whether it is checked.
            button.clicked.connect(lambda _=False, does=does: does())
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_EVERY_MS)
        self._timer.timeout.connect(self._look)
        viewer.layers.events.removed.connect(self._layer_removed)
        self.destroyed.connect(self._stop_listening)
        self._update()

    @property
    def layer(self) -> Labels | None:
        """The layer that is drawn on; None without a frame."""
        return self._layer

    @property
    def outlines(self) -> FrameOutlines | None:
        """The outlines as they are saved; None without a frame."""
        return self._outlines

    @property
    def has_unsaved(self) -> bool:
        """Whether something is drawn that is not saved; looks now."""
        self._look()
        return self._unsaved

    def show_frame(self, study: Study, image: Image, reader: str, placement: Mapping[str, Any] | None = None) -> None:
        """Show the outlines of a frame for correction.

        Parameters
        ----------
        study : Study
        image : Image
            The frame's pixels; its name is that of the table of objects.
        reader : str
            Who corrects.
        placement : dict, optional
            Scale, translation and units of the layers that show the frame.

        Raises
        ------
        ReviewError
            The outlines of the frame before are not saved, or those of this one cannot be read.
        StudyError
            The image is not scored.
        """
        if self.has_unsaved and self._outlines is not None:
            raise ReviewError(
                "the outlines that were drawn are not saved",
                where=self._outlines.image,
                remedy="Save the correction, or discard it",
            )
        outlines = load_outlines(study, image.name)
        objects = objects_within(outlines)
        self.close_frame()
        self._outlines, self._image, self._segmented, self._reader = outlines, image, None, reader
        self._layer = Labels(outlines.labels.copy(), name=LAYER_NAME, opacity=1.0, **dict(placement or {}))
        self._layer.contour = OUTLINE_PX
        self._layer.brush_size = self.panel.brush.value()
        self.colour_objects(objects)
        self._viewer.add_layer(self._layer)
        self._layer.events.set_data.connect(self._look)
        self._layer.events.brush_size.connect(self._follow_brush)
        self._tools = OutlineTools(self._layer, self._next_number, self._report)
        self._tools.tool_changed = self.panel.show_tool
        self._timer.start()
        self.panel.show_tool(Tool.SELECT)
        if outlines.state.lost:
            self.panel.say(f"Since the image was scored anew: {lost_in_words(outlines.state.lost)}", is_error=True)
        self._update()

    def close_frame(self) -> None:
        """Take the layer away; what is not saved is gone."""
        layer = self._layer
        self._forget_layer()
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def colour_objects(self, objects: pd.DataFrame) -> None:
        """Colour the outlines by kind and grade.

        Parameters
        ----------
        objects : DataFrame
            ``object_id``, ``kind`` and ``grade_auto``; or ``kind_final`` and ``grade`` of a reader, where those are.
        """
        final = "kind_final" in objects
        grades = objects["grade" if final else "grade_auto"]
        colours = outline_colours(
            objects["kind_final" if final else "kind"].tolist(),
            [None if pd.isna(grade) else int(grade) for grade in grades],
            objects["object_id"].tolist(),
        )
        colours[None] = DRAWN_COLOUR
        if self._layer is not None:
            self._layer.colormap = DirectLabelColormap(color_dict=colours)

    def select(self, object_id: int) -> None:
        """Make a cell the one that is painted; a new cell or a merging that has begun goes on."""
        if self._layer is not None and self._tools is not None and self._tools.tool not in (Tool.NEW, Tool.MERGE):
            self._layer.selected_label = object_id

    def use(self, tool: Tool) -> None:
        """Take a tool in hand, and make the outlines the viewer's active layer.

        A frame that cannot be measured refuses every tool but Select: nobody draws what cannot be saved.
        """
        if self._tools is None or self._layer is None:
            return
        self._viewer.layers.selection.active = self._layer
        try:
            if tool is not Tool.SELECT:
                self._pixels()
        except Cher2Error as error:
            self._tools.use(Tool.SELECT)
            self._fail(error)
            return
        self._tools.use(tool)

    def save(self) -> SavedCorrection | None:
        """Save what is drawn; its objects are measured and graded at once. What is wrong is told, and nothing lost."""
        if self._layer is None or self._outlines is None:
            return None
        try:
            rules = sample_rules(self._outlines.study, self._outlines.image)
            # A correction of an earlier scoring, that could not be measured without pixels, can be now.
            self._outlines = measure_again(self._outlines, self._pixels(), self._reader)
            saved = save_correction(self._outlines, self._layer.data, self._pixels(), self._reader, rules)
        except Cher2Error as error:
            self._fail(error)
            return None
        self._outlines = saved.outlines
        self._show_outlines(rules)
        self.panel.say(f"Saved: {saved.change}. {described(saved.objects)}")
        self.corrected.emit(saved)
        return saved

    def discard(self) -> None:
        """Draw the outlines as they are saved."""
        self._show_outlines()
        self.panel.say("Discarded.")

    def take_back(self) -> None:
        """Take the newest saved correction of the frame back, by one more entry that says so."""
        last = self._outlines.last if self._outlines is not None else None
        if self._outlines is None or last is None:
            return
        if self.has_unsaved:
            self._fail(ReviewError("what is drawn is not saved", remedy="Save the correction, or discard it, first"))
            return
        study, image = self._outlines.study, self._outlines.image
        try:
            take_back(study, image, last.correction_id, self._reader)
            self._outlines = load_outlines(study, image)
        except Cher2Error as error:
            self._fail(error)
            return
        self._show_outlines()
        self.panel.say(
            f"Taken back: the correction of {last.corrected_at[:16].replace('T', ' ')} UTC by {last.reader}."
        )
        self.taken_back.emit(image)

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802  (Qt's name)
        """Take the layer along, but for one that holds what is not saved."""
        if not self.has_unsaved:
            self.close_frame()
        super().closeEvent(event)

    def _pixels(self) -> SegmentedImage:
        """Return the frame ready to be measured; segmented once."""
        if self._segmented is None:
            if self._image is None or self._outlines is None:
                raise ReviewError("there is no frame", remedy="Show one first")
            segmented = segment_image(self._image, self._outlines.study.protocol)
            check_same_frame(self._outlines, segmented)
            self._segmented = segmented
        return self._segmented

    def _next_number(self) -> int:
        return self._outlines.state.next_number if self._outlines is not None else 1

    def _show_outlines(self, rules: SampleRules | None = None) -> None:
        """Draw the saved outlines, and forget what could be undone."""
        if self._layer is None or self._outlines is None or self._tools is None:
            return
        tool = self._tools.tool
        # napari forgets its history of strokes with this: they belong to other labels.
        self._layer.editable = False
        self._layer.data = self._outlines.labels.copy()
        self._layer.editable = True
        self._tools.use(Tool.SELECT if tool is Tool.NEW else tool)
        self.colour_objects(objects_within(self._outlines, rules=rules))
        self._look()
        self._update()

    def _look(self, _: Any = None) -> None:
        """Compare what is drawn with what is saved."""
        layer, saved = self._layer, self._outlines
        unsaved = layer is not None and saved is not None and not np.array_equal(layer.data, saved.labels)
        if unsaved != self._unsaved:
            self._unsaved = unsaved
            self.unsaved_changed.emit(unsaved)
            self._update()
            if unsaved:
                self.panel.say("Unsaved changes. Ctrl-Z undoes the last stroke.")

    def _update(self) -> None:
        there = self._layer is not None
        last = self._outlines.last if self._outlines is not None else None
        self.panel.enable(
            tools=there,
            saving=there and self._unsaved,
            taking_back=there and last is not None and not self._unsaved,
        )

    def _set_brush(self, size: int) -> None:
        if self._layer is not None:
            self._layer.brush_size = size

    def _follow_brush(self, _: Any = None) -> None:
        if self._layer is not None:
            self.panel.brush.setValue(int(self._layer.brush_size))

    def _report(self, error: ReviewError | None) -> None:
        """Tell what a gesture could not do; the hint comes back with the next that can."""
        if error is not None:
            self.panel.say(str(error), is_error=True)
        elif self._tools is not None:
            self.panel.say(HINTS[self._tools.tool])
        # Who presses "Save" right after a stroke must not find the button still grey.
        self._look()

    def _fail(self, error: Cher2Error) -> None:
        show_error(str(error))
        self.panel.say(str(error), is_error=True)

    def _layer_removed(self, event: Any) -> None:
        if self._layer is not None and event.value == self._layer:
            self._forget_layer()

    def _forget_layer(self) -> None:
        self._timer.stop()
        if self._tools is not None and self._layer is not None:
            self._tools.let_go()
            self._layer.events.set_data.disconnect(self._look)
            self._layer.events.brush_size.disconnect(self._follow_brush)
        self._layer = self._tools = self._outlines = self._image = self._segmented = None
        self._look()
        self.panel.say("")
        self._update()

    def _stop_listening(self) -> None:
        self._viewer.layers.events.removed.disconnect(self._layer_removed)
