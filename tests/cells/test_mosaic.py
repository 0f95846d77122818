"""Parts side by side: what is read there is what the frame has, and pieces find back to their places."""

import cv2
import numpy as np
import pytest

from cher2.cells.mosaic import side_by_side
from cher2.cells.parts import Part


@pytest.fixture
def frame():
    return np.random.default_rng(3).integers(1, 1000, (60, 83)).astype(np.float32)


@pytest.fixture
def parts():
    # The second and the third overlap in the frame; the fourth is a ring, the last a pixel in the corner.
    ring = np.ones((7, 9), bool)
    ring[3, 3:6] = False
    shapes = [(0, 0, np.ones((5, 30), bool)), (10, 10, np.ones((20, 4), bool)), (12, 8, np.eye(12, dtype=bool))]
    return [Part(*shape) for shape in [*shapes, (40, 70, ring), (59, 82, np.ones((1, 1), bool))]]


def test_each_part_has_its_pixels_of_the_frame(frame, parts):
    mosaic = side_by_side(parts, frame.shape[1])
    plane = mosaic.of(frame)
    assert not plane[mosaic.labels == 0].any()
    for number, part in enumerate(parts, 1):
        # In raster order, as in the part's own window.
        np.testing.assert_array_equal(plane[mosaic.labels == number], part.of(frame)[part.mask])


def test_no_two_parts_touch(parts):
    mosaic = side_by_side(parts, 83)
    around = cv2.dilate(mosaic.labels.astype(np.float32), np.ones((3, 3)))
    assert (around[mosaic.labels > 0] == mosaic.labels[mosaic.labels > 0]).all()
    assert not np.concatenate([mosaic.labels[[0, -1]].ravel(), mosaic.labels[:, [0, -1]].ravel()]).any()


def test_pieces_come_back_to_their_places(frame, parts):
    mosaic = side_by_side(parts, frame.shape[1])
    for (number, piece), part in zip(mosaic.parts(mosaic.labels), parts, strict=True):
        assert parts[number - 1] is part
        assert (piece.top, piece.left) == (part.top, part.left)
        np.testing.assert_array_equal(piece.mask, part.mask)


def test_a_piece_tells_its_part_and_a_missing_one_is_left_out(parts):
    mosaic = side_by_side(parts, 83)
    labels = np.where(mosaic.labels == 4, 3, 0).astype(np.int32)
    ((number, piece),) = mosaic.parts(labels)
    assert number == 4
    assert (piece.top, piece.left) == (40, 70)


def test_nothing_makes_an_empty_mosaic(frame):
    mosaic = side_by_side([], frame.shape[1])
    assert not mosaic.of(frame).any()
    assert mosaic.parts(mosaic.labels) == []
