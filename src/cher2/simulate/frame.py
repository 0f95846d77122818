"""One synthetic frame: cells and clutter become a scene, the scene a picture with its truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.simulate import clutter, optics
from cher2.simulate.cells import Cell
from cher2.simulate.settings import StudySettings
from cher2.simulate.shapes import Plane
from cher2.simulate.stains import Gains, Stain, stain_cell

FOCUS_SD_UM = 1.0
"""Standard deviation of the height of cells above or below the focal plane."""

TRUTH_COLUMNS = {
    "y_px": "float64",
    "x_px": "float64",
    "kind": "str",
    "what": "str",
    "grade": "Int64",
    "her2_true": "float64",
    "ck_true": "float64",
    "cd45_true": "float64",
    "dapi_true": "float64",
    "diameter_um": "float64",
    "touches_border": "bool",
    "cluster_id": "int64",
}
"""The columns of a frame's truth and their types; units as in :class:`Cell`."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A synthetic frame.

    Parameters
    ----------
    pixels : ndarray of uint16, shape (4, Y, X)
        Counts, 0 to 4095, of DAPI, CK, CD45 and HER2.
    truth : pandas.DataFrame
        One row a cell or thing whose centre lies in the frame; columns :data:`TRUTH_COLUMNS`.
    """

    pixels: NDArray[np.uint16]
    truth: pd.DataFrame


def simulate_frame(
    settings: StudySettings,
    cells: Sequence[Cell],
    rng: np.random.Generator,
    gains: Gains | None = None,
    illumination: NDArray[np.float32] | None = None,
) -> Frame:
    """Take a picture of cells, with the settings' clutter and optics.

    Parameters
    ----------
    settings : StudySettings
    cells : sequence of Cell
    rng : numpy.random.Generator
    gains : Gains, optional
        The patient's staining.
    illumination : ndarray, shape (4, Y, X), optional
        The instrument's illumination; even where it is not given.

    Returns
    -------
    Frame
    """
    scene, truth = draw_scene(settings, cells, rng, gains)
    defocus = rng.uniform(0, settings.defocus_px)
    light = optics.through_objective(scene, settings.pixel_size_um, defocus)
    background = optics.haze(rng, settings.frame_shape)
    if illumination is not None:
        light *= illumination
        background *= illumination
    expected = optics.with_spill(light, settings.spill) + background
    return Frame(optics.expose(rng, expected), truth)


def draw_scene(
    settings: StudySettings,
    cells: Sequence[Cell],
    rng: np.random.Generator,
    gains: Gains | None = None,
) -> tuple[NDArray[np.float32], pd.DataFrame]:
    """Draw cells and clutter as light, before any optics.

    Returns
    -------
    scene : ndarray, shape (4, S (Y + 2 M), S (X + 2 M))
        Counts; see :func:`cher2.simulate.optics.through_objective`.
    truth : pandas.DataFrame
        See :class:`Frame`.
    """
    points = optics.SUPERSAMPLING
    step_um = settings.pixel_size_um / points
    rows, columns = (points * (side + 2 * optics.MARGIN_PX) for side in settings.frame_shape)
    scene = np.zeros((len(optics.CHANNELS), rows, columns), np.float32)
    truth = []
    for cell in cells:
        stain = stain_cell(cell, rng, step_um, points, gains)
        _add(scene, _in_depth(stain, cell, rng, step_um))
        truth.append(_truth_of(cell, stain, settings.frame_shape))
    clutter.add_specks(scene, settings, rng)
    things = clutter.add_fibres(scene, settings, rng) + clutter.add_blobs(scene, settings, rng)
    truth += [_row(thing, thing.y_px, thing.x_px, False) for thing in things]
    return scene, _table(truth, settings.frame_shape)


def _in_depth(stain: Stain, cell: Cell, rng: np.random.Generator, step_um: float) -> Stain:
    """Return a stain as it looks from its place near the focal plane, with room around for the blur."""
    z_um = rng.normal(0, FOCUS_SD_UM)
    room = int(np.ceil(3 * optics.depth_sigma_um(cell.diameter_um, z_um) / step_um))
    light = np.pad(stain.light, ((0, 0), (room, room), (room, room)))
    blurred = optics.through_depth(light, cell.diameter_um, z_um, step_um)
    return Stain(blurred, np.pad(stain.coverage, room), stain.top - room, stain.left - room)


def _add(scene: NDArray[np.float32], stain: Stain) -> None:
    """Add a cell's light to the scene, in place; what lies beyond the scene's margin is lost."""
    offset = optics.MARGIN_PX * optics.SUPERSAMPLING
    top, left = stain.top + offset, stain.left + offset
    height, width = stain.coverage.shape
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + height, scene.shape[1]), min(left + width, scene.shape[2])
    if y0 < y1 and x0 < x1:
        scene[:, y0:y1, x0:x1] += stain.light[:, y0 - top : y1 - top, x0 - left : x1 - left]


def _truth_of(cell: Cell, stain: Stain, shape: tuple[int, int]) -> dict[str, object]:
    """Return a cell's row: its centroid, and whether its body reaches the frame's first or last pixels."""
    points = optics.SUPERSAMPLING
    centre, reaches = [], False
    for axis, first in enumerate((stain.top, stain.left)):
        profile: Plane = stain.coverage.sum(1 - axis)
        places = (np.arange(len(profile)) + first + 0.5) / points - 0.5
        centre.append(float((profile * places).sum() / profile.sum()))
        covered = np.rint(places[profile > 0])
        reaches |= bool(covered[0] <= 0 or covered[-1] >= shape[axis] - 1)
    return _row(cell, centre[0], centre[1], reaches)


def _row(cell: Cell, y_px: float, x_px: float, touches_border: bool) -> dict[str, object]:
    return {
        "y_px": y_px,
        "x_px": x_px,
        "kind": cell.kind,
        "what": cell.what,
        "grade": cell.grade,
        "her2_true": cell.her2,
        "ck_true": cell.ck,
        "cd45_true": cell.cd45,
        "dapi_true": cell.dapi,
        "diameter_um": cell.diameter_um,
        "touches_border": touches_border,
        "cluster_id": cell.cluster_id,
    }


def _table(rows: list[dict[str, object]], shape: tuple[int, int]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(TRUTH_COLUMNS)).astype(TRUTH_COLUMNS)
    inside = table["y_px"].between(-0.5, shape[0] - 0.5) & table["x_px"].between(-0.5, shape[1] - 0.5)
    return table[inside].reset_index(drop=True)
