"""Final kinds and grades are those in force: what a reader said, else the machine's, and nothing between."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cher2.cells.objects import KINDS
from cher2.errors import Cher2FaultError
from cher2.review.reading_guards import check_final
from cher2.review.results import with_final
from cher2.review.standing import CellStanding

OBJECTS = pd.DataFrame(
    {
        "image": ["a", "a", "a", "b"],
        "object_id": [1, 2, 3, 1],
        "kind": ["ctc", "ctc", "other", "ctc"],
        "grade_auto": pd.array([1, None, 2, 3], dtype="Int8"),
    }
)
STANDINGS = {
    ("a", 1): CellStanding(kind="ctc", grade=2, reader="Ada", reviewed=True, decided_at="2026-01-01T00:00:00"),
    ("a", 3): CellStanding(kind="other", grade=None, reader="Bo", reviewed=True, decided_at="2026-01-02T00:00:00"),
    ("z", 9): CellStanding(kind="ctc", grade=0, reader="Bo", reviewed=True, decided_at="2026-01-02T00:00:00"),
}


@pytest.fixture
def final():
    return with_final(OBJECTS, STANDINGS)


def test_what_is_in_force_is_sound(final):
    assert final["grade"].fillna(-1).tolist() == [2, -1, -1, 3]
    check_final(final, STANDINGS)
    check_final(with_final(OBJECTS, {}), {})


@pytest.mark.parametrize(
    ("row", "column", "value", "name"),
    [
        (0, "grade", 1, "final-in-force"),  # the machine's, where a reader spoke
        (0, "kind_final", "other", "final-in-force"),
        (0, "reader", "", "final-in-force"),
        (2, "grade", 2, "final-in-force"),
        (3, "grade", 2, "final-in-force"),  # another's than the machine's, where nobody spoke
        (3, "grade", pd.NA, "final-in-force"),
        (3, "kind_final", "leukocyte", "final-in-force"),
        (3, "reader", "Ada", "final-in-force"),
        (1, "grade", 0, "final-in-force"),
        (1, "kind_final", "tumour", "final-values"),
        (1, "grade", 4, "final-values"),
    ],
)
def test_another_kind_or_grade_is_caught(final, row, column, value, name):
    final.loc[row, column] = value
    with pytest.raises(Cher2FaultError) as found:
        check_final(final, STANDINGS)
    assert found.value.check == name


def test_a_decision_that_is_left_out_is_caught():
    with pytest.raises(Cher2FaultError):
        check_final(with_final(OBJECTS, {}), STANDINGS)


grades = st.sampled_from([None, 0, 1, 2, 3])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(KINDS), grades), max_size=12),
    st.dictionaries(st.integers(1, 12), st.tuples(st.sampled_from(KINDS), grades), max_size=6),
)
def test_any_decisions_on_any_objects_are_laid_over_soundly(machine, said):
    objects = pd.DataFrame(
        {
            "image": "a",
            "object_id": np.arange(1, len(machine) + 1),
            "kind": [kind for kind, _ in machine],
            "grade_auto": pd.array([grade for _, grade in machine], dtype="Int8"),
        }
    )
    standings = {
        ("a", number): CellStanding(kind=kind, grade=grade, reviewed=True, reader="Ada", decided_at="now")
        for number, (kind, grade) in said.items()
    }
    assert len(with_final(objects, standings)) == len(machine)
