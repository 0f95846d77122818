import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
from qtpy.QtCore import QBuffer, QIODevice, QPoint, Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QLabel

from cher2.napari.cell_bars import IntensityBar, ProbabilityBars, axis_fraction
from cher2.napari.cell_facts import CellFacts
from cher2.napari.cell_tiles import COLOUR, CellTiles
from cher2.napari.cell_view import CellView
from cher2.palette import GRADE_COLOURS
from cher2.protocol import ROLES
from cher2.report.thumbnails import CellThumbnail

SIZE_PX, SIDE_UM = 65, 32.0
CUTOFFS = (30.0, 110.0, 340.0)
WHITE = {"dapi": 1000.0, "ck": 1000.0, "cd45": 200.0, "her2": 500.0}
FACTS = CellFacts(
    patient_id="P7", sample_id="P7", image="P7/frame_3.tif", object_id=12, her2_intensity=85.0, her2_se=4.0,
    cutoffs=CUTOFFS, diameter_um=12.4, ck_mean=512.0, cd45_mean=3.0, dapi_mean=845.0,
    probabilities=(0.0, 0.75, 0.25, 0.0), grade_auto=1, grade_final=1,
)  # fmt: skip


def cell(**levels):
    """Return a square cell of 12 µm, of one level a channel, in 0.5 µm pixels."""
    crops = {}
    for role in ROLES:
        if levels.get(role) is not None:
            crops[role] = np.zeros((SIZE_PX, SIZE_PX), np.float32)
            crops[role][body()] = levels[role]
    return CellThumbnail(crops, 0.5, SIDE_UM)


def body():
    mask = np.zeros((SIZE_PX, SIZE_PX), bool)
    mask[20:45, 20:45] = True
    return mask


@pytest.fixture
def tiles(qtbot):
    widget = CellTiles()
    qtbot.addWidget(widget)
    widget.resize(360, 304)
    widget.set_white(WHITE)
    widget.show()
    qtbot.waitExposed(widget)
    return widget


@pytest.fixture
def view(qtbot):
    widget = CellView()
    qtbot.addWidget(widget)
    widget.resize(360, 620)
    widget.set_white(WHITE)
    widget.show()
    qtbot.waitExposed(widget)
    return widget


def colour_at(widget, point):
    # a screen of high density has more pixels than the widget
    colour = QColor(widget.grab().toImage().scaled(widget.size()).pixel(point))
    return colour.red(), colour.green(), colour.blue()


def middle(tiles, name):
    return tiles.tiles()[name].center().toPoint()


def pixels(widget):
    """Return the picture of a widget, shape (Y, X, 3)."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    widget.grab().toImage().scaled(widget.size()).save(buffer, "PNG")
    return cv2.imdecode(np.frombuffer(buffer.data().data(), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def test_dim_and_bright_cells_look_different_in_the_shared_contrast(tiles):
    seen = []
    for level in (100, 400):
        tiles.show_thumbnail(cell(her2=level, ck=0))
        seen.append(colour_at(tiles, middle(tiles, "her2")))
    # 100 and 400 of 500 counts, of 255
    assert seen == [(51, 51, 51), (204, 204, 204)]


def test_auto_contrast_makes_them_alike(tiles):
    tiles.set_auto_contrast(True)
    for level in (100, 400):
        tiles.show_thumbnail(cell(her2=level))
        assert colour_at(tiles, middle(tiles, "her2")) == (255, 255, 255)


def test_a_channel_without_a_level_of_white_is_stretched(tiles):
    tiles.set_white({"her2": 500})
    tiles.show_thumbnail(cell(her2=100, ck=40))
    assert colour_at(tiles, middle(tiles, "ck")) == (255, 255, 255)
    assert colour_at(tiles, middle(tiles, "her2")) == (51, 51, 51)


def test_the_composite_adds_what_is_shown(tiles):
    tiles.show_thumbnail(cell(her2=0, ck=1000, cd45=200, dapi=500))
    assert colour_at(tiles, middle(tiles, COLOUR)) == (255, 255, 128)
    tiles.set_channels_shown(("her2", "cd45"))
    assert list(tiles.tiles()) == ["her2", COLOUR, "cd45"]
    assert colour_at(tiles, middle(tiles, COLOUR)) == (255, 0, 0)
    tiles.set_channels_shown(())
    assert colour_at(tiles, middle(tiles, COLOUR)) == (0, 0, 0)


@pytest.mark.parametrize(("width", "height"), [(240, 204), (360, 304), (480, 420), (480, 250), (300, 600)])
def test_tiles_lie_inside_and_apart(tiles, width, height):
    tiles.setMaximumHeight(10_000)
    tiles.resize(width, height)
    places = list(tiles.tiles().values())
    for k, place in enumerate(places):
        assert place.width() == place.height() >= 70
        assert tiles.rect().contains(place.toRect())
        assert not any(place.intersects(other) for other in places[k + 1 :])


def test_the_outline_runs_along_the_body(tiles):
    tiles.show_thumbnail(cell(her2=0), body())
    place = tiles.tiles()["her2"]
    drawn = pixels(tiles)
    tiles.set_outline_shown(False)
    rows, columns = np.nonzero((drawn != pixels(tiles)).any(axis=2))
    inside = (columns < place.right()) & (rows < place.bottom())
    # the body is 12.5 µm of 32 wide, in the middle of the tile
    expected = np.array([-1, 1]) * 12.5 / 32 * place.width() / 2 + place.width() / 2
    for found, start in ((rows[inside], place.top()), (columns[inside], place.left())):
        assert np.array([found.min() + 0.5, found.max() + 0.5]) - start == pytest.approx(expected, abs=1.5)


def test_the_scale_bar_is_ten_micrometres(tiles):
    tiles.show_thumbnail(cell(her2=0))
    place = tiles.tiles()["her2"]
    row = pixels(tiles)[int(place.bottom()) - 7, : int(place.right()) - 90]
    assert (row == 255).all(axis=1).sum() == pytest.approx(10 * place.width() / SIDE_UM, abs=1)


def test_a_missing_channel_says_so_and_a_missing_picture_says_why(tiles):
    tiles.show_thumbnail(cell(her2=100))
    bare = pixels(tiles)
    tiles.show_thumbnail(cell(her2=100, cd45=0))
    assert (pixels(tiles) != bare).any()
    tiles.show_thumbnail(None, None, "")
    empty = pixels(tiles)
    tiles.show_thumbnail(None, None, "frame_3.tif cannot be read")
    rows, columns = np.nonzero((pixels(tiles) != empty).any(axis=2))
    assert abs(rows.mean() - tiles.height() / 2) < 10
    assert columns.max() - columns.min() > 80


def test_an_outline_of_another_shape_is_refused(tiles):
    with pytest.raises(ValueError, match=r"shape \(3, 3\) for crops of \[\(65, 65\)\]"):
        tiles.show_thumbnail(cell(her2=1), np.zeros((3, 3), bool))


def test_the_axis_is_the_square_root_to_twice_the_highest_cutoff():
    assert [axis_fraction(x, CUTOFFS) for x in (0, 170, 680)] == [0, 0.5, 1]
    assert axis_fraction(2720, CUTOFFS) == 2
    assert axis_fraction(-170, CUTOFFS) == -0.5
    assert axis_fraction(0.25, (-3.0, -2.0, -1.0)) == 0.5


def bar_of(qtbot, kind, **changes):
    widget = kind()
    qtbot.addWidget(widget)
    widget.resize(320, widget.sizeHint().height())
    widget.show()
    qtbot.waitExposed(widget)
    widget.show_facts(replace(FACTS, **changes))
    return widget


def white_columns(picture, row):
    return np.nonzero((picture[row] == 255).all(axis=1))[0]


def test_the_cell_stands_at_its_intensity_with_its_error(qtbot):
    picture = pixels(bar_of(qtbot, IntensityBar, her2_intensity=170.0, her2_se=50.0))
    # the bar is 300 of 320 pixels wide; sqrt(170 / 680) is its middle, and the whisker ends at sqrt(120), sqrt(220)
    assert white_columns(picture, 22).mean() == pytest.approx(10 + 150, abs=1)
    whisker = white_columns(picture, 28)
    assert whisker.min() == pytest.approx(10 + 300 * (120 / 680) ** 0.5, abs=2)
    assert whisker.max() == pytest.approx(10 + 300 * (220 / 680) ** 0.5, abs=2)


@pytest.mark.parametrize(("intensity", "from_", "to"), [(5000.0, 306, 320), (-50.0, 0, 14)])
def test_beyond_the_axis_is_an_arrow_at_its_end(qtbot, intensity, from_, to):
    found = white_columns(pixels(bar_of(qtbot, IntensityBar, her2_intensity=intensity)), 28)
    assert len(found) > 4
    assert from_ <= found.min() <= found.max() < to


def test_without_an_intensity_there_is_no_mark(qtbot):
    assert not len(white_columns(pixels(bar_of(qtbot, IntensityBar, her2_intensity=float("nan"))), 28))


def test_probabilities_fill_their_bars(qtbot):
    row = pixels(bar_of(qtbot, ProbabilityBars))[20]
    full = (300 + 8) / 4 - 8
    for grade, probability in enumerate(FACTS.probabilities):
        colour = QColor(GRADE_COLOURS[grade]).getRgb()[:3]
        assert (row == colour).all(axis=1).sum() == pytest.approx(probability * full, abs=1.5)


def test_without_probabilities_the_reason_stands_there(qtbot):
    bars = bar_of(qtbot, ProbabilityBars, probabilities=None, not_graded="HER2 saturated")
    assert not (pixels(bars)[20] == QColor(GRADE_COLOURS[1]).getRgb()[:3]).all(axis=1).any()
    nan = float("nan")
    assert (
        pixels(bars) == pixels(bar_of(qtbot, ProbabilityBars, probabilities=(nan,) * 4, not_graded="HER2 saturated"))
    ).all()


def words(view):
    return " ".join(label.text() for label in view.findChildren(QLabel) if label.isVisible())


def test_the_view_tells_all_of_a_cell(view):
    view.show_cell(cell(her2=100, ck=500), replace(FACTS, reader="AB", note="two nuclei", unsaved=True, outline=body()))
    told = words(view)
    for part in ("P7", "frame_3.tif", "by AB", "two nuclei", "UNSAVED", "12.4 µm", "512", "845", "1+"):
        assert part in told
    assert view.intensity.isVisible()
    assert view.probabilities.isVisible()
    view.show_cell(cell(her2=100), FACTS)
    assert "UNSAVED" not in words(view)


def test_a_blinded_reader_sees_the_pictures_alone(view):
    view.show_cell(cell(her2=100), replace(FACTS, blind=True))
    told = words(view)
    assert not [part for part in ("P7", "frame_3", "1+", "85") if part in told]
    assert not view.intensity.isVisible()
    assert not view.probabilities.isVisible()
    assert colour_at(view.tiles, middle(view.tiles, "her2")) == (51, 51, 51)
    tips = [child.toolTip() for child in view.findChildren(QLabel)]
    assert not [tip for tip in tips if "P7" in tip]
    view.show_cell(cell(her2=100), FACTS)
    assert view.intensity.isVisible()
    assert not view.hidden.isVisible()


def test_the_switches_work_and_leave_the_keys_alone(view, qtbot):
    view.show_cell(cell(her2=100), replace(FACTS, outline=body()))
    assert not view.warning.isVisible()
    qtbot.mouseClick(view.auto_box, Qt.MouseButton.LeftButton, pos=QPoint(8, view.auto_box.height() // 2))
    assert view.warning.isVisible()
    assert colour_at(view.tiles, middle(view.tiles, "her2")) == (255, 255, 255)
    view.set_auto_contrast(False)
    assert not view.auto_box.isChecked()
    with_outline = pixels(view.tiles)
    qtbot.mouseClick(view.outline_box, Qt.MouseButton.LeftButton, pos=QPoint(8, view.outline_box.height() // 2))
    assert (pixels(view.tiles) != with_outline).any()
    assert not view.auto_box.hasFocus()
    assert not view.outline_box.hasFocus()


def test_nothing_moves_from_cell_to_cell_and_nothing_widens_the_dock(view, qtbot):
    view.show_cell(cell(her2=100), FACTS)
    qtbot.wait(20)
    before = view.numbers.geometry()
    long = "x" * 400
    view.show_cell(cell(her2=100), replace(FACTS, reader=long, note=long, image=long, patient_id=long, unsaved=True))
    view.set_auto_contrast(True)
    qtbot.wait(20)
    assert view.numbers.geometry() == before
    assert view.minimumSizeHint().width() <= 360


def test_the_next_cell_is_shown_at_once(view, qtbot):
    rng = np.random.default_rng(1)
    crops = {role: rng.normal(100, 20, (SIZE_PX, SIZE_PX)).astype(np.float32) for role in ROLES}
    facts = replace(FACTS, outline=body())
    spent = []
    for _ in range(15):
        start = time.thread_time()
        view.show_cell(CellThumbnail(crops, 0.5, SIDE_UM), facts)
        view.grab()
        spent.append(time.thread_time() - start)
    # 15 ms is the aim, about 6 are measured; the processor's time, for other work on the machine is not the widget's
    assert np.median(spent) < 0.03
