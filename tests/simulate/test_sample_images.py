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
    for name in ("truth_cells.csv", "truth_patients.csv", "clinical.csv", "protocol.toml", "README.md"):
        assert (again / name).read_text(encoding="utf-8") == (SAMPLES / name).read_text(encoding="utf-8"), name


def test_pixels_are_the_same(again):
    """Pixels, not bytes: another version of a compression library may pack them otherwise."""
    paths = sorted(path.relative_to(again) for path in again.glob("images/*/*.ome.tif"))
    assert paths == sorted(path.relative_to(SAMPLES) for path in SAMPLES.glob("images/*/*.ome.tif"))
    for path in paths:
        np.testing.assert_array_equal(read_image(again / path).pixels, read_image(SAMPLES / path).pixels)


def test_small_with_twelve_patients_and_each_group_and_called_synthetic():
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*")) < 15e6
    patients = pd.read_csv(SAMPLES / "truth_patients.csv")
    assert len(patients) >= 12
    assert set(patients["group"]) == {"high", "low", "excluded", "undefined"}
    assert "synthetic" in (SAMPLES / "README.md").read_text(encoding="utf-8").splitlines()[0].lower()
    assert read_image(SAMPLES / "images" / "P01" / "frame_01.ome.tif").synthetic
