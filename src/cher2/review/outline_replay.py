"""The outlines of a frame as readers corrected them: the machine's labels with every correction applied in order.

On the labels that a correction was drawn on, its objects are found by their numbers. On others (the image was
scored anew) they are found by their places, and drawn outlines are painted over what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from cher2.review.outline import Labels, Mask, Place, Window
from cher2.review.outline_log import Correction, in_force


@dataclass(frozen=True)
class LostCorrection:
    """A part of a correction that could not be applied.

    Parameters
    ----------
    correction_id, reader, corrected_at : str
        Which correction.
    place : Place
        The object that it was about, as it was then.
    reason : str
        Why, in words.
    """

    correction_id: str
    reader: str
    corrected_at: str
    place: Place
    reason: str


@dataclass(eq=False)
class Replay:
    """The state of a frame's outlines while corrections are applied.

    Parameters
    ----------
    labels : ndarray of int32, shape (Y, X)
        The outlines.
    base : str
        The fingerprint of the machine's labels.
    areas : dict of int
        Pixels of each object that is there.
    used : set of int
        Every number that an object ever had: none is given twice.
    rows : dict of int to (Correction, int)
        For each drawn object, the correction that holds its row and the number that it has there.
    heirs : dict of int
        For each object that is gone, the one that covers most of it now; 0 for none.
    lost : list of LostCorrection
    """

    labels: Labels
    base: str
    areas: dict[int, int]
    used: set[int]
    rows: dict[int, tuple[Correction, int]] = field(default_factory=dict)
    heirs: dict[int, int] = field(default_factory=dict)
    lost: list[LostCorrection] = field(default_factory=list)

    @property
    def next_number(self) -> int:
        """The number of the next new object."""
        return max(self.used, default=0) + 1

    def heir_of(self, number: int) -> int:
        """Return the object that stands where another was, through all corrections; 0 where there is none."""
        while number in self.heirs:
            number = self.heirs[number]
        return number

    def clear(self, number: int) -> None:
        """Take an object away."""
        self.labels[self.labels == number] = 0
        self.areas.pop(number, None)

    def paint(self, window: Window, mask: Mask, number: int) -> None:
        """Give the pixels of a mask in a window to an object, or with 0 to none."""
        inside = self.labels[window]
        taken = np.bincount(inside[mask])
        for other in np.flatnonzero(taken).tolist():
            if other:
                self.areas[other] -= int(taken[other])
        inside[mask] = number
        if number:
            self.areas[number] = self.areas.get(number, 0) + int(mask.sum())


def replay(machine: NDArray[np.integer], base: str, corrections: Sequence[Correction]) -> Replay:
    """Apply corrections to the machine's labels.

    Parameters
    ----------
    machine : ndarray of int, shape (Y, X)
        The machine's labels; they are left as they are.
    base : str
        Their fingerprint.
    corrections : sequence of Correction
        All of the image, in order.

    Returns
    -------
    Replay
    """
    labels = np.array(machine, np.int32)
    areas = areas_of(labels)
    state = Replay(labels, base, areas, set(areas))
    for correction, holds in zip(corrections, in_force(corrections), strict=True):
        # A correction that is taken back keeps its numbers: decisions may name them.
        numbers = _new_numbers(state, correction)
        if holds and correction.action == "correct":
            _apply(state, correction, numbers)
        elif holds and correction.action == "measure" and correction.base == base:
            state.rows |= {int(row["object_id"]): (correction, int(row["object_id"])) for row in correction.rows}
    return state


def areas_of(labels: NDArray[np.integer]) -> dict[int, int]:
    """Return the pixels of each object of a label image."""
    areas = np.bincount(labels.ravel())
    return {number: int(areas[number]) for number in np.flatnonzero(areas).tolist() if number}


def _new_numbers(state: Replay, correction: Correction) -> dict[int, int]:
    """Return the numbers that a correction's new objects get: their own, where nobody else has it."""
    numbers = {}
    for outline in correction.outlines:
        if outline.before is None:
            own = outline.object_id
            numbers[own] = own if own not in state.used else state.next_number
            state.used.add(numbers[own])
    return numbers


def _apply(state: Replay, correction: Correction, numbers: dict[int, int]) -> None:
    places = [*correction.removed, *(outline.before for outline in correction.outlines if outline.before is not None)]
    found = _find(state, places, correction.base == state.base)
    for place in correction.removed:
        if place.object_id not in found:
            _lose(state, correction, place, "no object is there any more")
    before, areas = state.labels.copy(), dict(state.areas)
    named = set(found.values())
    for number in named:
        state.clear(number)
    for outline in correction.outlines:
        if not outline.fits(state.labels.shape):
            _lose(state, correction, outline.place, "the frame is smaller now")
            continue
        number = (numbers if outline.before is None else found).get(outline.object_id, 0)
        if number == 0:
            # Its object is gone, but what the reader drew is a cell all the same.
            number = state.next_number
            state.used.add(number)
        state.paint(outline.window, outline.mask, number)
        state.rows[number] = (correction, outline.object_id)
    for number in set(areas) - named:
        if state.areas[number] < areas[number]:
            _tidy(state, number, areas[number])
    _hand_on(state, before, areas)


def _find(state: Replay, places: Sequence[Place], same_base: bool) -> dict[int, int]:
    """Return the numbers that objects have now, by the numbers that they had; one to one."""
    if same_base:
        return {p.object_id: p.object_id for p in places if state.areas.get(p.object_id, 0) > 0}
    there = np.array(sorted(number for number, area in state.areas.items() if area), np.intp)
    if len(there) == 0:
        return {}
    rows, columns = np.nonzero(state.labels)
    owner = state.labels[rows, columns]
    areas = np.bincount(owner)
    y, x = (np.bincount(owner, weights=at)[there] / areas[there] for at in (rows, columns))
    found: dict[int, int] = {}
    for place in places:
        away = np.hypot(y - place.y_px, x - place.x_px)
        away[np.isin(there, [*found.values()])] = np.inf
        nearest = int(np.argmin(away))
        if away[nearest] <= place.radius_px:
            found[place.object_id] = int(there[nearest])
    return found


def _tidy(state: Replay, number: int, area: int) -> None:
    """Take away what painting left of an object that the correction did not know of: a rim, or loose pieces."""
    if 2 * state.areas[number] < area:
        state.clear(number)
        return
    mask = state.labels == number
    count, pieces = cv2.connectedComponents(mask.view(np.uint8), connectivity=4)
    if count > 2:
        largest = 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
        state.paint(np.s_[:, :], mask & (pieces != largest), 0)


def _hand_on(state: Replay, before: Labels, areas: dict[int, int]) -> None:
    """Note, for objects that are gone, which one covers most of them now."""
    for number in areas:
        if state.areas.get(number, 0) == 0:
            covered = areas_of(state.labels[before == number])
            heir = max(covered, key=lambda other: (covered[other], -other), default=0)
            state.heirs[number] = heir if heir and 2 * covered[heir] >= areas[number] else 0
            state.rows.pop(number, None)
            state.areas.pop(number, None)


def _lose(state: Replay, correction: Correction, place: Place, reason: str) -> None:
    lost = LostCorrection(correction.correction_id, correction.reader, correction.corrected_at, place, reason)
    state.lost.append(lost)
