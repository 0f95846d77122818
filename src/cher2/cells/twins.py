"""Objects of two frames that may be the same cell, and how much they say for the frames' overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.cells.frames import FrameFacts
from cher2.protocol import ROLES

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

Values = NDArray[np.float64]
Numbers = NDArray[np.intp]

STAGE_ERROR_UM = 10.0
"""A frame lies at most this far, along each axis, from where it is expected."""

TWIN_UM = 2.5
"""Centroids of a cell in two frames lie at most this far apart, once the frames' offset is known."""

SIZE_TOLERANCE = 0.25
"""Twins differ at most so much in the logarithm of their diameter."""

STAIN_TOLERANCE = 0.35
"""The same for the intensity of each channel; at one corner of a frame the light may be a quarter weaker."""

FAINT = 10.0
"""Intensities are compared by ratio far above this multiple of their usual standard error, by difference below."""

EDGE_UM = 1.0
"""An object nearer to a frame's border than this may be cut there."""

USUAL_ERROR_UM = 4.0
"""A frame lies mostly within this of where it is expected."""

REFERENCE = 1000
"""Objects of a sample that others are compared with, for how rare their looks are."""

FOUND_TWICE = 0.85
"""Part of the objects that lie wholly in both of two overlapping frames that are twins; the rest is segmented
otherwise, or found only once."""


@dataclass(frozen=True, eq=False)
class SampleObjects:
    """The objects of a sample's frames; row k of every array is object k.

    Parameters
    ----------
    frame : ndarray of int, shape (N,)
        The number of its frame; -1 where that is not known.
    centre : ndarray, shape (N, 2)
        Centroid (y, x) in its frame, in micrometres.
    radius : ndarray, shape (N,)
        Of a circle of its area, in micrometres.
    whole : ndarray of bool, shape (N,)
        Not cut by its frame's border, and measured in every channel.
    looks : ndarray, shape (N, L)
        Size and stains, in units of what twins may differ.
    """

    frame: Numbers
    centre: Values
    radius: Values
    whole: NDArray[np.bool_]
    looks: Values

    def rows_of(self, frames: Numbers) -> Numbers:
        """Return the rows of the whole objects of some frames."""
        wanted = np.zeros(int(max(self.frame.max(initial=0), frames.max(initial=0))) + 2, bool)
        wanted[frames] = True  # The last place, which -1 means, is no frame's.
        return np.flatnonzero(wanted[self.frame] & self.whole)


def sample_objects(objects: pd.DataFrame, frames: Sequence[FrameFacts]) -> SampleObjects:
    """Take from a table of measured objects what tells a cell from another.

    Parameters
    ----------
    objects : DataFrame
        Measured objects.
    frames : sequence of FrameFacts
        Their frames, in any order.
    """
    numbers = {frame.image: number for number, frame in enumerate(frames)}
    frame = objects["image"].map(numbers).fillna(-1).to_numpy().astype(np.intp)
    side = np.array([f.pixel_size_um for f in frames] or [1.0])[frame]
    radius = objects["diameter_um"].to_numpy(float) / 2
    looks = _looks(objects)
    whole = ~objects["touches_border"].to_numpy(bool) & np.isfinite(looks).all(axis=1) & (frame >= 0)
    centre = (objects[["y_px", "x_px"]].to_numpy(float) + 0.5) * side[:, None]
    return SampleObjects(frame, centre, radius, whole, looks)


def _looks(objects: pd.DataFrame) -> Values:
    """Return size and stains on scales where twins differ by less than 1."""
    errors = objects["her2_se"].to_numpy(float)
    errors = errors[np.isfinite(errors) & (errors > 0)]
    faint = FAINT * float(np.median(errors)) if len(errors) else 1.0
    looks = [np.log(np.maximum(objects["diameter_um"].to_numpy(float), 1e-3)) / SIZE_TOLERANCE]
    for role in ROLES:
        values = objects[f"{role}_mean"].to_numpy(float)
        if np.isfinite(values).any():
            looks.append(np.arcsinh(values / faint) / STAIN_TOLERANCE)
    return np.column_stack(looks)


@dataclass(frozen=True, eq=False)
class Twins:
    """What the objects say of guessed overlaps; row k of every array is guess k.

    Parameters
    ----------
    count : ndarray of int, shape (K,)
        Pairs of twins at the best offset.
    drift : ndarray, shape (K, 2)
        That offset, less the guessed one, in micrometres; 0 without twins.
    evidence : ndarray, shape (K,)
        Logarithm of the likelihood ratio that the frames overlap.
    """

    count: Numbers
    drift: Values
    evidence: Values


def find_twins(objects: SampleObjects, sides: Values, first: Numbers, second: Numbers, offset: Values) -> Twins:
    """Look for objects that are in both frames of each guessed overlap.

    Parameters
    ----------
    objects : SampleObjects
    sides : ndarray, shape (F, 2)
        Height and width of each frame in micrometres.
    first, second : ndarray of int, shape (K,)
        The frames of each guess.
    offset : ndarray, shape (K, 2)
        Expected place of the second frame in the first, in micrometres.
    """
    count, there = np.zeros(len(first), np.intp), np.zeros(len(first), np.intp)
    drift, rarity = np.zeros((len(first), 2)), np.zeros(len(first))
    typical = _typical(objects.looks[objects.whole])
    for guesses in _groups(np.column_stack([offset, sides[first], sides[second]])):
        a, b, move = first[guesses], second[guesses], offset[guesses[0]]
        one, other = objects.rows_of(a), objects.rows_of(b)
        in_other = _count_inside(objects, one, sides[b[0]], move, len(sides))[a]
        in_one = _count_inside(objects, other, sides[a[0]], -move, len(sides))[b]
        there[guesses] = np.maximum(in_other, in_one)
        i, j = _alike_and_near(objects, one, other, move, sides[b[0]])
        guess = _guess_of(objects.frame[i], objects.frame[j], a, b, len(sides))
        i, j, guess = i[guess >= 0], j[guess >= 0], guess[guess >= 0]
        rows, of_pair = np.unique(i, return_inverse=True)
        rare = -np.log(_chance_alike(objects.looks[rows], typical))[of_pair]
        found = _best_drifts(guess, i, j, objects.centre[i] - objects.centre[j] - move, rare)
        at = guesses[found.guesses]
        count[at], drift[at], rarity[at] = found.twins, found.drifts, found.rarity
    crowd = np.bincount(objects.frame[objects.whole], minlength=len(sides)) / sides.prod(axis=1)
    return Twins(count, drift, _evidence(crowd[second], count, there, count * rarity))


def _groups(rows: Values) -> list[Numbers]:
    """Return the numbers of rows that are equal.

    Guesses of one offset between frames of one size are looked at together: all, where no stage position is known.
    """
    _, group = np.unique(rows, axis=0, return_inverse=True)
    order = np.argsort(group.ravel(), kind="stable")
    return np.split(order, np.cumsum(np.bincount(group.ravel()))[:-1])


def _count_inside(objects: SampleObjects, rows: Numbers, side: Values, shift: Values, n_frames: int) -> Numbers:
    """Count, for each frame, its objects that lie wholly in another, and would even if that lay a little off."""
    inside = rows[wholly_inside(objects, rows, side, shift, USUAL_ERROR_UM)]
    return np.bincount(objects.frame[inside], minlength=n_frames)


def wholly_inside(
    objects: SampleObjects, rows: Numbers, side: Values, shift: Values, room_um: float = EDGE_UM
) -> NDArray[np.bool_]:
    """Say which objects lie wholly in a frame whose first pixel is at a place of their own frame, in micrometres."""
    centre, room = objects.centre[rows] - shift, objects.radius[rows, None] + room_um
    return np.asarray(((centre > room) & (centre < side - room)).all(axis=1))


def _alike_and_near(
    objects: SampleObjects, one: Numbers, other: Numbers, move: Values, side: Values
) -> tuple[Numbers, Numbers]:
    """Return pairs of objects that look alike and lie near each other after a move, as rows."""
    from scipy.spatial import cKDTree

    place = objects.centre[one] - move
    reach = ((place > -STAGE_ERROR_UM) & (place < side + STAGE_ERROR_UM)).all(axis=1)
    one, place = one[reach], place[reach]
    if len(one) == 0 or len(other) == 0:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    # One unit is the tolerance of each, so that a cube of side 2 holds what is alike and near.
    trees = [
        cKDTree(np.column_stack([at / STAGE_ERROR_UM, objects.looks[rows]]))
        for at, rows in ((place, one), (objects.centre[other], other))
    ]
    near = trees[0].sparse_distance_matrix(trees[1], 1.0, p=np.inf, output_type="ndarray")
    return one[near["i"]], other[near["j"]]


def _guess_of(one: Numbers, other: Numbers, first: Numbers, second: Numbers, n_frames: int) -> Numbers:
    """Return the number of the guess that two frames belong to; -1 where there is none."""
    keys = first * n_frames + second
    order = np.argsort(keys, kind="stable")
    wanted = one * n_frames + other
    at = order[np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)]
    return np.where(keys[at] == wanted, at, -1)


@dataclass(frozen=True, eq=False)
class _Drifts:
    """For some guesses, the drift that most pairs of objects share, those pairs, and how rare such looks are."""

    guesses: Numbers
    twins: Numbers
    drifts: Values
    rarity: Values


def _best_drifts(guess: Numbers, i: Numbers, j: Numbers, drift: Values, rare: Values) -> _Drifts:
    """Return, for each guess that has pairs of objects, the drift that most of them share.

    Parameters
    ----------
    guess : ndarray of int, shape (P,)
        The guess of each pair.
    i, j : ndarray of int, shape (P,)
        Its objects; in the result, each counts once.
    drift : ndarray, shape (P, 2)
        How far it is from where it was expected.
    rare : ndarray, shape (P,)
        How rare its looks are; the result has the mean.
    """
    from scipy.spatial import cKDTree

    if len(guess) == 0:
        none = np.empty(0, np.intp)
        return _Drifts(none, none, np.empty((0, 2)), np.empty(0))
    # Guesses stand too far from each other along the first axis for their pairs to meet.
    apart = np.column_stack([guess * 10 * STAGE_ERROR_UM, drift])
    meeting = cKDTree(apart).query_pairs(TWIN_UM, output_type="ndarray")
    neighbours = np.bincount(meeting.ravel(), minlength=len(guess))
    order = np.lexsort((-neighbours, guess))
    guesses, start = np.unique(guess[order], return_index=True)
    best = np.zeros(int(guess.max()) + 1, np.intp)
    best[guesses] = order[start]
    shared = np.flatnonzero(np.hypot(*(drift - drift[best[guess]]).T) <= TWIN_UM)
    of, size = guess[shared], len(best)
    once = [np.bincount(np.unique(of * (x.max() + 1) + x[shared]) // (x.max() + 1), minlength=size) for x in (i, j)]
    values = np.column_stack([drift, rare])[shared]
    total = np.column_stack([np.bincount(of, column, size) for column in values.T])[guesses]
    mean = np.asarray(total / np.bincount(of, minlength=size)[guesses, None], np.float64)
    return _Drifts(guesses, np.minimum(*once)[guesses], mean[:, :2], mean[:, 2])


def _evidence(crowd: Values, count: Numbers, there: Numbers, rarity: Values) -> Values:
    """Return the logarithm of the likelihood ratio of overlap against chance, from twins found and expected.

    Each object that lies wholly in both frames has a twin with the probability FOUND_TWICE where they overlap; by
    chance, where an object lies at its place that looks like it. The best of all places that a frame may have
    within the stage's error has so many chances.

    Parameters
    ----------
    crowd : ndarray, shape (K,)
        Objects of the second frame in a square micrometre.
    count : ndarray of int, shape (K,)
        Twins.
    there : ndarray, shape (K,)
        Objects of one frame that lie wholly in both, of that which has more.
    rarity : ndarray, shape (K,)
        Negative logarithm of the chance that strangers look like those twins.
    """
    n = np.maximum(there, count)
    occupied = np.clip(np.pi * TWIN_UM**2 * crowd, 1e-9, FOUND_TWICE / 2)
    places = (2 * STAGE_ERROR_UM) ** 2 / (np.pi * TWIN_UM**2)
    found = count * np.log(FOUND_TWICE / occupied) + rarity - np.log(places) * (count > 0)
    return np.asarray(found + (n - count) * np.log(1 - FOUND_TWICE))


def _typical(looks: Values) -> cKDTree:
    """Return some objects of a sample, evenly out of all, by how they look."""
    from scipy.spatial import cKDTree

    return cKDTree(looks[:: max(1, len(looks) // REFERENCE)])


def _chance_alike(looks: Values, typical: cKDTree) -> Values:
    """Return how often another object of the sample looks like each of these."""
    alike = typical.query_ball_point(looks, 1.0, p=np.inf, return_length=True) if len(looks) else np.empty(0)
    # One is the object itself, or its twin.
    return np.asarray(np.clip(alike, 1, None) / max(typical.n, 1))
