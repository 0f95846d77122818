"""Several nuclei side by side, without a dark line between them: divided at their necks.

A nucleus that is not convex is divided where thresholds of the distance to its edge make it fall apart, as far as
that makes pieces of about the size of the frame's other nuclei, each more convex than they are together.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import find_objects

from cher2.cells.grouped import quantile
from cher2.cells.mosaic import side_by_side
from cher2.cells.parts import Part, Rise, contact, distance_to_edge, fall_apart, filled, solidity, union, width
from cher2.cells.single_nuclei import NuclearStain
from cher2.cells.smoothing import SMOOTHING_UM

NECK_STEP, NECK_DEPTH = 1.02, 1.03
"""Ratio of one distance to the edge to the one before, and of a part's distance to that of its neck."""

SMALLEST_PEAK = 0.3
"""A part's distance to its edge, against the largest of its region, from which it is looked for."""

MORE_CONVEX = 0.04
"""Two pieces are more solid than their union by this, or they are one nucleus."""

PIECE_AREA, PIECE_WIDTH = 0.6, 0.75
"""Least area and width of a piece, over those of the frame's typical nucleus: lobes and bits of fibres are less."""

TYPICAL_UM, ENOUGH = 8.0, 3
"""Diameter of a typical nucleus where a frame has fewer convex ones than this: a leukocyte's."""


def typical_size(convex: list[Part], stain: NuclearStain) -> tuple[float, float]:
    """Return the median area and width, in pixels, of the convex nuclei: those of the frame, not of a magnification."""
    if len(convex) < ENOUGH:
        diameter = TYPICAL_UM / stain.pixel_size_um
        return np.pi / 4 * diameter**2, diameter
    mosaic = side_by_side(convex, stain.smooth.shape[1])
    away = distance_to_edge(mosaic.labels > 0)
    widths = [2 * float(away[box].max()) for box in find_objects(mosaic.labels)]
    return float(np.median(np.bincount(mosaic.owner)[1:])), float(np.median(widths))


def divided_at_necks(part: Part, typical: tuple[float, float], stain: NuclearStain) -> list[Part]:
    """Divide a part at its necks, where pieces come out that are large and more convex than they are together.

    Parameters
    ----------
    part : Part
        One nucleus, or several side by side.
    typical : tuple of float
        Area and width of the frame's typical nucleus, as :func:`typical_size` gives them.
    stain : NuclearStain
        The frame's nuclear stain.

    Returns
    -------
    list of Part
        Without holes; the part itself where it is one nucleus.
    """
    if np.count_nonzero(part.mask) < 2 * PIECE_AREA * typical[0]:
        return [filled(part, np.inf)]
    values = part.of(stain.smooth)
    # Weighed by brightness: between three nuclei the distance to the edge has its peak in the gap.
    dimmed = np.minimum(values / np.float32(quantile(values[part.mask], 0.75)), np.float32(1))
    sigma = max(0.7, SMOOTHING_UM / stain.pixel_size_um)
    relief = cv2.GaussianBlur(distance_to_edge(part.mask) * dimmed, (0, 0), sigma)
    lowest = max(1.0, SMALLEST_PEAK * float(relief.max()))
    parts = fall_apart(part, relief, lowest, Rise(NECK_STEP, NECK_DEPTH, 1.0))
    while len(parts) > 1:
        gains = {
            (i, j): _gain(parts[i], parts[j], typical)
            for j in range(len(parts))
            for i in range(j)
            if contact(parts[i], parts[j]) > 0
        }
        if not gains or min(gains.values()) >= MORE_CONVEX:
            break
        i, j = min(gains, key=lambda pair: gains[pair])
        parts = [*parts[:i], *parts[i + 1 : j], *parts[j + 1 :], union(parts[i], parts[j])]
    return [filled(piece, np.inf) for piece in parts]


def _gain(one: Part, other: Part, typical: tuple[float, float]) -> float:
    """Return by how much two pieces are more solid than their union; far below 0 where one is too small."""
    areas = [np.count_nonzero(part.mask) for part in (one, other)]
    narrower = min(width(part.mask) for part in (one, other))
    if min(areas) < PIECE_AREA * typical[0] or narrower < PIECE_WIDTH * typical[1]:
        return min(areas) / typical[0] - 100.0
    apart = float(np.average([solidity(part.mask) for part in (one, other)], weights=areas))
    return apart - solidity(union(one, other).mask)
