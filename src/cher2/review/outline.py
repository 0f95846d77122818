"""The outline of one object: its mask in its window, and the place by which it is found again."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

MOST_OBJECTS = 10**7
"""No frame has so many: a greater number would only take memory, for objects are counted by their numbers."""

Labels = NDArray[np.int32]
Mask = NDArray[np.bool_]
Window = tuple[slice, slice]


@dataclass(frozen=True)
class Place:
    """Where an object is, and how far around it is the same object after a new segmentation.

    Parameters
    ----------
    object_id : int
        Its number when it was looked at.
    y_px, x_px : float
        Its centroid.
    radius_px : float
        Radius of a circle of its area.
    """

    object_id: int
    y_px: float
    x_px: float
    radius_px: float

    def as_dict(self) -> dict[str, Any]:
        """Return the place as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Return the place that :meth:`as_dict` wrote."""
        place = [float(record[name]) for name in ("y_px", "x_px", "radius_px")]
        if not all(map(math.isfinite, place)):
            raise ValueError("a place that is not finite")
        return cls(int(record["object_id"]), *place)


@dataclass(frozen=True, eq=False)
class Outline:
    """A drawn object.

    Parameters
    ----------
    object_id : int
        The number that it was drawn with.
    top, left : int
        The first row and column of its window.
    mask : ndarray of bool, shape (height, width)
        Its pixels in the window.
    before : Place or None
        Of an object that was there before, where and how large it was then.
    """

    object_id: int
    top: int
    left: int
    mask: Mask
    before: Place | None = None

    @property
    def window(self) -> Window:
        """Rows and columns of the frame that the mask covers."""
        height, width = self.mask.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    @property
    def area_px(self) -> int:
        """How many pixels it has."""
        return int(self.mask.sum())

    @property
    def place(self) -> Place:
        """Where it is."""
        rows, columns = np.nonzero(self.mask)
        radius = math.sqrt(len(rows) / math.pi)
        return Place(self.object_id, float(self.top + rows.mean()), float(self.left + columns.mean()), radius)

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Say whether it lies whole in a frame of a shape."""
        return bool(self.top + self.mask.shape[0] <= shape[0] and self.left + self.mask.shape[1] <= shape[1])

    def as_dict(self) -> dict[str, Any]:
        """Return the outline as JSON can hold it: a bit a pixel, row by row, in base 64."""
        bits = base64.b64encode(np.packbits(self.mask).tobytes()).decode("ascii")
        return {
            "object_id": self.object_id,
            "box": [self.top, self.left, *self.mask.shape],
            "mask": bits,
            "before": None if self.before is None else self.before.as_dict(),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Return the outline that :meth:`as_dict` wrote.

        Raises
        ------
        LookupError, TypeError, ValueError, OverflowError
            `record` is not that of an outline.
        """
        top, left, height, width = (int(number) for number in record["box"])
        packed = np.frombuffer(base64.b64decode(record["mask"], validate=True), np.uint8)
        if min(top, left) < 0 or min(height, width) < 1 or packed.size != -(-height * width // 8):
            raise ValueError("the mask does not fit its box")
        mask = np.unpackbits(packed, count=height * width).reshape(height, width).astype(np.bool_)
        if not mask.any():
            raise ValueError("the mask is empty")
        number, before = int(record["object_id"]), record["before"]
        if not 0 < number < MOST_OBJECTS:
            raise ValueError(f"an object numbered {number}")
        return cls(number, top, left, mask, None if before is None else Place.from_dict(before))


def outline_of(labels: NDArray[Any], number: int, before: Place | None = None) -> Outline:
    """Return the outline of an object that a label image holds."""
    mask = labels == number
    window = box_of(mask)
    return Outline(number, window[0].start, window[1].start, mask[window].copy(), before)


def place_of(labels: NDArray[Any], number: int) -> Place:
    """Return the place of an object that a label image holds."""
    return outline_of(labels, number).place


def box_of(mask: Mask) -> Window:
    """Return the smallest window (rows, columns) around the pixels of a mask that has some."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
