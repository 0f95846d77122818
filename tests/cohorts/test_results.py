"""Results print, turn into tables and never hold a NaN without its reason."""

import dataclasses
from pathlib import Path

import pytest

from cher2 import cohorts
from cher2.cohorts.results import Estimate, Test
from cher2.errors import Cher2FaultError

RATIO = Estimate("odds ratio", 5.2, 1.6, 20.1, 0.95, "conditional", sizes={"high": 21, "low": 77}, warnings=("few",))


def test_an_estimate_prints_its_numbers_its_sizes_and_its_warnings():
    text = str(RATIO)
    for shown in ("conditional", "odds ratio", "5.2", "1.6", "20.1", "n: high 21, low 77", "few"):
        assert shown in text
    assert "reason" not in text
    assert "5.2" in RATIO._repr_html_()


def test_results_turn_into_new_tables():
    frame = RATIO.to_frame()
    assert frame.loc[0, ["estimate", "low", "high"]].tolist() == [5.2, 1.6, 20.1]
    frame.loc[0, "estimate"] = 0
    assert RATIO.to_frame().loc[0, "estimate"] == 5.2
    assert Test("Fisher", 0.0026).to_frame().loc[0, "p_value"] == 0.0026


def test_results_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RATIO.value = 1.0


def test_nan_needs_a_reason_and_a_reason_needs_nan():
    assert "nobody has it" in str(Test("Fisher", float("nan"), reason="nobody has it"))
    with pytest.raises(Cher2FaultError, match="without a reason"):
        Test("Fisher", float("nan"))
    with pytest.raises(Cher2FaultError, match="a reason stands beside"):
        Test("Fisher", 0.5, reason="nobody has it")


def test_an_interval_holds_its_estimate():
    with pytest.raises(Cher2FaultError, match="does not hold"):
        dataclasses.replace(RATIO, value=30.0)


def test_every_statistic_is_at_hand_under_its_name():
    """No module of the room has a statistic's name: imported first, it would stand in its place."""
    assert all(callable(getattr(cohorts, name)) for name in cohorts.__all__)
    modules = {path.stem for path in Path(cohorts.__file__).parent.glob("*.py")}
    assert modules.isdisjoint(cohorts.__all__)
