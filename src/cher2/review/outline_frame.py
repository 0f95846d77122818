"""The outlines of one frame with every correction applied, and which of its objects are measured as they are now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cher2.cells.segmented import SegmentedImage, measure_bodies
from cher2.errors import ImageError, ReviewError, StudyError
from cher2.review.outline import Labels
from cher2.review.outline_log import Correction, in_force, read_corrections, rows_of
from cher2.review.outline_replay import Replay, areas_of, replay
from cher2.review.outline_rules import score_of
from cher2.study.folder import LABELS, Study
from cher2.study.label_file import read_labels
from cher2.study.score_file import labels_fingerprint


@dataclass(frozen=True, eq=False)
class FrameOutlines:
    """The outlines of a frame as they are now.

    Parameters
    ----------
    study : Study
    image : str
        The frame.
    machine : ndarray of int32, shape (Y, X)
        The machine's labels.
    state : Replay
        They with all corrections applied.
    corrections : tuple of Correction
        All of the image, in order.
    """

    study: Study
    image: str
    machine: Labels
    state: Replay
    corrections: tuple[Correction, ...]

    @property
    def labels(self) -> Labels:
        """The corrected labels, shape (Y, X)."""
        return self.state.labels

    @property
    def untouched(self) -> list[int]:
        """The objects that are as the machine found them."""
        areas = self.state.areas
        found = areas_of(self.machine)
        return [n for n, area in found.items() if areas.get(n) == area and n not in self.state.rows]

    @property
    def drawn(self) -> list[int]:
        """The objects that readers drew or changed."""
        return sorted(set(self.state.areas) - set(self.untouched))

    @property
    def measured(self) -> dict[int, dict[str, Any]]:
        """The measured rows of the objects whose outlines are as they were measured on these labels."""
        rows = {}
        for number, (correction, own) in self.state.rows.items():
            row = row_of(correction, own)
            if correction.base == self.state.base and row["area_px"] == self.state.areas[number]:
                rows[number] = row | {"object_id": number}
        return rows

    @property
    def unmeasured(self) -> list[int]:
        """The objects that must be measured again; see :func:`measure_again`."""
        return sorted(set(self.state.areas) - set(self.untouched) - set(self.measured))

    @property
    def last(self) -> Correction | None:
        """The newest correction that holds."""
        holding = zip(self.corrections, in_force(self.corrections), strict=True)
        return next((c for c, holds in reversed([*holding]) if holds and c.action == "correct"), None)


def load_outlines(study: Study, image: str) -> FrameOutlines:
    """Return the outlines of a frame with all corrections applied.

    Raises
    ------
    StudyError, ReviewError
        The results of the image, or a correction, cannot be read.
    """
    machine = machine_labels(study, image)
    corrections = read_corrections(study, image)
    state = replay(machine, labels_fingerprint(score_of(study, image)), corrections)
    return FrameOutlines(study, image, machine, state, tuple(corrections))


def machine_labels(study: Study, image: str) -> Labels:
    """Return the labels (Y, X) that the machine found in a frame."""
    path = study.folder_of(image) / LABELS
    try:
        return read_labels(path)
    except ImageError as error:
        raise StudyError(
            f"the labels cannot be read ({error.what})", where=str(path), remedy="Run 'cher2 run' again with --force"
        ) from error


def check_same_frame(outlines: FrameOutlines, segmented: SegmentedImage) -> None:
    """Refuse pixels that do not give the labels of the study: numbers of two kinds would stand in one table."""
    if not np.array_equal(segmented.segmentation.labels, outlines.machine):
        raise ReviewError(
            "the image, or cher2 itself, is not as it was when the image was scored: its cells are found elsewhere",
            where=outlines.image,
            remedy="Run 'cher2 run' again, then correct the outlines",
        )


def measured_rows(segmented: SegmentedImage, labels: Labels, numbers: Sequence[int]) -> tuple[dict[str, Any], ...]:
    """Return the measured rows of some objects of a frame, each with ``area_px``, as a correction keeps them."""
    measured = measure_bodies(segmented, labels)
    areas = areas_of(labels)
    rows = measured[measured["object_id"].isin(numbers)]
    return rows_of(rows.assign(area_px=[areas[number] for number in rows["object_id"].tolist()]))


def row_of(correction: Correction, own: int) -> dict[str, Any]:
    """Return the row that a correction keeps of an object, by the number that it has there."""
    for row in correction.rows:
        if row.get("object_id") == own and "area_px" in row:
            return row
    raise ReviewError(
        f"the correction {correction.correction_id[:12]} holds no numbers of its object {own}",
        where=correction.image,
        remedy="Restore its file in the study's folder edits from a copy",
    )
