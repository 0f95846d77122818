"""Which centroid a point belongs to: how a reader's word on a cell finds the cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def nearest_pairs(
    points: NDArray[np.float64],
    centroids: NDArray[np.float64],
    radius: NDArray[np.float64],
    point_radius: NDArray[np.float64] | None = None,
) -> tuple[list[int], list[int]]:
    """Pair points with centroids no farther than their radius: each once, nearest pairs first.

    Parameters
    ----------
    points : ndarray of float, shape (n, 2)
    centroids : ndarray of float, shape (m, 2)
    radius : ndarray of float, shape (m,)
        How far a point may lie from each centroid.
    point_radius : ndarray of float, shape (n,), optional
        How far each point may lie from a centroid, where that is farther than the centroid's radius.

    Returns
    -------
    points, centroids : list of int
        The numbers of those that were paired.
    """
    from scipy.spatial import cKDTree

    if not len(points) or not len(centroids):
        return [], []
    reach = np.zeros(len(points)) if point_radius is None else point_radius
    farthest = max(radius.max(), reach.max())
    near = cKDTree(points).sparse_distance_matrix(cKDTree(centroids), farthest, output_type="coo_matrix")
    inside = near.data <= np.maximum(radius[near.col], reach[near.row])
    pairs = sorted(zip(near.data[inside], near.row[inside], near.col[inside], strict=True))
    rows: dict[int, int] = {}
    taken: set[int] = set()
    for _, row, column in pairs:
        if row not in rows and column not in taken:
            rows[int(row)] = int(column)
            taken.add(int(column))
    return list(rows), list(rows.values())
