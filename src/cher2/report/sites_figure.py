"""How many metastatic sites the patients of each group have."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.figure import Figure

from cher2.cohorts.comparison import CHER2
from cher2.palette import GROUP_COLOURS
from cher2.report.svg import INK, STYLE, SvgFigure, drawn

_SIZE_IN = (7.2, 2.7)
_GROUPS = ("high", "low")


def sites_by_group(groups: pd.Series[str], n_sites: pd.Series[float]) -> pd.DataFrame:
    """Count the patients of each group by their number of sites.

    Parameters
    ----------
    groups : Series of str
        ``high`` or ``low``, by patient; others are not counted.
    n_sites : Series of float
        By patient; NaN where not every site was assessed.

    Returns
    -------
    DataFrame
        ``n_sites``, ``high``, ``low``: a row for every number from 0 or 1 to the largest.
    """
    known = n_sites.reindex(groups.index).astype("Float64")
    of_group = {group: known[(groups == group) & known.notna()].astype(int) for group in _GROUPS}
    there = pd.concat(list(of_group.values()))
    numbers = np.arange(min(1, int(there.min())), int(there.max()) + 1) if len(there) else np.empty(0, int)
    counts = {group: [int((values == number).sum()) for number in numbers] for group, values in of_group.items()}
    return pd.DataFrame({"n_sites": numbers, **counts})


def sites_figure(counts: pd.DataFrame, oligometastatic_max_sites: int) -> SvgFigure:
    """Draw the share of each group's patients by their number of sites.

    Parameters
    ----------
    counts : DataFrame
        As :func:`sites_by_group` gives it.
    oligometastatic_max_sites : int
        Up to so many sites the disease is oligometastatic; a line stands behind them.

    Returns
    -------
    SvgFigure
        One panel, with the numbers of patients over the bars; none where nobody's sites are known.
    """
    figure = sites_drawing(counts, oligometastatic_max_sites)
    if figure is None:
        return SvgFigure(())
    return drawn("sites", [(figure, "Number of metastatic sites by cHER2 group")], counts)


def sites_drawing(counts: pd.DataFrame, oligometastatic_max_sites: int, split: str = CHER2) -> Figure | None:
    """Draw the number of sites by group, for a page or for a window.

    Parameters
    ----------
    counts, oligometastatic_max_sites
        As of :func:`sites_figure`.
    split : str
        What the groups are of, in print.

    Returns
    -------
    matplotlib.figure.Figure or None
        Drawn with :data:`~cher2.report.svg.STYLE`, in its ink; None where nobody's sites are known.
    """
    totals = {group: int(counts[group].sum()) for group in _GROUPS}
    if not any(totals.values()):
        return None
    with style.context(STYLE):
        figure = Figure(figsize=_SIZE_IN)
        axes = figure.subplots()
        figure.subplots_adjust(left=0.1, right=0.985, top=0.9, bottom=0.19)
        for side, group in zip((-0.2, 0.2), _GROUPS, strict=True):
            shares = 100 * counts[group].to_numpy(float) / max(totals[group], 1)
            at = counts["n_sites"].to_numpy(float) + side
            label = f"{split} {group} (n = {totals[group]})"
            axes.bar(at, shares, width=0.38, color=GROUP_COLOURS[group], label=label)
            for x, share, number in zip(at, shares, counts[group], strict=True):
                axes.text(x, share, str(number) if number else "", ha="center", va="bottom", fontsize=7.5)
        line = oligometastatic_max_sites + 0.5
        if counts["n_sites"].iloc[0] <= oligometastatic_max_sites < counts["n_sites"].iloc[-1]:
            axes.axvline(line, color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
            top = axes.get_xaxis_transform()
            axes.text(line - 0.06, 1.0, "oligometastatic", transform=top, ha="right", va="bottom", fontsize=7.5)
        axes.set_xticks(counts["n_sites"].tolist())
        axes.set_xlabel("metastatic sites")
        axes.set_ylabel("patients of the group (%)")
        axes.margins(y=0.12)
        axes.legend(loc="upper right", frameon=False, fontsize=8)
        return figure
