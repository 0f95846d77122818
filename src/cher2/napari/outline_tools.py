"""The tools that correct outlines, on a Labels layer: what a press, a drag and a click do with each.

All changes go through napari's own painting or ``data_setitem``, so that its undo takes them back one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from cher2.errors import ReviewError
from cher2.review.outline_drawing import merged_pixels, number_at, split_by_line

A_CLICK_PX = 4.0
"""A press that moves no farther than this, on the screen, is a click."""


class Tool(Enum):
    """A way to correct outlines; the value is what its button says."""

    SELECT = "Select"
    PAINT = "Paint"
    ERASE = "Erase"
    SPLIT = "Split"
    MERGE = "Merge"
    NEW = "New cell"
    DELETE = "Delete cell"


HINTS = {
    Tool.SELECT: "Click on a cell to select it; drag to move the view.",
    Tool.PAINT: "Press in a cell and drag: it grows, and takes nothing from its neighbours.",
    Tool.ERASE: "Drag over what does not belong to a cell. A cell that is cut in two becomes two.",
    Tool.SPLIT: "Draw a line through a cell, from outside to outside.",
    Tool.MERGE: "Click on a cell, then on the neighbour that belongs to it.",
    Tool.NEW: "Paint the missed cell. Press the button again for the next one.",
    Tool.DELETE: "Click on what is no cell.",
}

_MODES = {Tool.PAINT: "paint", Tool.NEW: "paint", Tool.ERASE: "erase"}
_TOOLS = {"pan_zoom": Tool.SELECT, "paint": Tool.PAINT, "erase": Tool.ERASE}


class OutlineTools:
    """The tools on one layer.

    Parameters
    ----------
    layer : napari.layers.Labels
        With labels (Y, X).
    next_number : callable
        Gives the number of the next new cell, as long as nothing is drawn.
    report : callable
        Called at the end of each gesture: with a ReviewError for the reader to see, or None when it went well.
    """

    def __init__(
        self, layer: Labels, next_number: Callable[[], int], report: Callable[[ReviewError | None], None]
    ) -> None:
        self._layer = layer
        self._next_number = next_number
        self._report = report
        self._tool = Tool.SELECT
        self._changing = False
        self.tool_changed: Callable[[Tool], None] = lambda tool: None
        # It stands before the callback that napari adds for its own mode, and so chooses the cell that is painted.
        layer.mouse_drag_callbacks.append(self._press)
        layer.events.mode.connect(self._follow_mode)
        self.use(Tool.SELECT)

    @property
    def tool(self) -> Tool:
        """The tool in hand."""
        return self._tool

    def use(self, tool: Tool) -> None:
        """Take a tool in hand."""
        layer = self._layer
        self._changing = True
        self._tool = tool
        layer.mode = _MODES.get(tool, "pan_zoom")
        layer.mouse_pan = tool in (Tool.SELECT, Tool.MERGE, Tool.DELETE)
        layer.preserve_labels = tool in (Tool.PAINT, Tool.NEW)
        if tool is Tool.NEW:
            layer.selected_label = self.fresh_number()
        elif tool is Tool.MERGE:
            layer.selected_label = 0
        self._changing = False
        self.tool_changed(tool)

    def fresh_number(self) -> int:
        """Return a number that no cell has, had or was drawn with."""
        return max(self._next_number(), int(self._layer.data.max(initial=0)) + 1)

    def let_go(self) -> None:
        """Leave the layer as napari has it."""
        self._layer.events.mode.disconnect(self._follow_mode)
        self._layer.mouse_drag_callbacks.remove(self._press)

    def _follow_mode(self, event: Any) -> None:
        """Follow napari's own buttons for a layer's mode."""
        if not self._changing:
            self._tool = _TOOLS.get(str(event.mode), Tool.SELECT)
            self._layer.preserve_labels = self._tool is Tool.PAINT
            self.tool_changed(self._tool)

    def _press(self, layer: Labels, event: Any) -> Iterator[None]:
        """Do what the tool does between a press of the left button and its release."""
        if event.button != 1:
            return
        start, pressed_at = self._point(event), np.asarray(event.pos, float)
        if self._tool is Tool.PAINT:
            begun_in = number_at(layer.data, start)
            if begun_in:
                layer.selected_label = begun_in
        moved = 0.0
        yield
        while event.type == "mouse_move":
            moved = max(moved, self._screen_px(event, pressed_at))
            yield
        try:
            if self._tool is Tool.SPLIT:
                self._split(start, self._point(event))
            elif self._tool not in _MODES and max(moved, self._screen_px(event, pressed_at)) <= A_CLICK_PX:
                self._click(number_at(layer.data, start))
        except ReviewError as error:
            self._report(error)
        else:
            self._report(None)

    @staticmethod
    def _screen_px(event: Any, pressed_at: NDArray[np.float64]) -> float:
        return float(np.hypot(*(np.asarray(event.pos, float) - pressed_at)))

    def _point(self, event: Any) -> tuple[float, float]:
        y, x = self._layer.world_to_data(event.position)[-2:]
        return float(y), float(x)

    def _split(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        split = split_by_line(self._layer.data, start, end)
        self._layer.data_setitem(split.pixels, self.fresh_number())
        self._layer.selected_label = split.object_id

    def _click(self, number: int) -> None:
        layer = self._layer
        if self._tool is Tool.SELECT and number:
            layer.selected_label = number
        elif self._tool is Tool.DELETE:
            if not number:
                raise ReviewError("there is no cell", remedy="Click inside an outline")
            layer.data_setitem(np.nonzero(layer.data == number), 0)
        elif self._tool is Tool.MERGE:
            first = int(layer.selected_label)
            if first == 0 or not (layer.data == first).any():
                layer.selected_label = number
                return
            layer.selected_label = 0
            layer.data_setitem(merged_pixels(layer.data, first, number), first)
