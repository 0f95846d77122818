"""The choice among nested regions, on drawn planes whose nuclei are known."""

import cv2
import numpy as np
import pytest

from cher2.cells.nested import find_seeds, outlined


def discs(*each, shape=(80, 120), blur=1.5):
    """Draw discs (y, x, radius, height), the later on top of the earlier, and blur them."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    plane = np.zeros(shape, np.float32)
    for y, x, radius, height in each:
        plane[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = height
    return cv2.GaussianBlur(plane, (0, 0), blur)


def seeds_of(plane, lowest=5.0):
    return find_seeds(plane > lowest, plane, cv2.Laplacian(plane, cv2.CV_32F, ksize=3), lowest, 10.0)


def test_two_nuclei_in_one_haze_are_two_and_the_haze_is_none():
    # The haze is round, and so a nucleus by its shape alone; the flow through its outline is the weaker.
    seeds = seeds_of(discs((40, 60, 38, 20), (40, 42, 9, 100), (40, 78, 9, 60)))
    assert seeds.max() == 2
    assert seeds[40, 42] != seeds[40, 78]
    assert seeds[40, 60] == seeds[10, 60] == 0


def test_texture_does_not_divide_a_nucleus():
    seeds = seeds_of(discs((40, 60, 22, 100), (34, 52, 4, 118), (46, 66, 4, 118)))
    assert seeds.max() == 1
    assert np.count_nonzero(seeds) == pytest.approx(np.pi * 22**2, rel=0.15)


def test_region_without_an_edge_has_no_seed():
    hollow = 50 - discs((40, 60, 30, 40), blur=12)
    assert seeds_of(hollow)[40, 60] == 0


def test_outline_is_at_the_edge_on_a_bright_ground():
    # Half of the whole height (70) would lie below the ground of 80.
    plane = 80 + discs((40, 60, 12, 60))
    curvature = cv2.Laplacian(plane, cv2.CV_32F, ksize=3)
    basin = np.zeros(plane.shape, np.int32)
    basin[10:70, 30:90] = 1
    nucleus = outlined(basin, np.array([50]), plane, curvature, 5.0)
    assert np.count_nonzero(nucleus) == pytest.approx(np.pi * 12**2, rel=0.15)


def test_hollow_basin_has_no_outline():
    plane = 100 - discs((40, 60, 12, 60))
    curvature = cv2.Laplacian(plane, cv2.CV_32F, ksize=3)
    basin = np.zeros(plane.shape, np.int32)
    basin[28:53, 48:73] = np.hypot(*np.ogrid[-12:13, -12:13]) < 9
    assert not outlined(basin, np.array([np.count_nonzero(basin)]), plane, curvature, 5.0).any()


def test_a_small_hole_is_texture_and_a_large_one_a_gap():
    # Two rings; the hole of one has 29 pixels, that of the other 113.
    plane = discs((40, 30, 12, 100), (40, 30, 3, 1), (40, 80, 12, 100), (40, 80, 6, 1), blur=0.5)
    basins = np.zeros(plane.shape, np.int32)
    basins[20:60, 10:50], basins[20:60, 60:100] = 1, 2
    nuclei = outlined(basins, np.array([50, 50]), plane, cv2.Laplacian(plane, cv2.CV_32F, ksize=3), 60.0)
    assert nuclei[40, 30] == 1
    assert nuclei[40, 80] == 0
    assert nuclei[40, 90] == 2


def test_parts_beside_each_other_have_the_seeds_that_each_has_alone():
    one = discs((40, 60, 38, 20), (40, 42, 9, 100), (40, 78, 9, 60))
    other = discs((40, 60, 22, 100), (34, 52, 4, 118), (46, 66, 4, 118))
    both = np.hstack([one, np.zeros((80, 1), np.float32), other])
    together, apart = seeds_of(both), (seeds_of(one), seeds_of(other))
    assert together.max() == sum(int(seeds.max()) for seeds in apart)
    np.testing.assert_array_equal(together[:, :120] > 0, apart[0] > 0)
    np.testing.assert_array_equal(together[:, 121:] > 0, apart[1] > 0)
