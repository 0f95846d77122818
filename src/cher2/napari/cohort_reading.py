"""What the cohort widget shows, read and computed outside the window's thread; knows nothing of Qt."""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib import style
from matplotlib.figure import Figure

from cher2.cohorts.clinical import check_clinical
from cher2.cohorts.comparison import CHER2, CohortComparison, compare_cohorts
from cher2.cohorts.group_survival import GroupSurvival, survival_by_group
from cher2.errors import Cher2Error, ClinicalTableError
from cher2.patients.splits import SplitRule, split_by, split_rule
from cher2.report.derive import derive, read_clinical, summarise_study
from cher2.report.figures import forest_drawing
from cher2.report.sites_figure import sites_by_group, sites_drawing
from cher2.report.survival_figure import survival_drawing
from cher2.report.svg import STYLE
from cher2.report.write import is_synthetic, write_report
from cher2.review.results import ReviewSummary
from cher2.study.fault_file import faults_filed
from cher2.study.folder import Study

NO_TABLE = "The study has no clinical table of its own: choose one to compare the cohorts"

_DRAWING = threading.Lock()
"""Drawing in the report's style changes matplotlib's settings of the whole process: one thread at a time."""


@dataclass(frozen=True)
class CohortChoice:
    """What is to be compared.

    Parameters
    ----------
    study : Path
    clinical : Path or None
        None for the study's own ``clinical.csv``.
    reviews : str
        The database of readers' decisions, as of :func:`cher2.review.open_log.open_log`.
    index : str
        A name of :data:`cher2.patients.indices.INDICES`; empty for the groups by the protocol.
    threshold : str
        As it is written, ``0.3`` or ``1/3``; empty for the published one.
    """

    study: Path
    clinical: Path | None = None
    reviews: str = ""
    index: str = ""
    threshold: str = ""

    def rule(self) -> SplitRule | None:
        """Return the rule of the split; None for the protocol's.

        Raises
        ------
        Cher2Error
            There is no such index or threshold.
        """
        return split_rule(self.index, self.threshold or None) if self.index else None


@dataclass(frozen=True, eq=False)
class StudyRead:
    """A study summed up: what takes long, and does not hang on the clinical table or on the split.

    Parameters
    ----------
    study : Study
    reviews : str
        As of :class:`CohortChoice`.
    patients : DataFrame
        As in patients.csv.
    review : ReviewSummary
    synthetic : bool
    """

    study: Study
    reviews: str
    patients: pd.DataFrame
    review: ReviewSummary
    synthetic: bool


@dataclass(frozen=True, eq=False)
class CohortDrawing:
    """A figure of the report; None where there is nothing to draw, and the notes say why."""

    figure: Figure | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class CohortView:
    """A study's cohorts, compared, ready to be shown.

    Parameters
    ----------
    read : StudyRead
    split : str
        What the groups are of, in print.
    patients : DataFrame
        As in patients.csv, with ``group`` and ``reason`` by the split; ``index_value``, where the split is by another
        index than the protocol's; and ``has_clinical``, whether the clinical table has a row.
    index_title : str
        What ``index_value`` is called; empty where there is none.
    clinical : DataFrame or None
        The checked text of the clinical table that was compared.
    own_clinical : bool
        It is the study's own.
    comparison : CohortComparison or None
        None where `fault` says why.
    survival : GroupSurvival or None
    forest, sites : CohortDrawing
    curves : tuple of CohortDrawing
        Kaplan-Meier curves, an endpoint each.
    fault : str
        Why there is no comparison.
    """

    read: StudyRead
    split: str
    patients: pd.DataFrame
    index_title: str = ""
    clinical: pd.DataFrame | None = None
    own_clinical: bool = True
    comparison: CohortComparison | None = None
    survival: GroupSurvival | None = None
    forest: CohortDrawing = CohortDrawing(None)
    sites: CohortDrawing = CohortDrawing(None)
    curves: tuple[CohortDrawing, ...] = ()
    fault: str = ""


def read_cohorts(choice: CohortChoice, known: StudyRead | None = None) -> Generator[str, None, CohortView]:
    """Read a study and compare its cohorts; nothing is written.

    Parameters
    ----------
    choice : CohortChoice
    known : StudyRead, optional
        The study as it was read before; it is then not read again.

    Yields
    ------
    str
        What is done next, in words.

    Returns
    -------
    CohortView
        Where the cohorts cannot be compared, the patients alone, and why.

    Raises
    ------
    Cher2Error
        The study cannot be read, or there is no such index or threshold.
    """
    rule = choice.rule()
    if known is None:
        yield "Reading the study: every cell's grade"
        study = Study.open(choice.study)
        patients, review = summarise_study(study, choice.reviews)
        known = StudyRead(study, choice.reviews, patients, review, is_synthetic(study))
    study = known.study
    yield "Comparing the cohorts"
    patients, split, title = _grouped(known.patients, rule, choice)
    clinical = None
    path = choice.clinical or study.path / "clinical.csv"
    if choice.clinical is None and not path.is_file():
        return CohortView(known, split, patients.assign(has_clinical=False), title, fault=NO_TABLE)
    try:
        clinical = read_clinical(path, study.protocol)
        with faults_filed(study):
            comparison = compare_cohorts(patients, clinical, study.protocol, split=split)
            survival = survival_by_group(patients, clinical, study.protocol)
    except Cher2Error as error:
        # The patients are right without it.
        rows = _has_row(patients, clinical, study)
        return CohortView(known, split, patients.assign(has_clinical=rows), title, fault=str(error))
    yield "Drawing"
    checked = check_clinical(clinical, study.protocol).set_index("patient_id")
    counts = sites_by_group(patients.set_index("patient_id")["group"], checked["n_sites"])
    with _DRAWING:
        forest = _ready(forest_drawing(comparison))
        sites = _ready(sites_drawing(counts, study.protocol.cohort.oligometastatic_max_sites, split))
        curves = tuple(
            CohortDrawing(_ready(survival_drawing(endpoint, split)), (f"{endpoint.title}: {reason}",))
            if (reason := "; ".join(endpoint.reasons))
            else CohortDrawing(_ready(survival_drawing(endpoint, split)))
            for endpoint in survival.endpoints.values()
        )
    return CohortView(
        known,
        split,
        patients.assign(has_clinical=_has_row(patients, clinical, study)),
        title,
        clinical,
        choice.clinical is None,
        comparison,
        survival,
        CohortDrawing(forest),
        CohortDrawing(sites, () if sites else ("Of no patient all sites were assessed",)),
        curves,
    )


def use_clinical(view: CohortView) -> Generator[str, None, Path]:
    """Make a clinical table the study's own, as ``cher2 compare --clinical`` does: by the protocol's groups.

    Parameters
    ----------
    view : CohortView
        With the clinical table, as it was read and shown.

    Yields
    ------
    str
        What is done next, in words.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    Cher2Error
        The cohorts cannot be compared, or the study cannot be written to; a table that is refused changes nothing.
    """
    if view.clinical is None:
        raise ClinicalTableError("there is no clinical table to be used", remedy="Choose one, and read it")
    study, reviews = view.read.study, view.read.reviews
    with study.lock.held("compare"):
        yield "Writing cells, patients and comparison into the study"
        derived = derive(study, view.clinical, reviews)
        yield "Writing report.html"
        with _DRAWING:
            return write_report(study, derived, reviews)


def _grouped(patients: pd.DataFrame, rule: SplitRule | None, choice: CohortChoice) -> tuple[pd.DataFrame, str, str]:
    """Return the patients in the groups of a split, what the groups are of, and what the index is called."""
    if rule is None:
        return patients, CHER2, ""
    groups = split_by(patients, choice.index, choice.threshold or None)
    # Both tables have the same patients in the same order.
    regrouped = patients.assign(
        group=groups["group"].to_numpy(),
        reason=groups["reason"].to_numpy(),
        index_value=groups[choice.index].to_numpy(),
        borderline=False,
    )
    return regrouped, str(rule), rule.index.title


def _has_row(patients: pd.DataFrame, clinical: pd.DataFrame | None, study: Study) -> pd.Series[bool]:
    """Say of which patients the clinical table has a row."""
    there = [] if clinical is None else check_clinical(clinical, study.protocol)["patient_id"].tolist()
    return patients["patient_id"].isin(there)


def _ready(figure: Figure | None) -> Figure | None:
    """Let a figure make its ticks in the report's style, which is not in force where the window draws it."""
    if figure is not None:
        with style.context(STYLE):
            figure.draw_without_rendering()
    return figure
