import cv2
import numpy as np
import pandas as pd
import pytest

from cher2.errors import ImageError
from cher2.report.thumbnails import (
    TILE_PX,
    Example,
    cell_thumbnail,
    choose_examples,
    composite,
    contact_sheet,
    grey_tile,
    shared_contrast,
)

BAND_PX = 2 * TILE_PX + 2 + 12  # two tiles of a grade and the gaps


def _decode(png):
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def _her2_tile(sheet, grade, column=0):
    top, left = grade * BAND_PX + 6 + TILE_PX + 2, 64 + column * (TILE_PX + 6)
    return sheet[top : top + TILE_PX, left : left + TILE_PX]


def test_the_cell_lies_in_the_middle_of_a_crop_that_covers_the_size(make_planes):
    thumbnail = cell_thumbnail(make_planes(400), 60, 70, 0.64, size_um=32)
    crop = thumbnail.crops["her2"]
    assert crop.shape == (51, 51)  # 32 µm are 50 pixels, and one more for a middle
    rows, columns = np.nonzero(crop > 200)
    assert (rows.mean(), columns.mean()) == pytest.approx((25, 25), abs=0.1)
    assert np.median(crop[:10]) == pytest.approx(0, abs=1)
    assert crop[25, 25] == pytest.approx(400, abs=15)


@pytest.mark.parametrize("centre", [(0, 0), (0, 139), (119, 0), (119, 139), (60, 2), (-0.4, 139.4)])
def test_beyond_the_border_there_is_background(make_planes, centre):
    planes = make_planes(400, centre=centre)
    crop = cell_thumbnail(planes, *centre, 0.64).crops["her2"]
    assert crop.shape == (51, 51)
    y, x = (min(max(round(at), 0), last) for at, last in zip(centre, (119, 139), strict=True))
    assert crop[25, 25] == planes["her2"][y, x] - np.float32(np.median(planes["her2"][_near(y, x)]))
    rows, columns = np.arange(51) + y - 25, np.arange(51) + x - 25
    outside = ((rows < 0) | (rows > 119))[:, None] | ((columns < 0) | (columns > 139))[None]
    assert outside.any()
    assert (crop[outside] == 0).all()


def _near(y, x):
    return np.s_[max(y - 75, 0) : y + 76, max(x - 75, 0) : x + 76]


def test_a_frame_smaller_than_the_crop_is_padded_on_all_sides():
    planes = {"her2": np.full((3, 4), 500, np.uint16)}
    crop = cell_thumbnail(planes, 1, 1, 0.64).crops["her2"]
    assert crop.shape == (51, 51)
    assert (crop == 0).all()


def test_a_cell_that_fills_the_crop_is_not_taken_for_background(make_planes):
    # 40 µm across in a crop of 32 µm.
    planes = make_planes(400, shape=(400, 400), centre=(200, 200), radius_px=31)
    crop = cell_thumbnail(planes, 200, 200, 0.64).crops["her2"]
    assert np.median(crop) == pytest.approx(400, abs=5)


@pytest.mark.parametrize("at", [(-1, 5), (5, -1), (120, 5), (5, 140), (float("nan"), 5), (5, float("inf"))])
def test_a_cell_outside_its_frame_is_refused(make_planes, at):
    with pytest.raises(ImageError, match="outside the frame of 120 x 140 pixels"):
        cell_thumbnail(make_planes(400), *at, 0.64)


def test_unsigned_pixels_do_not_wrap_around():
    plane = np.full((60, 60), 100, np.uint16)
    plane[30, 30] = 90
    assert cell_thumbnail({"her2": plane}, 30, 30, 0.64).crops["her2"][25, 25] == -10


def test_channels_have_their_colours_and_add_up_as_light():
    white = dict.fromkeys(("dapi", "ck", "cd45", "her2"), 100.0)
    seen = {}
    for role in white:
        plane = np.full((300, 300), 50.0)
        plane[125:176, 125:176] = 150.0  # the crop, in a window whose median is background
        seen[role] = composite(cell_thumbnail({role: plane}, 150, 150, 0.64), white)[48, 48].tolist()
    assert seen == {"dapi": [0, 0, 255], "ck": [0, 255, 0], "cd45": [255, 0, 0], "her2": [255, 255, 0]}


@pytest.mark.parametrize("pixel_size_um", [0.1, 0.325, 0.64, 1.3])
def test_a_tile_shows_the_same_micrometres_whatever_the_pixel_size(make_planes, pixel_size_um):
    # A disc 12 µm across is 36 of the 96 pixels of a tile of 32 µm.
    planes = make_planes(400, shape=(700, 700), centre=(350, 350), radius_px=6 / pixel_size_um)
    tile = grey_tile(cell_thumbnail(planes, 350, 350, pixel_size_um), "her2", {"her2": 400.0})
    assert tile.shape == (TILE_PX, TILE_PX, 3)
    assert 2 * np.sqrt((tile[..., 0] > 127).sum() / np.pi) == pytest.approx(36, rel=0.06)


def test_the_contrast_of_her2_is_the_one_given(make_planes):
    thumbnail = cell_thumbnail(make_planes(255), 60, 70, 0.64)
    white = shared_contrast([thumbnail], her2_white=510)
    assert white["her2"] == 510
    middle = grey_tile(thumbnail, "her2", white)[40:56, 40:56]
    assert middle.mean() == pytest.approx(127.5, abs=3)


def test_a_channel_without_stain_stays_black(make_planes):
    thumbnail = cell_thumbnail(make_planes(400), 60, 70, 0.64)
    assert grey_tile(thumbnail, "cd45", shared_contrast([thumbnail])).max() < 128
    empty = cell_thumbnail({"cd45": np.zeros((60, 60))}, 30, 30, 0.64)
    assert grey_tile(empty, "cd45", shared_contrast([empty])).max() == 0


@pytest.mark.parametrize("her2_white", [510.0, None])
def test_on_the_sheet_3_is_brighter_than_1_and_1_than_0(examples, her2_white):
    sheet = _decode(contact_sheet(examples, her2_white))
    middle = {grade: _her2_tile(sheet, grade)[40:56, 40:56].mean() for grade in (0, 1, 3)}
    assert middle[0] < middle[1] < middle[3]
    assert middle[3] / middle[1] == pytest.approx(450 / 70, rel=0.15)  # linear


def test_other_cells_of_the_sheet_do_not_change_a_tile_on_fixed_contrast(examples):
    alone = _decode(contact_sheet({1: examples[1]}, 510.0))
    together = _decode(contact_sheet(examples, 510.0))
    np.testing.assert_array_equal(_her2_tile(alone, 1), _her2_tile(together, 1))


def test_the_scale_bar_is_10_um_long(examples):
    sheet = _decode(contact_sheet(examples, 510.0))
    row = sheet[6 + TILE_PX - 7, 64 : 64 + TILE_PX]
    assert (row == 255).all(axis=1).sum() == 30  # 10 µm of 32 µm in 96 pixels


def test_the_sheet_has_a_row_a_grade_and_the_same_bytes_twice(examples):
    png = contact_sheet({3: examples[3] * 4}, 510.0)
    assert png == contact_sheet({3: examples[3] * 4}, 510.0)
    assert png.startswith(b"\x89PNG")
    assert _decode(png).shape == (4 * BAND_PX, 64 + 4 * (TILE_PX + 6), 3)


def test_a_sheet_of_no_cell_can_be_drawn():
    assert _decode(contact_sheet({})).shape[0] == 4 * BAND_PX


def _cells(intensities, **changes):
    table = pd.DataFrame(
        {
            "image": "a.tif",
            "object_id": range(1, len(intensities) + 1),
            "touches_border": False,
            "duplicate_of": "",
            "her2_intensity": intensities,
            "grade_auto": pd.array([3] * len(intensities), dtype="Int8"),
        }
    )
    return table.assign(**changes)


def test_examples_are_chosen_from_the_dimmest_to_the_brightest():
    shuffled = np.random.default_rng(0).permutation(101).astype(float)
    assert choose_examples(_cells(shuffled), 5)["her2_intensity"].tolist() == [0, 25, 50, 75, 100]


def test_cut_cells_duplicates_and_ungraded_cells_are_no_examples():
    cells = _cells([1.0, 2.0, 3.0, 4.0])
    cells.loc[0, "touches_border"] = True
    cells.loc[1, "duplicate_of"] = "b.tif 4"
    cells.loc[2, "grade_auto"] = pd.NA
    assert choose_examples(cells)["object_id"].tolist() == [4]


def test_the_readers_grade_wins():
    cells = _cells([1.0, 2.0], grade=pd.array([0, pd.NA], dtype="Int8"))
    assert choose_examples(cells)["shown_as"].tolist() == [0, 3]


def test_what_a_reader_found_to_be_no_ctc_is_no_example():
    cells = _cells([1.0, 2.0], kind_final=["other", "ctc"])
    assert choose_examples(cells)["object_id"].tolist() == [2]


def test_of_no_cells_none_is_chosen():
    assert choose_examples(_cells([])).empty


def test_an_example_names_its_cell(examples):
    assert isinstance(examples[0][0], Example)
    assert (examples[0][0].image, examples[0][0].object_id) == ("P1/a.tif", 7)
