"""How probable the grades of each patient's cells are, added up batch by batch.

The probability of a high ratio (:mod:`cher2.patients.misgrading`) needs the cells of a patient one by one only where
they are few. Of many, five sums are kept; so a study of any size is read once, and nothing of it need stay.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cher2.errors import Cher2Error

MOST_EXACT = 200
"""Uncertain cells of a patient up to which the joint distribution is exact; its cost grows with their third power."""

_CERTAIN = 1e-13
"""A cell whose other grades together are less probable than this is certain."""

_FOLD_AT = 200_000  # cells that are kept one by one before those of patients with many are summed up

Values = NDArray[np.float64]


class GradeChances:
    """The probable grades of the cells of some patients, so far as they were added.

    Parameters
    ----------
    n_patients : int

    Attributes
    ----------
    weak, strong : ndarray of int, shape (n_patients,)
        Cells that are certainly 1+, and certainly 2+ or 3+.
    uncertain : ndarray of int, shape (n_patients,)
        Cells that are not certain.
    moments : ndarray of float, shape (5, n_patients)
        Where more than :data:`MOST_EXACT` are not: the sums over them of p_weak, p_strong, their variances
        p (1 - p), and p_weak p_strong; complete after :meth:`cells`.
    """

    def __init__(self, n_patients: int) -> None:
        self.weak, self.strong, self.uncertain = (np.zeros(n_patients, np.int64) for _ in range(3))
        self.moments = np.zeros((5, n_patients))
        self._kept: list[tuple[NDArray[np.intp], Values]] = []
        self._waiting, self._fold_at = 0, _FOLD_AT

    def add(self, probabilities: ArrayLike, patient: ArrayLike) -> None:
        """Add cells.

        Parameters
        ----------
        probabilities : array_like of float, shape (N, 4)
            The probabilities of the grades 0, 1+, 2+ and 3+ of each cell, rows summing to 1.
        patient : array_like of int, shape (N,)
            The patient of each cell, from 0.

        Raises
        ------
        Cher2Error
            Probabilities that are negative or do not sum to 1, or a patient out of range.
        """
        number = len(self.weak)
        (none, weak, strong), owner = _checked(probabilities, patient, number)
        most = np.maximum(np.maximum(none, weak), strong)
        sure = most >= 1 - _CERTAIN
        self.weak += np.bincount(owner[sure & (weak == most)], minlength=number)
        self.strong += np.bincount(owner[sure & (strong == most)], minlength=number)
        open_ = np.flatnonzero(~sure)
        owner = owner[open_]
        self.uncertain += np.bincount(owner, minlength=number)
        self._kept.append((owner, np.column_stack([none[open_], weak[open_], strong[open_]])))
        self._waiting += len(owner)
        if self._waiting > self._fold_at:
            self._fold()

    def cells(self) -> list[Values]:
        """Return what the uncertain cells of each patient add: nothing, a weak or a strong HER2+ cell; (n, 3) each.

        In the order in which they were added; none where there are more than :data:`MOST_EXACT`.
        """
        if not len(self.weak):
            return []
        self._fold()
        owner, kinds = self._kept[0]
        order = np.argsort(owner, kind="stable")
        return np.split(kinds[order], np.cumsum(np.bincount(owner, minlength=len(self.weak)))[:-1])

    def _fold(self) -> None:
        """Sum up the cells of patients that have many by now."""
        owner = np.concatenate([owner for owner, _ in self._kept] or [np.empty(0, np.intp)])
        kinds = np.concatenate([kinds for _, kinds in self._kept] or [np.empty((0, 3))])
        many = (self.uncertain > MOST_EXACT)[owner]
        _, weak, strong = kinds[many].T
        terms = (weak, strong, weak * (1 - weak), strong * (1 - strong), weak * strong)
        for sums, values in zip(self.moments, terms, strict=True):
            # Added one after the other: the sums do not depend on where a batch ends.
            np.add.at(sums, owner[many], values)
        self._kept = [(owner[~many], kinds[~many])]
        self._waiting = len(self._kept[0][0])
        self._fold_at = max(_FOLD_AT, 2 * self._waiting)


def are_probabilities(p: Values) -> NDArray[np.bool_]:
    """Say of each row, shape (N, 4), whether it is none below 0 and sums to 1."""
    none, weak, strong, strongest = p.T
    # Column by column: numpy is slow at sums of four.
    least = np.minimum(np.minimum(none, weak), np.minimum(strong, strongest))
    # Tables are written with six significant digits.
    return np.asarray((least >= 0) & (np.abs(none + weak + strong + strongest - 1) < 1e-5))


def _checked(
    probabilities: ArrayLike, patient: ArrayLike, n_patients: int
) -> tuple[tuple[Values, Values, Values], NDArray[np.intp]]:
    """Return the probabilities that a cell is no HER2+ cell, a weak or a strong one; and whose it is."""
    p, owner = np.asarray(probabilities, np.float64).reshape(-1, 4), np.asarray(patient, np.intp)
    total = p[:, 0] + p[:, 1] + p[:, 2] + p[:, 3]
    sensible = are_probabilities(p)
    if len(p) != len(owner) or (len(owner) and not 0 <= owner.min() <= owner.max() < n_patients):
        raise Cher2Error(
            f"{len(p)} cells have {len(owner)} patients, numbered other than 0 to {n_patients - 1}",
            remedy="Give each cell the number of its patient",
        )
    if not sensible.all():
        at = int(np.argmin(sensible))
        raise Cher2Error(
            f"{', '.join(f'{value:g}' for value in p[at])} are no probabilities of grades",
            where=f"cell {at + 1}",
            remedy="They must not be negative and must sum to 1",
        )
    return (p[:, 0] / total, p[:, 1] / total, p[:, 2] / total + p[:, 3] / total), owner
