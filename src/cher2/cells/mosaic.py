"""Parts of a frame side by side on one small plane: what is done to all of them costs one call, not one a part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from cher2.cells.parts import Labels, Part, Pixel

GAP = 1
"""Pixels between two parts, and around them all: no part touches another, whatever connectivity is asked for."""


@dataclass(frozen=True, eq=False)
class Mosaic:
    """Parts of a frame side by side.

    Parameters
    ----------
    labels : ndarray of int32, shape (Y, X)
        The parts, 1 to n in the order in which they were given; 0 between them.
    pixels : ndarray of int, shape (p,)
        Flat indices of the parts' pixels in the mosaic, in raster order; so each part's are in its own raster order.
    owner : ndarray of int32, shape (p,)
        The part of each of them.
    source : ndarray of int, shape (p,)
        Their flat indices in the frame.
    shift : ndarray of int, shape (n + 1, 2)
        Rows and columns from a place in the mosaic to that in the frame, by part; unused for 0.
    """

    labels: Labels
    pixels: NDArray[np.intp]
    owner: Labels
    source: NDArray[np.intp]
    shift: NDArray[np.intp]

    def of(self, plane: NDArray[Pixel]) -> NDArray[Pixel]:
        """Return the parts of a plane of the frame; 0 between them."""
        return self.filled(plane.ravel()[self.source])

    def filled(self, values: NDArray[Pixel]) -> NDArray[Pixel]:
        """Return a plane of the mosaic's shape with a value for each of `pixels`; 0 between the parts."""
        plane = np.zeros(self.labels.shape, values.dtype)
        plane.ravel()[self.pixels] = values
        return plane

    def in_frame(self, number: int, piece: Part) -> Part:
        """Return a piece of a part, placed in the mosaic, where it is in the frame."""
        down, right = self.shift[number].tolist()
        return Part(piece.top + down, piece.left + right, piece.mask)

    def parts(self, labels: Labels) -> list[tuple[int, Part]]:
        """Return what is labelled in a plane of the mosaic, 1 to m, each within one part: that part, and the piece.

        The pieces' windows are as small as can be, and their places those in the frame.
        """
        pieces = []
        for number, box in enumerate(find_objects(labels), 1):
            if box is None:
                continue
            mask = labels[box] == number
            column = int(mask[0].argmax())
            owner = int(self.labels[box[0].start, box[1].start + column])
            pieces.append((owner, self.in_frame(owner, Part(box[0].start, box[1].start, mask))))
        return pieces


def side_by_side(parts: Sequence[Part], columns: int) -> Mosaic:
    """Lay parts of a frame side by side, on shelves, the tallest first.

    Parameters
    ----------
    parts : sequence of Part
        They may overlap in the frame.
    columns : int
        Columns of the frame.

    Returns
    -------
    Mosaic
    """
    sides = np.array([part.mask.shape for part in parts], np.intp).reshape(-1, 2) + GAP
    places, shape = _on_shelves(sides)
    labels = np.zeros(shape, np.int32)
    for number, (part, (top, left)) in enumerate(zip(parts, places.tolist(), strict=True), 1):
        rows, width = part.mask.shape
        np.multiply(part.mask, np.int32(number), out=labels[top : top + rows, left : left + width])
    shift = np.zeros((len(parts) + 1, 2), np.intp)
    shift[1:] = np.array([(part.top, part.left) for part in parts], np.intp).reshape(-1, 2) - places
    pixels = np.flatnonzero(labels > 0)
    owner = labels.ravel()[pixels]
    # One step from a row to the next is `columns` pixels in the frame.
    source = pixels + pixels // shape[1] * (columns - shape[1]) + (shift[:, 0] * columns + shift[:, 1])[owner]
    return Mosaic(labels, pixels, owner, source, shift)


def _on_shelves(sides: NDArray[np.intp]) -> tuple[NDArray[np.intp], tuple[int, int]]:
    """Return the place (top, left) of each rectangle (rows, columns), and the shape of the plane that holds all."""
    places = np.zeros_like(sides)
    if len(sides) == 0:
        return places, (GAP, GAP)
    width = max(int(sides[:, 1].max()), int(1.1 * np.sqrt(sides.prod(axis=1).sum()))) + GAP
    top, left, height = GAP, GAP, 0
    for number in np.argsort(-sides[:, 0], kind="stable").tolist():
        rows, columns = sides[number].tolist()
        if left + columns > width:
            top, left, height = top + height, GAP, 0
        places[number] = top, left
        left, height = left + columns, max(height, rows)
    return places, (top + height, width)
