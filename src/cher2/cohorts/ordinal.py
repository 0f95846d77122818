"""Two groups compared by a variable that has an order: number of sites, H-score, age.

Each test is exact, given how often each value occurs among all patients, as long as that takes a few seconds; beyond,
it is the normal approximation, and says so.
"""

from __future__ import annotations

from fractions import Fraction
from math import lcm, nan

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from cher2.cohorts.results import Estimate, Test, check_level
from cher2.cohorts.score_sums import ScoreSum, two_sided_normal
from cher2.errors import CohortError

MANN_WHITNEY = "Mann-Whitney test, two-sided"
TREND = "Cochran-Armitage test for trend, two-sided"
SUPERIORITY = "probability of superiority"

_TOO_MANY = "p is approximate: there are too many patients for the exact distribution"
_NO_STEP = "p is approximate: the scores are no multiples of a common step, so there is no exact distribution"
_LARGEST = 1e300
_FINEST = 1000
"""Scores are exact as multiples of no less than one thousandth."""


def mann_whitney(first: ArrayLike, second: ArrayLike) -> Test:
    """Test whether values tend to be larger in one group than in the other.

    Parameters
    ----------
    first, second : array_like of float, shape (N,) and (M,)
        The groups' values; missing ones (NaN) are left out and counted. Any ties are allowed.

    Returns
    -------
    Test
        The statistic is U of the first group: pairs in which its patient has the larger value, ties counting one
        half. p is exact with ties, from the mid-ranks' permutation distribution: the sums that are at least as far
        from their mean (as R's ``coin::wilcox_test(distribution = "exact")``). Beyond some 500 patients without
        ties, the normal approximation with the variance corrected for ties, without a correction for continuity.
        Not estimable where a group has no value, or all values are the same.

    Raises
    ------
    CohortError
        A value is no number.

    References
    ----------
    .. [1] Mann, Whitney. On a test of whether one of two random variables is stochastically larger than the other.
       Ann Math Stat 18 (1947) 50-60.
    .. [2] Hothorn, Hornik, van de Wiel, Zeileis. A Lego system for conditional inference. Am Stat 60 (2006) 257-263.
    """
    levels, sizes = _levels(first, second)
    reason = _not_estimable(levels)
    if reason:
        return Test(MANN_WHITNEY, nan, reason=reason, sizes=sizes)
    p_value = levels.exact_p()
    if p_value is not None:
        return Test(
            f"{MANN_WHITNEY}, exact with ties, by distance from the mean rank sum",
            p_value,
            _pairs_won(levels),
            sizes=sizes,
        )
    p_value = two_sided_normal(levels.standardised())
    method = f"{MANN_WHITNEY}, normal approximation with correction for ties, without one for continuity"
    return Test(method, p_value, _pairs_won(levels), sizes=sizes, warnings=(_TOO_MANY,))


def cochran_armitage(first: ArrayLike, second: ArrayLike, scores: ArrayLike | None = None) -> Test:
    """Test whether the share of one group rises or falls along ordered levels.

    Parameters
    ----------
    first, second : array_like of int, shape (L,)
        How many patients of each group are on each level, in the levels' order.
    scores : array_like of float, shape (L,), optional
        The levels' scores; 0, 1, 2 ... without. Only their relative distances matter.

    Returns
    -------
    Test
        The statistic is the first group's sum of scores, standardised; it is positive where the first group has
        more of the higher levels, and its variance is Cochran and Armitage's (as R's ``prop.trend.test``). p is
        exact, given all margins: the sums that are at least as far from their mean. With too many patients for
        that, or scores that are no multiples of a common step, p is the statistic's normal approximation. Not
        estimable where a group is empty, or all patients have the same score.

    Raises
    ------
    CohortError
        Counts are no whole numbers or negative, scores are no numbers, or the lengths differ.

    References
    ----------
    .. [1] Armitage. Tests for linear trends in proportions and frequencies. Biometrics 11 (1955) 375-386.
    .. [2] Agresti. Categorical data analysis, 3rd ed. (2013), sections 5.3.5 and 16.5.

    Examples
    --------
    Smokers and others in four studies (Fleiss 1981; R's ?prop.trend.test).

    >>> result = cochran_armitage([83, 90, 129, 70], [3, 3, 7, 12])
    >>> print(f"z = {result.statistic:.3f}, p = {result.p_value:.5f}")
    z = -2.868, p = 0.00387
    """
    one, other = _level_counts(first), _level_counts(second)
    values = np.arange(len(one), dtype=np.float64) if scores is None else _numbers(scores)
    if not len(one) == len(other) == len(values):
        raise CohortError(
            f"there are {len(one)} and {len(other)} counts and {len(values)} scores",
            remedy="Give a count of each group, and a score, for every level",
        )
    if not (np.abs(values) < _LARGEST).all():
        raise CohortError("a score is no finite number", remedy="Give every level a number")
    # Only distances matter, and small ones drown in a large origin.
    values = values - values.min(initial=np.inf)
    whole = _whole_multiples(values)
    levels = ScoreSum(one, other, values if whole is None else whole)
    sizes = {"first group": int(one.sum()), "second group": int(other.sum())}
    reason = _not_estimable(levels)
    if reason:
        return Test(TREND, nan, reason=reason, sizes=sizes)
    patients = sum(sizes.values())
    statistic = levels.standardised() * float(np.sqrt(patients / (patients - 1)))
    p_value = levels.exact_p()
    if p_value is not None:
        return Test(f"{TREND}, exact, by distance from the mean sum of scores", p_value, statistic, sizes=sizes)
    why = _NO_STEP if whole is None else _TOO_MANY
    return Test(f"{TREND}, normal approximation", two_sided_normal(statistic), statistic, sizes=sizes, warnings=(why,))


def probability_of_superiority(first: ArrayLike, second: ArrayLike, level: float = 0.95) -> Estimate:
    """Estimate how probably a patient of one group has a larger value than one of the other.

    Parameters
    ----------
    first, second : array_like of float, shape (N,) and (M,)
        The groups' values; missing ones (NaN) are left out and counted.
    level : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    Estimate
        P(first > second) + P(first = second) / 2: U over the number of pairs, the area under the ROC curve; 0.5
        where neither group tends to larger values. The interval is Newcombe's method 5, which stays within 0 to 1 and
        exists where the groups do not overlap; with ties it is a little wide. It does not invert the exact test:
        close to the edge of significance they may disagree. Not estimable where a group has no value.

    Raises
    ------
    CohortError
        A value is no number, or `level` is outside 0 to 1.

    References
    ----------
    .. [1] Newcombe. Confidence intervals for an effect size measure based on the Mann-Whitney statistic. Part 2:
       asymptotic methods and evaluation. Stat Med 25 (2006) 559-573.
    """
    check_level(level)
    levels, sizes = _levels(first, second)
    method = "U / (N M), ties counting one half; Newcombe's interval, method 5"
    reason = _empty_group(levels)
    if reason:
        return Estimate(SUPERIORITY, nan, nan, nan, level, method, reason, sizes)
    one, other = int(levels.first.sum()), int(levels.second.sum())
    share = _pairs_won(levels) / (one * other)
    z = float(ndtri((1 + level) / 2))
    low, high = _lower_limit(share, one, other, z), 1 - _lower_limit(1 - share, one, other, z)
    return Estimate(SUPERIORITY, share, low, high, level, method, sizes=sizes)


def _lower_limit(share: float, one: int, other: int, z: float) -> float:
    from scipy.optimize import brentq

    mean_size = (one + other) / 2 - 1

    def excess(assumed: float) -> float:
        spread = 1 + mean_size * ((1 - assumed) / (2 - assumed) + assumed / (1 + assumed))
        return share - assumed - z * float(np.sqrt(assumed * (1 - assumed) * spread / (one * other)))

    # Where all pairs are won the error vanishes at the estimate itself, which is no limit.
    start = share - 1e-10
    return float(brentq(excess, 0.0, start, xtol=1e-13)) if start > 0 else 0.0


def _levels(first: ArrayLike, second: ArrayLike) -> tuple[ScoreSum, dict[str, int]]:
    """Return the distinct values' counts and doubled mid-ranks, and the numbers of values, there and missing."""
    one, other = _numbers(first), _numbers(second)
    sizes = {
        "first group": int((~np.isnan(one)).sum()),
        "second group": int((~np.isnan(other)).sum()),
        "missing": int(np.isnan(one).sum() + np.isnan(other).sum()),
    }
    one, other = one[~np.isnan(one)], other[~np.isnan(other)]
    values = np.unique(np.concatenate([one, other]))
    counts = [np.bincount(np.searchsorted(values, group), minlength=len(values)) for group in (one, other)]
    tied = counts[0] + counts[1]
    return ScoreSum(counts[0], counts[1], 2 * (np.cumsum(tied) - tied) + tied + 1), sizes


def _pairs_won(levels: ScoreSum) -> float:
    """Return Mann and Whitney's U of the first group."""
    lower = np.cumsum(levels.second) - levels.second
    return float(levels.first @ (2 * lower + levels.second)) / 2


def _not_estimable(levels: ScoreSum) -> str:
    held = levels.scores[levels.first + levels.second > 0]
    return _empty_group(levels) or ("all values are the same" if (held == held[0]).all() else "")


def _empty_group(levels: ScoreSum) -> str:
    empty = [name for name, counts in (("first", levels.first), ("second", levels.second)) if not counts.any()]
    if len(empty) == 2:
        return "both groups are empty"
    return f"the {empty[0]} group is empty" if empty else ""


def _numbers(values: ArrayLike) -> NDArray[np.float64]:
    try:
        series = pd.to_numeric(pd.Series(values))
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise CohortError(f"not all values are numbers: {error}", remedy="Give numbers, or NaN for missing") from None


def _level_counts(counts: ArrayLike) -> NDArray[np.int64]:
    numbers = _numbers(counts)
    # Not a number compares as false.
    if not ((numbers >= 0) & (numbers == np.floor(numbers)) & (numbers < 2**53)).all():
        raise CohortError("a count is no whole number, or negative", remedy="Give how many patients are on each level")
    return numbers.astype(np.int64)


def _whole_multiples(scores: NDArray[np.float64]) -> NDArray[np.int64] | None:
    """Return the scores as whole multiples of their common step; None where it is finer than 1/1000."""
    fractions = [Fraction(score).limit_denominator(_FINEST) for score in scores.tolist()]
    off = np.array([float(fraction) for fraction in fractions]) - scores
    if (np.abs(off) > 1e-12 * np.abs(scores).max(initial=0.0)).any():
        return None
    step = lcm(*(fraction.denominator for fraction in fractions))
    multiples = [int(fraction * step) for fraction in fractions]
    return np.array(multiples, np.int64) if max(map(abs, multiples), default=0) < 2**31 else None
