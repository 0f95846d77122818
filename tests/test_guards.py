"""A rule that is broken stops with the check, the place and the values; one that is kept costs nothing."""

from __future__ import annotations

import pickle
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cher2.errors import ISSUES, Cher2FaultError
from cher2.guards import SHOWN, covers, guard, in_unit

TABLE = pd.DataFrame({"patient_id": [f"P{row}" for row in range(30)], "n": range(30), "ratio": [np.nan] * 30})


def test_a_rule_that_is_kept_says_nothing():
    guard("a-check", TABLE["n"] >= 0, TABLE, "a number is negative", columns=("n",))
    guard("a-check", [], TABLE.head(0), "a number is negative", columns=("n",))


def test_a_broken_rule_names_check_place_and_values():
    columns = ("patient_id", "n", "ratio", "not there")
    with pytest.raises(Cher2FaultError) as found:
        guard("a-check", TABLE["n"] < 3, TABLE, "a number is large", columns=columns, where="patients.csv")
    fault = found.value
    assert fault.check == "a-check"
    assert fault.rows[0] == {"row": 4, "patient_id": "P3", "n": 3, "ratio": None}
    assert len(fault.rows) == SHOWN
    assert str(fault) == (
        "patients.csv: this is a fault of cher2, not of your data: a number is large in 27 of 30 rows, row 4, n 3, "
        f"ratio None (check a-check). Report it with this message at {ISSUES}."
    )
    # A worker's fault arrives with all that it carries.
    again = pickle.loads(pickle.dumps(fault.within("P1").in_file("faults/a.json")))
    assert (again.check, again.rows, again.file) == ("a-check", fault.rows, "faults/a.json")
    assert again.where == "P1, patients.csv"


def test_a_message_holds_no_patient():
    with pytest.raises(Cher2FaultError) as found:
        guard("a-check", TABLE["n"] < 3, TABLE, "a number is large", columns=("patient_id", "n"))
    assert "P3" not in str(found.value)


def test_faults_go_to_the_projects_issues():
    urls = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    assert urls["Issues"] == ISSUES


def test_a_missing_truth_is_no_truth():
    """What cannot be told is not sound: NaN compares as False, pandas' NA must not pass either."""
    table = pd.DataFrame({"a": pd.array([1, None], dtype="Int64")})
    with pytest.raises((Cher2FaultError, ValueError, TypeError)):
        guard("a-check", table["a"] == 1, table, "it is not 1", columns=("a",))
    assert in_unit([0, 1, np.nan]).all()
    assert not in_unit([-1e-9, 1 + 1e-9, np.inf]).any()
    assert not in_unit([np.nan], empty=False).any()
    assert covers([0, -np.inf, np.nan], [0, 5, np.nan], [0, np.inf, np.nan]).all()
    assert not covers([0.2, 0, np.nan, 0], [0.1, np.nan, 0.1, 0.5], [0.3, 1, 1, np.nan]).any()
