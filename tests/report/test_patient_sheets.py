import numpy as np
import pandas as pd
import pytest
from imagecodecs import webp_decode

from cher2.errors import ImageError
from cher2.report.patient_sheets import (
    COLUMNS,
    MOST_OF_PATIENT,
    SHEET_TILE_PX,
    choose_cells,
    choose_frames,
    patient_sheets,
)
from cher2.report.thumbnails import cell_thumbnail

WHITE = {"dapi": 300.0, "ck": 500.0, "cd45": 100.0, "her2": 500.0}


def _cells(patient, image, her2, **columns):
    table = pd.DataFrame({"patient_id": patient, "image": image, "her2_intensity": np.asarray(her2, float)})
    table = table.assign(object_id=np.arange(1, len(table) + 1), y_px=60.0, x_px=70.0, duplicate_of="")
    return table.assign(**{"kind_final": "ctc", "grade": 1} | columns)


class Frames:
    """Frames of one round cell each, whose HER2 is the number in the image's name."""

    def __init__(self, make_planes):
        self._make = make_planes

    def thumbnail(self, place):
        if place.image == "gone":
            raise ImageError("it is gone", where=place.image)
        return cell_thumbnail(self._make(float(place.image)), place.y_px, place.x_px, 0.64)


def test_every_ctc_of_a_small_study_is_chosen_by_grade_and_intensity():
    cells = pd.concat([_cells("P1", "a", [5, 3], grade=2), _cells("P1", "b", [9], grade=0)])
    chosen = choose_cells(cells)
    assert chosen["her2_intensity"].tolist() == [9, 3, 5]
    assert chosen["shown_as"].tolist() == [0, 2, 2]


def test_what_is_no_ctc_or_a_duplicate_is_not_chosen():
    cells = pd.concat(
        [
            _cells("P1", "a", [1], kind_final="other"),
            _cells("P1", "a", [2], duplicate_of="b 1"),
            _cells("P1", "a", [3], grade=pd.NA),
        ]
    )
    assert choose_cells(cells)["her2_intensity"].tolist() == [3]


def test_of_many_cells_the_dimmest_and_the_brightest_are_kept():
    chosen = choose_cells(_cells("P1", "a", np.arange(1000)))
    assert len(chosen) == MOST_OF_PATIENT
    assert (chosen["her2_intensity"].min(), chosen["her2_intensity"].max()) == (0, 999)


def test_a_large_study_shows_so_many_cells():
    cells = pd.concat([_cells(f"P{p}", f"{p}/a", [1, 2, 3]) for p in range(5)])
    assert choose_cells(cells, most=10)["her2_intensity"].tolist() == [1, 3] * 5


def test_the_frames_with_the_most_ctcs_of_each_patient_are_read():
    counts = pd.DataFrame(
        [(f"P{p}", f"{p}/{f}", f + 1) for p in range(5) for f in range(3)], columns=["patient_id", "image", "ctcs"]
    )
    assert choose_frames(counts, 5) == [f"{p}/2" for p in range(5)]
    assert choose_frames(counts, 3) == [f"{p}/2" for p in range(5)]
    assert choose_frames(counts, 10) == [f"{p}/{f}" for p in range(5) for f in (1, 2)]
    assert choose_frames(counts[:0], 10) == []


def test_no_more_frames_are_read_than_a_sheet_needs():
    counts = pd.DataFrame({"patient_id": "P1", "image": [f"{k:03d}" for k in range(100)], "ctcs": MOST_OF_PATIENT})
    assert choose_frames(counts) == ["000", "001"]


def _sheets(make_planes, cells):
    of = cells["patient_id"].value_counts().to_dict()
    return patient_sheets(Frames(make_planes), choose_cells(cells), of, WHITE)


def test_no_ctc_gives_no_sheet(make_planes):
    none = _cells("P1", "a", [1], kind_final="leukocyte")
    assert _sheets(make_planes, none) == ([], 0)
    assert _sheets(make_planes, none[:0]) == ([], 0)


def test_a_sheet_shows_each_cell_in_colour_above_its_her2(make_planes):
    cells = pd.concat([_cells("P1", "10", [10], grade=0), _cells("P1", "450", [450], grade=3)])
    (sheet,), lost = _sheets(make_planes, cells)
    assert lost == 0
    assert [(cell.grade, cell.her2, cell.image) for cell in sheet.cells] == [("0", 10, "10"), ("3+", 450, "450")]
    pixels = webp_decode(sheet.webp)[..., :3].astype(int)
    assert pixels.shape == (2 * SHEET_TILE_PX, 2 * SHEET_TILE_PX, 3)
    middle = SHEET_TILE_PX // 2
    dim, bright = (pixels[SHEET_TILE_PX + middle, left + middle] for left in (0, SHEET_TILE_PX))
    # HER2 over the white of 500 counts, in grey: 10 is 5 of 255, 450 is 230; the picture is compressed.
    assert dim == pytest.approx([5] * 3, abs=12)
    assert bright == pytest.approx([230] * 3, abs=12)
    # In colour the bright one is green of cytokeratin and yellow of HER2.
    assert pixels[middle, SHEET_TILE_PX + middle, 1] > 200


def test_more_cells_than_a_row_holds_go_on_below(make_planes):
    cells = _cells("P1", "200", np.full(COLUMNS + 1, 200.0))
    (sheet,), _ = _sheets(make_planes, cells)
    assert webp_decode(sheet.webp).shape[:2] == (4 * SHEET_TILE_PX, COLUMNS * SHEET_TILE_PX)


def test_cells_whose_image_is_gone_are_counted(make_planes):
    cells = pd.concat([_cells("P1", "gone", [1, 2]), _cells("P1", "200", [3]), _cells("P2", "gone", [4])])
    sheets, lost = _sheets(make_planes, cells)
    assert lost == 3
    assert [(sheet.patient_id, len(sheet.cells), sheet.of) for sheet in sheets] == [("P1", 1, 3)]
