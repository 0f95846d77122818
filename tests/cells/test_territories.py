"""Territories on a grid, against the exact distance transform of scipy at every pixel."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from cher2.cells.territories import GRID_UM, find_territories, set_apart


@pytest.fixture
def labels():
    drawn = np.zeros((90, 121), np.int32)
    for number, (y, x) in enumerate([(20, 20), (22, 60), (60, 40), (70, 100)], 1):
        rows, columns = np.ogrid[:90, :121]
        drawn[(rows - y) ** 2 + (columns - x) ** 2 <= 36] = number
    return drawn


@pytest.mark.parametrize("pixel_size_um", [0.32, 0.64, 1.28])
def test_owners_and_distances_are_those_of_every_pixel_within_a_step(labels, pixel_size_um):
    away, (rows, columns) = distance_transform_edt(labels == 0, return_indices=True)
    owner, distance_um = find_territories(labels, pixel_size_um).at(np.arange(labels.size))
    step = round(GRID_UM / pixel_size_um)
    assert np.abs(distance_um / pixel_size_um - away.ravel()).max() <= 2 * step
    nearest = labels[rows, columns].ravel()
    # Only along the line between two territories may the grid's owner differ.
    assert np.mean(owner != nearest) < 0.06
    assert (owner[labels.ravel() > 0] == labels.ravel()[labels.ravel() > 0]).mean() > 0.9


def test_nobody_owns_an_empty_frame():
    owner, _ = find_territories(np.zeros((5, 7), np.int32), 0.64).at(np.arange(35))
    assert (owner == 0).all()


def test_the_mean_around_a_point_is_that_of_its_block(labels):
    plane = np.random.default_rng(1).normal(size=labels.shape).astype(np.float32)
    territories = find_territories(labels, 0.64)
    means = territories.means(plane, np.array([0, 3 * territories.owner.shape[1] + 5]))
    assert means[1] == pytest.approx(plane[6:8, 10:12].mean(), rel=1e-5)


def test_objects_that_meet_are_set_apart_and_others_stay():
    labels = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [0, 0, 0, 0], [3, 3, 3, 0]], np.int32)
    assert set_apart(labels, np.flatnonzero(labels)).tolist() == [
        [1, 0, 1, 1],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [1, 1, 0, 0],
    ]


def test_objects_at_the_last_row_and_column_are_set_apart_as_elsewhere():
    drawn = np.random.default_rng(5).integers(0, 3, (7, 9)).astype(np.int32)
    expected = drawn > 0
    expected[:, :-1] &= drawn[:, :-1] == drawn[:, 1:]
    expected[:-1] &= drawn[:-1] == drawn[1:]
    np.testing.assert_array_equal(set_apart(drawn, np.flatnonzero(drawn)), expected)
