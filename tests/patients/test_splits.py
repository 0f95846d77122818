"""Splits by an index: exactly on thresholds, just beside them, and as the comparison takes them."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from cher2.cohorts.comparison import compare_cohorts
from cher2.errors import Cher2Error
from cher2.patients.indices import INDICES, index_values, patient_indices
from cher2.patients.splits import split_by
from cher2.patients.summary import summarise_patients
from cher2.protocol import SITES


def patients_of(*counts, group="low"):
    table = pd.DataFrame(counts, columns=[f"n_grade_{grade}" for grade in range(4)])
    return table.assign(patient_id=[f"P{number}" for number in range(len(table))], group=group)


def group_of(counts, index, threshold=None, **how):
    return split_by(patients_of(counts), index, threshold, **how)["group"].iloc[0]


@pytest.mark.parametrize(
    ("index", "on", "above", "group_on"),
    [
        ("cher2_ratio", (0, 1, 1, 2), (0, 100, 0, 301), "low"),
        ("strong_ctcs", (9, 9, 9, 1), (0, 0, 0, 2), "high"),
        ("half_her2_positive", (5, 5, 0, 0), (50, 51, 0, 0), "high"),
        ("over_expressing", (7, 0, 0, 3), (69, 0, 0, 31), "low"),
        ("h_score", (0, 0, 5, 0), (0, 0, 99, 1), "high"),
    ],
)
def test_on_the_published_threshold_and_just_above_it(index, on, above, group_on):
    assert index_values(patients_of(on), index) == [INDICES[index].threshold]
    assert group_of(on, index) == group_on
    assert group_of(above, index) == "high"
    assert group_of(on, index, reached=True) == "high"
    assert group_of(on, index, reached=False) == "low"


@pytest.mark.parametrize(
    ("index", "below"),
    [
        ("cher2_ratio", (0, 101, 0, 300)),
        ("strong_ctcs", (1, 1, 1, 0)),
        ("half_her2_positive", (51, 50, 0, 0)),
        ("over_expressing", (71, 0, 0, 29)),
        ("h_score", (0, 1, 99, 0)),
    ],
)
def test_just_below_the_published_threshold(index, below):
    assert group_of(below, index) == "low"


def test_thresholds_are_those_that_were_written():
    """As floats 0.1 + 0.2 is above 0.3, and 1 of 10 is above 0.1: neither is so here."""
    assert group_of((9, 0, 0, 1), "over_expressing", 0.1) == "low"
    assert group_of((0, 2, 0, 1), "cher2_ratio", "1/3") == "low"
    assert group_of((0, 2, 0, 1), "cher2_ratio", 0.3333) == "high"
    assert group_of((0, 2, 0, 1), "cher2_ratio", Fraction(1, 3), reached=True) == "high"


def test_no_graded_ctc_is_undefined_and_no_positive_one_only_where_it_matters():
    nothing, negative = split_by(patients_of((0, 0, 0, 0)), "strong_ctcs"), patients_of((8, 0, 0, 0))
    assert nothing["group"].tolist() == ["undefined"]
    assert nothing["reason"].tolist() == ["Strong CTCs (3+): 0/0 is undefined"]
    groups = [split_by(negative, index)["group"].iloc[0] for index in ("cher2_ratio", "strong_ctcs", "h_score")]
    assert groups == ["undefined", "low", "low"]


def test_excluded_patients_stay_so_and_reasons_can_be_checked():
    table = patients_of((7, 0, 0, 3), (0, 0, 0, 4)).assign(group=["undefined", "excluded"])
    split = split_by(table, "over_expressing")
    assert list(split) == ["patient_id", "over_expressing", "group", "reason"]
    assert split["group"].tolist() == ["low", "excluded"]
    assert split["reason"].tolist() == [
        "CTCs over-expressing HER2 0.3 (3/10) is not above 0.3",
        "excluded before the split",
    ]


def test_the_split_by_the_ratio_is_that_of_the_summary_and_any_can_be_compared():
    rng = np.random.default_rng(3)
    cells = pd.DataFrame(
        {"patient_id": rng.integers(0, 60, 800), "image": "a", "kind": "ctc", "grade_auto": rng.choice(4, 800)}
    )
    patients = summarise_patients(cells)
    assert split_by(patients, "cher2_ratio")["group"].tolist() == patients["group"].tolist()
    sites = {site.column: rng.integers(0, 2, 60) for site in SITES} | {"liver": 1}
    clinical = pd.DataFrame({"patient_id": range(60), **sites})
    for index in INDICES:
        split = split_by(patients, index, patient_indices(patients)[index].median())
        compared = compare_cohorts(split, clinical)
        assert (compared.high, compared.low) == tuple((split["group"] == group).sum() for group in ("high", "low"))
        assert min(compared.high, compared.low) > 5


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ({}, ("ratio",), "there is no index 'ratio'"),
        ({}, ("weak_share",), "no threshold is published for weak_share"),
        ({}, ("h_score", "many"), "the threshold 'many' is no number"),
        ({}, ("h_score", "1e400"), "the threshold '1e400' is beyond any index"),
        ({}, ("h_score", "-2.5E+9_99"), "the threshold '-2.5E.9_99' is beyond any index"),
        ({}, ("h_score", "1e-999999999999"), "is beyond any index"),
        ({}, ("h_score", "9" * 70), "is beyond any index"),
        ({}, ("h_score", float("nan")), "the threshold nan is no number"),
        ({}, ("h_score", "1/0"), "is no number"),
        ({"n_grade_2": -1}, ("h_score",), "patients, row 1: the counts are 1, 1, -1, 1"),
        ({"n_grade_2": 1.5}, ("h_score",), "the counts are"),
        ({"n_grade_2": None}, ("h_score",), "the counts are"),
        ({"n_grade_2": "x"}, ("h_score",), "the counts are"),
    ],
)
def test_hostile_input(change, arguments, message):
    with pytest.raises(Cher2Error, match=message):
        split_by(patients_of((1, 1, 1, 1)).assign(**change), *arguments)


@pytest.mark.parametrize("column", ["n_grade_3", "patient_id", "group"])
def test_missing_columns(column):
    with pytest.raises(Cher2Error, match=f"the table has no column {column}"):
        split_by(patients_of((1, 1, 1, 1)).drop(columns=column), "h_score")


def test_nobody():
    assert len(split_by(patients_of(), "h_score")) == 0
