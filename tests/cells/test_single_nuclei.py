"""Dim nuclei where another stain tells that a cell is there."""

import cv2
import numpy as np
import pytest
from scipy import ndimage

from cher2.cells.single_nuclei import OUTLINE, NuclearStain, find_dim_nuclei

SHAPE = (120, 160)
LOWEST, DIM_LOWEST = 25.0, 8.0
RADIUS_PX = 6.0


def _stain(*discs: tuple[tuple[int, int], float]) -> NuclearStain:
    """Return blurred discs, each of a centre (row, column) and a brightness, in a frame with nothing else."""
    plane = np.zeros(SHAPE, np.float32)
    for at, brightness in discs:
        plane[_disc(at, RADIUS_PX)] = brightness
    smooth = cv2.GaussianBlur(plane, (0, 0), 1.1)
    nowhere = np.zeros(SHAPE, np.bool_)
    return NuclearStain(smooth, np.zeros_like(smooth), LOWEST, 23.0, 0.64, nowhere)


def _disc(at: tuple[int, int], radius: float) -> np.ndarray:
    y, x = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return np.hypot(y - at[0], x - at[1]) <= radius


def _centres(stain: NuclearStain, epithelial: np.ndarray) -> list[tuple[int, int]]:
    nuclei, _ = find_dim_nuclei(epithelial, DIM_LOWEST, stain)
    middles = [(part.top + (part.mask.shape[0] - 1) / 2, part.left + (part.mask.shape[1] - 1) / 2) for part in nuclei]
    return [(round(row), round(column)) for row, column in middles]


def test_only_dim_nuclei_within_the_other_stain_are_found_top_to_bottom() -> None:
    dim, lower, bare, bright = (30, 120), (90, 40), (90, 120), (30, 40)
    stain = _stain((dim, 40), (lower, 20), (bare, 40), (bright, 200))
    assert _centres(stain, _disc(lower, 10) | _disc(bright, 10) | _disc(dim, 10)) == [dim, lower]


def test_the_pixels_are_those_of_the_regions_above_the_threshold() -> None:
    stain, epithelial = _stain(((30, 40), 40), ((30, 70), 200), ((90, 40), 30)), np.ones(SHAPE, np.bool_)
    labels, count = ndimage.label(epithelial & (stain.smooth > DIM_LOWEST))
    highest = ndimage.maximum(stain.smooth, labels, range(1, count + 1))
    dim = np.isin(labels, 1 + np.flatnonzero(highest < LOWEST / OUTLINE))
    _, pixels = find_dim_nuclei(epithelial, DIM_LOWEST, stain)
    assert sorted(pixels.tolist()) == np.flatnonzero(dim).tolist()


@pytest.mark.parametrize("apart", [14, 24])
def test_a_bright_nucleus_in_the_same_cell_hides_a_dim_one_only_where_they_touch(apart: int) -> None:
    dim = (40, 40 + apart)
    epithelial = np.zeros(SHAPE, np.bool_)
    epithelial[20:60, 20:90] = True
    found = _centres(_stain(((40, 40), 200), (dim, 40)), epithelial)
    assert found == ([dim] if apart == 24 else [])


def test_a_cell_within_the_hole_of_another_is_looked_at() -> None:
    at = (60, 80)
    around = _disc(at, 30) & ~_disc(at, 20)
    assert _centres(_stain((at, 40)), around | _disc(at, 9)) == [at]


def test_a_nucleus_at_the_corner_of_the_frame_is_found() -> None:
    nuclei, _ = find_dim_nuclei(np.ones(SHAPE, np.bool_), DIM_LOWEST, _stain(((2, 2), 40)))
    assert [(part.top, part.left) for part in nuclei] == [(0, 0)]


def test_nothing_is_found_where_the_other_stain_is_nowhere() -> None:
    nuclei, pixels = find_dim_nuclei(np.zeros(SHAPE, np.bool_), DIM_LOWEST, _stain(((40, 40), 40)))
    assert nuclei == []
    assert len(pixels) == 0
