"""Frames found again, cut, and shown on one contrast: what a reader sees must be what was scored."""

from __future__ import annotations

import json
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import tifffile

from cher2.cells.grading import grade_objects
from cher2.errors import Cher2Error, ImageError
from cher2.images.reader import read_image
from cher2.protocol import ROLES, Grade, Protocol
from cher2.report import cell_pictures
from cher2.report.cell_pictures import (
    CellPlace,
    StudyFrames,
    cell_picture,
    cell_places,
    her2_white,
    show_picture,
    study_contrast,
)
from cher2.report.thumbnails import cell_thumbnail, composite, grey_tile
from cher2.study.folder import Study
from cher2.study.provenance import now, write_provenance


@pytest.fixture(scope="module")
def study(scored):
    return Study(scored.path)


@pytest.fixture(scope="module")
def cells(study):
    return study.read_objects(study.samples["image"], ["ctc"])


@pytest.fixture
def own_study(study_copy):
    """A copy of the study that takes its images from the copy beside it."""
    path = study_copy / "provenance.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"images": "../images"}))
    return Study(study_copy)


@pytest.fixture
def stack_study(tmp_path):
    """A study of one file with three frames, whose counts are 100, 200 and 300."""
    (tmp_path / "images").mkdir()
    pixels = np.full((3, 4, 40, 50), 100, np.uint16) * np.arange(1, 4, dtype=np.uint16)[:, None, None, None]
    tifffile.imwrite(tmp_path / "images" / "stack.tif", pixels, imagej=True, metadata={"axes": "TCYX"})
    protocol = Protocol.from_dict({"channels": {role: number for number, role in enumerate(ROLES)}})
    study = Study(tmp_path / "study")
    names = [f"stack.tif#{number}" for number in (1, 2, 3)]
    samples = {"image": names, "patient_id": "P", "sample_id": "P", "drawn_on": "", "blood_ml": ""}
    study.create(protocol, pd.DataFrame(samples))
    write_provenance(study.path, images=tmp_path / "images", protocol=protocol, command=["run"], started=now())
    return study


def test_a_cell_is_cut_out_of_the_frame_it_was_scored_in(scored, study, cells):
    place = cell_places(cells)[3]
    image = read_image(scored.images / place.image)
    expected = cell_thumbnail(image.planes(study.protocol.channels), place.y_px, place.x_px, image.pixel_size_um)
    frames = StudyFrames(study)
    found = frames.thumbnail(place)
    assert found.pixel_size_um == frames.pixel_size_um(place.image) == 0.64
    assert set(found.crops) == set(ROLES)
    for role in ROLES:
        np.testing.assert_array_equal(found.crops[role], expected.crops[role])
    # A cell is brighter in its middle than over its body: this is the cell, not another place.
    middle = found.crops["ck"][23:28, 23:28].mean()
    assert 0.7 < middle / cells["ck_mean"].iloc[3] < 2.5


@pytest.mark.parametrize("number", [1, 2, 3])
def test_of_a_stack_the_frame_is_read_that_the_name_says(stack_study, number):
    planes = StudyFrames(stack_study).planes(f"stack.tif#{number}")
    assert set(planes) == set(ROLES)
    assert all((plane == 100 * number).all() and plane.shape == (40, 50) for plane in planes.values())


@pytest.mark.parametrize(
    "name", ["stack.tif", "stack.tif#0", "stack.tif#4", "b.tif#1", "stack.tif#", "", "#1", "../a.tif"]
)
def test_a_frame_that_is_not_there_is_an_error_that_says_so(stack_study, name):
    with pytest.raises(ImageError):
        StudyFrames(stack_study).frame(name)


def test_a_missing_image_names_the_folder_and_the_option(own_study):
    image = own_study.samples["image"][0]
    (own_study.path.parent / "images" / image).unlink()
    with pytest.raises(ImageError, match=r"is not in .*images.*cher2 review STUDY --images FOLDER") as caught:
        StudyFrames(own_study).frame(image)
    assert caught.value.where == image
    StudyFrames(own_study).frame(own_study.samples["image"][1])


def test_moved_images_are_found_where_the_reader_says(own_study, tmp_path):
    image = own_study.samples["image"][0]
    shutil.move(tmp_path / "images", tmp_path / "elsewhere")
    with pytest.raises(ImageError, match="there is no such folder"):
        StudyFrames(own_study).frame(image)
    assert StudyFrames(own_study, tmp_path / "elsewhere").frame(image).name == image


def test_a_study_that_does_not_say_where_its_images_are(own_study):
    (own_study.path / "provenance.json").unlink()
    with pytest.raises(ImageError, match=r"does not say where its images are.*--images FOLDER"):
        StudyFrames(own_study).frame(own_study.samples["image"][0])


def test_a_changed_file_is_refused_and_a_touched_one_is_not(own_study, tmp_path):
    first, second = own_study.samples["image"][:2]
    os.utime(tmp_path / "images" / first, (1, 1))
    assert StudyFrames(own_study).frame(first).name == first
    shutil.copyfile(tmp_path / "images" / first, tmp_path / "images" / second)
    with pytest.raises(ImageError, match="has changed since it was scored"):
        StudyFrames(own_study).frame(second)
    (tmp_path / "images" / first).write_bytes(b"no image")
    with pytest.raises(Cher2Error):
        StudyFrames(own_study).frame(first)


def test_frames_are_kept_within_the_bytes_given(own_study, tmp_path):
    names = own_study.samples["image"][:3].tolist()
    one = StudyFrames(own_study).frame(names[0]).pixels.nbytes
    two, none = StudyFrames(own_study, most_bytes=2 * one), StudyFrames(own_study, most_bytes=one - 1)
    for name in names:
        two.frame(name)
        none.frame(name)
    shutil.rmtree(tmp_path / "images")
    for name in names[1:]:
        assert two.frame(name).name == name
    with pytest.raises(ImageError):
        two.frame(names[0])
    with pytest.raises(ImageError):
        none.frame(names[2])


def test_threads_that_want_one_frame_read_it_once(study, monkeypatch):
    read, threads = [], 8
    real, ready = cell_pictures.read_frame, threading.Barrier(threads)
    monkeypatch.setattr(cell_pictures, "read_frame", lambda file, *rest: read.append(file.name) or real(file, *rest))
    frames = StudyFrames(study)
    names = study.samples["image"][:2].tolist()

    def look(number):
        ready.wait()
        return frames.frame(names[number % 2])

    with ThreadPoolExecutor(threads) as pool:
        images = list(pool.map(look, range(threads)))
    assert sorted(read) == names
    assert len({id(image) for image in images}) == 2


def test_the_contrast_is_the_studys_whatever_the_order_of_its_cells(study, cells):
    white = study_contrast(StudyFrames(study), cells)
    assert white == study_contrast(StudyFrames(study), cells.sample(frac=1, random_state=4))
    assert white["her2"] == 1.5 * 340  # the default cut-off of 3+
    # Synthetic CTCs have hundreds of counts of CK and no CD45: its white is the noise's, or a neighbour's.
    assert 100 < white["ck"] < 4095
    assert white["ck"] > white["cd45"] > 1


def test_the_contrast_does_without_images_that_are_gone(own_study, tmp_path, cells):
    whole = study_contrast(StudyFrames(own_study), cells)
    shutil.rmtree(tmp_path / "images" / "P01")
    some = study_contrast(StudyFrames(own_study), cells)
    assert some["ck"] == pytest.approx(whole["ck"], rel=0.5)
    shutil.rmtree(tmp_path / "images")
    assert study_contrast(StudyFrames(own_study), cells) == {"dapi": 1.0, "ck": 1.0, "cd45": 1.0, "her2": 510.0}
    assert study_contrast(StudyFrames(own_study), cells.iloc[:0])["her2"] == 510.0


@pytest.mark.parametrize(("unit", "cutoffs"), [("leukocyte_ratio", (2, 5, 12)), ("leukocyte_sd", (3, 8, 30))])
def test_a_cutoff_in_leukocytes_is_shown_white_in_counts(unit, cutoffs):
    grade = Grade(unit=unit, cutoffs=cutoffs)
    tables, expected = [], []
    for sample, level in (("A", 20.0), ("B", 30.0), ("C", 80.0)):
        leukocytes = level + np.linspace(-9, 9, 41)
        her2 = np.concatenate([leukocytes, [10.0, 400.0, 900.0]])
        table = pd.DataFrame(
            {
                "sample_id": sample,
                "kind": ["leukocyte"] * 41 + ["ctc"] * 3,
                "her2_mean": her2,
                "her2_se": 1.0,
                "touches_border": False,
                "duplicate_of": "",
            }
        )
        tables.append(pd.concat([table, grade_objects(table, grade)], axis=1))
        deviation = 1.4826 * np.median(np.abs(leukocytes - level))
        expected.append(cutoffs[2] * level if unit == "leukocyte_ratio" else level + cutoffs[2] * deviation)
    ctcs = pd.concat(tables).query("kind == 'ctc'")
    assert her2_white(ctcs, grade) == pytest.approx(1.5 * np.median(expected))
    one = ctcs[(ctcs["sample_id"] == "A") & (ctcs["her2_mean"] == 400)]
    found = her2_white(one, grade)
    assert found == (pytest.approx(1.5 * expected[0]) if unit == "leukocyte_ratio" else None)
    assert her2_white(ctcs.assign(her2_intensity=np.nan), grade) is None


def test_a_small_picture_shows_what_the_thumbnail_shows(make_planes):
    white = {"dapi": 400.0, "ck": 600.0, "cd45": 100.0, "her2": 510.0}
    thumbnail = cell_thumbnail(make_planes(255), 60, 70, 0.64)
    picture = cell_picture(thumbnail, white)
    assert picture.nbytes == 4 * 50 * 50  # 32 µm at 0.64 µm
    colour = show_picture(picture, "composite", 96)
    assert colour.shape == (96, 96, 3)
    assert np.abs(colour.astype(int) - composite(thumbnail, white)).mean() < 4
    her2 = show_picture(picture, "her2", 96)
    assert np.abs(her2.astype(int) - grey_tile(thumbnail, "her2", white)).mean() < 2
    assert (her2[..., 0] == her2[..., 2]).all()
    assert int(show_picture(picture, "her2", 24)[12, 12, 0]) == pytest.approx(127, abs=4)
    magenta = show_picture(picture, "composite", 50, dict.fromkeys(ROLES, "#ff00ff"))
    assert magenta[..., 1].max() == 0


def test_fine_pixels_do_not_make_large_pictures(make_planes):
    thumbnail = cell_thumbnail(make_planes(255, shape=(400, 400), centre=(200, 200)), 200, 200, 0.1)
    assert cell_picture(thumbnail, dict.fromkeys(ROLES, 400.0)).nbytes == 4 * 96 * 96


def test_places_are_the_tables_rows():
    table = pd.DataFrame({"object_id": [4, 5], "image": ["a", "b"], "y_px": [1.5, 2.0], "x_px": [3.0, 4.0]})
    assert cell_places(table) == [CellPlace("a", 1.5, 3.0), CellPlace("b", 2.0, 4.0)]
    assert cell_places(table.iloc[:0]) == []
