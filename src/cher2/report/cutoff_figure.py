"""What the comparison would have said at every other threshold of the ratio."""

from __future__ import annotations

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from cher2.cohorts.cutoffs import CutoffScan
from cher2.report.svg import INK, STYLE, SvgFigure, drawn

_SIZE_IN = (7.2, 2.7)
_LEVEL = 0.05
_ACCENT = "#3d8bff"


def cutoff_figure(scan: CutoffScan, threshold: float, outcome: str) -> SvgFigure:
    """Draw the p of every threshold that was tried, and where the study's own one stands.

    Parameters
    ----------
    scan : CutoffScan
        As :func:`cher2.cohorts.cutoffs.scan_patients` gives it.
    threshold : float
        The protocol's, drawn as a dashed line.
    outcome : str
        What is compared, in words.

    Returns
    -------
    SvgFigure
        One panel. No p in it is corrected; the notes give the one that counts the search in.
    """
    table = scan.to_frame()
    with style.context(STYLE):
        figure = Figure(figsize=_SIZE_IN)
        axes = figure.subplots()
        figure.subplots_adjust(left=0.1, right=0.985, top=0.92, bottom=0.19)
        p = np.maximum(table["p_value"].to_numpy(float), 1e-12)
        axes.step(table["threshold"], p, where="post", color=_ACCENT, linewidth=1.3)
        axes.plot(table["threshold"], p, linestyle="", marker="o", markersize=3, color=_ACCENT)
        axes.axvline(threshold, color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
        top = axes.get_xaxis_transform()
        axes.text(threshold, 1.01, f"threshold {threshold:g}", transform=top, ha="center", va="bottom", fontsize=7.5)
        axes.axhline(_LEVEL, color=INK, linewidth=0.6, linestyle=(0, (1, 2)))
        axes.set_yscale("log")
        axes.set_ylim(min(float(p.min()) / 2, 0.02), 1.3)
        axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0), numticks=8))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlim(-0.02, max(1.02, float(table["threshold"].max()) * 1.02))
        axes.set_xlabel("threshold of the cHER2 ratio (high: strictly above)")
        axes.set_ylabel("p, not corrected")
        note = (
            f"Of {len(table)} thresholds {scan.best:.3g} has the largest difference; its p, with the search counted in "
            f"(maximally selected statistic), is {scan.p_value:.3g}"
        )
        return drawn("cutoffs", [(figure, f"p of {outcome} at every threshold")], table, (note,))
