"""Outlines as polygons: they enclose exactly the pixels of their object, and are simple rings."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from cher2.exchange.polygons import outlines


def signed_area(ring):
    """By the shoelace formula; positive counter-clockwise."""
    x, y = np.transpose(ring)
    return ((x[:-1] * y[1:]) - (x[1:] * y[:-1])).sum() / 2


def filled(polygons, shape):
    """Return the pixels whose centre lies inside, by the even-odd rule: a ray to the left crosses upright edges."""
    inside = np.zeros(shape, dtype=bool)
    for polygon in polygons:
        for ring in polygon:
            for (x, y), (x_next, y_next) in pairwise(ring):
                if x == x_next:
                    inside[min(y, y_next) : max(y, y_next), x:] ^= True
    return inside


@settings(max_examples=150, deadline=None)
@given(arrays(np.uint16, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 2)))
def test_polygons_enclose_exactly_the_objects_pixels(labels):
    found = dict(outlines(labels))
    assert set(found) == set(np.unique(labels)) - {0}
    for label, polygons in found.items():
        np.testing.assert_array_equal(filled(polygons, labels.shape), labels == label)
        for outer, *holes in polygons:
            assert signed_area(outer) > 0
            assert all(signed_area(hole) < 0 for hole in holes)
        area = sum(signed_area(ring) for polygon in polygons for ring in polygon)
        assert area == (labels == label).sum()
        for ring in (ring for polygon in polygons for ring in polygon):
            assert ring[0] == ring[-1]
            # No ring touches itself: such a polygon is not valid, and programs refuse it.
            assert len({tuple(point) for point in ring}) == len(ring) - 1


def test_one_pixel_is_a_square_from_its_outer_corners():
    labels = np.zeros((4, 5), np.uint16)
    labels[2, 3] = 7
    ((label, polygons),) = outlines(labels)
    assert label == 7
    ((ring,),) = polygons
    assert {tuple(point) for point in ring} == {(3, 2), (4, 2), (4, 3), (3, 3)}


def test_a_ring_of_pixels_has_a_hole_and_a_part_apart_is_a_polygon_of_its_own():
    labels = np.zeros((6, 8), np.uint32)
    labels[1:4, 1:4] = 1
    labels[2, 2] = 0
    labels[5, 7] = 1
    ((_, polygons),) = outlines(labels)
    assert sorted(len(polygon) for polygon in polygons) == [1, 2]
    assert sorted(len(ring) for polygon in polygons for ring in polygon) == [5, 5, 5]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint32, np.int64, np.uint64])
def test_labels_of_any_integer_and_images_without_any(dtype):
    assert list(outlines(np.zeros((3, 3), dtype))) == []
    labels = np.full((3, 4), 2, dtype)
    ((label, ((ring,),)),) = outlines(labels)
    assert (label, signed_area(ring)) == (2, 12)
