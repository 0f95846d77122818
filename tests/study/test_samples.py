"""Whose an image is: by folder, or by the sample sheet; an image of no patient is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from strategies import examples, sample_sheets

from cher2.errors import SampleSheetError
from cher2.images.files import ImageFile
from cher2.study.samples import COLUMNS, assign_samples

NAMES = ["P1/a.tif", "P1/b.tif", "P2/deep/a.tif"]


def files_in(folder, names=NAMES):
    return [ImageFile(name, (folder / name,)) for name in names]


def sheet_of(tmp_path, text):
    path = tmp_path / "samples.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_sheet_the_first_folder_is_the_patient(tmp_path):
    table = assign_samples(files_in(tmp_path), tmp_path)
    assert tuple(table) == COLUMNS == ("image", "patient_id", "sample_id", "drawn_on", "blood_ml")
    assert table["image"].tolist() == NAMES
    assert table["patient_id"].tolist() == table["sample_id"].tolist() == ["P1", "P1", "P2"]
    assert (table[["drawn_on", "blood_ml"]] == "").all(axis=None)


def test_a_flat_folder_is_one_patient(tmp_path, monkeypatch):
    folder = tmp_path / "P07"
    folder.mkdir()
    assert assign_samples(files_in(folder, ["a.tif", "b.tif"]), folder)["patient_id"].tolist() == ["P07", "P07"]
    monkeypatch.chdir(folder)
    assert assign_samples(files_in(folder, ["a.tif"]), folder.relative_to(folder))["patient_id"].tolist() == ["P07"]


def test_an_image_beside_the_patients_folders_is_of_nobody(tmp_path):
    with pytest.raises(SampleSheetError, match=r"1 images are in no patient's folder, while others are: stray\.tif"):
        assign_samples(files_in(tmp_path, [*NAMES, "stray.tif"]), tmp_path)


def test_a_sheet_says_patient_draw_date_and_blood_in_its_own_order(tmp_path):
    text = "image,extra,patient_id,sample_id,drawn_on,blood_ml\n"
    text += "P2/deep/a.tif,x,007,s2,2021-03-01,7.5\nP1/b.tif,x,NA,,,\nP1/a.tif,x, =1+1 ,,,\n"
    table = assign_samples(files_in(tmp_path), tmp_path, sheet_of(tmp_path, text))
    assert tuple(table) == COLUMNS
    assert table["image"].tolist() == ["P2/deep/a.tif", "P1/b.tif", "P1/a.tif"]
    assert table["patient_id"].tolist() == ["007", "NA", "=1+1"]
    # Without an id of its own, a draw is called as the patient is.
    assert table["sample_id"].tolist() == ["s2", "NA", "=1+1"]
    assert table["drawn_on"].tolist() == ["2021-03-01", "", ""]
    assert table["blood_ml"].tolist() == ["7.5", "", ""]


def test_paths_are_relative_to_the_sheet(tmp_path):
    images = tmp_path / "scans" / "images"
    text = "image;patient_id\nscans/images/P1/a.tif;A\nscans/./images/x/../P1/b.tif;A\nscans/images/P2/deep/a.tif;B\n"
    table = assign_samples(files_in(images), images, sheet_of(tmp_path, text))
    assert table["image"].tolist() == NAMES
    assert table["patient_id"].tolist() == ["A", "A", "B"]


def test_a_sheet_from_windows_is_understood(tmp_path):
    text = "image,patient_id\r\nscans\\P1\\a.tif,A\r\nscans\\P1\\b.tif,A\r\nscans\\P2\\deep\\a.tif,B\r\n"
    folder = tmp_path / "scans"
    table = assign_samples(files_in(folder), folder, sheet_of(tmp_path, text))
    assert table["image"].tolist() == NAMES


def test_an_absolute_path_is_understood(tmp_path):
    rows = "".join(f"{tmp_path / name},A\n" for name in NAMES)
    table = assign_samples(files_in(tmp_path), tmp_path, sheet_of(tmp_path, f"image,patient_id\n{rows}"))
    assert table["image"].tolist() == NAMES


def test_one_file_a_channel_may_be_listed_by_frame_or_by_file(tmp_path):
    paths = tuple(tmp_path / f"P1/f_{channel}.tif" for channel in ("DAPI", "CK", "CD45", "HER2"))
    files = [ImageFile("P1/f", paths, ("DAPI", "CK", "CD45", "HER2"))]
    by_frame = sheet_of(tmp_path, "image,patient_id\nP1/f,A\n")
    expected = assign_samples(files, tmp_path, by_frame)
    assert expected["image"].tolist() == ["P1/f"]
    by_file = sheet_of(tmp_path, "image,patient_id\n" + "".join(f"{path},A\n" for path in paths))
    assert assign_samples(files, tmp_path, by_file).equals(expected)


HEAD = "image,patient_id\n"
ALL = "".join(f"{name},A\n" for name in NAMES)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file,patient_id\nP1/a.tif,A\n", "there is no column image; there are file, patient_id"),
        ("image,patient\nP1/a.tif,A\n", "there is no column patient_id; there are image, patient"),
        (HEAD, "3 images have no row in the sheet, so no patient: 'P1/a.tif'"),
        (HEAD + ALL + "P9/z.tif,A\n", "1 images of the sheet are not in the image folder: 'P9/z.tif' in row 5"),
        (HEAD + "P1/a.tif,A\n", "2 images have no row in the sheet, so no patient: 'P1/b.tif'"),
        (HEAD + "P1/a.tif,A\nP1/b.tif,\nP2/deep/a.tif,B\n", "row 3 gives no patient for 'P1/b.tif'"),
        (HEAD + "P1/a.tif,A\nP1/b.tif,   \nP2/deep/a.tif,B\n", "row 3 gives no patient for 'P1/b.tif'"),
        (HEAD + ALL + "P1/a.tif,B\n", "'P1/a.tif' stands twice in the sheet, with different entries"),
    ],
)
def test_a_sheet_that_does_not_fit_the_images_is_refused(tmp_path, text, says):
    sheet = sheet_of(tmp_path, text)
    with pytest.raises(SampleSheetError) as caught:
        assign_samples(files_in(tmp_path), tmp_path, sheet)
    assert caught.value.what == says
    assert caught.value.where == str(sheet)
    assert caught.value.remedy


def wells_in(folder, plate, *wells):
    return [ImageFile(f"{plate}/{well}", (folder / plate / well,), plate=plate) for well in wells]


def test_wells_of_a_plate_below_a_patients_folder_are_that_patients(tmp_path):
    files = [*files_in(tmp_path), *wells_in(tmp_path, "P3/plate.ome.zarr", "B/3", "B/4")]
    assert assign_samples(files, tmp_path)["patient_id"].tolist() == ["P1", "P1", "P2", "P3", "P3"]


def test_a_plate_in_no_patients_folder_needs_a_sheet(tmp_path):
    files = wells_in(tmp_path, "plate.ome.zarr", "B/3", "B/4")
    says = r"plate\.ome\.zarr is a plate in no patient's folder.*a row for each well, such as plate\.ome\.zarr/B/3"
    for some in (files, [*files_in(tmp_path), *files]):
        with pytest.raises(SampleSheetError, match=says):
            assign_samples(some, tmp_path)
    text = "image,patient_id,sample_id\nplate.ome.zarr/B/4,P1,d1\nplate.ome.zarr/B/3,P2,d2\n"
    table = assign_samples(files, tmp_path, sheet_of(tmp_path, text))
    assert table["image"].tolist() == ["plate.ome.zarr/B/4", "plate.ome.zarr/B/3"]
    assert table["patient_id"].tolist() == ["P1", "P2"]


def test_a_well_without_a_row_and_a_row_for_a_field_are_refused(tmp_path):
    files = wells_in(tmp_path, "p.zarr", "B/3", "B/4")
    with pytest.raises(SampleSheetError, match=r"1 images have no row in the sheet.*p\.zarr/B/4"):
        assign_samples(files, tmp_path, sheet_of(tmp_path, "image,patient_id\np.zarr/B/3,A\n"))
    for row, says in {
        "p.zarr/B/3#1": "not in the image folder",
        "p.zarr/B/3/0": r"'p\.zarr/B/3' is one image",
        "p.zarr": "not in the image folder",
    }.items():
        with pytest.raises(SampleSheetError, match=says):
            assign_samples(files, tmp_path, sheet_of(tmp_path, f"image,patient_id\n{row},A\n"))


def test_a_row_for_a_well_of_a_plate_that_cannot_be_read(tmp_path):
    # Such a plate is listed as one image, so that a run without a sheet says what is wrong with it.
    with pytest.raises(SampleSheetError, match=r"'p\.zarr' is one image, or a plate whose wells cannot be read"):
        assign_samples(files_in(tmp_path, ["p.zarr"]), tmp_path, sheet_of(tmp_path, "image,patient_id\np.zarr/B/3,A\n"))


@given(sample_sheets)
@settings(max_examples=examples(60))
def test_any_sheet_gives_each_image_a_patient_or_is_refused(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp()
    path = folder / "any_sheet.csv"
    path.write_bytes(content)
    try:
        table = assign_samples(files_in(folder), folder, path)
    except SampleSheetError as error:
        words = error.remedy and str(error)
    else:
        words = "a result"
        assert sorted(table["image"]) == sorted(NAMES)
        assert (table["patient_id"] != "").all()
        assert (table["sample_id"] != "").all()
    assert words
    assert "\n" not in words


def test_columns_without_a_name_are_left_out(tmp_path):
    """Found by benchmarks/fuzz.py: a spreadsheet's empty columns are several of one name, which pandas refused."""
    sheet = sheet_of(tmp_path, "image,,patient_id,\nP1/a.tif,x,P1,y\nP1/b.tif,,P1,\nP2/deep/a.tif,,P2,\n")
    assert assign_samples(files_in(tmp_path), tmp_path, sheet)["patient_id"].tolist() == ["P1", "P1", "P2"]
