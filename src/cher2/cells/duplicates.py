"""A cell that overlapping frames show twice, or four times at a corner, counts once.

The copy that is measured best is kept: not cut by its frame's border, and farthest from it. The others name it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.cells.frames import FrameFacts
from cher2.cells.overlaps import Overlap, find_overlaps, sides_um
from cher2.cells.twins import TWIN_UM, SampleObjects, sample_objects
from cher2.images.files import natural_key

Numbers = NDArray[np.intp]

UNKNOWN = "not sought: neither an overlap nor stage positions are known"
"""What :func:`how_sought` says of frames that may overlap unseen."""


def find_duplicates(objects: pd.DataFrame, frames: Sequence[FrameFacts], overlap_px: int) -> pd.Series[str]:
    """Find the objects of a sample that are in another frame too.

    Frames that overlap are found by :func:`cher2.cells.overlaps.find_overlaps`: from stage positions where every
    frame has one, else from the protocol's overlap and the cells. Within them, two objects are one cell where the
    centroid of one lies in the body of the other: each has one partner, the nearest pairs first. That holds for
    what a border cuts as well, whose centroid lies off.

    Parameters
    ----------
    objects : DataFrame
        All measured objects of one sample, of all kinds.
    frames : sequence of FrameFacts
        The sample's frames; objects of a frame that is not among them are nobody's duplicates.
    overlap_px : int
        The protocol's overlap of neighbouring frames; 0 where it is not known.

    Returns
    -------
    Series of str
        With the index of `objects`: image and object_id, with a space between, of the copy that is kept; empty for
        that copy, and for every object that is in one frame only.
    """
    if len(frames) < 2 or objects.empty:
        return pd.Series("", index=objects.index, dtype="str", name="duplicate_of")
    ordered = sorted(frames, key=lambda frame: natural_key(frame.image))
    found, sides = sample_objects(objects, ordered), sides_um(ordered)
    keeper = _keepers(found, sides, _same_cells(found, sides, find_overlaps(found, ordered, overlap_px)))
    image, number = objects["image"].to_numpy(object)[keeper], objects["object_id"].to_numpy()[keeper]
    names = ["" if kept == row else f"{image[row]} {number[row]}" for row, kept in enumerate(keeper.tolist())]
    return pd.Series(names, index=objects.index, dtype="str", name="duplicate_of")


def how_sought(frames: Sequence[FrameFacts], overlap_px: int) -> str:
    """Say in words how a sample's duplicates were sought; the report repeats it."""
    if len(frames) < 2:
        return "not sought: one frame"
    if all(frame.position_um is not None for frame in frames):
        return "by stage positions" + (f" and an overlap of {overlap_px} px" if overlap_px else "")
    return f"by an overlap of {overlap_px} px" if overlap_px else UNKNOWN


def _same_cells(
    objects: SampleObjects, sides: NDArray[np.float64], overlaps: Sequence[Overlap]
) -> list[tuple[int, int]]:
    """Return the rows of objects that are one cell, the nearest first."""
    pairs, distances = [np.empty((0, 2), np.intp)], [np.empty(0)]
    order = np.argsort(objects.frame, kind="stable")
    starts = np.searchsorted(objects.frame[order], np.arange(len(sides) + 1))
    for overlap in overlaps:
        offset = np.array(overlap.offset_um)
        one, other = (order[starts[f] : starts[f + 1]] for f in (overlap.first, overlap.second))
        rows, distance = _partners(objects, one, other, offset)
        pairs.append(rows)
        distances.append(distance)
    every = np.concatenate(pairs)
    nearest = np.argsort(np.concatenate(distances), kind="stable")
    return [(int(i), int(j)) for i, j in every[nearest]]


def _partners(
    objects: SampleObjects, one: Numbers, other: Numbers, offset: NDArray[np.float64]
) -> tuple[Numbers, NDArray[np.float64]]:
    """Return pairs of rows, one partner each, whose bodies lie one on the other's centroid; with their distances."""
    from scipy.spatial import cKDTree

    if len(one) == 0 or len(other) == 0:
        return np.empty((0, 2), np.intp), np.empty(0)
    reach = float(max(objects.radius[one].max(), objects.radius[other].max()))
    trees = cKDTree(objects.centre[one] - offset), cKDTree(objects.centre[other])
    near = trees[0].sparse_distance_matrix(trees[1], reach, output_type="ndarray")
    i, j = one[near["i"]], other[near["j"]]
    inside = near["v"] <= np.maximum(objects.radius[i], objects.radius[j])
    # Of two cells that lie on each other, each frame may have found another one.
    alike = np.abs(objects.looks[i] - objects.looks[j]).max(axis=1) < 2
    inside &= alike | (near["v"] <= TWIN_UM) | ~objects.whole[i] | ~objects.whole[j]
    i, j, distance = i[inside], j[inside], near["v"][inside]
    kept, taken = [], set[int]()
    for k in np.lexsort((j, i, distance)).tolist():
        # Rows of the two frames differ: one set holds both.
        if not taken & {int(i[k]), int(j[k])}:
            taken |= {int(i[k]), int(j[k])}
            kept.append(k)
    return np.column_stack([i[kept], j[kept]]), distance[kept]


def _keepers(objects: SampleObjects, sides: NDArray[np.float64], pairs: Sequence[tuple[int, int]]) -> Numbers:
    """Return the row of the kept copy of every object: its own, where it is kept.

    Pairs are joined to cells, the nearest first; never so that a cell were twice in one frame.
    """
    cell_of: dict[int, dict[int, int]] = {}
    for i, j in pairs:
        one = cell_of.setdefault(i, {int(objects.frame[i]): i})
        other = cell_of.setdefault(j, {int(objects.frame[j]): j})
        if one is other or not one.keys().isdisjoint(other):
            continue
        one |= other
        for row in other.values():
            cell_of[row] = one
    keeper = np.arange(len(objects.frame))
    side = sides[objects.frame]
    margin = np.minimum(objects.centre, side - objects.centre).min(axis=1)
    for copies in {id(cell): cell for cell in cell_of.values()}.values():
        rows = sorted(copies.values(), key=lambda row: (not objects.whole[row], -margin[row], row))
        keeper[rows] = rows[0]
    return keeper
