"""Corrected outlines of a study: the machine's labels and objects with the readers' corrections on them.

The machine's files are never touched. A frame without corrections costs a look at the disk. Objects that a reader
drew are measured when the correction is saved, and their measured rows are kept with it: reading tables needs no
pixels. They are graded when they are read, by the rules of the sample that the study holds then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import Any

import pandas as pd

from cher2.cells.objects import empty_objects, with_types
from cher2.cells.sample_rules import SampleRules, grade_by_rules
from cher2.cells.segmented import SegmentedImage
from cher2.errors import StudyError
from cher2.review.outline import Labels, place_of
from cher2.review.outline_frame import (
    FrameOutlines,
    check_same_frame,
    load_outlines,
    machine_labels,
    measured_rows,
    row_of,
)
from cher2.review.outline_log import EDITS, has_corrections, rows_of
from cher2.review.outline_replay import LostCorrection
from cher2.review.outline_rules import sample_rules, score_of
from cher2.study.folder import Study
from cher2.study.object_scan import scan_objects

MEASURE_AGAIN = "outline corrected on an earlier scoring"
"""The word in ``not_measurable`` for an object whose pixels were not measured since the image was scored anew."""


def corrected_labels(study: Study, image: str) -> Labels:
    """Return the labels (Y, X) of a frame with all corrections applied."""
    return load_outlines(study, image).labels if has_corrections(study, image) else machine_labels(study, image)


def lost_corrections(study: Study, image: str) -> tuple[LostCorrection, ...]:
    """Return what of the corrections of a frame could not be applied, since it was scored anew."""
    return tuple(load_outlines(study, image).state.lost) if has_corrections(study, image) else ()


def corrected_objects(
    study: Study, image: str, segmented: SegmentedImage | None = None, rules: SampleRules | None = None
) -> pd.DataFrame:
    """Return the graded objects of a frame with all corrections applied.

    Parameters
    ----------
    study : Study
    image : str
        The frame.
    segmented : SegmentedImage, optional
        Its pixels, where objects must be measured again because the image was scored anew. Without them such
        objects have no HER2, and ``not_measurable`` says :data:`MEASURE_AGAIN`.
    rules : SampleRules, optional
        The rules of the image's sample, where they are at hand; read from the study where left out.

    Returns
    -------
    DataFrame
        As :meth:`cher2.study.folder.Study.objects_of` gives it. Rows of objects that no reader touched are the
        machine's; a changed object keeps its number, new ones have numbers that no object had before. Copies of a
        cell that is gone from another frame are copies no more.
    """
    if has_corrections(study, image):
        return objects_within(load_outlines(study, image), segmented, rules)
    objects = study.objects_of(image)
    return _with_copies_of_what_is_there(study, objects) if (study.path / EDITS).is_dir() else objects


def objects_within(
    outlines: FrameOutlines, segmented: SegmentedImage | None = None, rules: SampleRules | None = None
) -> pd.DataFrame:
    """Return the graded objects of a frame whose outlines are at hand; see :func:`corrected_objects`."""
    objects = outlines.study.objects_of(outlines.image)
    objects = _with_corrections(outlines, objects, segmented, rules)
    return _with_copies_of_what_is_there(outlines.study, objects)


def read_corrected(study: Study, images: Iterable[str], kinds: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the objects of several images as one table with all corrections applied.

    Parameters
    ----------
    study : Study
    images : iterable of str
    kinds : sequence of str, optional
        Only these kinds.

    Returns
    -------
    DataFrame
        As :meth:`cher2.study.folder.Study.read_objects` gives it where nothing was corrected. All of it is held in
        memory: :func:`scan_corrected` gives a large study in batches.
    """
    tables = list(scan_corrected(study, images, kinds))
    return pd.concat(tables, ignore_index=True) if tables else empty_objects()


def scan_corrected(
    study: Study,
    images: Iterable[str],
    kinds: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    *,
    categories: bool = False,
) -> Iterator[pd.DataFrame]:
    """Read the objects of several images in batches, with all corrections applied.

    Parameters
    ----------
    study, images, kinds, columns, categories
        As of :func:`cher2.study.object_scan.scan_objects`; `columns` hold ``duplicate_of``. What readers corrected
        comes without categories.

    Yields
    ------
    DataFrame
        Some rows, never none, in the order of the images and of their tables.
    """
    if not (study.path / EDITS).is_dir():
        yield from scan_objects(study, images, kinds, columns, categories=categories)
        return
    for corrected, some in groupby(images, key=partial(has_corrections, study)):
        if not corrected:
            for objects in scan_objects(study, some, kinds, columns, categories=categories):
                yield _with_copies_of_what_is_there(study, objects)
            continue
        for image in some:
            objects = corrected_objects(study, image)
            objects = objects if kinds is None else objects[objects["kind"].isin(kinds)]
            if len(objects):
                yield objects if columns is None else objects[list(columns)]


def _with_corrections(
    outlines: FrameOutlines, objects: pd.DataFrame, segmented: SegmentedImage | None, rules: SampleRules | None
) -> pd.DataFrame:
    kept, drawn = objects[objects["object_id"].isin(outlines.untouched)], outlines.drawn
    if not drawn:
        return kept.reset_index(drop=True)
    graded = graded_rows(outlines, drawn, objects, segmented, rules)
    tables = [kept, graded] if len(kept) else [graded]
    return pd.concat(tables, ignore_index=True).sort_values("object_id", ignore_index=True)


def graded_rows(
    outlines: FrameOutlines,
    numbers: list[int],
    objects: pd.DataFrame,
    segmented: SegmentedImage | None,
    rules: SampleRules | None,
) -> pd.DataFrame:
    """Return the graded rows of drawn objects of a frame; `objects` are the machine's rows."""
    study, image = outlines.study, outlines.image
    if not numbers:
        return objects.iloc[:0]
    if "duplicate_of" not in objects:
        raise StudyError(
            "the table of objects has no column duplicate_of",
            where=str(study.folder_of(image)),
            remedy="Run 'cher2 run' again with --force",
        )
    known = outlines.measured
    due = [number for number in numbers if number not in known]
    if due and segmented is not None:
        check_same_frame(outlines, segmented)
        known |= {int(row["object_id"]): row for row in measured_rows(segmented, outlines.labels, due)}
        due = []
    known |= {number: _without_her2(outlines, number) for number in due}
    score = score_of(study, image)
    table = pd.DataFrame([known[number] for number in numbers]).drop(columns="area_px")
    copies = dict(zip(objects["object_id"].tolist(), objects["duplicate_of"].tolist(), strict=True))
    table = table.assign(
        patient_id=score["patient_id"],
        sample_id=score["sample_id"],
        duplicate_of=[copies.get(number, "") for number in numbers],
    )
    protocol = study.protocol
    return grade_by_rules(with_types(table), rules or sample_rules(study, image, protocol), protocol)


def _without_her2(outlines: FrameOutlines, number: int) -> dict[str, Any]:
    """Return the row of an object that was not measured on these labels: its place and size, and no HER2."""
    held = outlines.state.rows.get(number)
    if held is not None:
        row = row_of(*held)
    else:
        measured = outlines.study.measured_of(outlines.image)
        row = rows_of(measured[measured["object_id"] == number])[0] | {"area_px": 0}
    place = place_of(outlines.labels, number)
    side_um = float(score_of(outlines.study, outlines.image)["pixel_size_um"])
    emptied = {name: None for name in row if name.startswith("her2_")}
    return (
        row
        | emptied
        | {
            "object_id": number,
            "y_px": place.y_px,
            "x_px": place.x_px,
            "area_um2": outlines.state.areas[number] * side_um**2,
            "diameter_um": 2 * place.radius_px * side_um,
            "not_measurable": MEASURE_AGAIN,
        }
    )


def _with_copies_of_what_is_there(study: Study, objects: pd.DataFrame) -> pd.DataFrame:
    """Point copies of cells that corrections in other frames took away to what stands there now, or to nothing."""
    copies = {copy: copy.rpartition(" ")[::2] for copy in objects["duplicate_of"].unique().tolist() if copy}
    others = {other for other, _ in copies.values() if has_corrections(study, other)}
    states = {other: load_outlines(study, other).state for other in others}
    now = {}
    for copy, (other, number) in copies.items():
        if other in states:
            heir = states[other].heir_of(int(number))
            now[copy] = f"{other} {heir}" if heir else ""
    if not now:
        return objects
    return objects.assign(duplicate_of=[now.get(copy, copy) for copy in objects["duplicate_of"].tolist()])
