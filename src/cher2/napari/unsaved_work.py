"""What is asked before a review is closed that would lose drawn outlines, or decisions that are not stored."""

from __future__ import annotations

from pathlib import Path

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from cher2.errors import Cher2Error
from cher2.napari.outline_editor import OutlineEditor
from cher2.review.decisions_csv import decisions_csv
from cher2.review.session import ReviewSession
from cher2.study.tables import write_whole

Button = QMessageBox.StandardButton


def may_close(parent: QWidget, session: ReviewSession, editor: OutlineEditor, *, can_stay: bool = True) -> bool:
    """Ask what becomes of what is not saved, until it is saved or given up; ask nothing where all is saved.

    Parameters
    ----------
    parent : QWidget
        Over which it is asked.
    session : ReviewSession
    editor : OutlineEditor
    can_stay : bool
        Whether there is a way back: a dock that napari takes away cannot be kept.

    Returns
    -------
    bool
        False where the reader wants to go on.
    """
    return _outlines(parent, editor, can_stay=can_stay) and _decisions(parent, session, can_stay=can_stay)


def _outlines(parent: QWidget, editor: OutlineEditor, *, can_stay: bool) -> bool:
    while editor.has_unsaved:
        image = editor.outlines.image if editor.outlines is not None else ""
        chosen = _ask(
            parent,
            f"The outlines that you drew on {image} are not saved.",
            Button.Save | Button.Discard | (Button.Cancel if can_stay else Button.NoButton),
        )
        if chosen == Button.Discard:
            return True
        if chosen != Button.Save:
            return False
        # What could not be saved was told, and is asked again.
        editor.save()
    return True


def _decisions(parent: QWidget, session: ReviewSession, *, can_stay: bool) -> bool:
    while session.unsaved and not session.retry():
        count = len(session.unsaved)
        chosen = _ask(
            parent,
            f"{count} decisions are not stored, and would be lost. Retry stores them where they belong; Save writes "
            "them into a CSV file, which 'cher2 import' brings into the study later.",
            Button.Retry | Button.Save | Button.Discard | (Button.Cancel if can_stay else Button.NoButton),
        )
        if chosen == Button.Discard or (chosen == Button.Save and _write(parent, session)):
            return True
        if chosen == Button.Cancel:
            return False
    return True


def _write(parent: QWidget, session: ReviewSession) -> bool:
    suggested = str(Path.home() / "decisions_not_stored.csv")
    name, _ = QFileDialog.getSaveFileName(parent, "Decisions that are not stored", suggested, "CSV (*.csv)")
    if not name:
        return False
    try:
        write_whole(Path(name), decisions_csv(session.unsaved).encode())
    except Cher2Error as error:
        show_error(str(error))
        return False
    return True


def _ask(parent: QWidget, words: str, buttons: QMessageBox.StandardButton) -> QMessageBox.StandardButton:
    first = Button.Save if buttons & Button.Save and not buttons & Button.Retry else Button.Retry
    return QMessageBox.warning(parent, "Close the review", words, buttons, first)
