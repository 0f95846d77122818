"""Shapes in pixels against scikit-image's ``regionprops``, whose definitions MCMICRO and CellProfiler have."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.draw import ellipse
from skimage.measure import regionprops_table

from cher2.exchange.shapes import shapes_px

PROPERTIES = {
    "area": "area",
    "major": "axis_major_length",
    "minor": "axis_minor_length",
    "orientation": "orientation",
    "extent": "extent",
    "solidity": "solidity",
}


def test_shapes_are_those_of_scikit_image():
    labels = np.zeros((200, 300), np.uint16)
    rng = np.random.default_rng(4)
    for number in (*range(3, 40), 900):
        y, x = rng.uniform(0, 200), rng.uniform(0, 300)
        radii = rng.uniform(4, 9), rng.uniform(10, 20)
        rows, columns = ellipse(y, x, *radii, shape=labels.shape, rotation=rng.uniform(-np.pi, np.pi))
        labels[rows, columns] = number
    expected = regionprops_table(labels, properties=("label", *PROPERTIES.values()))
    found = shapes_px(labels)
    assert found.index.tolist() == expected["label"].tolist()
    for name, theirs in PROPERTIES.items():
        np.testing.assert_allclose(found[name], expected[theirs], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("pixels", [[(3, 3)], [(3, 3), (3, 4), (3, 5)], [(3, 3), (4, 3)], [(3, 3), (4, 4)]])
def test_the_smallest_objects(pixels):
    labels = np.zeros((8, 9), np.int32)
    for place in pixels:
        labels[place] = 5
    expected = regionprops_table(labels, properties=("label", *PROPERTIES.values()))
    found = shapes_px(labels)
    for name, theirs in PROPERTIES.items():
        np.testing.assert_allclose(found[name], expected[theirs], atol=1e-12)


def test_no_object_gives_no_row():
    assert shapes_px(np.zeros((4, 5), np.int32)).shape == (0, 6)
