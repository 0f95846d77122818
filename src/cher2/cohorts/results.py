"""What every statistic gives back: numbers with their method, sample sizes and warnings.

Results are frozen, print as a readable table and turn into a DataFrame. A number that cannot be estimated is NaN
with its reason beside it, never alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cher2.cohorts.layout import as_html, as_text
from cher2.errors import CohortError
from cher2.guards import fault, in_unit


class Result(ABC):
    """A statistic's result; subclasses are frozen dataclasses with these three fields."""

    method: str
    """What was computed, by the names that a methods section would use."""

    sizes: Mapping[str, int]
    """How many observations stand behind it, by what they are: patients, events, missing ..."""

    warnings: tuple[str, ...]
    """What a reader must know before believing it; empty where there is nothing."""

    @abstractmethod
    def to_frame(self) -> pd.DataFrame:
        """Return the numbers as a new table, one row an estimate or a test."""

    def notes(self) -> tuple[str, ...]:
        """Return the lines below a printed table: sizes and warnings."""
        counted = ", ".join(f"{name} {number}" for name, number in self.sizes.items())
        return (*((f"n: {counted}",) if counted else ()), *self.warnings)

    def __str__(self) -> str:
        return as_text(self.method, self._printed(), self.notes())

    def _repr_html_(self) -> str:
        return as_html(self.method, self._printed(), self.notes())

    def _printed(self) -> pd.DataFrame:
        """Return the table as text: four significant digits, nothing for what is not there, no empty column."""
        shown = self.to_frame().astype(object).map(_as_text)
        return shown.loc[:, (shown != "").any()]


def _as_text(value: object) -> str:
    if isinstance(value, (float, np.floating)):
        return "" if np.isnan(value) else f"{value:.4g}"
    return "" if value is None or value is pd.NA else str(value)


@dataclass(frozen=True)
class Test(Result):
    """A significance test.

    Parameters
    ----------
    method : str
        The test by name, with its sides and corrections.
    p_value : float
        NaN where `reason` says why there is none.
    statistic : float or None
        The test's statistic; None for a test that has none.
    reason : str
        Why it is not estimable; empty where it is.
    sizes, warnings
        See :class:`Result`.
    """

    __test__ = False  # pytest would take the name for its own.

    method: str
    p_value: float
    statistic: float | None = None
    reason: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_reason(self.p_value, self.reason, self.method)
        check_p_value(self.p_value, self.method)

    def to_frame(self) -> pd.DataFrame:
        """Return one row: the test, its statistic, p, and why there is none."""
        row = {"test": self.method, "statistic": self.statistic, "p_value": self.p_value, "reason": self.reason}
        return pd.DataFrame([row])


@dataclass(frozen=True)
class Estimate(Result):
    """An estimate with its interval.

    Parameters
    ----------
    quantity : str
        What is estimated: odds ratio, risk difference, hazard ratio ...
    value, low, high : float
        The estimate and its limits; NaN where `reason` says why there is none. 0 and infinity are limits.
    level : float
        Coverage of the interval.
    method : str
        Of estimate and interval, by name.
    reason : str
        Why it is not estimable; empty where it is.
    sizes, warnings
        See :class:`Result`.
    """

    quantity: str
    value: float
    low: float
    high: float
    level: float
    method: str
    reason: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_reason(self.value, self.reason, self.method)
        if not self.reason and not self.low <= self.value <= self.high:
            limits = {"estimate": self.value, "low": self.low, "high": self.high, "level": self.level}
            fault("estimate-interval", "an interval does not hold its estimate", [limits], self.method)

    def to_frame(self) -> pd.DataFrame:
        """Return one row: the quantity, the estimate, its limits, and why there is none."""
        limits = {"estimate": self.value, "low": self.low, "high": self.high, "level": self.level}
        return pd.DataFrame([{"quantity": self.quantity, **limits, "method": self.method, "reason": self.reason}])


@dataclass(frozen=True, eq=False)
class TableResult(Result):
    """A result that is a table of its own; subclasses say what its rows are.

    Parameters
    ----------
    table : DataFrame
    method, sizes, warnings
        See :class:`Result`.
    """

    table: pd.DataFrame
    method: str
    sizes: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of the table."""
        return self.table.copy()


def check_level(level: float) -> None:
    """Refuse a coverage that is none.

    Raises
    ------
    CohortError
    """
    if not 0 < level < 1:
        raise CohortError(f"the level is {level}", remedy="Give a fraction between 0 and 1, such as 0.95")


def check_reason(value: float, reason: str, method: str) -> None:
    """Stop where a number is missing without a reason, or there in spite of one.

    Raises
    ------
    Cher2FaultError
    """
    if bool(np.isnan(value)) != bool(reason):
        what = "a number is NaN without a reason" if not reason else "a reason stands beside a number"
        fault("estimate-reason", what, [{"value": value}], method)


def check_p_value(p_value: float, method: str) -> None:
    """Stop where a p-value is there and not from 0 to 1.

    Raises
    ------
    Cher2FaultError
    """
    if not in_unit(p_value):
        fault("p-value", "a p-value is not from 0 to 1", [{"p_value": p_value}], method)
