"""The gallery in a real window: what it shows, what it tells, and what it leaves to the window around it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import QCoreApplication, QEvent, QPoint, Qt
from qtpy.QtWidgets import QVBoxLayout, QWidget

from cher2.napari.gallery import Gallery
from cher2.napari.gallery_model import CellState
from cher2.napari.picture_loader import PictureLoader
from cher2.palette import GRADE_COLOURS, KIND_COLOURS
from cher2.report.cell_pictures import StudyFrames, cell_places
from cher2.study.folder import Study

WAIT_MS = 10_000
PLAIN = Qt.KeyboardModifier.NoModifier
SHIFT, CTRL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier


@pytest.fixture(scope="module")
def study(scored):
    return Study(scored.path)


@pytest.fixture(scope="module")
def cells(study):
    cells = study.read_objects(study.samples["image"], ["ctc"])
    # The third cell's image is gone.
    return cells.assign(image=cells["image"].where(np.arange(len(cells)) != 2, "P99/gone.tif"))


class Dock(QWidget):
    """A window around the gallery, which takes the keys that the gallery leaves."""

    def __init__(self, gallery):
        super().__init__()
        self.keys = []
        QVBoxLayout(self).addWidget(gallery)

    def keyPressEvent(self, event):
        self.keys.append(event.text())


@pytest.fixture
def gallery(qtbot, study, cells):
    loader = PictureLoader(StudyFrames(study), cells)
    gallery = Gallery(loader)
    gallery.dock = Dock(gallery)
    gallery.dock.resize(440, 500)
    gallery.chosen, gallery.selections = [], []
    gallery.cell_chosen.connect(gallery.chosen.append)
    gallery.selection_changed.connect(lambda rows: gallery.selections.append(rows.tolist()))
    gallery.set_cells(cells)
    gallery.dock.show()
    qtbot.waitExposed(gallery.dock)
    gallery.view.setFocus()
    places = cell_places(cells)
    qtbot.waitUntil(lambda: all(loader.picture(places[at]) for at in (0, 1, 3, 4, 5)), timeout=WAIT_MS)
    qtbot.waitUntil(lambda: loader.fault(places[2]) is not None, timeout=WAIT_MS)
    yield gallery
    loader.close()
    gallery.dock.close()
    gallery.dock.deleteLater()
    # Now, and in this thread: not whenever garbage is collected in another.
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


def middle(gallery, position):
    return gallery.view.room_of(position).center()


def click(qtbot, gallery, position, modifier=PLAIN):
    qtbot.mouseClick(gallery.view.canvas, Qt.MouseButton.LeftButton, modifier, middle(gallery, position))


def painted(gallery, position):
    """Return the pixels of a cell as they are on the screen, (Y, X, 3)."""
    room = gallery.view.room_of(position)
    image = gallery.view.canvas.grab(room).toImage()
    colours = [[image.pixelColor(x, y) for x in range(image.width())] for y in range(image.height())]
    return np.array([[(c.red(), c.green(), c.blue()) for c in row] for row in colours])


def count(pixels, colour, tolerance=12):
    wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return int((np.abs(pixels - wanted).max(axis=-1) <= tolerance).sum())


def test_cells_lie_where_qt_takes_them_to_lie(gallery, cells):
    view, model = gallery.view, gallery.view.model()
    for width in range(150, 640, 23):
        view.resize(width, 400)
        for position in (0, 1, 2, 5, 20, len(cells) - 1):
            assert view.visualRect(model.index(position)) == view.room_of(position), width
    view.bar.setValue(view.bar.maximum() // 2)
    first, last = view.shown_positions()
    assert view.indexAt(QPoint(20, 20)).row() in range(first, last)
    assert last - first < 60


@pytest.mark.parametrize("grade", [0, 1, 2, 3])
def test_the_border_has_the_colour_of_the_grade_solid_once_reviewed(gallery, grade):
    gallery.set_states([4], [CellState("ctc", grade)])
    dashed = count(painted(gallery, 4), GRADE_COLOURS[grade])
    gallery.set_states([4], [CellState("ctc", grade, reviewed=True)])
    solid = count(painted(gallery, 4), GRADE_COLOURS[grade])
    assert solid > 4 * 84 * 2
    assert 0 < dashed < solid / 2


def test_what_is_no_ctc_has_the_colour_of_its_kind_and_a_faint_picture(gallery):
    bright = painted(gallery, 4)[20:70, 20:70].max()
    gallery.set_states([4], [CellState("leukocyte", None, reviewed=True)])
    pixels = painted(gallery, 4)
    assert count(pixels, KIND_COLOURS["leukocyte"]) > 500
    assert pixels[20:70, 20:70].max() < bright


def test_a_hidden_grade_is_nowhere(gallery):
    seen = []
    for grade in range(4):
        gallery.set_states([4], [CellState("ctc", grade, reviewed=True, hidden=True)])
        seen.append(painted(gallery, 4))
    gallery.set_states([4], [CellState("leukocyte", None, reviewed=True, hidden=True)])
    seen.append(painted(gallery, 4))
    assert all((pixels == seen[0]).all() for pixels in seen)
    words = gallery.view.model().data(gallery.view.model().index(4), Qt.ItemDataRole.AccessibleTextRole)
    assert words == "cell 5: reviewed"


def test_an_unsaved_decision_has_a_red_corner(gallery):
    gallery.set_states([4], [CellState("ctc", 1, reviewed=True)])
    assert count(painted(gallery, 4), "#ff3b30") == 0
    gallery.set_states([4], [CellState("ctc", 1, reviewed=True, unsaved=True)])
    assert count(painted(gallery, 4), "#ff3b30") > 150


def test_a_missing_image_is_said_and_names_no_patient_to_the_blind(gallery):
    model = gallery.view.model()
    tip = model.data(model.index(2), Qt.ItemDataRole.ToolTipRole)
    assert tip.startswith("P99/gone.tif: the image is not found")
    assert "cher2 review STUDY --images FOLDER" in tip
    gallery.set_states([2], [CellState(hidden=True)])
    tip = model.data(model.index(2), Qt.ItemDataRole.ToolTipRole)
    assert "P99" not in tip
    assert "--images FOLDER" in tip
    assert model.data(model.index(0), Qt.ItemDataRole.ToolTipRole) is None
    # Grey letters on a dark ground, not a picture.
    pixels = painted(gallery, 2)[12:86, 12:86]
    assert np.ptp(pixels, axis=-1).max() < 12
    assert count(pixels, "#e8e8e8") > 20


def test_one_channel_is_grey_and_the_composite_has_colours(gallery):
    assert np.ptp(painted(gallery, 4)[12:86, 12:86], axis=-1).max() > 50
    gallery.set_channel("ck")
    inside = painted(gallery, 4)[12:86, 12:86]
    assert np.ptp(inside, axis=-1).max() == 0
    assert inside.max() > 50
    gallery.set_channel("composite")
    assert np.ptp(painted(gallery, 4)[12:86, 12:86], axis=-1).max() > 50


def test_clicks_choose_and_select(qtbot, gallery):
    click(qtbot, gallery, 1)
    assert gallery.chosen == [1]
    assert gallery.selections[-1] == [1]
    click(qtbot, gallery, 4, SHIFT)
    assert gallery.selections[-1] == [1, 2, 3, 4]
    click(qtbot, gallery, 2, CTRL)
    assert gallery.selections[-1] == [1, 3, 4]
    assert gallery.chosen == [1]
    assert gallery.selected.tolist() == [1, 3, 4]


def test_rows_are_the_tables_whatever_the_order(qtbot, gallery):
    gallery.set_order([9, 4, 7, 0])
    click(qtbot, gallery, 2)
    assert gallery.chosen == [7]
    click(qtbot, gallery, 0, SHIFT)
    assert gallery.selections[-1] == [9, 4, 7]
    gallery.set_order([7, 1, 9])
    assert gallery.selected.tolist() == [7, 9]
    gallery.set_order([])
    assert gallery.selected.tolist() == []
    assert gallery.view.grab().toImage().width() > 0


def test_keys_that_move_choose_and_enter_chooses(qtbot, gallery):
    gallery.set_current(1)
    view = gallery.view
    qtbot.keyClick(view, Qt.Key.Key_Right)
    qtbot.keyClick(view, Qt.Key.Key_Down)
    assert gallery.chosen == [2, 2 + 4]
    qtbot.keyClick(view, Qt.Key.Key_Return)
    assert gallery.chosen == [2, 6, 6]
    qtbot.keyClick(view, Qt.Key.Key_A, CTRL)
    assert len(gallery.selections[-1]) == view.model().rowCount()


def test_digits_and_letters_are_left_to_the_dock(qtbot, gallery):
    gallery.set_current(3)
    for key in "0123xnjurc? ":
        qtbot.keyClick(gallery.view, key)
    assert "".join(gallery.dock.keys) == "0123xnjurc? "
    assert gallery.chosen == []
    assert gallery.selections == []
    assert gallery.view.currentIndex().row() == 3


def test_what_a_program_sets_is_not_echoed(qtbot, gallery, cells):
    gallery.set_current(len(cells) - 1)
    gallery.select([3, 5, 6, 10_000, -1])
    assert gallery.selected.tolist() == [3, 5, 6]
    gallery.set_current(2)
    assert gallery.selected.tolist() == [3, 5, 6]
    gallery.select([])
    gallery.set_cells(cells)
    qtbot.wait(20)
    assert gallery.chosen == []
    assert gallery.selections == []


def test_the_current_cell_is_framed_and_in_sight(gallery, cells):
    row = len(cells) - 1
    gallery.set_current(row)
    first, last = gallery.view.shown_positions()
    assert first <= row < last
    framed = painted(gallery, row)
    gallery.set_current(row - 1)
    plain = painted(gallery, row)
    assert (framed[1, 5:-5] != plain[1, 5:-5]).any(axis=-1).all()


def test_scrolling_loads_what_comes_into_sight(qtbot, gallery, cells):
    places = cell_places(cells)
    gallery.view.bar.setValue(gallery.view.bar.maximum())
    first, last = gallery.view.shown_positions()
    qtbot.waitUntil(lambda: all(gallery._loader.picture(place) for place in places[first:last]), timeout=WAIT_MS)


def test_a_gallery_of_no_cells(gallery):
    gallery.set_cells(pd.DataFrame({"image": [], "y_px": [], "x_px": []}))
    gallery.set_order([])
    gallery.set_states([], [])
    gallery.set_current(0)
    gallery.set_current(None)
    gallery.select([0])
    assert gallery.selected.tolist() == []
    assert gallery.view.grab().toImage().width() > 0
