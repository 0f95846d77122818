"""The cells that a reader goes through: the CTCs of a study, and the objects that a reader judged."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.cells.objects import empty_objects
from cher2.errors import StudyError
from cher2.review.decisions import Decision
from cher2.review.outline_frame import load_outlines
from cher2.review.outline_log import EDITS, has_corrections
from cher2.review.outlines import corrected_objects
from cher2.review.state import match_cells, match_numbers
from cher2.study.folder import OBJECTS, Study, image_id
from cher2.study.origins import entries_of
from cher2.study.score_file import labels_fingerprint, pixel_size_um

_AT_ONCE = 500
"""Images whose tables are open at the same time."""


@dataclass(frozen=True, eq=False)
class StudyCells:
    """Cells of a study, and what a decision on them needs to be found again.

    Parameters
    ----------
    table : DataFrame
        The rows of the tables of objects, numbered from 0.
    fingerprints : ndarray of str, shape (n,)
        The fingerprint of the results that each row comes from.
    radius_px : ndarray of float, shape (n,)
        Radius of a circle of the cell's area.
    """

    table: pd.DataFrame
    fingerprints: NDArray[np.object_]
    radius_px: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.table)


def study_cells(study: Study, table: pd.DataFrame) -> StudyCells:
    """Add to rows of a study's tables of objects what decisions need to find them."""
    images = table["image"].unique()
    scores = {image: entries_of(study, image) or {} for image in images}
    prints = {image: labels_fingerprint(score) for image, score in scores.items()}
    sizes = {image: pixel_size_um(score, image, study.path) for image, score in scores.items()}
    table = table.reset_index(drop=True)
    radius = table["diameter_um"].to_numpy(float) / 2 / table["image"].map(sizes).to_numpy(float)
    return StudyCells(table, table["image"].map(prints).to_numpy(object), radius)


def scored_images(study: Study) -> list[str]:
    """Return the images of a study that are finished, in the order of its list of samples."""
    there = {path.name for path in (study.path / "images").iterdir()} if (study.path / "images").is_dir() else set()
    return [image for image in study.samples["image"] if image_id(image) in there]


def reviewed_cells(study: Study, decisions: Sequence[Decision] = (), only: Collection[str] | None = None) -> StudyCells:
    """Return the cells to be reviewed.

    Parameters
    ----------
    study : Study
        With its images scored.
    decisions : sequence of Decision
        Objects that they judge are among the cells, whatever the machine took them for.
    only : collection of str, optional
        Images; those of all others are left out.

    Returns
    -------
    StudyCells
        The CTCs, each once (a copy in another frame is left out), and what readers drew, in the order of the samples'
        images and numbers.

    Raises
    ------
    StudyError
        A table of objects cannot be read.
    """
    images = [image for image in scored_images(study) if only is None or image in only]
    order = {image: place for place, image in enumerate(images)}
    corrected = corrected_images(study, images)
    ctcs = _ctcs(study, [image for image in images if image not in corrected])
    ctcs = pd.concat([ctcs, *(corrected_cells(study, image) for image in sorted(corrected))], ignore_index=True)
    cells = study_cells(study, _sorted(ctcs[ctcs["duplicate_of"] == ""], order))
    rows = match_numbers(decisions, cells.table, cells.fingerprints)
    missing = {d.image for d, row in zip(decisions, rows.tolist(), strict=True) if row < 0} & set(order)
    judged = judged_objects(study, [d for d in decisions if d.image in missing], missing)
    if judged.empty:
        return cells
    both = pd.concat([cells.table, judged], ignore_index=True).drop_duplicates(["image", "object_id"])
    return study_cells(study, _sorted(both, order))


def judged_objects(study: Study, decisions: Sequence[Decision], images: Iterable[str]) -> pd.DataFrame:
    """Return the objects of some images, of any kind, that decisions are about.

    A copy in another frame is not among them: it counts for nothing, so a decision on it would be without effect.
    """
    tables = [corrected_objects(study, image) for image in images]
    every = pd.concat(tables, ignore_index=True) if tables else empty_objects()
    objects = study_cells(study, every[every["duplicate_of"] == ""])
    rows = match_cells(decisions, objects.table, objects.fingerprints, objects.radius_px)
    return objects.table.iloc[np.unique(rows[rows >= 0])]


def corrected_images(study: Study, images: Iterable[str]) -> set[str]:
    """Return the images whose outlines a reader has corrected."""
    if not (study.path / EDITS).is_dir():
        return set()
    return {image for image in images if has_corrections(study, image)}


def corrected_cells(study: Study, image: str) -> pd.DataFrame:
    """Return the objects of a corrected image that are to be reviewed: its CTCs, and what readers drew."""
    objects = corrected_objects(study, image)
    drawn = set(load_outlines(study, image).drawn)
    return objects[(objects["kind"] == "ctc") | objects["object_id"].isin(drawn)]


def _sorted(table: pd.DataFrame, order: dict[str, int]) -> pd.DataFrame:
    place = table["image"].map(order)
    return table.assign(_place=place).sort_values(["_place", "object_id"], kind="stable").drop(columns="_place")


def _ctcs(study: Study, images: Sequence[str]) -> pd.DataFrame:
    """Read the CTCs of all images, many tables at a time."""
    import pyarrow
    import pyarrow.dataset

    paths = [study.folder_of(image) / OBJECTS for image in images]
    is_ctc = pyarrow.dataset.field("kind") == "ctc"
    tables = []
    for start in range(0, len(paths), _AT_ONCE):
        some = [str(path) for path in paths[start : start + _AT_ONCE]]
        try:
            found = pyarrow.dataset.dataset(some, format="parquet").to_table(filter=is_ctc)
        except (OSError, pyarrow.ArrowException) as error:
            raise _unreadable(study, images, error) from error
        if found.num_rows:
            tables.append(found.to_pandas())
    return pd.concat(tables, ignore_index=True) if tables else empty_objects()


def _unreadable(study: Study, images: Sequence[str], error: Exception) -> StudyError:
    """Name the table that cannot be read: reading many at a time does not tell."""
    for image in images:
        try:
            study.objects_of(image)
        except StudyError as named:
            return named
    return StudyError(
        f"the tables of objects cannot be read together ({type(error).__name__})",
        where=str(Path(study.path) / "images"),
        remedy="Run 'cher2 run' again: they come from different versions of cher2",
    )
