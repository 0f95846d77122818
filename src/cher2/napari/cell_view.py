"""The cell under review: its channels in one contrast for all cells, its numbers, and what was decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget
from superqt import QElidingLabel

from cher2.napari.cell_bars import IntensityBar, ProbabilityBars
from cher2.napari.cell_facts import HIDDEN, CellFacts, numbers_html, source_words, state_html
from cher2.napari.cell_tiles import WARNING_COLOUR, CellTiles
from cher2.protocol import Role
from cher2.report.thumbnails import CellThumbnail

_WARNING_STYLE = f"background-color: {WARNING_COLOUR}; color: black; font-weight: bold; padding: 1px 4px;"
_UNSAVED_STYLE = "background-color: #c62828; color: white; font-weight: bold; padding: 1px 6px;"
_ROOM_PX = 12  # superqt reckons without the label's own margins


class CellView(QWidget):
    """Shows one cell, large.

    A blinded reader sees the pictures, the size and the other stains, and neither the automatic grade nor what it
    comes from (intensity, cut-offs, p0 to p3), nor whose cell it is.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tiles = CellTiles()
        self.outline_box, self.auto_box = QCheckBox("Outline"), QCheckBox("Auto contrast")
        self.warning = QLabel("not comparable")
        self.final, self.automatic, self.unsaved = QLabel(), QLabel(), QLabel("UNSAVED")
        self.note, self.patient, self.frame = QElidingLabel(), QElidingLabel(), QElidingLabel()
        self.intensity, self.probabilities = IntensityBar(), ProbabilityBars()
        self.hidden = QLabel(f"HER2 intensity, cut-offs and p0 to p3 {HIDDEN}")
        self.numbers = QLabel()
        self._lay_out()
        self.outline_box.toggled.connect(self.tiles.set_outline_shown)
        self.auto_box.toggled.connect(self.set_auto_contrast)
        self.set_auto_contrast(False)

    def show_cell(self, thumbnail: CellThumbnail | None, facts: CellFacts) -> None:
        """Show a cell; without its picture, ``facts.message`` says why."""
        self.tiles.show_thumbnail(thumbnail, facts.outline, facts.message)
        for label, html in zip((self.final, self.automatic), state_html(facts), strict=True):
            label.setText(html)
        self.final.setToolTip(facts.reader)
        _set_shown(self.unsaved, facts.unsaved)
        self.note.setText(f"Note: {facts.note}" if facts.note else "")
        self.note.setToolTip(facts.note)
        for label, words in zip((self.patient, self.frame), source_words(facts), strict=True):
            label.setText(words)
            label.setToolTip(words)
        self.numbers.setText(numbers_html(facts))
        for bar in (self.intensity, self.probabilities):
            bar.show_facts(facts)
            bar.setVisible(not facts.blind)
        self.hidden.setVisible(facts.blind)

    def set_white(self, white: Mapping[Role, float]) -> None:
        """Set the counts above background that are shown white, the same for every cell."""
        self.tiles.set_white(white)

    def set_auto_contrast(self, auto: bool) -> None:
        """Stretch every tile to its own brightest pixel, and say that cells cannot be compared then."""
        with QSignalBlocker(self.auto_box):
            self.auto_box.setChecked(auto)
        _set_shown(self.warning, auto)
        self.tiles.set_auto_contrast(auto)

    def set_channels_shown(self, roles: Sequence[Role]) -> None:
        """Show these channels alone, in their tiles and in the composite."""
        self.tiles.set_channels_shown(roles)

    def _lay_out(self) -> None:
        self.outline_box.setChecked(True)
        self.warning.setStyleSheet(_WARNING_STYLE)
        self.unsaved.setStyleSheet(_UNSAVED_STYLE)
        self.frame.setElideMode(Qt.TextElideMode.ElideMiddle)
        for line in (self.note, self.patient, self.frame):
            line.setEllipsesWidth(_ROOM_PX)
        self.hidden.setWordWrap(True)
        for label in (self.final, self.automatic, self.numbers):
            label.setTextFormat(Qt.TextFormat.RichText)
            # A long name must not widen the whole dock.
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        switches = QHBoxLayout()
        for box in (self.outline_box, self.auto_box):
            # The reader's keys must reach the dock.
            box.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            switches.addWidget(box)
        switches.addStretch(1)
        switches.addWidget(self.warning)
        state = QHBoxLayout()
        state.addWidget(self.final, 1)
        state.addWidget(self.unsaved)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.setSpacing(4)
        column.addWidget(self.tiles, 1)
        column.addLayout(switches)
        column.addLayout(state)
        for widget in (
            self.automatic,
            self.note,
            self.hidden,
            self.intensity,
            self.probabilities,
            self.numbers,
            self.patient,
            self.frame,
        ):
            column.addWidget(widget)
        column.addStretch()


def _set_shown(label: QLabel, shown: bool) -> None:
    """Show or hide a label that keeps its place, so that nothing moves from cell to cell."""
    policy = label.sizePolicy()
    policy.setRetainSizeWhenHidden(True)
    label.setSizePolicy(policy)
    label.setVisible(shown)
