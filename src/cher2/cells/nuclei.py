"""Nuclei from the nuclear stain: bright or dim, single or touching, whatever their size.

A nucleus has no fixed brightness, and no one threshold fits a frame. So each connected region above the noise
is looked at by itself: a region that is round is one nucleus; one that is not is looked at through rising
thresholds until it falls apart into rounder parts; what is still not convex is divided along the valleys of
its distance transform. Last, each nucleus gets the outline at half of its own brightness.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

SMOOTHING_UM = 0.7
"""Sigma of the blur before any threshold: about the microscope's own."""

MIN_DIAMETER_UM = 3.5
"""What is smaller is a speck or a fragment."""

ABOVE_NOISE = 5.0
"""Standard deviations of the smoothed background that a nucleus rises above."""

EDGE_FRACTION = 0.25
"""Part of the frame's typical half-height that still counts: dim nuclei beside bright ones."""

ROUND = 0.90
"""Solidity from which a region is taken for one nucleus without a further look."""

CONVEX = 0.88
"""Solidity below which a nucleus is divided by its distance transform."""

LEVEL_STEP = 1.25
"""Ratio of one threshold to the one before."""

PART = 0.3
"""Area of a part against the largest from which it counts as a nucleus of its own."""

VALLEY = 0.2
"""Depth of a valley of the distance transform, as part of its peak, that divides two nuclei."""

OUTLINE = 0.45
"""The outline lies at this part of a nucleus's own brightness: near half, as blur leaves the true edge."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class _Crop:
    """The part of a frame that holds one region above the noise."""

    signal: NDArray[np.float32]
    lowest: float
    min_area: float


def find_nuclei(signal: NDArray[np.float32], noise: float, pixel_size_um: float) -> NDArray[np.int32]:
    """Label the nuclei of a frame.

    Parameters
    ----------
    signal : ndarray of float32, shape (Y, X)
        Nuclear stain, background subtracted.
    noise : float
        Standard deviation of a background pixel.
    pixel_size_um : float
        Side of a pixel in micrometres.

    Returns
    -------
    ndarray of int32, shape (Y, X)
        0 is background, 1 to n are the nuclei in the order of their regions, top to bottom.
    """
    sigma = max(0.5, SMOOTHING_UM / pixel_size_um)
    smooth = cv2.GaussianBlur(signal, (0, 0), sigma)
    smooth_noise = noise / max(1.0, 2 * np.sqrt(np.pi) * sigma)
    lowest = max(ABOVE_NOISE * smooth_noise, EDGE_FRACTION * typical_half_height(smooth, smooth_noise))
    min_area = np.pi * (MIN_DIAMETER_UM / 2 / pixel_size_um) ** 2
    regions, numbered, boxes, _ = cv2.connectedComponentsWithStats((smooth > lowest).astype(np.uint8), connectivity=4)
    labels = np.zeros(signal.shape, np.int32)
    count = 0
    for region in range(1, regions):
        left, top, width, height, area = boxes[region]
        if area < min_area:
            continue
        window = np.s_[top : top + height, left : left + width]
        crop = _Crop(smooth[window], lowest, min_area)
        for nucleus in _nuclei_of_region(numbered[window] == region, crop):
            count += 1
            labels[window][nucleus] = count
    return labels


def typical_half_height(smooth: NDArray[np.float32], noise: float) -> float:
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


def _nuclei_of_region(region: Mask, crop: _Crop) -> list[Mask]:
    nuclei = []
    for part in _parts_by_level(region, crop):
        outlined = _at_half_height(part, crop)
        if outlined is None:
            continue
        pieces = _parts_by_distance(outlined, crop) if solidity(outlined) < CONVEX else [outlined]
        nuclei += [piece for piece in pieces if np.count_nonzero(piece) >= crop.min_area]
    return nuclei


def _parts_by_level(region: Mask, crop: _Crop) -> list[Mask]:
    """Divide a region where rising thresholds make rounder parts of it."""
    done: list[Mask] = []
    waiting = [(region, crop.lowest)]
    while waiting:
        mask, level = waiting.pop()
        whole = solidity(mask)
        if whole >= ROUND:
            done.append(mask)
            continue
        parts, reached = _first_split(mask, level, crop)
        if parts is None or _mean_solidity(parts) <= whole + 0.02:
            done.append(mask)
            continue
        grown = watershed(-crop.signal, parts, mask=mask)
        waiting += [(grown == number, reached) for number in range(1, int(parts.max()) + 1)]
    return done


def _first_split(mask: Mask, level: float, crop: _Crop) -> tuple[NDArray[np.int32] | None, float]:
    """Raise the threshold until at least two parts of some size stand apart; label them."""
    highest = float(np.percentile(crop.signal[mask], 95))
    while level * LEVEL_STEP < highest:
        level *= LEVEL_STEP
        above = (mask & (crop.signal > level)).view(np.uint8)
        count, numbered, boxes, _ = cv2.connectedComponentsWithStats(above, connectivity=4)
        areas = boxes[1:, cv2.CC_STAT_AREA]
        if count < 2:
            break
        kept = np.flatnonzero(areas >= max(crop.min_area / 2, PART * areas.max())) + 1
        if len(kept) >= 2:
            renumber = np.zeros(count, np.int32)
            renumber[kept] = np.arange(1, len(kept) + 1)
            return renumber[numbered], level
    return None, level


def _mean_solidity(parts: NDArray[np.int32]) -> float:
    masks = [parts == number for number in range(1, int(parts.max()) + 1)]
    return float(np.average([solidity(m) for m in masks], weights=[np.count_nonzero(m) for m in masks]))


def _at_half_height(mask: Mask, crop: _Crop) -> Mask | None:
    """Return the largest piece above part of the nucleus's own brightness, its holes filled."""
    inside = crop.signal[mask]
    core = inside[inside > 0.5 * np.percentile(inside, 90)]
    level = max(crop.lowest, OUTLINE * float(np.median(core)))
    above = (mask & (crop.signal > level)).view(np.uint8)
    outlines, _ = cv2.findContours(above, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return None
    filled = np.zeros(mask.shape, np.uint8)
    cv2.drawContours(filled, [max(outlines, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    nucleus: Mask = filled.view(np.bool_)
    return nucleus if np.count_nonzero(nucleus) >= crop.min_area else None


def _parts_by_distance(mask: Mask, crop: _Crop) -> list[Mask]:
    """Divide a region along the valleys of its distance transform, weighted by brightness."""
    distance = cv2.distanceTransform(np.pad(mask, 1).view(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    bright = np.clip(crop.signal / np.percentile(crop.signal[mask], 90), 0, 1)
    relief = cv2.GaussianBlur(distance * np.sqrt(bright), (0, 0), max(1.0, 0.1 * float(distance.max())))
    relief[~mask] = 0
    peaks = h_maxima(relief, VALLEY * float(relief.max()))
    count, seeds = cv2.connectedComponents(peaks.astype(np.uint8), connectivity=8)
    if count <= 2:
        return [mask]
    divided = watershed(-relief, seeds, mask=mask)
    return [divided == number for number in range(1, count)]
