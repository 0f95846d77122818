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

from cher2.cells.grouped import quantile
from cher2.cells.parts import Labels, Mask, disc
from cher2.cells.smoothing import ABOVE_NOISE, on_level_ground, smoothed
from cher2.cells.territories import Territories, find_territories, set_apart

MIN_BARE_DIAMETER_UM = 3.5
"""A cytokeratin-positive object without a nucleus is at least as large as this."""

REACH_UM = 9.0
"""How far a body reaches from its nucleus: a CTC of 20 um with its nucleus at one side."""

COLLAR_UM = 1.5
"""Width of the collar around a nucleus in which its body's stain is read."""

CK_EDGE, CD45_EDGE = 0.4, 0.3
"""The body's edge, as part of the stain around the nucleus, where cytokeratin is brightest."""

CLOSING_UM = 3.0
"""Gaps as wide as this are closed where cytokeratin is: it lies in filaments and droplets."""

LOCAL_EDGE = 0.35
"""A stain's edge, as part of the brightest nearby: below half, as cytokeratin is brighter on one side of a cell."""

EDGE_FRACTION = 0.2
"""Part of the frame's typical half-height from which a stain is there at all."""

DIM = 0.3
"""Part of that from which a nucleus has a body all the same, where it does not lie in the skirts of a brighter one."""


@dataclass(frozen=True, eq=False)
class Stain:
    """A body stain of a frame, ready for thresholds.

    Parameters
    ----------
    smooth : ndarray of float32, shape (Y, X)
        The channel, background subtracted, blurred as by the microscope.
    present : float
        The intensity from which the stain is there.
    lowest : float
        The intensity from which it is more than noise.
    pixels : ndarray of int, shape (p,)
        Flat indices of the pixels where it is: few of the frame's.
    """

    smooth: NDArray[np.float32]
    present: float
    lowest: float
    pixels: NDArray[np.intp]


def prepare_stain(signal: NDArray[np.float32], noise: float, pixel_size_um: float) -> Stain:
    """Smooth a channel (Y, X; background subtracted) and find from where on it is more than noise."""
    stain = smoothed(signal, noise, pixel_size_um)
    smooth = on_level_ground(stain)
    # Specks all over a frame are its noise as much as the camera's.
    sparse = np.ascontiguousarray(smooth[::8, ::2])
    clutter = 1.4826 * quantile(np.abs(sparse - np.float32(quantile(sparse, 0.5))), 0.5)
    lowest = float(ABOVE_NOISE * max(stain.noise, clutter))
    present = max(lowest, EDGE_FRACTION * stain.half_height)
    return Stain(smooth, present, lowest, np.flatnonzero(smooth > present))


def where_present(stain: Stain, pixel_size_um: float) -> Mask:
    """Return where (Y, X) a stain is there: not in the blurred edge of what is brighter nearby, gaps closed."""
    side = 2 * round(REACH_UM / 2 / pixel_size_um) + 1
    brightest = cv2.dilate(stain.smooth, np.ones((side, side), np.uint8)).ravel()[stain.pixels]
    present = np.zeros(stain.smooth.shape, np.uint8)
    present.ravel()[stain.pixels] = stain.smooth.ravel()[stain.pixels] > np.float32(LOCAL_EDGE) * brightest
    closed = cv2.morphologyEx(present, cv2.MORPH_CLOSE, disc(round(CLOSING_UM / 2 / pixel_size_um)))
    mask: Mask = closed.view(np.bool_)
    return mask


@dataclass(frozen=True, eq=False)
class Bodies:
    """The cell bodies of a frame.

    Parameters
    ----------
    labels : ndarray of int32, shape (Y, X)
        Label k is the body of nucleus k and holds it; labels above the number of nuclei are
        cytokeratin-positive objects without a nucleus.
    overlaid : ndarray of bool, shape (Y, X)
        Where a leukocyte reaches into the body of an epithelial cell: its CD45 says nothing of that cell.
    """

    labels: Labels
    overlaid: Mask


def find_bodies(nuclei: Labels, ck: Stain, cd45: Stain, leukocytes: Mask, pixel_size_um: float) -> Bodies:
    """Find the cell bodies of a frame.

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
    Bodies
    """
    count = int(nuclei.max())
    overlaid = np.zeros(nuclei.shape, np.bool_)
    if count == 0:
        return Bodies(_add_without_nucleus(nuclei.copy(), 0, ck, pixel_size_um), overlaid)
    is_nucleus = nuclei > 0
    inside = np.flatnonzero(is_nucleus)
    owners = nuclei.ravel()[inside]
    within = _mean_by_label(leukocytes.ravel()[inside], owners, count)
    of_ck, of_cd45 = (_mean_by_label(stain.smooth.ravel()[inside], owners, count) for stain in (ck, cd45))
    # Beside very bright ones, a dim leukocyte counts for no leukocyte: its own two stains tell.
    is_epithelial = (within < 0.5) & ((of_ck > ck.present) | (of_ck > of_cd45))
    # Cytokeratin belongs to the nuclei that lie in it, CD45 to the others: neither takes from its neighbour.
    bodies = nuclei.copy()
    # Cytokeratin is followed down to its noise: the frame's brightest cells say nothing of a dim one's edge.
    for stain, pixels, is_chosen, height in (
        (cd45, cd45.pixels, ~is_epithelial, CD45_EDGE),
        (ck, np.flatnonzero(ck.smooth > ck.lowest), is_epithelial, CK_EDGE),
    ):
        chosen = np.zeros_like(nuclei)
        chosen.ravel()[inside] = np.where(is_chosen[owners], owners, 0)
        reached, found = _reach(chosen, count, stain, pixels, height, pixel_size_um)
        free = ~is_nucleus.ravel()[reached]
        # The second pass, of cytokeratin, meets what the first gave to a leukocyte.
        overlaid.ravel()[reached] = bodies.ravel()[reached] > 0
        bodies.ravel()[reached[free]] = found[free]
    overlaid &= ~is_nucleus
    labels = _add_without_nucleus(_joined_to_nucleus(bodies, is_nucleus, inside), count, ck, pixel_size_um)
    return Bodies(labels, overlaid)


def _reach(
    nuclei: Labels, count: int, stain: Stain, pixels: NDArray[np.intp], height: float, pixel_size_um: float
) -> tuple[NDArray[np.intp], Labels]:
    """Return which pixels (flat) the bodies of some nuclei reach in one stain, and the nuclei's labels there.

    A body ends at a `height` of the stain around its nucleus, and where the given pixels do.
    """
    territories = find_territories(nuclei, pixel_size_um)
    level = _levels(nuclei, count, stain, territories, pixel_size_um)
    owners, away_um = territories.at(pixels)
    near = (owners > 0) & (away_um <= REACH_UM)
    pixels, owners = pixels[near], owners[near]
    values = stain.smooth.ravel()[pixels]
    brightest = np.zeros(count + 1, np.float32)
    np.maximum.at(brightest, owners, values)
    has_body = (level > stain.present) | ((level > DIM * stain.present) & (level > LOCAL_EDGE * brightest))
    reached = values > np.where(has_body, height * level, np.inf).astype(np.float32)[owners]
    return pixels[reached], owners[reached]


def _levels(
    nuclei: Labels, count: int, stain: Stain, territories: Territories, pixel_size_um: float
) -> NDArray[np.float64]:
    """Return the mean of a stain over each nucleus and its collar, by label."""
    collar = cv2.dilate((nuclei > 0).view(np.uint8), disc(round(COLLAR_UM / pixel_size_um)))
    pixels = np.flatnonzero(collar.view(np.bool_))
    return _mean_by_label(stain.smooth.ravel()[pixels], territories.at(pixels)[0], count)


def _mean_by_label(values: NDArray[np.float32] | Mask, labels: Labels, count: int) -> NDArray[np.float64]:
    sums = np.bincount(labels, weights=values, minlength=count + 1)
    return sums / np.maximum(np.bincount(labels, minlength=count + 1), 1)


def _joined_to_nucleus(bodies: Labels, is_nucleus: Mask, inside: NDArray[np.intp]) -> Labels:
    """Drop the pieces of bodies that do not hang together with their nucleus; fill what they enclose."""
    pixels = np.flatnonzero(bodies > 0)
    # A gap where two bodies meet keeps the pieces of one body from joining through the other.
    apart = set_apart(bodies, pixels)
    # The nuclei themselves, gaps or not, stay whole and in the middle of what is kept.
    nucleus = is_nucleus.view(np.uint8)
    opened = cv2.morphologyEx(apart, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))) | nucleus
    count, pieces = cv2.connectedComponents(opened, connectivity=4)
    holds_nucleus = np.zeros(count, np.uint8)
    holds_nucleus[pieces.ravel()[inside]] = 1
    holds_nucleus[0] = 0
    kept = np.zeros_like(opened)
    kept.ravel()[pixels] = holds_nucleus[pieces.ravel()[pixels]]
    dropped = cv2.dilate(kept, _SQUARE).ravel()[pixels] == 0
    bodies.ravel()[pixels[dropped]] = 0
    return _without_holes(bodies)


def _without_holes(bodies: Labels) -> Labels:
    """Give each hole in a body to that body: a faint middle within a bright ring belongs to the cell."""
    outlines, nesting = cv2.findContours((bodies > 0).view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    is_hole = np.array([], np.intp) if nesting is None else np.flatnonzero(nesting[0, :, 3] >= 0)
    for rim in (outlines[hole] for hole in is_hole):
        owners = np.unique(bodies[rim[:, 0, 1], rim[:, 0, 0]])
        if len(owners) == 1:
            left, top, width, height = cv2.boundingRect(rim)
            inside = np.zeros((height, width), np.uint8)
            cv2.drawContours(inside, [rim], 0, 1, cv2.FILLED, offset=(-left, -top))
            window = bodies[top : top + height, left : left + width]
            window[inside.view(np.bool_) & (window == 0)] = owners[0]
    return bodies


def _add_without_nucleus(bodies: Labels, count: int, ck: Stain, pixel_size_um: float) -> Labels:
    """Add what is cytokeratin-positive, as large as a small cell, and clear of every body."""
    taken = cv2.dilate((bodies > 0).view(np.uint8), disc(round(COLLAR_UM / pixel_size_um)))
    free = np.zeros(bodies.shape, np.uint8)
    free.ravel()[ck.pixels] = taken.ravel()[ck.pixels] == 0
    # Nothing narrower than a small cell is left: specks, chains of specks, fibres.
    free = cv2.morphologyEx(free, cv2.MORPH_OPEN, disc(round((MIN_BARE_DIAMETER_UM / pixel_size_um - 1) / 2)))
    pixels = np.flatnonzero(free.view(np.bool_))
    if len(pixels) == 0:
        return bodies
    regions, numbered = cv2.connectedComponents(free, connectivity=4)
    owners = numbered.ravel()[pixels]
    min_area = np.pi * (MIN_BARE_DIAMETER_UM / 2 / pixel_size_um) ** 2
    large = np.flatnonzero(np.bincount(owners, minlength=regions) >= min_area)
    renumber = np.zeros(regions, np.int32)
    renumber[large] = count + 1 + np.arange(len(large))
    bodies.ravel()[pixels] = renumber[owners]
    return bodies


_SQUARE = np.ones((3, 3), np.uint8)
