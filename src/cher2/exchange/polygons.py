"""Outlines of labelled objects as polygons that enclose exactly their pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

Ring = list[list[int]]


def outlines(labels: NDArray[Any]) -> Iterator[tuple[int, list[list[Ring]]]]:
    """Yield the outline of each object of a label image.

    The polygons run along the edges of pixels, so that their area is the number of pixels; a line through the
    pixels' centres would be half a pixel too small on each side.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
        0 is background.

    Yields
    ------
    label : int
    polygons : list of list of rings
        One polygon for each part that hangs together by pixels' edges: first its outer ring, then its holes, as
        GeoJSON has them. A ring is closed, ``[x, y]`` in pixels from the outer corner of the first pixel; the outer
        ring runs counter-clockwise by RFC 7946 (with y upwards), holes clockwise.
    """
    numbered = labels.astype(np.int64) if labels.dtype == np.uint64 else labels
    for label, place in enumerate(find_objects(numbered), start=1):
        if place is not None:
            corner = place[1].start, place[0].start
            yield label, _polygons((numbered[place] == label).astype(np.uint8), corner)


def _polygons(mask: NDArray[np.uint8], corner: tuple[int, int]) -> list[list[Ring]]:
    count, parts = cv2.connectedComponents(mask, connectivity=4)
    return [polygon for part in range(1, count) for polygon in _of_part((parts == part).astype(np.uint8), corner)]


def _of_part(mask: NDArray[np.uint8], corner: tuple[int, int]) -> list[list[Ring]]:
    # OpenCV follows the centres of the border's pixels. With each pixel doubled, these centres tell on which side of
    # the pixel the border is: of 2x and 2x + 1 the first stands for its left edge x, the second for its right, x + 1.
    doubled = np.repeat(np.repeat(mask, 2, axis=0), 2, axis=1)
    found, tree = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    rings = [_ring((contour[:, 0, :].astype(np.int64) + 1) // 2 + corner) for contour in found]
    polygons: list[list[Ring]] = []
    for at, (*_, parent) in enumerate(tree[0] if len(found) else ()):
        if parent < 0:
            holes = [_turned(rings[hole], outer=False) for hole in range(len(found)) if tree[0][hole][3] == at]
            polygons.append([_turned(rings[at], outer=True), *holes])
    return polygons


def _ring(points: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the corners of a closed ring, each once."""
    points = points[(points != np.roll(points, 1, axis=0)).any(axis=1)]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    # On a straight edge, both steps go along the same axis.
    return np.asarray(points[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]])


def _turned(points: NDArray[np.int64], *, outer: bool) -> Ring:
    x, y = points[:, 0], points[:, 1]
    counter_clockwise = (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() > 0
    ordered = points if counter_clockwise == outer else points[::-1]
    return [*ordered.tolist(), ordered[0].tolist()]
