"""What is not a cell: specks, fibres and blobs out of focus."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from cher2.simulate.cells import Cell
from cher2.simulate.optics import CHANNELS, MARGIN_PX, SUPERSAMPLING
from cher2.simulate.settings import StudySettings

CK = CHANNELS.index("CK")


def add_specks(scene: NDArray[np.float32], settings: StudySettings, rng: np.random.Generator) -> None:
    """Add specks of CK to a scene (4, Y, X), in place: points of light, some two or three together."""
    margin = 2 * MARGIN_PX * SUPERSAMPLING
    inside = (scene.shape[1] - margin) * (scene.shape[2] - margin)
    count = rng.poisson(settings.specks_per_frame * scene.shape[1] * scene.shape[2] / inside)
    centres = rng.uniform(0, 1, (count, 2)) * (np.array(scene.shape[1:]) - 1)
    light = rng.lognormal(np.log(350), 0.9, count) * SUPERSAMPLING**2
    for grain in range(3):
        kept = rng.random(count) < (1.0, 0.5, 0.25)[grain]
        apart = rng.normal(0, 0.7 * SUPERSAMPLING, (count, 2)) * min(grain, 1)
        at = np.rint(centres + apart).astype(int)
        kept &= np.all((at >= 0) & (at < scene.shape[1:]), axis=1)
        np.add.at(scene[CK], (at[kept, 0], at[kept, 1]), light[kept].astype(np.float32))


def add_fibres(scene: NDArray[np.float32], settings: StudySettings, rng: np.random.Generator) -> list[Cell]:
    """Add fibres to a scene, in place, bright in CK and DAPI and weak in the others; return what they are."""
    fibres = []
    for _ in range(rng.poisson(settings.fibres_per_frame)):
        step_um = settings.pixel_size_um / SUPERSAMPLING
        length_um = float(np.clip(rng.lognormal(np.log(60), 0.6), 15, 250))
        steps = max(int(length_um), 8)
        turn = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.09, steps))
        path = np.cumsum(np.column_stack([np.sin(turn), np.cos(turn)]), 0) * length_um / steps / step_um
        path += rng.uniform(0, 1, 2) * scene.shape[1:] - path.mean(0)
        drawn = np.zeros(scene.shape[1:], np.uint8)
        shift = 4
        points = np.rint(path[:, ::-1] * 2**shift).astype(np.int32)
        thickness = int(rng.integers(2, 6))
        cv2.polylines(drawn, [points[:, None]], False, 255, thickness, cv2.LINE_AA, shift)
        y, x = np.nonzero(drawn)
        if len(y) == 0:
            continue
        uneven = np.interp(x + y, np.linspace(0, sum(scene.shape), 200), rng.lognormal(0, 0.3, 200))
        levels = rng.lognormal(np.log([220, 260, 12, 20]), 0.5)
        weight = (drawn[y, x] / 255 * uneven).astype(np.float32)
        for plane, level in zip(scene, levels, strict=True):
            plane[y, x] += np.float32(level) * weight
        centre = path.mean(0)
        fibres.append(_thing("fibre", (float(centre[0]), float(centre[1])), length_um, levels))
    return fibres


def add_blobs(scene: NDArray[np.float32], settings: StudySettings, rng: np.random.Generator) -> list[Cell]:
    """Add faint blobs to a scene, in place: things far out of focus; return what they are."""
    blobs = []
    for _ in range(rng.poisson(settings.blobs_per_frame)):
        step_um = settings.pixel_size_um / SUPERSAMPLING
        sigma = rng.uniform(5, 16) / step_um
        centre = rng.uniform(0, 1, 2) * scene.shape[1:]
        # Each blob is mostly of one stain, as a leukocyte or a crumb above the focal plane is.
        levels = rng.lognormal(np.log(14), 0.6, 4) * np.where(np.arange(4) == rng.integers(4), 2.5, 0.3)
        low = np.clip(np.floor(centre - 3.5 * sigma).astype(int), 0, scene.shape[1:])
        high = np.clip(np.ceil(centre + 3.5 * sigma).astype(int), 0, scene.shape[1:])
        rows = np.exp(-(((np.arange(low[0], high[0]) - centre[0]) / sigma) ** 2) / 2)
        columns = np.exp(-(((np.arange(low[1], high[1]) - centre[1]) / sigma) ** 2) / 2)
        glow = np.outer(rows, columns).astype(np.float32)
        for plane, level in zip(scene, levels, strict=True):
            plane[low[0] : high[0], low[1] : high[1]] += np.float32(level) * glow
        blobs.append(_thing("blob", (float(centre[0]), float(centre[1])), 2.355 * sigma * step_um, levels))
    return blobs


def _thing(what: str, centre: tuple[float, float], diameter_um: float, levels: NDArray[np.float64]) -> Cell:
    """Return a thing with its centre, given in points of the scene, in pixels of the frame."""
    y, x = ((c + 0.5) / SUPERSAMPLING - 0.5 - MARGIN_PX for c in centre)
    dapi, ck, cd45, her2 = (float(level) for level in levels)
    return Cell(what, y, x, diameter_um, dapi, ck, cd45, her2)
