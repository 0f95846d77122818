"""Kaplan-Meier curves of the cHER2 groups, with the numbers at risk below them."""

from __future__ import annotations

import math

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cher2.cohorts.comparison import CHER2
from cher2.cohorts.curves import Curve
from cher2.cohorts.group_survival import EndpointSurvival
from cher2.palette import GROUP_COLOURS
from cher2.report.svg import INK, STYLE, SvgFigure, drawn

_SIZE_IN = (7.2, 3.9)
_STEPS = 6
"""About so many times at which the numbers at risk are given."""


def survival_figure(endpoint: EndpointSurvival) -> SvgFigure:
    """Draw the survival of the groups at one endpoint.

    Parameters
    ----------
    endpoint : EndpointSurvival
        As :func:`cher2.cohorts.group_survival.survival_by_group` gives it.

    Returns
    -------
    SvgFigure
        One panel: the curves with their pointwise 95 % intervals, a tick where a patient was censored, the numbers
        at risk, and what the tests say; none where no patient has follow-up. The notes say what is not there.
    """
    figure = survival_drawing(endpoint)
    if figure is None or endpoint.curves is None:
        return SvgFigure((), endpoint.reasons)
    title = f"{endpoint.title}, cHER2 high against low"
    return drawn(f"survival-{endpoint.endpoint}", [(figure, title)], endpoint.curves.steps(), endpoint.reasons)


def survival_drawing(endpoint: EndpointSurvival, split: str = CHER2) -> Figure | None:
    """Draw the survival of the groups at one endpoint, for a page or for a window.

    Parameters
    ----------
    endpoint : EndpointSurvival
    split : str
        What the groups are of, in print.

    Returns
    -------
    matplotlib.figure.Figure or None
        Drawn with :data:`~cher2.report.svg.STYLE`, in its ink; None where no patient has follow-up.
    """
    if endpoint.curves is None:
        return None
    with style.context(STYLE):
        figure = Figure(figsize=_SIZE_IN)
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 0.2), gridspec_kw={"hspace": 0.42})
        figure.subplots_adjust(left=0.12, right=0.985, top=0.97, bottom=0.06)
        curves = [endpoint.curves.curves[group] for group in ("high", "low") if group in endpoint.curves.curves]
        for curve in curves:
            _draw_curve(axes, curve, split)
        last = max(float(curve.times[-1]) for curve in curves)
        axes.set_xlim(0, max(last, 1.0) * 1.01)
        axes.set_ylim(0, 1.02)
        axes.xaxis.set_major_locator(MaxNLocator(_STEPS, integer=True))
        axes.tick_params(axis="x", labelbottom=True)
        axes.set_xlabel("months")
        axes.set_ylabel(endpoint.title)
        axes.legend(loc="lower left", frameon=False, fontsize=8)
        axes.text(0.99, 0.97, _tests(endpoint), transform=axes.transAxes, ha="right", va="top", fontsize=8)
        _write_at_risk(below, endpoint, [curve.group for curve in curves], [t for t in axes.get_xticks() if t <= last])
        return figure


def _draw_curve(axes: Axes, curve: Curve, split: str) -> None:
    colour = GROUP_COLOURS[curve.group]
    times = np.concatenate([[0.0], curve.times])
    survival = np.concatenate([[1.0], curve.survival])
    label = f"{split} {curve.group} (n = {curve.n}, {int(curve.events.sum())} events)"
    axes.step(times, survival, where="post", color=colour, linewidth=1.5, label=label)
    low, high = (np.concatenate([[np.nan], limit]) for limit in (curve.low, curve.high))
    axes.fill_between(times, low, high, step="post", color=colour, alpha=0.15, linewidth=0)
    left = curve.censored > 0
    axes.plot(curve.times[left], curve.survival[left], linestyle="", marker="|", markersize=6, color=colour)


def _tests(endpoint: EndpointSurvival) -> str:
    """Return what the tests say, a line each."""
    lines = []
    if endpoint.log_rank is not None and not math.isnan(endpoint.log_rank.p_value):
        lines.append(f"log-rank p = {endpoint.log_rank.p_value:.3g}")
    if endpoint.cox is not None:
        ratio = endpoint.cox.effects[0].ratio
        if not math.isnan(ratio.value):
            lines.append(f"hazard ratio {ratio.value:.2f} (95 % CI {ratio.low:.2f} to {ratio.high:.2f})")
    return "\n".join(lines)


def _write_at_risk(axes: Axes, endpoint: EndpointSurvival, groups: list[str], times: list[float]) -> None:
    """Write how many patients of each group are at risk, under the times of the axis."""
    assert endpoint.curves is not None
    numbers = endpoint.curves.at_risk(times).loc[groups].to_numpy(int)
    axes.set_axis_off()
    axes.set_ylim(len(groups) - 0.5, -0.9)
    axes.text(0, -0.75, "at risk", fontsize=7.5, style="italic", va="center", color=INK)
    place = axes.get_yaxis_transform()
    for row, group in enumerate(groups):
        axes.text(-0.02, row, group, transform=place, ha="right", va="center", color=GROUP_COLOURS[group], fontsize=8)
        for time, number in zip(times, numbers[row], strict=True):
            axes.text(time, row, str(number), ha="center", va="center", fontsize=8)
