"""What a reader changed in the outlines of a frame: two snapshots of its labels compared.

napari tells of some changes and not of others (an undo is one of the latter), so nothing is followed as it happens:
the labels before and after are compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cher2.errors import ReviewError
from cher2.review.outline import Labels, box_of

CRUMB_PX = 10
"""A loose piece of fewer pixels than this is what a brush left behind, and no cell: 2 um across at 0.64 um."""


@dataclass(frozen=True, eq=False)
class OutlineChange:
    """What differs between the outlines of a frame before and after.

    Parameters
    ----------
    labels : ndarray of int32, shape (Y, X)
        The outlines after, in order: every object in one piece, new ones numbered on.
    added, removed, changed : tuple of int
        Numbers of the objects that are new, gone, and of another shape.
    split_from : dict of int
        For each new object that was a piece of another, that other's number.
    crumbs_px : int
        Pixels that were dropped as loose crumbs.
    """

    labels: Labels
    added: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()
    changed: tuple[int, ...] = ()
    split_from: dict[int, int] | None = None
    crumbs_px: int = 0

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    @property
    def drawn(self) -> tuple[int, ...]:
        """Objects whose outlines are new: they must be measured."""
        return (*self.changed, *self.added)

    def __str__(self) -> str:
        words = [
            f"{len(numbers)} {word}"
            for numbers, word in ((self.added, "added"), (self.changed, "changed"), (self.removed, "removed"))
            if numbers
        ]
        return ", ".join(words) or "nothing changed"


def changed_objects(before: NDArray[Any], after: NDArray[Any], first_new: int | None = None) -> OutlineChange:
    """Compare two snapshots of a frame's labels.

    A cell that was cut in two is what a reader means by two cells: its largest piece keeps the number, each other
    piece becomes a new object. Pieces are told apart at edges, not at corners: a line one pixel wide cuts. Loose
    pieces of fewer than 10 pixels are dropped. Objects that did not change are not looked at.

    Parameters
    ----------
    before, after : ndarray of int, shape (Y, X)
        Labels; 0 is background.
    first_new : int, optional
        The number of the first new object; the next number after those of `before` where it is left out. Whatever
        number a new object was drawn with, it gets the next from here on.

    Returns
    -------
    OutlineChange

    Raises
    ------
    ReviewError
        The labels are no whole numbers, negative, or of different shapes.
    """
    _check(before, after)
    differs = before != after
    if not differs.any():
        return OutlineChange(np.asarray(before, np.int32))
    old = set(_numbers(before))
    touched = np.unique(np.concatenate([before[differs], after[differs]])).tolist()
    following = first_new if first_new is not None else max(old, default=0) + 1
    # The untouched are taken from before: after may hold numbers that no int32 has.
    is_touched = np.zeros(max(old, default=0) + 1, np.bool_)
    is_touched[[number for number in touched if number in old]] = True
    labels = np.where(differs | is_touched[before], 0, before).astype(np.int32)
    split_from: dict[int, int] = {}
    crumbs = 0
    for number in (number for number in touched if number):
        for place, (box, mask) in enumerate(_pieces(after, number)):
            area = int(mask.sum())
            if place and area < CRUMB_PX:
                crumbs += area
                continue
            own = number if place == 0 and number in old else following
            if own == following:
                following += 1
                if place:
                    split_from[own] = number
            labels[box][mask] = own
    return _compared(before, labels, old, split_from, crumbs)


def _compared(
    before: NDArray[Any], labels: Labels, old: set[int], split_from: dict[int, int], crumbs: int
) -> OutlineChange:
    """Say what became of the objects, now that the labels are in order."""
    new = set(_numbers(labels))
    differs = before != labels
    touched = set(np.unique(before[differs]).tolist()) | set(np.unique(labels[differs]).tolist())
    return OutlineChange(
        labels,
        added=tuple(sorted(new - old)),
        removed=tuple(sorted(old - new)),
        changed=tuple(sorted(touched & old & new)),
        split_from=split_from,
        crumbs_px=crumbs,
    )


def _check(before: NDArray[Any], after: NDArray[Any]) -> None:
    remedy = "Discard the changes and draw them again"
    if before.ndim != 2 or before.shape != after.shape:
        raise ReviewError(f"the outlines have the shape {after.shape}, not {before.shape}", remedy=remedy)
    for labels in (before, after):
        if labels.dtype.kind not in "iu":
            raise ReviewError(f"the outlines are of type {labels.dtype}, not whole numbers", remedy=remedy)
        if labels.min(initial=0) < 0:
            raise ReviewError(f"an outline has the number {labels.min()}: none is below 0", remedy=remedy)


def _numbers(labels: NDArray[Any]) -> list[int]:
    """Return the numbers of the objects of a label image."""
    return [int(number) for number in np.flatnonzero(np.bincount(labels.ravel())) if number]


def _pieces(labels: NDArray[Any], number: int) -> list[tuple[tuple[slice, slice], NDArray[np.bool_]]]:
    """Return the pieces of an object, each as its window and its mask there; the largest first."""
    mask = labels == number
    if not mask.any():
        return []
    window = box_of(mask)
    count, pieces = cv2.connectedComponents(mask[window].view(np.uint8), connectivity=4)
    areas = np.bincount(pieces.ravel(), minlength=count)[1:]
    # Of pieces as large as each other, the uppermost is first: OpenCV's own numbers have no promised order.
    first = np.array([np.argmax(pieces.ravel() == piece) for piece in range(1, count)])
    order = np.lexsort((first, -areas))
    return [(window, pieces == piece + 1) for piece in order.tolist()]
