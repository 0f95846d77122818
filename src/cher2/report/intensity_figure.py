"""HER2 intensities of a study: its CTCs by their grade, the cut-offs, and its leukocytes as the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import ArrayLike, NDArray

from cher2.cells.objects import GRADE_NAMES, GRADES
from cher2.palette import GRADE_COLOURS, KIND_COLOURS
from cher2.report.svg import INK, STYLE, SvgFigure, drawn

_SIZE_IN = (7.2, 3.0)
_BINS = 60
_MARGIN = 0.02


@dataclass(frozen=True, eq=False)
class IntensityCounts:
    """How many cells have which HER2 intensity.

    Parameters
    ----------
    edges : ndarray of float, shape (B + 1,)
        Edges of the bins in the protocol's unit, evenly spaced by the inverse hyperbolic sine of the intensity over
        the lowest cut-off: nearly linear about 0, logarithmic far above.
    ctcs : mapping of grade to ndarray of int, shape (B,)
        The CTCs by their final grade.
    leukocytes : ndarray of int, shape (B,)
    """

    edges: NDArray[np.float64]
    ctcs: Mapping[int, NDArray[np.int64]]
    leukocytes: NDArray[np.int64]

    def to_frame(self) -> pd.DataFrame:
        """Return one row a bin: its limits, the CTCs of each grade and the leukocytes in it."""
        grades = {f"ctcs_grade_{grade}": counts for grade, counts in self.ctcs.items()}
        limits = {"her2_from": self.edges[:-1], "her2_below": self.edges[1:]}
        return pd.DataFrame({**limits, **grades, "leukocytes": self.leukocytes})


def count_intensities(
    her2: ArrayLike, grades: ArrayLike, leukocytes: ArrayLike, cutoffs: Sequence[float]
) -> IntensityCounts:
    """Count cells by intensity.

    Parameters
    ----------
    her2 : array_like of float, shape (N,)
        HER2 of the CTCs in the protocol's unit; NaN is left out.
    grades : array_like of int, shape (N,)
        Their final grades; what is none of 0 to 3 is left out.
    leukocytes : array_like of float, shape (M,)
        HER2 of leukocytes; NaN is left out.
    cutoffs : sequence of float
        The protocol's.

    Returns
    -------
    IntensityCounts
        Its bins reach from the lowest to the highest cell, and hold every cut-off.
    """
    values, of = np.asarray(her2, float), np.asarray(grades, float)
    others = np.asarray(leukocytes, float)
    others = others[np.isfinite(others)]
    known = np.isfinite(values) & np.isin(of, GRADES)
    scale = cutoffs[0]
    reach = np.arcsinh(np.concatenate([values[known], others, cutoffs]) / scale)
    margin = _MARGIN * max(float(np.ptp(reach)), 1.0)
    edges = scale * np.sinh(np.linspace(reach.min() - margin, reach.max() + margin, _BINS + 1))
    ctcs = {grade: np.histogram(values[known & (of == grade)], edges)[0] for grade in GRADES}
    return IntensityCounts(edges, ctcs, np.histogram(others, edges)[0])


def intensity_figure(counts: IntensityCounts, cutoffs: Sequence[float], unit: str) -> SvgFigure:
    """Draw the intensities of the CTCs, stacked by grade, before those of the leukocytes.

    Parameters
    ----------
    counts : IntensityCounts
    cutoffs : sequence of float
        Drawn as dashed lines, each with the grade that begins there.
    unit : str
        Of the intensity, in words.

    Returns
    -------
    SvgFigure
        One panel; none where there is no CTC. Both are shares of their kind: leukocytes are many times as many.
    """
    total = sum(int(of_grade.sum()) for of_grade in counts.ctcs.values())
    if not total:
        return SvgFigure(())
    with style.context(STYLE):
        figure = Figure(figsize=_SIZE_IN)
        axes = figure.subplots()
        figure.subplots_adjust(left=0.09, right=0.985, top=0.86, bottom=0.16)
        scale = cutoffs[0]
        edges = np.arcsinh(counts.edges / scale)
        n_leukocytes = int(counts.leukocytes.sum())
        if n_leukocytes:
            shares = 100 * counts.leukocytes / n_leukocytes
            label = f"leukocytes (n = {n_leukocytes})"
            axes.stairs(shares, edges, fill=True, color=KIND_COLOURS["leukocyte"], alpha=0.55, label=label)
        below = np.zeros(len(edges) - 1)
        for grade, of_grade in counts.ctcs.items():
            above = below + 100 * of_grade / total
            label = f"{GRADE_NAMES[grade]} (n = {int(of_grade.sum())})"
            axes.stairs(above, edges, baseline=below, fill=True, color=GRADE_COLOURS[grade], label=label)
            below = above
        _mark_cutoffs(axes, cutoffs, scale)
        _finish_axis(axes, counts.edges, scale, f"HER2, {unit}")
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.05), ncols=5, frameon=False, fontsize=7.5)
        title = "HER2 intensities of the CTCs by grade, and of the leukocytes"
        return drawn("intensities", [(figure, title)], counts.to_frame())


def _mark_cutoffs(axes: Axes, cutoffs: Sequence[float], scale: float) -> None:
    top = axes.get_xaxis_transform()
    for grade, cutoff in enumerate(cutoffs, 1):
        at = float(np.arcsinh(cutoff / scale))
        axes.axvline(at, color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
        axes.text(
            at, 1.01, f"{GRADE_NAMES[grade]} from {cutoff:g}", transform=top, ha="center", va="bottom", fontsize=7
        )


def _finish_axis(axes: Axes, edges: NDArray[np.float64], scale: float, title: str) -> None:
    """Give the axis round intensities, as many as have room."""
    room = 0.07 * float(np.arcsinh(edges[-1] / scale) - np.arcsinh(edges[0] / scale))
    kept: list[float] = []
    # The roundest first: what then has no room is left out.
    others = (sign * digit * 10.0**power for digit in (1, 5, 2) for power in range(6, -4, -1) for sign in (1, -1))
    for value in (0.0, *others):
        near = any(abs(np.arcsinh(value / scale) - np.arcsinh(other / scale)) < room for other in kept)
        if edges[0] <= value <= edges[-1] and not near:
            kept.append(value)
    axes.set_xticks([float(np.arcsinh(value / scale)) for value in kept], [f"{value:g}" for value in kept])
    axes.set_xlabel(title)
    axes.set_ylabel("cells of the kind (%)")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
