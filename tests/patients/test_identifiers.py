"""Patients' identifiers as text, and their order."""

import numpy as np
import pandas as pd
import pytest

from cher2.patients.identifiers import natural_order, text_values


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["101", "102"], ["101", "102"]),
        ([101, 102], ["101", "102"]),
        ([101.0, np.nan], ["101", ""]),
        ([" P1\t", None, ""], ["P1", "", ""]),
        ([1.5, float("inf")], ["1.5", "inf"]),
        ([], []),
    ],
)
def test_text_values(values, expected):
    assert text_values(pd.Series(values, dtype=object)).tolist() == expected
    assert text_values(pd.Series(values)).tolist() == expected


def test_text_of_a_categorical_and_a_nullable_column():
    assert text_values(pd.Series(["a", None, "a"], dtype="category")).tolist() == ["a", "", "a"]
    assert text_values(pd.Series([1, None], dtype="Int64")).tolist() == ["1", ""]


def test_natural_order():
    names = ["P10", "P2", "P02", "p1", "A-10-2", "A-9-30", "10", "9", "007", ""]
    assert natural_order(names) == ["", "007", "9", "10", "A-9-30", "A-10-2", "P02", "P2", "P10", "p1"]


def test_a_number_too_long_for_int():
    long, longer = "P" + "9" * 5000, "P1" + "0" * 5000
    assert natural_order([longer, long, "P5"]) == ["P5", long, longer]
