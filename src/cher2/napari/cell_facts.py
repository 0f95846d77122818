"""What a reader is told of one cell, free of Qt; and what a blinded reader is not told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from cher2.cells.objects import GRADE_NAMES
from cher2.palette import GRADE_COLOURS

HIDDEN = "hidden: blind reading"

UNIT_TITLES = {"counts": "counts", "leukocyte_ratio": "× leukocytes", "leukocyte_sd": "SD above leukocytes"}
"""The units of HER2 intensity, short enough for an axis."""

KIND_TITLES = {"ctc": "CTC", "leukocyte": "leukocyte", "other": "no CTC"}

_NO_NUMBER = "–"


@dataclass(frozen=True, eq=False)
class CellFacts:
    """All that is shown of a cell beside its picture.

    Parameters
    ----------
    patient_id, sample_id, image, cohort : str
        Where the cell is from; `cohort` is the patient's group so far, empty where it has none.
    object_id : int
    her2_intensity, her2_se : float
        In `unit`, both; NaN where HER2 could not be measured.
    unit : {"counts", "leukocyte_ratio", "leukocyte_sd"}
    cutoffs : tuple of three floats
        In `unit`.
    diameter_um : float
    ck_mean, cd45_mean, dapi_mean : float
        Counts above background.
    probabilities : tuple of four floats, optional
        Of the grades 0 to 3+.
    kind_auto : {"ctc", "leukocyte", "other"}
        What the machine took it for.
    grade_auto : int, optional
    not_graded : str
        Why the machine gave no grade.
    reader : str
        Who decided; empty while nobody has.
    kind_final : {"ctc", "leukocyte", "other"}
        After the reader's decision.
    grade_final : int, optional
        After the reader's decision.
    note : str
    unsaved : bool
        The decision is not yet in the database.
    blind : bool
        Hide what :meth:`CellView.show_cell` says.
    outline : ndarray of bool, optional
        The cell body, of the shape of the thumbnail's crops.
    message : str
        Shown in place of the pictures where there are none, such as why the image cannot be read.
    """

    patient_id: str
    sample_id: str
    image: str
    object_id: int
    her2_intensity: float
    her2_se: float
    cutoffs: tuple[float, float, float]
    diameter_um: float
    ck_mean: float
    cd45_mean: float
    dapi_mean: float
    unit: str = "counts"
    cohort: str = ""
    probabilities: tuple[float, float, float, float] | None = None
    kind_auto: str = "ctc"
    grade_auto: int | None = None
    not_graded: str = ""
    reader: str = ""
    kind_final: str = "ctc"
    grade_final: int | None = None
    note: str = ""
    unsaved: bool = False
    blind: bool = False
    outline: NDArray[np.bool_] | None = None
    message: str = ""


def intensity_words(facts: CellFacts) -> str:
    """Return the HER2 intensity with its standard error and unit, or why there is none."""
    if math.isnan(facts.her2_intensity):
        return f"HER2 not measured{': ' + facts.not_graded if facts.not_graded else ''}"
    # The error says how many digits of the intensity mean something.
    digits = 0 if facts.her2_se >= 2 or abs(facts.her2_intensity) >= 1000 else 1 if facts.her2_se >= 0.2 else 2
    error = f" ± {facts.her2_se:.{digits}f}" if math.isfinite(facts.her2_se) else ""
    return f"HER2 {facts.her2_intensity:.{digits}f}{error} {UNIT_TITLES[facts.unit]}".replace("-", "−")


def numbers_html(facts: CellFacts) -> str:
    """Return size and stains as a table of one row of titles and one of numbers."""
    numbers = (
        ("Size", f"{facts.diameter_um:.1f} µm" if math.isfinite(facts.diameter_um) else _NO_NUMBER),
        ("CK", _counts(facts.ck_mean)),
        ("CD45", _counts(facts.cd45_mean)),
        ("DAPI", _counts(facts.dapi_mean)),
    )
    cells = "".join(f'<td width="25%">{title}<br><b>{number}</b></td>' for title, number in numbers)
    return f'<table width="100%" cellspacing="0"><tr>{cells}</tr></table>'


def source_words(facts: CellFacts) -> tuple[str, str]:
    """Return where the cell is from, as two lines: patient and sample, and the frame.

    A blinded reader gets neither: the names of samples and frames hold the patient's in most studies.
    """
    if facts.blind:
        return f"Patient, cohort and sample {HIDDEN}", f"Frame {HIDDEN}"
    sample = "" if facts.sample_id in ("", facts.patient_id) else f" · sample {facts.sample_id}"
    cohort = f" ({facts.cohort})" if facts.cohort else ""
    return f"Patient {facts.patient_id}{cohort}{sample}", f"Cell {facts.object_id} of {facts.image}"


def state_html(facts: CellFacts) -> tuple[str, str]:
    """Return two lines: the final grade and by whom, and the automatic grade."""
    automatic = HIDDEN if facts.blind else _verdict(facts.kind_auto, facts.grade_auto)
    if facts.reader:
        final = f"{_verdict(facts.kind_final, facts.grade_final)} by {escape(facts.reader)}"
    else:
        final = "not read yet" if facts.blind else f"{_verdict(facts.kind_final, facts.grade_final)} not read yet"
    return f"Final: {final}", f"Automatic: {automatic}"


def _verdict(kind: str, grade: int | None) -> str:
    if kind != "ctc":
        return f"<b>{KIND_TITLES[kind]}</b>"
    if grade is None:
        return "<b>CTC without a grade</b>"
    colour = GRADE_COLOURS[grade]
    return f'<b style="background-color:{colour}; color:{ink_on(colour)}">&nbsp;{GRADE_NAMES[grade]}&nbsp;</b>'


def ink_on(colour: str) -> str:
    """Return black or white, whichever has the higher contrast on a colour (WCAG 2.2, relative luminance)."""
    light = luminance(colour)
    return "#000000" if (light + 0.05) / 0.05 >= 1.05 / (light + 0.05) else "#ffffff"


def luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb, 0 to 1, as WCAG 2.2 defines it."""
    parts = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def _counts(value: float) -> str:
    return f"{value:.0f}".replace("-", "−") if math.isfinite(value) else _NO_NUMBER
