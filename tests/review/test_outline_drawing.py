"""Splitting a cell by a line, and making two cells one."""

from __future__ import annotations

import numpy as np
import pytest

from cher2.errors import ReviewError
from cher2.review.outline_drawing import merged_pixels, number_at, split_by_line, touch


@pytest.fixture
def labels():
    """Two cells of 10 x 20 side by side, and one of 10 x 10 away from them."""
    labels = np.zeros((60, 80), np.int32)
    labels[10:20, 10:30], labels[10:20, 30:50], labels[40:50, 10:20] = 1, 2, 3
    return labels


def part(labels, split):
    mask = np.zeros(labels.shape, bool)
    mask[split.pixels] = True
    return mask


def test_a_line_falls_between_pixels(labels):
    split = split_by_line(labels, (5, 17.5), (25, 17.5))
    expected = np.zeros(labels.shape, bool)
    expected[10:20, 10:18] = True
    assert split.object_id == 1
    assert np.array_equal(part(labels, split), expected), "the smaller part is the new cell"


def test_the_direction_of_the_line_does_not_matter(labels):
    there, back = (5.0, 14.0), (26.0, 25.0)
    one, other = split_by_line(labels, there, back), split_by_line(labels, back, there)
    # Pixels that the line goes right through may fall to either side.
    assert np.count_nonzero(part(labels, one) != part(labels, other)) <= 2
    assert 0.3 < len(one.pixels[0]) / 200 <= 0.5


def test_of_several_cells_the_one_that_is_crossed_longest_is_split(labels):
    assert split_by_line(labels, (8, 45), (13, 7)).object_id == 1
    assert split_by_line(labels, (15, 5), (15, 55)).object_id == 1, "of equals, the first"


@pytest.mark.parametrize(
    ("start", "end"),
    [((30, 30), (30, 60)), ((15, 15), (30, 15)), ((5, 15), (15, 15)), ((15, 15), (15, 15)), ((-9, -9), (-1, 90))],
)
def test_lines_that_cross_no_cell(labels, start, end):
    with pytest.raises(ReviewError, match="from edge to edge"):
        split_by_line(labels, start, end)


def test_a_line_that_only_touches_a_corner(labels):
    with pytest.raises(ReviewError, match="only touches"):
        split_by_line(labels, (9.6, 5), (9.6, 60))


def test_numbers_at_points(labels):
    assert number_at(labels, (12, 12)) == 1
    assert number_at(labels, (0, 0)) == 0
    assert number_at(labels, (-3, 5)) == number_at(labels, (60, 5)) == number_at(labels, (5, 80)) == 0


def test_cells_that_touch(labels):
    assert touch(labels, 1, 2)
    assert not touch(labels, 1, 3)
    assert not touch(labels, 7, 8)
    corner = np.zeros((6, 6), np.int32)
    corner[:3, :3], corner[3:, 3:] = 1, 2
    assert not touch(corner, 1, 2), "a corner is no edge"


def test_merged_cells(labels):
    rows, columns = merged_pixels(labels, 1, 2)
    labels[rows, columns] = 1
    assert (labels == 1).sum() == 400


@pytest.mark.parametrize(("kept", "other", "says"), [(1, 1, "two cells"), (1, 0, "two cells"), (1, 3, "do not touch")])
def test_cells_that_cannot_be_merged(labels, kept, other, says):
    with pytest.raises(ReviewError, match=says):
        merged_pixels(labels, kept, other)
