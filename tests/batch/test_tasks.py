"""What a worker does with one file: all of its frames, or none and a reason."""

from __future__ import annotations

import errno
import pickle
import re
import shutil

import pytest

from cher2.batch import tasks
from cher2.batch.tasks import FileOutcome, grading_fingerprint, measure_file, measuring_fingerprint
from cher2.cells.score import measure_image
from cher2.errors import ImageError
from cher2.images.files import ImageFile
from cher2.protocol import Protocol
from cher2.study.folder import Study


@pytest.fixture
def file(images):
    return ImageFile("P03/frame_01.ome.tif", (images / "P03" / "frame_01.ome.tif",))


def test_a_measured_file_waits_to_be_graded(file, tmp_path):
    outcome = measure_file(file, tmp_path / "study", Protocol())
    assert (outcome.file, outcome.frames, outcome.error) == (file.name, (file.name,), "")
    assert outcome.ctcs > 5
    study = Study(tmp_path / "study")
    score = study.score_of(file.name, measured=True)
    assert score["measuring"] == measuring_fingerprint(Protocol())
    assert score["n_objects"] == len(study.measured_of(file.name))
    assert not (study.path / "images").exists()


def test_an_outcome_travels(file, tmp_path):
    outcome = measure_file(file, tmp_path / "study", Protocol())
    assert pickle.loads(pickle.dumps(outcome)) == outcome
    assert len(pickle.dumps(outcome)) < 1000


def test_a_file_that_cannot_be_read_is_an_outcome(tmp_path):
    outcome = measure_file(ImageFile("a.tif", (tmp_path / "a.tif",)), tmp_path / "study", Protocol())
    assert outcome == FileOutcome("a.tif", error="ImageError", message=outcome.message)
    assert outcome.message.startswith("a.tif: the file cannot be read (No such file")


def test_a_fault_of_cher2_is_named_with_its_file_and_stops_nobody(tmp_path):
    # No user can make this file; it stands for whatever nobody thought of.
    outcome = measure_file(ImageFile("a.tif", (None,)), tmp_path / "study", Protocol())
    assert outcome.error == "AttributeError"
    assert outcome.message.startswith("a.tif: this is a fault of cher2 (")
    assert "report it" in outcome.message
    assert "\n" not in outcome.message


def test_what_is_measured_again_and_what_is_graded_again(install):
    install("mine", "1", {}, {"mine": "mine:Mine"})
    default = Protocol()
    for section, values, measures, grades in [
        ("channels", {"her2": "PE"}, True, False),
        ("image", {"pixel_size_um": 0.5}, True, False),
        ("image", {"overlap_px": 50}, False, True),
        ("image", {"max_pixels": 10**9}, False, False),
        ("compensation", {"ck->her2": 0.1}, True, False),
        ("segmentation", {"segmenter": "mine"}, True, False),
        ("identify", {"ck_min": 10}, False, True),
        ("grade", {"unit": "leukocyte_sd"}, False, True),
        ("quality", {"edge_um_max": 9}, False, False),
        ("patient", {"min_ctcs": 1}, False, False),
        ("cohort", {"correction": "none"}, False, False),
    ]:
        other = Protocol.from_dict({section: values})
        assert (measuring_fingerprint(other) != measuring_fingerprint(default)) == measures, section
        same = grading_fingerprint(other, "P", "S", ["a"]) == grading_fingerprint(default, "P", "S", ["a"])
        assert same != grades, section


def test_patient_draw_and_frames_decide_a_grading():
    prints = {
        grading_fingerprint(Protocol(), *names) for names in [("P", "S", ["a"]), ("Q", "S", ["a"]), ("P", "T", ["a"])]
    }
    prints |= {grading_fingerprint(Protocol(), "P", "S", frames) for frames in (["a", "b"], ["b", "a"], [])}
    assert len(prints) == 6


def test_a_second_measurement_gives_the_same_bytes(file, tmp_path):
    for home in ("one", "two"):
        measure_file(file, tmp_path / home, Protocol())
    folders = [Study(tmp_path / home).folder_of(file.name, measured=True) for home in ("one", "two")]
    for name in ("measured.parquet", "labels.tif", "score.json"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    shutil.rmtree(tmp_path / "one")


def test_a_file_that_changes_while_it_is_read_is_refused(file, tmp_path, monkeypatch):
    def measured_meanwhile(*args):
        file.paths[0].write_bytes(file.paths[0].read_bytes())
        return measure_image(*args)

    monkeypatch.setattr(tasks, "measure_image", measured_meanwhile)
    outcome = measure_file(file, tmp_path / "study", Protocol())
    assert outcome.message.startswith(f"{file.name}: the file has changed while it was read. Let nothing write")
    assert not list((tmp_path / "study").glob(".measured/*"))


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (OSError(errno.EMFILE, ""), "StudyError", "this computer: .*Too many open files.*ulimit"),
        (OSError(errno.EIO, ""), "SystemRefusalError", "P03/frame_01.ome.tif, this computer: the system refuses"),
        (MemoryError(), "SystemRefusalError", "P03/frame_01.ome.tif, this computer: the system refuses .*memory"),
    ],
)
def test_what_the_system_refuses_is_no_fault_of_cher2(file, tmp_path, monkeypatch, error, kind, says):
    def broken(*args):
        if kind == "StudyError":
            # As a reader tells it: of the image, which is not to blame.
            raise ImageError("cannot be read") from error
        raise error

    monkeypatch.setattr(tasks, "measure_image", broken)
    outcome = measure_file(file, tmp_path / "study", Protocol())
    assert outcome.error == kind
    assert re.match(says, outcome.message), outcome.message
