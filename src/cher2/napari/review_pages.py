"""The pages of a review's dock: the current cell, the correcting of outlines, and the agreement of readers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton, QStackedWidget, QVBoxLayout, QWidget

from cher2.errors import ReviewError
from cher2.napari.agreement_panel import AgreementPanel
from cher2.napari.outline_dock import OutlineDock
from cher2.napari.review_keys import key_of

CELL, OUTLINES, AGREEMENT = range(3)


class ReviewPages(QStackedWidget):
    """The pages, of which one is shown.

    Parameters
    ----------
    cell : sequence of QWidget
        What is shown of the current cell, the first of them as large as there is room.
    outlines : OutlineDock
    agreement : AgreementPanel
    commands : mapping of str to callable
        What each action of :data:`~cher2.napari.review_keys.KEYS` does.
    """

    def __init__(
        self,
        cell: Sequence[QWidget],
        outlines: OutlineDock,
        agreement: AgreementPanel,
        commands: Mapping[str, Callable[[], None]],
    ) -> None:
        super().__init__()
        self._outlines, self._agreement = outlines, agreement
        self._add(cell)
        self._add((outlines.editor, _button("End correcting outlines", commands, "outlines")))
        self._add((agreement, _button("Back to the cells", commands, "agreement")))

    def show_cell(self) -> None:
        """Show the current cell."""
        self.setCurrentIndex(CELL)

    def toggle_outlines(self) -> None:
        """Begin to correct outlines, or end it; raises as :meth:`OutlineDock.toggle`."""
        try:
            self._outlines.toggle()
        finally:
            self.setCurrentIndex(OUTLINES if self._outlines.is_open else CELL)

    def toggle_agreement(self, *, blind: bool) -> None:
        """Show how far the readers agree, or the current cell again.

        Raises
        ------
        ReviewError
            The reading is blind, or what is drawn is not saved.
        """
        if self.currentIndex() == AGREEMENT:
            self.setCurrentIndex(CELL)
            return
        if blind:
            raise ReviewError("a blind reader is shown no agreement", remedy="Choose a queue that is not blind")
        if self._outlines.is_open:
            self.toggle_outlines()
        self.setCurrentIndex(AGREEMENT)
        self._agreement.compute()

    def _add(self, widgets: Sequence[QWidget]) -> None:
        page = QWidget()
        inner = QVBoxLayout(page)
        inner.setContentsMargins(0, 0, 0, 0)
        for number, widget in enumerate(widgets):
            inner.addWidget(widget, 0 if number else 1)
        self.addWidget(page)


def _button(title: str, commands: Mapping[str, Callable[[], None]], action: str) -> QPushButton:
    button = QPushButton(f"{title}  [{key_of(action)}]")
    button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    button.clicked.connect(lambda _=False: commands[action]())
    return button
