"""Cell bodies around the nuclei, and the cytokeratin-positive objects that have none.

A CTC's body is where its cytokeratin is, a leukocyte's is inside its CD45 ring. Each nucleus owns the ground
that lies nearer to it than to any other; within it the body reaches to half the height of the stain beside the
nucleus, because blur leaves a true edge at half height, whatever the cell's brightness.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cher2.cells.nuclei import ABOVE_NOISE, SMOOTHING_UM, typical_half_height

MIN_BARE_DIAMETER_UM = 3.5
"""A cytokeratin-positive object without a nucleus is at least as large as this."""

REACH_UM = 9.0
"""How far a body reaches from its nucleus: a CTC of 20 um with its nucleus at one side."""

COLLAR_UM = 1.5
"""Width of the collar around a nucleus in which its body's stain is read."""

HALF_HEIGHT = 0.5
"""The body's edge, as part of the stain beside the nucleus."""

EDGE_FRACTION = 0.2
"""Part of the frame's typical half-height from which a stain is there at all."""


@dataclass(frozen=True, eq=False)
class Stain:
    """A body stain of a frame, ready for thresholds.

    Parameters
    ----------
    smooth : ndarray of float32, shape (Y, X)
        The channel, background subtracted, blurred as by the microscope.
    present : float
        The intensity from which the stain is there.
    """

    smooth: NDArray[np.float32]
    present: float


def prepare_stain(signal: NDArray[np.float32], noise: float, pixel_size_um: float) -> Stain:
    """Smooth a channel (Y, X; background subtracted) and find from where on it is more than noise."""
    sigma = max(0.5, SMOOTHING_UM / pixel_size_um)
    smooth = cv2.GaussianBlur(signal, (0, 0), sigma)
    smooth_noise = noise / max(1.0, 2 * np.sqrt(np.pi) * sigma)
    # Specks all over a frame are its noise as much as the camera's.
    clutter = 1.4826 * float(np.median(np.abs(smooth[::8, ::2] - np.median(smooth[::8, ::2]))))
    lowest = ABOVE_NOISE * max(smooth_noise, clutter)
    return Stain(smooth, max(lowest, EDGE_FRACTION * typical_half_height(smooth, smooth_noise)))


def find_bodies(nuclei: NDArray[np.int32], ck: Stain, cd45: Stain, pixel_size_um: float) -> NDArray[np.int32]:
    """Label the cell bodies of a frame.

    Parameters
    ----------
    nuclei : ndarray of int32, shape (Y, X)
        The nuclei, labelled 1 to n.
    ck, cd45 : Stain
        Cytokeratin and CD45.
    pixel_size_um : float
        Side of a pixel in micrometres.

    Returns
    -------
    ndarray of int32, shape (Y, X)
        Label k is the body of nucleus k and holds it; labels above n are cytokeratin-positive objects
        without a nucleus.
    """
    count = int(nuclei.max())
    bodies = _around_nuclei(nuclei, count, ck, cd45, pixel_size_um) if count else nuclei.copy()
    return _add_without_nucleus(bodies, count, ck, pixel_size_um)


def nearest_label(labels: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return, for each pixel of a label image (Y, X), the nearest label and the distance to it in pixels."""
    outside = (labels == 0).astype(np.uint8)
    distance, source = cv2.distanceTransformWithLabels(outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    owner = np.zeros(int(source.max()) + 1, np.int32)
    inside = labels > 0
    owner[source[inside]] = labels[inside]
    return owner[source], distance


def _around_nuclei(
    nuclei: NDArray[np.int32], count: int, ck: Stain, cd45: Stain, pixel_size_um: float
) -> NDArray[np.int32]:
    owner, distance = nearest_label(nuclei)
    near = distance <= REACH_UM / pixel_size_um
    pixels = np.flatnonzero(near.ravel())
    owners = owner.ravel()[pixels]
    away = distance.ravel()[pixels]
    collar = away <= COLLAR_UM / pixel_size_um
    strength, edge = np.zeros((2, count + 1)), np.full((2, count + 1), np.inf)
    for row, stain in enumerate((ck, cd45)):
        values = stain.smooth.ravel()[pixels]
        ground = collar if row == 0 else collar & (away > 0)
        level = _mean_by_label(values[ground], owners[ground], count)
        strength[row] = level / stain.present
        edge[row] = np.where(level > stain.present, np.maximum(HALF_HEIGHT * level, stain.present), np.inf)
    # One stain outlines a cell: the one that stands out more; so a CTC takes no bite of its neighbour's ring.
    use_ck = strength[0] >= strength[1]
    above_ck = use_ck[owners] & (ck.smooth.ravel()[pixels] > edge[0][owners])
    above_cd45 = ~use_ck[owners] & (cd45.smooth.ravel()[pixels] > edge[1][owners])
    inside = pixels[above_ck | above_cd45 | (away == 0)]
    bodies = np.zeros(nuclei.size, np.int32)
    bodies[inside] = owner.ravel()[inside]
    return _joined_to_nucleus(bodies.reshape(nuclei.shape), nuclei)


def _mean_by_label(values: NDArray[np.float32], labels: NDArray[np.int32], count: int) -> NDArray[np.float64]:
    sums = np.bincount(labels, weights=values, minlength=count + 1)
    return sums / np.maximum(np.bincount(labels, minlength=count + 1), 1)


def _joined_to_nucleus(bodies: NDArray[np.int32], nuclei: NDArray[np.int32]) -> NDArray[np.int32]:
    """Drop the pieces of bodies that do not hang together with their nucleus; fill what they enclose."""
    apart = (bodies > 0).astype(np.uint8)
    # A gap where two bodies meet keeps the pieces of one body from joining through the other.
    apart[:, :-1][(bodies[:, :-1] != bodies[:, 1:]) & (nuclei[:, :-1] == 0)] = 0
    apart[:-1, :][(bodies[:-1, :] != bodies[1:, :]) & (nuclei[:-1, :] == 0)] = 0
    opened = cv2.morphologyEx(apart, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))
    opened[nuclei > 0] = 1
    count, pieces = cv2.connectedComponents(opened, connectivity=4)
    holds_nucleus = np.zeros(count, bool)
    holds_nucleus[pieces[nuclei > 0]] = True
    kept = cv2.dilate((holds_nucleus[pieces] & (opened > 0)).view(np.uint8), np.ones((3, 3), np.uint8))
    return _without_holes(np.where(kept > 0, bodies, 0).astype(np.int32))


def _without_holes(bodies: NDArray[np.int32]) -> NDArray[np.int32]:
    """Give each hole in a body to that body: a faint middle within a bright ring belongs to the cell."""
    _, pieces, boxes, _ = cv2.connectedComponentsWithStats((bodies == 0).view(np.uint8), connectivity=4)
    rows, columns = bodies.shape
    left, top, width, height = boxes[:, :4].T
    enclosed = (left > 0) & (top > 0) & (left + width < columns) & (top + height < rows)
    enclosed[0] = False
    filled = bodies.copy()
    for hole in np.flatnonzero(enclosed):
        box = np.s_[top[hole] - 1 : top[hole] + height[hole] + 1, left[hole] - 1 : left[hole] + width[hole] + 1]
        inside = pieces[box] == hole
        rim = cv2.dilate(inside.view(np.uint8), np.ones((3, 3), np.uint8)).view(bool) & ~inside
        around = np.unique(bodies[box][rim])
        owners = around[around > 0]
        if len(owners) == 1:
            filled[box][inside] = owners[0]
    return filled


def _add_without_nucleus(bodies: NDArray[np.int32], count: int, ck: Stain, pixel_size_um: float) -> NDArray[np.int32]:
    """Add what is cytokeratin-positive, as large as a small cell, and clear of every body."""
    margin = 2 * round(COLLAR_UM / pixel_size_um) + 1
    taken = cv2.dilate((bodies > 0).view(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (margin, margin)))
    free = ((ck.smooth > ck.present) & (taken == 0)).view(np.uint8)
    # Nothing narrower than a small cell is left: specks, chains of specks, fibres.
    side = 2 * round((MIN_BARE_DIAMETER_UM / pixel_size_um - 1) / 2) + 1
    free = cv2.morphologyEx(free, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    regions, numbered, boxes, _ = cv2.connectedComponentsWithStats(free, connectivity=4)
    min_area = np.pi * (MIN_BARE_DIAMETER_UM / 2 / pixel_size_um) ** 2
    large = np.flatnonzero(boxes[1:, cv2.CC_STAT_AREA] >= min_area) + 1
    if len(large) == 0:
        return bodies
    renumber = np.zeros(regions, np.int32)
    renumber[large] = count + 1 + np.arange(len(large))
    return bodies + renumber[numbered]
