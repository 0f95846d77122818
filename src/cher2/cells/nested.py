"""Which of the nested regions above rising thresholds are nuclei.

Rising thresholds of an image give a tree of regions, each within the one below. A nucleus is a region with a strong
edge and a convex outline, so each region is worth the gradient that flows in through its outline, times its
solidity; the nuclei are those disjoint regions that are worth most together. No size and no single threshold is
asked for: dim nuclei beside bright ones and nuclei in the haze of a tissue are found at a level of their own.

The tree is that of Jones, "Connected filtering and segmentation using component trees", CVIU 75 (1999); the choice of
disjoint regions by dynamic programming follows Arteta et al., "Learning to detect cells using non-overlapping
extremal regions", MICCAI (2012), with a worth that is not learned. The flow through an outline is, after Gauss, the
sum of the Laplacian within: it is largest where the outline lies on the edge of Marr and Hildreth (1980).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from cher2.cells.parts import Labels, Mask, Outline, Signal, solidity_of_outline

STEP = 1.2
"""Ratio of one threshold to the one before."""

DEPTH = 1.3
"""Regions that part at a threshold count where their summits are this many times the threshold: less is texture."""

STEEPEST = 0.95
"""The outline is the widest through which at least this part of the largest flow passes."""


@dataclass(eq=False)
class _Region:
    """A region above a threshold: where it is numbered, its flow and outline, and what lies above it.

    Of the regions that lie within it one in another, without branching, `chain` has all, the highest first, and
    `branches` those into which the highest of them parts.
    """

    level: float
    step: int
    number: int
    flow: float
    outline: Outline
    parent: _Region | None
    summit: float = 0.0
    chain: list[_Region] = field(default_factory=list)
    branches: list[_Region] = field(default_factory=list)
    within: float = 0.0
    chosen: _Region | None = None

    def choose(self) -> None:
        """Find what its tree is worth, and the region of its chain that is worth more than what is best above it."""
        self.within = sum(branch.within for branch in self.branches)
        # Nothing is more solid than 1: outlines are looked at only as far down as the flow may still be enough.
        for region in sorted(self.chain, key=lambda region: -region.flow):
            if region.flow < self.within:
                break
            worth = region.flow * solidity_of_outline(region.outline)
            lower = self.chosen is None or region.level < self.chosen.level
            if worth > self.within or (worth == self.within and lower):
                self.within, self.chosen = worth, region


@dataclass(frozen=True, eq=False)
class _Tree:
    """The regions above each threshold, lower thresholds first; by threshold, the pixels above and their regions."""

    regions: list[_Region]
    pixels: list[NDArray[np.intp]]
    numbers: list[Labels]


def find_seeds(mask: Mask, smooth: Signal, curvature: Signal, lowest: float, min_area: float) -> Labels:
    """Label the nested regions that are worth most together.

    Parameters
    ----------
    mask : ndarray of bool, shape (Y, X)
        Where to look: one connected part of a frame, or several that do not touch each other.
    smooth, curvature : ndarray of float32, shape (Y, X)
        The smoothed signal and its Laplacian.
    lowest : float
        The first threshold, above 0.
    min_area : float
        Pixels that a region has at least.

    Returns
    -------
    ndarray of int32, shape (Y, X)
        1 to n for the regions, each at the threshold at which it is worth most; 0 elsewhere.
    """
    seeds = np.zeros(mask.shape, np.int32)
    tree = _tree(mask, smooth, curvature, lowest, min_area)
    chosen: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for number, region in enumerate(_chosen(tree.regions), 1):
        chosen[region.step].append((region.number, number))
    for step, regions in chosen.items():
        number_of = np.zeros(int(tree.numbers[step].max()) + 1, np.int32)
        for here, number in regions:
            number_of[here] = number
        # What is chosen is disjoint: nothing is written twice.
        seeds.ravel()[tree.pixels[step]] |= number_of[tree.numbers[step]]
    return seeds


def outlined(
    basins: Labels, seed_areas: NDArray[np.intp], smooth: Signal, curvature: Signal, largest_hole: float
) -> Labels:
    """Return what of each basin lies within its steepest outline, no smaller than its seed, its small holes filled.

    Edges that touch another basin carry no flow, so the free edges decide.

    Parameters
    ----------
    basins : ndarray of int32, shape (Y, X)
        1 to n; they do not touch each other here, wherever they do in the frame.
    seed_areas : ndarray of int, shape (n,)
        Pixels of their seeds.
    smooth, curvature : ndarray of float32, shape (Y, X)
        The smoothed signal and its Laplacian.
    largest_hole : float
        Pixels of the largest hole that is filled.

    Returns
    -------
    ndarray of int32, shape (Y, X)
        The largest piece within each outline, labelled as its basin; nothing in a basin without an edge.
    """
    pixels = np.flatnonzero(basins > 0)
    owner = basins.ravel()[pixels]
    values = smooth.ravel()[pixels]
    levels = _steepest(values, curvature.ravel()[pixels], owner, seed_areas)
    above = np.zeros(basins.shape, np.uint8)
    above.ravel()[pixels] = values >= levels[owner]
    return _without_small_holes(_largest_pieces(above, basins, pixels), largest_hole)


def _steepest(values: Signal, inflow: Signal, owner: Labels, seed_areas: NDArray[np.intp]) -> Signal:
    """Return the level of the steepest outline of each basin, by number; no value reaches it where there is none."""
    levels = np.full(len(seed_areas) + 1, np.inf, np.float32)
    by_basin = np.argsort(owner, kind="stable")
    ends = np.cumsum(np.bincount(owner, minlength=len(levels)))
    for number, seed_area in enumerate(seed_areas.tolist(), 1):
        own = by_basin[ends[number - 1] : ends[number]]
        falling = own[np.argsort(-values[own], kind="stable")]
        flow = np.cumsum(-inflow[falling], dtype=np.float64)[seed_area - 1 :]
        if flow.size and flow.max() > 0:
            reach = int(np.flatnonzero(flow >= STEEPEST * flow.max())[-1])
            levels[number] = values[falling[seed_area - 1 + reach]]
    return levels


def _largest_pieces(above: NDArray[np.uint8], basins: Labels, pixels: NDArray[np.intp]) -> Labels:
    """Return the largest piece of a mask in each basin, labelled as the basin."""
    count, numbered = cv2.connectedComponents(above, connectivity=4)
    pieces = numbered.ravel()[pixels]
    sizes = np.bincount(pieces, minlength=count)
    owner = np.zeros(count, np.int32)
    owner[pieces] = basins.ravel()[pixels]
    order = np.lexsort((-sizes[1:], owner[1:])) + 1
    is_largest = np.diff(owner[order], prepend=0) > 0
    label = np.zeros(count, np.int32)
    label[order[is_largest]] = owner[order[is_largest]]
    labels: Labels = label[numbered]
    return labels


def _without_small_holes(labels: Labels, largest: float) -> Labels:
    """Give the holes that have at most so many pixels to the object around them; objects do not touch."""
    count, numbered = cv2.connectedComponents((labels == 0).view(np.uint8), connectivity=4)
    if count > 2:
        inside = np.flatnonzero((labels == 0) & (numbered != numbered[0, 0]))
        holes, first = np.unique(numbered.ravel()[inside], return_index=True)
        around = np.zeros(count, np.int32)
        # What is left of a hole's first pixel is the object.
        around[holes] = labels.ravel()[inside[first] - 1]
        around[np.bincount(numbered.ravel()) > largest] = 0
        around[0] = 0
        labels |= around[numbered]
    return labels


def _tree(mask: Mask, smooth: Signal, curvature: Signal, lowest: float, min_area: float) -> _Tree:
    """Return the regions above each threshold, lower thresholds first."""
    pixels = np.flatnonzero(mask)
    values, inflow = smooth.ravel()[pixels], curvature.ravel()[pixels]
    tree, level = _Tree([], [], []), lowest
    below: dict[int, _Region] = {}
    numbered_below = np.zeros(mask.shape, np.int32)
    while True:
        rising = values > level
        pixels, values, inflow = pixels[rising], values[rising], inflow[rising]
        above = np.zeros(mask.shape, np.uint8)
        above.ravel()[pixels] = 1
        _, numbered = cv2.connectedComponents(above, connectivity=8)
        numbers = numbered.ravel()[pixels]
        areas, flows = np.bincount(numbers), -np.bincount(numbers, weights=inflow)
        here: dict[int, _Region] = {}
        for outline in _outer_outlines(above):
            column, row = outline[0, 0].tolist()
            number = int(numbered[row, column])
            if areas[number] >= min_area:
                parent = below.get(int(numbered_below[row, column]))
                flow = max(0.0, float(flows[number]))
                here[number] = _Region(level, len(tree.pixels), number, flow, outline, parent)
        if not here:
            return tree
        tree.regions.extend(here.values())
        tree.pixels.append(pixels)
        tree.numbers.append(numbers)
        below, numbered_below = here, numbered
        level *= STEP


def _outer_outlines(above: NDArray[np.uint8]) -> list[Outline]:
    """Return the outer outline of each connected piece, also of one in the hole of another."""
    outlines, nesting = cv2.findContours(above, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if nesting is None:
        return []
    return [outline for outline, around in zip(outlines, nesting[0, :, 3].tolist(), strict=True) if around < 0]


def _chosen(regions: list[_Region]) -> list[_Region]:
    """Return the disjoint regions that are worth most together: each is taken, or what is best within it."""
    inner: dict[int, list[_Region]] = {id(region): [] for region in regions}
    for region in reversed(regions):
        within = inner[id(region)]
        region.summit = max((child.summit for child in within), default=region.level)
        if len(within) > 1:
            within = [child for child in within if child.summit >= DEPTH * region.level]
        if len(within) == 1:
            region.chain, region.branches = within[0].chain, within[0].branches
        else:
            region.branches = within
            for branch in within:
                branch.choose()
        region.chain.append(region)
        if region.parent is not None:
            inner[id(region.parent)].append(region)
    chosen, open_ = [], [region for region in regions if region.parent is None]
    for root in open_:
        root.choose()
    while open_:
        region = open_.pop()
        if region.chosen is None:
            open_ += region.branches
        elif region.within > 0:
            chosen.append(region.chosen)
    return chosen
