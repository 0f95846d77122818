"""Regions of the nuclear stain that are one nucleus beyond doubt, told for a whole frame at once.

Most regions of a frame are one nucleus each: one convex piece at every height. What is decided here for all of them
in a few passes over their pixels need not be looked at one by one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from cher2.cells.grouped import sorted_within
from cher2.cells.mosaic import Mosaic, side_by_side
from cher2.cells.parts import Labels, Mask, Outline, Part, Signal, solidity_of_outline

CONVEX = 0.95
"""Solidity of a region that is one nucleus; a region nearer to 1 has no neck."""

OUTLINE, HIGH = 0.4, 0.75
"""Parts of its brightness at which a region that is one nucleus is one convex piece; the first is its outline."""


LIGHT_UM = 1.9
"""How far the blurred light of a bright nucleus reaches beyond its outline."""


@dataclass(frozen=True, eq=False)
class NuclearStain:
    """The nuclear stain of a frame, and what is known of its nuclei beforehand.

    Parameters
    ----------
    smooth, curvature : ndarray of float32, shape (Y, X)
        The smoothed channel and its Laplacian.
    lowest : float
        The intensity from which the stain is there.
    min_area : float
        Pixels of the smallest nucleus at half of its height.
    pixel_size_um : float
        Side of a pixel in micrometres.
    leukocytes : ndarray of bool, shape (Y, X), or None
        Where CD45 is and cytokeratin is not.
    """

    smooth: Signal
    curvature: Signal
    lowest: float
    min_area: float
    pixel_size_um: float
    leukocytes: Mask | None

    def on(self, mosaic: Mosaic) -> NuclearStain:
        """Return the stain of the parts of a mosaic, on its plane; of leukocytes nothing is known there."""
        return replace(self, smooth=mosaic.of(self.smooth), curvature=mosaic.of(self.curvature), leukocytes=None)


@dataclass(frozen=True, eq=False)
class Regions:
    """The connected regions of a frame.

    Parameters
    ----------
    labels : ndarray of int32, shape (Y, X)
        0 is outside; 1 to n are the regions, top to bottom.
    pixels : ndarray of int, shape (p,)
        Flat indices of the regions' pixels, in raster order.
    owner : ndarray of int32, shape (p,)
        The region of each of them.
    sizes : ndarray of int, shape (n + 1,)
        Pixels of each region; that of 0 is 0.
    """

    labels: Labels
    pixels: NDArray[np.intp]
    owner: Labels
    sizes: NDArray[np.intp]


def find_regions(mask: Mask) -> Regions:
    """Label the connected regions of a mask (Y, X); pixels are connected through their sides."""
    count, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=4)
    pixels = np.flatnonzero(mask)
    owner = labels.ravel()[pixels]
    return Regions(labels, pixels, owner, np.bincount(owner, minlength=count))


def regions_of(mosaic: Mosaic) -> Regions:
    """Return the parts of a mosaic as the regions of its plane."""
    return Regions(mosaic.labels, mosaic.pixels, mosaic.owner, np.bincount(mosaic.owner, minlength=len(mosaic.shift)))


def find_single_nuclei(regions: Regions, stain: NuclearStain, least: float) -> dict[int, Part]:
    """Return, by region, the nucleus of each region that is one convex piece at low and at high thresholds.

    Parameters
    ----------
    regions : Regions
        Where the stain is there.
    stain : NuclearStain
    least : float
        Pixels of the smallest region that is looked at.

    Returns
    -------
    dict of Part
        Regions that lie in part within leukocytes are not among them.
    """
    clear = (regions.sizes >= least) & ~_divided_by_leukocytes(regions, stain)
    chosen = clear[regions.owner]
    pixels, owner = regions.pixels[chosen], regions.owner[chosen]
    values = stain.smooth.ravel()[pixels]
    bright, typical = _brightness(values, owner, np.where(clear, regions.sizes, 0))
    low = _pieces_above(np.maximum(OUTLINE * typical, stain.lowest), regions, pixels, owner, stain)
    high = _pieces_above(HIGH * bright, regions, pixels, owner, stain)
    one_peak = Counter(region for region, _ in high)
    one_piece = Counter(region for region, _ in low)
    return {
        region: _part(outline)
        for region, outline in low
        if one_piece[region] == 1 == one_peak[region]
        and solidity_of_outline(outline) >= CONVEX
        and regions.sizes[region] < _most_lit(outline, stain)
    }


def find_dim_nuclei(epithelial: Mask, lowest: float, stain: NuclearStain) -> tuple[list[Part], NDArray[np.intp]]:
    """Return the nuclei that the frame's lowest threshold misses or cuts, each one convex piece by itself.

    Parameters
    ----------
    epithelial : ndarray of bool, shape (Y, X)
        Where to look: another stain tells that a cell is there.
    lowest : float
        The threshold that serves in place of the frame's.
    stain : NuclearStain

    Returns
    -------
    nuclei : list of Part
        Of regions so dim that the frame's threshold would not lie below their outline; top to bottom.
    pixels : ndarray of int
        Flat indices of the pixels of their regions.
    """
    # An outline encloses its area, half of its own pixels, and one (Pick's theorem).
    cells = [_part(outline) for outline in _outlines(epithelial, stain.min_area - 1)]
    lit = [Part(at.top, at.left, at.mask & at.of(epithelial) & (at.of(stain.smooth) > lowest)) for at in cells]
    mosaic = side_by_side(lit, epithelial.shape[1])
    within = None if stain.leukocytes is None else mosaic.of(stain.leukocytes)
    beside = replace(stain.on(mosaic), lowest=lowest, leukocytes=within)
    regions = find_regions(mosaic.labels > 0)
    brightest = np.zeros(len(regions.sizes), np.float32)
    np.maximum.at(brightest, regions.owner, beside.smooth.ravel()[regions.pixels])
    chosen = (brightest < stain.lowest / OUTLINE)[regions.owner]
    pixels, owner = regions.pixels[chosen], regions.owner[chosen]
    dim = Regions(regions.labels, pixels, owner, np.bincount(owner, minlength=len(regions.sizes)))
    found = find_single_nuclei(dim, beside, stain.min_area)
    cell = np.zeros(len(regions.sizes), np.intp)
    cell[regions.owner] = mosaic.owner
    nuclei = [mosaic.in_frame(int(cell[region]), nucleus) for region, nucleus in found.items()]
    nuclei.sort(key=lambda nucleus: (nucleus.top, nucleus.left))
    return nuclei, mosaic.source[np.isin(regions.owner, list(found))]


def _most_lit(outline: Outline, stain: NuclearStain) -> float:
    """Return how many pixels a nucleus and its blurred light cover at most; where more are lit, another is beside."""
    if stain.leukocytes is None:
        return float("inf")
    rim = LIGHT_UM / stain.pixel_size_um
    return float(cv2.contourArea(outline) + rim * len(outline) + np.pi * rim**2 + stain.min_area)


def _divided_by_leukocytes(regions: Regions, stain: NuclearStain) -> Mask:
    """Say which regions lie in part within leukocytes and in part outside."""
    if stain.leukocytes is None:
        return np.zeros(len(regions.sizes), np.bool_)
    within = np.bincount(regions.owner[stain.leukocytes.ravel()[regions.pixels]], minlength=len(regions.sizes))
    divided: Mask = np.minimum(within, regions.sizes - within) >= stain.min_area / 2
    return divided


def _brightness(values: Signal, owner: Labels, sizes: NDArray[np.intp]) -> tuple[Signal, Signal]:
    """Return the brightness of each region without its brightest tenth, and its median where it is bright."""
    ordered, place = sorted_within(values, owner), np.repeat(np.arange(len(sizes)), sizes)
    end, is_filled = np.cumsum(sizes), sizes > 0
    bright, typical = np.zeros((2, len(sizes)), np.float32)
    bright[is_filled] = ordered[(end - sizes + (0.9 * (sizes - 1)).astype(np.intp))[is_filled]]
    core = np.bincount(place[ordered > 0.5 * bright[place]], minlength=len(sizes))
    typical[is_filled] = ordered[(end - core // 2 - 1)[is_filled]]
    return bright, typical


def _pieces_above(
    level: Signal, regions: Regions, pixels: NDArray[np.intp], owner: Labels, stain: NuclearStain
) -> list[tuple[int, Outline]]:
    """Return the pieces of regions above a level of each region that are no specks: region and outline."""
    above = np.zeros(regions.labels.shape, np.uint8)
    above.ravel()[pixels] = stain.smooth.ravel()[pixels] > level[owner]
    outlines = _outlines(above.view(np.bool_), stain.min_area / 4)
    return [(int(regions.labels[outline[0, 0, 1], outline[0, 0, 0]]), outline) for outline in outlines]


def _outlines(mask: Mask, least: float) -> list[Outline]:
    """Return the outer outlines of the pieces of a mask that enclose at least so many pixels."""
    outlines, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return [one for one in outlines if cv2.contourArea(one) + len(one) / 2 >= least]


def _part(outline: Outline) -> Part:
    """Return what an outline encloses."""
    left, top, width, height = cv2.boundingRect(outline)
    mask = np.zeros((height, width), np.uint8)
    cv2.drawContours(mask, [outline], 0, 1, cv2.FILLED, offset=(-left, -top))
    return Part(top, left, mask.view(np.bool_))
