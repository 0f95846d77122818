"""Grades, their probabilities, and the three units."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cher2.cells.grading import MIN_LEUKOCYTES, grade_objects, grade_probabilities
from cher2.protocol import Grade


def objects(her2, kind="ctc", se=1.0):
    her2 = np.asarray(her2, float)
    return pd.DataFrame({"her2_mean": her2, "her2_se": se, "kind": kind, "touches_border": False, "duplicate_of": ""})


def with_leukocytes(her2, leukocytes):
    return pd.concat([objects(her2), objects(leukocytes, "leukocyte")], ignore_index=True)


@pytest.mark.parametrize(
    ("intensity", "grade"),
    [(-50, 0), (0, 0), (29.999, 0), (30, 1), (109.999, 1), (110, 2), (339.999, 2), (340, 3), (4000, 3)],
)
def test_on_a_cutoff_the_higher_grade(intensity, grade):
    assert grade_objects(objects([intensity]), Grade())["grade_auto"][0] == grade


def test_probabilities_by_hand():
    """At 100 counts with se 0 and a CV of 10 % the sd is 10: P(below 110) = Phi(1) = 0.8413 (normal tables)."""
    p = grade_probabilities(np.array([100.0]), np.array([0.0]), Grade(intensity_cv=0.1))
    np.testing.assert_allclose(p, [[0, 0.8413447, 0.1586553, 0]], atol=1e-6)


@given(st.floats(-1e4, 1e5), st.floats(0, 1e3), st.floats(0, 1))
def test_probabilities_sum_to_one(intensity, error, cv):
    p = grade_probabilities(np.array([intensity]), np.array([error]), Grade(intensity_cv=cv))
    assert p.min() >= 0
    assert p.sum() == pytest.approx(1)


def test_likeliest_grade_is_the_grade_away_from_cutoffs():
    table = grade_objects(objects([10, 60, 200, 700]), Grade())
    p = table[["p0", "p1", "p2", "p3"]].to_numpy()
    assert p.argmax(axis=1).tolist() == table["grade_auto"].tolist() == [0, 1, 2, 3]


def test_leukocyte_ratio_absorbs_the_gain():
    leukocytes = np.random.default_rng(0).normal(15, 3, 60)
    settings = Grade(unit="leukocyte_ratio", cutoffs=(2, 7, 22))
    grades = [
        grade_objects(with_leukocytes(np.array([10, 60, 200, 700]) * gain, leukocytes * gain), settings)["grade_auto"][
            :4
        ]
        for gain in (0.5, 1.0, 2.0)
    ]
    assert grades[0].tolist() == grades[1].tolist() == grades[2].tolist() == [0, 1, 2, 3]


def test_leukocyte_ratio_and_sd_by_hand():
    leukocytes = [10.0] * 10 + [12.0] * 11 + [14.0] * 10
    ratio = grade_objects(with_leukocytes([36], leukocytes), Grade(unit="leukocyte_ratio", cutoffs=(2, 7, 22)))
    assert ratio["her2_intensity"][0] == pytest.approx(3)
    sd = grade_objects(with_leukocytes([36], leukocytes), Grade(unit="leukocyte_sd", cutoffs=(2, 7, 22)))
    assert sd["her2_intensity"][0] == pytest.approx((36 - 12) / (1.4826 * 2))


def test_too_few_leukocytes_are_said_and_never_replaced_by_counts():
    table = with_leukocytes([36], [12.0] * (MIN_LEUKOCYTES - 1))
    graded = grade_objects(table, Grade(unit="leukocyte_ratio", cutoffs=(2, 7, 22)))
    assert graded["grade_auto"].isna().all()
    assert graded["her2_intensity"].isna().all()
    assert graded["not_graded"][0] == "19 leukocytes in the sample, but the unit leukocyte_ratio needs 20"


def test_leukocytes_at_the_border_are_no_reference():
    table = with_leukocytes([36], [12.0] * 25)
    table.loc[table.index[1:10], "touches_border"] = True
    graded = grade_objects(table, Grade(unit="leukocyte_ratio", cutoffs=(2, 7, 22)))
    assert graded["grade_auto"].isna().all()


@pytest.mark.parametrize(("unit", "level"), [("leukocyte_sd", 12.0), ("leukocyte_ratio", 0.0)])
def test_leukocytes_all_alike_or_at_nothing_are_said(unit, level):
    graded = grade_objects(with_leukocytes([36], [level] * 30), Grade(unit=unit, cutoffs=(2, 7, 22)))
    assert graded["grade_auto"].isna().all()
    assert (graded["not_graded"] != "").all()


def test_empty_table():
    assert grade_objects(objects([]), Grade()).empty
