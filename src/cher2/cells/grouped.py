"""Order statistics: of an array, and of values that belong to many objects, in one sort.

Whole numbers sort several times as fast as pairs: the object stands in the upper half of 64 bits, the value in the
lower.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SIGN = np.uint32(0x80000000)


def quantile(values: NDArray[Any], part: float) -> float:
    """Return a lower quantile of all values of an array.

    One partition, where numpy's own quantile interpolates and looks for NaN: ten times as fast on a few pixels.
    """
    place = int(part * (values.size - 1))
    return float(np.partition(values, place, axis=None)[place])


def sorted_within(values: NDArray[np.float32], owner: NDArray[np.intp] | NDArray[np.int32]) -> NDArray[np.float32]:
    """Return values ordered by their owner first, and by size within each owner.

    Parameters
    ----------
    values : ndarray of float32, shape (n,)
        Finite.
    owner : ndarray of int, shape (n,)
        Not negative.

    Returns
    -------
    ndarray of float32, shape (n,)
    """
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    # Floats order as their bits do, once the negative ones are turned around.
    turned = bits ^ (_where_negative(bits) | _SIGN)
    keys = (owner.astype(np.uint64) << np.uint64(32)) | turned
    keys.sort()
    low = keys.astype(np.uint32)
    back: NDArray[np.float32] = (low ^ (~_where_negative(low) | _SIGN)).view(np.float32)
    return back


def _where_negative(bits: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return all bits set where the first is, else none."""
    return (bits.view(np.int32) >> 31).view(np.uint32)


def quantile_within(
    values: NDArray[np.float32], owner: NDArray[np.intp] | NDArray[np.int32], sizes: NDArray[np.intp], part: float
) -> NDArray[np.float64]:
    """Return a lower quantile of the values of each owner; 0 for one that has none.

    Parameters
    ----------
    values, owner : ndarray, shape (n,)
        As for :func:`sorted_within`; owners from 0 to m - 1.
    sizes : ndarray of int, shape (m,)
        How many values each owner has.
    part : float
        0 is the smallest value, 0.5 the lower median, 1 the largest.

    Returns
    -------
    ndarray of float64, shape (m,)
    """
    quantiles = np.zeros(len(sizes))
    filled = sizes > 0
    place = np.cumsum(sizes) - sizes + (part * (sizes - 1)).astype(np.intp)
    quantiles[filled] = sorted_within(values, owner)[place[filled]]
    return quantiles
