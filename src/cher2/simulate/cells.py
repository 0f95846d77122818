"""The cells of a frame: what they are, how large, how bright and where.

The levels are mean counts over a cell's body (DAPI: over its nucleus) at unit staining gain, under even
illumination, without background. The HER2 medians of the grades lie so that the default cut-offs 30, 110 and
340 are near the best borders between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cher2.simulate.placement import Site, place_cells
from cher2.simulate.settings import StudySettings

HER2_MEDIAN = (12.0, 58.0, 193.0, 620.0)
HER2_LOG_SD = (0.35, 0.22, 0.22, 0.22)
LEUKOCYTE_HER2 = (15.0, 0.3)
"""Median and log-sd of the leukocytes' unspecific HER2."""

KIND_OF = {
    "ctc": "ctc",
    "dim_ctc": "ctc",
    "leukocyte": "leukocyte",
    "weak_ck_leukocyte": "leukocyte",
    "double": "other",
    "ck_without_nucleus": "other",
    "debris": "other",
    "fibre": "other",
    "blob": "other",
}
"""What a thing is, and what cher2 should call it."""


@dataclass(frozen=True)
class Cell:
    """One cell, or piece of a cell, before it is drawn.

    Parameters
    ----------
    what : str
        A key of :data:`KIND_OF`.
    y_px, x_px : float
        Where its outline's origin lies, in pixels of the frame; the centre of the first pixel is 0, 0.
    diameter_um : float
    dapi, ck, cd45, her2 : float
        Mean counts over the body; of DAPI over the nucleus.
    grade : int or None
        The grade of a CTC.
    cluster_id : int
        Cells of a frame that touch have the same number from 1; 0 is a cell on its own.
    """

    what: str
    y_px: float
    x_px: float
    diameter_um: float
    dapi: float
    ck: float
    cd45: float
    her2: float
    grade: int | None = None
    cluster_id: int = 0

    @property
    def kind(self) -> str:
        """What cher2 should call it: ctc, leukocyte or other."""
        return KIND_OF[self.what]


def populate_frame(settings: StudySettings, grades: Sequence[int], rng: np.random.Generator) -> list[Cell]:
    """Draw the cells of a frame: one CTC per grade given, leukocytes, doubles, bare CK and debris.

    Parameters
    ----------
    settings : StudySettings
    grades : sequence of int
        The grades of the frame's CTCs.
    rng : numpy.random.Generator

    Returns
    -------
    list of Cell
        Cells in and just beyond the frame; no centre of a CTC lies beyond.
    """
    ctcs = [_ctc(settings, grade, rng) for grade in grades]
    others = [_double(rng) for _ in range(rng.poisson(settings.doubles_per_frame))]
    others += [_bare_ck(rng) for _ in range(rng.poisson(settings.bare_ck_per_frame))]
    others += [_debris(rng) for _ in range(rng.poisson(settings.debris_per_frame))]
    leukocytes = [_leukocyte(settings, rng) for _ in range(rng.poisson(settings.leukocytes_per_frame))]
    cells = ctcs + others + leukocytes
    sites = place_cells(settings, [cell.diameter_um for cell in cells], len(ctcs), rng)
    return [_at(cell, site) for cell, site in zip(cells, sites, strict=True)]


def _at(cell: Cell, site: Site) -> Cell:
    return replace(cell, y_px=site.y_px, x_px=site.x_px, cluster_id=site.cluster_id)


def _level(rng: np.random.Generator, median: float, log_sd: float) -> float:
    return float(median * np.exp(log_sd * rng.standard_normal()))


def _size(rng: np.random.Generator, median: float, log_sd: float, low: float, high: float) -> float:
    return float(np.clip(_level(rng, median, log_sd), low, high))


def _ctc(settings: StudySettings, grade: int, rng: np.random.Generator) -> Cell:
    dim = rng.random() < settings.dim_ck_fraction
    return Cell(
        what="dim_ctc" if dim else "ctc",
        y_px=0.0,
        x_px=0.0,
        diameter_um=_size(rng, 12.4, 0.2, 8, 20),
        dapi=_level(rng, 260, 0.35),
        ck=_level(rng, 48, 0.25) if dim else max(_level(rng, 420, 0.55), 110.0),
        cd45=_level(rng, 7, 0.5),
        her2=_level(rng, HER2_MEDIAN[grade], HER2_LOG_SD[grade]),
        grade=grade,
    )


def _leukocyte(settings: StudySettings, rng: np.random.Generator) -> Cell:
    weak = rng.random() < settings.weak_ck_leukocytes
    return Cell(
        what="weak_ck_leukocyte" if weak else "leukocyte",
        y_px=0.0,
        x_px=0.0,
        diameter_um=_size(rng, 9.4, 0.12, 6.5, 13),
        dapi=_level(rng, 400, 0.3),
        ck=_level(rng, 45, 0.35) if weak else _level(rng, 9, 0.6),
        cd45=_level(rng, 150, 0.5),
        her2=_level(rng, *LEUKOCYTE_HER2),
    )


def _double(rng: np.random.Generator) -> Cell:
    return Cell(
        what="double",
        y_px=0.0,
        x_px=0.0,
        diameter_um=_size(rng, 11, 0.2, 7, 18),
        dapi=_level(rng, 320, 0.35),
        ck=_level(rng, 260, 0.5),
        cd45=_level(rng, 160, 0.4),
        her2=_level(rng, 40, 0.9),
    )


def _bare_ck(rng: np.random.Generator) -> Cell:
    return Cell(
        what="ck_without_nucleus",
        y_px=0.0,
        x_px=0.0,
        diameter_um=_size(rng, 8, 0.35, 3, 16),
        dapi=0.0,
        ck=_level(rng, 300, 0.7),
        cd45=_level(rng, 6, 0.5),
        her2=_level(rng, 60, 1.0),
    )


def _debris(rng: np.random.Generator) -> Cell:
    """Draw a crumb: bright in one channel at random, dark to weak in the others."""
    levels = rng.lognormal(np.log(6), 0.8, 4)
    levels[rng.integers(4)] = _level(rng, 160, 0.7)
    dapi, ck, cd45, her2 = (float(level) for level in levels)
    diameter = _size(rng, 3.5, 0.4, 1.5, 8)
    return Cell("debris", 0.0, 0.0, diameter, dapi, ck, cd45, her2)
