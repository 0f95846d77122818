"""The exclusion flow as a figure: from the patients screened to the groups, with those left out at its side.

Drawn in the manner of the CONSORT and REMARK statements, which ask for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from cher2.palette import GROUP_COLOURS
from cher2.patients.flow import ExclusionFlow
from cher2.report.svg import INK, STYLE, SvgFigure, drawn

_SIZE_IN = (7.2, 3.5)
_TEXT_PT = 8.5
_LINE_IN = 0.18
_Box = tuple[float, float, float, float]  # left, bottom, width, height, in inches

_SCREENED: _Box = (0.1, 3.1, 2.9, 0.34)
_IMAGED: _Box = (0.1, 1.9, 2.9, 0.34)
_ANALYSED: _Box = (0.1, 0.7, 2.9, 0.34)
_NO_IMAGE: _Box = (3.5, 2.34, 3.2, 0.66)  # beside the way from those screened to those with images
_NO_GROUP: _Box = (3.5, 1.14, 3.2, 0.66)
_HIGH: _Box = (0.1, 0.05, 1.4, 0.34)
_LOW: _Box = (1.6, 0.05, 1.4, 0.34)


def flow_figure(flow: ExclusionFlow) -> SvgFigure:
    """Draw how many patients were screened, left out and analysed.

    Parameters
    ----------
    flow : ExclusionFlow

    Returns
    -------
    SvgFigure
        One panel; none where nobody was screened. The notes say whose clinical row is missing.
    """
    counts, meanings = flow.counts(), flow.meanings()
    if not counts["screened"]:
        return SvgFigure(())
    with style.context(STYLE):
        figure = Figure(figsize=_SIZE_IN)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_xlim(0, _SIZE_IN[0])
        axes.set_ylim(0, _SIZE_IN[1])
        axes.set_axis_off()
        for box, step in ((_SCREENED, "screened"), (_IMAGED, "imaged"), (_ANALYSED, "analysed")):
            _draw_box(axes, box, [f"{meanings[step]}: {counts[step]}"])
        for box, parts in ((_NO_IMAGE, ("no_image", "unreadable")), (_NO_GROUP, ("too_few", "undefined"))):
            out = sum(counts[part] for part in parts)
            _draw_box(
                axes, box, [f"Left out: {out}", *(f"{counts[part]}  {meanings[part]}" for part in parts)], aside=True
            )
        for box, group in ((_HIGH, "high"), (_LOW, "low")):
            _draw_box(axes, box, [f"cHER2 {group}: {counts[group]}"], GROUP_COLOURS[group])
        _draw_arrows(axes)
        drawing = (figure, "Patients screened, left out and analysed")
        return drawn("flow", [drawing], flow.to_frame(), _notes(flow))


def _notes(flow: ExclusionFlow) -> tuple[str, ...]:
    if not flow.not_compared:
        return ()
    have = "patient has" if flow.not_compared == 1 else "patients have"
    return (f"{flow.not_compared} analysed {have} no row in the clinical table, and cannot be compared",)


def _draw_box(axes: Axes, box: _Box, lines: Sequence[str], colour: str = INK, aside: bool = False) -> None:
    left, bottom, width, height = box
    wide = 0.8 if colour == INK else 2.0
    axes.add_patch(Rectangle((left, bottom), width, height, facecolor="none", edgecolor=colour, linewidth=wide))
    top = bottom + height / 2 + _LINE_IN * (len(lines) - 1) / 2
    for number, line in enumerate(lines):
        at, align = (left + 0.12, "left") if aside else (left + width / 2, "center")
        bold = "bold" if number == 0 and not aside else "normal"
        axes.text(
            at, top - _LINE_IN * number, line, ha=align, va="center", fontsize=_TEXT_PT, weight=bold, parse_math=False
        )


def _draw_arrows(axes: Axes) -> None:
    for above, below in ((_SCREENED, _IMAGED), (_IMAGED, _ANALYSED)):
        _arrow(axes, (_middle(above), above[1]), (_middle(below), below[1] + below[3]))
    for group in (_HIGH, _LOW):
        _arrow(axes, (_middle(group), _ANALYSED[1]), (_middle(group), group[1] + group[3]))
    for aside in (_NO_IMAGE, _NO_GROUP):
        height = aside[1] + aside[3] / 2
        _arrow(axes, (_middle(_SCREENED), height), (aside[0], height))


def _middle(box: _Box) -> float:
    return box[0] + box[2] / 2


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    arrow = FancyArrowPatch(
        start, end, arrowstyle="-|>", mutation_scale=9, shrinkA=0, shrinkB=0, color=INK, linewidth=0.8
    )
    axes.add_patch(arrow)
