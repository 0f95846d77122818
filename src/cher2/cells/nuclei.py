"""Nuclei from the nuclear stain: bright or dim, single or touching, lobed or round.

No one threshold fits a frame, so each region above the noise is looked at by itself. It is divided generously:
first where rising thresholds of its brightness make it fall apart, then where rising thresholds of its distance
transform do. Then parts that belong together are joined again: lobes that lie nearer to each other than two cells
can, and pieces that touch along a broad line. Each nucleus has its outline at half of its own brightness.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import watershed

SMOOTHING_UM = 0.7
"""Sigma of the blur before any threshold: about the microscope's own."""

MIN_DIAMETER_UM = 3.5
"""What is smaller is a speck or a fragment."""

FRAGMENT = 0.15
"""A nucleus has at least this part of the area of the frame's median nucleus."""

ABOVE_NOISE = 5.0
"""Standard deviations of the smoothed background that a nucleus rises above."""

EDGE_FRACTION = 0.25
"""Part of the frame's typical half-height that still counts: dim nuclei beside bright ones."""

BRIGHTNESS_STEP, DISTANCE_STEP = 1.2, 1.08
"""Ratio of one threshold to the one before."""

SMALLEST_PEAK = 0.3
"""A part's distance to its edge, against the largest of its region, from which it is looked for."""

BRIGHTNESS_DEPTH, DISTANCE_DEPTH = 1.2, 1.15
"""A part counts where its peak is this many times the threshold that sets it apart."""

CONVEX = 0.97
"""Solidity from which a region needs no look at its distance transform."""

NEAREST_UM = 5.0
"""Centres of two nuclei are not nearer than this: nearer parts are lobes of one."""

LOBED, LOBED_AREA_UM2 = 0.8, 55.0
"""Solidity that lobes of one nucleus have together, and the area of the largest lobed nucleus."""

NECK = 0.85
"""Length of the contact of two parts, over the narrower one's width, from which they are one nucleus."""

ALIKE = 0.7
"""Ratio of two parts' brightness below which they are two nuclei, however broad their contact."""

OUTLINE = 0.5
"""The outline lies at this part of a nucleus's own brightness: blur leaves a true edge at half height."""

Mask = NDArray[np.bool_]
Signal = NDArray[np.float32]
Pixel = TypeVar("Pixel", bound=np.generic)

_AROUND = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, eq=False)
class _Part:
    """A part of a frame: a mask and where its first pixel lies."""

    top: int
    left: int
    mask: Mask

    def of(self, plane: NDArray[Pixel]) -> NDArray[Pixel]:
        """Return the window of a plane of the frame that the mask covers."""
        rows, columns = self.mask.shape
        return plane[self.top : self.top + rows, self.left : self.left + columns]


@dataclass(frozen=True, eq=False)
class _Frame:
    """What all parts of a frame share."""

    smooth: Signal
    lowest: float
    min_area: float
    pixel_size_um: float
    leukocytes: Mask | None


@dataclass(frozen=True)
class _Rise:
    """How thresholds rise: the ratio of two, and what makes a part: its peak and its area above a threshold."""

    step: float
    depth: float
    min_area: float


def find_nuclei(
    signal: Signal, noise: float, pixel_size_um: float, leukocytes: Mask | None = None
) -> NDArray[np.int32]:
    """Label the nuclei of a frame.

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

    Returns
    -------
    ndarray of int32, shape (Y, X)
        0 is background, 1 to n are the nuclei in the order of their regions, top to bottom.
    """
    sigma = max(0.5, SMOOTHING_UM / pixel_size_um)
    smooth = cv2.GaussianBlur(signal, (0, 0), sigma)
    smooth_noise = noise / max(1.0, 2 * np.sqrt(np.pi) * sigma)
    lowest = max(ABOVE_NOISE * smooth_noise, EDGE_FRACTION * typical_half_height(smooth, smooth_noise))
    frame = _Frame(smooth, lowest, np.pi * (MIN_DIAMETER_UM / 2 / pixel_size_um) ** 2, pixel_size_um, leukocytes)
    whole = _Part(0, 0, smooth > lowest)
    labels = np.zeros(signal.shape, np.int32)
    count = 0
    found = [part for region in _pieces(whole, frame.min_area) for part in _nuclei_of_region(region, frame)]
    areas = np.array([np.count_nonzero(part.mask) for part in found])
    least = FRAGMENT * float(np.median(areas)) if len(areas) else 0.0
    for nucleus, area in zip(found, areas, strict=True):
        if area >= least:
            window = nucleus.of(labels)
            free = nucleus.mask & (window == 0)
            if np.count_nonzero(free) >= frame.min_area / 2:
                count += 1
                window[free] = count
    return labels


def typical_half_height(smooth: Signal, noise: float) -> float:
    """Return the intensity at which the frame's edges are steepest: half the height of its typical objects.

    Pixels are weighted by their squared gradient, after Kittler, Illingworth and Foeglein, "Threshold
    selection based on a simple image statistic", CVGIP 30 (1985); gradients that noise alone makes are left out.
    """
    rows = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3)
    columns = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3)
    weight = rows * rows + columns * columns
    weight[weight < (12 * noise) ** 2] = 0
    total = float(weight.sum(dtype=np.float64))
    return float((weight * smooth).sum(dtype=np.float64)) / total if total > 0 else 0.0


def solidity(mask: Mask) -> float:
    """Return the area of a region over that of its convex hull, both with half of their outline's pixels."""
    outlines, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(outlines, key=len)
    if len(outline) < 5:
        return 1.0
    rim = len(outline) / 2
    hull_area = cv2.contourArea(cv2.convexHull(outline))
    return float((cv2.contourArea(outline) + rim) / (hull_area + rim))


def _nuclei_of_region(region: _Part, frame: _Frame) -> list[_Part]:
    rise = _Rise(BRIGHTNESS_STEP, BRIGHTNESS_DEPTH, frame.min_area / 2)
    parts = []
    for side in _by_leukocytes(region, frame):
        for bright in _fall_apart(side, side.of(frame.smooth), frame.lowest, rise):
            outlined = _at_half_height(bright, frame)
            parts += _by_distance(outlined, frame) if outlined is not None else []
    joined = _join(parts, frame) if len(parts) > 1 else parts
    return [_filled(part, np.inf) for part in joined if np.count_nonzero(part.mask) >= frame.min_area]


def _by_distance(part: _Part, frame: _Frame) -> list[_Part]:
    """Divide a part at its necks, where it is not convex."""
    if solidity(part.mask) >= CONVEX:
        return [part]
    distance = cv2.distanceTransform(np.pad(part.mask, 1).view(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    relief = cv2.GaussianBlur(distance, (0, 0), max(0.7, SMOOTHING_UM / frame.pixel_size_um))
    lowest = max(1.0, SMALLEST_PEAK * float(relief.max()))
    return _fall_apart(part, relief, lowest, _Rise(DISTANCE_STEP, DISTANCE_DEPTH, 1.0))


def _by_leukocytes(region: _Part, frame: _Frame) -> list[_Part]:
    """Divide a region into what lies within leukocytes and what does not."""
    if frame.leukocytes is None or solidity(region.mask) >= CONVEX:
        return [region]
    within = region.mask & region.of(frame.leukocytes)
    if not within.any() or np.array_equal(within, region.mask):
        return [region]
    sides = (within, region.mask & ~within)
    pieces = [_pieces(_Part(region.top, region.left, side), frame.min_area / 2) for side in sides]
    return [piece for side in pieces for piece in side] or [region]


def _pieces(part: _Part, min_area: float) -> Iterator[_Part]:
    """Yield the connected pieces of a part that are large enough, each in its own window."""
    count, numbered, boxes, _ = cv2.connectedComponentsWithStats(part.mask.view(np.uint8), connectivity=4)
    for number in range(1, count):
        left, top, width, height, area = boxes[number]
        if area >= min_area:
            window = numbered[top : top + height, left : left + width]
            yield _Part(part.top + top, part.left + left, window == number)


def _fall_apart(part: _Part, relief: Signal, level: float, rise: _Rise) -> list[_Part]:
    """Divide a part where rising thresholds of a relief, given in its window, make it fall apart."""
    seeds, level = _first_split(part.mask, relief, level, rise)
    if seeds is None:
        return [part]
    grown = watershed(-relief, seeds, mask=part.mask)
    done = []
    for number in range(1, int(seeds.max()) + 1):
        for piece in _pieces(_Part(0, 0, grown == number), rise.min_area):
            placed = _Part(part.top + piece.top, part.left + piece.left, piece.mask)
            done += _fall_apart(placed, piece.of(relief), level, rise)
    return done


def _first_split(mask: Mask, relief: Signal, level: float, rise: _Rise) -> tuple[NDArray[np.int32] | None, float]:
    """Raise the threshold until at least two parts stand apart and rise well above it; label them."""
    highest = float(relief[mask].max())
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


def _peak(relief: Signal, numbered: NDArray[np.int32], box: NDArray[np.int32], number: int) -> float:
    """Return the height of a part without its highest tenth, which may be a bright speck of it."""
    window = np.s_[box[1] : box[1] + box[3], box[0] : box[0] + box[2]]
    values = relief[window][numbered[window] == number]
    return float(np.partition(values, int(0.9 * (len(values) - 1)))[int(0.9 * (len(values) - 1))])


def _at_half_height(part: _Part, frame: _Frame) -> _Part | None:
    """Return the largest piece above half of the part's own brightness, its small holes filled."""
    window = part.of(frame.smooth)
    inside = window[part.mask]
    core = inside[inside > 0.5 * np.percentile(inside, 90)]
    level = max(frame.lowest, OUTLINE * float(np.median(core)))
    pieces = _pieces(_Part(part.top, part.left, part.mask & (window > level)), frame.min_area / 4)
    largest = max(pieces, key=lambda piece: np.count_nonzero(piece.mask), default=None)
    # A large hole is a gap between nuclei; only a small one is texture.
    return None if largest is None else _filled(largest, frame.min_area / 2)


def _filled(part: _Part, largest: float) -> _Part:
    """Return a part with its holes filled that have at most so many pixels."""
    outside = np.pad(~part.mask, 1, constant_values=True).view(np.uint8)
    count, numbered, boxes, _ = cv2.connectedComponentsWithStats(outside, connectivity=4)
    if count <= 2:
        return part
    hole = boxes[:, cv2.CC_STAT_AREA] <= largest
    hole[[0, numbered[0, 0]]] = False
    return _Part(part.top, part.left, part.mask | hole[numbered][1:-1, 1:-1])


def _join(parts: list[_Part], frame: _Frame) -> list[_Part]:
    """Join touching parts that are one nucleus, the surest first."""
    alive = dict(enumerate(parts))
    gains = {(i, j): gain for i in alive for j in alive if i < j and (gain := _gain(alive[i], alive[j], frame)) >= 0}
    while gains:
        i, j = max(gains, key=lambda pair: gains[pair])
        alive[i] = _union(alive[i], alive.pop(j))
        gains = {pair: gain for pair, gain in gains.items() if i not in pair and j not in pair}
        for k in alive:
            if k != i and (gain := _gain(alive[i], alive[k], frame)) >= 0:
                gains[min(i, k), max(i, k)] = gain
    return list(alive.values())


def _gain(one: _Part, other: _Part, frame: _Frame) -> float:
    """Return how sure it is that two parts are one nucleus; below 0 they are two."""
    contact = _contact(one, other)
    if contact == 0:
        return -1.0
    narrower = min(_width(part.mask) for part in (one, other))
    dimmer, brighter = sorted(float(np.median(part.of(frame.smooth)[part.mask])) for part in (one, other))
    alike = dimmer >= ALIKE * brighter and _in_leukocytes(one, frame) == _in_leukocytes(other, frame)
    gain = contact / narrower - NECK if alike else -1.0
    apart = frame.pixel_size_um * float(np.hypot(*(_centre(one) - _centre(other))))
    if apart < NEAREST_UM:
        union = _union(one, other).mask
        lobed = np.count_nonzero(union) * frame.pixel_size_um**2 <= LOBED_AREA_UM2 and solidity(union) >= LOBED
        return max(gain, 0.0) + (NEAREST_UM - apart) / NEAREST_UM if lobed else gain
    return gain


def _in_leukocytes(part: _Part, frame: _Frame) -> bool:
    return frame.leukocytes is not None and bool(np.mean(part.of(frame.leukocytes)[part.mask]) >= 0.5)


def _width(mask: Mask) -> float:
    """Return the width of a mask where it is widest, in pixels."""
    return 2 * float(cv2.distanceTransform(np.pad(mask, 1).view(np.uint8), cv2.DIST_L2, 5).max())


def _centre(part: _Part) -> NDArray[np.float64]:
    centre: NDArray[np.float64] = np.array([part.top, part.left]) + np.argwhere(part.mask).mean(axis=0)
    return centre


def _contact(one: _Part, other: _Part) -> float:
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


def _union(one: _Part, other: _Part) -> _Part:
    """Return both parts as one, the gap of a pixel between them closed."""
    (top, left), first, second = _in_common(one, other)
    closed = cv2.morphologyEx((first | second).view(np.uint8), cv2.MORPH_CLOSE, _AROUND).view(np.bool_)
    return _Part(top, left, closed)


def _in_common(one: _Part, other: _Part) -> tuple[tuple[int, int], Mask, Mask]:
    """Return both masks in the smallest window that holds them."""
    top, left = min(one.top, other.top), min(one.left, other.left)
    bottom = max(part.top + part.mask.shape[0] for part in (one, other))
    right = max(part.left + part.mask.shape[1] for part in (one, other))
    masks = np.zeros((2, bottom - top, right - left), np.bool_)
    for mask, part in zip(masks, (one, other), strict=True):
        rows, columns = part.mask.shape
        mask[part.top - top : part.top - top + rows, part.left - left : part.left - left + columns] = part.mask
    return (top, left), masks[0], masks[1]
