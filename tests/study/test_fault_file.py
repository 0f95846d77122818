"""The file that is sent: what is wrong, and no name, word or path of the laboratory's."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from cher2.cells.score import ALGORITHM
from cher2.errors import ISSUES, Cher2FaultError
from cher2.guards import guard
from cher2.protocol import Protocol
from cher2.study.fault_file import FAULTS, faults_filed, has_faults
from cher2.study.folder import Study

NAMES = ("Miller", "Ward 7", "Dr. Jones", "frame of Miller.tif", "Secret Hospital", "anti-HER2 of Smith")
ROWS = pd.DataFrame(
    {
        "patient_id": ["Miller", "Miller"],
        "sample_id": ["Ward 7", "x"],
        "image": ["frame of Miller.tif", "Miller/b.tif"],
        "reader": ["Dr. Jones", ""],
        "kind": ["ctc", "other"],
        "n_ctcs": [3, 4],
    }
)


@pytest.fixture
def study(tmp_path):
    home = Study(tmp_path / "Secret Hospital")
    rules = Protocol.model_validate(
        {
            "name": "Secret Hospital",
            "channels": {"her2": "anti-HER2 of Smith"},
            "grade": {"cutoffs": [20, 100, 300]},
            "cohort": {"sites": [{"column": "liver", "title": "Liver of Miller"}]},
        }
    )
    home.create(rules, pd.DataFrame({"image": ["a"], "patient_id": ["Miller"], "sample_id": ["Ward 7"]}))
    return home


def break_rule(study):
    with pytest.raises(Cher2FaultError) as found, faults_filed(study), faults_filed(study):
        guard("a-check", [False, False], ROWS, "numbers differ", columns=tuple(ROWS), where="frame of Miller.tif")
    return found.value


def test_a_fault_is_filed_once_and_says_where_and_where_to(study):
    assert not has_faults(study)
    fault = break_rule(study)
    (file,) = (study.path / FAULTS).iterdir()
    assert fault.file == f"faults/{file.name}"
    assert fault.remedy.startswith(f"Send {fault.file}, of the study folder, to {ISSUES}")
    assert file.name.startswith("a-check-")
    # The same fault again is the same file.
    assert break_rule(study).file == fault.file
    assert len(list((study.path / FAULTS).iterdir())) == 1


def test_the_file_tells_what_is_needed_and_nobodys_name(study):
    text = (study.path / break_rule(study).file).read_text(encoding="utf-8")
    sent = json.loads(text)
    assert sent["check"] == "a-check"
    assert sent["software"]["algorithm"] == ALGORITHM
    assert sent["protocol"]["grade"]["cutoffs"] == [20, 100, 300]
    assert sent["protocol"]["grade"]["unit"] == "counts"
    assert "not of your data" in sent["what"]
    first, second = sent["rows"]
    assert first == {
        "row": 1,
        "patient_id": "patient_id 1",
        "sample_id": "sample_id 1",
        "image": "image 1",
        "reader": "reader 1",
        "kind": "ctc",
        "n_ctcs": 3,
    }
    assert (second["patient_id"], second["image"], second["reader"]) == ("patient_id 1", "image 2", "")
    for name in (*NAMES, "Smith", "liver", str(study.path), str(study.path.parent)):
        assert name not in text
    assert "are numbers here" in sent["privacy"]


def test_what_cannot_be_filed_is_told_all_the_same(study):
    (study.path / FAULTS).write_text("in the way", encoding="utf-8")
    fault = break_rule(study)
    assert fault.file == ""
    assert fault.remedy.startswith("Report it with this message")


def test_other_errors_pass(study):
    with pytest.raises(KeyError), faults_filed(study):
        raise KeyError
    assert not has_faults(study)
