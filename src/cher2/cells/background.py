"""What lies under the cells: camera offset, haze and its slow changes over the frame.

The background is estimated on a coarse grid, never with a huge kernel at full size: what varies over a hundred
micrometres needs no more than a value every few.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cher2.cells.grouped import quantile

GRID_UM = 5.0
"""Side of the averaged blocks: large against noise and specks, small against a cell."""

TILE_UM = 75.0
"""Side of the tiles that each give one value of the background: several cells wide."""

PASSES = 3
"""How often the background is estimated from what the estimate before left over."""

ENOUGH_TILES = 4
"""Tiles a frame has each way for a slope to be told from tissue that covers a part of it."""

FINER = 8
"""Points per tile of the grid on which the background is interpolated cubically."""

STANDS_OUT = 4.0
"""Robust standard deviations by which a covered tile lies above its neighbours."""

LOW_QUANTILE = 0.25
"""The part of a tile that must be free of cells for the tile to be right."""


@dataclass(frozen=True, eq=False)
class Background:
    """The background of one channel of one frame.

    Parameters
    ----------
    level : ndarray of float32, shape (about Y / 5 um, X / 5 um)
        The background in raw counts on a coarse grid over the frame.
    noise : float
        Standard deviation of a background pixel in counts; always above 0.
    shape : tuple of int
        Rows and columns of the frame.
    """

    level: NDArray[np.float32]
    noise: float
    shape: tuple[int, int]

    @property
    def plane(self) -> NDArray[np.float32]:
        """The background at every pixel, shape (Y, X); made anew each time."""
        full: NDArray[np.float32] = cv2.resize(self.level, self.shape[::-1], interpolation=cv2.INTER_LINEAR)
        return full

    def taken_from(self, plane: NDArray[Any], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Return a plane of the frame (Y, X) without its background, in `out` where it is given."""
        # In place: a plane of a frame is megabytes, and new memory costs more than the arithmetic.
        signal = np.empty(self.shape, np.float32) if out is None else out
        cv2.resize(self.level, self.shape[::-1], dst=signal, interpolation=cv2.INTER_LINEAR)
        cv2.subtract(plane, signal, dst=signal, dtype=cv2.CV_32F)
        return signal


def estimate_background(plane: NDArray[Any], pixel_size_um: float) -> Background:
    """Estimate the background of one channel.

    The frame is averaged over blocks of 5 um; in tiles of 75 um the lower quartile of the blocks is the
    background, so that three quarters of a tile may be covered by cells. A tile that stands out from its
    neighbours, as it is covered whole, takes their median; cubic interpolation leads back to pixels.

    Parameters
    ----------
    plane : ndarray, shape (Y, X)
        The channel in raw counts.
    pixel_size_um : float
        Side of a pixel in micrometres.

    Returns
    -------
    Background
    """
    rows, columns = plane.shape
    tile_rows = max(1, round(rows * pixel_size_um / TILE_UM))
    tile_columns = max(1, round(columns * pixel_size_um / TILE_UM))
    grid = _block_means(plane, max(1, min(round(GRID_UM / pixel_size_um), rows // tile_rows, columns // tile_columns)))
    noise = noise_of(plane)
    # The lower quartile of blocks of pure noise lies 0.67 of their standard deviation below their mean.
    below = np.float32(0.6745 * noise * (grid.size / plane.size) ** 0.5)
    level = np.zeros_like(grid)
    # On a slope a lower quartile lies below the middle of its tile: what a pass leaves, the next one finds.
    for _ in range(PASSES if min(tile_rows, tile_columns) >= ENOUGH_TILES else 1):
        tiles = _tile_quantiles(grid - level, tile_rows, tile_columns) + below
        level += _between_tiles(_without_covered(tiles, noise), *grid.shape)
    return Background(level, noise, (rows, columns))


def on_grid(smooth: NDArray[np.float32], pixel_size_um: float) -> NDArray[np.float32]:
    """Return the means of a plane (Y, X) over blocks of about 5 um."""
    return _block_means(smooth, max(1, min(round(GRID_UM / pixel_size_um), *smooth.shape)))


def wider_than(width_um: float, grid: NDArray[np.float32], noise: float) -> NDArray[np.float32]:
    """Return what lies under the cells and is not in the background: steps, plateaus, tissue, artefacts.

    It is for finding cells, not for measuring them: in a crowd without gaps it rises into the cells.

    Parameters
    ----------
    width_um : float
        Wider than anything that is to be found.
    grid : ndarray of float32, shape (about Y / 5 um, X / 5 um)
        A channel without its background, smoothed, as :func:`on_grid` gives it.
    noise : float
        Standard deviation of a pixel of the channel.

    Returns
    -------
    ndarray of float32, same shape
        The morphological opening by a square of that width; 0 where that is no more than noise.
    """
    side = round(width_um / GRID_UM) + 1
    if min(grid.shape) < side:
        return np.zeros_like(grid)
    opened = cv2.morphologyEx(cv2.blur(grid, (3, 3)), cv2.MORPH_OPEN, np.ones((side, side), np.uint8))
    return np.where(opened > STANDS_OUT * noise, opened, np.float32(0))


def noise_of(plane: NDArray[Any]) -> float:
    """Return the standard deviation of a background pixel of a channel (Y, X), in counts.

    From the differences of pixels two columns apart (neighbours can share a debayered or resampled value),
    by their median absolute deviation, which cells do not move. A frame without noise (8 bits of a dark
    frame) gets that of rounding: a twelfth of a step, squared.
    """
    step = 1.0 if np.issubdtype(plane.dtype, np.integer) else 0.0
    sample = (plane[::16] if plane.shape[1] > 2 else plane.T).astype(np.float32)
    differences = np.abs(sample[:, 2:] - sample[:, :-2])
    spread = 1.4826 * quantile(differences, 0.5) / np.sqrt(2) if differences.size else 0.0
    darkest, brightest, _, _ = cv2.minMaxLoc(plane)
    return float(max(spread, step / np.sqrt(12), 1e-4 * (brightest - darkest), np.finfo(np.float32).tiny))


def _without_covered(tiles: NDArray[np.float32], noise: float) -> NDArray[np.float32]:
    """Give tiles that stand out from their neighbours, because cells cover them whole, the neighbours' level."""
    if min(tiles.shape) < 3:
        return tiles
    around = cv2.medianBlur(tiles, 3)
    above = tiles - around
    spread = 1.4826 * float(np.median(np.abs(above)))
    return np.where(above > STANDS_OUT * (spread + noise / 2), around, tiles)


def _block_means(plane: NDArray[Any], side: int) -> NDArray[np.float32]:
    """Average a plane over whole blocks; a rest at the right and the bottom that fills no block is left out."""
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    # As float: OpenCV would round the means of whole numbers.
    means: NDArray[np.float32] = plane[: rows * side, : columns * side].astype(np.float32, copy=False)
    # OpenCV halves four times as fast as it takes any other factor, and other whole factors faster than the rest.
    while side > 1:
        factor = 2 if side % 2 == 0 else side
        side //= factor
        means = cv2.resize(means, (columns * side, rows * side), interpolation=cv2.INTER_AREA)
    return means


def _between_tiles(tiles: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Interpolate from tiles to blocks; beyond the outermost tiles' centres their slope goes on."""
    if min(tiles.shape) >= 2:
        # Cubic between the tiles, on a grid fine enough that straight lines lead on.
        wide = np.pad(tiles, 1, mode="reflect", reflect_type="odd")
        fine = cv2.resize(wide, None, fx=FINER, fy=FINER, interpolation=cv2.INTER_CUBIC)
        tiles = fine[FINER:-FINER, FINER:-FINER]
    full: NDArray[np.float32] = cv2.resize(tiles, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return full


def _tile_quantiles(grid: NDArray[np.float32], tile_rows: int, tile_columns: int) -> NDArray[np.float32]:
    """Return the lower quartile of each tile; a rest that does not fill a tile is left to its neighbour."""
    height, width = grid.shape[0] // tile_rows, grid.shape[1] // tile_columns
    kept = grid[: height * tile_rows, : width * tile_columns]
    tiles = kept.reshape(tile_rows, height, tile_columns, width).swapaxes(1, 2).reshape(-1, height * width)
    rank = int(LOW_QUANTILE * (height * width - 1))
    quantiles = np.partition(tiles, rank, axis=1)[:, rank]
    return quantiles.reshape(tile_rows, tile_columns)
