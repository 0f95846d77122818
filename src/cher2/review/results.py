"""What readers have made of a study: its cells with their final kinds and grades, and how much of it was read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import pandas as pd

from cher2.review.cells import corrected_images, scored_images
from cher2.review.decisions import Decision
from cher2.review.ledger import Ledger
from cher2.review.outlines import corrected_objects, lost_corrections, scan_corrected
from cher2.review.reading_guards import check_final
from cher2.review.standing import CellStanding
from cher2.review.state import DECIDING
from cher2.study.folder import Study

FINAL = ("kind_final", "grade", "reader", "reviewed_at")
"""What readers add to the table of objects: the final kind and grade, and who decided them when."""

LOST = "lost_decisions.csv"
"""The file in the study folder that lists decisions whose cell is no longer there."""


@dataclass(frozen=True)
class ReviewSummary:
    """How much of a study was read, and what came of it.

    Parameters
    ----------
    readers : tuple of str
        Who has judged a cell, in alphabetical order.
    cells : int
        Cells that could be read: the CTCs, each once, and the objects that a reader judged.
    reviewed : int
        Those that a reader judged.
    changed : int
        Those of them that are no CTC where the machine had one, or the reverse, or have another grade.
    disagreements : int
        Cells on which readers differ, and nobody has settled it.
    lost : tuple of Decision
        Decisions in force whose cell is no longer there, or is a copy of one in another frame by now.
    lost_corrections : int
        Parts of corrected outlines that could not be applied, since the image was scored anew.
    """

    readers: tuple[str, ...] = ()
    cells: int = 0
    reviewed: int = 0
    changed: int = 0
    disagreements: int = 0
    lost: tuple[Decision, ...] = ()
    lost_corrections: int = 0

    def __str__(self) -> str:
        if not self.reviewed:
            return "No reader has judged a cell"
        names = ", ".join(self.readers)
        return (
            f"{len(self.readers)} {'readers' if len(self.readers) > 1 else 'reader'} ({names}) judged {self.reviewed} "
            f"of {self.cells} cells and changed the automatic result of {self.changed}; the newest consensus counts, "
            "where there is none the newest decision"
        )

    def notes(self) -> list[str]:
        """Return what must not be overlooked, in words."""
        said = []
        if self.disagreements:
            said.append(
                f"Readers disagree on {self.disagreements} cells and nobody has settled it: the newest decision counts "
                "there. Review the queue of disagreements"
            )
        if self.lost:
            said.append(
                f"{len(self.lost)} decisions of readers are about cells that are no longer there, or that are copies "
                f"of a cell in another frame by now, and change nothing: {LOST} lists them"
            )
        if self.lost_corrections:
            said.append(
                f"{self.lost_corrections} corrections of outlines could not be applied to images that were scored "
                "anew, and change nothing: the review's window shows where"
            )
        return said


def decided(ledger: Ledger) -> dict[tuple[str, int], CellStanding]:
    """Return how the cells stand that a reader has judged, by image and object."""
    keys = list(zip(ledger.cells["image"], ledger.cells["object_id"].tolist(), strict=True))
    return {keys[row]: ledger.standing(row) for row, history in ledger.histories().items() if history.deciding()}


def with_final(objects: pd.DataFrame, standings: Mapping[tuple[str, int], CellStanding]) -> pd.DataFrame:
    """Add ``kind_final, grade, reader, reviewed_at`` to objects: as cells stand, the others as the machine has them."""
    cells = objects.assign(kind_final=objects["kind"], grade=objects["grade_auto"], reader="", reviewed_at="")
    if not standings:
        check_final(cells, standings)
        return cells
    final = {name: cells[name].astype(object).to_numpy(copy=True) for name in ("kind_final", "reader", "reviewed_at")}
    grades = cells["grade"].astype("Int8").array.copy()
    for at, key in enumerate(zip(cells["image"], cells["object_id"].tolist(), strict=True)):
        if (standing := standings.get(key)) is not None:
            final["kind_final"][at], final["reader"][at] = standing.kind, standing.reader
            final["reviewed_at"][at] = standing.decided_at
            grades[at] = pd.NA if standing.grade is None else standing.grade
    cells = cells.assign(**final, grade=grades)
    check_final(cells, standings)
    return cells


@dataclass(frozen=True, eq=False)
class StudyReadings:
    """What readers decided on a study's cells.

    Parameters
    ----------
    standings : dict
        How the cells stand that a reader has judged: by image, then by object.
    summary : ReviewSummary
        Without the number of cells that could be read.
    """

    standings: dict[str, dict[int, CellStanding]]
    summary: ReviewSummary


def study_readings(study: Study, entries: Sequence[Decision]) -> StudyReadings:
    """Find the cells that decisions are about; only the images that they name are read.

    Parameters
    ----------
    study : Study
        With its images scored.
    entries : sequence of Decision
        The log of decisions from its beginning.

    Raises
    ------
    StudyError
        The study's results cannot be read.
    """
    corrected = corrected_images(study, scored_images(study))
    unapplied = sum(len(lost_corrections(study, image)) for image in corrected)
    if not entries:
        return StudyReadings({}, ReviewSummary(lost_corrections=unapplied))
    ledger = Ledger(study, entries, {entry.image for entry in entries})
    histories = ledger.histories()
    judged = [row for row, history in histories.items() if history.deciding()]
    standings: dict[str, dict[int, CellStanding]] = {}
    for (image, number), standing in decided(ledger).items():
        standings.setdefault(image, {})[number] = standing
    summary = ReviewSummary(
        readers=tuple(sorted({d.reader for row in judged for d in histories[row].decisions if d.action in DECIDING})),
        reviewed=len(judged),
        changed=sum(_changed(ledger.machine(row), ledger.standing(row)) for row in judged),
        disagreements=sum(history.disagreement for history in histories.values()),
        lost=ledger.lost,
        lost_corrections=unapplied,
    )
    return StudyReadings(standings, summary)


def scan_reviewed(
    study: Study, images: Iterable[str], readings: StudyReadings, columns: Sequence[str] | None = None
) -> Iterator[pd.DataFrame]:
    """Read a study's cells in batches, as readers have left them.

    Parameters
    ----------
    study : Study
        With its images scored.
    images : iterable of str
        Finished images.
    readings : StudyReadings
    columns : sequence of str, optional
        Only these columns of the tables of objects, ``kind`` and ``duplicate_of`` among them, with texts as categories.

    Yields
    ------
    DataFrame
        Some rows, never none, in the order of the images and of their tables: the CTCs with all corrections of
        outlines, copies in other frames among them, and the objects that a reader judged. They have ``kind_final,
        grade, reader, reviewed_at``: without a decision the machine's kind and grade, no reader and no time. The grade
        is empty for what is no CTC by a reader's word, and where a reader said that it is one and gave it none: the
        machine's grade counts then. Where `columns` are given, images without a decision come without the four.

    Raises
    ------
    StudyError
        The study's results cannot be read.
    """
    for judged, some in groupby(images, key=readings.standings.__contains__):
        if judged:
            for image in some:
                cells = _judged_cells(study, image, readings.standings[image])
                yield cells if columns is None else cells[[*columns, *FINAL]]
            continue
        for cells in scan_corrected(study, some, ["ctc"], columns, categories=columns is not None):
            yield with_final(cells, {}) if columns is None else cells


def _judged_cells(study: Study, image: str, standings: Mapping[int, CellStanding]) -> pd.DataFrame:
    """Return the CTCs of an image and the objects that a reader judged, in the order of their numbers."""
    objects = corrected_objects(study, image)
    cells = objects[(objects["kind"] == "ctc") | objects["object_id"].isin(list(standings))]
    final = with_final(cells, {(image, number): standing for number, standing in standings.items()})
    return final.sort_values("object_id", kind="stable", ignore_index=True)


def _changed(machine: tuple[str, int | None], final: CellStanding) -> bool:
    was, is_now = machine[0] == "ctc", final.kind == "ctc"
    return was != is_now or (is_now and final.grade is not None and final.grade != machine[1])
