"""How strongly the samples of a study were stained, by the HER2 of their leukocytes."""

from __future__ import annotations

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cher2.palette import KIND_COLOURS
from cher2.patients.quality import StudyQuality
from cher2.protocol import Quality
from cher2.report.svg import INK, STYLE, SvgFigure, drawn

_SIZE_IN = (7.2, 2.4)
_LABELS = 12
_LONGEST = 24


def staining_figure(quality: StudyQuality, rules: Quality) -> SvgFigure:
    """Draw the leukocytes' HER2 of each sample, with the study's level and the limits of what is flagged.

    Parameters
    ----------
    quality : StudyQuality
    rules : Quality
        The protocol's section ``quality``.

    Returns
    -------
    SvgFigure
        One panel; none where fewer than two samples have a level, or there is no HER2.
    """
    shown = quality.samples[quality.samples["her2"].notna()]
    if len(shown) < 2:
        return SvgFigure(())
    at = np.arange(1, len(shown) + 1)
    her2, drifts = shown["her2"].to_numpy(float), shown["drifts"].to_numpy(bool)
    with style.context(STYLE):
        figure = Figure(figsize=_SIZE_IN)
        axes = figure.subplots()
        figure.subplots_adjust(left=0.1, right=0.985, top=0.93, bottom=0.2)
        axes.plot(at[~drifts], her2[~drifts], "o", markersize=4, color=KIND_COLOURS["leukocyte"], label="sample")
        if drifts.any():
            axes.plot(at[drifts], her2[drifts], "D", markersize=5, color=INK, fillstyle="none", label="flagged")
        for x, y, name in list(zip(at[drifts], her2[drifts], shown["sample_id"][drifts], strict=True))[:_LABELS]:
            axes.annotate(_label(name), (x, y), (5, 2), textcoords="offset points", fontsize=7, parse_math=False)
        if np.isfinite(quality.her2):
            axes.axhline(quality.her2, color=INK, linewidth=0.8, label="the study's median")
        if quality.her2 > 0:
            for limit, label in ((rules.staining_max, "limits of the protocol"), (1 / rules.staining_max, None)):
                axes.axhline(quality.her2 * limit, color=INK, linewidth=0.8, linestyle=(0, (4, 2)), label=label)
        # The limits' lines are in reach, and the highest sample's name has room below the legend.
        reach = [0.0, *her2, *([rules.staining_max * quality.her2] if quality.her2 > 0 else [])]
        axes.set_ylim(1.1 * min(reach), 1.2 * max(reach) or 1.0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("sample, in the order of the sample sheet")
        axes.set_ylabel("HER2 of leukocytes (counts)")
        figure.legend(loc="upper right", ncols=4, frameon=False, fontsize=7.5, bbox_to_anchor=(0.985, 1.02))
        columns = ["patient_id", "sample_id", "n_leukocytes", "her2", "n_her2", "times_study", "robust_z", "flags"]
        return drawn("staining", [(figure, "HER2 of the leukocytes of each sample")], quality.samples[columns])


def _label(name: str) -> str:
    """Return a name on one line, shortened in its middle."""
    line, half = " ".join(name.split()), _LONGEST // 2
    return line if len(line) <= _LONGEST else f"{line[: half - 1]}…{line[-half:]}"
