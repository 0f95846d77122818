"""The derived tables of a study against each other: a fault that is planted stops, and nothing is left half-written."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from cher2.errors import Cher2FaultError, StudyError
from cher2.patients.roster import Roster
from cher2.patients.summary import summarise_patients
from cher2.protocol import Protocol
from cher2.report.derive import derive
from cher2.report.image_quality import quality_of_study
from cher2.report.table_guards import CellCounts, check_written
from cher2.study.fault_file import FAULTS
from cher2.study.fingerprints import with_fingerprints
from cher2.study.folder import Study
from cher2.study.tables import csv_text, write_whole

IMAGE = "P03/frame_01.ome.tif"


@pytest.fixture(scope="module")
def study(scored):
    return Study(scored.path)


@pytest.fixture(scope="module")
def tables(study):
    """Return cells, patients, images and roster of the scored study; for reading only."""
    cells = study.read_objects(study.samples["image"], kinds=["ctc"])
    cells = cells.assign(kind_final=cells["kind"], grade=cells["grade_auto"], reader="", reviewed_at="")
    roster = Roster.of_images(study.samples, study.protocol.patient)
    images = quality_of_study(study, study.samples["image"]).images
    return cells, summarise_patients(cells, study.protocol, study.samples), images, roster


def compare(study, tables, cells=None, patients=None, corrected=()):
    own, table, images, roster = tables
    counts = CellCounts(study)
    cells = own if cells is None else cells
    for half in (cells.iloc[: len(cells) // 2], cells.iloc[len(cells) // 2 :]):
        counts.add(half)
    counts.check(table if patients is None else patients, images, roster, corrected)


def caught(call, *arguments, **options):
    with pytest.raises(Cher2FaultError) as found:
        call(*arguments, **options)
    return found.value.check


def test_the_tables_of_a_study_fit(study, tables):
    compare(study, tables)
    check_written(csv_text(tables[1]), tables[1])


def test_a_cell_that_is_lost_doubled_or_regraded_is_caught(study, tables):
    cells = tables[0]
    assert caught(compare, study, tables, cells.iloc[1:]) == "cells-of-images"
    assert caught(compare, study, tables, pd.concat([cells.iloc[[0]], cells])) == "cells-once"
    at = cells.index[cells["grade"].notna()][0]
    regraded = cells.copy()
    regraded.loc[at, "grade"] = (regraded.loc[at, "grade"] + 1) % 4
    assert caught(compare, study, tables, regraded) == "patients-of-cells"
    # The outlines of an image may have been corrected since grading counted its CTCs, and then patients must tell.
    image = cells.loc[at, "image"]
    assert caught(compare, study, tables, cells.drop(index=at), corrected={image}) == "patients-of-cells"
    elsewhere = cells.copy()
    elsewhere.loc[at, "kind_final"] = "other"
    assert caught(compare, study, tables, elsewhere) == "patients-of-cells"


def test_a_grade_that_is_not_the_cutoffs_is_caught(study, tables):
    cells = tables[0].copy()
    at = cells.index[cells["grade"].notna()][0]
    cells.loc[at, "grade_auto"] = (cells.loc[at, "grade_auto"] + 1) % 4
    assert caught(compare, study, tables, cells) == "grade-cutoffs"


@pytest.mark.parametrize("column", ["n_ctcs", "n_grade_2", "n_images"])
def test_patients_that_are_off_are_caught(study, tables, column):
    patients = tables[1].copy()
    patients.loc[2, column] += 1
    assert caught(compare, study, tables, patients=patients).startswith("patients-of-")


def test_a_draw_that_is_not_counted_is_not(tables, study):
    cells, _, images, _ = tables
    samples = study.samples.assign(drawn_on="2026-01-01")
    rules = study.protocol.patient
    two = samples.replace({"patient_id": {"P03": "P02"}})
    drawn = np.where(two["sample_id"] == "P03", "2026-02-01", "2026-01-01")
    two = two.assign(drawn_on=drawn)
    cells = cells.assign(patient_id=cells["patient_id"].replace({"P03": "P02"}))
    images = images.assign(patient_id=images["patient_id"].replace({"P03": "P02"}))
    for draws in ("first", "pool"):
        protocol = Protocol.from_dict({"patient": {"draws": draws}})
        patients = summarise_patients(cells, protocol, two)
        roster = Roster.of_images(two, protocol.patient)
        compare(study, (cells, patients, images, roster))
    assert rules.draws == "first"


def test_a_written_ratio_is_the_fraction_of_its_written_counts(tables):
    patients = tables[1]
    text = csv_text(patients)
    row = patients.index[patients["cher2_ratio"].between(0.01, 0.99)][0]
    ratio = f"{patients.loc[row, 'cher2_ratio']:.6g}"
    off = f"{float(ratio) + 0.000002:.6f}"
    assert caught(check_written, text.replace(f",{ratio},", f",{off},"), patients) == "written-ratios"
    assert caught(check_written, text.replace(f",{ratio},", ",,"), patients) == "written-ratios"
    assert caught(check_written, text.replace(",high,", ",low,", 1), patients) == "written-counts"
    assert caught(check_written, "".join(text.splitlines(keepends=True)[:-1]), patients) == "written-counts"


def files_of(path):
    return {name: (path / name).read_bytes() for name in ("cells.csv", "patients.csv", "comparison.csv", "report.html")}


def lose_a_cell(path, *, sealed):
    """Take a CTC out of an image's objects, as if cher2 had done it itself where the fingerprints fit."""
    study = Study(path)
    folder = study.folder_of(IMAGE)
    objects = pd.read_parquet(folder / "objects.parquet")
    first = objects.index[objects["kind"] == "ctc"][0]
    objects.drop(index=first).to_parquet(folder / "objects.parquet", index=False)
    if sealed:
        score = with_fingerprints(study.score_of(IMAGE), folder)
        (folder / "score.json").write_text(json.dumps(score), encoding="utf-8")
    return study


def test_a_fault_stops_before_anything_is_written_and_names_the_file_to_send(study_copy, command):
    study = lose_a_cell(study_copy, sealed=True)
    before = files_of(study.path)
    ran = command("report", study.path)
    assert ran.code == 2
    (line,) = ran.err.splitlines()
    assert "this is a fault of cher2, not of your data" in line
    assert "check cells-of-images" in line
    assert files_of(study.path) == before
    assert not list(study.path.glob(".*partial*"))
    (sent,) = (study.path / FAULTS).iterdir()
    assert f"Send faults/{sent.name}" in line
    text = sent.read_text(encoding="utf-8")
    assert "P03" not in text
    assert str(study.path) not in text
    assert json.loads(text)["rows"][0]["n_ctcs"] == json.loads(text)["rows"][0]["in_cells_csv"] + 1


def test_files_that_somebody_changed_are_no_fault_of_cher2(study_copy):
    study = lose_a_cell(study_copy, sealed=False)
    before = files_of(study.path)
    with pytest.raises(StudyError, match=r"results of P03/frame_01.ome.tif were changed .* objects.parquet"):
        derive(study)
    assert files_of(study.path) == before
    assert not (study.path / FAULTS).exists()


def test_cutoffs_changed_after_the_run_are_refused_not_shown_beside_old_grades(study_copy):
    study = Study(study_copy)
    rules = study.protocol.grade.model_copy(update={"cutoffs": (1.0, 2.0, 3.0)})
    changed = study.protocol.model_copy(update={"grade": rules})
    write_whole(study.path / "protocol.toml", changed.to_toml().encode())
    before = files_of(study.path)
    with pytest.raises(StudyError, match="graded by another protocol"):
        derive(study)
    assert files_of(study.path) == before
