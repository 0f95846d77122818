"""Which layer is which channel: a box a role that fills in by itself."""

from __future__ import annotations

from typing import Any

import napari.layers
import napari.viewer
from qtpy.QtCore import Signal  # type: ignore[attr-defined]  # qtpy renames PyQt's pyqtSignal
from qtpy.QtWidgets import QComboBox, QFormLayout, QWidget

from cher2.napari.layer_roles import ROLE_TITLES, guess_layer
from cher2.napari.palettes import CHANNEL_PALETTES, CLASSIC
from cher2.protocol import ROLES, Protocol, Role

NONE = "(choose a layer)"


class ChannelForm(QWidget):
    """Boxes with the image layers of a viewer, one for each role, and one with the palettes.

    A box whose layer goes, or that has none yet, takes the layer that most likely is its channel; a choice stays
    while its layer is there, whatever the layer is called.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    parent : QWidget, optional
    """

    changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._protocol = Protocol()
        self._choices: list[Any] = []
        self._chosen: dict[Role, Any | None] = dict.fromkeys(ROLES)
        self._boxes: dict[Role, QComboBox] = {}
        self._listening = False
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for role in ROLES:
            box = self._boxes[role] = QComboBox()
            # A long layer name must not widen the whole dock.
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(12)
            box.currentIndexChanged.connect(self._choose)
            form.addRow(ROLE_TITLES[role], box)
        self.palette_box = QComboBox()
        self.palette_box.addItems(list(CHANNEL_PALETTES))
        self.palette_box.currentTextChanged.connect(self._paint)
        form.addRow("Colours", self.palette_box)

    def box(self, role: Role) -> QComboBox:
        """Return the box of a role."""
        return self._boxes[role]

    def layers(self) -> dict[Role, Any | None]:
        """Return the chosen layer of each role; None where there is none."""
        return dict(self._chosen)

    def set_protocol(self, protocol: Protocol) -> None:
        """Look for the channel names of another protocol from now on."""
        if protocol.channels != self._protocol.channels:
            self._protocol = protocol
            self._refresh()

    def listen(self) -> None:
        """Follow the viewer's layers from now on."""
        if not self._listening:
            self._listening = True
            for event in self._events():
                event.connect(self._refresh)
            self._refresh()

    def stop_listening(self) -> None:
        """Let go of the viewer."""
        if self._listening:
            self._listening = False
            for event in self._events():
                event.disconnect(self._refresh)

    def _events(self) -> list[Any]:
        events = self._viewer.layers.events
        return [events.inserted, events.removed, events.reordered, events.renamed]

    def _refresh(self) -> None:
        images = [layer for layer in self._viewer.layers if isinstance(layer, napari.layers.Image)]
        self._choices = list(reversed(images))
        for role in ROLES:
            if self._index(self._chosen[role]) < 0:
                layer = self._chosen[role] = guess_layer(role, images, self._protocol)
                if layer is not None and self.palette_box.currentText() != CLASSIC:
                    self._paint_layer(role, layer)
            self._fill(role)
        self.changed.emit()

    def _fill(self, role: Role) -> None:
        box = self._boxes[role]
        box.blockSignals(True)
        box.clear()
        box.addItems([NONE, *(layer.name for layer in self._choices)])
        box.setCurrentIndex(self._index(self._chosen[role]) + 1)
        box.setToolTip(box.currentText())
        box.blockSignals(False)

    def _index(self, layer: Any | None) -> int:
        return next((k for k, choice in enumerate(self._choices) if choice == layer), -1)

    def _choose(self) -> None:
        for role, box in self._boxes.items():
            at = box.currentIndex() - 1
            self._chosen[role] = self._choices[at] if at >= 0 else None
            box.setToolTip(box.currentText())
        self.changed.emit()

    def _paint(self) -> None:
        for role, layer in self._chosen.items():
            if layer is not None:
                self._paint_layer(role, layer)

    def _paint_layer(self, role: Role, layer: Any) -> None:
        if not layer.rgb:
            layer.colormap = CHANNEL_PALETTES[self.palette_box.currentText()][role]
