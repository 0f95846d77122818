"""A synthetic frame of the standard scenario with about as many cells as asked for, as an uncompressed OME-TIFF."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cher2.simulate import optics
from cher2.simulate.cells import populate_frame
from cher2.simulate.frame import simulate_frame
from cher2.simulate.ome import write_ome_tiff
from cher2.simulate.placement import BEYOND_UM
from cher2.simulate.settings import StudySettings

CTC_SHARE = 0.075
"""Fraction of the cells that are CTCs: 15 of 200."""


def write_frame(path: Path, cells: int, seed: int = 20270, shape: tuple[int, int] | None = None) -> int:
    """Simulate a frame of 1036 x 1384 pixels, or of another shape, and write it; return how many cells lie in it."""
    ctcs = round(CTC_SHARE * cells)
    rng = np.random.default_rng([seed, cells])
    standard = StudySettings()
    rows, columns = (side * standard.pixel_size_um for side in shape or standard.frame_shape)
    # Leukocytes are dealt over the frame and its surroundings: so many that the frame itself gets its share.
    surroundings = (rows + 2 * BEYOND_UM) * (columns + 2 * BEYOND_UM) / (rows * columns)
    settings = StudySettings(
        frame_shape=shape or standard.frame_shape,
        patients=1,
        frames_per_patient=1,
        leukocytes_per_frame=(cells - ctcs) * surroundings,
        ctcs_per_patient=ctcs,
    )
    light = optics.illumination(rng, settings.frame_shape, settings.illumination_falloff)
    placed = populate_frame(settings, rng.integers(4, size=ctcs).tolist(), rng)
    frame = simulate_frame(settings, placed, rng, None, light)
    write_ome_tiff(path, frame.pixels, optics.CHANNELS, settings.pixel_size_um, optics.BITS)
    return int(frame.truth["kind"].isin(["ctc", "leukocyte"]).sum())
