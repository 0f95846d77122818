"""What a page shows beside its tables: there where the study has what it takes, and a reason where it has not."""

from __future__ import annotations

import io
from contextlib import closing

import pandas as pd
import pytest

from cher2.report.cell_pictures import StudyFrames
from cher2.report.derive import derive
from cher2.report.sections import study_sections
from cher2.review.decisions import Decision
from cher2.review.open_log import open_log
from cher2.study.folder import Study


@pytest.fixture
def study(study_copy):
    return Study(study_copy)


def sections_of(study):
    return study_sections(study, derive(study), StudyFrames(study))


def test_a_whole_study_has_every_section_but_agreement(study):
    found = sections_of(study)
    cells = pd.read_csv(study.path / "cells.csv", dtype={"patient_id": str})
    assert len(found.intensities.panels) == len(found.sites.panels) == 1
    assert [len(figure.panels) for figure in found.survival] == [1, 1]
    assert found.agreement is None
    assert found.notes == ()
    # Every CTC of so small a study is shown, patient by patient.
    ctcs = cells[(cells["kind_final"] == "ctc") & cells["duplicate_of"].isna()]
    assert {sheet.patient_id: len(sheet.cells) for sheet in found.sheets} == ctcs["patient_id"].value_counts().to_dict()
    assert all(sheet.of == len(sheet.cells) for sheet in found.sheets)
    counted = pd.read_csv(io.StringIO(found.intensities.numbers))
    assert counted.filter(like="ctcs_").to_numpy().sum() == ctcs["grade"].notna().sum()
    leukocytes = study.read_objects(study.samples["image"], kinds=["leukocyte"])
    assert counted["leukocytes"].sum() == leukocytes["her2_intensity"].notna().sum()


def test_without_a_clinical_table_nothing_of_cohorts_is_shown(study):
    (study.path / "clinical.csv").unlink()
    found = sections_of(study)
    assert found.sites.panels == found.cutoffs.panels == found.survival == ()
    assert found.intensities.panels


def test_cells_whose_images_are_gone_are_told(study):
    (study.path / "provenance.json").unlink()
    found = sections_of(study)
    assert found.sheets == ()
    (note,) = found.notes
    assert note.endswith("cells of patients are not shown: their images are not where they were scored")


def test_a_readers_grade_is_that_of_sheet_and_figure(study):
    cells = pd.read_csv(study.path / "cells.csv", dtype={"patient_id": str})
    cell = cells[cells["grade"] == 0].iloc[0]
    before = sections_of(study)
    decision = Decision(
        study=study.identity,
        reader="ann",
        image=cell["image"],
        object_id=int(cell["object_id"]),
        y_px=float(cell["y_px"]),
        x_px=float(cell["x_px"]),
        radius_px=9.0,
        action="grade",
        kind_before="ctc",
        grade_before=0,
        kind="ctc",
        grade=3,
    )
    with closing(open_log(study)) as log:
        log.append([decision])
    after = sections_of(study)
    assert after.agreement is not None

    def shown(sections):
        (sheet,) = (sheet for sheet in sections.sheets if sheet.patient_id == cell["patient_id"])
        return {c.object_id: c.grade for c in sheet.cells if c.image == cell["image"]}[cell["object_id"]]

    assert (shown(before), shown(after)) == ("0", "3+")
    counts = [pd.read_csv(io.StringIO(found.intensities.numbers)).sum() for found in (before, after)]
    assert counts[1]["ctcs_grade_3"] - counts[0]["ctcs_grade_3"] == 1
    assert counts[1]["ctcs_grade_0"] - counts[0]["ctcs_grade_0"] == -1
