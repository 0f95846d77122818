"""What is measured of each object of a frame: size, shape, and the intensity of each channel.

Every statistic is one pass of ``bincount`` over the pixels that belong to an object, so that time grows with the
cells' area and not with their number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.cells.bodies import nearest_label
from cher2.cells.segmentation import Segmentation
from cher2.protocol import ROLES, Role

RING_GAP_UM = 2.5
"""From here on, outwards from the body, the blurred light of the cell itself is gone."""

RING_WIDTH_UM = 5.0
"""Width of the ring in which the local background is read."""

RING_MIN_PIXELS = 20
"""A ring with fewer pixels, in a crowd, gives no background: the frame's serves."""

GATE_QUANTILES = {"ck": 0.5, "cd45": 0.35}
"""What the gates look at: the median of cytokeratin does not follow a speck, and a low quantile of CD45 does not
follow a leukocyte that lies over most of a CTC."""

Sums = NDArray[np.float64]


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
    labels, count = segmentation.labels, int(segmentation.labels.max())
    pixels = np.flatnonzero(labels.ravel())
    owner = labels.ravel()[pixels]
    area = np.bincount(owner, minlength=count + 1)[1:].astype(float)
    table: dict[str, Any] = {"object_id": np.arange(1, count + 1, dtype=np.int32)}
    table |= _shape(pixels, owner, area, labels.shape, pixel_size_um)
    table["solidity"] = _solidity(labels, count)
    table |= _intensities(segmentation, pixels, owner, area, pixel_size_um)
    in_nucleus = segmentation.nuclei.ravel()[pixels] == owner
    table["nucleus_overlap"] = np.bincount(owner[in_nucleus], minlength=count + 1)[1:] / area
    full = np.zeros(len(pixels), bool)
    for role in ROLES:
        full |= planes[role].ravel()[pixels] >= saturation
    table["saturated_fraction"] = np.bincount(owner[full], minlength=count + 1)[1:] / area
    table["touches_border"] = _on_border(labels, count)
    return pd.DataFrame(table)


def _shape(
    pixels: NDArray[np.intp],
    owner: NDArray[np.int32],
    area: Sums,
    shape: tuple[int, ...],
    pixel_size_um: float,
) -> dict[str, Sums]:
    """Centroid, area, diameter and eccentricity; the moments as scikit-image's ``regionprops`` has them."""
    rows, columns = np.divmod(pixels, shape[1])
    size = len(area) + 1

    def mean(values: NDArray[Any]) -> Sums:
        return np.bincount(owner, weights=values, minlength=size)[1:] / area

    y, x = mean(rows), mean(columns)
    dy, dx = rows - y[owner - 1], columns - x[owner - 1]
    yy, xx, xy = mean(dy * dy), mean(dx * dx), mean(dy * dx)
    spread = np.sqrt((yy - xx) ** 2 + 4 * xy**2)
    larger, smaller = (yy + xx + spread) / 2, (yy + xx - spread) / 2
    area_um2 = area * pixel_size_um**2
    return {
        "y_px": y,
        "x_px": x,
        "area_um2": area_um2,
        "diameter_um": np.sqrt(4 * area_um2 / np.pi),
        "eccentricity": np.sqrt(np.clip(1 - smaller / np.maximum(larger, 1e-12), 0, 1)) * (larger > 0),
    }


def _solidity(labels: NDArray[np.int32], count: int) -> Sums:
    """Area over that of the convex hull of each object's outermost pixels, whole pixels counted."""
    values = np.ones(count)
    for number, (top, left, bottom, right) in enumerate(_boxes(labels, count)):
        mask = (labels[top:bottom, left:right] == number + 1).view(np.uint8)
        points = cv2.findNonZero(mask)
        hull = cv2.convexHull(points)
        # A hull through pixels' centres lacks half a pixel all around: the sum of a convex set with a square.
        hull_area = cv2.contourArea(hull) + (bottom - top - 1) + (right - left - 1) + 1
        values[number] = min(1.0, len(points) / hull_area)
    return values


def _boxes(labels: NDArray[np.int32], count: int) -> NDArray[np.intp]:
    """Return top, left, bottom and right (exclusive) of each label, shape (n, 4)."""
    rows, columns = np.nonzero(labels)
    owner = labels[rows, columns]
    boxes = np.empty((count + 1, 4), np.intp)
    boxes[:, :2], boxes[:, 2:] = np.iinfo(np.intp).max, -1
    np.minimum.at(boxes[:, 0], owner, rows)
    np.minimum.at(boxes[:, 1], owner, columns)
    np.maximum.at(boxes[:, 2], owner, rows + 1)
    np.maximum.at(boxes[:, 3], owner, columns + 1)
    return boxes[1:]


def _intensities(
    segmentation: Segmentation,
    pixels: NDArray[np.intp],
    owner: NDArray[np.int32],
    area: Sums,
    pixel_size_um: float,
) -> dict[str, Sums]:
    size = len(area) + 1
    ring, ring_owner, ring_area = _rings(segmentation.labels, len(area), pixel_size_um)
    nuclei = segmentation.nuclei.ravel()[pixels] == owner
    nuclear_area = np.bincount(owner[nuclei], minlength=size)[1:]
    table: dict[str, Sums] = {}
    for role in ROLES:
        signal = segmentation.signals[role].ravel()
        local, ring_variance = _ring_statistics(signal[ring], ring_owner, ring_area)
        inside = signal[pixels].astype(float)
        mean = np.bincount(owner, weights=inside, minlength=size)[1:] / area
        if role == "dapi":
            within = np.bincount(owner[nuclei], weights=inside[nuclei], minlength=size)[1:]
            mean = np.where(nuclear_area > 0, within / np.maximum(nuclear_area, 1), mean)
        table[f"{role}_mean"] = mean - local
        if role in ("ck", "cd45"):
            part = GATE_QUANTILES[role]
            table[f"{role}_gate"] = _grouped_quantile(signal[pixels], owner, area, part, least=1) - local
        if role == "her2":
            background = segmentation.backgrounds[role]
            under = background.plane.ravel()[pixels].astype(float)
            raw = np.bincount(owner, weights=under, minlength=size)[1:] / area + local
            table["her2_background"] = raw
            noise = np.where(ring_area >= RING_MIN_PIXELS, ring_variance, background.noise**2)
            table["her2_se"] = _standard_error(mean - local, raw, noise, area, ring_area)
    return table


def _standard_error(mean: Sums, background: Sums, noise: Sums, area: Sums, ring_area: Sums) -> Sums:
    """Return the standard error of a mean over a body less that of its ring, in counts.

    The shot noise of the cell's own light grows with it as the background's variance grows with the
    background: taken from the variance in the ring, which holds the read noise too, it errs to the safe side.
    """
    per_count = noise / np.maximum(background, 1.0)
    in_body = (noise + per_count * np.maximum(mean, 0.0)) / area
    in_ring = noise / np.maximum(ring_area, RING_MIN_PIXELS)
    return np.asarray(np.sqrt(in_body + in_ring))


def _rings(
    labels: NDArray[np.int32], count: int, pixel_size_um: float
) -> tuple[NDArray[np.intp], NDArray[np.int32], Sums]:
    """Return the pixels of the rings around the objects, their owners, and the pixels of each ring."""
    if count == 0:
        return np.empty(0, np.intp), np.empty(0, np.int32), np.empty(0)
    nearest, distance = nearest_label(labels)
    gap = RING_GAP_UM / pixel_size_um
    ring = np.flatnonzero((distance > gap) & (distance <= gap + RING_WIDTH_UM / pixel_size_um))
    owner = nearest.ravel()[ring]
    return ring, owner, np.bincount(owner, minlength=count + 1)[1:].astype(float)


def _ring_statistics(values: NDArray[np.float32], owner: NDArray[np.int32], ring_area: Sums) -> tuple[Sums, Sums]:
    """Return the median of each ring, and its variance by the median absolute deviation.

    A ring with too few pixels has no level of its own: 0, the frame's background.
    """
    level = _grouped_quantile(values, owner, ring_area)
    deviation = np.abs(values - level[owner - 1]).astype(np.float32)
    spread = 1.4826 * _grouped_quantile(deviation, owner, ring_area)
    return level, spread**2


def _grouped_quantile(
    values: NDArray[np.float32],
    owner: NDArray[np.int32],
    sizes: Sums,
    part: float = 0.5,
    least: int = RING_MIN_PIXELS,
) -> Sums:
    """Return a lower quantile of the values of each owner; 0 where there are fewer than `least`."""
    quantiles = np.zeros(len(sizes))
    if len(values) == 0:
        return quantiles
    low, high = float(values.min()), float(values.max())
    step = (high - low) / 65535 or 1.0
    # One sort of whole numbers orders by owner first and by value (in 65,536 steps) second.
    keys = (owner.astype(np.int64) << 16) | np.rint((values - low) / step).astype(np.int64)
    keys.sort()
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)
    enough = sizes >= least
    middle = first[enough] + (part * (sizes[enough] - 1)).astype(np.intp)
    quantiles[enough] = (keys[middle] & 0xFFFF) * step + low
    return quantiles


def _on_border(labels: NDArray[np.int32], count: int) -> NDArray[np.bool_]:
    touches = np.zeros(count + 1, bool)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        touches[edge] = True
    return touches[1:]
