"""The colours of :mod:`cher2.palette` as napari takes them, and how bright a channel is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cher2.palette import CHANNEL_COLOURS, GRADE_COLOURS, KIND_COLOURS, SAFE_CHANNEL_COLOURS
from cher2.protocol import Protocol, Role

CLASSIC, SAFE = "CellSearch", "colour-blind safe"
CHANNEL_PALETTES = {CLASSIC: CHANNEL_COLOURS, SAFE: SAFE_CHANNEL_COLOURS}
"""The palettes that the widget offers; files are opened in the first."""

UNGRADED_COLOUR = "#ffffff"
"""Outline of a CTC that could not be graded."""

DRAWN_COLOUR = "#00e5ff"
"""Outline of what a reader has drawn and not saved: no grade's colour, for it has none yet."""

OUTLINE_PX = 2
"""Width of outlines, in every layer that shows them."""

FAINT = "66"
"""Opacity (of ff) of the outline of what is no CTC."""

BACKGROUND_ALONE = 20.0
"""Where nothing is bright, white lies this many standard deviations above the background: its noise stays dark."""

BRIGHT_FROM = 6.0
BRIGHT_PERCENTILE = 90.0


def contrast_limits(
    plane: NDArray[Any], role: Role | None = None, protocol: Protocol | None = None
) -> tuple[float, float]:
    """Return the counts to show as black and as full colour.

    Black is the background: the median, for cells cover a small part of a frame. Full colour is the
    90th percentile of the pixels well above the background, which neither a speck of dirt nor the
    number of cells moves. HER2 is shown alike in every image, for grades are compared by eye: its full colour is the
    protocol's cut-off of 3+ above the background, where that is in counts.

    Parameters
    ----------
    plane : ndarray, shape (Y, X)
        One channel, in counts.
    role : {"dapi", "ck", "cd45", "her2"}, optional
        What the channel is for, where that is known.
    protocol : Protocol, optional
        The defaults where it is left out.

    Returns
    -------
    low, high : float
        low < high, within what the pixels' type can hold.
    """
    protocol = protocol or Protocol()
    low = float(np.median(plane))
    if role == "her2" and protocol.grade.unit == "counts":
        return _within(plane.dtype, low, low + protocol.grade.cutoffs[2])
    noise = max(1.4826 * float(np.median(np.abs(plane - low))), 1e-6 * max(abs(low), 1.0))
    bright = plane[plane > low + BRIGHT_FROM * noise]
    high = float(np.percentile(bright, BRIGHT_PERCENTILE)) if bright.size else low
    return _within(plane.dtype, low, max(high, low + BACKGROUND_ALONE * noise))


def _within(dtype: np.dtype[Any], low: float, high: float) -> tuple[float, float]:
    if not np.issubdtype(dtype, np.integer):
        return low, high
    top = float(np.iinfo(dtype).max)
    high = min(max(high, low + 1), top)
    return min(low, high - 1), high


def outline_colours(
    kinds: list[str], grades: list[int | None], numbers: Sequence[int] | None = None
) -> dict[int | None, str]:
    """Return the colour of each label as napari's direct colormap takes it.

    Parameters
    ----------
    kinds : list of str, length N
        "ctc", "leukocyte" or "other".
    grades : list of int or None, length N
        The grade of each object; used for CTCs only.
    numbers : sequence of int, length N, optional
        The labels; 1, 2, 3 ... where they are left out.

    Returns
    -------
    dict of int or None to str
        Transparent for the background and for labels that are not in the table.
    """
    colours: dict[int | None, str] = {None: "#00000000", 0: "#00000000"}
    labels = range(1, len(kinds) + 1) if numbers is None else numbers
    for label, kind, grade in zip(labels, kinds, grades, strict=True):
        if kind == "ctc":
            colours[label] = UNGRADED_COLOUR if grade is None else GRADE_COLOURS[grade]
        else:
            colours[label] = KIND_COLOURS[kind] + FAINT
    return colours
