"""Cell bodies around the nuclei, and the cytokeratin-positive objects that have none.

A CTC's body is where its cytokeratin is, a leukocyte's is inside its CD45 ring. Cytokeratin belongs to the nuclei
that do not lie in a leukocyte, CD45 to the others; each pixel to the nearest of them. A body reaches as far as its
stain is a part of what it is around the nucleus, whatever the cell's brightness.
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

EDGE_HEIGHT = 0.3
"""The body's edge, as part of the stain around the nucleus, where cytokeratin is brightest."""

CLOSING_UM = 3.0
"""Gaps as wide as this are closed where cytokeratin is: it lies in filaments and droplets."""

LOCAL_EDGE = 0.35
"""A stain's edge, as part of the brightest nearby: below half, as cytokeratin is brighter on one side of a cell."""

EDGE_FRACTION = 0.2
"""Part of the frame's typical half-height from which a stain is there at all."""


Mask = NDArray[np.bool_]


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


def where_present(stain: Stain, pixel_size_um: float) -> Mask:
    """Return where (Y, X) a stain is there: not in the blurred edge of what is brighter nearby, gaps closed."""
    side = 2 * round(REACH_UM / 2 / pixel_size_um) + 1
    brightest = cv2.dilate(stain.smooth, np.ones((side, side), np.uint8))
    present = (stain.smooth > np.maximum(stain.present, LOCAL_EDGE * brightest)).view(np.uint8)
    width = 2 * round(CLOSING_UM / 2 / pixel_size_um) + 1
    closed = cv2.morphologyEx(present, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width)))
    mask: Mask = closed.view(np.bool_)
    return mask


def find_bodies(
    nuclei: NDArray[np.int32], ck: Stain, cd45: Stain, leukocytes: Mask, pixel_size_um: float
) -> NDArray[np.int32]:
    """Label the cell bodies of a frame.

    Parameters
    ----------
    nuclei : ndarray of int32, shape (Y, X)
        The nuclei, labelled 1 to n.
    ck, cd45 : Stain
        Cytokeratin and CD45.
    leukocytes : ndarray of bool, shape (Y, X)
        Where CD45 is and cytokeratin is not, as :func:`where_present` finds them.
    pixel_size_um : float
        Side of a pixel in micrometres.

    Returns
    -------
    ndarray of int32, shape (Y, X)
        Label k is the body of nucleus k and holds it; labels above n are cytokeratin-positive objects
        without a nucleus.
    """
    count = int(nuclei.max())
    if count == 0:
        return _add_without_nucleus(nuclei.copy(), 0, ck, pixel_size_um)
    inside = np.flatnonzero(nuclei.ravel())
    within = _mean_by_label(leukocytes.ravel()[inside].astype(np.float32), nuclei.ravel()[inside], count)
    is_epithelial = within < 0.5
    # Cytokeratin belongs to the nuclei that lie in it, CD45 to the others: neither takes from its neighbour.
    bodies = nuclei.copy()
    for stain, chosen in ((cd45, ~is_epithelial), (ck, is_epithelial)):
        chosen[0] = False
        reach = _reach(np.where(chosen[nuclei], nuclei, 0), count, stain, pixel_size_um)
        bodies = np.where((reach > 0) & (nuclei == 0), reach, bodies)
    return _add_without_nucleus(_joined_to_nucleus(bodies, nuclei), count, ck, pixel_size_um)


def nearest_label(labels: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return, for each pixel of a label image (Y, X), the nearest label and the distance to it in pixels."""
    outside = (labels == 0).astype(np.uint8)
    distance, source = cv2.distanceTransformWithLabels(outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    owner = np.zeros(int(source.max()) + 1, np.int32)
    inside = labels > 0
    owner[source[inside]] = labels[inside]
    return owner[source], distance


def _reach(nuclei: NDArray[np.int32], count: int, stain: Stain, pixel_size_um: float) -> NDArray[np.int32]:
    """Return how far the bodies of some nuclei reach in one stain, as a label image (Y, X)."""
    bodies = np.zeros_like(nuclei)
    if not nuclei.any():
        return bodies
    owner, distance = nearest_label(nuclei)
    pixels = np.flatnonzero((distance <= REACH_UM / pixel_size_um).ravel())
    owners, away, values = owner.ravel()[pixels], distance.ravel()[pixels], stain.smooth.ravel()[pixels]
    collar = away <= COLLAR_UM / pixel_size_um
    level = _mean_by_label(values[collar], owners[collar], count)
    edge = np.where(level > stain.present, np.maximum(EDGE_HEIGHT * level, stain.present), np.inf)
    above = values > edge[owners]
    bodies.ravel()[pixels[above]] = owners[above]
    return bodies


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
