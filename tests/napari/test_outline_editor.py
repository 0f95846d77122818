"""Correcting outlines in a real window, with true events of the mouse and the keyboard on the canvas."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel
from napari.utils._proxies import PublicOnlyProxy
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from cher2.errors import ReviewError
from cher2.images.files import find_image_files
from cher2.images.reader import read_frames
from cher2.napari.outline_editor import LAYER_NAME, OutlineEditor
from cher2.napari.outline_tools import HINTS, Tool
from cher2.napari.palettes import OUTLINE_PX
from cher2.palette import GRADE_COLOURS
from cher2.review.outline import Place
from cher2.review.outline_log import Correction, edits_folder, read_corrections, write_correction
from cher2.review.outlines import corrected_labels, corrected_objects
from cher2.study.folder import Study


@pytest.fixture
def study(study_copy):
    return Study.open(study_copy)


def image_of(study, number=0):
    name = study.samples["image"].iloc[number]
    (file,) = (f for f in find_image_files(study.path.parent / "images", study.protocol) if f.name == name)
    return next(iter(read_frames(file, study.protocol)))


class Canvas:
    """The viewer's canvas as a hand on the mouse has it: places in pixels of the frame."""

    def __init__(self, viewer, scale):
        # napari 0.9 moved the camera.
        self.camera, self._scale = (viewer.scene if hasattr(viewer, "scene") else viewer).camera, scale
        (self.widget,) = (
            w for w in QApplication.allWidgets() if type(w).__name__.startswith("CanvasBackend") and w.isVisible()
        )

    def at(self, y, x):
        size = np.array([self.widget.height(), self.widget.width()])
        centre, zoom = np.array(self.camera.center[-2:]), self.camera.zoom
        row, column = (np.array([y, x]) * self._scale - centre) * zoom + size / 2
        return QPoint(round(column), round(row))

    def click(self, y, x):
        self.drag((y, x))

    def drag(self, *places):
        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        self._send(QEvent.Type.MouseMove, places[0], none, none)
        self._send(QEvent.Type.MouseButtonPress, places[0], left, left)
        for place in places[1:]:
            self._send(QEvent.Type.MouseMove, place, none, left)
        self._send(QEvent.Type.MouseButtonRelease, places[-1], left, none)

    def _send(self, kind, place, button, held):
        """Send an event of the mouse; QTest's own moves go through the screen's server, and come when they come."""
        at = self.at(*place)
        there = QPointF(self.widget.mapToGlobal(at))
        modifier = Qt.KeyboardModifier.NoModifier
        QApplication.sendEvent(self.widget, QMouseEvent(kind, QPointF(at), there, button, held, modifier))
        QApplication.processEvents()


class Desk:
    """A window with an editor that shows a frame."""

    def __init__(self, viewer, editor, study, image, canvas):
        self.viewer, self.editor, self.study, self.image, self.canvas = viewer, editor, study, image, canvas
        self.machine = study.objects_of(image.name)

    @property
    def labels(self):
        return self.editor.layer.data

    def use(self, tool):
        QTest.mouseClick(self.editor.panel.buttons[tool], Qt.MouseButton.LeftButton)
        assert self.editor.panel.buttons[tool].isChecked()

    def cell(self, kind="ctc", place=0):
        """Return the number and the centroid of a cell of the machine's that holds its centroid."""
        rows = self.machine[(self.machine["kind"] == kind) & ~self.machine["touches_border"]]
        held = [r for r in rows.itertuples() if self.labels[round(r.y_px), round(r.x_px)] == r.object_id]
        return held[place].object_id, held[place].y_px, held[place].x_px

    def free(self, side=16):
        """Return the middle of a square of background."""
        for row in range(20, self.labels.shape[0] - side, 5):
            for column in range(20, self.labels.shape[1] - side, 5):
                if not self.labels[row : row + side, column : column + side].any():
                    return row + side / 2, column + side / 2
        raise AssertionError("the frame is full")

    def save(self, qtbot):
        with qtbot.waitSignal(self.editor.corrected) as got:
            QTest.mouseClick(self.editor.panel.save_button, Qt.MouseButton.LeftButton)
        return got.args[0]


@pytest.fixture
def desk(make_napari_viewer, study, qtbot):
    """An editor in a window."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    image = image_of(study)
    scale = (image.pixel_size_um, image.pixel_size_um)
    viewer.add_image(image.plane("ck", study.protocol.channels), scale=scale)
    editor = OutlineEditor(viewer)
    viewer.window.add_dock_widget(editor, name="Outlines")
    editor.show_frame(study, image, "A", {"scale": scale})
    viewer.reset_view()
    QApplication.processEvents()
    yield Desk(viewer, editor, study, image, Canvas(viewer, image.pixel_size_um))
    editor.close_frame()


@pytest.fixture
def plain_desk(study, qtbot):
    """An editor of a viewer without a window, behind the proxy that plugins are handed.

    It warns of private attributes, and a warning is an error here.
    """
    viewer = ViewerModel()
    editor = OutlineEditor(PublicOnlyProxy(viewer))
    qtbot.addWidget(editor)
    image = image_of(study)
    editor.show_frame(study, image, "A")
    yield Desk(viewer, editor, study, image, None)
    editor.close_frame()


def wait_for_unsaved(desk, qtbot, unsaved=True):
    qtbot.waitUntil(lambda: desk.editor.panel.save_button.isEnabled() is unsaved)
    assert desk.editor.has_unsaved is unsaved


def test_a_painted_cell_is_saved_measured_and_graded(desk, qtbot):
    layer = desk.editor.layer
    assert (layer.name, layer.contour) == (LAYER_NAME, OUTLINE_PX)
    assert not desk.editor.panel.save_button.isEnabled()
    y, x = desk.free()
    desk.use(Tool.NEW)
    desk.editor.panel.brush.setValue(6)
    desk.canvas.drag((y, x - 4), (y, x), (y, x + 4))
    new = int(desk.machine["object_id"].max()) + 1
    drawn = desk.labels == new
    assert 40 < drawn.sum() < 160
    assert drawn[round(y), round(x)]
    wait_for_unsaved(desk, qtbot)
    saved = desk.save(qtbot)
    assert saved.change.added == (new,)
    (row,) = saved.objects.to_dict("records")
    assert row["area_um2"] == pytest.approx(drawn.sum() * 0.64**2)
    assert not desk.editor.has_unsaved
    assert f"Cell {new}: no CTC (nucleus_overlap_min), HER2 0" in desk.editor.panel.status.text()
    assert np.array_equal(corrected_labels(desk.study, desk.image.name) == new, drawn)
    assert len(corrected_objects(desk.study, desk.image.name)) == len(desk.machine) + 1


def test_painting_erasing_undoing_discarding(desk, qtbot):
    number, y, x = desk.cell()
    before = desk.labels.copy()
    desk.use(Tool.PAINT)
    desk.canvas.drag((y, x), (y, x + 8), (y, x + 16))
    painted = before != desk.labels
    assert painted.any()
    assert set(np.unique(desk.labels[painted])) == {number}, "painting begins in a cell"
    assert not before[painted].any(), "and takes nothing from others"
    wait_for_unsaved(desk, qtbot)
    QTest.keyClick(desk.canvas.widget, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(desk.labels, before)
    wait_for_unsaved(desk, qtbot, unsaved=False)

    desk.use(Tool.ERASE)
    desk.canvas.drag((y, x), (y, x + 2))
    assert desk.labels[round(y), round(x)] == 0
    wait_for_unsaved(desk, qtbot)
    QTest.mouseClick(desk.editor.panel.discard_button, Qt.MouseButton.LeftButton)
    assert np.array_equal(desk.labels, before)
    assert not desk.editor.has_unsaved
    QTest.keyClick(desk.canvas.widget, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(desk.labels, before), "what was discarded does not come back piece by piece"
    assert not edits_folder(desk.study, desk.image.name).exists()


def test_a_line_splits_and_two_clicks_merge(desk, qtbot):
    number, y, x = desk.cell()
    before = desk.labels.copy()
    desk.use(Tool.SPLIT)
    camera = tuple(desk.canvas.camera.center)
    desk.canvas.drag((y - 30, x), (y, x), (y + 30, x))
    assert tuple(desk.canvas.camera.center) == camera, "the view does not move along"
    new = int(before.max()) + 1
    assert np.array_equal((desk.labels == number) | (desk.labels == new), before == number)
    left, right = (desk.labels == new).sum(), (desk.labels == number).sum()
    assert 0.2 < left / (left + right) <= 0.5
    desk.canvas.drag((y - 2, x), (y + 2, x))
    assert "from edge to edge" in desk.editor.panel.status.text()
    saved = desk.save(qtbot)
    assert (saved.change.added, saved.change.changed) == ((new,), (number,))

    desk.use(Tool.MERGE)
    where = [tuple(np.mean(np.nonzero(desk.labels == n), axis=1)) for n in (number, new)]
    desk.canvas.click(*where[0])
    desk.canvas.click(*where[1])
    assert np.array_equal(desk.labels, before)
    wait_for_unsaved(desk, qtbot)
    assert desk.save(qtbot).change.removed == (new,)
    pd.testing.assert_frame_equal(corrected_objects(desk.study, desk.image.name), desk.machine, check_exact=True)

    (_, *one), (_, *other) = desk.cell("leukocyte", 0), desk.cell("leukocyte", 3)
    desk.canvas.click(*one)
    desk.canvas.click(*other)
    assert "do not touch" in desk.editor.panel.status.text()
    assert np.array_equal(desk.labels, before)

    desk.use(Tool.DELETE)
    desk.canvas.drag((y, x), (y + 20, x + 20))
    assert np.array_equal(desk.labels, before), "who drags moves the view"
    desk.canvas.click(y, x)
    wait_for_unsaved(desk, qtbot)
    assert desk.save(qtbot).change.removed == (number,)
    assert number not in corrected_objects(desk.study, desk.image.name)["object_id"].tolist()


def delete(desk, number):
    """Delete a cell as the tool does."""
    layer = desk.editor.layer
    layer.data_setitem(np.nonzero(layer.data == number), 0)


def test_take_back(plain_desk, qtbot):
    desk, number = plain_desk, int(plain_desk.machine["object_id"].iloc[0])
    assert not desk.editor.panel.take_back_button.isEnabled()
    delete(desk, number)
    wait_for_unsaved(desk, qtbot)
    assert desk.save(qtbot).change.removed == (number,)
    with qtbot.waitSignal(desk.editor.taken_back) as got:
        desk.editor.panel.take_back_button.click()
    assert got.args == [desk.image.name]
    assert (desk.labels == number).any()
    pd.testing.assert_frame_equal(corrected_objects(desk.study, desk.image.name), desk.machine)
    assert [c.action for c in read_corrections(desk.study, desk.image.name)] == ["correct", "take_back"]
    assert not desk.editor.panel.take_back_button.isEnabled()


def test_outlines_have_the_colours_of_the_grades(plain_desk):
    editor = plain_desk.editor
    ctcs = plain_desk.machine[plain_desk.machine["kind"] == "ctc"]
    for row in ctcs.itertuples():
        colour = GRADE_COLOURS[row.grade_auto]
        wanted = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        np.testing.assert_allclose(editor.layer.get_color(row.object_id)[:3], wanted, atol=0.003)
    editor.colour_objects(ctcs.assign(kind_final="ctc", grade=3))
    np.testing.assert_allclose(editor.layer.get_color(int(ctcs["object_id"].iloc[0]))[0], 0xD8 / 255, atol=0.003)


def test_another_frame_waits_until_what_is_drawn_is_saved(plain_desk):
    editor, other = plain_desk.editor, image_of(plain_desk.study, 1)
    delete(plain_desk, 1)
    with pytest.raises(ReviewError, match="not saved"):
        editor.show_frame(plain_desk.study, other, "A")
    editor.discard()
    editor.show_frame(plain_desk.study, other, "A")
    assert editor.outlines.image == other.name
    assert [layer.name for layer in plain_desk.viewer.layers] == [LAYER_NAME]


def test_a_correction_that_cannot_be_saved_stays_drawn(plain_desk):
    (plain_desk.study.path / "edits").write_text("", encoding="utf-8")
    delete(plain_desk, 1)
    drawn = plain_desk.labels.copy()
    assert plain_desk.editor.save() is None
    assert "not saved" in plain_desk.editor.panel.status.text()
    assert np.array_equal(plain_desk.labels, drawn)
    assert plain_desk.editor.has_unsaved


def test_a_frame_that_is_not_as_it_was_scored_gives_no_tool(plain_desk):
    editor, other = plain_desk.editor, image_of(plain_desk.study, 1)
    editor.show_frame(plain_desk.study, dataclasses.replace(other, name=plain_desk.image.name), "A")
    editor.use(Tool.PAINT)
    assert "not as it was when the image was scored" in editor.panel.status.text()
    assert editor.panel.buttons[Tool.SELECT].isChecked()
    assert editor.layer.mode == "pan_zoom"


def test_what_is_lost_is_said(plain_desk):
    study, image = plain_desk.study, plain_desk.image
    gone = Correction(image.name, "B", "correct", "earlier", "p", removed=(Place(17, -90.0, -90.0, 5.0),))
    write_correction(study, gone)
    plain_desk.editor.show_frame(study, image, "A")
    said = plain_desk.editor.panel.status.text()
    assert "cell 17 at y -90, x -90, corrected by B" in said
    assert "no object is there any more" in said


def test_tools_follow_naparis_own_buttons_and_bind_no_key(plain_desk):
    editor, layer = plain_desk.editor, plain_desk.editor.layer
    editor.use(Tool.PAINT)
    assert plain_desk.viewer.layers.selection.active is layer
    editor.select(3)
    assert layer.selected_label == 3
    editor.use(Tool.NEW)
    new = layer.selected_label
    editor.select(3)
    assert layer.selected_label == new == layer.data.max() + 1
    layer.mode = "erase"
    assert editor.panel.buttons[Tool.ERASE].isChecked()
    layer.mode = "pan_zoom"
    assert editor.panel.status.text() == HINTS[Tool.SELECT]
    layer.brush_size = 9
    assert editor.panel.brush.value() == 9
    assert not dict(layer.keymap)
    for button in editor.panel.buttons.values():
        assert button.focusPolicy() == Qt.FocusPolicy.NoFocus


def test_a_layer_that_the_reader_removes_ends_the_correction(plain_desk):
    plain_desk.viewer.layers.remove(plain_desk.editor.layer)
    assert plain_desk.editor.layer is None
    assert not any(button.isEnabled() for button in plain_desk.editor.panel.buttons.values())
    assert plain_desk.editor.save() is None
