"""The study in ``sample_images`` is what ``cher2 simulate --scenario sample`` writes, and is what its README says."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cher2 import read_image
from cher2.simulate.settings import StudySettings
from cher2.simulate.study import simulate_study

SAMPLES = Path(__file__).parents[2] / "sample_images"


@pytest.fixture(scope="module")
def again(tmp_path_factory):
    out = tmp_path_factory.mktemp("again") / "study"
    simulate_study(out, StudySettings.for_scenario("sample"))
    return out


def test_tables_and_protocol_are_the_same(again):
    for name in ("clinical.csv", "protocol.toml"):
        assert (again / name).read_text(encoding="utf-8") == (SAMPLES / name).read_text(encoding="utf-8"), name
    for name in ("truth_cells.csv", "truth_patients.csv"):
        pd.testing.assert_frame_equal(pd.read_csv(again / name), pd.read_csv(SAMPLES / name), rtol=1e-3)


def blocks(pixels, side=8):
    channels, rows, columns = pixels.shape
    return pixels.reshape(channels, rows // side, side, columns // side, side).mean(axis=(2, 4))


def test_frames_are_the_same(again):
    """The same scene, not the same bytes: on another processor the last bit of a blur turns the noise otherwise."""
    paths = sorted(path.relative_to(again) for path in again.glob("images/*/*.ome.tif"))
    assert paths == sorted(path.relative_to(SAMPLES) for path in SAMPLES.glob("images/*/*.ome.tif"))
    for path in paths:
        made, kept = (blocks(read_image(folder / path).pixels) for folder in (again, SAMPLES))
        assert np.median(np.abs(made - kept)) < 2.5
        assert np.corrcoef(made.ravel(), kept.ravel())[0, 1] > 0.999


def test_small_with_twelve_patients_and_each_group_and_called_synthetic():
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*")) < 15e6
    patients = pd.read_csv(SAMPLES / "truth_patients.csv")
    assert len(patients) >= 12
    assert set(patients["group"]) == {"high", "low", "excluded", "undefined"}
    assert "synthetic" in (SAMPLES / "README.md").read_text(encoding="utf-8").splitlines()[0].lower()
    assert read_image(SAMPLES / "images" / "P01" / "frame_01.ome.tif").synthetic
