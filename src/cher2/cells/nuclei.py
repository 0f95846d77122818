"""Nuclei from the nuclear stain: bright or dim, single or touching, lobed or round.

No one threshold fits a frame, so each region above the noise is looked at by itself. A region that is one convex
piece at every height is a nucleus. In any other, the nested regions above rising thresholds are compared
(:mod:`~cher2.cells.nested`), and each nucleus has its outline where its own edge is steepest. What is then still
several nuclei side by side, without a dark line between them, is divided at its necks
(:mod:`~cher2.cells.necks`). What has no edge as the others have is haze.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from cher2.cells.mosaic import Mosaic, side_by_side
from cher2.cells.necks import divided_at_necks, typical_size
from cher2.cells.nested import DEPTH, find_seeds, outlined
from cher2.cells.parts import Labels, Mask, Part, Signal, disc, filled, pieces, solidity
from cher2.cells.peaks import rise_to_one_peak
from cher2.cells.single_nuclei import (
    CONVEX,
    NuclearStain,
    Regions,
    find_dim_nuclei,
    find_regions,
    find_single_nuclei,
    regions_of,
)
from cher2.cells.smoothing import ABOVE_NOISE, smoothed

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

SHARP = 0.4
"""Least gradient at a free rim per brightness, over the frame's median: haze and nuclei far from focus have less."""


Found = tuple[Part, bool]
"""A nucleus, and whether it is convex: then it is one, and its holes are filled."""


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
    dapi = smoothed(signal, noise, pixel_size_um)
    stain = NuclearStain(
        smooth=dapi.plane,
        curvature=cv2.Laplacian(dapi.plane, cv2.CV_32F, ksize=3),
        lowest=max(ABOVE_NOISE * dapi.noise, EDGE_FRACTION * dapi.half_height),
        min_area=np.pi * (MIN_DIAMETER_UM / 2 / pixel_size_um) ** 2,
        pixel_size_um=pixel_size_um,
        leukocytes=leukocytes,
    )
    stained = dapi.plane > stain.lowest
    dim: list[Part] = []
    if epithelial is not None:
        dim_lowest = max(ABOVE_NOISE * dapi.noise, DIM_FRACTION * dapi.half_height)
        dim, dim_pixels = find_dim_nuclei(epithelial, dim_lowest, stain)
        stained.ravel()[dim_pixels] = False
    found = [(nucleus, True) for nucleus in dim] + _nuclei_of_regions(stained, stain)
    typical = typical_size([nucleus for nucleus, convex in found if convex], stain)
    nuclei: list[Part] = []
    for nucleus, convex in found:
        nuclei += [nucleus] if convex else divided_at_necks(nucleus, typical, stain)
    return _sharp(_painted(nuclei, stain), dapi.plane)


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


def _nuclei_of_regions(stained: Mask, stain: NuclearStain) -> list[Found]:
    """Return the nuclei of all regions, in the order of the regions."""
    regions = find_regions(stained)
    single = find_single_nuclei(regions, stain, stain.min_area)
    one_peaked = rise_to_one_peak(stain.smooth, regions.labels, len(regions.sizes) - 1, stain.lowest, DEPTH)
    large = np.flatnonzero(regions.sizes >= stain.min_area)
    sides = [
        (region, side)
        for region, whole in _parts_of(regions, [region for region in large.tolist() if region not in single])
        for side in _by_leukocytes(whole, stain)
    ]
    within = _nuclei_of_sides([side for _, side in sides], one_peaked[[region for region, _ in sides]], stain)
    rests = [
        (number, rest)
        for number, ((_, side), found) in enumerate(zip(sides, within, strict=True))
        for rest in _beside(side, [nucleus for nucleus, _ in found], stain)
    ]
    beside = _nuclei_of_sides([rest for _, rest in rests], np.zeros(len(rests), np.bool_), stain)
    for (number, _), found in zip(rests, beside, strict=True):
        within[number] += found
    nuclei: dict[int, list[Found]] = {region: [] for region in large.tolist()}
    for region, nucleus in single.items():
        nuclei[region].append((nucleus, True))
    for (region, _), found in zip(sides, within, strict=True):
        nuclei[region] += found
    return [nucleus for found in nuclei.values() for nucleus in found]


def _parts_of(regions: Regions, chosen: list[int]) -> Iterator[tuple[int, Part]]:
    """Yield some regions of a frame, each in its own window."""
    is_chosen = np.zeros(len(regions.sizes), np.bool_)
    is_chosen[chosen] = True
    mine = is_chosen[regions.owner]
    # Region by region: whole numbers sort fastest, the region in front.
    keys = (regions.owner[mine].astype(np.int64) << 32) | regions.pixels[mine]
    keys.sort()
    rows, columns = np.divmod(keys.astype(np.int32), np.int32(regions.labels.shape[1]))
    first = np.cumsum(regions.sizes[chosen]) - regions.sizes[chosen]
    edges = [edge.reduceat(at, first).tolist() for at in (rows, columns) for edge in (np.minimum, np.maximum)]
    for region, top, bottom, left, right in zip(chosen, *edges, strict=True):
        window = regions.labels[top : bottom + 1, left : right + 1]
        yield region, Part(top, left, window == region)


def _nuclei_of_sides(sides: list[Part], one_peaked: Mask, stain: NuclearStain) -> list[list[Found]]:
    """Return the nuclei of each of some parts of regions: one convex piece, or those of its nested regions."""
    columns = stain.smooth.shape[1]
    mosaic = side_by_side(sides, columns)
    single = find_single_nuclei(regions_of(mosaic), stain.on(mosaic), 1.0)
    nuclei: list[list[Found]] = [[] for _ in sides]
    for number, nucleus in single.items():
        nuclei[number - 1].append((mosaic.in_frame(number, nucleus), True))
    left = [number for number in range(len(sides)) if number + 1 not in single]
    mosaic = side_by_side([sides[number] for number in left], columns)
    for number, nucleus in _nested(mosaic, one_peaked[left], stain):
        convex = solidity(nucleus.mask) >= CONVEX
        nuclei[left[number - 1]].append((filled(nucleus, np.inf) if convex else nucleus, convex))
    return nuclei


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


def _nested(mosaic: Mosaic, one_peaked: Mask, stain: NuclearStain) -> list[tuple[int, Part]]:
    """Return the nuclei of parts by the choice among their nested regions: the number of the part, and the nucleus."""
    least = stain.min_area / 2
    basins, seed_areas = _basins(mosaic, one_peaked, stain.on(mosaic), least)
    parts = mosaic.parts(basins)
    apart = side_by_side([basin for _, basin in parts], stain.smooth.shape[1])
    beside = stain.on(apart)
    # A large hole is a gap between nuclei; only a small one is texture.
    nuclei = outlined(apart.labels, seed_areas, beside.smooth, beside.curvature, least)
    is_large = np.bincount(nuclei.ravel(), minlength=len(parts) + 1) >= least
    return [(parts[basin - 1][0], nucleus) for basin, nucleus in apart.parts(nuclei) if is_large[basin]]


def _basins(mosaic: Mosaic, one_peaked: Mask, beside: NuclearStain, least: float) -> tuple[Labels, NDArray[np.intp]]:
    """Divide parts among their seeds: a plane of the mosaic, labelled 1 to n, and the area of each seed."""
    from skimage.segmentation import watershed

    several = np.concatenate([[False], ~one_peaked])
    seeds = find_seeds(several[mosaic.labels], beside.smooth, beside.curvature, beside.lowest, least)
    inside = np.flatnonzero(seeds > 0)
    areas = np.bincount(seeds.ravel()[inside], minlength=1)[1:]
    owner = np.zeros(len(areas) + 1, np.intp)
    owner[seeds.ravel()[inside]] = mosaic.labels.ravel()[inside]
    count = np.bincount(owner[1:], minlength=len(several))
    # Where all nested regions lie within each other there is nothing to choose, and with one seed nothing to divide.
    whole = np.zeros(len(several), np.int32)
    alone = np.flatnonzero(count[owner[1:]] == 1)
    whole[owner[1 + alone]] = 1 + alone
    whole[1:][one_peaked] = len(areas) + 1 + np.arange(np.count_nonzero(one_peaked))
    basins = whole[mosaic.labels]
    divided = count > 1
    if divided.any():
        mask = divided[mosaic.labels]
        basins |= watershed(-beside.smooth, seeds * mask, mask=mask)
    return basins, np.concatenate([areas, np.full(np.count_nonzero(one_peaked), int(least))])


def _by_leukocytes(region: Part, stain: NuclearStain) -> list[Part]:
    """Divide a region into what lies within leukocytes and what does not."""
    if stain.leukocytes is None:
        return [region]
    within = region.mask & region.of(stain.leukocytes)
    area = np.count_nonzero(within)
    # The outline, which costs more, is looked at last.
    if area == 0 or area == np.count_nonzero(region.mask) or solidity(region.mask) >= CONVEX:
        return [region]
    sides = (within, region.mask & ~within)
    apart = [pieces(Part(region.top, region.left, side), stain.min_area / 2) for side in sides]
    return [piece for side in apart for piece in side] or [region]


def _painted(nuclei: list[Part], stain: NuclearStain) -> NDArray[np.int32]:
    """Label those nuclei that are no fragments, the first ones on top."""
    labels = np.zeros(stain.smooth.shape, np.int32)
    areas = [np.count_nonzero(nucleus.mask) for nucleus in nuclei]
    least = max(SPREAD * stain.min_area, FRAGMENT * float(np.median(areas))) if areas else 0.0
    large = [nucleus for nucleus, area in zip(nuclei, areas, strict=True) if area >= least]
    mosaic = side_by_side(large, stain.smooth.shape[1])
    pixels, owner = mosaic.source, mosaic.owner
    while True:
        labels.ravel()[pixels] = owner
        beaten = labels.ravel()[pixels] != owner
        np.minimum.at(labels.ravel(), pixels[beaten], owner[beaten])
        free = np.bincount(owner[labels.ravel()[pixels] == owner], minlength=len(large) + 1)
        hidden = np.flatnonzero((free > 0) & (free < stain.min_area / 2))
        if len(hidden) == 0:
            return _only(free > 0, labels) if len(large) else labels
        # The first that too little is left of goes, and what it took is free again for those below.
        labels.ravel()[pixels] = 0
        pixels, owner = pixels[owner != hidden[0]], owner[owner != hidden[0]]


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
