"""The difference of two groups' frequencies, with its interval.

statsmodels' score interval is not used: it estimates the nuisance parameter wrongly (0.1448 to 0.5875 for 16 of 21
against 29 of 77, where 0.1454 to 0.5612 is right) and fails where a count is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from math import nan
from typing import Literal

import numpy as np
from scipy.special import ndtri

from cher2.cohorts.exact import checked_table, group_sizes
from cher2.cohorts.results import Estimate, check_level
from cher2.errors import CohortError

IntervalMethod = Literal["miettinen_nurminen", "newcombe"]

METHODS = {
    "miettinen_nurminen": "Miettinen and Nurminen's score interval",
    "newcombe": "Newcombe's hybrid score interval",
}
"""The intervals as the field writes them."""

_EDGE = 1e-15
"""How far from the ends of its range a frequency is still searched, as a fraction of the range."""


def risk_difference(
    a: int, b: int, c: int, d: int, method: IntervalMethod = "miettinen_nurminen", level: float = 0.95
) -> Estimate:
    """Estimate how much more frequent something is in one group than in another.

    Parameters
    ----------
    a, b : int
        Positives and negatives of the first group.
    c, d : int
        Positives and negatives of the second group.
    method : {"miettinen_nurminen", "newcombe"}
        Of the interval: by inversion of the score test with Miettinen and Nurminen's factor N / (N - 1), or from the
        two groups' Wilson intervals (Newcombe's method 10).
    level : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    Estimate
        The first group's frequency less the second's, -1 to 1. Not estimable where a group is empty.

    Raises
    ------
    CohortError
        A count is negative or no whole number, `method` is neither, or `level` is outside 0 to 1.

    References
    ----------
    .. [1] Miettinen, Nurminen. Comparative analysis of two rates. Stat Med 4 (1985) 213-226.
    .. [2] Newcombe. Interval estimation for the difference between independent proportions: comparison of eleven
       methods. Stat Med 17 (1998) 873-890.

    Examples
    --------
    >>> result = risk_difference(16, 5, 29, 48)
    >>> print(f"{result.value:.4f} ({result.low:.4f} to {result.high:.4f})")
    0.3853 (0.1454 to 0.5612)
    """
    if method not in METHODS:
        raise CohortError(f"the method is {method!r}", remedy=f"It must be one of {', '.join(METHODS)}")
    check_level(level)
    sizes = group_sizes(checked_table(a, b, c, d))
    first, second = sizes.values()
    if not first or not second:
        reason = "both groups are empty" if first == second else f"the {'second' if first else 'first'} group is empty"
        return Estimate("risk difference", nan, nan, nan, level, METHODS[method], reason, sizes)
    z = float(ndtri((1 + level) / 2))
    if method == "newcombe":
        low, high = _newcombe(a, first, c, second, z)
    else:
        low, high = _lower_limit(a, first, c, second, z), -_lower_limit(c, second, a, first, z)
    return Estimate("risk difference", a / first - c / second, low, high, level, METHODS[method], sizes=sizes)


def _lower_limit(x: int, first: int, y: int, second: int, z: float) -> float:
    """Return the smallest difference that the score test does not reject."""
    from scipy.optimize import brentq

    observed = x / first - y / second

    def excess(difference: float) -> float:
        return observed - difference - z * _standard_error(x, first, y, second, difference)

    # Where both frequencies are 0, or both are 1, the error vanishes at the estimate itself, which is no limit.
    start = observed - 1e-10
    return float(brentq(excess, -1.0, start, xtol=1e-13)) if start > -1 else -1.0


def _standard_error(x: int, first: int, y: int, second: int, difference: float) -> float:
    """Return the standard error of a difference under the hypothesis that it is the given one.

    The likelihood has one maximum; the textbook's root of a cubic loses it where counts are 0. Groups are swapped,
    where needed, so that the second frequency starts from 0 and the first ends at 1: close to either end, each of
    the four shares keeps its digits.
    """
    if difference < 0:
        x, first, y, second = y, second, x, first
    width = 1 - abs(difference)

    def slope(q: float) -> float:
        p = q + abs(difference)
        gained = (x / p if x else 0.0) + (y / q if y else 0.0)
        return gained - (first - x) / (width - q) - ((second - y) / (1 - q) if second > y else 0.0)

    q = _zero(slope, _EDGE * width, width - _EDGE * width)
    patients = first + second
    variance = (q + abs(difference)) * (width - q) / first + q * (1 - q) / second
    return float(np.sqrt(variance * patients / (patients - 1)))


def _zero(falling: Callable[[float], float], low: float, high: float) -> float:
    """Return where a falling function is 0, or the end that it is nearest to 0 at."""
    from scipy.optimize import brentq

    if low >= high or falling(low) <= 0:
        return low
    return float(brentq(falling, low, high, xtol=1e-300, rtol=1e-13)) if falling(high) < 0 else high


def _newcombe(x: int, first: int, y: int, second: int, z: float) -> tuple[float, float]:
    p, q = x / first, y / second
    p_low, p_high = _wilson(p, first, z)
    q_low, q_high = _wilson(q, second, z)
    below, above = np.hypot(p - p_low, q_high - q), np.hypot(p_high - p, q - q_low)
    # Rounding may carry a limit just beyond its end.
    return max(-1.0, p - q - float(below)), min(1.0, p - q + float(above))


def _wilson(frequency: float, size: int, z: float) -> tuple[float, float]:
    shrunk = (frequency + z**2 / (2 * size)) / (1 + z**2 / size)
    half = z * float(np.sqrt(frequency * (1 - frequency) / size + (z / (2 * size)) ** 2)) / (1 + z**2 / size)
    return max(0.0, shrunk - half), min(1.0, shrunk + half)
