"""From a patient's counts to the group: high, low, excluded or undefined."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from cher2.protocol import PatientRules


def groups_of_counts(counts: NDArray[np.int64], rules: PatientRules) -> NDArray[np.object_]:
    """Return the group of each patient.

    Parameters
    ----------
    counts : ndarray of int, shape (n, 5)
        CTCs of grade 0, 1+, 2+, 3+, and those without a grade.
    rules : PatientRules
        The protocol's minimum and threshold.

    Returns
    -------
    ndarray of str, shape (n,)
        A name of :data:`cher2.patients.table.GROUPS`. Too few CTCs come before everything else.
    """
    n_ctcs, positive, strong = counts.sum(axis=1), counts[:, 1:4].sum(axis=1), counts[:, 2:4].sum(axis=1)
    counted = n_ctcs if rules.count == "all" else positive
    # The threshold as it was written (0.75 is 3/4), compared in whole numbers of any size: exactly on the
    # threshold is low, and no float may round it to either side.
    threshold = Fraction(str(rules.ratio_threshold))
    above = strong.astype(object) * threshold.denominator > positive.astype(object) * threshold.numerator
    group = np.where(above.astype(bool), "high", "low").astype(object)
    group[positive == 0] = "undefined"
    group[counted < rules.min_ctcs] = "excluded"
    return group
