"""The probability of a high ratio when the grades themselves are uncertain.

The machine gives each cell the probabilities p0 to p3 of its grades. How many cells are then HER2+ (n), and how many
of them 2+ or 3+ (x), is itself uncertain: their joint distribution is that of a sum of independent cells, each of
which adds (0, 0), (1, 0) or (1, 1). The posterior that the ratio is above the threshold, given x of n, is averaged
over it.

Two things that this does not cover: cells that were not found, and errors that all cells of a sample share.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from cher2.patients.chances import MOST_EXACT, GradeChances, Values
from cher2.patients.uncertainty import check_threshold

METHOD = (
    "Jeffreys posterior averaged over the joint distribution of HER2+ and strong cells, convolved cell by cell; beyond "
    f"{MOST_EXACT} uncertain cells a bivariate normal distribution with its means and covariance"
)
"""The method as a paper would name it."""

_ENTRIES = 80_000  # of the distributions that are convolved together: what fits into a core's cache

_MOST_PAIRS = 500_000  # numbers of weak and strong cells whose posteriors are computed once for all patients

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(24)


def probability_above_misgraded(
    probabilities: ArrayLike, patient: ArrayLike, n_patients: int, threshold: float
) -> NDArray[np.float64]:
    """Return each patient's probability that the ratio is above a threshold, misgrading carried through.

    Parameters
    ----------
    probabilities : array_like of float, shape (N, 4)
        The probabilities of the grades 0, 1+, 2+ and 3+ of each cell, rows summing to 1; a cell whose grade is
        certain has a 1.
    patient : array_like of int, shape (N,)
        The patient of each cell, from 0.
    n_patients : int
    threshold : float
        From 0 to 1.

    Returns
    -------
    ndarray of float, shape (n_patients,)
        From 0 to 1. Where no cell may be HER2+, nothing is known of the ratio: NaN. Where it is possible but not
        certain that one is, the prior stands for the rest.

    Raises
    ------
    Cher2Error
        Probabilities that are negative or do not sum to 1, a patient out of range, or a threshold outside 0 to 1.

    Notes
    -----
    Exact, but for rounding, up to :data:`MOST_EXACT` cells that are not certain; certain cells cost nothing. Beyond
    it, x and n are taken as bivariate normal with the means and the covariance of the sum, and the posterior is
    integrated over them by Gauss-Hermite quadrature. At the border the two differ by less than 0.005.

    Examples
    --------
    Four strong cells and a weak one: the second is 2+ for one reader in three.

    >>> cells = [[0, 0, 0, 1]] * 4 + [[0, 2 / 3, 1 / 3, 0]]
    >>> print(f"{probability_above_misgraded(cells, [0] * 5, 1, 0.75)[0]:.2f}")
    0.68
    """
    chances = GradeChances(n_patients)
    chances.add(probabilities, patient)
    return probability_above_chances(chances, threshold)


def probability_above_chances(chances: GradeChances, threshold: float) -> Values:
    """Return what :func:`probability_above_misgraded` does, of cells that were added up batch by batch.

    Parameters
    ----------
    chances : GradeChances
        Of all cells of n patients.
    threshold : float
        From 0 to 1.

    Returns
    -------
    ndarray of float, shape (n,)

    Raises
    ------
    Cher2Error
        A threshold outside 0 to 1.
    """
    check_threshold(threshold)
    weak, strong, uncertain = chances.weak, chances.strong, chances.uncertain
    cells = chances.cells()
    above = np.full(len(weak), np.nan)
    exact = np.flatnonzero((uncertain <= MOST_EXACT) & (uncertain + weak + strong > 0))
    posterior = _Posterior.up_to((weak + uncertain)[exact], (strong + uncertain)[exact], threshold)
    for batch in _batches(exact, uncertain):
        for i, joint in zip(batch, _joint([cells[i] for i in batch]), strict=True):
            side = uncertain[i] + 1
            above[i] = (joint[:side, :side] * posterior.of(int(weak[i]), int(strong[i]), side)).sum()
    for i in np.flatnonzero(uncertain > MOST_EXACT):
        above[i] = _normal(chances.moments[:, i], int(weak[i]), int(strong[i]), threshold)
    return above


def _batches(patients: NDArray[np.intp], uncertain: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """Yield patients of like numbers of uncertain cells together: the shorter ones are filled up."""
    ordered = patients[np.argsort(uncertain[patients], kind="stable")[::-1]]
    start = 0
    while start < len(ordered):
        stop = start + max(1, _ENTRIES // int(uncertain[ordered[start]] + 1) ** 2)
        yield ordered[start:stop]
        start = stop


def _joint(cells: list[Values]) -> Values:
    """Return P(weak, strong) of each patient's cells, (n, 3) each; shape (patients, 1 + most cells, 1 + most cells)."""
    most = max(map(len, cells), default=0)
    joint = np.zeros((len(cells), most + 1, most + 1))
    joint[:, 0, 0] = 1.0
    # Arrays of this size are costly to ask for anew at each step.
    spare = np.empty((2, *joint.shape))
    filled = np.zeros((3, most, len(cells), 1, 1))
    filled[0] = 1.0
    for i, own in enumerate(cells):
        filled[:, : len(own), i, 0, 0] = own.T
    for k, (none, weak, strong) in enumerate(zip(*filled, strict=True)):
        old = joint[:, : k + 1, : k + 1]
        more_weak = np.multiply(old, weak, out=spare[0, :, : k + 1, : k + 1])
        more_strong = np.multiply(old, strong, out=spare[1, :, : k + 1, : k + 1])
        old *= none
        joint[:, 1 : k + 2, : k + 1] += more_weak
        joint[:, : k + 1, 1 : k + 2] += more_strong
    return joint


@dataclass(frozen=True, eq=False)
class _Posterior:
    """The posterior that the ratio is above a threshold, by numbers of weak and strong cells; 0 of 0 is the prior's.

    `table` holds all pairs that patients may have, where these are few enough; else it is empty.
    """

    table: Values
    threshold: float

    @classmethod
    def up_to(cls, weak: NDArray[np.intp], strong: NDArray[np.intp], threshold: float) -> _Posterior:
        rows, columns = int(weak.max(initial=0)) + 1, int(strong.max(initial=0)) + 1
        none = rows * columns > _MOST_PAIRS
        shape = (0, 0) if none else (rows, columns)
        return cls(_grid(0, 0, *shape, threshold), threshold)

    def of(self, weak: int, strong: int, side: int) -> Values:
        """Return the posterior from these numbers on, shape (side, side)."""
        if self.table.size:
            return self.table[weak : weak + side, strong : strong + side]
        return _grid(weak, strong, side, side, self.threshold)


def _grid(weak: int, strong: int, rows: int, columns: int, threshold: float) -> Values:
    return _upper_tail(np.arange(weak, weak + rows)[:, None], np.arange(strong, strong + columns), threshold)


def _upper_tail(weak: ArrayLike, strong: ArrayLike, threshold: float) -> Values:
    return np.asarray(special.betaincc(np.add(strong, 0.5), np.add(weak, 0.5), threshold))


def _normal(moments: Values, weak: int, strong: int, threshold: float) -> float:
    """Average the posterior over a bivariate normal distribution of the weak and the strong cells."""
    mean_weak, mean_strong, variance, variance_strong, product = moments
    sd_strong = np.sqrt(variance_strong)
    covariance = -product
    slope = covariance / sd_strong if sd_strong > 0 else 0.0
    rest = np.sqrt(max(variance - slope**2, 0.0))
    of = strong + mean_strong + sd_strong * _NODES[:, None]
    other = weak + mean_weak + slope * _NODES[:, None] + rest * _NODES
    posterior = _upper_tail(np.maximum(other, 0), np.maximum(of, 0), threshold)
    weights = _WEIGHTS / _WEIGHTS.sum()
    return float(weights @ posterior @ weights)
