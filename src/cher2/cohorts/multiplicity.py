"""Correction of p-values for the number of tests."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Correction = Literal["holm", "fdr_bh", "none"]

CORRECTIONS = {"holm": "Holm", "fdr_bh": "Benjamini and Hochberg (false discovery rate)"}
"""The corrections as the field writes them."""


def adjust_p_values(p_values: ArrayLike, correction: Correction) -> NDArray[np.float64]:
    """Correct a family of p-values.

    Parameters
    ----------
    p_values : array_like of float, shape (N,)
        NaN where a test could not be made: it does not count as a member of the family, and stays NaN.
    correction : {"holm", "fdr_bh", "none"}
        ``"none"`` returns the p-values as they are.

    Returns
    -------
    ndarray of float, shape (N,)

    References
    ----------
    .. [1] Holm. A simple sequentially rejective multiple test procedure. Scand J Stat 6 (1979) 65-70.
    .. [2] Benjamini, Hochberg. Controlling the false discovery rate. J R Stat Soc B 57 (1995) 289-300.
    """
    adjusted = np.array(p_values, dtype=np.float64)
    made = ~np.isnan(adjusted)
    if correction == "none" or not made.any():
        return adjusted
    if correction == "holm":
        adjusted[made] = _holm(adjusted[made])
        return adjusted
    # Imported here: statsmodels takes as long to import as the rest of the room together.
    from statsmodels.stats.multitest import fdrcorrection

    adjusted[made] = fdrcorrection(adjusted[made])[1]
    return adjusted


def _holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what statsmodels' ``multipletests`` gives, without its collection of all garbage of the process.

    In a thread of a window's that would hold the window up, and destroy what is Qt's in the wrong thread.
    """
    order = np.argsort(p_values)
    stepwise = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(stepwise, 1.0)
    return adjusted
