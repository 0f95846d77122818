"""The commands around readers' decisions: what they pass on, print, write and refuse."""

from __future__ import annotations

import re
import sys
from contextlib import closing
from types import ModuleType

import pytest

from cher2.protocol import Protocol
from cher2.review.ledger import Ledger
from cher2.review.open_log import open_to_write, stored_decisions
from cher2.study.folder import Study


@pytest.fixture
def opened(monkeypatch):
    """Return what the window's opener was given; the window itself has its own tests."""
    given = []
    window = ModuleType("cher2.napari.review_window")
    window.open_review = lambda study, *, tell, **options: given.append((study.path, options))
    monkeypatch.setitem(sys.modules, window.__name__, window)
    return given


def test_review_opens_the_window_for_the_reader_who_is_logged_in(study_copy, command, opened, monkeypatch):
    monkeypatch.setenv("LOGNAME", "ada")
    assert command("review", study_copy).code == 0
    assert command(
        *("review", study_copy, "--reader", "Bob", "--blind", "--queue", "sample"),
        *("--images", study_copy.parent / "images", "--reviews", "postgresql://host/db"),
    ).code == 0  # fmt: skip
    plain = {"reader": "ada", "queue": None, "blind": False, "images": None, "reviews": ""}
    full = {"reader": "Bob", "queue": "sample", "blind": True, "images": study_copy.parent / "images"}
    assert opened == [(study_copy, plain), (study_copy, full | {"reviews": "postgresql://host/db"})]


def test_review_refuses_before_a_window_opens(study_copy, refused, opened, tmp_path, monkeypatch):
    refused("review", tmp_path, says=["no study folder"])
    refused("review", study_copy, "--queue", "best", says=["no queue 'best'", "uncertain"])
    refused("review", study_copy, "--images", tmp_path / "none", says=["no such folder"])
    monkeypatch.setitem(sys.modules, "napari", None)
    refused("review", study_copy, says=['pip install "cher2[napari]"'])
    assert not opened


def test_a_damaged_file_of_decisions_is_refused_and_restored(study_copy, judge, command, refused):
    study = Study(study_copy)
    judge(study, [0, 1, 2], [3, 2, 1])
    with closing(open_to_write(study)[0]):
        pass
    path = study_copy / "reviews.sqlite"
    refused("review", study_copy, "--restore", says=["whole", "nothing to restore"])
    path.write_bytes(b"\0" * 100 + path.read_bytes()[100:])
    refused("report", study_copy, says=["damaged", "cher2 review STUDY --restore"])
    ran = command("review", study_copy, "--restore")
    assert ran.code == 0, ran.err
    assert "Restored: 3 decisions (3 from backups/reviews-00001-" in ran.out
    assert [entry.grade for entry in stored_decisions(study)] == [3, 2, 1]
    refused("review", study_copy, "--restore", "--reviews", "postgresql://host/db", says=["pg_restore"])


def test_calibrate_takes_the_grades_of_the_readers(study_copy, judge, command):
    study = Study(study_copy)
    ledger = Ledger(study)
    rows = [row for row in range(len(ledger)) if ledger.machine(row)[1] is not None]
    # The readers grade by intensity as well, with other cut-offs than the protocol's.
    intensity = ledger.cells["her2_intensity"].to_numpy(float)
    cuts = sorted(intensity[rows])[len(rows) // 4 :: len(rows) // 4][:3]
    grades = [sum(intensity[row] >= cut for cut in cuts) for row in rows]
    judge(study, rows, grades, "Ada", "blind")
    ran = command("calibrate", study_copy)
    assert ran.code == 0, ran.err
    assert f"Grades of {len(rows)} cells that were read blind." in ran.out
    assert f"{len(rows)} graded cells, {len(rows)} of them used" in ran.out
    assert float(re.search(r"kappa with the readers: (\d\.\d+)", ran.out)[1]) == 1
    found = Protocol.load(study_copy / "protocol_calibrated.toml").grade.cutoffs
    below = [max(intensity[row] for row in rows if intensity[row] < cut) for cut in cuts]
    assert all(low < cut <= high for low, cut, high in zip(below, found, cuts, strict=True))


def test_calibrate_needs_grades(study_copy, refused):
    refused("calibrate", study_copy, says=["no reader has graded", "--graded", "--spill"])


def test_agreement_needs_readings(study_copy, refused):
    refused("agreement", study_copy, says=["no reader has judged", "cher2 review", "cher2 import"])
