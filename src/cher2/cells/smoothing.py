"""A channel made ready for thresholds: smoothed, free of what is wider than cells, with the height of its edges."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from cher2.cells.background import on_grid, wider_than
from cher2.cells.parts import Mask, Signal

SMOOTHING_UM = 0.7
"""Sigma of the blur before any threshold: about the microscope's own."""

ABOVE_NOISE = 5.0
"""Standard deviations of the smoothed background that a stain rises above."""

ARTEFACT_UM, WIDEST_CELL_UM = 90.0, 45.0
"""What is bright over a square of the first side is no nucleus of any size; no cell body fills the second."""

OUTWEIGHED = 0.07
"""Part of the weight of all edges below which those of cells are outweighed by an artefact's."""

MOST_WIDE = 0.15
"""Part of a frame that an artefact covers at most; what is wide and covers more is tissue, and cells are in it."""


@dataclass(frozen=True, eq=False)
class Smoothed:
    """A channel ready for thresholds.

    Parameters
    ----------
    plane : ndarray of float32, shape (Y, X)
        The channel blurred as by the microscope.
    grid : ndarray of float32, shape (about Y / 5 um, X / 5 um)
        Its means over blocks.
    noise : float
        Its standard deviation where nothing is.
    half_height : float
        That of the frame's typical objects.
    """

    plane: Signal
    grid: Signal
    noise: float
    half_height: float


def smoothed(signal: Signal, noise: float, pixel_size_um: float) -> Smoothed:
    """Make a channel ready for thresholds.

    Parameters
    ----------
    signal : ndarray of float32, shape (Y, X)
        The channel, background subtracted.
    noise : float
        Standard deviation of a background pixel.
    pixel_size_um : float
        Side of a pixel in micrometres.

    Returns
    -------
    Smoothed
    """
    sigma = max(0.5, SMOOTHING_UM / pixel_size_um)
    # Cut off at three sigma: OpenCV's own choice is half as wide again, and as slow.
    side = 2 * round(3 * sigma) + 1
    smooth = cv2.GaussianBlur(signal, (side, side), sigma)
    smooth_noise = noise / max(1.0, 2 * np.sqrt(np.pi) * sigma)
    grid = on_grid(smooth, pixel_size_um)
    wide = wider_than(ARTEFACT_UM, grid, smooth_noise)
    return Smoothed(smooth, grid, smooth_noise, typical_half_height(smooth, smooth_noise, wide > 0))


def on_level_ground(stain: Smoothed) -> Signal:
    """Return a smoothed body stain (Y, X) without steps and plateaus that are wider than any cell: a slide's edge."""
    wide = wider_than(WIDEST_CELL_UM, stain.grid, stain.noise)
    if not wide.any():
        return stain.plane
    level: Signal = stain.plane - cv2.resize(wide, stain.plane.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return level


def typical_half_height(smooth: Signal, noise: float, wide: Mask) -> float:
    """Return the intensity at which the frame's edges are steepest: half the height of its typical objects.

    Pixels are weighted by their squared gradient, after Kittler, Illingworth and Foeglein, "Threshold
    selection based on a simple image statistic", CVGIP 30 (1985). Gradients that noise alone makes are left out,
    and so are those at what is wider than any cell (a mask on a coarse grid), where they outweigh all others.
    """
    # Every second pixel tells as much of a blurred plane, in a quarter of the time.
    sparse = np.ascontiguousarray(smooth[::2, ::2])
    rows = cv2.Sobel(sparse, cv2.CV_32F, 0, 1, ksize=3)
    columns = cv2.Sobel(sparse, cv2.CV_32F, 1, 0, ksize=3)
    weight = cv2.add(cv2.multiply(rows, rows), cv2.multiply(columns, columns))
    weight = cv2.threshold(weight, (24 * noise) ** 2, 0, cv2.THRESH_TOZERO)[1]
    if 0 < np.mean(wide) < MOST_WIDE:
        around = cv2.dilate(wide.view(np.uint8), np.ones((5, 5), np.uint8))
        of_cells = weight * (cv2.resize(around, weight.shape[::-1], interpolation=cv2.INTER_NEAREST) == 0)
        if of_cells.sum() < OUTWEIGHED * weight.sum():
            weight = of_cells
    total = float(cv2.sumElems(weight)[0])
    return float(cv2.sumElems(cv2.multiply(weight, sparse))[0]) / total if total > 0 else 0.0
