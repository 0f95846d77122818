"""What a reader does to outlines with one gesture: a line that splits a cell, two cells made one."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from cher2.errors import ReviewError
from cher2.review.outline import box_of

Point = tuple[float, float]
Pixels = tuple[NDArray[np.intp], NDArray[np.intp]]


class Split(NamedTuple):
    """Where a cell is split.

    Parameters
    ----------
    object_id : int
        The cell.
    pixels : tuple of ndarray
        Rows and columns of its smaller part, which becomes a cell of its own.
    """

    object_id: int
    pixels: Pixels


def number_at(labels: NDArray[Any], point: Point) -> int:
    """Return the object at a point (y, x) of a label image; 0 for background and outside."""
    row, column = (round(at) for at in point)
    inside = 0 <= row < labels.shape[0] and 0 <= column < labels.shape[1]
    return int(labels[row, column]) if inside else 0


def split_by_line(labels: NDArray[Any], start: Point, end: Point) -> Split:
    """Split the cell that a line crosses from edge to edge; of several, the one it is longest in.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
    start, end : tuple of float
        The ends of the line (y, x), both outside the cell.

    Returns
    -------
    Split
        No pixel of the cell is lost: each falls to the side of the line that its centre lies on.

    Raises
    ------
    ReviewError
        The line crosses no cell.
    """
    (top, left), (bottom, right) = start, end
    steps = max(2, 2 * round(np.hypot(bottom - top, right - left)))
    along = zip(np.linspace(top, bottom, steps).tolist(), np.linspace(left, right, steps).tolist(), strict=True)
    met = [number_at(labels, point) for point in along]
    crossed = set(met) - {0, met[0], met[-1]}
    if not crossed:
        raise ReviewError(
            "the line crosses no cell from edge to edge",
            remedy="Draw it from outside the cell, through it, to the other side",
        )
    number = max(crossed, key=lambda candidate: (met.count(candidate), -candidate))
    rows, columns = np.nonzero(labels == number)
    side = (rows - top) * (right - left) - (columns - left) * (bottom - top) > 0
    if 2 * np.count_nonzero(side) > len(side):
        side = ~side
    if not side.any():
        raise ReviewError("the line only touches the cell", remedy="Draw it through the cell")
    return Split(number, (rows[side], columns[side]))


def touch(labels: NDArray[Any], one: int, other: int) -> bool:
    """Say whether two objects of a label image touch along an edge of a pixel."""
    both = (labels == one) | (labels == other)
    if not both.any():
        return False
    window = labels[box_of(both)]
    grown = cv2.dilate((window == one).view(np.uint8), cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))
    return bool(((window == other) & grown.view(np.bool_)).any())


def merged_pixels(labels: NDArray[Any], kept: int, other: int) -> Pixels:
    """Return the pixels of an object that become another's.

    Raises
    ------
    ReviewError
        The two are one, one of them is no object, or they do not touch.
    """
    if 0 in (kept, other) or kept == other:
        raise ReviewError("two cells are needed to make one", remedy="Click on one cell, then on its neighbour")
    if not touch(labels, kept, other):
        raise ReviewError("the two cells do not touch", remedy="Paint the gap between them first, then merge")
    rows, columns = np.nonzero(labels == other)
    return rows, columns
