"""Saving what a reader drew, taking it back, measuring it again: one more file each beside the machine's results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from cher2.cells.sample_rules import SampleRules
from cher2.cells.segmented import SegmentedImage
from cher2.errors import ReviewError
from cher2.review.outline import outline_of, place_of
from cher2.review.outline_change import OutlineChange, changed_objects
from cher2.review.outline_frame import FrameOutlines, check_same_frame, load_outlines, measured_rows
from cher2.review.outline_log import Correction, in_force, read_corrections, write_correction
from cher2.review.outline_rules import score_of
from cher2.review.outlines import graded_rows
from cher2.study.folder import Study
from cher2.study.score_file import labels_fingerprint


@dataclass(frozen=True, eq=False)
class SavedCorrection:
    """What saving a correction changed.

    Parameters
    ----------
    correction_id : str
    change : OutlineChange
        What the reader changed.
    objects : DataFrame
        The graded rows of the objects that are new or of another shape.
    outlines : FrameOutlines
        The frame as it is now.
    """

    correction_id: str
    change: OutlineChange
    objects: pd.DataFrame
    outlines: FrameOutlines


def save_correction(
    outlines: FrameOutlines,
    after: NDArray[Any],
    segmented: SegmentedImage,
    reader: str,
    rules: SampleRules | None = None,
) -> SavedCorrection:
    """Save what a reader changed in a frame; its objects are measured and graded at once.

    Parameters
    ----------
    outlines : FrameOutlines
        The frame before.
    after : ndarray of int, shape (Y, X)
        The labels that the reader drew.
    segmented : SegmentedImage
        The frame's pixels, segmented by the study's protocol.
    reader : str
    rules : SampleRules, optional
        As for :func:`corrected_objects`.

    Returns
    -------
    SavedCorrection

    Raises
    ------
    ReviewError
        Nothing was changed, the labels make no sense, or the image is not the one that was scored.
    StudyError
        It could not be written: nothing was saved.
    """
    check_same_frame(outlines, segmented)
    before = outlines.labels
    change = changed_objects(before, after, outlines.state.next_number)
    if not change:
        raise ReviewError("no outline was changed", where=outlines.image, remedy="Draw first, then save")
    correction = Correction(
        image=outlines.image,
        reader=reader,
        action="correct",
        base=outlines.state.base,
        protocol=outlines.study.protocol.fingerprint(),
        removed=tuple(place_of(before, number) for number in change.removed),
        outlines=tuple(
            outline_of(change.labels, number, place_of(before, number) if number in change.changed else None)
            for number in change.drawn
        ),
        rows=measured_rows(segmented, change.labels, change.drawn),
    )
    write_correction(outlines.study, correction)
    now = load_outlines(outlines.study, outlines.image)
    drawn = [number for number, (by, _) in now.state.rows.items() if by.correction_id == correction.correction_id]
    objects = graded_rows(now, drawn, outlines.study.objects_of(outlines.image), segmented, rules)
    return SavedCorrection(correction.correction_id, change, objects, now)


def take_back(study: Study, image: str, correction_id: str, reader: str) -> Correction:
    """Take a whole correction back, by one more entry that says so; or, naming that entry, put it in force again.

    Raises
    ------
    ReviewError
        There is no such correction, or it is taken back already.
    """
    corrections = read_corrections(study, image)
    holding = {c.correction_id for c, holds in zip(corrections, in_force(corrections), strict=True) if holds}
    if correction_id not in holding:
        raise ReviewError(
            f"there is no correction {correction_id[:12]} in force", where=image, remedy="Load the image again"
        )
    base = labels_fingerprint(score_of(study, image))
    entry = Correction(image, reader, "take_back", base, study.protocol.fingerprint(), refers_to=correction_id)
    write_correction(study, entry)
    return entry


def measure_again(outlines: FrameOutlines, segmented: SegmentedImage, reader: str) -> FrameOutlines:
    """Measure what the corrections drew on an earlier scoring, and keep the rows; nothing where nothing is due.

    Parameters
    ----------
    outlines : FrameOutlines
    segmented : SegmentedImage
        The frame's pixels, segmented by the study's protocol.
    reader : str
        Who had it done.

    Returns
    -------
    FrameOutlines
        The frame as it is now.
    """
    due = outlines.unmeasured
    if not due:
        return outlines
    check_same_frame(outlines, segmented)
    rows = measured_rows(segmented, outlines.labels, due)
    protocol = outlines.study.protocol.fingerprint()
    entry = Correction(outlines.image, reader, "measure", outlines.state.base, protocol, rows=rows)
    write_correction(outlines.study, entry)
    return load_outlines(outlines.study, outlines.image)
