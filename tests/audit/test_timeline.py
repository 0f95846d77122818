"""The audit of a real small study: one line for each thing that was done, and what is not as it was stored."""

from __future__ import annotations

import csv
import io
import json
import stat
from contextlib import closing

import numpy as np
import pytest

from cher2.audit.lines import AuditLine, in_time
from cher2.audit.timeline import Wanted, audit_study
from cher2.errors import ReviewError, StudyError
from cher2.exchange.import_decisions import import_decisions
from cher2.review.log_state import note_review
from cher2.review.open_log import open_log
from cher2.review.outline import Outline
from cher2.review.outline_log import Correction, write_correction
from cher2.study.folder import Study
from cher2.study.provenance import write_provenance

IMAGE = "P03/frame_01.ome.tif"


@pytest.fixture
def study(study_copy, judge, tmp_path):
    """Return a study that was reviewed, settled, imported into, corrected, and scored by another protocol."""
    study = Study.open(study_copy)
    note_review(study, "review_opened", "Ada", queue="patient", blind=True)
    judge(study, [0, 1], ["3", "not"], reason="=cmd|' /C calc'!A0", reading="blind")
    judge(study, [0], ["1"], reader="Zoë", reading="consensus")
    note_review(study, "review_closed", "Ada", queue="patient", blind=True)
    (tmp_path / "more.csv").write_text(f"image,grade,y_px,x_px,reader,decided_at\n{place(study)},Bob,2020-01-01\n")
    with closing(open_log(study)) as log:
        import_decisions(study, log, tmp_path / "more.csv")
    drawn = Outline(900, 3, 4, np.array([[True, True], [True, False]]))
    write_correction(study, Correction(IMAGE, "Ada", "correct", "base", "protocol", outlines=(drawn,)))
    grade = study.protocol.grade.model_copy(update={"cutoffs": (25.0, 110.0, 340.0)})
    protocol = study.protocol.model_copy(update={"grade": grade})
    (study.path / "protocol.toml").write_text(protocol.to_toml())
    write_provenance(
        study.path, images=tmp_path / "images", protocol=protocol, command=["cher2", "run"], started="2026-11-22"
    )
    return study


def place(study):
    """Return image, grade and position of a cell of the study as a row of a plain file has them."""
    objects = study.objects_of(IMAGE)
    cell = objects[objects["kind"] == "ctc"].iloc[0]
    return f"{IMAGE},2,{cell['y_px']},{cell['x_px']}"


def test_everything_that_was_done_is_told_in_order(study):
    found = audit_study(study.path)
    assert found.faults == ()
    told = [(line.who.partition(" ")[0], line.what, line.before, line.after) for line in found.lines]
    kinds = [what for _, what, _, _ in told]
    assert kinds == [
        *("trail begun", "scored", "review opened", "graded", "called no CTC", "adjudicated: graded", "graded"),
        *("review closed", "decisions imported", "outlines corrected", "scored, protocol changed"),
    ]
    lines = {line.what: line for line in found.lines}
    assert told[5][0::3] == ("Zoë", "1+")
    assert lines["called no CTC"].after == "not a CTC"
    assert "blind reading" in lines["called no CTC"].details
    assert "imported from more.csv" in next(line for line in found.lines if line.who == "Bob").details
    assert lines["outlines corrected"].after == "objects 900 (3 px)"
    assert lines["outlines corrected"].patient_id == "P03"
    assert (
        "grade.cutoffs from [30.0, 110.0, 340.0] to [25.0, 110.0, 340.0]" in lines["scored, protocol changed"].details
    )
    assert lines["review opened"].details == "queue patient; blind; 0 decisions in the log"
    assert found.log.entry == 4
    assert found.trail.entry == 7


def test_what_is_wanted_is_chosen_and_a_misspelt_name_is_no_empty_audit(study):
    assert {line.who for line in audit_study(study.path, Wanted(reader="Zoë")).lines} == {"Zoë"}
    of_patient = audit_study(study.path, Wanted(patient="P03")).lines
    assert {line.patient_id for line in of_patient} == {"P03"}
    old = audit_study(study.path, Wanted(until="2020-01-01"))
    assert [line.who for line in old.lines] == ["Bob"]
    assert len(audit_study(study.path, Wanted(since="2020-01-02")).lines) == old.n_all - 1
    for wanted, says in (
        (Wanted(reader="Zoe"), "no reader 'Zoe'; there are Ada, Bob, Zoë"),
        (Wanted(patient="P99"), "no patient 'P99'"),
        (Wanted(since="yesterday"), "'yesterday' is no time"),
    ):
        with pytest.raises(ReviewError, match=says):
            audit_study(study.path, wanted)
    with pytest.raises(StudyError, match="no hash"):
        audit_study(study.path, expect=("abc",))


def test_the_command_prints_harmless_rows_writes_nothing_and_tells_what_was_altered(study, command, files_of):
    before = files_of(study.path)
    ran = command("audit", study.path)
    assert ran.code == 0, ran
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert "'=cmd|' /C calc'!A0" in {row["reason"] for row in rows}
    assert not [value for row in rows for value in row.values() if value.startswith(("=", "+", "@"))]
    assert files_of(study.path) == before
    newest = [row["hash"] for row in rows if row["source"] == "decision"][-1]
    assert newest in ran.err
    assert command("audit", study.path, "--expect", newest[:16].upper()).code == 0
    (edit,) = (study.path / "edits").glob("*/*.json")
    edit.write_text(edit.read_text().replace('"Ada"', '"Bob"'))
    ran = command("audit", study.path, "--expect", "f" * 64)
    assert ran.code == 1
    assert f"NOT AS STORED: {edit.relative_to(study.path).as_posix()}: corrected outlines were altered" in ran.err
    assert "the hash ffffffffffffffff that was kept elsewhere is gone" in ran.err


def test_a_study_that_may_not_be_written_to_is_audited(study):
    paths = [study.path, *study.path.rglob("*")]
    modes = [(path, path.stat().st_mode) for path in paths]
    for path, mode in modes:
        path.chmod(mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    try:
        assert audit_study(study.path).faults == ()
    finally:
        for path, mode in modes:
            path.chmod(mode)


def test_a_run_that_was_edited_or_taken_out_is_told(study):
    path = study.path / "provenance.json"
    record = json.loads(path.read_text())
    record["runs"][0]["software"]["algorithm"] = "0"
    path.write_text(json.dumps(record))
    faults = audit_study(study.path).faults
    assert len(faults) == 2
    assert all("run" in fault and "provenance.json" in fault for fault in faults)
    del record["runs"][0]
    path.write_text(json.dumps(record))
    found = audit_study(study.path)
    assert len(found.faults) == 1
    assert "NOT AS STORED: provenance.json does not tell of this run" in [line.details for line in found.lines][1]


def test_the_order_of_storing_stands_against_a_clock_that_was_set_back():
    decisions = [AuditLine(f"2026-01-0{day}T00:00:00+00:00", "decision", n, "a", "x") for n, day in ((1, 5), (2, 2))]
    events = [AuditLine("2026-01-03T00:00:00+00:00", "trail", 1, "a", "x"), AuditLine("?", "trail", 2, "a", "x")]
    assert [(line.source, line.number) for line in in_time([decisions, events])] == [
        *(("trail", 1), ("trail", 2), ("decision", 1), ("decision", 2)),
    ]
