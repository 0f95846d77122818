"""Readers compared with each other and with the machine; kappa against statsmodels, blind and open readings apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.inter_rater import cohens_kappa as statsmodels_kappa

from cher2.errors import GradingError, ReviewError
from cher2.review.agreement import WORDS, study_agreement
from cher2.review.agreement_table import agreement_table, agreement_text
from cher2.review.grades_for_calibration import grades_for_calibration
from cher2.review.ledger import Ledger
from cher2.review.open_log import stored_decisions
from cher2.review.readings import AUTOMATIC, CONSENSUS, readings_of
from cher2.study.folder import Study

FEW = {"resamples": 50}


@pytest.fixture
def study(study_copy):
    return Study(study_copy)


def ledger_of(study):
    return Ledger(study, stored_decisions(study))


def machine_grades(study):
    ledger = Ledger(study)
    return [ledger.machine(row)[1] for row in range(len(ledger))]


def noisy(grades, seed):
    """Return grades of which every fourth or so is one off."""
    rng = np.random.default_rng(seed)
    off = rng.choice([-1, 0, 0, 0, 1], len(grades))
    return np.clip(np.array(grades) + off, 0, 3).tolist()


def kappa_by_statsmodels(first, second):
    table = np.zeros((4, 4))
    np.add.at(table, (first, second), 1)
    # statsmodels weights by squares of the distance with wt="fc".
    return statsmodels_kappa(table, wt="fc").kappa


def test_two_readers_and_the_machine(study, judge):
    machine = machine_grades(study)
    rows = [row for row, grade in enumerate(machine) if grade is not None]
    auto = [machine[row] for row in rows]
    ada, bob = noisy(auto, 1), noisy(auto, 2)
    judge(study, rows, ada, "Ada", "blind")
    judge(study, rows[:40], bob[:40], "Bob", "blind")
    judge(study, rows[40:], bob[40:], "Bob", "open")
    found = study_agreement(ledger_of(study), **FEW)
    assert [(p.first, p.second, p.reading, len(p.rows)) for p in found.pairs] == [
        ("Ada", "Bob", "blind", 40),
        ("Ada", "Bob", "open", len(rows) - 40),
        ("Ada", AUTOMATIC, "blind", len(rows)),
        ("Bob", AUTOMATIC, "blind", 40),
        ("Bob", AUTOMATIC, "open", len(rows) - 40),
    ]
    expected = [(ada[:40], bob[:40]), (ada[40:], bob[40:]), (ada, auto), (bob[:40], auto[:40]), (bob[40:], auto[40:])]
    for pair, (first, second) in zip(found.pairs, expected, strict=True):
        assert pair.grade.value == pytest.approx(kappa_by_statsmodels(first, second), abs=1e-12)
        assert pair.grade.low <= pair.grade.value <= pair.grade.high
        assert pair.grade.sizes["patients"] > 1
        assert pair.confusion.to_numpy().sum() == len(first)
    differ = sum(a != b for a, b in zip(ada, bob, strict=True))
    assert (found.disagreements, found.settled) == (differ, 0)
    blind = found.pair("Ada", "Bob", "blind")
    for one, word in enumerate(WORDS[:4]):
        for other, second in enumerate(WORDS[:4]):
            meant = [row for row, a, b in zip(rows[:40], ada, bob, strict=False) if (a, b) == (one, other)]
            assert blind.examples(word, second).tolist() == meant
            assert blind.confusion.loc[word, second] == len(meant)
    assert any("flattering" in note for note in found.notes())
    assert [reading for reading, _ in found.alphas] == ["blind", "open"]


def test_a_cell_that_is_no_ctc_counts_for_ctc_or_not_and_not_for_the_grades(study, judge):
    machine = machine_grades(study)
    rows = [row for row, grade in enumerate(machine) if grade is not None][:20]
    auto = [machine[row] for row in rows]
    judge(study, rows, ["not" if at < 5 else grade for at, grade in enumerate(auto)], "Ada", "blind")
    judge(study, rows, ["not" if at < 3 or at == 9 else grade for at, grade in enumerate(auto)], "Bob", "blind")
    found = study_agreement(ledger_of(study), **FEW)
    pair = found.pair("Ada", "Bob", "blind")
    # 3 both no, 2 and 1 one of them, 14 both yes: observed 17/20, by chance (5 * 4 + 15 * 16) / 400 = 0.65.
    assert pair.ctc.value == pytest.approx((0.85 - 0.65) / 0.35)
    assert pair.grade.sizes["cells compared"] == 14
    assert pair.confusion.loc["not a CTC", "not a CTC"] == 3
    assert pair.examples(WORDS[auto[9]], "not a CTC").tolist() == [rows[9]]
    with_machine = found.pair("Ada", AUTOMATIC, "blind")
    assert with_machine.ctc.reason == f"{AUTOMATIC} took every cell for a CTC"
    assert np.isnan(with_machine.ctc.value)
    with pytest.raises(ReviewError, match="'4\\+' is nothing that is said"):
        pair.examples("4+", "0")


def test_a_readers_word_is_the_last_before_the_machines_grade_was_seen(study, judge):
    first, second, third, fourth = 0, 1, 2, 3
    judge(study, [first, second], [0, 1], reading="blind")
    judge(study, [first], [1], reading="blind")
    judge(study, [first, third, third], [2, 3, 0], reading="open")
    judge(study, [third], [1], reading="blind")
    judge(study, [second], [2], reading="consensus")
    judge(study, [fourth, fourth], [2, "skip"])
    readings = readings_of(ledger_of(study))
    said = readings[["row", "reader", "grade", "reading"]].to_numpy().tolist()
    assert said == [
        [first, "Ada", 1, "blind"],
        [second, "Ada", 1, "blind"],
        [second, CONSENSUS, 2, "consensus"],
        [third, "Ada", 1, "open"],
        [fourth, "Ada", 2, "open"],
    ]


def test_to_say_that_a_cell_is_a_ctc_gives_it_no_grade(study, judge):
    judge(study, [0, 1], ["is", 2], reading="blind")
    judge(study, [1], ["is"], reading="blind")
    assert readings_of(ledger_of(study))["grade"].tolist() == [pd.NA, 2]
    pair = study_agreement(ledger_of(study), **FEW).pair("Ada", AUTOMATIC, "blind")
    assert pair.confusion.loc["not graded"].sum() == 1


def test_one_reader_of_one_patient_has_a_kappa_and_no_interval(study, judge):
    cells = Ledger(study).cells
    rows = np.flatnonzero(cells["patient_id"] == "P02").tolist()
    judge(study, rows, noisy([int(g) for g in cells["grade_auto"].iloc[rows]], 3), reading="blind")
    found = study_agreement(ledger_of(study), **FEW)
    table = agreement_table(found).set_index("measure")
    assert np.isnan(table.loc["grade kappa", "ci_low"])
    assert "one patient" in table.loc["grade kappa", "reason"]
    assert "(no interval)" in agreement_text(found)
    assert found.alphas == ()


def test_nothing_to_compare_is_refused(study, judge):
    with pytest.raises(ReviewError, match="no reader has judged a cell"):
        study_agreement(ledger_of(study))
    judge(study, [0, 1], ["skip", "note"])
    with pytest.raises(ReviewError, match="no reader has judged a cell"):
        study_agreement(ledger_of(study))
    judge(study, [0], ["not"])
    pair = study_agreement(ledger_of(study), **FEW).pairs[0]
    assert pair.grade.reason == "no cell was graded by both"
    assert pair.by_grade is None


def test_the_command_prints_and_writes_one_table(study, judge, command):
    machine = machine_grades(study)
    rows = [row for row, grade in enumerate(machine) if grade is not None]
    judge(study, rows, noisy([machine[row] for row in rows], 1), "Ada", "open")
    judge(study, rows, noisy([machine[row] for row in rows], 2), "=Bob", "blind")
    judge(study, rows[:2], [1, 1], "Ada", "consensus")
    ran = command("agreement", study.path)
    assert ran.code == 0, ran.err
    for words in ("Ada", "=Bob", "kappa of grades", "not a CTC", "flattering", "Krippendorff's alpha", CONSENSUS):
        assert words in ran.out
    table = pd.read_csv(study.path / "agreement.csv", keep_default_na=False)
    confusion = table[(table["measure"] == "confusion") & (table["first"] == "Ada")]
    assert confusion["cells"].astype(int).sum() == len(rows)
    assert set(table["measure"]) >= {"grade kappa", "CTC kappa", "specific agreement", "confusion", "alpha"}
    assert "=Bob" not in set(table["first"])
    settled = table.set_index("measure").loc["cells settled by consensus", "cells"]
    assert int(settled) == 2
    assert not (table["value"].eq("") & table["reason"].eq("") & table["measure"].str.contains("kappa")).any()


def graded_rows(study, per_grade):
    machine = machine_grades(study)
    return [row for grade in range(4) for row in [r for r, g in enumerate(machine) if g == grade][:per_grade]], machine


def test_blind_grades_are_preferred_where_they_suffice(study, judge):
    rows, machine = graded_rows(study, 10)
    assert len(rows) == 40, "the synthetic study has too few cells of a grade for this test"
    judge(study, rows, [machine[row] for row in rows], "Ada", "blind")
    others = [row for row in range(len(machine)) if row not in rows and machine[row] is not None][:5]
    judge(study, others, [0] * 5, "Ada", "open")
    found = grades_for_calibration(ledger_of(study))
    assert found.words == "Grades of 40 cells that were read blind"
    cells = Ledger(study).cells
    expected = cells.iloc[sorted(rows)][["image", "object_id", "grade_auto"]].to_numpy().tolist()
    assert sorted(map(tuple, found.table.to_numpy().tolist())) == sorted(map(tuple, expected))


def test_open_grades_fill_up_and_are_told(study, judge):
    judge(study, [0, 1, 2], [0, 1, 2], "Ada", "blind")
    judge(study, [1, 3], [3, 3], "Bob", "open")
    judge(study, [2], [3], "Bob", "blind")
    found = grades_for_calibration(ledger_of(study))
    cells = Ledger(study).cells
    keys = [(cells["image"].iloc[row], cells["object_id"].iloc[row]) for row in (0, 1, 3)]
    assert [tuple(row) for row in found.table.to_numpy().tolist()] == [
        (*key, grade) for key, grade in zip(keys, (0, 1, 3), strict=True)
    ]
    assert "3 cells, 2 of them read blind and 1 with the automatic grade in view" in found.words
    assert "1 are left out, because readers disagree" in found.words
    judge(study, [2, 5], [1, 2], "Ada", "consensus")
    table = grades_for_calibration(ledger_of(study)).table
    assert sorted(table["grade"]) == [0, 1, 1, 2, 3]


def test_without_a_grade_there_is_nothing_to_calibrate_by(study, judge):
    with pytest.raises(GradingError, match="no reader has graded"):
        grades_for_calibration(ledger_of(study))
    judge(study, [0, 1], ["not", "is"])
    with pytest.raises(GradingError, match="no reader has graded"):
        grades_for_calibration(ledger_of(study))
