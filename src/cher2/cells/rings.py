"""The local background of each object: a ring around it that excludes other objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cher2.cells.grouped import quantile_within
from cher2.cells.territories import find_territories
from cher2.protocol import Role

RING_GAP_UM = 2.5
"""From here on, outwards from the body, the blurred light of the cell itself is gone."""

RING_WIDTH_UM = 5.0
"""Width of the ring in which the local background is read."""

RING_MIN_AREA_UM2 = 8.0
"""A ring with less area, in a crowd, gives no background: the frame's serves."""

Sums = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LocalBackground:
    """What lies around each object of a frame, in counts above the frame's background.

    Parameters
    ----------
    level : dict of ndarray, shape (n,)
        The median over the ring, by role; 0, the frame's background, where the ring is too small.
    her2_variance : ndarray, shape (n,)
        Variance of a pixel of the ring in HER2, by the median absolute deviation.
    area : ndarray, shape (n,)
        Pixels of the ring.
    is_known : ndarray of bool, shape (n,)
        The ring is large enough.
    """

    level: Mapping[Role, Sums]
    her2_variance: Sums
    area: Sums
    is_known: NDArray[np.bool_]


def local_background(
    labels: NDArray[np.int32], signals: Mapping[Role, NDArray[np.float32]], pixel_size_um: float
) -> LocalBackground:
    """Read the local background of every object of a frame.

    The rings are read on a grid of about a micrometre, whose points hold the mean of the pixels around them: a
    median over them is as precise as one over all pixels.

    Parameters
    ----------
    labels : ndarray of int32, shape (Y, X)
        The objects, 1 to n.
    signals : dict of ndarray of float32, shape (Y, X)
        The channels, by role, without the frame's background.
    pixel_size_um : float
        Side of a pixel in micrometres.

    Returns
    -------
    LocalBackground
    """
    count = int(labels.max())
    territories = find_territories(labels, pixel_size_um)
    away = territories.distance_um
    points = np.flatnonzero((away > RING_GAP_UM) & (away <= RING_GAP_UM + RING_WIDTH_UM) & (territories.owner > 0))
    owner = territories.owner.ravel()[points] - 1
    sizes = np.bincount(owner, minlength=count)
    area: Sums = sizes.astype(np.float64) * territories.step**2
    is_known = area * pixel_size_um**2 >= RING_MIN_AREA_UM2

    def median(values: NDArray[np.float32]) -> Sums:
        return quantile_within(values, owner, sizes, 0.5) * is_known

    values = {role: territories.means(signal, points) for role, signal in signals.items()}
    level = {role: median(of_role) for role, of_role in values.items()}
    deviation = np.abs(values["her2"] - level["her2"][owner].astype(np.float32))
    spread: Sums = 1.4826 * territories.step * median(deviation)
    return LocalBackground(level, spread * spread, area, is_known)
