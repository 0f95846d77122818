"""A synthetic cartridge as a CellTracks export, scored by ``cher2 run`` and compared with its operator's CTCs."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from celltracks_export import FILTERS, event, place, write_export, xml

from cher2.batch.run import run_study
from cher2.errors import StudyError
from cher2.report.derive import derive
from cher2.report.write import assumptions, write_report
from cher2.simulate import optics
from cher2.simulate.cells import populate_frame
from cher2.simulate.frame import simulate_frame
from cher2.simulate.ome import write_ome_tiff
from cher2.simulate.settings import StudySettings
from cher2.study.folder import Study

GRID, CAMERA = (2, 2), (240, 320)
SETTINGS = StudySettings(
    frame_shape=CAMERA,
    crowding=0,
    clustered_fraction=0,
    weak_ck_leukocytes=0,
    specks_per_frame=0,
    fibres_per_frame=0,
    debris_per_frame=0,
    blobs_per_frame=0,
    doubles_per_frame=0,
    bare_ck_per_frame=0,
    leukocytes_per_frame=20,
)
PAGES = [optics.CHANNELS.index(name) for name in FILTERS]
PATIENT = "P1/174182.1.2"


@pytest.fixture(scope="module")
def simulated():
    """Return the frames in the order of their numbers, and the boxes of their CTCs in the cartridge."""
    rng, frames, ctcs = np.random.default_rng(7), [], []
    for number in range(1, 5):
        frame = simulate_frame(SETTINGS, populate_frame(SETTINGS, [1, 2, 3], rng), rng)
        frames.append(frame.pixels[PAGES])
        row, column = place(number, GRID[1])
        for cell in frame.truth[frame.truth["kind"] == "ctc"].itertuples():
            y, x = round(cell.y_px) + row * CAMERA[0], round(cell.x_px) + column * CAMERA[1]
            ctcs.append((number, (y - 8, x - 8, y + 8, x + 8)))
    return frames, ctcs


def events_of(ctcs):
    """Return the events of an operator who missed the first CTC, assigned an empty place, and looked at another."""
    seen = [event(k, frame, box) for k, (frame, box) in enumerate(ctcs) if k > 0]
    empty = event(100, 1, (0, 0, 4, 4))
    return [*seen, empty, event(101, *ctcs[0], "false")]


@pytest.fixture(scope="module")
def exported(simulated, tmp_path_factory):
    """Return the folder of images, with the export of one patient and a frame of another, and the study of it."""
    frames, ctcs = simulated
    home = tmp_path_factory.mktemp("celltracks")
    write_export(home / "images" / "P1", frames, GRID, events=events_of(ctcs))
    (home / "images" / "P2").mkdir()
    write_ome_tiff(home / "images" / "P2" / "a.ome.tif", frames[0], FILTERS, 0.64, 12)
    return home, run_study(home / "images", home / "study", workers=1)


@pytest.fixture
def copied(exported, tmp_path):
    """Return a copy of both that a test may change."""
    for name in ("images", "study"):
        shutil.copytree(exported[0] / name, tmp_path / name)
    return tmp_path


def table(folder, name="celltracks.csv"):
    return pd.read_csv(folder / "study" / name, dtype=str, keep_default_na=False)


def test_the_operators_ctcs_are_found_and_the_others_told_apart(exported, simulated):
    home, result = exported
    assert result.failed.empty
    n = len(simulated[1])
    assert n == 12
    assert table(home).to_dict("records") == [
        {
            "patient_id": "P1",
            "sample_id": "P1",
            "n_frames": "4",
            "n_frames_unknown": "0",
            "n_selected": "12",
            "n_found": "12",
            "n_matched": "11",
            "n_missed": "1",
            "n_extra": "1",
        }
    ]
    cells = table(home, "celltracks_cells.csv").set_index("outcome")
    assert cells.loc["missed", "event"] == "100"
    assert cells.loc["missed", "object_id"] == ""
    assert cells.loc["extra", "event"] == ""
    assert sorted(map(int, cells.loc["matched", "event"])) == list(range(1, 12))
    assert cells.loc["matched", "distance_px"].astype(float).max() < 4


def test_what_is_unverified_is_said_and_the_comparison_stands_in_the_report(exported):
    _, result = exported
    said = " ".join([*assumptions(result.study), *result.derived.notes()])
    assert "Of 4 images: they were read as a CellTracks export" in said
    assert "never been held against a real export" in said
    assert "selected 12 CTCs, the study has 12 in the same frames: 11 are the same cell" in said
    assert "held against a real export" in write_report(result.study, result.derived).read_text(encoding="utf-8")


def test_a_frame_in_counts_gives_the_same_cells(exported):
    study = exported[1].study
    ours, same = (study.measured_of(image) for image in (f"{PATIENT}.001.tif", "P2/a.ome.tif"))
    pd.testing.assert_frame_equal(ours.drop(columns="image"), same.drop(columns="image"))


def test_frames_have_the_pixel_size_and_the_places_of_the_export(exported):
    study = exported[1].study
    scores = [study.score_of(image) for image in study.samples["image"] if image.startswith("P1/")]
    assert {score["pixel_size_from"] for score in scores} == {"file"}
    assert {score["duplicates"] for score in scores} == {"by stage positions"}
    assert {score["most_counts"] for score in scores} == {4095}
    assert len({tuple(score["frame"]["position_um"]) for score in scores}) == 4


def test_nothing_is_done_again_until_the_xml_changes(copied, simulated):
    stamps = {path: path.stat().st_mtime_ns for path in copied.glob("study/images/*/measured.parquet")}
    assert len(stamps) == 5
    run_study(copied / "images", copied / "study", workers=1)
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert table(copied)["n_missed"].tolist() == ["1"]
    # The operator takes the empty place back.
    every = [text for text in events_of(simulated[1]) if "<eventnum>100<" not in text]
    (copied / "images" / f"{PATIENT}.xml").write_text(xml(GRID, CAMERA, events=every), encoding="utf-8")
    run_study(copied / "images", copied / "study", workers=1)
    assert table(copied)[["n_selected", "n_missed"]].to_numpy().tolist() == [["11", "0"]]


def test_a_frame_that_fails_is_not_taken_for_one_without_ctcs(copied):
    (copied / "images" / f"{PATIENT}.003.tif").write_bytes(b"II*\0")
    result = run_study(copied / "images", copied / "study", workers=1)
    assert result.failed["image"].tolist() == [f"{PATIENT}.003.tif"]
    row = table(copied).to_dict("records")[0]
    assert (row["n_frames"], row["n_frames_unknown"]) == ("4", "1")
    assert int(row["n_selected"]) == 9
    assert "1 frames without a word of the operator are left out" in str(result.derived.operator)


def test_a_damaged_xml_fails_its_cartridge_only(copied, simulated):
    write_export(copied / "images" / "P3", simulated[0], GRID)
    path = copied / "images" / f"{PATIENT}.xml"
    path.write_bytes(path.read_bytes()[:-40])
    result = run_study(copied / "images", copied / "study", workers=1)
    assert len(result.failed) == 4
    assert result.failed["message"].str.contains("the XML of the export is damaged").all()
    assert Study(copied / "study").failed["image"].str.startswith("P1/").all()
    # Of the other, the operator selected nothing: all that is found is more.
    row = table(copied).set_index("patient_id").loc["P3"]
    assert (row["n_selected"], row["n_extra"]) == ("0", row["n_found"])


def test_a_damaged_score_is_not_taken_for_one_without_ctcs(copied):
    study = Study(copied / "study")
    path = study.folder_of(f"{PATIENT}.002.tif") / "score.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"selected": [[1]]}), encoding="utf-8")
    with pytest.raises(StudyError, match="does not hold the operator's cells"):
        derive(study)


def test_a_study_without_exports_keeps_no_comparison(copied):
    for name in ("celltracks.csv", "celltracks_cells.csv"):
        assert (copied / "study" / name).is_file()
    shutil.rmtree(copied / "images" / "P1")
    run_study(copied / "images", copied / "study", workers=1, force=True)
    assert not (copied / "study" / "celltracks.csv").exists()
    assert not (copied / "study" / "celltracks_cells.csv").exists()
