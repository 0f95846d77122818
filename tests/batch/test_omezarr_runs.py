"""A run over OME-Zarr: the same tables as from TIFF, plates with a sheet, resumed, and one bad image beside others."""

from __future__ import annotations

import pandas as pd
import pytest
from zarr_folders import chunk_files, write, write_plate

from cher2.batch.run import run_study
from cher2.errors import SampleSheetError
from cher2.images.reader import read_image
from cher2.study.folder import Study


@pytest.fixture(scope="module")
def frames(synthetic):
    """Return the frames of two patients of the synthetic study."""
    return {name: read_image(synthetic / "images" / name / "frame_01.ome.tif") for name in ("P02", "P03")}


def options(image, zarr_format):
    return {"zarr_format": zarr_format, "size_um": image.pixel_size_um, "names": image.channels, "chunks": 128}


def table_of(study, image):
    return Study(study).objects_of(image)


@pytest.mark.parametrize("zarr_format", [2, 3], ids=["0.4", "0.5"])
def test_the_same_pixels_give_the_same_objects(synthetic, frames, tmp_path, zarr_format):
    (tmp_path / "tiff" / "P02").mkdir(parents=True)
    source = synthetic / "images" / "P02" / "frame_01.ome.tif"
    (tmp_path / "tiff" / "P02" / "frame_01.ome.tif").write_bytes(source.read_bytes())
    image = frames["P02"]
    write(tmp_path / "zarr" / "P02" / "frame_01.ome.zarr", image.pixels, **options(image, zarr_format))
    for kind in ("tiff", "zarr"):
        assert run_study(tmp_path / kind, tmp_path / f"study-{kind}", workers=1).failed.empty
    one, other = (
        table_of(tmp_path / f"study-{kind}", f"P02/frame_01.ome.{end}")
        for kind, end in (("tiff", "tif"), ("zarr", "zarr"))
    )
    assert len(one) > 10
    pd.testing.assert_frame_equal(one.drop(columns="image"), other.drop(columns="image"), check_exact=True)


def test_a_plate_with_a_sheet(frames, tmp_path):
    first, second = frames["P02"], frames["P03"]
    wells = {"B/03": [first.pixels, second.pixels], "B/04": [second.pixels]}
    write_plate(tmp_path / "images" / "plate.ome.zarr", wells, **options(first, 3))
    with pytest.raises(
        SampleSheetError, match=r"plate\.ome\.zarr is a plate in no patient's folder.*plate\.ome\.zarr/B/03"
    ):
        run_study(tmp_path / "images", tmp_path / "study", workers=1)
    sheet = tmp_path / "images" / "samples.csv"
    sheet.write_text("image,patient_id\nplate.ome.zarr/B/03,A\nplate.ome.zarr/B/04,B\n")
    run_study(tmp_path / "images", tmp_path / "study", samples=sheet, workers=1)
    study = Study(tmp_path / "study")
    assert table_of(study.path, "plate.ome.zarr/B/03#2")["patient_id"].unique() == ["A"]
    assert table_of(study.path, "plate.ome.zarr/B/04")["patient_id"].unique() == ["B"]
    assert set(pd.read_csv(study.path / "patients.csv")["patient_id"]) == {"A", "B"}


def test_a_second_run_measures_only_what_changed(frames, tmp_path):
    image = frames["P02"]
    path = write(tmp_path / "images" / "P1" / "a.zarr", image.pixels, **options(image, 3))
    write(tmp_path / "images" / "P1" / "b.zarr", frames["P03"].pixels, **options(image, 3))
    study = tmp_path / "study"
    run_study(tmp_path / "images", study, workers=1)
    files = {name: Study(study).folder_of(f"P1/{name}.zarr") / "measured.parquet" for name in "ab"}
    before = {name: file.stat().st_ino for name, file in files.items()}
    run_study(tmp_path / "images", study, workers=1)
    assert {name: file.stat().st_ino for name, file in files.items()} == before
    write(path, image.pixels[:, ::-1], **options(image, 3))
    run_study(tmp_path / "images", study, workers=1)
    assert files["a"].stat().st_ino != before["a"]
    assert files["b"].stat().st_ino == before["b"]


def test_a_damaged_image_does_not_stop_the_others(frames, tmp_path):
    image = frames["P02"]
    write(tmp_path / "images" / "P1" / "a.zarr", image.pixels, **options(image, 2))
    bad = write(tmp_path / "images" / "P1" / "b.zarr", image.pixels, **options(image, 2))
    chunk_files(bad)[0].unlink()
    run_study(tmp_path / "images", tmp_path / "study", workers=1)
    errors = pd.read_csv(tmp_path / "study" / "errors.csv")
    assert errors["image"].tolist() == ["P1/b.zarr"]
    assert "1 of the" in errors["message"][0]
