"""What a study's numbers assume is said: cut-offs, pixel size, and images that cannot hold a 3+."""

import numpy as np
import pytest
import tifffile

from cher2.batch.run import run_study
from cher2.report.write import assumptions, is_synthetic
from cher2.study.folder import Study


def write_channels(path, pixels, exposures=()):
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", "CK", "CD45", "HER2"]}}
    metadata |= {"Plane": {"ExposureTime": list(exposures), "ExposureTimeUnit": ["ms"] * 4}} if exposures else {}
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


@pytest.mark.parametrize(
    ("her2_ms", "unit", "says"),
    [
        ((100, 100, 50, None), "counts", "HER2 was not exposed alike (2 for 100 ms, 1 for 50 ms)"),
        ((100, 100, 100, None), "counts", ""),
        ((100, 50, 50, 50), "leukocyte_ratio", ""),
    ],
)
def test_unlike_exposures_of_her2_are_named_and_nothing_is_corrected(tmp_path, her2_ms, unit, says):
    pixels = np.random.default_rng(0).integers(0, 900, (4, 60, 70), dtype=np.uint16)
    for number, ms in enumerate(her2_ms):
        times = (10.0, 20.0, 30.0 + number, float(ms)) if ms else ()
        write_channels(tmp_path / "images" / "P1" / f"{number}.tif", pixels, times)
    rules = tmp_path / "protocol.toml"
    rules.write_text(f'[grade]\nunit = "{unit}"\n')
    run_study(tmp_path / "images", tmp_path / "study", protocol=rules, workers=1)
    study = Study(tmp_path / "study")
    said = [line for line in assumptions(study) if "exposed alike" in line]
    assert [says in line for line in said] == ([True] if says else [])
    scores = [study.score_of(image) for image in sorted(study.samples["image"])]
    assert scores[1]["exposure_ms"] == {"dapi": 10.0, "ck": 20.0, "cd45": 31.0, "her2": float(her2_ms[1])}
    assert scores[3]["exposure_ms"] == ({} if her2_ms[3] is None else scores[3]["exposure_ms"])


def test_a_study_of_synthetic_images_is_synthetic_whatever_its_protocol(scored):
    assert is_synthetic(Study(scored.path))
    assert "synthetic" not in Study(scored.path).protocol.name
