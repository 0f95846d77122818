"""Each check of patients: a fault that is planted is caught and named; tables of any counts pass."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cher2.errors import Cher2FaultError
from cher2.patients.patient_guards import check_patients
from cher2.patients.summary import summarise_patients
from cher2.protocol import PatientRules, Protocol

COUNTS = {
    "P1": (2, 1, 3, 6, 0),  # 9 of 10
    "P2": (0, 1, 2, 1, 0),
    "P3": (5, 1, 2, 1, 1),  # 3 of 4
    "P4": (9, 0, 0, 0, 0),
    "P5": (1, 9, 9, 2, 2),
}
"""CTCs of grade 0 to 3, and without a grade."""


def cells_of(counts):
    rows = [
        {"patient_id": patient, "image": f"{patient}/a", "kind": "ctc", "grade_auto": pd.NA if grade == 4 else grade}
        for patient, numbers in counts.items()
        for grade, number in enumerate(numbers)
        for _ in range(number)
    ]
    table = pd.DataFrame(rows, columns=["patient_id", "image", "kind", "grade_auto"])
    return table.astype({"grade_auto": "Int8"})


@pytest.fixture(scope="module")
def patients():
    return summarise_patients(cells_of(COUNTS))


def check(patients, rules=None):
    check_patients(patients, np.array([0, 0, 1, 0, 2]), rules or PatientRules())


def caught(patients, rules=None):
    with pytest.raises(Cher2FaultError) as found:
        check(patients, rules)
    return found.value.check


def test_sums_are_sound_and_of_every_group(patients):
    assert patients["group"].tolist() == ["high", "excluded", "low", "undefined", "low"]
    check(patients)


@pytest.mark.parametrize(
    ("column", "value", "name"),
    [
        ("n_grade_0", 3, "patient-counts"),
        ("n_ctcs", 13, "patient-counts"),
        ("n_her2_positive", 9, "patient-her2-positive"),
        ("cher2_ratio", 0.9 + 2**-53, "patient-ratios"),
        ("cher2_ratio", np.nan, "patient-ratios"),
        ("group", "low", "patient-groups"),
        ("group", "nobody", "patient-groups"),
        ("ratio_low", 0.91, "patient-intervals"),
        ("ratio_high", 1.01, "patient-intervals"),
        ("wilson_low", -0.01, "patient-intervals"),
        ("wilson_high", np.nan, "patient-intervals"),
        ("p_high", 1.0001, "patient-probabilities"),
        ("p_high", np.nan, "patient-probabilities"),
        ("p_high_counts", -0.1, "patient-probabilities"),
        ("reason", "", "patient-reasons"),
        ("patient_id", "P2", "patient-rows"),
        ("patient_id", "", "patient-rows"),
    ],
)
def test_a_number_that_is_off_is_caught(patients, column, value, name):
    broken = patients.copy()
    broken.loc[0, column] = value
    assert caught(broken) == name


def test_who_is_borderline_is_high_or_low(patients):
    assert caught(patients.assign(borderline=[False, True, False, False, False])) == "patient-borderline"


def test_exactly_on_the_threshold_is_low_and_a_hair_above_is_high():
    """P3 has 3 of 4: 0.75 is not above 0.75, and 0.7499999999 is below it."""
    patients = summarise_patients(cells_of(COUNTS))
    on = patients.assign(group=["high", "excluded", "high", "undefined", "low"])
    assert caught(on) == "patient-groups"
    below = Protocol.from_dict({"patient": {"ratio_threshold": 0.7499999999}})
    check(summarise_patients(cells_of(COUNTS), below), below.patient)
    assert caught(patients, below.patient) == "patient-groups"


counts = st.tuples(*[st.integers(0, 12)] * 5)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(counts, min_size=1, max_size=6),
    st.sampled_from([0.1, 1 / 3, 0.5, 0.7, 0.75, 0.9]),
    st.integers(1, 12),
    st.sampled_from(["all", "her2_positive"]),
)
def test_sums_of_any_counts_are_sound(numbers, threshold, least, what):
    rules = {"ratio_threshold": threshold, "min_ctcs": least, "count": what}
    table = cells_of({f"P{number}": row for number, row in enumerate(numbers)})
    images = pd.DataFrame({"patient_id": [f"P{number}" for number in range(len(numbers))], "image": "a"})
    assert len(summarise_patients(table, Protocol.from_dict({"patient": rules}), images)) == len(numbers)
