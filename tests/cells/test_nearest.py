"""Pairs of points and centroids, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from cher2.cells.nearest import nearest_pairs


def pairs(points, centroids, radius, point_radius=None):
    given = [np.array(places, dtype=float).reshape(-1, 2) for places in (points, centroids)]
    reach = None if point_radius is None else np.array(point_radius, dtype=float)
    found = nearest_pairs(*given, np.array(radius, dtype=float), reach)
    return dict(zip(*found, strict=True))


def test_a_point_on_a_centroid_belongs_to_it():
    assert pairs([(7, 7)], [(0, 0), (7, 7)], [5, 5]) == {0: 1}


@pytest.mark.parametrize(("far", "found"), [(4.999, {0: 0}), (5, {0: 0}), (5.001, {})])
def test_the_radius_itself_still_counts(far, found):
    assert pairs([(0, far)], [(0, 0)], [5]) == found


def test_each_centroid_has_its_own_radius():
    # 6 away from a small cell and 8 from a large one.
    assert pairs([(0, 6)], [(0, 0), (0, 14)], [5, 10]) == {0: 1}


def test_the_nearest_pair_goes_first_and_the_next_takes_what_is_left():
    # Point 1 lies nearest to both centroids, and takes the nearer; point 0 gets the other though it is farther.
    assert pairs([(0, 0), (0, 3)], [(0, 4), (0, 8)], [10, 10]) == {1: 0, 0: 1}
    # One centroid for two points: the farther one goes without.
    assert pairs([(0, 0), (0, 3)], [(0, 4)], [10]) == {1: 0}


def test_a_point_may_reach_farther_than_the_centroid():
    assert pairs([(0, 8)], [(0, 0)], [5]) == {}
    assert pairs([(0, 8)], [(0, 0)], [5], [8]) == {0: 0}
    assert pairs([(0, 8)], [(0, 0)], [8], [1]) == {0: 0}


def test_a_point_beyond_its_reach_does_not_block_one_within():
    # Point 0 is nearer but may not reach 15; point 1 may reach 18.
    assert pairs([(0, 15), (0, -18)], [(0, 0)], [10], [10, 20]) == {1: 0}


def test_nothing_gives_nothing():
    assert pairs([], [(0, 0)], [5]) == {}
    assert pairs([(0, 0)], [], []) == {}
    assert pairs([], [], [], []) == {}


def test_well_separated_cells_are_paired_as_the_best_assignment_pairs_them():
    rng = np.random.default_rng(3)
    grid = np.stack(np.meshgrid(np.arange(20) * 30.0, np.arange(20) * 30.0), axis=-1).reshape(-1, 2)
    points = grid[rng.permutation(400)] + rng.uniform(-5, 5, (400, 2))
    far = np.hypot(*(points[:, None] - grid[None]).transpose(2, 0, 1))
    rows, columns = linear_sum_assignment(far)
    assert pairs(points, grid, np.full(400, 8.0)) == dict(zip(rows.tolist(), columns.tolist(), strict=True))
