"""What is measured of each object of a frame: size, shape, and the intensity of each channel.

Every statistic is a pass over the pixels that belong to an object, so that time grows with the cells' area and not
with their number times the frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.cells.grouped import quantile_within
from cher2.cells.parts import disc
from cher2.cells.rings import local_background
from cher2.cells.segmentation import Segmentation
from cher2.cells.territories import set_apart
from cher2.protocol import ROLES, Role

CK_QUANTILE, CD45_QUANTILE = 0.5, 0.35
"""What the gates look at: the median of cytokeratin does not follow a speck, and a low quantile of CD45 does not
follow a leukocyte that lies over part of a CTC."""

LEAST_OWN = 0.3
"""Part of a body free of leukocytes from which its CD45 is read there alone."""

MEMBRANE_UM = 1.3
"""Width of the membrane ring: the body's outermost part, as far as this optics can tell it."""

HIGH_QUANTILE = 0.9
"""The quantile of ``her2_p90``."""

SATURATED = 0.01
"""Part of a body that may be saturated in HER2 before its mean is no measurement."""

Sums = NDArray[np.float64]
Flat = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class _Bodies:
    """The pixels of all bodies of a frame: flat index, row, column, owner; object by object in raster order."""

    pixels: Flat
    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    owner: Flat
    first: Flat
    area: Sums

    def mean(self, values: NDArray[Any]) -> Sums:
        """Return the mean over each body of a value per pixel."""
        return self.sum(values) / self.area

    def sum(self, values: NDArray[Any]) -> Sums:
        """Return the sum over each body of a value per pixel."""
        return np.asarray(np.add.reduceat(values, self.first, dtype=np.float64))

    def quantile(self, values: NDArray[np.float32], part: float) -> Sums:
        """Return the lower quantile over each body of a value per pixel."""
        return quantile_within(values, self.owner, self.area.astype(np.intp), part)


def measure(
    segmentation: Segmentation, planes: Mapping[Role, NDArray[Any]], pixel_size_um: float, saturation: float
) -> pd.DataFrame:
    """Measure every object of a frame.

    Parameters
    ----------
    segmentation : Segmentation
        The objects, and the channels without background.
    planes : dict of ndarray, shape (Y, X)
        The channels in raw counts, by role.
    pixel_size_um : float
        Side of a pixel in micrometres.
    saturation : float
        The count at which the camera saturates.

    Returns
    -------
    DataFrame
        One row an object, with the measured columns of :data:`cher2.cells.objects.COLUMNS` from ``object_id``
        on; intensities in counts.
    """
    shape = segmentation.labels.shape
    bodies = _bodies(segmentation.labels)
    table: dict[str, Any] = {"object_id": np.arange(1, len(bodies.area) + 1, dtype=np.int32)}
    table |= _shape(bodies, pixel_size_um)
    boxes = _boxes(bodies)
    table["solidity"] = _solidity(bodies, boxes)
    table |= _intensities(segmentation, bodies, pixel_size_um)
    table["nucleus_overlap"] = bodies.mean(_in_nucleus(segmentation, bodies))
    full = {role: planes[role].ravel()[bodies.pixels] >= saturation for role in ROLES}
    table["saturated_fraction"] = bodies.mean(np.logical_or.reduce([*full.values()]))
    table["touches_border"] = (boxes[:, :2] == 0).any(axis=1) | (boxes[:, 2:] == shape).any(axis=1)
    cut = _mostly_outside(boxes, shape)
    saturated = bodies.mean(full["her2"]) > SATURATED
    table["not_measurable"] = np.select([saturated, cut], ["HER2 saturated", "cut by the border"], default="")
    return pd.DataFrame(table)


def without_her2(objects: pd.DataFrame) -> pd.DataFrame:
    """Return the table of a frame that has no HER2 channel: what was read of it is no 0."""
    emptied = objects.assign(not_measurable="no HER2 channel")
    emptied[[name for name in objects.columns if name.startswith("her2_")]] = np.nan
    return emptied


def _bodies(labels: NDArray[np.int32]) -> _Bodies:
    """List the pixels of all objects of a label image (Y, X; 1 to n), object by object."""
    count = int(labels.max())
    pixels = np.flatnonzero(labels > 0)
    # Whole numbers sort fastest: the owner in front, the place behind.
    keys = (labels.ravel()[pixels].astype(np.int64) << 32) | pixels
    keys.sort()
    pixels, owner = (keys & 0xFFFFFFFF).astype(np.intp), (keys >> 32).astype(np.intp) - 1
    # Numbers of 32 bits divide several times as fast as those of 64.
    rows, columns = np.divmod(pixels.astype(np.int32), np.int32(labels.shape[1]))
    first = np.searchsorted(owner, np.arange(count))
    return _Bodies(pixels, rows, columns, owner, first, np.bincount(owner, minlength=count).astype(float))


def _shape(bodies: _Bodies, pixel_size_um: float) -> dict[str, Sums]:
    """Centroid, area, diameter and eccentricity; the moments as scikit-image's ``regionprops`` has them."""
    y, x = bodies.mean(bodies.rows), bodies.mean(bodies.columns)
    dy, dx = bodies.rows - y[bodies.owner], bodies.columns - x[bodies.owner]
    yy, xx, xy = bodies.mean(dy * dy), bodies.mean(dx * dx), bodies.mean(dy * dx)
    spread = np.sqrt((yy - xx) ** 2 + 4 * xy**2)
    larger, smaller = (yy + xx + spread) / 2, (yy + xx - spread) / 2
    area_um2 = bodies.area * pixel_size_um**2
    return {
        "y_px": y,
        "x_px": x,
        "area_um2": area_um2,
        "diameter_um": np.sqrt(4 * area_um2 / np.pi),
        "eccentricity": np.sqrt(np.clip(1 - smaller / np.maximum(larger, 1e-12), 0, 1)) * (larger > 0),
    }


def _boxes(bodies: _Bodies) -> NDArray[np.intp]:
    """Return top, left, bottom and right (exclusive) of each object, shape (n, 4)."""
    if len(bodies.area) == 0:
        return np.empty((0, 4), np.intp)
    edges = [
        extreme.reduceat(place, bodies.first)
        for extreme in (np.minimum, np.maximum)
        for place in (bodies.rows, bodies.columns)
    ]
    boxes: NDArray[np.intp] = np.stack(edges, axis=1) + np.array([0, 0, 1, 1])
    return boxes


def _solidity(bodies: _Bodies, boxes: NDArray[np.intp]) -> Sums:
    """Area over that of the convex hull of each object's outermost pixels, whole pixels counted."""
    # The first and the last pixel of each row of an object have the same hull as all.
    starts = np.ones(len(bodies.pixels), np.bool_)
    starts[1:] = (np.diff(bodies.rows) != 0) | (np.diff(bodies.owner) != 0)
    outermost = starts | np.append(starts[1:], True)
    points = np.stack([bodies.columns[outermost], bodies.rows[outermost]], axis=1)
    ends = np.cumsum(bodies.sum(outermost)).astype(np.intp).tolist()
    hulls = [cv2.contourArea(cv2.convexHull(points[a:b])) for a, b in pairwise([0, *ends])]
    # A hull through pixels' centres lacks half a pixel all around: the sum of a convex set with a square.
    height, width = (boxes[:, 2:] - boxes[:, :2] - 1).T
    solidity: Sums = np.minimum(1.0, bodies.area / (np.array(hulls, np.float64) + height + width + 1))
    return solidity


def _mostly_outside(boxes: NDArray[np.intp], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Say which objects show less than half of themselves: a disc does when it is wider than twice its depth."""
    outside = np.zeros(len(boxes), bool)
    depths = boxes[:, 2:] - boxes[:, :2]
    for axis in (0, 1):
        cut = (boxes[:, axis] == 0) | (boxes[:, axis + 2] == shape[axis])
        outside |= cut & (2 * depths[:, axis] < depths[:, 1 - axis])
    return outside


def _in_nucleus(segmentation: Segmentation, bodies: _Bodies) -> NDArray[np.bool_]:
    within: NDArray[np.bool_] = segmentation.nuclei.ravel()[bodies.pixels] == bodies.owner + 1
    return within


def _intensities(segmentation: Segmentation, bodies: _Bodies, pixel_size_um: float) -> dict[str, Sums]:
    local = local_background(segmentation.labels, segmentation.signals, pixel_size_um)
    table: dict[str, Sums] = {}
    for role in ROLES:
        inside = segmentation.signals[role].ravel()[bodies.pixels]
        level = local.level[role]
        if role == "dapi":
            table["dapi_mean"] = _nuclear_mean(segmentation, bodies, inside) - level
            continue
        table[f"{role}_mean"] = bodies.mean(inside) - level
        if role == "ck":
            table["ck_gate"] = bodies.quantile(inside, CK_QUANTILE) - level
        if role == "cd45":
            table["cd45_gate"] = _own_cd45(segmentation, bodies, inside) - level
    background = segmentation.backgrounds["her2"]
    table["her2_background"] = bodies.mean(background.plane.ravel()[bodies.pixels]) + local.level["her2"]
    noise = np.where(local.is_known, local.her2_variance, background.noise**2)
    table["her2_se"] = _standard_error(table["her2_mean"], table["her2_background"], noise, bodies.area, local.area)
    table["her2_p90"] = bodies.quantile(inside, HIGH_QUANTILE) - local.level["her2"]
    on_membrane = _on_membrane(segmentation.labels, bodies, pixel_size_um).ravel()[bodies.pixels]
    table["her2_membrane"] = _mean_where(inside, on_membrane, bodies) - local.level["her2"]
    return table


def _own_cd45(segmentation: Segmentation, bodies: _Bodies, inside: NDArray[np.float32]) -> Sums:
    """Return the low quantile of CD45 over each body, without what a leukocyte lies over if enough is left."""
    own = ~segmentation.overlaid.ravel()[bodies.pixels]
    own |= (bodies.sum(own) < LEAST_OWN * bodies.area)[bodies.owner]
    return quantile_within(inside[own], bodies.owner[own], bodies.sum(own).astype(np.intp), CD45_QUANTILE)


def _nuclear_mean(segmentation: Segmentation, bodies: _Bodies, inside: NDArray[np.float32]) -> Sums:
    """Return the mean over the nucleus, over the body where there is none."""
    in_nucleus = _in_nucleus(segmentation, bodies)
    has_nucleus = bodies.sum(in_nucleus) > 0
    return np.where(has_nucleus, _mean_where(inside, in_nucleus, bodies), bodies.mean(inside))


def _mean_where(values: NDArray[np.float32], chosen: NDArray[np.bool_], bodies: _Bodies) -> Sums:
    return bodies.sum(values * chosen) / np.maximum(bodies.sum(chosen), 1)


def _on_membrane(labels: NDArray[np.int32], bodies: _Bodies, pixel_size_um: float) -> NDArray[np.bool_]:
    """Return where the pixels of bodies (Y, X) are the outermost ones, towards a neighbour too."""
    radius = max(1, round(MEMBRANE_UM / pixel_size_um) - 1)
    membrane: NDArray[np.bool_] = cv2.erode(set_apart(labels, bodies.pixels), disc(radius)) == 0
    return membrane


def _standard_error(mean: Sums, background: Sums, noise: Sums, area: Sums, ring_area: Sums) -> Sums:
    """Return the standard error of a mean over a body less that of its ring, in counts.

    The shot noise of the cell's own light grows with it as the background's variance grows with the
    background: taken from the variance in the ring, which holds the read noise too, it errs to the safe side.
    """
    per_count = noise / np.maximum(background, 1.0)
    in_body = (noise + per_count * np.maximum(mean, 0.0)) / area
    in_ring = noise / np.maximum(ring_area, 1.0)
    return np.asarray(np.sqrt(in_body + in_ring))
