"""The ways in which laboratories store frames, each from the same pixels: the cells found must be the same."""

from __future__ import annotations

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
import tifffile

import cher2
from cher2.batch.run import run_study
from cher2.study.folder import Study

ROLES = ("DAPI", "CK", "CD45", "HER2")


@pytest.fixture(scope="module")
def pixels(synthetic):
    return {p: cher2.read_image(synthetic / "images" / p / "frame_01.ome.tif").pixels for p in ("P02", "P03", "P08")}


@pytest.fixture(scope="module")
def expected(scored):
    """Return the measured cells of the three frames, as the OME-TIFF of one frame gives them."""
    cells = pd.read_csv(scored.path / "cells.csv", keep_default_na=False)
    return {patient: rows for patient, rows in cells.groupby("patient_id") if patient in ("P02", "P03", "P08")}


def scored_cells(images, tmp_path, protocol=""):
    (tmp_path / "p.toml").write_text(protocol, encoding="utf-8")
    result = run_study(images, tmp_path / "study", protocol=tmp_path / "p.toml", workers=1)
    assert result.failed.empty
    return pd.read_csv(tmp_path / "study" / "cells.csv", keep_default_na=False)


def same_cells(found, expected, tolerance=1e-5):
    assert len(found) == len(expected)
    for name in ("y_px", "x_px", "area_um2", "her2_mean", "ck_mean"):
        np.testing.assert_allclose(found[name], expected[name], rtol=tolerance, err_msg=name)


def folder_of(tmp_path, patient):
    folder = tmp_path / "images" / patient
    folder.mkdir(parents=True)
    return folder


def test_several_frames_in_one_file(pixels, expected, tmp_path):
    path = folder_of(tmp_path, "P1") / "stack.ome.tif"
    metadata = {"axes": "TCYX", "Channel": {"Name": list(ROLES)}, "PhysicalSizeX": 0.64, "PhysicalSizeY": 0.64}
    stack = np.stack([pixels["P03"], pixels["P08"]])
    tifffile.imwrite(path, stack, ome=True, photometric="minisblack", metadata=metadata)
    cells = scored_cells(tmp_path / "images", tmp_path)
    assert set(cells["image"]) == {"P1/stack.ome.tif#1", "P1/stack.ome.tif#2"}
    # Automatic gates are the sample's, and here one sample holds both: what is measured is the same.
    for number, patient in ((1, "P03"), (2, "P08")):
        found = cells[cells["image"] == f"P1/stack.ome.tif#{number}"]
        assert abs(len(found) - len(expected[patient])) <= 1
        merged = found.merge(expected[patient], on="object_id", suffixes=("", "_alone"))
        assert len(merged) >= len(found) - 1
        np.testing.assert_allclose(merged["her2_mean"], merged["her2_mean_alone"])
    study = Study(tmp_path / "study")
    assert study.samples["image"].tolist() == ["P1/stack.ome.tif#1", "P1/stack.ome.tif#2"]
    patients = pd.read_csv(tmp_path / "study" / "patients.csv")
    assert patients["n_images"].tolist() == [2]
    before = {path: path.stat().st_mtime_ns for path in study.path.glob("images/*/objects.parquet")}
    run_study(tmp_path / "images", study.path, workers=1)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    # With one frame fewer, the last one's results go.
    tifffile.imwrite(path, stack[:1], ome=True, photometric="minisblack", metadata=metadata)
    run_study(tmp_path / "images", study.path, workers=1, force=True)
    assert len(list(study.path.glob("images/*"))) == 1


def test_one_file_a_channel(pixels, expected, tmp_path):
    folder = folder_of(tmp_path, "P03")
    for role, plane in zip(ROLES, pixels["P03"], strict=True):
        iio.imwrite(folder / f"f1_{role}.png", plane)
    (folder / "f1_mask.png").write_bytes(b"no channel of ours")
    cells = scored_cells(tmp_path / "images", tmp_path, '[image]\nfile_pattern = "{frame}_{channel}.png"\n')
    assert set(cells["image"]) == {"P03/f1"}
    same_cells(cells, expected["P03"])


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_eight_bits(pixels, expected, tmp_path, ending):
    folder = folder_of(tmp_path, "P03")
    for role, plane in zip(ROLES, pixels["P03"], strict=True):
        iio.imwrite(folder / f"f1_{role}.{ending}", np.clip(plane // 8, 0, 255).astype(np.uint8))
    protocol = f'[image]\nfile_pattern = "{{frame}}_{{channel}}.{ending}"\n[grade]\ncutoffs = [3.75, 13.75, 42.5]\n'
    cells = scored_cells(tmp_path / "images", tmp_path, protocol)
    assert abs(len(cells) - len(expected["P03"])) <= 1
    assert cells["her2_mean"].max() <= 255
    strong = cells["grade"].isin(["2", "3", 2, 3]).sum()
    # JPEG itself moves dim cells by a count or two, of the fourteen at which 2+ begins here.
    assert abs(strong - expected["P03"]["grade"].isin(["2", "3", 2, 3]).sum()) <= (2 if ending == "jpg" else 1)


def test_an_imagej_tiff_whose_channels_have_no_names(pixels, expected, tmp_path):
    path = folder_of(tmp_path, "P03") / "f.tif"
    tifffile.imwrite(
        path, pixels["P03"], imagej=True, resolution=(1 / 0.64, 1 / 0.64), metadata={"axes": "CYX", "unit": "um"}
    )
    cells = scored_cells(tmp_path / "images", tmp_path, "[channels]\ndapi = 0\nck = 1\ncd45 = 2\nher2 = 3\n")
    same_cells(cells, expected["P03"])
    score = Study(tmp_path / "study").score_of("P03/f.tif")
    assert score["pixel_size_from"] == "file"
    assert score["pixel_size_um"] == pytest.approx(0.64, rel=1e-4)


def test_floating_point_and_compressed_pixels(pixels, expected, tmp_path):
    for patient, how in (("P03", {"compression": "zlib"}), ("P08", {"compression": "zlib", "tile": (64, 64)})):
        metadata = {"axes": "CYX", "Channel": {"Name": list(ROLES)}}
        path = folder_of(tmp_path, patient) / "f.ome.tif"
        tifffile.imwrite(
            path, pixels[patient].astype(np.float32), ome=True, photometric="minisblack", metadata=metadata, **how
        )
    cells = scored_cells(tmp_path / "images", tmp_path)
    for patient in ("P03", "P08"):
        same_cells(cells[cells["patient_id"] == patient], expected[patient], tolerance=1e-4)
    assert Study(tmp_path / "study").score_of("P03/f.ome.tif")["pixel_size_from"] == "protocol"


def test_channels_in_another_order_and_spelling(pixels, expected, tmp_path):
    path = folder_of(tmp_path, "P03") / "f.ome.tif"
    metadata = {"axes": "CYX", "Channel": {"Name": ["her2", "extra", "Cd45", "ck", "dapi"]}}
    order = pixels["P03"][[3, 0, 2, 1, 0]]
    tifffile.imwrite(path, order, ome=True, photometric="minisblack", metadata=metadata)
    same_cells(scored_cells(tmp_path / "images", tmp_path), expected["P03"])


def test_frames_without_a_cell(tmp_path):
    rng = np.random.default_rng(1)
    metadata = {"axes": "CYX", "Channel": {"Name": list(ROLES)}}
    for name, plane in (("zero", np.zeros((4, 90, 120))), ("noise", rng.normal(100, 5, (4, 90, 120)))):
        path = folder_of(tmp_path, name) / "f.ome.tif"
        tifffile.imwrite(path, plane.astype(np.uint16), ome=True, photometric="minisblack", metadata=metadata)
    cells = scored_cells(tmp_path / "images", tmp_path)
    assert cells.empty
    patients = pd.read_csv(tmp_path / "study" / "patients.csv", keep_default_na=False)
    assert patients["n_ctcs"].tolist() == [0, 0]
    assert patients["group"].tolist() == ["excluded", "excluded"]
    assert patients["reason"].str.contains("0 CTCs").all()
