"""Dim cells in a frame whose brightest cells are many times as bright."""

import cv2
import numpy as np

from cher2.cells.segmentation import Segmentation, segment

PIXEL_UM = 0.64
DIM = (60, 60)
BRIGHT = ((60, 180), (180, 60), (180, 180))
RADIUS_PX = 10.0


def _frame(dim_dapi: float, dim_ck: float) -> dict[str, np.ndarray]:
    """Return four channels with three bright cells and a dim one, discs blurred by 0.6 um, over noise of 4 counts."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:240, :240]
    planes = {role: np.full((240, 240), 140.0) for role in ("dapi", "ck", "cd45", "her2")}
    for (row, column), dapi, ck in (*((at, 500.0, 1500.0) for at in BRIGHT), (DIM, dim_dapi, dim_ck)):
        away = np.hypot(y - row, x - column)
        planes["dapi"] += dapi * (away <= 0.65 * RADIUS_PX)
        planes["ck"] += ck * (away <= RADIUS_PX) * np.where(away <= 0.65 * RADIUS_PX, 0.7, 1.0)
    blurred = {role: cv2.GaussianBlur(plane, (0, 0), 0.6 / PIXEL_UM) for role, plane in planes.items()}
    return {role: np.rint(plane + rng.normal(0, 4, plane.shape)).astype(np.uint16) for role, plane in blurred.items()}


def _at(labels: np.ndarray) -> int:
    return int(labels[DIM])


def _segmented(dim_dapi: float, dim_ck: float) -> Segmentation:
    return segment(_frame(dim_dapi, dim_ck), PIXEL_UM)


def test_a_dim_body_reaches_to_its_own_edge() -> None:
    found = _segmented(300, 160)
    area = np.count_nonzero(found.labels == _at(found.labels))
    assert 0.85 <= area / (np.pi * RADIUS_PX**2) <= 1.15


def test_a_dim_nucleus_is_found_whole_where_cytokeratin_is() -> None:
    found = _segmented(70, 800)
    label = _at(found.nuclei)
    assert label > 0
    assert 0.8 <= np.count_nonzero(found.nuclei == label) / (np.pi * (0.65 * RADIUS_PX) ** 2) <= 1.2


def test_a_dim_nucleus_without_cytokeratin_is_left_out_as_before() -> None:
    assert _at(_segmented(50, 0).nuclei) == 0


def test_no_nucleus_is_found_in_cytokeratin_alone() -> None:
    found = _segmented(0, 800)
    assert _at(found.nuclei) == 0
    assert _at(found.labels) > 0
