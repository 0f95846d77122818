"""Survival by group: Kaplan-Meier curves with log-log intervals, medians, numbers at risk, and the log-rank test.

The definitions are those of R's survival package: ``survfit(conf.type = "log-log")`` and ``survdiff``. An event
and a censoring at the same time are in that order: the censored patient was still at risk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, ndtri

from cher2.cohorts.cohort_guards import check_curve
from cher2.cohorts.curves import Curve, KaplanMeier
from cher2.cohorts.follow_up import FollowUp, column_of
from cher2.cohorts.results import Estimate, Result, check_level, check_p_value, check_reason
from cher2.errors import CohortError
from cher2.patients.identifiers import natural_order, text_values

KAPLAN_MEIER = "Kaplan-Meier, log-log interval"
LOG_RANK = "log-rank test"
ALL = "all"
"""The group's name where no groups are given."""

_HALF = float(np.sqrt(np.finfo(np.float64).eps))
"""A survival this close to one half is one half (as in R)."""


@dataclass(frozen=True)
class LogRank(Result):
    """The log-rank test.

    Parameters
    ----------
    table : tuple of tuple
        A group, its patients, its events, and the events expected if all groups had one survival.
    chi_square, p_value : float
        NaN where `reason` says why there is none.
    df : int
        Degrees of freedom: one less than the groups that were at risk when an event came.
    reason : str
        Why there is no test; empty where there is.
    method, sizes, warnings
        See :class:`~cher2.cohorts.results.Result`.
    """

    table: tuple[tuple[str, int, int, float], ...]
    chi_square: float
    df: int
    p_value: float
    method: str = LOG_RANK
    reason: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_reason(self.p_value, self.reason, self.method)
        check_p_value(self.p_value, self.method)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a group; the test, which is one for all of them, stands in every row."""
        frame = pd.DataFrame(self.table, columns=["group", "n", "observed", "expected"])
        return frame.assign(chi_square=self.chi_square, df=self.df, p_value=self.p_value, reason=self.reason)


def kaplan_meier(
    times: ArrayLike, events: ArrayLike, groups: ArrayLike | None = None, level: float = 0.95
) -> KaplanMeier:
    """Estimate survival by group.

    Parameters
    ----------
    times : array_like, shape (N,)
        From the start to the event or to the last visit; not negative, 0 is allowed.
    events : array_like, shape (N,)
        1 where the event came, 0 where the patient was censored.
    groups : array_like, shape (N,), optional
        Each patient's group; one group without it. Patients without a time, an event or a group are left out,
        counted and warned of.
    level : float
        Coverage of the pointwise intervals and of the medians', between 0 and 1.

    Returns
    -------
    KaplanMeier
        The interval is that of log(-log S) with Greenwood's variance [1]_; the median's is made of the times at
        which the limits fall to one half [2]_. A curve that stays above one half has no median, and says so.

    Raises
    ------
    CohortError
        A time is negative or not finite, an event is neither 0 nor 1, the lengths differ, nobody is left, or
        `level` is outside 0 to 1.

    References
    ----------
    .. [1] Kalbfleisch, Prentice. The statistical analysis of failure time data, 2nd ed. (2002), section 1.4.
    .. [2] Brookmeyer, Crowley. A confidence interval for the median survival time. Biometrics 38 (1982) 29-41.

    Examples
    --------
    >>> print(kaplan_meier([6, 7, 10, 15, 19, 25], [1, 0, 1, 1, 0, 1]).curves["all"].median.value)
    15.0
    """
    check_level(level)
    watched, labels, warnings = _checked(times, events, groups)
    distinct, places = watched.distinct()
    curves = {}
    for name in natural_order(set(labels)):
        ours = labels == name
        events_at = np.bincount(places[ours & watched.events], minlength=len(distinct))
        left_at = np.bincount(places[ours & ~watched.events], minlength=len(distinct))
        curves[name] = _curve(name, distinct, events_at, left_at, level)
        check_curve(curves[name])
    sizes = _sizes(watched, len(watched.known) - len(labels))
    return KaplanMeier(curves, level, f"{KAPLAN_MEIER} ({100 * level:g} %)", sizes, warnings)


def log_rank(times: ArrayLike, events: ArrayLike, groups: ArrayLike) -> LogRank:
    """Test whether groups have the same survival.

    Parameters
    ----------
    times, events, groups : array_like, shape (N,)
        As :func:`kaplan_meier` takes them; two groups or more.

    Returns
    -------
    LogRank
        Mantel's test with the hypergeometric variance [1]_, as R's ``survdiff``. A group that was never at risk
        when an event came takes no part.

    Raises
    ------
    CohortError
        As :func:`kaplan_meier`, or there are fewer than two groups.

    References
    ----------
    .. [1] Peto, Peto. Asymptotically efficient rank invariant test procedures. J R Stat Soc A 135 (1972) 185-207.
    """
    watched, labels, warnings = _checked(times, events, groups)
    names = natural_order(set(labels))
    if len(names) < 2:
        raise CohortError(f"there is one group: {names[0]}", where="groups", remedy="Give two groups or more")
    distinct, places = watched.distinct()
    cells = pd.Categorical(labels, names).codes.astype(np.intp) * len(distinct) + places
    shape = (len(names), len(distinct))
    happened = np.bincount(cells[watched.events], minlength=shape[0] * shape[1]).reshape(shape)
    leaving = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
    at_risk = leaving[:, ::-1].cumsum(axis=1)[:, ::-1]
    expected, variance = _moments(happened.sum(axis=0), at_risk)
    observed = happened.sum(axis=1)
    table = tuple(zip(names, leaving.sum(axis=1).tolist(), observed.tolist(), expected.tolist(), strict=True))
    chi_square, df, reason = _quadratic_form(observed - expected, expected, variance)
    p_value = float("nan") if reason else float(chdtrc(df, chi_square))
    sizes = _sizes(watched, len(watched.known) - len(labels))
    return LogRank(table, chi_square, df, p_value, LOG_RANK, reason, sizes, warnings)


def _checked(
    times: ArrayLike, events: ArrayLike, groups: ArrayLike | None
) -> tuple[FollowUp, NDArray[np.object_], tuple[str, ...]]:
    """Return the patients who have a time, an event and a group, their groups, and a warning of the others."""
    watched = FollowUp.of(times, events)
    labels = np.full(len(watched.known), ALL, dtype=object)
    if groups is not None:
        labels = text_values(column_of(groups, "groups"))
    if len(labels) != len(watched.known):
        raise CohortError(
            f"there are {len(watched.known)} times and {len(labels)} groups", where="groups", remedy="Give one each"
        )
    grouped = labels[watched.known] != ""
    missing = len(labels) - int(grouped.sum())
    kept = FollowUp(watched.times[grouped], watched.events[grouped], watched.known)
    if len(kept.times) == 0:
        raise CohortError("no patient has a time, an event and a group", remedy="Give at least one patient with them")
    left_out = f"{missing} of {len(labels)} left out: without time, event or group"
    return kept, labels[watched.known][grouped], (left_out,) if missing else ()


def _sizes(watched: FollowUp, missing: int) -> dict[str, int]:
    sizes = {"patients": len(watched.times), "events": int(watched.events.sum())}
    sizes["censored"] = sizes["patients"] - sizes["events"]
    return {**sizes, "missing": missing} if missing else sizes


def _curve(
    name: str, distinct: NDArray[np.float64], events: NDArray[np.int64], left: NDArray[np.int64], level: float
) -> Curve:
    here = events + left > 0
    times, events, left = distinct[here], events[here], left[here]
    at_risk = (events + left)[::-1].cumsum()[::-1]
    survival = np.cumprod(1 - events / at_risk)
    # The last patient's event ends the curve at 0, where Greenwood's variance has no end.
    alive = at_risk > events
    hazard = np.divide(events, at_risk * (at_risk - events), out=np.zeros(len(times)), where=alive)
    inside = (survival > 0) & (survival < 1)
    low, high = np.full(len(times), np.nan), np.full(len(times), np.nan)
    log_survival = np.log(survival[inside])
    width = ndtri(0.5 + level / 2) * np.sqrt(np.cumsum(hazard)[inside]) / -log_survival
    low[inside], high[inside] = np.exp(log_survival * np.exp(width)), np.exp(log_survival * np.exp(-width))
    # Whatever the limit of a survival of 0 is, it is not above 0.
    median = _median(name, times, (survival, np.where(survival == 0, 0.0, low), high), level)
    return Curve(name, times, survival, low, high, at_risk, events, left, median)


def _median(name: str, times: NDArray[np.float64], bands: tuple[NDArray[np.float64], ...], level: float) -> Estimate:
    value, low, high = (_falls_to_half(times, band) for band in bands)
    reason = f"{name}: survival stays above one half" if np.isinf(value) else ""
    method = f"{KAPLAN_MEIER}, inverted"
    return Estimate("median survival", float("nan") if reason else value, low, high, level, method, reason)


def _falls_to_half(times: NDArray[np.float64], band: NDArray[np.float64]) -> float:
    """Return where a falling curve first is at most one half; infinity where it never is."""
    below = np.flatnonzero(band < 0.5 + _HALF)  # NaN is not below.
    if len(below) == 0:
        return float("inf")
    first = below[0]
    deeper = np.flatnonzero(band < band[first])
    # A curve that is flat at just one half crosses it in the middle of that step (as in R).
    flat = abs(band[first] - 0.5) < _HALF and len(deeper) > 0
    return float((times[first] + times[deeper[0]]) / 2) if flat else float(times[first])


def _moments(events: NDArray[np.int64], at_risk: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each group's expected events, and their covariance, shape (groups, groups)."""
    total = at_risk.sum(axis=0)
    share = at_risk / total
    # Tied events are drawn without replacement; of a single patient at risk nothing varies.
    spread = events * np.divide(total - events, total - 1, out=np.zeros(len(total)), where=total > 1)
    variance = np.diag(share @ spread) - (share * spread) @ share.T
    return share @ events, variance


def _quadratic_form(
    excess: NDArray[np.float64], expected: NDArray[np.float64], variance: NDArray[np.float64]
) -> tuple[float, int, str]:
    part = np.flatnonzero(expected > 0)[1:]
    inner = variance[np.ix_(part, part)]
    if not expected.any():
        return float("nan"), 0, "there are no events"
    if len(part) == 0 or np.linalg.matrix_rank(inner) < len(part):
        return float("nan"), len(part), "no event came while patients of two groups were at risk"
    return float(excess[part] @ np.linalg.solve(inner, excess[part])), len(part), ""
