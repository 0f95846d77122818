"""Patients from batches of cells: bit for bit those of the whole table, wherever a batch ends."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta

from cher2.errors import GradingError, SampleSheetError
from cher2.patients import chances
from cher2.patients.chances import MOST_EXACT, GradeChances
from cher2.patients.misgrading import probability_above_chances
from cher2.patients.roster import Roster
from cher2.patients.summary import PatientSums, summarise_patients
from cher2.protocol import PatientRules, Protocol


def many_cells(number=3000, seed=7):
    """Cells of every sort: two draws, copies, no grade for two reasons, a reader's grades, kinds and categories."""
    rng = np.random.default_rng(seed)
    patient = np.sort(rng.choice(["P1", "P2", "P10", "Q"], number, p=[0.5, 0.3, 0.19, 0.01]))
    grade = rng.integers(0, 4, number)
    p = rng.dirichlet([0.5] * 4, number) * 0.9
    p[np.arange(number), grade] += 0.1
    p[::4] = np.eye(4)[grade[::4]]
    table = pd.DataFrame({"patient_id": patient, "kind": rng.choice(["ctc", "other"], number, p=[0.9, 0.1])})
    table["sample_id"] = table["patient_id"] + np.where(rng.random(number) < 0.7, "a", "b")
    table["image"] = table["sample_id"] + rng.integers(0, 3, number).astype(str)
    table["duplicate_of"] = np.where(rng.random(number) < 0.05, "x 1", "")
    table["grade_auto"] = pd.array(grade, dtype="Int8")
    missing = rng.random(number) < 0.1
    table.loc[missing, "grade_auto"] = pd.NA
    table["not_graded"] = np.where(missing, rng.choice(["saturated", "cut", "cut"], number), "")
    table[["p0", "p1", "p2", "p3"]] = np.where(missing[:, None], np.nan, p)
    read = rng.random(number) < 0.05
    table["kind_final"] = np.where(read, "ctc", "")
    table["grade"] = pd.array(np.where(read, rng.integers(0, 4, number), 0), dtype="Int8")
    table.loc[~read, "grade"] = table.loc[~read, "grade_auto"]
    table["reader"] = np.where(read, "Ada", "")
    return table


def images_of(cells):
    return cells[["patient_id", "sample_id", "image"]].drop_duplicates().sort_values("image", ignore_index=True)


@pytest.mark.parametrize("draws", ["first", "pool"])
@pytest.mark.parametrize("size", [1, 7, 400])
def test_batches_give_what_the_whole_table_gives(monkeypatch, draws, size):
    monkeypatch.setattr(chances, "_FOLD_AT", 50)
    cells = many_cells(900 if size < 10 else 3000)
    images, rules = images_of(cells), PatientRules(draws=draws)
    sums = PatientSums(Roster.of_images(images, rules), rules)
    for start in range(0, len(cells), size):
        batch = cells.iloc[start : start + size]
        texts = dict.fromkeys(("patient_id", "sample_id", "kind", "duplicate_of", "not_graded"), "category")
        sums.add(batch.astype(texts) if start % 2 else batch)
    whole = summarise_patients(cells, Protocol.from_dict({"patient": {"draws": draws}}), images)
    pd.testing.assert_frame_equal(sums.table(), whole, check_exact=True)
    assert whole["n_ctcs"].max() > MOST_EXACT
    by_hand = cells[(cells["kind"].eq("ctc") | cells["kind_final"].eq("ctc")) & cells["duplicate_of"].eq("")]
    if draws == "pool":
        assert whole.set_index("patient_id")["n_ctcs"].to_dict() == by_hand["patient_id"].value_counts().to_dict()


def test_reasons_are_counted_over_all_batches_most_first():
    images, rules = pd.DataFrame({"patient_id": ["P1"], "image": ["a"]}), PatientRules()
    sums = PatientSums(Roster.of_images(images, rules), rules)
    for reasons in (["cut", "dim"], ["dim", "dim", "cut"], [""]):
        sums.add(pd.DataFrame({"patient_id": "P1", "kind": "ctc", "grade_auto": None, "not_graded": reasons}))
    assert "6 CTCs without a grade (3 dim, 2 cut)" in sums.table()["reason"].iloc[0]


def test_sums_of_nothing_and_of_strangers():
    images, rules = pd.DataFrame({"patient_id": ["P1"], "image": ["a"]}), PatientRules()
    sums = PatientSums(Roster.of_images(images, rules), rules)
    cell = pd.DataFrame({"patient_id": ["P1"], "kind": ["ctc"], "grade_auto": [3]})
    sums.add(cell.iloc[:0])
    assert sums.table()[["n_images", "n_ctcs"]].to_numpy().tolist() == [[1, 0]]
    with pytest.raises(SampleSheetError, match="patient P2 is not in the list of images"):
        sums.add(cell.assign(patient_id="P2"))
    with pytest.raises(GradingError, match="no column kind"):
        sums.add(cell.drop(columns="kind"))


def test_many_uncertain_cells_against_drawing_their_grades(monkeypatch):
    """The mean of the posterior over 4,000 drawings of 600 cells' grades, of which no cell is held one by one."""
    monkeypatch.setattr(chances, "_FOLD_AT", 100)
    rng = np.random.default_rng(11)
    p = rng.dirichlet([0.5, 1.0, 1.5, 1.5], 600)
    sums = GradeChances(2)
    for part in np.array_split(p, 9):
        sums.add(part, np.ones(len(part), int))
    assert [len(cells) for cells in sums.cells()] == [0, 0]
    u = rng.random((4000, 600, 1))
    grades = (u > p.cumsum(axis=1)[:, :3]).sum(axis=2)
    strong, positive = (grades >= 2).sum(axis=1), (grades >= 1).sum(axis=1)
    drawn = beta.sf(0.75, strong + 0.5, positive - strong + 0.5)
    found = probability_above_chances(sums, 0.75)
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(drawn.mean(), abs=0.005 + 4 * drawn.std() / np.sqrt(len(drawn)))
