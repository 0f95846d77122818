"""The buttons that correct outlines, and what is said below them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]  # qtpy renames PyQt's pyqtSignal
from qtpy.QtWidgets import QButtonGroup, QGridLayout, QHBoxLayout, QLabel, QPushButton, QSpinBox, QVBoxLayout, QWidget

from cher2.cells.objects import GRADE_NAMES
from cher2.napari.outline_tools import HINTS, Tool
from cher2.napari.protocol_form import ERROR_STYLE
from cher2.review.outline_replay import LostCorrection

BRUSH_PX, LARGEST_BRUSH_PX = 4, 40


class OutlinePanel(QWidget):
    """Buttons for the tools, for saving and for taking back.

    Parameters
    ----------
    parent : QWidget, optional
    """

    tool_chosen = Signal(object)
    brush_changed = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.buttons = {tool: QPushButton(tool.value) for tool in Tool}
        self.brush = QSpinBox()
        self.save_button, self.discard_button = QPushButton("Save correction"), QPushButton("Discard")
        self.take_back_button = QPushButton("Take back the last correction")
        self.status = QLabel()
        self._group = QButtonGroup(self)
        self._lay_out()

    def enable(self, *, tools: bool, saving: bool, taking_back: bool) -> None:
        """Say which buttons can be pressed."""
        for widget in (*self.buttons.values(), self.brush):
            widget.setEnabled(tools)
        for button in (self.save_button, self.discard_button):
            button.setEnabled(saving)
        self.take_back_button.setEnabled(taking_back)

    def show_tool(self, tool: Tool) -> None:
        """Show the tool that is in hand, and how it is used."""
        self.buttons[tool].setChecked(True)
        self.say(HINTS[tool])

    def say(self, text: str, *, is_error: bool = False) -> None:
        """Say something below the buttons."""
        self.status.setStyleSheet(ERROR_STYLE if is_error else "")
        self.status.setText(text)

    def _lay_out(self) -> None:
        grid = QGridLayout()
        for place, (tool, button) in enumerate(self.buttons.items()):
            button.setCheckable(True)
            button.setToolTip(HINTS[tool])
            button.clicked.connect(lambda _=False, tool=tool: self.tool_chosen.emit(tool))
            self._group.addButton(button)
            # Select stands alone, the others in pairs.
            if place == 0:
                grid.addWidget(button, 0, 0, 1, 2)
            else:
                grid.addWidget(button, (place + 1) // 2, (place - 1) % 2)
        brush = QHBoxLayout()
        brush.addWidget(QLabel("Brush (pixels)"))
        brush.addWidget(self.brush, 1)
        grid.addLayout(brush, 4, 0, 1, 2)
        for half in (0, 1):
            grid.setColumnStretch(half, 1)
        self.brush.setRange(1, LARGEST_BRUSH_PX)
        self.brush.setValue(BRUSH_PX)
        self.brush.valueChanged.connect(self.brush_changed)
        last = QHBoxLayout()
        last.addWidget(self.save_button, 1)
        last.addWidget(self.discard_button)
        self.status.setWordWrap(True)
        # A key must go on to the viewer, whatever was clicked last: grades are given by keys.
        for button in (*self.buttons.values(), self.save_button, self.discard_button, self.take_back_button):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.brush.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        column = QVBoxLayout(self)
        column.addLayout(grid)
        column.addLayout(last)
        column.addWidget(self.take_back_button)
        column.addWidget(self.status)
        column.addStretch(1)


def described(objects: pd.DataFrame) -> str:
    """Say what the machine takes a few drawn objects for."""
    words = []
    for row in objects.head(4).to_dict("records"):
        graded = "not graded" if pd.isna(row["grade_auto"]) else f"HER2 {GRADE_NAMES[int(row['grade_auto'])]}"
        kind = {"ctc": "CTC", "leukocyte": "leukocyte"}.get(row["kind"], f"no CTC ({row['failed_gate']})")
        words.append(f"Cell {row['object_id']}: {kind}, {graded}.")
    return " ".join([*words, *(["..."] if len(objects) > len(words) else [])])


def lost_in_words(lost: Sequence[LostCorrection]) -> str:
    """Say which parts of corrections could not be applied."""
    words = [
        f"cell {one.place.object_id} at y {one.place.y_px:.0f}, x {one.place.x_px:.0f}, corrected by {one.reader} on "
        f"{one.corrected_at[:10]}: {one.reason}"
        for one in lost
    ]
    return "; ".join(words) + "."
