"""Maximum likelihood with profile intervals: what the Cox and the logistic regression share.

A profile interval holds the values of a coefficient that a likelihood-ratio test would not reject, with all other
coefficients at their best. Unlike Wald's it need not be symmetric, and it holds with few events [1]_.

References
----------
.. [1] Venzon, Moolgavkar. A method for computing profile-likelihood-based confidence intervals. Appl Stat 37
   (1988) 87-94.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from cher2.errors import CohortError

Likelihood = Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64], NDArray[np.float64]]]
"""From coefficients, shape (p,), to the log-likelihood, its gradient (p,), and minus its second derivatives (p, p).

The log-likelihood is minus infinity where it cannot be computed.
"""

_STEPS = 200
_ARRIVED = 1e-9
"""A step so small, relative to the coefficients, is the last."""
_NO_GAIN = 1e-8
"""What a step adds to the log-likelihood where that is as good as flat."""
_LITTLE_GAIN = 1e-3
"""The same, at the edge of what can be computed."""
_MOVING = 0.1
"""A step of this length over flat ground leads to infinity ..."""
_ENDLESS = 4
"""... if so many follow one another."""
_FAR = 50.0
"""A monotone likelihood that does not fall up to here never falls; farther, weights are too small for a float."""


@dataclass(frozen=True, eq=False)
class Maximum:
    """Where a log-likelihood is greatest.

    Parameters
    ----------
    at : ndarray of float, shape (p,)
    value : float
    curvature : ndarray of float, shape (p, p)
        Minus the second derivatives.
    towards : ndarray of float, shape (p,)
        0, but for coefficients that would still grow without end: the likelihood is monotone in them, and
        `value` its limit.
    """

    at: NDArray[np.float64]
    value: float
    curvature: NDArray[np.float64]
    towards: NDArray[np.float64]


def maximise(
    likelihood: Likelihood, start: NDArray[np.float64], free: NDArray[np.intp] | None = None, exact: bool = True
) -> Maximum:
    """Climb to the maximum by Newton's steps, halved where they overshoot.

    Parameters
    ----------
    likelihood : callable
        See :data:`Likelihood`. Its covariates have standard deviations of about 1.
    start : ndarray of float, shape (p,)
    free : ndarray of int, optional
        Which coefficients may change; all without it.
    exact : bool
        Whether the place of the maximum is asked for; without it the last step is not made, and its gain is added
        to the value.

    Raises
    ------
    CohortError
        No maximum was found.
    """
    at, moving = start.astype(np.float64), np.arange(len(start)) if free is None else free
    value, score, curvature = likelihood(at)
    still = np.zeros(len(at))
    endless = 0
    for _ in range(_STEPS):
        step = np.zeros(len(at))
        step[moving] = _solve(curvature[np.ix_(moving, moving)], score[moving])
        gain, largest = float(step @ score), float(np.abs(step).max(initial=0.0))
        if largest < _ARRIVED * (1 + float(np.abs(at).max(initial=0.0))):
            return Maximum(at, value, curvature, still)
        if not exact and gain < _NO_GAIN:
            return Maximum(at, value + gain / 2, curvature, still)
        ahead = likelihood(at + step)
        # Towards infinity each step is about as long as the last, and gains next to nothing, or leads to where
        # nothing can be computed.
        lost = gain < (_NO_GAIN if np.isfinite(ahead[0]) else _LITTLE_GAIN) and largest > _MOVING
        endless = endless + 1 if lost else 0
        if endless == _ENDLESS:
            return Maximum(at, value, curvature, np.where(np.abs(step) > 0.01 * largest, step, 0.0))
        for _ in range(60):
            # The last digits of a value are noise; a step so small needs no climb.
            if ahead[0] >= value - 1e-12 * (1 + abs(value)):
                break
            step /= 2
            ahead = likelihood(at + step)
        at = at + step
        value, score, curvature = ahead
    raise CohortError(
        f"no maximum of the likelihood was found in {_STEPS} steps",
        where="regression",
        remedy="Use fewer covariates, or look for extreme values in them",
    )


def likelihood_ratio_p(likelihood: Likelihood, best: Maximum, which: int) -> float:
    """Return the p-value of the likelihood-ratio test that one coefficient is 0."""
    return float(chdtrc(1, max(0.0, 2 * (best.value - _profile(likelihood, best, which, 0.0)))))


def profile_interval(likelihood: Likelihood, best: Maximum, which: int, z: float) -> tuple[float, float]:
    """Return the profile-likelihood interval of a coefficient.

    Parameters
    ----------
    likelihood : callable
    best : Maximum
        Of all coefficients.
    which : int
        The coefficient.
    z : float
        The normal distribution's quantile, such as 1.96.

    Returns
    -------
    low, high : float
        Infinite on a side on which the likelihood is monotone.
    """
    towards = best.towards[which]
    low = -np.inf if towards < 0 else _limit(likelihood, best, which, z, -1)
    return low, np.inf if towards > 0 else _limit(likelihood, best, which, z, 1)


def _limit(likelihood: Likelihood, best: Maximum, which: int, z: float, side: int) -> float:
    from scipy.optimize import brentq

    def beyond(value: float) -> float:
        fall = 2 * (best.value - _profile(likelihood, best, which, value))
        return min(1e6, float(np.sqrt(max(0.0, fall)))) - z

    # Where the likelihood is monotone its maximum is nowhere, and the search begins at no effect.
    here = 0.0 if best.towards[which] else float(best.at[which])
    width = 1.0 if best.towards.any() else z * float(standard_errors(best.curvature)[which])
    outwards = beyond(here) < 0
    step = side * width if outwards else -side * width
    while (beyond(here + step) < 0) == outwards:
        here, step = here + step, 2 * step
        if best.towards.any() and abs(here) > (_FAR if outwards else 100 * _FAR):
            return side * np.inf
    return float(brentq(beyond, here, here + step, xtol=1e-9 * width, rtol=1e-12))


def _profile(likelihood: Likelihood, best: Maximum, which: int, value: float) -> float:
    """Return the greatest log-likelihood with one coefficient held."""
    if len(best.at) == 1:
        return likelihood(np.array([value]))[0]
    others = np.delete(np.arange(len(best.at)), which)
    start = np.zeros(len(best.at))
    start[which] = value
    if not best.towards.any():
        # Where the others would go if the likelihood were a parabola.
        shared = best.curvature[others, which] * (value - best.at[which])
        start[others] = best.at[others] - _solve(best.curvature[np.ix_(others, others)], shared)
    return maximise(likelihood, start, others, exact=False).value


def standard_errors(information: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the coefficients' standard errors, from the information at the maximum."""
    # Along a direction of no information rounding may leave less than nothing.
    return np.sqrt(np.maximum(np.diag(_covariance(information)), 0.0))


def _covariance(information: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.linalg.pinv(information, rcond=1e-15, hermitian=True).astype(np.float64)


def _solve(curvature: NDArray[np.float64], score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Newton's step; where the likelihood is not concave, the step that leads upwards."""
    values, vectors = np.linalg.eigh(curvature)
    sizes = np.abs(values)
    along = np.divide(vectors.T @ score, sizes, out=np.zeros(len(sizes)), where=sizes > 1e-15 * sizes.max(initial=0.0))
    step: NDArray[np.float64] = vectors @ along
    return step
