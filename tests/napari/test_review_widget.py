"""The review's window, driven by real keys and clicks; what it stored is read from the database by another log."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from contextlib import closing

import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QShortcut
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLineEdit, QMessageBox, QWidget

from cher2.errors import StudyError
from cher2.napari.frame_layers import CURRENT, OUTLINES
from cher2.napari.review_keys import KEYS, key_of, keys_html, main_window
from cher2.review.open_log import open_log
from cher2.study.folder import Study

WAIT_MS = 20_000


@pytest.fixture
def home(scored, tmp_path):
    """A copy of the scored synthetic study, beside its images."""
    shutil.copytree(scored.path, tmp_path / "study")
    shutil.copytree(scored.images, tmp_path / "images")
    return tmp_path / "study"


@pytest.fixture
def viewer(make_napari_viewer):
    made = make_napari_viewer(show=True)
    made.window.resize(1280, 800)
    return made


@pytest.fixture
def widget(viewer, home, qtbot):
    review = viewer.window.add_plugin_dock_widget("cher2", "Review study")[1]
    open_it(review, home, qtbot)
    yield review
    review.close_study()


def open_it(review, home, qtbot, reader="anna", queue="patient", **options):
    review.open_study(home, reader, queue, images=home.parent / "images", **options)
    window = main_window(review)
    window.activateWindow()
    qtbot.waitUntil(lambda: QApplication.activeWindow() is not None, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: shown(review) is not None, timeout=WAIT_MS)


def shown(review):
    layers = review.panel.follower.layers
    return None if layers is None else layers.shown


@pytest.fixture
def canvas(widget):
    """The widget that shows the image: what has the focus after a click on it."""
    (found,) = [child for child in main_window(widget).findChildren(QWidget) if "Canvas" in type(child).__name__
                and "vispy" in type(child).__module__]  # fmt: skip
    return found


def decisions(home):
    with closing(open_log(Study(home))) as log:
        return log.entries()


def stored(home):
    return [(entry.action, entry.kind, entry.grade) for entry in decisions(home)]


@pytest.mark.parametrize("place", ["canvas", "gallery", "dock"])
def test_keys_grade_and_go_on_wherever_the_focus_is(widget, canvas, home, place):
    session = widget.panel.session
    target = {"canvas": canvas, "gallery": widget.panel.cells.gallery.view, "dock": widget.panel.view}[place]
    first, second, third, fourth, fifth = session.order[:5].tolist()
    for key in "0123":
        QTest.keyClick(target, key)
    assert session.current == fifth
    QTest.keyClick(target, Qt.Key.Key_X)
    entries = decisions(home)
    assert [(e.action, e.kind, e.grade) for e in entries] == [
        *(("grade", "ctc", grade) for grade in range(4)),
        ("not_ctc", "other", None),
    ]
    assert [e.object_id for e in entries[:4]] == session.cells["object_id"].iloc[
        [first, second, third, fourth]
    ].tolist()
    assert {e.reader for e in entries} == {"anna"}


def test_the_keys_win_over_those_of_a_labels_layer_that_is_being_painted(viewer, widget, canvas, home):
    layer = viewer.layers[OUTLINES]
    viewer.layers.selection.active = layer
    layer.mode = "paint"
    before = layer.data.copy(), layer.selected_label, layer.opacity
    for key in "123":
        QTest.keyClick(canvas, key)
    assert str(layer.mode) == "paint"
    assert (layer.data == before[0]).all()
    assert (layer.selected_label, layer.opacity) == before[1:]
    assert stored(home) == [("grade", "ctc", grade) for grade in (1, 2, 3)]


def test_going_about_undo_and_redo_by_keys(widget, canvas, home):
    session = widget.panel.session
    first, second, third = session.order[:3].tolist()
    QTest.keyClick(canvas, Qt.Key.Key_N)
    assert session.current == second
    QTest.keyClick(canvas, Qt.Key.Key_N, Qt.KeyboardModifier.ShiftModifier)
    assert session.current == first
    QTest.keyClick(canvas, Qt.Key.Key_3)
    QTest.keyClick(canvas, Qt.Key.Key_N, Qt.KeyboardModifier.ShiftModifier)
    QTest.keyClick(canvas, Qt.Key.Key_J)
    assert session.current == second
    QTest.keyClick(canvas, Qt.Key.Key_U)
    assert session.current == first
    assert not session.standing(first).reviewed
    QTest.keyClick(canvas, Qt.Key.Key_R)
    assert session.standing(first).grade == 3
    QTest.keyClick(canvas, Qt.Key.Key_N)
    QTest.keyClick(canvas, Qt.Key.Key_S)
    assert session.current == third
    assert [entry.action for entry in decisions(home)] == ["grade", "undo", "redo", "skip"]


def test_a_text_field_keeps_its_characters(widget, home):
    field = QLineEdit(widget)
    widget.layout().addWidget(field)
    field.show()
    field.setFocus()
    QTest.keyClicks(field, "3 of 10 xun")
    assert field.text() == "3 of 10 xun"
    assert decisions(home) == []


def test_channels_and_contrast_by_keys(viewer, widget, canvas):
    panel = widget.panel
    QTest.keyClick(canvas, Qt.Key.Key_C)
    assert panel.cells.channel.currentText() == "DAPI"
    assert [layer.visible for layer in viewer.layers if layer.name.endswith("(review)")] == [True, False, False, False]
    for _ in range(4):
        QTest.keyClick(canvas, Qt.Key.Key_C)
    assert panel.cells.channel.currentText() == "Composite"
    assert all(layer.visible for layer in viewer.layers)
    QTest.keyClick(canvas, Qt.Key.Key_A)
    assert panel.view.auto_box.isChecked()


def test_the_question_mark_shows_every_key(widget, canvas, qtbot):
    texts = []

    def read_and_close():
        box = QApplication.activeModalWidget()
        assert isinstance(box, QMessageBox)
        texts.append(box.text())
        box.accept()

    QTimer.singleShot(500, read_and_close)
    QTest.keyClick(canvas, "?", Qt.KeyboardModifier.ShiftModifier)
    assert texts == [keys_html()]
    assert all(key.words in texts[0] and key_of(key.action) in texts[0] for key in KEYS)


def test_closing_leaves_nothing_behind(viewer, home, qtbot):
    review = viewer.window.add_plugin_dock_widget("cher2", "Review study")[1]
    window = main_window(review)
    callbacks, docks = len(viewer.mouse_drag_callbacks), set(viewer.window.dock_widgets)
    open_it(review, home, qtbot)
    assert len([s for s in window.findChildren(QShortcut) if s.key().toString() == "3"]) == 1
    QTest.keyClick(window, Qt.Key.Key_3)
    viewer.window.remove_dock_widget(review)
    qtbot.waitUntil(lambda: not [s for s in window.findChildren(QShortcut) if s.key().toString() == "3"])
    assert len(viewer.layers) == 0
    assert len(viewer.mouse_drag_callbacks) == callbacks
    assert set(viewer.window.dock_widgets) <= docks
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("cher2")]
    QTest.keyClick(window, Qt.Key.Key_2)
    assert stored(home) == [("grade", "ctc", 3)]


def test_reopening_returns_to_the_same_cell_and_queue(widget, canvas, home, qtbot):
    widget.panel.session.set_queue("uncertain")
    for key in "120":
        QTest.keyClick(canvas, key)
    current = widget.panel.session.current
    widget.close_study()
    open_it(widget, home, qtbot, queue=None)
    again = widget.panel.session
    assert (again.queue.name, again.current, again.progress.reviewed) == ("uncertain", current, 3)


def test_what_cannot_be_saved_is_shown_so_and_saved_once_later(widget, canvas, home, qtbot):
    session = widget.panel.session
    first = session.current
    with closing(sqlite3.connect(home / "reviews.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        QTest.keyClick(canvas, Qt.Key.Key_2)
        assert session.current == first
        assert widget.panel.status.text().startswith("NOT SAVED")
        assert widget.panel.view.unsaved.isVisible()
        assert session.progress.reviewed == 0
        assert "1 not saved" in str(session.progress)
        QTest.keyClick(canvas, Qt.Key.Key_N)
        assert session.current != first
        other.execute("ROLLBACK")
    qtbot.waitUntil(lambda: not session.unsaved, timeout=WAIT_MS)
    assert widget.panel.status.text() == "All decisions are saved."
    assert stored(home) == [("grade", "ctc", 2)]
    assert session.standing(first).reviewed
    assert not session.standing(first).unsaved


def test_a_blind_reader_is_told_neither_grade_nor_patient(viewer, home, qtbot):
    review = viewer.window.add_plugin_dock_widget("cher2", "Review study")[1]
    open_it(review, home, qtbot, blind=True)
    panel = review.panel
    qtbot.waitUntil(lambda: "hidden" in panel.patient.text())
    labels = [label.text() for label in review.findChildren(QWidget) if hasattr(label, "text")]
    cell = panel.session.cells.iloc[panel.session.current]
    said = " ".join(text() if callable(text) else text for text in labels)
    assert cell["patient_id"] not in said.replace("CTC", "")
    assert not panel.controls.patient.isEnabled()
    assert len(set(viewer.layers[OUTLINES].colormap.color_dict.keys())) > 2
    colours = {tuple(colour) for label, colour in viewer.layers[OUTLINES].colormap.color_dict.items() if label}
    assert len(colours) == 1
    review.close_study()


def test_a_click_on_a_cell_in_the_image_makes_it_current(viewer, widget, canvas, qtbot):
    session = widget.panel.session
    image = session.cells["image"].iloc[session.current]
    rows = session.cells.index[session.cells["image"] == image].tolist()
    other = next(row for row in rows if row != session.current)
    cell, size = session.cells.iloc[other], shown(widget).pixel_size_um
    camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
    camera.center = (0, cell["y_px"] * size, cell["x_px"] * size)
    qtbot.wait(200)
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=canvas.rect().center())
    qtbot.waitUntil(lambda: session.current == other, timeout=WAIT_MS)


def test_a_click_on_what_the_machine_rejected_lets_a_reader_call_it_a_ctc(viewer, widget, canvas, home, qtbot):
    session, study = widget.panel.session, Study(home)
    image = session.cells["image"].iloc[session.current]
    objects = study.objects_of(image)
    rejected = objects[(objects["kind"] == "leukocyte") & ~objects["touches_border"]].iloc[0]
    length = len(session.order)
    size = shown(widget).pixel_size_um
    camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
    camera.center = (0, rejected["y_px"] * size, rejected["x_px"] * size)
    qtbot.wait(200)
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=canvas.rect().center())
    qtbot.waitUntil(lambda: session.cells["object_id"].iloc[session.current] == rejected["object_id"], timeout=WAIT_MS)
    row = session.current
    assert len(session.order) == length + 1
    session.set_queue("uncertain")
    assert row not in session.order
    session.set_queue("patient")
    session.look_at(image, int(rejected["object_id"]))
    QTest.keyClick(canvas, Qt.Key.Key_2)
    [entry] = decisions(home)
    assert (entry.object_id, entry.kind_before, entry.kind, entry.grade) == (
        rejected["object_id"],
        "leukocyte",
        "ctc",
        2,
    )
    session.set_queue("uncertain")
    assert row in session.order


def test_the_frame_is_centred_on_the_current_cell(viewer, widget, canvas, qtbot):
    session = widget.panel.session
    QTest.keyClick(canvas, Qt.Key.Key_N)
    cell = session.cells.iloc[session.current]
    qtbot.waitUntil(lambda: tuple(viewer.layers[CURRENT].data[0]) == (cell["y_px"], cell["x_px"]), timeout=WAIT_MS)
    assert viewer.layers[OUTLINES].data[round(cell["y_px"]), round(cell["x_px"])] in (0, cell["object_id"])


def test_a_lasso_narrows_the_queue(widget, qtbot):
    panel = widget.panel
    chosen = panel.session.order[[2, 5, 7]]
    panel.cells.scatter.selection_changed.emit(chosen)
    assert panel.cells.gallery.selected.tolist() == sorted(chosen.tolist())
    panel.cells.narrow.click()
    assert panel.session.order.tolist() == chosen.tolist()
    panel.cells.narrow.click()
    assert len(panel.session.order) == len(panel.session.cells)


def test_another_readers_decision_is_seen_on_refresh(widget, home, qtbot):
    from cher2.review.session import ReviewSession

    session = widget.panel.session
    with closing(ReviewSession(Study(home), open_log(Study(home)), "ben", "patient")) as other:
        other.grade(1)
        row = other.order[0]
    widget.panel._refresh.timeout.emit()
    assert session.standing(row).reader == "ben"


@pytest.mark.parametrize("folder", ["nowhere", ""])
def test_a_folder_without_a_study_is_refused_in_the_form(viewer, tmp_path, folder):
    review = viewer.window.add_plugin_dock_widget("cher2", "Review study")[1]
    review.study.setText(str(tmp_path / folder))
    review.reader.setText("anna")
    review.open_button.click()
    assert "no study folder" in review.error.text()
    assert review.panel is None
    with pytest.raises(StudyError):
        review.open_study(tmp_path, "anna")


def test_a_reader_without_a_name_is_refused(viewer, home):
    review = viewer.window.add_plugin_dock_widget("cher2", "Review study")[1]
    review.study.setText(str(home))
    review.reader.setText(" ")
    review.open_button.click()
    assert "name of its reader" in review.error.text()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("cher2")]
