"""Which labelled object of a frame is nearest to a pixel, and how far away it is.

Territories are found on a grid of about a micrometre, not at every pixel: the line between two cells lies where
both are equally far, and it is not known better than that.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

GRID_UM = 1.28
"""Spacing of the grid."""


@dataclass(frozen=True, eq=False)
class Territories:
    """The territories of the objects of a frame.

    Parameters
    ----------
    owner : ndarray of int32, shape (Y / step, X / step)
        The nearest label; 0 everywhere where there is none.
    distance_um : ndarray of float32, same shape
        How far away it is, in micrometres; 0 inside.
    step : int
        Pixels from one point of the grid to the next.
    columns : int
        Columns of the frame.
    """

    owner: NDArray[np.int32]
    distance_um: NDArray[np.float32]
    step: int
    columns: int

    def at(self, pixels: NDArray[np.intp]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the owners of some pixels of the frame (flat indices), and their distances in micrometres."""
        rows, columns = np.divmod(pixels.astype(np.int32), np.int32(self.columns))
        last_row, last_column = self.owner.shape[0] - 1, self.owner.shape[1] - 1
        point = np.minimum(rows // self.step, last_row) * self.owner.shape[1]
        point += np.minimum(columns // self.step, last_column)
        return self.owner.ravel()[point], self.distance_um.ravel()[point]

    def means(self, plane: NDArray[np.float32], points: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the mean of a plane of the frame (Y, X) around some points of the grid (flat indices)."""
        rows, columns = self.owner.shape
        whole = plane[: rows * self.step, : columns * self.step]
        # All points at once: OpenCV passes over the plane faster than a part of it is picked out.
        coarse = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA) if self.step > 1 else whole
        means: NDArray[np.float32] = coarse.ravel()[points]
        return means


def find_territories(labels: NDArray[np.int32], pixel_size_um: float) -> Territories:
    """Find the territories of the objects of a label image (Y, X).

    Parameters
    ----------
    labels : ndarray of int32, shape (Y, X)
        0 is no object.
    pixel_size_um : float
        Side of a pixel in micrometres.

    Returns
    -------
    Territories
    """
    step = min(max(1, round(GRID_UM / pixel_size_um)), *labels.shape)
    rows, columns = (side // step * step for side in labels.shape)
    sparse = np.ascontiguousarray(labels[step // 2 : rows : step, step // 2 : columns : step])
    outside = (sparse == 0).view(np.uint8)
    distance, source = cv2.distanceTransformWithLabels(outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    owner = np.zeros(int(source.max()) + 1, np.int32)
    inside = outside == 0
    owner[source[inside]] = sparse[inside]
    distance *= np.float32(step * pixel_size_um)
    nearest = owner[source]
    return Territories(nearest, distance, step, labels.shape[1])


def set_apart(labels: NDArray[np.int32], pixels: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Return where objects are, 0 or 1, without the lines along which they end to the right and below.

    Parameters
    ----------
    labels : ndarray of int32, shape (Y, X)
        0 is no object.
    pixels : ndarray of int, shape (p,)
        Flat indices of all pixels of objects.
    """
    apart = np.zeros(labels.shape, np.uint8)
    flat, last = labels.ravel(), labels.size - 1
    own = flat[pixels]
    goes_on = [own == flat[np.minimum(pixels + step, last)] for step in (1, labels.shape[1])]
    apart.ravel()[pixels] = goes_on[0] & goes_on[1]
    # The last column and row have nothing to the right or below.
    apart[:-1, -1] = (labels[:-1, -1] > 0) & (labels[:-1, -1] == labels[1:, -1])
    apart[-1, :-1] = (labels[-1, :-1] > 0) & (labels[-1, :-1] == labels[-1, 1:])
    apart[-1, -1] = labels[-1, -1] > 0
    return apart
