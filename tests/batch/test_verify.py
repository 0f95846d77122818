"""A study is tampered with for real, file by file, and the verification must say where and how much."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile

from cher2.batch.run import run_study
from cher2.batch.verify import verify_study
from cher2.batch.verify_images import Rules, check_file, check_sample
from cher2.cells.score import ALGORITHM
from cher2.errors import StudyError
from cher2.review.ledger import Ledger
from cher2.review.open_log import open_log
from cher2.study.folder import Study
from cher2.study.provenance import read_provenance

IMAGE = "P03/frame_01.ome.tif"


@pytest.fixture
def study(study_copy):
    """Return a study that is tampered with, beside its images; without cohorts, which take their time."""
    for name in ("clinical.csv", "comparison.csv", "survival.csv"):
        (study_copy / name).unlink()
    return Study(study_copy)


@pytest.fixture
def compared(study_copy):
    """Return a study with every derived table."""
    return Study(study_copy)


def verify(study, sample=0, **more):
    # The study is a copy: what its provenance says leads to the images that it was copied from.
    images = more.pop("images", study.path.parent / "images")
    return verify_study(study.path, images=images, sample=sample, seed=1, workers=1, **more)


def told(found, check=None, level=None):
    """Return findings as short rows."""
    kept = [f for f in found.findings if check in (None, f.check) and level in (None, f.level)]
    return [(f.check, f.level, f.where, f.column) for f in kept]


def edit_table(path, change):
    table = pd.read_parquet(path)
    change(table)
    table.to_parquet(path, index=False)


def edit_json(path, change):
    record = json.loads(path.read_text(encoding="utf-8"))
    change(record)
    path.write_text(json.dumps(record), encoding="utf-8")


def stampless(content):
    record = json.loads(content)
    record["source"].pop("stamp")
    return record


def edit_text(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


# --- A study that nobody touched ---------------------------------------------------------------------------


def test_an_untouched_study_is_the_same_and_nothing_is_written(compared, judge, files_of):
    study = compared
    judge(study, [0, 1], [3, "not"])
    run_study(study.path.parent / "images", study.path, workers=1)
    before = files_of(study.path.parent)
    steps = []
    found = verify(study, None, progress=lambda done, total: steps.append((done, total)))
    assert found.findings == ()
    assert (found.exit_code, found.n_images, found.n_inputs, found.regraded) == (0, 8, 8, 8)
    assert list(found.recomputed) == study.samples["image"].tolist()
    assert found.tables == ("cells.csv", "patients.csv", "quality.csv", "comparison.csv", "survival.csv")
    assert found.n_decisions == 2
    assert files_of(study.path.parent) == before
    assert steps[0] == (0, 18)
    assert steps[-1] == (18, 18)


def test_the_same_seed_chooses_the_same_frames_and_the_command_says_which(study, command):
    first = json.loads(command("verify", study.path, "--sample", 3, "--seed", 7, "--workers", 1, "--json").out)
    assert first["exit_code"] == 0
    assert len(first["recomputed"]) == 3
    others = [verify_study(study.path, sample=3, seed=seed, workers=1) for seed in (8, None, None)]
    assert list(others[0].recomputed) != first["recomputed"]
    assert others[1].seed != others[2].seed
    ran = command("verify", study.path, "--sample", 3, "--seed", 7, "--workers", 1)
    assert ran.code == 0
    assert f"(seed 7): {', '.join(first['recomputed'])}." in ran.out
    assert ran.out.endswith("Everything that was compared is the same.\n")


def test_two_processes_find_the_same(study):
    edit_table(study.folder_of(IMAGE) / "measured.parquet", lambda t: t.__setitem__("ck_mean", t["ck_mean"] + 1))
    (study.folder_of("P01/frame_01.ome.tif") / "labels.tif").unlink()
    here = verify(study, None)
    there = verify_study(study.path, images=study.path.parent / "images", sample=None, seed=1, workers=2)
    assert set(here.findings) == set(there.findings)
    assert set(here.recomputed) == set(there.recomputed)


# --- Results of an image -----------------------------------------------------------------------------------


def test_an_edited_grade_is_named_with_its_column_and_size(study):
    path = study.folder_of(IMAGE) / "objects.parquet"

    def change(table):
        rows = table.index[table["kind"] == "ctc"][:2]
        table.loc[rows, "her2_intensity"] += [0.5, 2.0]
        table.loc[rows[0], "grade_auto"] = (table.loc[rows[0], "grade_auto"] + 1) % 4

    edit_table(path, change)
    found = verify(study)
    assert found.exit_code == 1
    # It is found by its fingerprint, so that it is measured and graded again without having been chosen.
    assert told(found, "files") == [("files", "differs", IMAGE, "")]
    assert found.recomputed == (IMAGE,)
    graded = {f.column: f for f in found.findings if f.check == "graded"}
    assert set(graded) == {"her2_intensity", "grade_auto"}
    assert (graded["her2_intensity"].rows, graded["grade_auto"].rows) == (2, 1)
    assert graded["her2_intensity"].largest == pytest.approx(2.0)
    assert not told(found, "measured")
    # Nothing is derived from it.
    (derived,) = (f for f in found.findings if f.check == "derived")
    assert (derived.level, derived.where) == ("unverified", "")
    assert f"results of {IMAGE} were changed after they had been written: objects.parquet" in derived.what


def test_an_edited_measurement_is_named(study):
    edit_table(study.folder_of(IMAGE) / "measured.parquet", lambda t: t.__setitem__("ck_mean", t["ck_mean"] + 3))
    found = verify(study)
    (finding,) = (f for f in found.findings if f.check == "measured")
    assert (finding.where, finding.column) == (IMAGE, "ck_mean")
    assert finding.rows == len(study.measured_of(IMAGE))
    assert finding.largest == pytest.approx(3)


def test_edited_labels_are_counted_in_pixels(study):
    path = study.folder_of(IMAGE) / "labels.tif"
    labels = tifffile.imread(path)
    ys, xs = np.nonzero(labels == 0)
    labels[ys[:5], xs[:5]] = 1
    tifffile.imwrite(path, labels)
    found = verify(study)
    (finding,) = (f for f in found.findings if f.check == "measured")
    assert (finding.where, finding.column, finding.rows) == (IMAGE, "labels.tif", 5)


def test_an_edited_score_is_found_by_its_own_fingerprint_and_by_the_image(study):
    edit_json(study.folder_of(IMAGE) / "score.json", lambda score: score["frame"].__setitem__("pixel_size_um", 0.5))
    found = verify(study)
    assert told(found, "files") == [("files", "differs", IMAGE, "")]
    assert told(found, "measured") == [("measured", "differs", IMAGE, "frame.pixel_size_um")]


def test_edited_measures_of_quality_are_found_and_missing_ones_are_an_earlier_versions(study):
    score = study.folder_of(IMAGE) / "score.json"
    edit_json(score, lambda told: told["quality"].__setitem__("edge_um", 9.0))
    assert told(verify(study), "measured") == [("measured", "differs", IMAGE, "quality")]
    edit_json(score, lambda told: told.pop("quality"))
    assert told(verify(study), "measured") == []


def test_a_stamp_alone_is_no_difference(study):
    edit_json(study.folder_of(IMAGE) / "score.json", lambda score: score["source"].__setitem__("stamp", []))
    assert verify(study).exit_code == 0


def test_an_earlier_study_without_fingerprints_is_said_and_no_failure(study):
    for image in study.samples["image"]:
        edit_json(study.folder_of(image) / "score.json", lambda score: score.pop("files"))
    found = verify(study, None)
    assert told(found) == [("files", "note", "", "")]
    assert found.exit_code == 0
    edit_table(study.folder_of(IMAGE) / "objects.parquet", lambda t: t.__setitem__("p3", t["p3"] + 0.25))
    assert ("graded", "differs", IMAGE, "p3") in told(verify(study, None))


def test_fingerprints_that_one_image_has_lost_are_a_difference(study):
    edit_json(study.folder_of(IMAGE) / "score.json", lambda score: score.pop("files"))
    assert ("files", "differs", IMAGE, "") in told(verify(study, 0))


def test_no_flipped_bit_goes_unseen_and_none_breaks_the_verification(study):
    chance = random.Random(5)
    folder = study.folder_of(IMAGE)
    rows = study.samples[study.samples["image"] == IMAGE]
    rules = Rules(study.path, study.protocol, "", same_machine=True)
    for name in ("labels.tif", "measured.parquet", "objects.parquet", "score.json"):
        whole = (folder / name).read_bytes()
        for _ in range(20):
            bytes_ = bytearray(whole)
            bytes_[chance.randrange(len(bytes_))] ^= 1 << chance.randrange(8)
            (folder / name).write_bytes(bytes_)
            checked = check_file(IMAGE, None, rows, (), rules)
            # Where fingerprints are no longer found, verify_study sees that the other images have them.
            found = checked.findings or checked.unsigned
            assert found or (name == "score.json" and stampless(bytes_) == stampless(whole)), (name, bytes_)
            assert check_sample("P03", "P03", [IMAGE], rules) is not None
        (folder / name).write_bytes(whole)
    assert not check_file(IMAGE, None, rows, (), rules).findings
    assert not check_sample("P03", "P03", [IMAGE], rules)


def test_a_deleted_folder_and_a_deleted_file_are_missed(study):
    shutil.rmtree(study.folder_of(IMAGE))
    (study.folder_of("P01/frame_01.ome.tif") / "measured.parquet").unlink()
    found = verify(study)
    assert [(f.where, f.what) for f in found.findings if f.check == "structure"] == [
        (IMAGE, "the image is neither scored nor in errors.csv"),
        ("P01/frame_01.ome.tif", "measured.parquet is missing"),
    ]
    assert found.exit_code == 1


def test_what_does_not_belong_into_the_folder(study):
    (study.path / "notes.txt").write_text("mine", encoding="utf-8")
    assert told(verify(study)) == [("structure", "note", "notes.txt", "")]
    (study.folder_of(IMAGE) / "labels (copy).tif").write_bytes(b"")
    shutil.copytree(study.folder_of(IMAGE), study.path / "images" / "P99__frame.tif")
    found = verify(study)
    assert ("structure", "differs", "images/P99__frame.tif", "") in told(found)
    assert ("structure", "differs", IMAGE, "") in told(found)


# --- Images ------------------------------------------------------------------------------------------------


def test_a_swapped_image_is_told_and_not_measured(study):
    images = study.path.parent / "images"
    shutil.copyfile(images / "P01" / "frame_01.ome.tif", images / IMAGE)
    found = verify(study, None)
    assert told(found) == [("inputs", "differs", IMAGE, "")]
    assert IMAGE not in found.recomputed
    assert len(found.recomputed) == 7


def test_images_that_are_gone_are_said_and_found_elsewhere(study, command):
    images = study.path.parent / "images"
    (images / IMAGE).unlink()
    found = verify(study, 2)
    assert told(found) == [("inputs", "unverified", IMAGE, "")]
    assert found.exit_code == 2
    images.rename(study.path.parent / "moved")
    assert len(told(verify(study, 2), "inputs")) == 8
    # Whoever asks for nothing to be measured needs no images.
    assert verify(study, 0).exit_code == 0
    ran = command("verify", study.path, "--images", study.path.parent / "moved", "--workers", 1)
    assert ran.code == 2
    assert IMAGE in ran.out
    assert "Nothing differs, but not everything could be verified." in ran.out


# --- Derived tables ----------------------------------------------------------------------------------------


def test_a_patient_edited_in_a_spreadsheet_is_named_with_what_is_derived(study, command):
    path = study.path / "patients.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    was = table.loc[2, "n_grade_3"]
    table.loc[2, "n_grade_3"] = str(int(was) + 4)
    table.to_csv(path, index=False, sep=";")
    found = verify(study)
    (finding,) = found.findings
    assert (finding.check, finding.where, finding.column) == ("derived", "patients.csv", "n_grade_3")
    assert (finding.rows, finding.largest) == (1, 4.0)
    assert finding.what == f"{table.loc[2, 'patient_id']} says '{int(was) + 4}', and '{was}' is derived"
    ran = command("verify", study.path, "--sample", 0, "--workers", 1)
    assert ran.code == 1
    assert "1 difference found." in ran.out
    assert "n_grade_3" in ran.out


def test_a_table_that_was_only_written_otherwise_is_noted(study):
    path = study.path / "patients.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table["cher2_ratio"] = [f"{float(value):.6f}" if value else "" for value in table["cher2_ratio"]]
    table.iloc[::-1].to_csv(path, index=False, sep="\t")
    found = verify(study)
    assert told(found) == [("derived", "note", "patients.csv", "")]
    assert found.exit_code == 0


@pytest.mark.parametrize(
    ("name", "column"),
    [("cells.csv", "her2_mean"), ("quality.csv", "flags"), ("comparison.csv", "p_value"), ("survival.csv", "patients")],
)
def test_every_derived_table_is_compared(compared, name, column):
    study = compared
    path = study.path / name
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.loc[0, column] = "0.123"
    table.to_csv(path, index=False)
    found = verify(study)
    assert ("derived", "differs", name, column) in told(found)
    path.unlink()
    assert ("derived", "differs", name, "") in told(verify(study))


def test_rows_and_columns_that_are_gone_or_too_many(study):
    path = study.path / "cells.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False).drop(columns="p0").assign(mine="1")
    more = table.iloc[[0]].assign(object_id="99999")
    pd.concat([table.iloc[2:], more]).to_csv(path, index=False)
    found = [f for f in verify(study).findings if f.check == "derived"]
    assert [(f.column, f.rows, f.what.split(",")[0]) for f in found] == [
        ("p0", 0, "the column is missing"),
        ("mine", 0, "the column should not be there"),
        ("", 2, "rows are missing"),
        ("", 1, "rows should not be there"),
    ]


# --- Decisions ---------------------------------------------------------------------------------------------


def altered(study, statement):
    with closing(sqlite3.connect(study.path / "reviews.sqlite")) as connection:
        connection.execute(statement)
        connection.commit()


def test_an_altered_decision_breaks_the_chain(study, judge):
    judge(study, [0, 1, 2], [3, 2, "not"])
    run_study(study.path.parent / "images", study.path, workers=1)
    altered(study, "UPDATE decisions SET grade = 0 WHERE entry = 2")
    found = [f for f in verify(study).findings if f.check == "decisions"]
    assert [f.what for f in found] == ["entry 2: it was altered after it was stored"]
    altered(study, "DELETE FROM decisions WHERE entry = 2")
    found = [f for f in verify(study).findings if f.check == "decisions"]
    assert found[0].what == "entry 3: the entries from 2 to 2 were removed"


def test_decisions_on_cells_that_never_were(study, judge):
    (made,) = judge(study, [0], [3])
    with closing(open_log(study)) as log:
        log.append([replace(made, decision_id="a" * 32, object_id=40_000, entry=0)])
        log.append([replace(made, decision_id="b" * 32, image="P77/none.tif", entry=0)])
    found = [f for f in verify(study).findings if f.check == "decisions"]
    assert [f.level for f in found] == ["differs", "differs"]
    assert "entry 2 is on object 40000" in found[0].what
    assert "P77/none.tif" in found[1].what


def test_a_decision_whose_cell_went_with_a_new_scoring_is_only_noted(study, judge):
    (made,) = judge(study, [0], [3])
    with closing(open_log(study)) as log:
        log.append([replace(made, decision_id="a" * 32, score="earlier", y_px=-500.0, object_id=40_000, entry=0)])
    run_study(study.path.parent / "images", study.path, workers=1)
    found = verify(study)
    assert told(found) == [("decisions", "note", "reviews.sqlite", "")]


def test_a_damaged_database_and_damaged_outlines(study):
    (study.path / "reviews.sqlite").write_bytes(b"no database" * 1000)
    edits = study.path / "edits" / study.folder_of(IMAGE).name
    edits.mkdir(parents=True)
    (edits / "0001-aaaaaaaaaaaa.json").write_text("{", encoding="utf-8")
    found = verify(study)
    wheres = [f.where for f in found.findings if f.check == "decisions" and f.level == "differs"]
    assert wheres == [IMAGE, "reviews.sqlite"]


# --- Protocol, samples, provenance -------------------------------------------------------------------------


def test_a_changed_protocol_is_found_by_the_provenance_and_by_the_grades(study):
    edit_text(study.path / "protocol.toml", "110.0", "120.0")
    found = verify(study, 2)
    assert ("provenance", "differs", "protocol.toml", "") in told(found)
    assert [f.what for f in found.findings if f.check == "graded"] == [
        "the sample was graded by another protocol than protocol.toml, or of other frames"
    ] * 2
    edit_text(study.path / "protocol.toml", "overlap_px", "# overlap_px")
    edit_text(study.path / "protocol.toml", "pixel_size_um = 0.64", "pixel_size_um = 0.5")
    assert len(told(verify(study, 2), "measured", "differs")) == 8


def test_a_changed_sheet_of_samples(study):
    edit_text(study.path / "samples.csv", ",P03,", ",P04,")
    found = verify(study)
    assert ("structure", "differs", IMAGE, "") in told(found)
    assert ("provenance", "differs", "samples.csv", "") in told(found)


def test_an_image_in_errors_that_is_scored(study):
    with (study.path / "errors.csv").open("a", encoding="utf-8") as file:
        file.write(f"{IMAGE},ImageError,broken\nP50/x.tif,ImageError,broken\n")
    wheres = [f.where for f in verify(study).findings if f.check == "structure"]
    assert wheres == [IMAGE, "P50/x.tif"]


def test_provenance_gone_or_older_or_edited(study):
    path = study.path / "provenance.json"
    whole = path.read_bytes()
    edit_json(path, lambda record: record["inputs"].__setitem__("images", "0" * 32))
    assert told(verify(study), "provenance") == [("provenance", "differs", "provenance.json", "")] * 2
    edit_json(path, lambda record: [record.pop(key) for key in ("inputs", "files", "runs")])
    assert told(verify(study), "provenance") == [("provenance", "note", "provenance.json", "")]
    path.write_bytes(whole[:50])
    assert told(verify(study), "provenance") == [("provenance", "differs", "provenance.json", "")]
    # Without it nobody knows where the images are; that they are needed is said.
    assert verify(study, 1, images=None).findings[0].level == "unverified"
    assert verify(study, 1).n_inputs == 8


def test_another_version_of_the_algorithm_is_said_and_called_no_damage(study):
    edit_json(study.path / "provenance.json", lambda record: record["software"].__setitem__("algorithm", "2"))
    found = verify(study, 3)
    assert told(found) == [("measured", "unverified", "", "")]
    assert f"algorithm 2, not {ALGORITHM}" in found.findings[0].what
    assert (found.exit_code, found.recomputed, found.regraded) == (2, (), 0)


def test_last_digits_of_another_machine_are_noted(study):
    for image in study.samples["image"]:
        edit_json(study.folder_of(image) / "score.json", lambda score: score.pop("files"))
    path = study.folder_of(IMAGE) / "measured.parquet"
    edit_table(path, lambda t: t.__setitem__("ck_mean", t["ck_mean"] * (1 + 1e-9)))
    assert ("measured", "differs", IMAGE, "ck_mean") in told(verify(study, None))
    edit_json(study.path / "provenance.json", lambda record: record["runs"][0]["machine"].update(architecture="arm64"))
    found = verify(study, None)
    assert ("measured", "note", IMAGE, "ck_mean") in told(found)
    assert not [row for row in told(found, level="differs") if row[0] == "measured"]


def test_each_run_is_kept(study):
    run_study(study.path.parent / "images", study.path, workers=1)
    record = read_provenance(study.path)
    assert len(record["runs"]) == 2
    assert record["runs"][1]["started"] == record["started"]
    assert record["runs"][0]["inputs"]["images"] == record["inputs"]["images"]
    assert verify(study).exit_code == 0


def test_what_is_no_study_is_refused(tmp_path, refused):
    with pytest.raises(StudyError, match="no study folder"):
        verify_study(tmp_path / "none")
    refused("verify", tmp_path, says=["no study folder"])


def test_all_and_a_number_contradict(study, refused):
    refused("verify", study.path, "--all", "--sample", 3, says=["contradict"])


def test_a_review_may_go_on(study, judge):
    judge(study, [0], [3])
    with closing(open_log(study)) as log:
        assert Ledger(study, log.entries())
        assert not [f for f in verify(study).findings if f.check == "decisions"]
