"""How good a frame is: sharp or not, saturated or not, on what background.

Everything comes from what measuring the frame has found anyway, from some of its rows: it costs under a millisecond.
What is too blurred, too bright or too uneven a laboratory decides (:mod:`cher2.patients.quality`); here is only
what is measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.cells.grading import usable_leukocytes
from cher2.cells.segmented import SegmentedImage
from cher2.protocol import ROLES, Role

SAMPLED_ROWS = 6
"""Every so many rows are looked at: a nucleus 9 um across is crossed twice at 0.64 um a pixel."""

FEWEST_NUCLEI = 8
"""Nuclei whose edges are crossed, below which the focus of a frame is not told: the median is not known to 5 %."""

SAMPLED_BLOCKS = 4
"""Every so many blocks of the background are looked at, each way: it is smooth over 15 of them."""

EXTREMES = 0.02
"""The part of the background that is left out at either end: a corner, or a fibre's halo, is no uneven light."""

DIGITS = 4
"""Significant digits that are kept: what the last bits of a machine's arithmetic change is not told."""

Level = tuple[float, float, float]


@dataclass(frozen=True)
class FrameQuality:
    """What a frame shows of its own quality.

    Parameters
    ----------
    edge_um : float or None
        Width of the edges of its nuclei in DAPI: over this distance the light rises from nothing to the nucleus's
        mean, as steeply as it does at the outline. The median over nuclei. None with fewer than
        :data:`FEWEST_NUCLEI`.
    nuclei : int
        The nuclei whose edges were looked at.
    saturated : dict of float
        By role, the share of saturated pixels.
    background : dict of tuple of float
        By role, the lowest, the middle and the highest of the background in raw counts: its 2 %, 50 % and 98 %
        quantiles over the frame.
    noise : dict of float
        By role, the standard deviation of a background pixel in counts.
    """

    edge_um: float | None
    nuclei: int
    saturated: Mapping[Role, float]
    background: Mapping[Role, Level]
    noise: Mapping[Role, float]

    def as_dict(self) -> dict[str, Any]:
        """Return the measures as JSON can hold them; :meth:`from_dict` gives them back."""
        return {
            "edge_um": self.edge_um,
            "nuclei": self.nuclei,
            "saturated": dict(self.saturated),
            "background": {role: list(levels) for role, levels in self.background.items()},
            "noise": dict(self.noise),
        }

    @classmethod
    def from_dict(cls, measures: Mapping[str, Any]) -> Self:
        """Return the measures that :meth:`as_dict` wrote.

        Raises
        ------
        KeyError, TypeError, ValueError
            `measures` are not those of a frame.
        """
        edge_um, background = measures["edge_um"], measures["background"]
        roles = [role for role in ROLES if role in background]
        return cls(
            edge_um=None if edge_um is None else float(edge_um),
            nuclei=int(measures["nuclei"]),
            saturated={role: float(measures["saturated"][role]) for role in roles},
            background={role: _level(background[role]) for role in roles},
            noise={role: float(measures["noise"][role]) for role in roles},
        )


def _level(values: Any) -> Level:
    low, middle, high = (float(value) for value in values)
    return low, middle, high


def frame_quality(segmented: SegmentedImage) -> FrameQuality:
    """Measure the quality of a frame that is cut into cells.

    Parameters
    ----------
    segmented : SegmentedImage

    Returns
    -------
    FrameQuality
        Without HER2 where the protocol has no such channel.
    """
    segmentation = segmented.segmentation
    roles = [role for role in ROLES if role != "her2" or segmented.has_her2]
    edge_um, nuclei = edge_width_um(segmentation.nuclei, segmentation.signals["dapi"], segmented.pixel_size_um)
    backgrounds = {role: segmentation.backgrounds[role] for role in roles}
    return FrameQuality(
        edge_um=edge_um,
        nuclei=nuclei,
        saturated={role: saturated_share(segmented.planes[role], segmented.saturation) for role in roles},
        background={role: background_range(found.level) for role, found in backgrounds.items()},
        noise={role: _rounded(found.noise) for role, found in backgrounds.items()},
    )


def edge_width_um(
    nuclei: NDArray[np.int32], dapi: NDArray[np.float32], pixel_size_um: float
) -> tuple[float | None, int]:
    """Return the width of the edges of a frame's nuclei, and of how many nuclei it comes.

    Where a row enters or leaves a nucleus from the background, the nuclear stain rises by its slope at the outline.
    That slope over the nucleus's mean brightness does not depend on how bright or how many the nuclei are; its
    inverse is a length that grows with the blur. Crossings of edges of all directions, each as often as a row
    meets it, have on average pi / 4 of the slope across the edge. Noise is in the slopes of both signs and cancels.

    Parameters
    ----------
    nuclei : ndarray of int32, shape (Y, X)
        The nuclei; 0 is background.
    dapi : ndarray of float32, shape (Y, X)
        Nuclear stain, background subtracted.
    pixel_size_um : float
        Side of a pixel in micrometres.

    Returns
    -------
    width_um : float or None
        The median over the nuclei; None with fewer than :data:`FEWEST_NUCLEI`.
    n : int
    """
    labels, light = nuclei[::SAMPLED_ROWS].ravel(), dapi[::SAMPLED_ROWS].ravel()
    inside = labels > 0
    left = np.flatnonzero(inside[1:] != inside[:-1])
    # A step from the end of one row to the start of the next is none.
    left = left[(left + 1) % nuclei.shape[1] != 0]
    owner = np.maximum(labels[left], labels[left + 1])
    covered = np.flatnonzero(inside)
    whose = labels[covered]
    size = int(whose.max(initial=0)) + 1
    areas = np.maximum(np.bincount(whose, minlength=size), 1)
    brightness = np.bincount(whose, weights=light[covered], minlength=size) / areas
    rise = np.where(inside[left], -1.0, 1.0) * (light[left + 1] - light[left])
    crossed = np.bincount(owner, minlength=size)
    seen = (crossed > 0) & (brightness > 0)
    n = int(np.count_nonzero(seen))
    if n < FEWEST_NUCLEI:
        return None, n
    slope = np.bincount(owner, weights=rise, minlength=size)[seen] / (crossed * brightness)[seen]
    steepness = float(np.median(slope)) / pixel_size_um
    return (_rounded(np.pi / 4 / steepness) if steepness > 0 else None), n


def saturated_share(plane: NDArray[Any], saturation: float) -> float:
    """Return the share of a channel's pixels (Y, X) that are at the count of saturation, from some of its rows."""
    sample = plane[::SAMPLED_ROWS]
    return _rounded(np.count_nonzero(sample >= saturation) / sample.size)


def background_range(level: NDArray[np.float32]) -> Level:
    """Return the lowest, the middle and the highest of a background on its grid, in counts."""
    values = np.sort(level[::SAMPLED_BLOCKS, ::SAMPLED_BLOCKS], axis=None)
    low, middle, high = (_rounded(values[round(part * (len(values) - 1))]) for part in (EXTREMES, 0.5, 1 - EXTREMES))
    return low, middle, high


def leukocytes_her2(objects: pd.DataFrame) -> dict[str, float | int | None]:
    """Return the HER2 level of a sample's leukocytes: its measure of how strongly the sample was stained.

    Parameters
    ----------
    objects : DataFrame
        The graded objects of a sample, with ``kind`` and ``her2_mean``.

    Returns
    -------
    dict
        ``median`` of ``her2_mean`` in counts, None without a leukocyte whose HER2 is measured, and ``n``, how many
        leukocytes it comes from.
    """
    values = usable_leukocytes(objects)
    return {"median": _rounded(np.median(values)) if len(values) else None, "n": len(values)}


def _rounded(value: float | np.floating[Any]) -> float:
    return float(f"{value:.{DIGITS}g}")
