"""Shapes of objects in pixels, as scikit-image's ``regionprops`` has them: what other programs' tables want.

All objects of a frame at once, from sums over their pixels; only the convex hull, which cher2's own tables draw around
the pixels' outlines and scikit-image otherwise, is asked of scikit-image itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skimage.measure import regionprops_table


def shapes_px(labels: NDArray[Any]) -> pd.DataFrame:
    """Measure the shape of every object of a label image.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
        0 is background.

    Returns
    -------
    DataFrame
        One row an object in the order of labels, with that label as its index: ``area`` (pixels); ``major, minor``
        (axes of the ellipse with the same second moments, in pixels); ``orientation`` (radians between the first axis
        (rows) and the major axis, from -pi/2 to pi/2, counter-clockwise); ``extent`` (area over that of the bounding
        box); ``solidity`` (area over that of the convex hull's pixels).
    """
    rows, columns = np.nonzero(labels)
    numbers, owner = np.unique(labels[rows, columns], return_inverse=True)
    count = len(numbers)

    def mean(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(owner, values, count) / area)

    area = np.bincount(owner, minlength=count).astype(float)
    y, x = rows - mean(rows)[owner], columns - mean(columns)[owner]
    yy, xx, xy = mean(y * y), mean(x * x), mean(x * y)
    spread = np.sqrt((yy - xx) ** 2 + 4 * xy**2)
    box = _side(rows, owner, count) * _side(columns, owner, count)
    table = {
        "area": area,
        "major": 4 * np.sqrt((yy + xx + spread) / 2),
        "minor": 4 * np.sqrt(np.maximum((yy + xx - spread) / 2, 0)),
        "orientation": _orientation(yy, xx, xy),
        "extent": area / box,
        "solidity": regionprops_table(labels, properties=("solidity",))["solidity"],
    }
    return pd.DataFrame(table, index=pd.Index(numbers.astype(np.int64), name="object_id"))


def _side(places: NDArray[Any], owner: NDArray[Any], count: int) -> NDArray[np.float64]:
    """Return the length of each object's bounding box along one axis."""
    first, last = np.full(count, np.iinfo(np.int64).max), np.full(count, -1)
    np.minimum.at(first, owner, places)
    np.maximum.at(last, owner, places)
    return np.asarray(last - first + 1, dtype=np.float64)


def _orientation(yy: NDArray[Any], xx: NDArray[Any], xy: NDArray[Any]) -> NDArray[np.float64]:
    """Return the angle of the major axis; where an object is as wide as high, 45 degrees one way or the other."""
    angle = 0.5 * np.arctan2(2 * xy, yy - xx)
    return np.asarray(np.where(yy == xx, np.where(xy > 0, np.pi / 4, -np.pi / 4), angle))
