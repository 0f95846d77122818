"""The frame of the current cell in the viewer: its channels on fixed contrast, the outlines, and where the cell is.

Layers change in the window's thread only; a frame comes here when it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import napari.viewer
import numpy as np
from napari.layers import Image, Labels, Points
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from cher2.napari.frame_reader import FramePixels
from cher2.napari.palettes import CHANNEL_PALETTES, CLASSIC, OUTLINE_PX
from cher2.protocol import ROLES, Role

OUTLINES, CURRENT = "cher2 outlines", "cher2 current cell"
MARK_OF_RADIUS = 2.6
"""Diameter of the ring around the current cell, in the cell's own radii: it must not hide the outline."""

_OURS = "cher2_review"


class Target(NamedTuple):
    """The cell that is to be shown: its centroid and the radius of a circle of its area."""

    y_px: float
    x_px: float
    radius_px: float


class FrameLayers:
    """The layers of a review in a viewer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    white : mapping of role to float
        Counts above the background that are shown in full colour.
    colours : callable
        From an image's name to the outline colour of each object; called in the window's thread.
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        white: Mapping[Role, float],
        colours: Callable[[str], dict[int | None, str]],
    ) -> None:
        self._viewer, self._white, self._colours = viewer, white, colours
        self._layers: dict[str, Any] = {}
        self._shown: FramePixels | None = None

    @property
    def shown(self) -> FramePixels | None:
        """The frame that is in the viewer."""
        return self._shown

    @property
    def outlines(self) -> Labels | None:
        """The layer of outlines; None before the first frame."""
        return self._layers.get(OUTLINES)

    def show(self, frame: FramePixels, target: Target) -> None:
        """Show a frame, and a cell in its middle; what is shown already stays as it is."""
        if frame is not self._shown:
            self._shown = frame
            for role, plane in frame.planes.items():
                self._set_channel(role, plane, frame.pixel_size_um)
            self._set_outlines(frame)
        self._mark(frame, target)

    def recolour(self) -> None:
        """Take the outlines' colours anew."""
        if self._shown is not None and OUTLINES in self._layers:
            self._layers[OUTLINES].colormap = DirectLabelColormap(color_dict=self._colours(self._shown.image))

    def show_channels(self, roles: tuple[Role, ...]) -> None:
        """Show some channels only."""
        for role in ROLES:
            if role in self._layers:
                self._layers[role].visible = role in roles

    def object_at(self, position: tuple[float, ...]) -> int:
        """Return the number of the object at a place in the viewer's world; 0 for none."""
        layer = self.outlines
        if layer is None or self._shown is None:
            return 0
        y, x = (round(at) for at in layer.world_to_data(position)[-2:])
        height, width = self._shown.labels.shape
        return int(layer.data[y, x]) if 0 <= y < height and 0 <= x < width else 0

    def remove(self) -> None:
        """Take the layers out of the viewer."""
        layers = self._viewer.layers
        ours = {layer for layer in self._layers.values() if layer in layers}
        if ours:
            # All at once: napari cleans up behind each layer that is removed by itself, a third of a second long.
            others = set(layers.selection) - ours
            layers.selection = ours
            layers.remove_selected()
            layers.selection = others
        self._layers.clear()
        self._shown = None

    def _set_channel(self, role: Role, plane: NDArray[Any], pixel_size_um: float) -> None:
        # A median of every eighth pixel each way is as good, and a sixtieth of the work.
        black = float(np.median(plane[::8, ::8]))
        limits = (black, black + self._white[role])
        layer = self._layers.get(role)
        if layer is None or layer not in self._viewer.layers:
            self._layers[role] = self._viewer.add_layer(
                Image(
                    plane,
                    name=f"{role.upper()} (review)",
                    colormap=CHANNEL_PALETTES[CLASSIC][role],
                    blending="additive",
                    contrast_limits=limits,
                    scale=(pixel_size_um, pixel_size_um),
                    units=("um", "um"),
                    metadata={_OURS: True},
                )
            )
            return
        layer.data = plane
        layer.contrast_limits = limits

    def _set_outlines(self, frame: FramePixels) -> None:
        scale = (frame.pixel_size_um, frame.pixel_size_um)
        layer = self._layers.get(OUTLINES)
        if layer is None or layer not in self._viewer.layers:
            layer = Labels(
                frame.labels, name=OUTLINES, scale=scale, units=("um", "um"), opacity=1.0, metadata={_OURS: True}
            )
            layer.contour = OUTLINE_PX
            self._layers[OUTLINES] = self._viewer.add_layer(layer)
        else:
            layer.data = frame.labels
        self.recolour()

    def _mark(self, frame: FramePixels, target: Target) -> None:
        """Put the ring around the current cell, and the cell into the middle of the viewer."""
        size = 2 * MARK_OF_RADIUS * target.radius_px
        place = np.array([[target.y_px, target.x_px]])
        layer = self._layers.get(CURRENT)
        if layer is None or layer not in self._viewer.layers:
            scale = (frame.pixel_size_um, frame.pixel_size_um)
            layer = Points(
                place,
                name=CURRENT,
                size=size,
                face_color="transparent",
                border_color="white",
                border_width=0.04,
                scale=scale,
                units=("um", "um"),
                metadata={_OURS: True},
            )
            self._layers[CURRENT] = self._viewer.add_layer(layer)
            # The controls of an image leave the most room for the cells.
            self._viewer.layers.selection.active = self._layers.get("her2", self._layers[OUTLINES])
            self._camera().zoom = 2 / frame.pixel_size_um
        else:
            layer.data = place
            layer.size = size
        y, x = target.y_px * frame.pixel_size_um, target.x_px * frame.pixel_size_um
        self._camera().center = (0.0, y, x)

    def _camera(self) -> Any:
        # napari 0.9 moved it, and warns of the old place.
        scene = getattr(self._viewer, "scene", None)
        return scene.camera if scene is not None else self._viewer.camera
