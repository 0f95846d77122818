"""The page's figures: the patients with their ratios, and the forest plot of the comparison."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from cher2.cells.objects import GRADE_NAMES, GRADES
from cher2.cohorts.comparison import CohortComparison
from cher2.cohorts.layout import paper_table
from cher2.palette import GRADE_COLOURS, GROUP_COLOURS
from cher2.patients.table import GROUPS
from cher2.report.svg import INK, STYLE, SvgFigure, drawn

MAX_PATIENTS = 500
"""Most patients that the figure shows; the page's table has them all."""

PATIENTS_PER_PANEL = 45
"""A panel of so many rows fits on a page of A4."""

_WIDTH_IN = 7.2
_ROW_IN = 0.185
_OR_LIMITS = (1e-2, 1e2)  # the widest that the axis of odds ratios grows; what lies beyond is an arrow


def patients_figure(patients: pd.DataFrame, threshold: float, max_patients: int = MAX_PATIENTS) -> SvgFigure:
    """Draw every patient as a row: the grades of the CTCs, and the ratio with its 95 % interval.

    Parameters
    ----------
    patients : DataFrame
        With the columns of :data:`cher2.patients.table.COLUMNS`.
    threshold : float
        The ratio above which a patient is high.
    max_patients : int
        Most rows; beyond it those with the most HER2+ CTCs, whose ratios are the surest, and a note.

    Returns
    -------
    SvgFigure
        Panels of at most 45 rows, by falling ratio; patients without a ratio come last.
    """
    notes: tuple[str, ...] = ()
    shown = patients
    if len(patients) > max_patients:
        shown = patients.nlargest(max_patients, "n_her2_positive")
        notes = (f"Shown are the {max_patients} of {len(patients)} patients with the most HER2+ CTCs",)
    ordered = shown.sort_values("cher2_ratio", ascending=False, kind="stable", na_position="last")
    number = math.ceil(len(ordered) / PATIENTS_PER_PANEL)
    cuts = np.linspace(0, len(ordered), number + 1).round().astype(int)
    title = "Grades of the CTCs and cHER2 ratio of each patient"
    panels = [
        (_patients_panel(ordered.iloc[first:last], threshold), title)
        for first, last in itertools.pairwise(cuts.tolist())
    ]
    return drawn("patients", panels, ordered, notes)


def _patients_panel(rows: pd.DataFrame, threshold: float) -> Figure:
    with style.context(STYLE):
        figure = Figure(figsize=(_WIDTH_IN, 0.95 + _ROW_IN * len(rows)))
        top, bottom = 0.45 / figure.get_figheight(), 0.5 / figure.get_figheight()
        bars, ratios = figure.subplots(1, 2, sharey=True, width_ratios=(1, 1.25), gridspec_kw={"wspace": 0.1})
        figure.subplots_adjust(left=0.17, right=0.985, top=1 - top, bottom=bottom)
        _draw_grades(bars, rows)
        _draw_ratios(ratios, rows, threshold)
        bars.set_ylim(len(rows) - 0.4, -0.6)
        bars.set_yticks(range(len(rows)), [_label(name) for name in rows["patient_id"]], parse_math=False)
        for axes in (bars, ratios):
            axes.tick_params(axis="y", left=False, labelsize=7.5)
            axes.spines["left"].set_visible(False)
            _name_colours(axes)
        return figure


def _name_colours(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    axes.legend(
        handles, labels, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=4, frameon=False, fontsize=7.5,
        handlelength=0.9, handletextpad=0.4, columnspacing=1.0, borderaxespad=0.2,
    )  # fmt: skip


def _draw_grades(axes: Axes, rows: pd.DataFrame) -> None:
    counts = rows[[f"n_grade_{grade}" for grade in GRADES]].to_numpy(dtype=float)
    total = counts.sum(axis=1)
    shares = np.divide(counts, total[:, None], out=np.zeros_like(counts), where=total[:, None] > 0)
    ends = np.cumsum(shares, axis=1)
    for grade in GRADES:
        axes.add_patch(_bars(ends[:, grade] - shares[:, grade], ends[:, grade], GRADE_COLOURS[grade]))
        axes.patches[-1].set_label(GRADE_NAMES[grade])
    for at, number in enumerate(rows["n_ctcs"].tolist()):
        axes.text(1.02, at, str(number), va="center", fontsize=7)
    axes.text(1.02, -0.75, "n", va="bottom", fontsize=7, style="italic")
    axes.set_xlim(0, 1.08)
    axes.set_xticks([0, 0.5, 1], ["0", "50", "100"])
    axes.spines["bottom"].set_bounds(0, 1)
    axes.set_xlabel("graded CTCs (%)", x=0.46)


def _bars(start: NDArray[Any], end: NDArray[Any], colour: str) -> PathPatch:
    """Return one patch for all bars of a grade: 500 patients as one element, not as 500."""
    at = np.arange(len(start))
    x, y = (
        np.stack([start, end, end, start, start], 1),
        np.stack([at - 0.36, at - 0.36, at + 0.36, at + 0.36, at - 0.36], 1),
    )
    keep = end > start
    vertices = np.stack([x[keep], y[keep]], axis=-1).reshape(-1, 2)
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * int(keep.sum())
    return PathPatch(Path(vertices, codes), facecolor=colour, linewidth=0)


def _draw_ratios(axes: Axes, rows: pd.DataFrame, threshold: float) -> None:
    at = np.arange(len(rows))
    table = rows.reset_index(drop=True)
    for group in GROUPS:
        of_group = (table["group"] == group) & table["cher2_ratio"].notna()
        if not of_group.any():
            continue
        part = table[of_group]
        x, y = _broken_line(part["ratio_low"], part["ratio_high"], at[of_group])
        axes.plot(x, y, color=GROUP_COLOURS[group], linewidth=1.4, solid_capstyle="butt")
        axes.plot(
            part["cher2_ratio"], at[of_group], linestyle="", marker="o", markersize=4.2,
            color=GROUP_COLOURS[group], markeredgewidth=0, label=group,
        )  # fmt: skip
    for row in at[table["cher2_ratio"].isna()].tolist():
        text = f"no ratio ({table['group'][row]})"
        axes.text(0.01, row, text, va="center", fontsize=7, style="italic", parse_math=False)
    axes.axvline(threshold, color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
    axes.set_xlim(-0.015, 1.015)
    axes.set_xticks(sorted({0.0, 0.25, 0.5, 0.75, 1.0, threshold}))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel(f"cHER2 ratio, 95 % interval; dashed: threshold {threshold:g}")


def _broken_line(start: ArrayLike, end: ArrayLike, at: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the x and y of one line that is all intervals of a group, with gaps between them."""
    x = np.stack([np.asarray(start), np.asarray(end), np.full(np.shape(at), np.nan)], axis=1)
    return x.ravel(), np.repeat(np.asarray(at), 3)


def forest_figure(comparison: CohortComparison) -> SvgFigure:
    """Draw the odds ratio of every binary variable with its interval on a logarithmic axis.

    Parameters
    ----------
    comparison : CohortComparison

    Returns
    -------
    SvgFigure
        One panel, as :func:`forest_drawing` draws it; none where no variable is binary.
    """
    figure = forest_drawing(comparison)
    if figure is None:
        return SvgFigure(())
    return drawn("forest", [(figure, f"Odds ratios, {comparison.split} high against low")], _binary(comparison))


def forest_drawing(comparison: CohortComparison) -> Figure | None:
    """Draw the forest plot of a comparison, for a page or for a window.

    Parameters
    ----------
    comparison : CohortComparison

    Returns
    -------
    matplotlib.figure.Figure or None
        Drawn with :data:`~cher2.report.svg.STYLE`, in its ink. What cannot be estimated has a row that says why; an
        arrow leads to what lies beyond the axis, such as an infinite limit. None where no variable is binary.
    """
    table = _binary(comparison)
    if table.empty:
        return None
    with style.context(STYLE):
        figure = Figure(figsize=(_WIDTH_IN, 1.15 + 0.26 * len(table)))
        axes = figure.subplots()
        top, bottom = 0.35 / figure.get_figheight(), 0.62 / figure.get_figheight()
        figure.subplots_adjust(left=0.47, right=0.775, top=1 - top, bottom=bottom)
        low, high = _or_axis(table)
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        axes.set_ylim(len(table) - 0.4, -0.6)
        axes.axvline(1, color=INK, linewidth=0.8)
        for row, line in enumerate(table.to_dict("records")):
            _draw_odds_ratio(axes, row, line, (low, high))
        _write_columns(axes, paper_table(table, comparison.titles), table["p_value"].notna().tolist())
        _finish_or_axis(axes)
        return figure


def _binary(comparison: CohortComparison) -> pd.DataFrame:
    """Return the lines of binary variables under one heading: the families are the table's."""
    binary = comparison.table["kind"] == "binary"
    return comparison.table[binary].assign(family="").reset_index(drop=True)


def _or_axis(table: pd.DataFrame) -> tuple[float, float]:
    values = table[["odds_ratio", "ci_low", "ci_high"]].to_numpy(dtype=float)
    finite = values[np.isfinite(values) & (values > 0)]
    # Symmetric about 1, so that the eye may compare the two directions.
    reach = max(1.0, float(np.ceil(np.abs(np.log10(finite)).max(initial=0) * 4) / 4))
    return max(10**-reach, _OR_LIMITS[0]), min(10**reach, _OR_LIMITS[1])


def _draw_odds_ratio(axes: Axes, row: int, line: dict[Any, Any], limits: tuple[float, float]) -> None:
    if math.isnan(line["p_value"]):
        return
    low, high = limits
    start, end = (min(max(line[name], low), high) for name in ("ci_low", "ci_high"))
    axes.plot([start, end], [row, row], color=INK, linewidth=1.2, solid_capstyle="butt")
    for beyond, at, marker in ((line["ci_low"] < low, low, "<"), (line["ci_high"] > high, high, ">")):
        if beyond:
            axes.plot([at], [row], color=INK, marker=marker, markersize=5, clip_on=False)
    if low <= line["odds_ratio"] <= high:
        group = "high" if line["odds_ratio"] > 1 else "low"
        axes.plot([line["odds_ratio"]], [row], marker="s", markersize=6, color=GROUP_COLOURS[group])


def _write_columns(axes: Axes, printed: pd.DataFrame, estimable: Sequence[bool]) -> None:
    """Write the frequencies left and the numbers right of the axis, as a paper's forest plot has them."""
    place = axes.get_yaxis_transform()
    columns = ((-1.53, "", "left"), (-0.58, "High", "center"), (-0.19, "Low", "center"))
    for x, name, align in columns:
        axes.text(x, -0.85, name, transform=place, ha=align, va="bottom", weight="bold")
        for row, text in enumerate(printed[name]):
            axes.text(x, row, _label(text, 32), transform=place, ha=align, va="center", parse_math=False)
    axes.text(1.06, -0.85, "OR (95 % CI)", transform=place, va="bottom", weight="bold")
    for row, text in enumerate(printed["OR (95% CI)"]):
        shown = text if estimable[row] else text.replace(": ", ":\n", 1)
        size, style = (8, "normal") if estimable[row] else (7, "italic")
        axes.text(1.06, row, shown, transform=place, va="center", fontsize=size, style=style, parse_math=False)


def _finish_or_axis(axes: Axes) -> None:
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 3.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("odds ratio (logarithmic)\n← more frequent in low | more frequent in high →")


def _label(name: object, longest: int = 20) -> str:
    """Return a name on one line, shortened in its middle: names often differ in their ends only."""
    text = " ".join(re.sub(r"[^\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]", " ", str(name)).split())
    return text if len(text) <= longest else f"{text[: longest // 2]}…{text[1 - longest // 2 :]}"
