"""Each check of a comparison and of a curve: a fault that is planted is caught and named; sound ones pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cher2.cohorts.cohort_guards import check_comparison, check_curve, check_survival
from cher2.cohorts.comparison import compare_cohorts
from cher2.cohorts.group_survival import survival_by_group
from cher2.cohorts.results import Estimate, Test
from cher2.cohorts.survival import kaplan_meier
from cher2.errors import Cher2FaultError
from cher2.protocol import SITES, Protocol

N = 40


@pytest.fixture(scope="module")
def tables():
    random = np.random.default_rng(5)
    names = [f"P{row}" for row in range(N)]
    patients = pd.DataFrame({"patient_id": names, "group": random.choice(["high", "low"], N)})
    clinical = pd.DataFrame({"patient_id": names})
    for site in SITES:
        clinical[site.column] = random.choice(["0", "1", ""], N, p=[0.5, 0.4, 0.1])
    clinical["subtype"] = random.choice(["A", "B", "C"], N)
    clinical["os_months"] = random.exponential(20, N).round(1).astype(str)
    clinical["os_event"] = random.choice(["0", "1"], N)
    return patients, clinical


@pytest.fixture(scope="module")
def comparison(tables):
    return compare_cohorts(*tables)


@pytest.fixture(scope="module")
def survival(tables):
    return survival_by_group(*tables)


def caught(call, *arguments):
    with pytest.raises(Cher2FaultError) as found:
        call(*arguments)
    return found.value.check


def changed(table, row, column, value):
    broken = table.copy()
    broken.loc[row, column] = value
    return broken


@pytest.mark.parametrize(
    ("column", "value", "name"),
    [
        ("high_n", 100, "comparison-counts"),
        ("high_total", 3, "comparison-counts"),
        ("low_missing", -1, "comparison-counts"),
        ("p_value", 1.0000001, "comparison-p"),
        ("p_value", np.nan, "comparison-p"),
        ("p_adjusted", 0.0, "comparison-p"),
        ("odds_ratio", 1e9, "comparison-intervals"),
        ("ci_low", np.nan, "comparison-intervals"),
    ],
)
def test_a_line_that_is_off_is_caught(comparison, column, value, name):
    high, low = comparison.high, comparison.low
    check_comparison(comparison.table, high, low)
    assert caught(check_comparison, changed(comparison.table, 0, column, value), high, low) == name


def test_levels_are_all_patients_once_and_what_is_missing_has_its_reason(comparison):
    table, high, low = comparison.table, comparison.high, comparison.low
    rows = table.index[table["variable"] == "subtype"]
    broken = changed(table, rows[0], "high_n", table.loc[rows[0], "high_n"] - 1)
    assert caught(check_comparison, broken, high, low) == "comparison-levels"
    broken = changed(table, rows[1], "test", "")
    assert caught(check_comparison, broken, high, low) == "comparison-reasons"
    assert caught(check_comparison, table, high + 1, low) == "comparison-counts"


@pytest.mark.parametrize(
    ("column", "change", "name"),
    [
        ("at_risk", lambda values: values + 1, "curve-at-risk"),
        ("events", lambda values: np.append(values[:-1], values[-1] + 1), "curve-at-risk"),
        ("times", lambda values: values[::-1], "curve-times"),
        ("survival", lambda values: np.append(values[:-1], values[-2] + 0.01), "curve-falls"),
        ("survival", lambda values: values - 0.5, "curve-falls"),
        ("survival", lambda values: values * 0.999, "curve-product"),
        ("high", lambda values: values * 0.1, "curve-limits"),
        ("low", lambda values: values - 1, "curve-limits"),
    ],
)
def test_a_curve_that_is_off_is_caught(column, change, name):
    curve = kaplan_meier([6, 7, 10, 15, 19, 25, 25, 30], [1, 0, 1, 1, 0, 1, 0, 0]).curves["all"]
    check_curve(curve)
    assert caught(check_curve, replace(curve, **{column: change(getattr(curve, column))})) == name


@pytest.mark.parametrize(
    ("column", "value", "name"),
    [
        ("n", 100, "survival-counts"),
        ("missing", 1, "survival-counts"),
        ("events", 99, "survival-counts"),
        ("log_rank_p", 1.5, "survival-p"),
        ("hr_p", -0.1, "survival-p"),
        ("median_low", 1e6, "survival-intervals"),
        ("hr_high", 0.0, "survival-intervals"),
        ("median_months", np.nan, "survival-reasons"),
    ],
)
def test_a_row_of_survival_that_is_off_is_caught(survival, column, value, name):
    high, low = survival.sizes["high"], survival.sizes["low"]
    check_survival(survival.table, high, low)
    assert caught(check_survival, changed(survival.table, 0, column, value), high, low) == name


def test_an_estimate_outside_its_interval_and_a_p_above_1_are_faults():
    assert caught(Estimate, "ratio", 3.0, 1.0, 2.0, 0.95, "exact") == "estimate-interval"
    assert caught(Estimate, "ratio", np.nan, 1.0, 2.0, 0.95, "exact") == "estimate-reason"
    assert caught(Test, "Fisher", 1.1) == "p-value"


values = st.sampled_from(["0", "1", ""])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["high", "low", "excluded", "undefined"]), values, values), min_size=1))
def test_any_cohorts_pass(rows):
    names = [f"P{row}" for row in range(len(rows))]
    patients = pd.DataFrame({"patient_id": names, "group": [row[0] for row in rows]})
    clinical = pd.DataFrame({"patient_id": names, **{site.column: "0" for site in SITES}})
    clinical = clinical.assign(liver=[row[1] for row in rows], bone="1", stage=[row[2] for row in rows])
    rules = Protocol.from_dict({"cohort": {"no_site": "oligometastatic"}})
    assert len(compare_cohorts(patients, clinical, rules).table) >= len(SITES)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from([0, 1])), min_size=1, max_size=40))
def test_any_follow_up_passes(rows):
    assert kaplan_meier(*zip(*rows, strict=True)).curves
