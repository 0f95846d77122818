"""``cher2 verify`` against somebody with the study folder: cut-off decisions, edited outlines, runs and identity."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from cher2.batch.verify import verify_study
from cher2.errors import StudyError
from cher2.report.derive import derive
from cher2.review.open_log import REVIEWS
from cher2.review.outline import Outline
from cher2.review.outline_log import Correction, write_correction
from cher2.study.folder import Study
from cher2.study.trail import TRAIL, read_trail

IMAGE = "P03/frame_01.ome.tif"


def found(study, **more):
    checked = verify_study(study.path, sample=0, workers=1, **more)
    told = [(f.check, f.where, f.what) for f in checked.findings if f.level == "differs"]
    return [one for one in told if one[0] in ("decisions", "trail")]


@pytest.fixture
def study(study_copy, judge):
    """Return a study whose tables were derived from three decisions."""
    for name in ("clinical.csv", "comparison.csv", "survival.csv"):
        (study_copy / name).unlink()
    study = Study(study_copy)
    judge(study, [0, 1, 2], [3, "not", 1])
    derive(study)
    return study


def test_decisions_that_were_cut_off_after_the_tables_were_derived_are_named(study):
    assert found(study) == []
    with closing(sqlite3.connect(study.path / REVIEWS)) as database, database:
        database.execute("DELETE FROM decisions WHERE entry > 1")
    assert found(study) == [("decisions", REVIEWS, "entry 2: the entries from here to 3 were removed")]
    # The report says so before anything else, and the trail keeps the head that was true.
    derived = derive(study)
    assert "was altered: entry 2: the entries from here to 3 were removed" in derived.notes()[0]
    (study.path / REVIEWS).unlink()
    assert found(study) == [("decisions", REVIEWS, "entry 1: the entries from here to 3 were removed")]


def test_outlines_that_were_changed_by_hand_are_named(study):
    outline = Outline(900, 3, 4, np.ones((3, 3), bool))
    paths = [
        write_correction(study, Correction(IMAGE, "Ada", "correct", "base", "protocol", outlines=(outline,)))
        for _ in range(3)
    ]
    names = [path.relative_to(study.path).as_posix() for path in paths]
    assert [one for one in found(study) if one[0] == "trail"] == []
    paths[0].write_text(paths[0].read_text().replace('"Ada"', '"Bob"'))
    forged = paths[2].with_name("0009-" + "a" * 12 + ".json")
    paths[2].rename(forged)
    assert [one for one in found(study) if one[0] == "trail"] == [
        ("trail", names[2], "corrected outlines that were saved are gone"),
        ("trail", names[0], "corrected outlines were altered after they were saved"),
        (
            *("trail", forged.relative_to(study.path).as_posix()),
            "corrected outlines that the trail does not know: put there by hand, or a crash while saving",
        ),
    ]


def test_a_correction_that_the_trail_cannot_note_is_not_saved(study):
    shutil.rmtree(study.path / TRAIL)
    (study.path / TRAIL).write_text("")
    outline = Outline(900, 3, 4, np.ones((3, 3), bool))
    with pytest.raises(StudyError, match="trail cannot be written"):
        write_correction(study, Correction(IMAGE, "Ada", "correct", "base", "protocol", outlines=(outline,)))
    assert list((study.path / "edits").glob("*/*")) == []


def test_a_removed_trail_and_another_identity_are_told_and_a_kept_hash_is_looked_for(study):
    newest = read_trail(study.path).head[1]
    assert found(study, expect=[newest]) == []
    (study.path / "study_id").write_text("f" * 32 + "\n")
    assert ("trail", "study_id", "the study's identity is not the one that its trail tells of") in found(study)
    shutil.rmtree(study.path / TRAIL)
    told = found(study, expect=[newest])
    assert told[0] == ("trail", TRAIL, "it was removed: provenance.json tells of it")
    assert told[1][2].startswith(f"the hash {newest[:16]} that was kept elsewhere is gone")
    with pytest.raises(StudyError, match="no hash"):
        found(study, expect=["12345"])
