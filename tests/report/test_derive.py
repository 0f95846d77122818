"""The derived tables: cheap to derive again, always the same, and silent about nothing."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest

from cher2.errors import Cher2Error, ClinicalTableError, StudyError
from cher2.protocol import Protocol
from cher2.report.derive import derive, read_clinical
from cher2.review.results import FINAL
from cher2.study.folder import Study
from cher2.study.tables import write_whole

TABLES = ("cells.csv", "patients.csv", "comparison.csv")


@pytest.fixture
def study(study_copy):
    return Study(study_copy)


def bytes_of(study):
    return {name: (study.path / name).read_bytes() for name in TABLES if (study.path / name).exists()}


def set_protocol(study, **changes):
    write_whole(study.path / "protocol.toml", Protocol.from_dict(changes).to_toml().encode())


def test_deriving_again_changes_no_byte(study):
    before = bytes_of(study)
    assert set(before) == set(TABLES)
    derived = derive(study)
    assert bytes_of(study) == before
    assert derived.no_comparison == ""
    assert (derived.comparison.high, derived.comparison.low) == (2, 4)
    assert len(derived.patients) == 8


def test_patient_rules_need_no_image(study, tmp_path):
    shutil.rmtree(tmp_path / "images")
    set_protocol(study, patient={"min_ctcs": 1, "ratio_threshold": 0.4})
    group = derive(study).patients.set_index("patient_id")["group"]
    assert group["P07"] == "high"
    assert group["P02"] == "high"
    assert group["P01"] == "undefined"


def test_a_duplicate_is_listed_but_not_counted(study):
    path = study.folder_of("P03/frame_01.ome.tif") / "objects.parquet"
    objects = pd.read_parquet(path)
    first = objects.index[objects["kind"] == "ctc"][0]
    before = derive(study)
    objects.loc[first, "duplicate_of"] = "P03/frame_00.ome.tif 7"
    objects.to_parquet(path, index=False)
    score = study.score_of("P03/frame_01.ome.tif")
    (path.parent / "score.json").write_text(json.dumps(score | {"n_ctcs": score["n_ctcs"] - 1}), encoding="utf-8")
    after = derive(study)
    assert len(after.cells) == len(before.cells)
    counts = [d.patients.set_index("patient_id")["n_ctcs"]["P03"] for d in (before, after)]
    assert counts[1] == counts[0] - 1


def test_a_study_that_is_not_finished_is_refused(study):
    before = bytes_of(study)
    shutil.rmtree(study.folder_of("P03/frame_01.ome.tif"))
    with pytest.raises(StudyError, match="not finished: 1 images are still to be scored, such as 'P03/frame_01"):
        derive(study)
    assert bytes_of(study) == before


def test_an_image_that_failed_is_not_counted_as_read(study):
    shutil.rmtree(study.folder_of("P03/frame_01.ome.tif"))
    errors = "image,error,message\nP03/frame_01.ome.tif,ImageError,broken\n"
    (study.path / "errors.csv").write_text(errors, encoding="utf-8")
    patient = derive(study).patients.set_index("patient_id").loc["P03"]
    assert (patient["n_images"], patient["n_ctcs"], patient["group"]) == (0, 0, "excluded")


def test_without_a_clinical_table_there_is_no_comparison_and_no_old_one(study):
    (study.path / "clinical.csv").unlink()
    derived = derive(study)
    assert derived.comparison is None
    assert derived.no_comparison == "no clinical table was given (--clinical)"
    assert set(bytes_of(study)) == {"cells.csv", "patients.csv"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("patient_id,liver\nX1,1\n", "no patient is in both tables"),
        ("patient_id,liver\nP01,maybe\n", "'maybe' is no value for a site"),
        ("patient_id,liver\nP01\n", "line 2 has 1 values, the header 2"),
        ("", "it is empty"),
    ],
)
def test_a_clinical_table_that_fails_leaves_the_patients_right_and_says_why(study, text, says):
    before = bytes_of(study)
    (study.path / "clinical.csv").write_text(text, encoding="utf-8")
    derived = derive(study)
    assert derived.comparison is None
    assert says in derived.no_comparison
    after = bytes_of(study)
    assert "comparison.csv" not in after
    assert after == {name: before[name] for name in after}


def test_a_protocol_that_no_longer_fits_the_clinical_table(study):
    set_protocol(study, cohort={"sites": [{"column": "brain", "title": "Brain"}]})
    derived = derive(study)
    assert "there is no column for any site; looked for brain" in derived.no_comparison
    assert "clinical.csv" in derived.no_comparison


def test_reading_a_clinical_table_names_file_and_row(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("patient_id,liver,further\n007,1,x\nNA,,y\n", encoding="utf-8")
    table = read_clinical(path, Protocol())
    assert table.to_dict("list") == {"patient_id": ["007", "NA"], "liver": ["1", ""], "further": ["x", "y"]}
    path.write_text("patient_id,liver\nP1,1\nP1,0\n", encoding="utf-8")
    with pytest.raises(ClinicalTableError) as caught:
        read_clinical(path, Protocol())
    assert caught.value.where == f"{path}, rows 1 and 2"
    with pytest.raises(ClinicalTableError, match="No such file"):
        read_clinical(tmp_path / "none.csv", Protocol())


def test_the_contracts_columns_come_first(study):
    cells = derive(study).cells
    contract = list(cells).index("kind_final")
    assert list(cells)[contract : contract + 4] == list(FINAL)
    assert list(cells)[:contract][-1] == "p3"
    assert cells["kind_final"].equals(cells["kind"].rename("kind_final"))
    assert not (study.path / "reviews.sqlite").exists()


def test_a_damaged_result_is_named(study):
    path = study.folder_of("P03/frame_01.ome.tif") / "objects.parquet"
    path.write_bytes(b"no table")
    with pytest.raises(StudyError, match="the table of objects cannot be read") as caught:
        derive(study)
    assert isinstance(caught.value, Cher2Error)
    assert "P03" in caught.value.where


def test_the_flow_counts_those_of_the_clinical_table_without_images(study):
    path = study.path / "clinical.csv"
    text = path.read_text(encoding="utf-8")
    another = text.splitlines()[-1]
    path.write_text(f"{text}P99{another[another.index(',') :]}\n", encoding="utf-8")
    counts = derive(study).flow.counts()
    assert (counts["screened"], counts["no_image"], counts["imaged"]) == (9, 1, 8)
    path.write_text("nobody\n1\n", encoding="utf-8")
    derived = derive(study)
    assert (derived.flow.counts()["screened"], derived.comparison) == (8, None)
