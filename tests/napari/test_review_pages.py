"""The pages of the review's dock: outlines corrected, and the agreement of readers, within a review."""

from __future__ import annotations

import shutil
from contextlib import closing

import numpy as np
import pytest

from cher2.napari.frame_layers import OUTLINES
from cher2.napari.outline_editor import LAYER_NAME
from cher2.napari.review_pages import AGREEMENT, CELL
from cher2.napari.review_pages import OUTLINES as OUTLINE_PAGE
from cher2.review.open_log import open_log
from cher2.review.session import ReviewSession
from cher2.study.folder import Study

WAIT_MS = 20_000


@pytest.fixture
def home(scored, tmp_path):
    """A copy of the scored synthetic study, beside its images, that two readers have begun."""
    shutil.copytree(scored.path, tmp_path / "study")
    shutil.copytree(scored.images, tmp_path / "images")
    study = Study(tmp_path / "study")
    for reader, grades in (("anna", [0, 1, 2, 3, 3, 2, 1, 0]), ("ben", [0, 1, 2, 3, 2, 2, 1, 1])):
        with closing(ReviewSession(study, open_log(study), reader, "patient")) as session:
            for grade in grades:
                assert session.grade(grade)
    return study.path


@pytest.fixture
def review(make_napari_viewer, home, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    widget = viewer.window.add_plugin_dock_widget("cher2", "Review study")[1]
    widget.open_study(home, "anna", "patient", images=home.parent / "images")
    follower = widget.panel.follower
    qtbot.waitUntil(lambda: follower.layers is not None and follower.layers.shown is not None, timeout=WAIT_MS)
    yield widget
    widget.close_study()


def test_the_agreement_is_shown_and_its_cells_are_reviewed(review, qtbot):
    panel = review.panel
    panel.commands["agreement"]()
    assert panel.pages.currentIndex() == AGREEMENT
    table = panel.agreement.table
    qtbot.waitUntil(lambda: table.rowCount() > 0, timeout=WAIT_MS)
    names = [panel.agreement.pair.itemText(k) for k in range(panel.agreement.pair.count())]
    assert names[0] == "anna and ben, open"
    assert {"anna and (automatic), open", "ben and (automatic), open"} <= set(names)
    counts = [[table.item(r, c).text() for c in range(5)] for r in range(5)]
    # By hand: anna 3, ben 2 once; anna 0, ben 1 once; the other six alike.
    assert counts[0] == ["1", "1", "", "", ""]
    assert counts[1] == ["", "2", "", "", ""]
    assert counts[2] == ["", "", "2", "", ""]
    assert counts[3] == ["", "", "1", "1", ""]
    assert "8 cells judged by both" in panel.agreement.words.text()
    table.cellClicked.emit(3, 2)
    assert panel.pages.currentIndex() == CELL
    [row] = panel.session.order.tolist()
    words = {name: decision.grade for name, decision in panel.session.ledger.history(row).readings().items()}
    assert words == {"anna": 3, "ben": 2}
    panel.cells.narrow.click()
    assert len(panel.session.order) == len(panel.session.cells)


def test_a_study_that_nobody_read_says_so(make_napari_viewer, scored, tmp_path, qtbot):
    shutil.copytree(scored.path, tmp_path / "study")
    viewer = make_napari_viewer()
    widget = viewer.window.add_plugin_dock_widget("cher2", "Review study")[1]
    widget.open_study(tmp_path / "study", "anna", images=scored.images)
    widget.panel.commands["agreement"]()
    qtbot.waitUntil(lambda: "no reader has judged" in widget.panel.agreement.words.text(), timeout=WAIT_MS)
    widget.close_study()


def test_a_blind_reader_is_shown_neither_agreement_nor_other_outlines(review):
    panel = review.panel
    panel.session.set_queue("sample")
    for name in ("agreement", "outlines"):
        panel.commands[name]()
        assert panel.pages.currentIndex() == CELL
        assert "blind" in panel.status.text()


def test_a_corrected_outline_is_measured_graded_and_reviewed(review, home, qtbot):
    panel, viewer = review.panel, review.panel.outlines.editor._viewer
    session = panel.session
    row = session.current
    cell = session.cells.iloc[row]
    image, number, area = str(cell["image"]), int(cell["object_id"]), float(cell["area_um2"])
    panel.commands["outlines"]()
    assert panel.pages.currentIndex() == OUTLINE_PAGE
    assert not viewer.layers[OUTLINES].visible
    layer = panel.outlines.editor.layer
    assert layer.name.startswith(LAYER_NAME)
    y, x = round(cell["y_px"]), round(cell["x_px"])
    data = layer.data.copy()
    # As a reader's eraser would: the rows below the middle of the cell.
    data[y + 1 :, x - 30 : x + 30][data[y + 1 :, x - 30 : x + 30] == number] = 0
    layer.data = data
    panel.commands["outlines"]()
    assert "not saved" in panel.status.text()
    assert panel.pages.currentIndex() == OUTLINE_PAGE
    assert panel.outlines.editor.save() is not None
    now = session.cells.iloc[row]
    assert int(now["object_id"]) == number
    assert 0.3 * area < float(now["area_um2"]) < 0.8 * area
    panel.commands["outlines"]()
    assert panel.pages.currentIndex() == CELL
    qtbot.waitUntil(lambda: viewer.layers[OUTLINES].visible, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: np.count_nonzero(viewer.layers[OUTLINES].data[y + 3 :, x - 20 : x + 20] == number) == 0,
                    timeout=WAIT_MS)  # fmt: skip
    with closing(ReviewSession(Study(home), open_log(Study(home)), "carl", "patient")) as other:
        again = other.cells.iloc[other.ledger.row_of(image, number)]
        assert float(again["area_um2"]) == pytest.approx(float(now["area_um2"]))


def test_a_deleted_cell_leaves_the_queue(review, qtbot):
    panel = review.panel
    session = panel.session
    row, before = session.current, len(session.order)
    number = int(session.cells["object_id"].iloc[row])
    panel.commands["outlines"]()
    layer = panel.outlines.editor.layer
    layer.data = np.where(layer.data == number, 0, layer.data)
    assert panel.outlines.editor.save() is not None
    assert row in session.ledger.gone
    assert len(session.order) == before - 1
    assert row not in session.order
    panel.commands["outlines"]()


def test_a_cell_that_a_reader_drew_is_the_next_to_be_graded(review, home, qtbot):
    panel, session = review.panel, review.panel.session
    panel.commands["outlines"]()
    layer = panel.outlines.editor.layer
    image = str(session.cells["image"].iloc[session.current])
    number = int(layer.data.max()) + 1
    free = np.argwhere(layer.data == 0)
    inside = ((free > 20) & (free < np.array(layer.data.shape) - 20)).all(axis=1)
    empty = [(y, x) for y, x in free[inside].tolist() if not layer.data[y - 8 : y + 9, x - 8 : x + 9].any()]
    y, x = empty[0]
    rows, columns = np.ogrid[: layer.data.shape[0], : layer.data.shape[1]]
    layer.data = np.where(np.hypot(rows - y, columns - x) < 7, number, layer.data)
    saved = panel.outlines.editor.save()
    assert saved is not None
    [drawn] = saved.change.added
    assert session.current == session.ledger.row_of(image, drawn)
    panel.commands["grade_3"]()
    panel.commands["outlines"]()
    with closing(open_log(Study(home))) as log:
        last = log.entries()[-1]
    assert (last.image, last.object_id, last.kind, last.grade) == (image, drawn, "ctc", 3)


def test_without_its_images_a_study_is_reviewed_all_the_same(make_napari_viewer, home, qtbot):
    shutil.rmtree(home.parent / "images")
    viewer = make_napari_viewer(show=True)
    widget = viewer.window.add_plugin_dock_widget("cher2", "Review study")[1]
    widget.open_study(home, "anna", "patient", images=home.parent / "images")
    panel = widget.panel
    qtbot.waitUntil(lambda: "image" in panel.status.text(), timeout=WAIT_MS)
    assert "--images" in panel.status.text()
    before = panel.session.current
    panel.commands["grade_2"]()
    assert panel.session.current != before
    assert not panel.session.unsaved
    widget.close_study()
