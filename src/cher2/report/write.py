"""The report of a study: its tables derived again, its examples cut out of the images, its page written."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cher2.cells.duplicates import UNKNOWN
from cher2.errors import Cher2Error, StudyError
from cher2.protocol import Protocol
from cher2.report.cell_pictures import CellPlace, StudyFrames
from cher2.report.derive import PAGE, Derived, derive
from cher2.report.examples import examples_of
from cher2.report.page_guards import check_page
from cher2.report.thumbnails import HOW_CHOSEN, Example
from cher2.study.fault_file import faults_filed
from cher2.study.folder import Study
from cher2.study.provenance import read_provenance, software
from cher2.study.tables import read_csv, write_whole

EXAMPLES_PER_GRADE = 8

_TOLD = ("pixel_size_from", "duplicates", "her2_not_evened", "most_counts", "exposure_ms", "remarks")


def write_report(
    study: Study, derived: Derived | None = None, reviews: str = "", said: Sequence[str] | None = None
) -> Path:
    """Write ``report.html`` into a study.

    Parameters
    ----------
    study : Study
        A study with results.
    derived : Derived, optional
        Its derived tables; derived again where they are left out.
    reviews : str
        The database of readers' decisions, where the tables are derived again; as of
        :func:`cher2.report.derive.derive`.
    said : sequence of str, optional
        What :func:`assumptions` says of the study, where that is known already.

    Returns
    -------
    Path
        The page.
    """
    # It draws: half a second that a report which need not be written again is not to cost.
    from cher2.report.page import PageContent, render_page
    from cher2.report.sections import study_sections

    derived = derived or derive(study, reviews=reviews)
    frames = StudyFrames(study)
    examples, notes = _examples(frames, examples_of(derived.cell_table, EXAMPLES_PER_GRADE))
    sections = study_sections(study, derived, frames, reviews)
    protocol = study.protocol
    content = PageContent(
        title=study.path.absolute().name,
        synthetic=is_synthetic(study),
        protocol=protocol,
        patients=derived.patients,
        comparison=derived.comparison,
        examples=examples,
        images_failed=study.failed,
        n_images=len(study.samples),
        software=read_provenance(study.path).get("software") or software(),
        notes=[*(assumptions(study) if said is None else said), *derived.notes(), *notes, *sections.notes],
        examples_chosen=HOW_CHOSEN,
        no_comparison=derived.no_comparison.rstrip("."),
        flow=derived.flow,
        review=str(derived.review) if derived.review.reviewed else "",
        log_head=_head_words(derived),
        sections=sections,
    )
    page, text = study.path / PAGE, render_page(content)
    with faults_filed(study):
        check_page(text, read_csv(study.path / "patients.csv", StudyError, "the table of patients"))
    write_whole(page, text.encode())
    return page


def _head_words(derived: Derived) -> str:
    """Say which entry of the readers' log is the newest: a page that is kept elsewhere shows later what is gone."""
    head = derived.log.head
    return f"{head.entry} entries, the newest with the hash {head.hash}" if head.entry else ""


def is_synthetic(study: Study) -> bool:
    """Say whether any image of a study is synthetic, by its own word or the protocol's."""
    scores = (study.score_of(image) for image in study.samples["image"])
    return "synthetic" in study.protocol.name.casefold() or any(score and score.get("synthetic") for score in scores)


def assumptions(study: Study) -> list[str]:
    """Say in words what a study's numbers assume, and what to do about it."""
    protocol = study.protocol
    said = []
    default = Protocol()
    if protocol.grade == default.grade:
        said.append(
            "The cut-offs are cher2's defaults, not calibrated for this microscope and staining: set grade.cutoffs in "
            "the protocol from cells that readers graded"
        )
    # The whole of many files would fill the memory.
    scores = [score and {key: score.get(key) for key in _TOLD} for score in map(study.score_of, study.samples["image"])]
    guessed = sum(1 for score in scores if score and score.get("pixel_size_from") == "protocol")
    if guessed:
        said.append(
            f"{guessed} images do not say how large a pixel is: {protocol.image.pixel_size_um:g} um was taken from the "
            "protocol (image.pixel_size_um)"
        )
    unsought = sum(1 for score in scores if score and score.get("duplicates") == UNKNOWN)
    if unsought:
        said.append(
            f"If frames overlap, the cells in two of them are counted twice: {unsought} images tell no stage position, "
            "and no overlap was given (image.overlap_px)"
        )
    remarks = Counter(remark for score in scores if score for remark in score.get("remarks") or [])
    said += [f"Of {count} images: {remark}" for remark, count in remarks.items()]
    uneven = [score["her2_not_evened"] for score in scores if score and score.get("her2_not_evened")]
    if uneven:
        said.append(
            f"HER2 of {len(uneven)} of {len(scores)} images is not corrected for uneven illumination; of the first: "
            f"{uneven[0]}"
        )
    ends = [score["most_counts"] for score in scores if score and score.get("most_counts")]
    low = [end for end in ends if end < protocol.grade.cutoffs[2]]
    if low and protocol.grade.unit == "counts":
        said.append(
            f"{len(low)} images cannot hold a 3+: their pixels end at {max(low)} counts, but 3+ begins at "
            f"{protocol.grade.cutoffs[2]:g}. Score the camera's own counts, or set grade.cutoffs for this depth"
        )
    if len(set(ends)) > 1:
        said.append(
            f"The images are of different depths, which end at {', '.join(map(str, sorted(set(ends))))} counts: "
            "their intensities cannot be compared"
        )
    told = [score.get("exposure_ms") or {} for score in scores if score]
    exposed = Counter(f"{times['her2']:.4g}" for times in told if "her2" in times)
    if len(exposed) > 1 and protocol.grade.unit == "counts":
        each = ", ".join(f"{count} for {ms} ms" for ms, count in exposed.most_common())
        said.append(
            f"HER2 was not exposed alike ({each}), and counts grow with the exposure: nothing was corrected. Score "
            "images of one exposure together, or measure against leukocytes (grade.unit)"
        )
    return said


def _examples(frames: StudyFrames, chosen: pd.DataFrame) -> tuple[dict[int, list[Example]], list[str]]:
    """Cut example cells out of their frames; say so where the images are no longer there."""
    examples: dict[int, list[Example]] = defaultdict(list)
    lost = 0
    for row in chosen.sort_values(["image", "object_id"], kind="stable").to_dict("records"):
        try:
            thumbnail = frames.thumbnail(CellPlace(row["image"], row["y_px"], row["x_px"]))
        except Cher2Error:
            # The page must not fail for a picture; it says below how many are missing.
            lost += 1
            continue
        example = Example(thumbnail, row["patient_id"], row["image"], row["object_id"], row["her2_intensity"])
        examples[row["shown_as"]].append(example)
    ordered = {grade: sorted(cut, key=lambda example: example.her2_intensity) for grade, cut in examples.items()}
    notes = [f"{lost} example cells are not shown: their images are not where they were scored"] if lost else []
    return ordered, notes
