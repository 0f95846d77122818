"""Results follow the readers: final kinds and grades in the derived tables, and what became of each decision."""

from __future__ import annotations

import json
from contextlib import closing

import numpy as np
import pandas as pd
import pytest

from cher2.protocol import Protocol
from cher2.report.derive import derive, summarise_study
from cher2.report.write import write_report
from cher2.review.ledger import Ledger
from cher2.review.open_log import open_log, stored_decisions
from cher2.review.results import LOST
from cher2.study.folder import SCORE, Study

TABLES = ("cells.csv", "patients.csv", "comparison.csv", "survival.csv")


@pytest.fixture
def study(study_copy):
    return Study(study_copy)


@pytest.fixture
def without_cohorts(study):
    """Return a study whose report has no figures of cohorts, which take most of the time to draw."""
    for name in ("clinical.csv", "comparison.csv", "survival.csv"):
        (study.path / name).unlink()
    return study


def tables_of(study):
    return {name: (study.path / name).read_bytes() for name in TABLES if (study.path / name).exists()}


def read(study, name):
    return pd.read_csv(study.path / name, keep_default_na=False, dtype=str)


def of_patient(study, patient, grade=None):
    cells = Ledger(study).cells
    wanted = cells["patient_id"] == patient
    return np.flatnonzero(wanted if grade is None else wanted & (cells["grade_auto"] == grade)).tolist()


def test_a_study_that_nobody_reviewed_keeps_every_byte_and_gets_no_database(study):
    before = tables_of(study)
    assert {"cells.csv", "patients.csv", "comparison.csv"} <= set(before)
    derived = derive(study)
    assert tables_of(study) == before
    assert not list(study.path.glob("reviews.sqlite*"))
    assert (derived.review.reviewed, derived.review.lost, derived.review.notes()) == (0, (), [])


def test_decisions_that_are_all_taken_back_change_no_byte(study, judge):
    before = tables_of(study)
    (entry,) = judge(study, [0], ["not"])
    derive(study)
    assert tables_of(study) != before
    judge_undo(study, entry)
    derive(study)
    assert tables_of(study) == before


def judge_undo(study, entry):
    with closing(open_log(study)) as log:
        ledger = Ledger(study, log.entries())
        row = ledger.row_of_entry(entry)
        undo = ledger.decision_on(
            row, "undo", entry.reader, (entry.kind, entry.grade), ledger.machine(row), refers_to=entry.decision_id
        )
        log.append([undo])


def test_a_patients_counts_follow_the_grades_of_a_reader(study, judge):
    before = derive(study).patients.set_index("patient_id").loc["P02"]
    threes, others = of_patient(study, "P02", 3), of_patient(study, "P02", 1)
    judge(study, [*threes, others[0]], [*[1] * len(threes), "not"])
    derived = derive(study)
    after = derived.patients.set_index("patient_id").loc["P02"]
    assert after["n_grade_3"] == 0
    assert after["n_grade_1"] == before["n_grade_1"] + before["n_grade_3"] - 1
    assert after["n_ctcs"] == before["n_ctcs"] - 1
    positive = after["n_grade_1"] + after["n_grade_2"] + after["n_grade_3"]
    assert after["cher2_ratio"] == pytest.approx(after["n_grade_2"] / positive)
    assert (derived.review.reviewed, derived.review.changed) == (len(threes) + 1, len(threes) + 1)
    cells = read(study, "cells.csv")
    judged = cells[cells["reader"] == "Ada"]
    assert len(judged) == len(threes) + 1
    assert set(judged["kind_final"]) == {"ctc", "other"}
    assert (judged.loc[judged["kind_final"] == "other", "grade"] == "").all()
    assert judged["reviewed_at"].str.fullmatch(r"\d{4}-\d\d-\d\dT.*\+00:00").all()
    rest = cells[cells["reader"] == ""]
    assert rest["grade"].equals(rest["grade_auto"].rename("grade"))
    assert (rest["reviewed_at"] == "").all()


def test_an_object_that_the_machine_rejected_is_listed_where_a_reader_judged_it(study, judge):
    image = study.samples["image"].iloc[2]
    objects = study.objects_of(image)
    other = objects[objects["kind"] == "leukocyte"]["object_id"].iloc[:3].tolist()
    before = derive(study)
    ledger = Ledger(study)
    ledger.add_objects(image)
    rows = [ledger.row_of(image, number) for number in other]
    judge(study, rows[:1], [3], images=[image])
    # What is only noted is not judged; what is found to be no CTC after all is.
    ledger_rows = {}
    with closing(open_log(study)) as log:
        again = Ledger(study, log.entries())
        again.add_objects(image)
        ledger_rows = [again.row_of(image, number) for number in other]
    judge(study, ledger_rows[1:], ["note", "not"], images=[image], reason="small")
    derived = derive(study)
    added = derived.cells.merge(before.cells[["image", "object_id"]], how="left", indicator=True)
    added = added[added["_merge"] == "left_only"]
    assert added["object_id"].tolist() == [other[0], other[2]]
    assert added["kind_final"].tolist() == ["ctc", "other"]
    assert added["kind"].tolist() == ["leukocyte", "leukocyte"]
    assert derived.review.changed == 1
    in_image = derived.cells.loc[derived.cells["image"] == image, "object_id"]
    assert in_image.is_monotonic_increasing
    assert list(dict.fromkeys(derived.cells["image"])) == list(dict.fromkeys(before.cells["image"]))
    patient = study.samples["patient_id"].iloc[2]
    counts = [
        d.patients.set_index("patient_id").loc[patient, ["n_ctcs", "n_grade_3"]].tolist() for d in (before, derived)
    ]
    assert counts[1] == [counts[0][0] + 1, counts[0][1] + 1]
    assert derived.cells["grade"].dtype == "Int8"


def test_that_a_cell_is_a_ctc_without_a_grade_leaves_the_machines_grade_and_its_uncertainty(study, judge):
    before = derive(study).patients
    judge(study, of_patient(study, "P03"), ["is"] * len(of_patient(study, "P03")), reading="blind")
    derived = derive(study)
    pd.testing.assert_frame_equal(derived.patients, before)
    assert derived.review.changed == 0
    assert derived.cells.loc[derived.cells["reader"] == "Ada", "grade"].isna().all()


def test_the_consensus_counts_before_a_newer_decision(study, judge):
    row = of_patient(study, "P03")[0]
    for word, reader, reading in ((0, "Ada", "blind"), (2, "Bob", "blind")):
        judge(study, [row], [word], reader, reading)
    derived = derive(study)
    assert derived.review.disagreements == 1
    assert "Readers disagree on 1 cells" in " ".join(derived.review.notes())
    assert derived.cells.loc[derived.cells["reader"] != "", "grade"].tolist() == [2]
    judge(study, [row], [1], "Ada", "consensus")
    judge(study, [row], [3], "Bob")
    derived = derive(study)
    assert derived.cells.loc[derived.cells["reader"] != "", ["grade", "reader"]].to_numpy().tolist() == [[1, "Ada"]]
    assert derived.review.disagreements == 0
    assert derived.review.readers == ("Ada", "Bob")


def test_a_decision_whose_cell_is_gone_is_listed_and_told(without_cohorts, judge, command):
    study = without_cohorts
    row = of_patient(study, "P03")[0]
    cell = Ledger(study).cells.iloc[row]
    (entry,) = judge(study, [row], [0], reason="=HYPERLINK(1)")
    scored_anew(study, cell["image"], drop=cell["object_id"])
    ran = command("report", study.path)
    assert ran.code == 0, ran.err
    assert "1 decisions of readers are about cells that are no longer there" in ran.out
    lost = read(study, LOST)
    assert lost[["decision_id", "grade", "reason"]].to_numpy().tolist() == [[entry.decision_id, "0", "'=HYPERLINK(1)"]]
    page = (study.path / "report.html").read_text(encoding="utf-8")
    assert "no longer there" in page
    assert "lost_decisions.csv" in page
    judge_undo_lost(study, entry)
    derive(study)
    assert not (study.path / LOST).exists()


def judge_undo_lost(study, entry):
    from dataclasses import replace

    with closing(open_log(study)) as log:
        log.append([replace(entry, action="undo", refers_to=entry.decision_id, decision_id="b" * 32, entry=0)])


def write_graded(study, image, objects, **words):
    """Put other objects in the place of an image's, as grading writes them: with their CTCs counted beside them."""
    objects.to_parquet(study.folder_of(image) / "objects.parquet", index=False)
    counted = (objects["kind"] == "ctc") & (objects["duplicate_of"] == "")
    score = study.score_of(image) | {"n_ctcs": int(counted.sum())} | words
    (study.folder_of(image) / SCORE).write_text(json.dumps(score), encoding="utf-8")


def scored_anew(study, image, drop=None, shift=0.0):
    """Give an image results of another measurement: its objects numbered anew, moved, one of them gone."""
    path = study.folder_of(image) / "objects.parquet"
    objects = pd.read_parquet(path)
    objects = objects[objects["object_id"] != drop].assign(
        object_id=lambda table: table["object_id"] + 5, y_px=lambda table: table["y_px"] + shift
    )
    write_graded(study, image, objects, measuring="another")


def test_decisions_find_their_cells_again_after_the_image_was_scored_anew(study, judge):
    row = of_patient(study, "P03", 3)[0]
    cell = Ledger(study).cells.iloc[row]
    judge(study, [row], [0])
    scored_anew(study, cell["image"], shift=1.5)
    derived = derive(study)
    judged = derived.cells[derived.cells["reader"] == "Ada"]
    assert judged[["object_id", "grade"]].to_numpy().tolist() == [[cell["object_id"] + 5, 0]]
    assert not derived.review.lost


def test_a_decision_on_what_is_a_copy_by_now_changes_no_count_and_is_listed(study, judge):
    row = of_patient(study, "P03")[0]
    cell = Ledger(study).cells.iloc[row]
    (entry,) = judge(study, [row], ["not"])
    path = study.folder_of(cell["image"]) / "objects.parquet"
    objects = pd.read_parquet(path)
    objects.loc[objects["object_id"] == cell["object_id"], "duplicate_of"] = "P03/frame_00.ome.tif 7"
    write_graded(study, cell["image"], objects)
    derived = derive(study)
    assert [lost.decision_id for lost in derived.review.lost] == [entry.decision_id]
    assert "copies of a cell in another frame by now" in " ".join(derived.review.notes())


def test_the_report_says_how_much_was_read(without_cohorts, judge, command):
    study = without_cohorts
    rows = of_patient(study, "P02")[:4]
    machine = [Ledger(study).machine(row)[1] for row in rows]
    judge(study, rows, [(machine[0] + 1) % 4, *machine[1:]], "<b>Ada</b>")
    page = write_report(study).read_text(encoding="utf-8")
    assert "1 reader (&lt;b&gt;Ada&lt;/b&gt;) judged 4 of" in page
    assert "changed the automatic result of 1" in page
    ran = command("report", study.path)
    assert "judged 4 of" in ran.out


def test_the_rules_of_the_protocol_hold_for_final_grades(study, judge):
    (study.path / "protocol.toml").write_text(Protocol(patient={"min_ctcs": 1}).to_toml(), encoding="utf-8")
    rows = of_patient(study, "P01")
    judge(study, rows, [0] * len(rows))
    patient = derive(study).patients.set_index("patient_id").loc["P01"]
    assert (patient["group"], patient["n_her2_positive"]) == ("undefined", 0)


def test_a_readers_name_runs_no_formula(study, judge):
    judge(study, [0], [1], "=cmd|1")
    derive(study)
    assert set(read(study, "cells.csv")["reader"]) == {"", "'=cmd|1"}
    assert {entry.reader for entry in stored_decisions(study)} == {"=cmd|1"}


@pytest.mark.parametrize("words", [("report",), ("calibrate",), ("agreement",)])
def test_a_database_of_another_kind_is_refused_before_anything_is_written(study_copy, refused, words):
    refused(*words, study_copy, "--reviews", "mysql://secret@host/x", says=["postgresql://"])


def test_the_environment_names_the_database_too(study_copy, refused, monkeypatch):
    monkeypatch.setenv("CHER2_REVIEWS", "mysql://secret@host/x")
    assert "secret" not in refused("report", study_copy, says=["CHER2_REVIEWS"])


def test_results_follow_decisions_that_a_server_keeps(without_cohorts, judge, command, postgres, monkeypatch, tmp_path):
    study = without_cohorts
    rows = of_patient(study, "P02")
    monkeypatch.setenv("CHER2_REVIEWS", postgres.url())
    judge(study, rows, [0] * len(rows))
    monkeypatch.delenv("CHER2_REVIEWS")
    assert command("report", study.path).code == 0
    assert set(read(study, "cells.csv")["reader"]) == {""}
    ran = command("report", study.path, "--reviews", postgres.url())
    assert ran.code == 0, ran.err
    assert f"judged {len(rows)} of" in ran.out
    patient = read(study, "patients.csv").set_index("patient_id").loc["P02"]
    assert (patient["n_grade_0"], patient["group"]) == (str(len(rows)), "undefined")
    assert command("agreement", study.path, "--reviews", postgres.url()).code == 0
    out = tmp_path / "decisions.csv"
    assert command("export", study.path, "--as", "decisions", "-o", out, "--reviews", postgres.url()).code == 0
    assert f"{len(rows)} were there already" in command("import", study.path, out, "--reviews", postgres.url()).out
    assert not list(study.path.glob("reviews.sqlite*"))


def test_patients_by_columns_alone_follow_the_readers_too(study, judge):
    image = study.samples["image"].iloc[2]
    other = int(study.objects_of(image).query("kind == 'leukocyte'")["object_id"].iloc[1])
    ledger = Ledger(study)
    ledger.add_objects(image)
    judge(study, [ledger.row_of(image, other)], [3], images=[image])
    judge(study, of_patient(study, "P02", 3), [1] * len(of_patient(study, "P02", 3)))
    derived = derive(study)
    patients, review = summarise_study(study)
    pd.testing.assert_frame_equal(patients, derived.patients, check_exact=True)
    assert review == derived.review
    assert review.reviewed > 1
