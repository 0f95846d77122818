"""Nuclei from the nuclear stain: bright or dim, single or touching, lobed or round.

No one threshold fits a frame, so each region above the noise is looked at by itself. A region that is one convex
piece at every height is a nucleus. In any other, the nested regions above rising thresholds are compared
(:mod:`~cher2.cells.nested`), and each nucleus has its outline where its own edge is steepest. What is then still
several nuclei side by side, without a dark line between them, is divided at its necks, where that makes pieces of
about the size of the frame's other nuclei. What has no edge as the others have is haze.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from skimage.segmentation import watershed

from cher2.cells.grouped import quantile
from cher2.cells.nested import DEPTH, find_seeds, outlined
from cher2.cells.parts import (
    Labels,
    Mask,
    Part,
    Rise,
    Signal,
    contact,
    disc,
    distance_to_edge,
    fall_apart,
    filled,
    pieces,
    solidity,
    union,
    width,
)
from cher2.cells.peaks import rise_to_one_peak
from cher2.cells.single_nuclei import (
    CONVEX,
    NuclearStain,
    find_dim_nuclei,
    find_regions,
    find_single_nuclei,
    single_nucleus,
)
from cher2.cells.smoothing import ABOVE_NOISE, SMOOTHING_UM, smoothed

MIN_DIAMETER_UM = 3.5
"""At half height; what is smaller is a speck or a fragment."""

RIM_UM = 1.3
"""How far a nucleus's blurred light reaches beyond its outline before a dimmer neighbour can be told from it."""

SPREAD = 1.3
"""Area of the smallest nucleus within its outline over that at half height: a speck is spread as much by blur."""

FRAGMENT = 0.15
"""A nucleus has at least this part of the area of the frame's median nucleus."""

COARSE_UM = 0.9
"""Pixels larger than this are halved before nuclei are looked for."""

EDGE_FRACTION = 0.25
"""Part of the frame's typical half-height that still counts: dim nuclei beside bright ones."""

DIM_FRACTION = 0.1
"""The same where cytokeratin tells that a cell is there."""

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

SHARP = 0.4
"""Least gradient at a free rim per brightness, over the frame's median: haze and nuclei far from focus have less."""


def find_nuclei(
    signal: Signal,
    noise: float,
    pixel_size_um: float,
    leukocytes: Mask | None = None,
    epithelial: Mask | None = None,
) -> NDArray[np.int32]:
    """Label the nuclei of a stain.

    Parameters
    ----------
    signal : ndarray of float32, shape (Y, X)
        Nuclear stain, background subtracted.
    noise : float
        Standard deviation of a background pixel.
    pixel_size_um : float
        Side of a pixel in micrometres.
    leukocytes : ndarray of bool, shape (Y, X), optional
        Where CD45 is and cytokeratin is not: a nucleus lies within it or outside, so that a dim nucleus of a
        CTC is not taken for the edge of the bright leukocyte that leans on it.
    epithelial : ndarray of bool, shape (Y, X), optional
        Where cytokeratin is: a nucleus there may be dimmer than any other of the frame.

    Returns
    -------
    ndarray of int32, shape (Y, X)
        0 is background, 1 to n are the nuclei in the order of their regions, top to bottom; dim ones first.
    """
    if pixel_size_um > COARSE_UM:
        return _found_finer(signal, noise, pixel_size_um, leukocytes, epithelial)
    smooth, smooth_noise, half_height = smoothed(signal, noise, pixel_size_um)
    stain = NuclearStain(
        smooth=smooth,
        curvature=cv2.Laplacian(smooth, cv2.CV_32F, ksize=3),
        lowest=max(ABOVE_NOISE * smooth_noise, EDGE_FRACTION * half_height),
        min_area=np.pi * (MIN_DIAMETER_UM / 2 / pixel_size_um) ** 2,
        pixel_size_um=pixel_size_um,
        leukocytes=leukocytes,
    )
    stained = smooth > stain.lowest
    dim: list[Part] = []
    if epithelial is not None:
        dim_lowest = max(ABOVE_NOISE * smooth_noise, DIM_FRACTION * half_height)
        dim, dim_pixels = find_dim_nuclei(epithelial & (smooth > dim_lowest), dim_lowest, stain)
        stained.ravel()[dim_pixels] = False
    whole = dim + _nuclei_of_regions(stained, stain)
    is_convex = [solidity(nucleus.mask) >= CONVEX for nucleus in whole]
    typical = _typical_size(
        [nucleus for nucleus, convex in zip(whole, is_convex, strict=True) if convex], pixel_size_um
    )
    found = []
    for nucleus, convex in zip(whole, is_convex, strict=True):
        found += [filled(nucleus, np.inf)] if convex else _divided(nucleus, typical, stain)
    return _sharp(_painted(found, stain), smooth)


def _found_finer(
    signal: Signal, noise: float, pixel_size_um: float, leukocytes: Mask | None, epithelial: Mask | None
) -> Labels:
    """Find the nuclei of a frame of coarse pixels between its pixels: a gap may be narrower than one."""
    finer = cv2.resize(signal, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    within, ck = (
        None if mask is None else np.repeat(np.repeat(mask, 2, axis=0), 2, axis=1) for mask in (leukocytes, epithelial)
    )
    # Neighbours among the finer pixels share their noise, so that smoothing takes less of it away.
    labels = np.ascontiguousarray(find_nuclei(finer, 2 * noise, pixel_size_um / 2, within, ck)[::2, ::2])
    return _only(np.bincount(labels.ravel()) > 0, labels)


def _only(kept: NDArray[np.bool_], labels: Labels) -> Labels:
    """Change a label image (Y, X) into one of those labels that are kept (by label, 0 never), without gaps."""
    kept[0] = False
    inside = np.flatnonzero(labels > 0)
    labels.ravel()[inside] = (np.cumsum(kept) * kept).astype(np.int32)[labels.ravel()[inside]]
    return labels


def _nuclei_of_regions(stained: Mask, stain: NuclearStain) -> list[Part]:
    """Return the nuclei of all regions, in the order of the regions."""
    regions = find_regions(stained)
    single = find_single_nuclei(regions, stain)
    one_peaked = rise_to_one_peak(stain.smooth, regions.labels, len(regions.sizes) - 1, stain.lowest, DEPTH)
    boxes = find_objects(regions.labels)
    nuclei: list[Part] = []
    for region in np.flatnonzero(regions.sizes >= stain.min_area).tolist():
        if region in single:
            nuclei.append(single[region])
        else:
            rows, columns = boxes[region - 1]
            whole = Part(rows.start, columns.start, regions.labels[rows, columns] == region)
            nuclei += _nuclei_of_region(whole, bool(one_peaked[region]), stain)
    return nuclei


def _nuclei_of_region(region: Part, one_peaked: bool, stain: NuclearStain) -> list[Part]:
    nuclei: list[Part] = []
    for side in _by_leukocytes(region, stain):
        found = _nuclei_of_side(side, one_peaked, stain)
        nuclei += found
        for rest in _beside(side, found, stain):
            nuclei += _nuclei_of_side(rest, False, stain)
    return nuclei


def _nuclei_of_side(side: Part, one_peaked: bool, stain: NuclearStain) -> list[Part]:
    single = single_nucleus(side, stain)
    return [single] if single is not None else _nested(side, one_peaked, stain)


def _beside(side: Part, found: list[Part], stain: NuclearStain) -> Iterator[Part]:
    """Yield what is left beside bright nuclei and their blurred rims and is wide enough for a dim one.

    Only where other stains will tell whether a cell is there: by DAPI alone, haze beside nuclei looks the same.
    """
    if stain.leukocytes is None:
        return
    taken = np.zeros(side.mask.shape, np.uint8)
    for nucleus in found:
        rows, columns = nucleus.mask.shape
        top, left = nucleus.top - side.top, nucleus.left - side.left
        taken[top : top + rows, left : left + columns] |= nucleus.mask
    left_over = side.mask & (cv2.dilate(taken, disc(round(RIM_UM / stain.pixel_size_um))) == 0)
    if np.count_nonzero(left_over) < stain.min_area:
        return
    narrow = disc(round(MIN_DIAMETER_UM / 2 / stain.pixel_size_um))
    wide = cv2.morphologyEx(left_over.view(np.uint8), cv2.MORPH_OPEN, narrow)
    yield from pieces(Part(side.top, side.left, wide.view(np.bool_)), stain.min_area)


def _nested(region: Part, one_peaked: bool, stain: NuclearStain) -> list[Part]:
    """Return the nuclei of a region by the choice among its nested regions, each within its steepest outline."""
    smooth = region.of(stain.smooth)
    if one_peaked:
        # Its nested regions lie all within each other: there is nothing to choose.
        basins, areas = region.mask.astype(np.int32), np.array([0, stain.min_area / 2])
    else:
        seeds = find_seeds(region.mask, smooth, region.of(stain.curvature), stain.lowest, stain.min_area / 2)
        areas = np.bincount(seeds.ravel())
        basins = watershed(-smooth, seeds, mask=region.mask) if len(areas) > 2 else region.mask * seeds.max()
    nuclei = []
    for number, (rows, columns) in enumerate(find_objects(basins), 1):
        basin = Part(region.top + rows.start, region.left + columns.start, basins[rows, columns] == number)
        # A large hole is a gap between nuclei; only a small one is texture.
        nucleus = outlined(basin, int(areas[number]), stain.smooth, stain.curvature, stain.min_area / 2)
        if nucleus is not None and np.count_nonzero(nucleus.mask) >= stain.min_area / 2:
            nuclei.append(nucleus)
    return nuclei


def _by_leukocytes(region: Part, stain: NuclearStain) -> list[Part]:
    """Divide a region into what lies within leukocytes and what does not."""
    if stain.leukocytes is None or solidity(region.mask) >= CONVEX:
        return [region]
    within = region.mask & region.of(stain.leukocytes)
    if not within.any() or np.array_equal(within, region.mask):
        return [region]
    sides = (within, region.mask & ~within)
    apart = [pieces(Part(region.top, region.left, side), stain.min_area / 2) for side in sides]
    return [piece for side in apart for piece in side] or [region]


def _typical_size(convex: list[Part], pixel_size_um: float) -> tuple[float, float]:
    """Return the median area and width, in pixels, of the convex nuclei: those of the frame, not of a magnification."""
    if len(convex) < ENOUGH:
        diameter = TYPICAL_UM / pixel_size_um
        return np.pi / 4 * diameter**2, diameter
    areas, widths = zip(*((np.count_nonzero(nucleus.mask), width(nucleus.mask)) for nucleus in convex), strict=True)
    return float(np.median(areas)), float(np.median(widths))


def _divided(part: Part, typical: tuple[float, float], stain: NuclearStain) -> list[Part]:
    """Divide a part at its necks, where pieces come out that are large and more convex than they are together."""
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


def _painted(nuclei: list[Part], stain: NuclearStain) -> NDArray[np.int32]:
    """Label those nuclei that are no fragments, the first ones on top."""
    labels = np.zeros(stain.smooth.shape, np.int32)
    areas = np.array([np.count_nonzero(nucleus.mask) for nucleus in nuclei])
    least = max(SPREAD * stain.min_area, FRAGMENT * float(np.median(areas))) if len(areas) else 0.0
    count = 0
    for nucleus, area in zip(nuclei, areas, strict=True):
        window = nucleus.of(labels)
        free = nucleus.mask & (window == 0)
        if area >= least and np.count_nonzero(free) >= stain.min_area / 2:
            count += 1
            window[free] = count
    return labels


def _sharp(labels: Labels, smooth: Signal) -> Labels:
    """Return the labels, without gaps, of those nuclei that have an edge as the others have."""
    inside = (labels > 0).view(np.uint8)
    rim = inside - cv2.erode(inside, np.ones((3, 3), np.uint8))
    rows, columns = np.divmod(np.flatnonzero(rim.view(np.bool_)), labels.shape[1])
    if len(rows) == 0:
        return labels
    down, right = (np.minimum(at + 1, side - 1) for at, side in zip((rows, columns), labels.shape, strict=True))
    up, left = np.maximum(rows - 1, 0), np.maximum(columns - 1, 0)
    slope = np.hypot(smooth[down, columns] - smooth[up, columns], smooth[rows, right] - smooth[rows, left])
    covered = np.flatnonzero(inside.view(np.bool_))
    whose = labels.ravel()[covered]
    areas = np.maximum(np.bincount(whose), 1)
    brightness = np.bincount(whose, weights=smooth.ravel()[covered]) / areas
    at_rim = labels[rows, columns]
    lengths = np.bincount(at_rim, minlength=len(areas))
    sharpness = np.bincount(at_rim, weights=slope, minlength=len(areas)) / np.maximum(lengths * brightness, 1e-30)
    kept = (lengths == 0) | (sharpness >= SHARP * np.median(sharpness[lengths > 0]))
    return _only(kept, labels)
