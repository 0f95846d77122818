"""A study whose cells are not held: the same tables and examples as one whose cells are."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest

from cher2.errors import StudyError
from cher2.report import cell_table
from cher2.report.derive import derive, summarise_study
from cher2.report.examples import examples_of
from cher2.report.thumbnails import choose_examples
from cher2.report.write import write_report
from cher2.study import object_scan
from cher2.study.folder import Study


@pytest.fixture
def study(study_copy):
    return Study(study_copy)


@pytest.fixture
def nothing_held(monkeypatch):
    monkeypatch.setattr(cell_table, "HELD", 10)
    monkeypatch.setattr(object_scan, "_TOGETHER", 2)


def test_cells_that_are_read_again_are_those_that_were_held(study, monkeypatch):
    held = derive(study)
    written = (study.path / "cells.csv").read_bytes()
    write_report(study, held)
    page = (study.path / "report.html").read_bytes()
    monkeypatch.setattr(cell_table, "HELD", 10)
    monkeypatch.setattr(object_scan, "_TOGETHER", 2)
    read = derive(study)
    pd.testing.assert_frame_equal(read.cells, held.cells)
    assert (study.path / "cells.csv").read_bytes() == written
    write_report(study, read)
    assert (study.path / "report.html").read_bytes() == page
    assert not list(study.path.glob(".*partial*"))


def test_patients_alone_are_those_of_all_tables(study):
    patients, review = summarise_study(study)
    derived = derive(study)
    pd.testing.assert_frame_equal(patients, derived.patients, check_exact=True)
    assert review == derived.review
    assert review.cells == (derived.cells["duplicate_of"] == "").sum()


@pytest.mark.parametrize("per_grade", [1, 3, 1000])
@pytest.mark.usefixtures("nothing_held")
def test_examples_are_those_of_the_whole_table(study, per_grade):
    derived = derive(study)
    whole = choose_examples(derived.cells, per_grade).reset_index(drop=True)
    found = examples_of(derived.cell_table, per_grade)
    assert len(whole) > 0
    pd.testing.assert_frame_equal(found[list(whole)], whole, check_dtype=False)


@pytest.mark.usefixtures("nothing_held")
def test_a_study_that_changed_in_between_is_not_mixed_up(study):
    derived = derive(study)
    path = study.folder_of(study.samples["image"].iloc[2]) / "objects.parquet"
    objects = pd.read_parquet(path)
    objects[objects["kind"] != "ctc"].to_parquet(path, index=False)
    with pytest.raises(StudyError, match="has changed since"):
        list(derived.cell_table.batches())


def test_a_table_that_fails_half_way_leaves_the_old_cells(study):
    before = (study.path / "cells.csv").read_bytes()
    path = study.folder_of(study.samples["image"].iloc[-1]) / "objects.parquet"
    path.write_bytes(b"no table")
    with pytest.raises(StudyError, match="cannot be read"):
        derive(study)
    assert (study.path / "cells.csv").read_bytes() == before
    assert not list(study.path.glob(".*partial*"))


def test_a_study_without_a_cell_has_the_header(study):
    for image in study.samples["image"]:
        path = study.folder_of(image) / "objects.parquet"
        pd.read_parquet(path).iloc[:0].to_parquet(path, index=False)
        score = study.score_of(image) | {"n_ctcs": 0}
        (path.parent / "score.json").write_text(json.dumps(score), encoding="utf-8")
    shutil.rmtree(study.path / "edits", ignore_errors=True)
    derived = derive(study)
    header = (study.path / "cells.csv").read_text(encoding="utf-8").splitlines()
    assert header == [",".join(cell_table.ORDER)]
    assert list(derived.cells) == [*cell_table.ORDER]
    assert examples_of(derived.cell_table, 8).empty
    assert derived.patients["n_ctcs"].sum() == 0
