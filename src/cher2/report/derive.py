"""The derived tables of a study: cells, patients and the comparison, from results and clinical table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import pandas as pd

from cher2.cells.objects import COLUMNS
from cher2.cohorts.clinical import check_clinical
from cher2.cohorts.comparison import CohortComparison, compare_cohorts
from cher2.cohorts.group_survival import GroupSurvival, survival_by_group
from cher2.cohorts.variables import further_columns, identifying_columns
from cher2.errors import ClinicalTableError, CohortError, StudyError
from cher2.patients.flow import ExclusionFlow, exclusion_flow
from cher2.patients.quality import StudyQuality
from cher2.patients.roster import Roster
from cher2.patients.splits import split_by, split_rule
from cher2.patients.summary import COUNTED, PatientSums
from cher2.protocol import PatientRules, Protocol
from cher2.report.cell_table import CellTable, no_cells
from cher2.report.image_quality import QUALITY, quality_of_study
from cher2.report.operator_ctcs import CELLS_FILE, SAMPLES_FILE, OperatorComparison, compare_with_operator, tables_of
from cher2.report.table_guards import CellCounts, check_written
from cher2.review.cells import corrected_images
from cher2.review.decisions_csv import decisions_csv, guarded
from cher2.review.log_state import LogState, head_fact, log_state, noted_heads
from cher2.review.open_log import stored_decisions
from cher2.review.results import LOST, ReviewSummary, StudyReadings, scan_reviewed, study_readings
from cher2.study.fault_file import faults_filed
from cher2.study.file_set import remove, replaced_together
from cher2.study.folder import Study
from cher2.study.provenance import check_at_rest
from cher2.study.tables import csv_text, read_csv, sweep_partials
from cher2.study.trail import add_event, read_trail

PAGE = "report.html"

TABLES = (
    *("cells.csv", "patients.csv", QUALITY, "comparison.csv", "survival.csv"),
    *(LOST, SAMPLES_FILE, CELLS_FILE),
)
"""The derived tables. They are replaced together: tables of different decisions never stand side by side."""

_COUNTED = [column.name for column in COLUMNS if column.name in COUNTED]


@dataclass(frozen=True, eq=False)
class Derived:
    """The derived tables of a study.

    Parameters
    ----------
    cell_table : CellTable
        The CTCs, and the objects that a reader judged, as in cells.csv, in batches.
    patients : DataFrame
        As in patients.csv.
    flow : ExclusionFlow
        Who was screened, left out and analysed; those of the clinical table without images among them.
    comparison : CohortComparison or None
        The comparison of cohorts; None without a clinical table, or where `no_comparison` says why.
    no_comparison : str
        Why there is no comparison; empty where there is one.
    survival : GroupSurvival or None
        Survival by group, as in survival.csv; None where there is no comparison.
    review : ReviewSummary
        How much of the study was read; by default nothing.
    operator : OperatorComparison or None
        The CTCs that CellTracks' operator selected beside the study's; None without CellTracks exports.
    quality : StudyQuality or None
        How good the images and the staining are, as in quality.csv.
    log : LogState
        The newest entry of the readers' log, and where the log was altered.
    """

    cell_table: CellTable
    patients: pd.DataFrame
    flow: ExclusionFlow
    comparison: CohortComparison | None
    no_comparison: str = ""
    survival: GroupSurvival | None = None
    review: ReviewSummary = field(default_factory=ReviewSummary)
    operator: OperatorComparison | None = None
    quality: StudyQuality | None = None
    log: LogState = field(default_factory=LogState)

    def notes(self) -> list[str]:
        """Say in words what else is to be known of the tables."""
        quality = [] if self.quality is None else self.quality.notes()
        altered = [note] if (note := self.log.note()) else []
        return [*altered, *quality, *self.review.notes(), *([] if self.operator is None else [str(self.operator)])]

    @property
    def cells(self) -> pd.DataFrame:
        """All rows of cells.csv at once; of a large study they are read again, and need much memory."""
        return self.cell_table.read()


def derive(study: Study, clinical: pd.DataFrame | None = None, reviews: str = "") -> Derived:
    """Derive the tables of a study, by readers' final grades, and write them into it.

    Parameters
    ----------
    study : Study
        With its images scored; its ``clinical.csv``, where there is one, is compared.
    clinical : DataFrame, optional
        A checked clinical table that becomes the study's.
    reviews : str
        The database of readers' decisions, as of :func:`cher2.review.open_log.open_log`.

    Returns
    -------
    Derived

    Raises
    ------
    StudyError
        A run of the study was broken off.
    ReviewError
        Readers' decisions cannot be read.
    CohortError
        The clinical table that was given cannot be compared; nothing is written then.
    Cher2FaultError
        The tables do not fit together; nothing is written then but the file to be sent.
    """
    with study.lock.held("report"), faults_filed(study):
        sweep_partials(study.path)
        return _derive(study, clinical, reviews)


def _derive(study: Study, clinical: pd.DataFrame | None, reviews: str) -> Derived:
    protocol, source = study.protocol, _Source.of(study, reviews)
    comparison: CohortComparison | None
    survival: GroupSurvival | None
    with replaced_together(study.path, TABLES, [PAGE]) as files:
        cells = CellTable(study, source.images, source.readings)
        counts = CellCounts(study)
        with files.opened("cells.csv") as file:
            patients, review = source.summed_up(_written(cells, file, counts))
        corrected = corrected_images(study, source.images)
        counts.check(patients, source.quality.images, source.roster, corrected)
        check_written(csv_text(patients), patients)
        if clinical is None:
            comparison, survival, reason = _compare(study, patients)
        else:
            # Refused before anything is in its place.
            comparison, reason = compare_cohorts(patients, clinical, protocol), ""
            survival = survival_by_group(patients, clinical, protocol)
            files.write("clinical.csv", csv_text(kept_clinical(clinical, protocol)).encode())
        operator = compare_with_operator(study, cells)
        tables = {"patients.csv": patients, QUALITY: source.quality.images}
        tables |= {"comparison.csv": comparison.table} if comparison is not None else {}
        tables |= {"survival.csv": survival.table} if survival is not None else {}
        for name, table in (tables | tables_of(operator)).items():
            files.write(name, csv_text(table).encode())
        if review.lost:
            files.write(LOST, decisions_csv(review.lost).encode())
    flow = _flow(study, patients)
    state = _noted(study, log_state(study, reviews))
    return Derived(cells, patients, flow, comparison, reason, survival, review, operator, source.quality, state)


def _noted(study: Study, state: LogState) -> LogState:
    """Let the trail note a log's newest entry, unless it has done so already."""
    if state.head.entry and not state.broken and state.head not in noted_heads(read_trail(study.path).events):
        add_event(study.path, "derived", decisions=head_fact(state.head))
    return state


def drop_derived(study: Study) -> None:
    """Remove the derived tables and the page: what they were derived from is about to change.

    A run that is broken off then leaves no table that looks right and tells of other results.
    """
    remove(study.path, (PAGE, *TABLES))


def summarise_study(study: Study, reviews: str = "") -> tuple[pd.DataFrame, ReviewSummary]:
    """Sum a study up as patients, by readers' final grades; nothing is written.

    Of the tables of objects only what patients depend on is read, in batches: memory does not grow with the study.

    Parameters
    ----------
    study, reviews
        As of :func:`derive`.

    Returns
    -------
    patients : DataFrame
        As in patients.csv.
    review : ReviewSummary
        How much of the study was read.

    Raises
    ------
    StudyError
        A run of the study was broken off.
    ReviewError
        Readers' decisions cannot be read.
    """
    with faults_filed(study):
        source = _Source.of(study, reviews)
        return source.summed_up(scan_reviewed(study, source.images, source.readings, _COUNTED))


def _written(cells: CellTable, file: BinaryIO, counts: CellCounts) -> Iterator[pd.DataFrame]:
    """Write cells as they pass by, and count them once more."""
    file.write(csv_text(no_cells()).encode())
    for batch in cells.batches():
        counts.add(batch)
        # A reader's name is the only text here that comes from outside the study.
        file.write(csv_text(batch.assign(reader=batch["reader"].map(guarded)), header=False).encode())
        yield batch


def compare_by_index(
    study: Study, clinical: pd.DataFrame, index: str, threshold: str | None = None, reviews: str = ""
) -> CohortComparison:
    """Compare the cohorts of a study, split by another index or threshold; nothing of it is written.

    Parameters
    ----------
    study : Study
        With its images scored.
    clinical : DataFrame
        A checked clinical table.
    index : str
        A name of :data:`cher2.patients.indices.INDICES`.
    threshold : str, optional
        As it is written, ``0.3`` or ``1/3``; the published one where none is given.
    reviews : str
        As of :func:`derive`.

    Returns
    -------
    CohortComparison

    Raises
    ------
    Cher2Error
        There is no such index or threshold, or the cohorts cannot be compared.
    """
    patients, _ = summarise_study(study, reviews)
    groups = split_by(patients, index, threshold)
    return compare_cohorts(groups, clinical, study.protocol, split=str(split_rule(index, threshold)))


@dataclass(frozen=True, eq=False)
class _Source:
    """What the tables of a study are derived from."""

    images: list[str]
    readings: StudyReadings
    roster: Roster
    rules: PatientRules
    quality: StudyQuality

    @classmethod
    def of(cls, study: Study, reviews: str) -> _Source:
        samples, rules = study.samples, study.protocol.patient
        scored = pd.Series([study.folder_of(image).is_dir() for image in samples["image"]], dtype=bool)
        _check_finished(study, samples["image"][~scored])
        readings = study_readings(study, stored_decisions(study, reviews))
        # An image that could not be read has no name among the patient's.
        roster = Roster.of_images(samples.assign(image=samples["image"].where(scored, "")), rules)
        images = samples["image"][scored].tolist()
        return cls(images, readings, roster, rules, quality_of_study(study, images))

    def summed_up(self, batches: Iterable[pd.DataFrame]) -> tuple[pd.DataFrame, ReviewSummary]:
        """Return the patients, and how much of the study was read."""
        sums, once = PatientSums(self.roster, self.rules), 0
        for cells in batches:
            sums.add(cells)
            once += int((cells["duplicate_of"] == "").sum())
        patients = sums.table()
        patients = patients.assign(quality=self.quality.of_patients(patients["patient_id"]))
        return patients, replace(self.readings.summary, cells=once)


def _check_finished(study: Study, unscored: pd.Series[str]) -> None:
    """Refuse a study whose last run has not come to its end, or with images neither scored nor found to fail."""
    check_at_rest(study)
    failed = set(study.failed["image"])
    left = [image for image in unscored if image not in failed]
    if left:
        raise StudyError(
            f"the study is not finished: {len(left)} images are still to be scored, such as {left[0]!r}",
            where=str(study.path),
            remedy="Run 'cher2 run' again with the same images: it goes on where it stopped",
        )


def read_clinical(path: Path, protocol: Protocol) -> pd.DataFrame:
    """Read a clinical table, all text, and check that it can be used.

    Raises
    ------
    ClinicalTableError
        It cannot be read, :func:`~cher2.cohorts.clinical.check_clinical` refuses it, or a column holds what the
        protocol says that it does not; names file and row.
    """
    table = read_csv(path, ClinicalTableError, "the clinical table")
    try:
        check_clinical(table, protocol)
        further_columns(table, protocol.cohort)
    except ClinicalTableError as error:
        raise error.within(str(path)) from None
    return table


def kept_clinical(clinical: pd.DataFrame, protocol: Protocol) -> pd.DataFrame:
    """Return what a study keeps of a clinical table: no columns that may tell who a patient is."""
    unkept = identifying_columns(clinical, protocol.cohort)
    return clinical.loc[:, [name not in unkept for name in clinical]]


def _compare(study: Study, patients: pd.DataFrame) -> tuple[CohortComparison | None, GroupSurvival | None, str]:
    path = study.path / "clinical.csv"
    if not path.is_file():
        return None, None, "no clinical table was given (--clinical)"
    protocol = study.protocol
    try:
        clinical = read_clinical(path, protocol)
        comparison = compare_cohorts(patients, clinical, protocol)
        return comparison, survival_by_group(patients, clinical, protocol), ""
    except (CohortError, ClinicalTableError) as error:
        # The patients are right without it; the reason stands where the comparison would.
        return None, None, str(error)


def _flow(study: Study, patients: pd.DataFrame) -> ExclusionFlow:
    path = study.path / "clinical.csv"
    try:
        clinical = read_csv(path, ClinicalTableError, "the clinical table")["patient_id"] if path.is_file() else None
    except (ClinicalTableError, KeyError):
        # Why the table cannot be used is said where the comparison would be.
        clinical = None
    return exclusion_flow(patients, study.protocol.patient, clinical)
