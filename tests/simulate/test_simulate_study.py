"""A synthetic study on disk: the same bytes for the same seed, a truth that adds up, whole or not at all."""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest
import tifffile

from cher2.errors import StudyError
from cher2.protocol import SITES, Protocol
from cher2.simulate import optics
from cher2.simulate.cells import populate_frame
from cher2.simulate.frame import simulate_frame
from cher2.simulate.patients import frame_stream, instrument_stream, plan_patients
from cher2.simulate.settings import StudySettings
from cher2.simulate.study import simulate_study

SMALL = StudySettings.for_scenario(
    "hard",
    patients=12,
    frames_per_patient=2,
    frame_shape=(160, 200),
    leukocytes_per_frame=8,
    ctcs_per_patient=9,
)


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "study"
    calls = []
    simulate_study(folder, SMALL, lambda done, total: calls.append((done, total)))
    assert calls == [(k, 24) for k in range(1, 25)]
    return folder


def test_the_study_is_whole(study):
    names = set(digests(study))
    assert {"truth_cells.csv", "truth_patients.csv", "clinical.csv", "protocol.toml", "README.md"} < names
    assert sum(name.endswith(".ome.tif") for name in names) == 24
    assert not list(study.parent.glob(".*"))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_study(study, tmp_path):
    simulate_study(tmp_path / "again", SMALL)
    assert digests(tmp_path / "again") == digests(study)
    other = StudySettings(**{**SMALL.as_dict(), "seed": 2})
    simulate_study(tmp_path / "other", other)
    first, second = digests(study), digests(tmp_path / "other")
    assert all(first[name] != second[name] for name in first if name in second)


def test_a_frame_does_not_depend_on_the_others(study):
    plan = plan_patients(SMALL)[6]
    rng = frame_stream(SMALL, 6, 1)
    light = optics.illumination(instrument_stream(SMALL), SMALL.frame_shape, SMALL.illumination_falloff)
    alone = simulate_frame(SMALL, populate_frame(SMALL, plan.frames[1], rng), rng, plan.gains, light)
    stored = tifffile.imread(study / "images" / "P07" / "frame_02.ome.tif")
    np.testing.assert_array_equal(alone.pixels, stored)


def test_the_truth_of_patients_is_the_sum_of_their_cells(study):
    cells = pd.read_csv(study / "truth_cells.csv", dtype={"patient_id": str})
    patients = pd.read_csv(study / "truth_patients.csv", dtype={"patient_id": str}).set_index("patient_id")
    ctcs = cells[cells["kind"] == "ctc"]
    counts = pd.crosstab(ctcs["patient_id"], ctcs["grade"]).reindex(patients.index, fill_value=0)
    for grade in range(4):
        found = counts.get(grade, 0)
        assert (patients[f"n_grade_{grade}"] == found).all()
    assert (patients["n_ctcs"] == counts.sum(axis=1)).all()
    assert (patients["n_images"] == 2).all()
    assert set(patients["group"]) == {"high", "low", "excluded", "undefined"}
    assert set(cells["kind"]) == {"ctc", "leukocyte", "other"}
    assert cells.loc[cells["kind"] != "ctc", "grade"].isna().all()
    assert (cells["sample_id"] == cells["patient_id"]).all()


def test_every_image_of_the_truth_is_there(study):
    cells = pd.read_csv(study / "truth_cells.csv")
    assert all((study / "images" / image).is_file() for image in cells["image"].unique())
    assert (cells["image"].str.split("/").str[0] == cells["patient_id"]).all()
    assert cells["y_px"].between(-0.5, 159.5).all()
    assert cells["x_px"].between(-0.5, 199.5).all()


def test_images_are_ome_tiffs_that_name_their_channels_bits_and_pixels(study):
    path = study / "images" / "P01" / "frame_01.ome.tif"
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        assert file.series[0].axes == "CYX"
        pixels = file.asarray()
        root = ElementTree.fromstring(file.ome_metadata)
        assert file.pages[0].compression == 1
    assert pixels.shape == (4, 160, 200)
    assert pixels.dtype == np.uint16
    assert pixels.max() <= 4095
    space = {"ome": "http://www.openmicroscopy.org/Schemas/OME/2016-06"}
    described = root.find(".//ome:Pixels", space)
    assert described.get("SignificantBits") == "12"
    assert float(described.get("PhysicalSizeX")) == float(described.get("PhysicalSizeY")) == 0.64
    assert described.get("PhysicalSizeXUnit") == "µm"
    names = [channel.get("Name") for channel in described.findall("ome:Channel", space)]
    assert names == ["DAPI", "CK", "CD45", "HER2"]
    assert b"UUID" not in path.read_bytes()


def test_compression_keeps_the_pixels(tmp_path):
    few = {**SMALL.as_dict(), "patients": 1, "frames_per_patient": 1}
    simulate_study(tmp_path / "plain", StudySettings(**few))
    simulate_study(tmp_path / "small", StudySettings(**{**few, "compress": True}))
    name = "images/P01/frame_01.ome.tif"
    plain, small = tmp_path / "plain" / name, tmp_path / "small" / name
    np.testing.assert_array_equal(tifffile.imread(plain), tifffile.imread(small))
    assert small.stat().st_size < 0.9 * plain.stat().st_size


def test_protocol_clinical_table_and_page_fit_the_study(study):
    protocol = Protocol.load(study / "protocol.toml")
    assert "synthetic" in protocol.name
    assert protocol.model_copy(update={"name": "x"}) == Protocol(name="x")
    clinical = pd.read_csv(study / "clinical.csv")
    patients = pd.read_csv(study / "truth_patients.csv")
    assert clinical["patient_id"].tolist() == patients["patient_id"].tolist()
    assert (clinical[[site.column for site in SITES]].sum(axis=1) >= 1).all()
    page = (study / "README.md").read_text(encoding="utf-8")
    assert "synthetic" in page
    assert "research use only" in page
    assert "| `spill` | 0.03 |" in page
    assert '"ck->her2" = 0.03' in page


def test_an_empty_folder_is_filled_and_a_filled_one_refused(tmp_path):
    few = StudySettings(**{**SMALL.as_dict(), "patients": 1, "frames_per_patient": 1})
    out = tmp_path / "out"
    out.mkdir()
    simulate_study(out, few)
    before = digests(out)
    with pytest.raises(StudyError, match="not empty"):
        simulate_study(out, few)
    assert digests(out) == before
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(StudyError, match="a file"):
        simulate_study(file, few)
    with pytest.raises(StudyError, match="cannot be written"):
        simulate_study(file / "below", few)
    assert file.read_text() == "mine"


def test_a_study_that_is_broken_off_leaves_nothing(tmp_path):
    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_study(tmp_path / "out", SMALL, stop)
    assert list(tmp_path.iterdir()) == []
