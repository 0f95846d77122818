"""How sure a ratio of counted cells is: the Jeffreys interval and the posterior above a threshold.

The cells that were found are a sample of the patient's CTCs. With x of n HER2+ cells graded 2+ or 3+ and
Jeffreys' prior Beta(1/2, 1/2), the ratio has the posterior Beta(x + 1/2, n - x + 1/2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from cher2.errors import Cher2Error


def jeffreys_interval(
    successes: ArrayLike, trials: ArrayLike, level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the equal-tailed Jeffreys interval of a proportion.

    Parameters
    ----------
    successes, trials : array_like of int, broadcastable to one shape
        0 <= successes <= trials.
    level : float
        Coverage, between 0 and 1.

    Returns
    -------
    low, high : ndarray
        Limits, as fractions: 0 below no success and 1 above nothing but successes, as in [1]_. NaN where
        there is no trial: nothing is known then.

    Raises
    ------
    Cher2Error
        Counts that make no sense, or a level outside 0 to 1.

    References
    ----------
    .. [1] Brown, Cai, DasGupta. Interval estimation for a binomial proportion. Statistical Science 16 (2001)
       101-133, section 3.1.3.

    Examples
    --------
    >>> low, high = jeffreys_interval(38, 50)
    >>> print(f"{low:.2f} to {high:.2f}")
    0.63 to 0.86
    """
    x, n = _counts(successes, trials)
    _check_fraction(level, "level")
    tail = (1 - level) / 2
    low = np.where(x == 0, 0.0, special.betaincinv(x + 0.5, n - x + 0.5, tail))
    high = np.where(x == n, 1.0, special.betaincinv(x + 0.5, n - x + 0.5, 1 - tail))
    return np.where(n > 0, low, np.nan)[()], np.where(n > 0, high, np.nan)[()]


def probability_above(successes: ArrayLike, trials: ArrayLike, threshold: float) -> NDArray[np.float64]:
    """Return the Jeffreys posterior probability that a proportion is above a threshold.

    Parameters
    ----------
    successes, trials : array_like of int, broadcastable to one shape
        0 <= successes <= trials.
    threshold : float
        From 0 to 1.

    Returns
    -------
    ndarray
        From 0 to 1; NaN where there is no trial.

    Raises
    ------
    Cher2Error
        Counts that make no sense, or a threshold outside 0 to 1.

    Examples
    --------
    >>> print(f"{probability_above(4, 5, 0.75):.2f}")
    0.56
    """
    x, n = _counts(successes, trials)
    if not 0 <= threshold <= 1:
        raise Cher2Error(f"the threshold is {threshold}", remedy="Give a fraction from 0 to 1")
    # One minus the lower tail would lose a small probability to rounding: betaincc is the upper tail itself.
    return np.where(n > 0, special.betaincc(x + 0.5, n - x + 0.5, threshold), np.nan)[()]


def _counts(successes: ArrayLike, trials: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, n = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(trials, np.float64))
    sensible = (x >= 0) & (x <= n) & np.isfinite(n) & (x == np.floor(x)) & (n == np.floor(n))
    if not sensible.all():
        at = int(np.flatnonzero(~sensible)[0])
        raise Cher2Error(
            f"{x.flat[at]:g} of {n.flat[at]:g} is no count",
            remedy="Give whole numbers, 0 <= successes <= trials",
        )
    return x, n


def _check_fraction(value: float, name: str) -> None:
    if not 0 < value < 1:
        raise Cher2Error(f"the {name} is {value}", remedy="Give a fraction between 0 and 1, such as 0.95")
