"""Nuclei from the nuclear stain: bright or dim, single or touching, lobed or round.

No one threshold fits a frame, so each region above the noise is looked at by itself. It is divided generously:
first where rising thresholds of its brightness make it fall apart, then where rising thresholds of its distance
transform do. Then parts that belong together are joined again: lobes that lie nearer to each other than two cells
can, and pieces that touch along a broad line. Each nucleus has its outline at half of its own brightness.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cher2.cells.parts import (
    Mask,
    Part,
    Rise,
    Signal,
    centre,
    contact,
    fall_apart,
    filled,
    pieces,
    solidity,
    union,
    width,
)

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


@dataclass(frozen=True, eq=False)
class _Frame:
    """What all parts of a frame share."""

    smooth: Signal
    lowest: float
    min_area: float
    pixel_size_um: float
    leukocytes: Mask | None


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
    whole = Part(0, 0, smooth > lowest)
    labels = np.zeros(signal.shape, np.int32)
    count = 0
    found = [part for region in pieces(whole, frame.min_area) for part in _nuclei_of_region(region, frame)]
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
    # Every second pixel tells as much of a blurred plane, in a quarter of the time.
    sparse = np.ascontiguousarray(smooth[::2, ::2])
    rows = cv2.Sobel(sparse, cv2.CV_32F, 0, 1, ksize=3)
    columns = cv2.Sobel(sparse, cv2.CV_32F, 1, 0, ksize=3)
    weight = rows * rows + columns * columns
    weight[weight < (24 * noise) ** 2] = 0
    total = float(weight.sum(dtype=np.float64))
    return float((weight * sparse).sum(dtype=np.float64)) / total if total > 0 else 0.0


def _nuclei_of_region(region: Part, frame: _Frame) -> list[Part]:
    rise = Rise(BRIGHTNESS_STEP, BRIGHTNESS_DEPTH, frame.min_area / 2)
    parts = []
    for side in _by_leukocytes(region, frame):
        for bright in fall_apart(side, side.of(frame.smooth), frame.lowest, rise):
            outlined = _at_half_height(bright, frame)
            parts += _by_distance(outlined, frame) if outlined is not None else []
    joined = _join(parts, frame) if len(parts) > 1 else parts
    return [filled(part, np.inf) for part in joined if np.count_nonzero(part.mask) >= frame.min_area]


def _by_distance(part: Part, frame: _Frame) -> list[Part]:
    """Divide a part at its necks, where it is not convex."""
    if solidity(part.mask) >= CONVEX:
        return [part]
    distance = cv2.distanceTransform(np.pad(part.mask, 1).view(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    relief = cv2.GaussianBlur(distance, (0, 0), max(0.7, SMOOTHING_UM / frame.pixel_size_um))
    lowest = max(1.0, SMALLEST_PEAK * float(relief.max()))
    return fall_apart(part, relief, lowest, Rise(DISTANCE_STEP, DISTANCE_DEPTH, 1.0))


def _by_leukocytes(region: Part, frame: _Frame) -> list[Part]:
    """Divide a region into what lies within leukocytes and what does not."""
    if frame.leukocytes is None or solidity(region.mask) >= CONVEX:
        return [region]
    within = region.mask & region.of(frame.leukocytes)
    if not within.any() or np.array_equal(within, region.mask):
        return [region]
    sides = (within, region.mask & ~within)
    apart = [pieces(Part(region.top, region.left, side), frame.min_area / 2) for side in sides]
    return [piece for side in apart for piece in side] or [region]


def _at_half_height(part: Part, frame: _Frame) -> Part | None:
    """Return the largest piece above half of the part's own brightness, its small holes filled."""
    window = part.of(frame.smooth)
    inside = window[part.mask]
    core = inside[inside > 0.5 * np.percentile(inside, 90)]
    level = max(frame.lowest, OUTLINE * float(np.median(core)))
    above = pieces(Part(part.top, part.left, part.mask & (window > level)), frame.min_area / 4)
    largest = max(above, key=lambda piece: np.count_nonzero(piece.mask), default=None)
    # A large hole is a gap between nuclei; only a small one is texture.
    return None if largest is None else filled(largest, frame.min_area / 2)


def _join(parts: list[Part], frame: _Frame) -> list[Part]:
    """Join touching parts that are one nucleus, the surest first."""
    alive = dict(enumerate(parts))
    gains = {(i, j): gain for i in alive for j in alive if i < j and (gain := _gain(alive[i], alive[j], frame)) >= 0}
    while gains:
        i, j = max(gains, key=lambda pair: gains[pair])
        alive[i] = union(alive[i], alive.pop(j))
        gains = {pair: gain for pair, gain in gains.items() if i not in pair and j not in pair}
        for k in alive:
            if k != i and (gain := _gain(alive[i], alive[k], frame)) >= 0:
                gains[min(i, k), max(i, k)] = gain
    return list(alive.values())


def _gain(one: Part, other: Part, frame: _Frame) -> float:
    """Return how sure it is that two parts are one nucleus; below 0 they are two."""
    touching = contact(one, other)
    if touching == 0:
        return -1.0
    narrower = min(width(part.mask) for part in (one, other))
    dimmer, brighter = sorted(float(np.median(part.of(frame.smooth)[part.mask])) for part in (one, other))
    alike = dimmer >= ALIKE * brighter and _in_leukocytes(one, frame) == _in_leukocytes(other, frame)
    gain = touching / narrower - NECK if alike else -1.0
    apart = frame.pixel_size_um * float(np.hypot(*(centre(one) - centre(other))))
    if apart < NEAREST_UM:
        joint = union(one, other).mask
        lobed = np.count_nonzero(joint) * frame.pixel_size_um**2 <= LOBED_AREA_UM2 and solidity(joint) >= LOBED
        return max(gain, 0.0) + (NEAREST_UM - apart) / NEAREST_UM if lobed else gain
    return gain


def _in_leukocytes(part: Part, frame: _Frame) -> bool:
    return frame.leukocytes is not None and bool(np.mean(part.of(frame.leukocytes)[part.mask]) >= 0.5)
