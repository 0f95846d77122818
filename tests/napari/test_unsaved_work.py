"""Closing a review with unsaved work: the real dialog is shown and its buttons are pressed."""

from __future__ import annotations

import shutil
from contextlib import closing

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QApplication, QFileDialog, QMessageBox

from cher2.exchange.import_decisions import import_decisions
from cher2.napari.review_keys import main_window
from cher2.review.open_log import open_log, stored_decisions
from cher2.review.outline_log import read_corrections
from cher2.study.folder import Study

Button = QMessageBox.StandardButton


@pytest.fixture
def home(scored, tmp_path):
    """A copy of the scored synthetic study, beside its images."""
    shutil.copytree(scored.path, tmp_path / "study")
    shutil.copytree(scored.images, tmp_path / "images")
    return tmp_path / "study"


class KeepsWindow(QObject):
    """Takes the closing of a window that the review lets through: napari's own fixture closes it in the end."""

    closed = False

    def eventFilter(self, watched, event):
        if event.type() != QEvent.Type.Close:
            return False
        self.closed = True
        event.ignore()
        return True


@pytest.fixture
def review(make_napari_viewer, home):
    viewer = make_napari_viewer(show=True)
    widget = viewer.window.add_plugin_dock_widget("cher2", "Review study")[1]
    # What is installed first is asked last.
    widget.keeper = KeepsWindow()
    main_window(widget).installEventFilter(widget.keeper)
    widget.open_study(home, "anna", "patient", images=home.parent / "images")
    yield widget
    widget.close_study()
    main_window(widget).removeEventFilter(widget.keeper)


def erase_current(review):
    """Erase the current cell as a reader's brush would; returns its image."""
    session = review.panel.session
    number, image = (session.cells[name].iloc[session.current] for name in ("object_id", "image"))
    review.panel.commands["outlines"]()
    layer = review.panel.outlines.editor.layer
    layer.data = np.where(layer.data == number, 0, layer.data)
    return str(image)


def close_pressing(review, *buttons):
    """Close the window, press these buttons in the dialogs that follow, and return what those said."""
    asked, wanted = [], list(buttons)

    def press():
        box = QApplication.activeModalWidget()
        if isinstance(box, QMessageBox):
            asked.append(box.text())
            box.button(wanted.pop(0)).click()
        if wanted:
            QTimer.singleShot(50, press)

    if wanted:
        QTimer.singleShot(50, press)
    main_window(review).close()
    assert wanted == []
    return review.keeper.closed, asked


def test_nothing_is_asked_where_all_is_saved(review, home):
    assert review.panel.session.grade(2)
    assert close_pressing(review) == (True, [])
    assert review.panel is None
    assert [decision.grade for decision in stored_decisions(Study(home))] == [2]


@pytest.mark.parametrize("button", [Button.Save, Button.Discard, Button.Cancel])
def test_drawn_outlines_are_saved_discarded_or_kept_on_the_screen(review, home, button):
    image = erase_current(review)
    closed, (said,) = close_pressing(review, button)
    assert image in said
    assert closed is (button != Button.Cancel)
    assert len(read_corrections(Study(home), image)) == (button == Button.Save)
    if button == Button.Cancel:
        assert review.panel.outlines.editor.has_unsaved
        review.panel.outlines.editor.discard()


def test_decisions_that_are_not_stored_are_kept_written_to_a_file_or_stored(review, home, tmp_path, monkeypatch):
    file = tmp_path / "not_stored.csv"
    # The system's own dialog cannot be driven from here.
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(file), ""))
    session = review.panel.session
    moved = (home / "reviews.sqlite").rename(home / "elsewhere")
    assert not session.grade(3)
    closed, (said,) = close_pressing(review, Button.Cancel)
    assert not closed
    assert said.startswith("1 decisions are not stored")
    assert len(session.unsaved) == 1
    closed, _ = close_pressing(review, Button.Save)
    assert closed
    moved.rename(home / "reviews.sqlite")
    study = Study(home)
    assert stored_decisions(study) == []
    with closing(open_log(study)) as log:
        import_decisions(study, log, file, "")
    assert [decision.grade for decision in stored_decisions(study)] == [3]
