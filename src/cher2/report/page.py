"""A study as one HTML page: what was done, the patients, the comparison and the cells.

The page is one file that opens from disk without a network: styles, script and pictures are inside it, and its
content security policy forbids everything else. What comes from file names, sheets and notes is escaped.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cher2.cells.objects import GRADE_NAMES, GRADES
from cher2.cohorts.comparison import CohortComparison
from cher2.cohorts.layout import paper_lines
from cher2.palette import CHANNEL_COLOURS, GRADE_COLOURS, GROUP_COLOURS
from cher2.patients.flow import ExclusionFlow
from cher2.patients.table import GROUPS
from cher2.patients.uncertainty import SURE
from cher2.protocol import Protocol
from cher2.report.figures import forest_figure, patients_figure
from cher2.report.flow_figure import flow_figure
from cher2.report.page_data import agreement_rows, data_uri, sheets_data
from cher2.report.paper_methods import MethodsText, methods_text
from cher2.report.patient_sheets import COLUMNS as SHEET_COLUMNS
from cher2.report.patient_sheets import SHEET_TILE_PX
from cher2.report.quality_figure import staining_figure
from cher2.report.sections import NO_FIGURE, Sections
from cher2.report.svg import SvgFigure
from cher2.report.thumbnails import (
    HER2_WHITE_OVER_CUTOFF,
    SCALE_BAR_UM,
    TILE_PX,
    Example,
    contact_sheet,
    shared_contrast,
)

UNITS = {
    "counts": "camera counts above background",
    "leukocyte_ratio": "multiples of the median leukocyte of the same sample",
    "leukocyte_sd": "robust standard deviations (1.4826 MAD) above the median leukocyte of the same sample",
}
"""The units of HER2 in words."""

SCRIPTS = ("table.js", "patient.js", "figure.js")
"""The page's script, in the order of its parts."""

CORRECTIONS = {"holm": "Holm's method", "fdr_bh": "Benjamini and Hochberg's method", "none": ""}


@dataclass(frozen=True, eq=False)
class PageContent:
    """All that the page says.

    Parameters
    ----------
    title : str
        The study's name.
    synthetic : bool
        Whether the images are synthetic; the page then says so at its top.
    protocol : Protocol
        The protocol in force.
    patients : DataFrame
        With the columns of :data:`cher2.patients.table.COLUMNS`.
    comparison : CohortComparison or None
        None where the groups are not compared.
    examples : mapping of grade to sequence of Example
        The cells to be shown.
    images_failed : DataFrame
        ``image``, ``error`` and ``message`` of each image that could not be read.
    n_images : int
        Images of the study, those that failed among them.
    software : mapping of str to str
        Versions by name.
    notes : sequence of str
        What the reader must know, such as assumptions that were made.
    examples_chosen : str
        How the examples were chosen, as a sentence without its full stop.
    no_comparison : str
        Why there is no comparison; where it is empty, because no clinical table was given.
    flow : ExclusionFlow or None
        Who was screened, left out and analysed; not shown where it is None.
    review : str
        How much readers have judged, as a sentence without its full stop; empty where nothing was.
    log_head : str
        The newest entry of the readers' log, in words; empty where there is none.
    sections : Sections
        What is shown beside the tables.
    """

    title: str
    synthetic: bool
    protocol: Protocol
    patients: pd.DataFrame
    comparison: CohortComparison | None
    examples: Mapping[int, Sequence[Example]]
    images_failed: pd.DataFrame
    n_images: int
    software: Mapping[str, str]
    notes: Sequence[str] = ()
    examples_chosen: str = ""
    no_comparison: str = ""
    flow: ExclusionFlow | None = None
    review: str = ""
    log_head: str = ""
    sections: Sections = field(default_factory=Sections)


def render_page(content: PageContent) -> str:
    """Return the page as HTML text, to be written as UTF-8.

    Parameters
    ----------
    content : PageContent

    Returns
    -------
    str
        The same content gives the same text.
    """
    environment = _environment()
    script = "".join(_source(environment, name) for name in SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    sections = content.sections
    return environment.get_template("report.html").render(
        content=content,
        protocol=content.protocol,
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        groups=_group_counts(content.patients),
        patients=_patient_rows(content.patients, content.protocol.patient.ratio_threshold),
        sections=sections,
        quality=sections.quality,
        figures=_figures(content),
        comparison=paper_lines(content.comparison.table, content.comparison.titles) if content.comparison else [],
        agreement=agreement_rows(sections.agreement) if sections.agreement else None,
        sheet=_sheet(content),
        sheets=sheets_data(sections.sheets),
        paper=_paper(content),
        failed=content.images_failed.to_dict("records"),
        sure=SURE,
        units=UNITS,
        corrections=CORRECTIONS,
    )


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _figures(content: PageContent) -> dict[str, SvgFigure]:
    """Return the figures of a page by the place that they have in it."""
    sections, threshold = content.sections, content.protocol.patient.ratio_threshold
    return {
        "flow": flow_figure(content.flow) if content.flow else NO_FIGURE,
        "patients": patients_figure(content.patients, threshold),
        "forest": forest_figure(content.comparison) if content.comparison else NO_FIGURE,
        "intensities": sections.intensities,
        "sites": sections.sites,
        "cutoffs": sections.cutoffs,
        "staining": staining_figure(sections.quality, content.protocol.quality) if sections.quality else NO_FIGURE,
    }


def _paper(content: PageContent) -> MethodsText:
    return methods_text(
        content.protocol,
        content.software,
        review=content.review,
        compared=content.comparison is not None,
        survival=any(figure.panels for figure in content.sections.survival),
    )


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("cher2.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "grades": GRADES,
        "grade_names": GRADE_NAMES,
        "grade_colours": GRADE_COLOURS,
        "group_colours": GROUP_COLOURS,
        "channel_colours": CHANNEL_COLOURS,
        "ink_on": ink_on,
        "data_uri": data_uri,
        "sheet_tile": SHEET_TILE_PX,
        "sheet_columns": SHEET_COLUMNS,
    }
    return environment


def _printable(value: Any) -> Any:
    """Replace what HTML and UTF-8 cannot hold: file names may have control characters and undecodable bytes."""
    if not isinstance(value, str):
        return value
    # type(value) keeps text that is already HTML what it is.
    return type(value)(re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", "�", value))


def ink_on(colour: str) -> str:
    """Return black or white, whichever has the higher contrast (WCAG 2.1) with a colour "#rrggbb".

    Examples
    --------
    >>> ink_on("#ffff00"), ink_on("#000080")
    ('#000000', '#ffffff')
    """
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "#ffffff"


def _group_counts(patients: pd.DataFrame) -> dict[str, int]:
    return {group: int((patients["group"] == group).sum()) for group in GROUPS}


def _patient_rows(patients: pd.DataFrame, threshold: float) -> list[dict[str, Any]]:
    """Return the table's rows with their numbers as text; the raw numbers stay beside them, to sort by."""
    rows = patients.to_dict("records")
    for row in rows:
        row["n_images"] = None if pd.isna(row["n_images"]) else int(row["n_images"])
        known = not math.isnan(row["cher2_ratio"])
        row["ratio_text"] = ratio_text(row["cher2_ratio"], threshold) if known else "–"
        row["interval_text"] = f"{row['ratio_low']:.2f} to {row['ratio_high']:.2f}" if known else ""
        row["p_high_text"] = "–" if math.isnan(row["p_high"]) else _probability(row["p_high"])
    return [{str(key): value for key, value in row.items()} for row in rows]


def ratio_text(ratio: float, threshold: float) -> str:
    """Write a ratio with two decimals, or with as many as tell it from the threshold.

    Examples
    --------
    >>> ratio_text(0.75, 0.75), ratio_text(0.7513, 0.75), ratio_text(1, 0.75)
    ('0.75', '0.751', '1.00')
    """
    for decimals in range(2, 17):
        text = f"{ratio:.{decimals}f}"
        if ratio == threshold or float(text) != threshold:
            return text
    return repr(ratio)


def _probability(value: float) -> str:
    return "<0.01" if value < 0.005 else ">0.99" if value > 0.995 else f"{value:.2f}"


def _sheet(content: PageContent) -> dict[str, Any] | None:
    """Return the contact sheet with what its caption needs; None where no cell is to be shown."""
    shown = [(grade, example) for grade in GRADES for example in content.examples.get(grade, ())]
    if not shown:
        return None
    grade_rules = content.protocol.grade
    given = HER2_WHITE_OVER_CUTOFF * grade_rules.cutoffs[2] if grade_rules.unit == "counts" else None
    white = shared_contrast((example.thumbnail for _, example in shown), given)
    return {
        "png": base64.b64encode(contact_sheet(content.examples, given)).decode(),
        "white": white,
        "from_cutoff": given is not None,
        "factor": HER2_WHITE_OVER_CUTOFF,
        "size_um": shown[0][1].thumbnail.size_um,
        "bar_um": SCALE_BAR_UM,
        "tile_px": TILE_PX,
        "cells": shown,
        "missing": [GRADE_NAMES[grade] for grade in GRADES if not content.examples.get(grade)],
    }
