"""Parts of a frame, and what they are to each other: pieces, necks, contacts.

A part is a mask in a small window, so that looking at it costs its own area and not the frame's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from cher2.cells.grouped import quantile
from cher2.cells.peaks import lowest_between, peaks_within

Mask = NDArray[np.bool_]
Signal = NDArray[np.float32]
Labels = NDArray[np.int32]
Outline = NDArray[np.int32]
"""The pixels along an edge, shape (n, 1, 2), column first: an outline of OpenCV."""

Pixel = TypeVar("Pixel", bound=np.generic)

_AROUND = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, eq=False)
class Part:
    """A part of a frame: a mask and where its first pixel lies."""

    top: int
    left: int
    mask: Mask

    def of(self, plane: NDArray[Pixel]) -> NDArray[Pixel]:
        """Return the window of a plane of the frame that the mask covers."""
        rows, columns = self.mask.shape
        return plane[self.top : self.top + rows, self.left : self.left + columns]


@dataclass(frozen=True)
class Rise:
    """How thresholds rise: the ratio of two, and what makes a part: its peak and its area above a threshold."""

    step: float
    depth: float
    min_area: float


def solidity(mask: Mask) -> float:
    """Return the area of a region over that of its convex hull, both with half of their outline's pixels."""
    outlines, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return solidity_of_outline(max(outlines, key=len))


def solidity_of_outline(outline: Outline) -> float:
    """Return the solidity within an outline as OpenCV gives it, (n, 1, 2); see :func:`solidity`."""
    if len(outline) < 5:
        return 1.0
    rim = len(outline) / 2
    hull_area = cv2.contourArea(cv2.convexHull(outline))
    return float((cv2.contourArea(outline) + rim) / (hull_area + rim))


def disc(radius: int) -> NDArray[np.uint8]:
    """Return a disc for dilating and eroding."""
    shape: NDArray[np.uint8] = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return shape


def width(mask: Mask) -> float:
    """Return the width of a mask where it is widest, in pixels."""
    return 2 * float(distance_to_edge(mask).max())


def distance_to_edge(mask: Mask) -> Signal:
    """Return the distance of each pixel of a mask to its edge, in pixels; beyond the window is outside."""
    framed = cv2.copyMakeBorder(mask.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    distance: Signal = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1]
    return distance


def pieces(part: Part, min_area: float) -> Iterator[Part]:
    """Yield the connected pieces of a part that are large enough, each in its own window."""
    count, numbered, boxes, _ = cv2.connectedComponentsWithStats(part.mask.view(np.uint8), connectivity=4)
    for number in range(1, count):
        left, top, width, height, area = boxes[number]
        if area >= min_area:
            window = numbered[top : top + height, left : left + width]
            yield Part(part.top + top, part.left + left, window == number)


def fall_apart(part: Part, relief: Signal, level: float, rise: Rise) -> list[Part]:
    """Divide a part where rising thresholds of a relief, given in its window, make it fall apart."""
    from skimage.segmentation import watershed

    seeds, level = _first_split(part.mask, relief, level, rise)
    if seeds is None:
        return [part]
    grown = watershed(-relief, seeds, mask=part.mask)
    done = []
    for number in range(1, int(seeds.max()) + 1):
        for piece in pieces(Part(0, 0, grown == number), rise.min_area):
            placed = Part(part.top + piece.top, part.left + piece.left, piece.mask)
            done += fall_apart(placed, piece.of(relief), level, rise)
    return done


def _first_split(mask: Mask, relief: Signal, level: float, rise: Rise) -> tuple[NDArray[np.int32] | None, float]:
    """Raise the threshold until at least two parts stand apart and rise well above it; label them."""
    highest, level = first_possible(mask, relief, level, rise)
    while level * rise.depth < highest:
        above = (mask & (relief > level)).view(np.uint8)
        count, numbered, boxes, _ = cv2.connectedComponentsWithStats(above, connectivity=4)
        if count > 2:
            large = np.flatnonzero(boxes[1:, cv2.CC_STAT_AREA] >= rise.min_area) + 1
            peaks = [_peak(relief, numbered, boxes[number], int(number)) for number in large] if len(large) > 1 else []
            kept = [number for number, peak in zip(large, peaks, strict=False) if peak > level * rise.depth]
            if len(kept) > 1:
                renumber = np.zeros(count, np.int32)
                renumber[kept] = np.arange(1, len(kept) + 1)
                return renumber[numbered], level
        level *= rise.step
    return None, level


def first_possible(mask: Mask, relief: Signal, level: float, rise: Rise) -> tuple[float, float]:
    """Return the second highest peak of a part, and the first threshold that could set two peaks apart."""
    inside = relief * mask
    peaks, heights = peaks_within(inside, mask)
    if np.count_nonzero(heights > rise.depth * level) < 2:
        return 0.0, level
    top = int(np.argmax(heights))
    lowest = lowest_between(inside, peaks, np.full(len(peaks), peaks[top]))
    apart = heights > rise.depth * np.maximum(lowest, level)
    apart[top] = False
    if not apart.any():
        return 0.0, level
    while level * rise.step <= lowest[apart].min():
        level *= rise.step
    return float(heights[apart].max()), level


def _peak(relief: Signal, numbered: NDArray[np.int32], box: NDArray[np.int32], number: int) -> float:
    """Return the height of a part without its highest tenth, which may be a bright speck of it."""
    window = np.s_[box[1] : box[1] + box[3], box[0] : box[0] + box[2]]
    values = relief[window][numbered[window] == number]
    return quantile(values, 0.9)


def filled(part: Part, largest: float) -> Part:
    """Return a part with its holes filled that have at most so many pixels."""
    outside = cv2.copyMakeBorder((~part.mask).view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    count, numbered, boxes, _ = cv2.connectedComponentsWithStats(outside, connectivity=4)
    if count <= 2:
        return part
    hole = boxes[:, cv2.CC_STAT_AREA] <= largest
    hole[[0, numbered[0, 0]]] = False
    return Part(part.top, part.left, part.mask | hole[numbered][1:-1, 1:-1])


def contact(one: Part, other: Part) -> float:
    """Return the length of the line along which two parts touch, in pixels; a gap of a pixel still touches."""
    apart_rows = max(one.top, other.top) - min(one.top + one.mask.shape[0], other.top + other.mask.shape[0])
    apart_columns = max(one.left, other.left) - min(one.left + one.mask.shape[1], other.left + other.mask.shape[1])
    if apart_rows > 1 or apart_columns > 1:
        return 0.0
    _, first, second = _in_common(one, other)
    touching = np.count_nonzero(cv2.dilate(first.view(np.uint8), _AROUND).view(np.bool_) & second)
    if touching:
        return float(touching)
    near = cv2.dilate(first.view(np.uint8), _AROUND, iterations=2).view(np.bool_)
    return np.count_nonzero(near & second) / 2


def union(one: Part, other: Part) -> Part:
    """Return both parts as one, the gap of a pixel between them closed."""
    (top, left), first, second = _in_common(one, other)
    closed = cv2.morphologyEx((first | second).view(np.uint8), cv2.MORPH_CLOSE, _AROUND).view(np.bool_)
    return Part(top, left, closed)


def _in_common(one: Part, other: Part) -> tuple[tuple[int, int], Mask, Mask]:
    """Return both masks in the smallest window that holds them."""
    top, left = min(one.top, other.top), min(one.left, other.left)
    bottom = max(part.top + part.mask.shape[0] for part in (one, other))
    right = max(part.left + part.mask.shape[1] for part in (one, other))
    masks = np.zeros((2, bottom - top, right - left), np.bool_)
    for mask, part in zip(masks, (one, other), strict=True):
        rows, columns = part.mask.shape
        mask[part.top - top : part.top - top + rows, part.left - left : part.left - left + columns] = part.mask
    return (top, left), masks[0], masks[1]
