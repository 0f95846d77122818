"""What a study's page shows beside its tables: survival, sites, intensities, cut-offs, agreement, patients' cells.

Each is there where the study has what it takes; where it has not, the reason stands in its place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.cohorts.clinical import check_clinical
from cher2.cohorts.cutoffs import scan_patients
from cher2.errors import ClinicalTableError, CohortError, ReviewError
from cher2.patients.quality import StudyQuality
from cher2.report.cell_pictures import StudyFrames, study_contrast
from cher2.report.cutoff_figure import cutoff_figure
from cher2.report.derive import Derived
from cher2.report.intensity_figure import count_intensities, intensity_figure
from cher2.report.patient_sheets import PatientSheet, choose_cells, choose_frames, counted_once, patient_sheets
from cher2.report.sites_figure import sites_by_group, sites_figure
from cher2.report.survival_figure import survival_figure
from cher2.report.svg import SvgFigure
from cher2.review.agreement import StudyAgreement, study_agreement
from cher2.review.ledger import Ledger
from cher2.review.open_log import stored_decisions
from cher2.study.folder import Study
from cher2.study.tables import read_csv

NO_FIGURE = SvgFigure(())

LEUKOCYTE_IMAGES = 60
"""Images whose leukocytes are drawn at most, evenly spaced over the study."""

CUTOFF_OUTCOME, CUTOFF_TITLE = "oligometastatic", "oligometastatic disease"

UNIT_TITLES = {
    "counts": "counts above background",
    "leukocyte_ratio": "medians of the sample's leukocytes",
    "leukocyte_sd": "robust standard deviations of the sample's leukocytes",
}


@dataclass(frozen=True, eq=False)
class Sections:
    """The sections of a page beside its tables.

    Parameters
    ----------
    intensities : SvgFigure
        HER2 of CTCs and leukocytes.
    sites : SvgFigure
        Number of sites by group; no panel without a clinical table.
    survival : tuple of SvgFigure
        One an endpoint of the clinical table.
    cutoffs : SvgFigure
        The comparison at every threshold; no panel, and a note, where it cannot be made.
    agreement : StudyAgreement or None
        None where no reader has judged a cell.
    sheets : tuple of PatientSheet
        The cells of each patient.
    quality : StudyQuality or None
        Of the images and the staining; not shown where it is None.
    notes : tuple of str
        What of these could not be shown, as sentences without their full stops.
    """

    intensities: SvgFigure = NO_FIGURE
    sites: SvgFigure = NO_FIGURE
    survival: tuple[SvgFigure, ...] = ()
    cutoffs: SvgFigure = NO_FIGURE
    agreement: StudyAgreement | None = None
    sheets: tuple[PatientSheet, ...] = ()
    quality: StudyQuality | None = None
    notes: tuple[str, ...] = ()


def study_sections(study: Study, derived: Derived, frames: StudyFrames, reviews: str = "") -> Sections:
    """Make the sections of a study's page.

    Parameters
    ----------
    study : Study
    derived : Derived
        Its derived tables.
    frames : StudyFrames
        Where its cells are cut out of.
    reviews : str
        The database of readers' decisions, as of :func:`cher2.report.derive.derive`.

    Returns
    -------
    Sections
    """
    sheets, lost = _sheets(derived, frames)
    notes = [f"{lost} cells of patients are not shown: their images are not where they were scored"] if lost else []
    sites, cutoffs = _of_clinical(study, derived)
    survival = derived.survival.endpoints.values() if derived.survival is not None else ()
    return Sections(
        intensities=_intensities(study, derived),
        sites=sites,
        survival=tuple(survival_figure(endpoint) for endpoint in survival),
        cutoffs=cutoffs,
        agreement=_agreement(study, derived, reviews),
        sheets=tuple(sheets),
        quality=derived.quality,
        notes=tuple(notes),
    )


def _sheets(derived: Derived, frames: StudyFrames) -> tuple[list[PatientSheet], int]:
    columns = ["patient_id", "image", "kind", "duplicate_of"]
    in_frames = [
        batch[counted_once(batch)].groupby(["patient_id", "image"], sort=False, observed=True).size()
        for batch in derived.cell_table.batches(columns)
    ]
    if not any(map(len, in_frames)):
        return [], 0
    # Batch by batch texts are categories of their own.
    counts = pd.concat(
        [found.rename("ctcs").reset_index().astype({"patient_id": str, "image": str}) for found in in_frames]
    )
    chosen = choose_cells(derived.cell_table.of_images(choose_frames(counts)))
    of = {str(patient): int(number) for patient, number in counts.groupby("patient_id")["ctcs"].sum().items()}
    return patient_sheets(frames, chosen, of, study_contrast(frames, chosen))


def _intensities(study: Study, derived: Derived) -> SvgFigure:
    rules = study.protocol.grade
    columns = ["kind", "duplicate_of", "her2_intensity", "grade_auto"]
    her2, grades = [np.empty(0)], [np.empty(0)]
    for batch in derived.cell_table.batches(columns):
        ctcs = batch[counted_once(batch)]
        # Images that no reader has looked at come with the machine's grade alone.
        grade = ctcs["grade"] if "grade" in ctcs else ctcs["grade_auto"]
        her2.append(ctcs["her2_intensity"].to_numpy(float, na_value=np.nan))
        grades.append(grade.to_numpy(float, na_value=np.nan))
    counts = count_intensities(np.concatenate(her2), np.concatenate(grades), _leukocytes(study), rules.cutoffs)
    return intensity_figure(counts, rules.cutoffs, UNIT_TITLES[rules.unit])


def _leukocytes(study: Study) -> NDArray[np.float64]:
    images = [image for image in study.samples["image"] if study.folder_of(image).is_dir()]
    chosen = np.unique(np.linspace(0, len(images) - 1, min(LEUKOCYTE_IMAGES, len(images))).round()).astype(int)
    found = [np.empty(0)]
    for number in chosen.tolist():
        objects = study.objects_of(images[number], columns=["kind", "duplicate_of", "her2_intensity"])
        kept = (objects["kind"] == "leukocyte") & objects["duplicate_of"].eq("")
        found.append(objects.loc[kept, "her2_intensity"].to_numpy(float, na_value=np.nan))
    return np.concatenate(found)


def _of_clinical(study: Study, derived: Derived) -> tuple[SvgFigure, SvgFigure]:
    """Return the figures of the sites and of the cut-offs, which a study that is not compared has not."""
    if derived.comparison is None:
        return NO_FIGURE, NO_FIGURE
    protocol, patients = study.protocol, derived.patients
    clinical = read_csv(study.path / "clinical.csv", ClinicalTableError, "the clinical table")
    n_sites = check_clinical(clinical, protocol).set_index("patient_id")["n_sites"]
    counts = sites_by_group(patients.set_index("patient_id")["group"], n_sites)
    sites = sites_figure(counts, protocol.cohort.oligometastatic_max_sites)
    try:
        scan = scan_patients(patients, clinical, CUTOFF_OUTCOME, protocol=protocol)
    except CohortError as error:
        return sites, SvgFigure((), (error.what,))
    return sites, cutoff_figure(scan, protocol.patient.ratio_threshold, CUTOFF_TITLE)


def _agreement(study: Study, derived: Derived, reviews: str) -> StudyAgreement | None:
    if not derived.review.reviewed:
        return None
    try:
        return study_agreement(Ledger(study, stored_decisions(study, reviews)))
    except ReviewError:
        # Decisions that are withdrawn again leave nothing to compare.
        return None
