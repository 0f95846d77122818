"""What a study's numbers assume is said: cut-offs, pixel size, and images that cannot hold a 3+."""

import numpy as np
import pytest
import tifffile

from cher2.batch.run import run_study
from cher2.report.write import assumptions, is_synthetic
from cher2.study.folder import Study


def write_channels(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", "CK", "CD45", "HER2"]}}
    tifffile.imwrite(path.with_suffix(".ome.tif"), pixels, ome=True, photometric="minisblack", metadata=metadata)


@pytest.mark.parametrize(
    ("dtype", "says"),
    [
        (np.uint8, "1 images cannot hold a 3+: their pixels end at 255 counts, but 3+ begins at 340"),
        (np.float32, "1 images cannot hold a 3+: their pixels end at 1 counts"),
        (np.uint16, ""),
    ],
)
def test_images_that_cannot_hold_a_3_are_named(tmp_path, dtype, says):
    top = {np.uint8: 200, np.float32: 0.9, np.uint16: 3000}[dtype]
    write_channels(
        tmp_path / "images" / "P1" / "a.tif", (np.random.default_rng(0).random((4, 60, 70)) * top).astype(dtype)
    )
    run_study(tmp_path / "images", tmp_path / "study", workers=1)
    said = [line for line in assumptions(Study(tmp_path / "study")) if "cannot hold" in line]
    assert [says in line for line in said] == ([True] if says else [])


def test_images_of_different_depths_are_named(tmp_path):
    pixels = np.random.default_rng(0).random((4, 60, 70)) * 200
    write_channels(tmp_path / "images" / "P1" / "a.tif", pixels.astype(np.uint8))
    write_channels(tmp_path / "images" / "P1" / "b.tif", (pixels / 200).astype(np.float32))
    run_study(tmp_path / "images", tmp_path / "study", workers=1)
    assert any(
        "different depths, which end at 1, 255 counts" in line for line in assumptions(Study(tmp_path / "study"))
    )


def test_a_study_of_synthetic_images_is_synthetic_whatever_its_protocol(scored):
    assert is_synthetic(Study(scored.path))
    assert "synthetic" not in Study(scored.path).protocol.name
