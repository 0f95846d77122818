"""Cells that readers have graded, and the objects of a study that they are.

Reading (a file now) is apart from matching, so that another source of grades needs only the same columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cher2.cells.grading import intensity_reference
from cher2.cells.nearest import nearest_pairs
from cher2.cells.objects import GRADE_NAMES
from cher2.errors import GradingError
from cher2.study.folder import Study
from cher2.study.score_file import pixel_size_um
from cher2.study.tables import read_csv

PLACE = ("y_px", "x_px")


@dataclass(frozen=True, eq=False)
class GradedCells:
    """The CTCs of a study that readers have graded.

    Parameters
    ----------
    cells : DataFrame
        One row a CTC: ``image, object_id, patient_id, sample_id, grade_auto``, ``intensity`` (in the asked unit)
        and the reader's ``grade``.
    n_graded : int
        Rows that the readers graded.
    n_no_object : int
        Rows with no object there.
    n_not_ctc : int
        Rows whose object is no CTC.
    n_no_intensity : int
        Rows whose CTC has no intensity in the unit.
    reason : str
        Why the first of these has none; empty where all have one.
    """

    cells: pd.DataFrame
    n_graded: int
    n_no_object: int
    n_not_ctc: int
    n_no_intensity: int
    reason: str = ""

    def __str__(self) -> str:
        text = (
            f"{self.n_graded} graded cells, {len(self.cells)} of them used; not matched: {self.n_no_object} "
            f"with no object there, {self.n_not_ctc} whose object is no CTC, {self.n_no_intensity} without intensity"
        )
        return f"{text} ({self.reason})" if self.reason else text


def read_graded(path: Path) -> pd.DataFrame:
    """Read graded cells from a CSV file.

    Parameters
    ----------
    path : Path
        Columns ``image``, ``grade`` (0 to 3, or 1+, 2+, 3+) and either ``object_id`` or ``y_px`` and ``x_px``
        (the centroid); others are ignored, and so are rows without a grade.

    Returns
    -------
    DataFrame
        Columns ``image`` (str), ``grade`` (int) and ``object_id`` (int), or ``y_px`` and ``x_px`` (float).

    Raises
    ------
    GradingError
        The file is not there, lacks a column, has a value that makes no sense, or grades an object twice.
    """
    table = read_csv(path, GradingError, "the table of graded cells")
    keys = ["object_id"] if "object_id" in table else list(PLACE)
    missing = [column for column in ("image", "grade", *keys) if column not in table]
    if missing:
        raise GradingError(
            f"there is no column {missing[0]}; there are {', '.join(table.columns)}",
            where=str(path),
            remedy="Graded cells have the columns image, grade, and object_id or y_px and x_px",
        )
    table = table[table["grade"].str.strip() != ""]
    graded = pd.DataFrame({"image": table["image"].str.strip()})
    graded["grade"] = _numbers(table["grade"].str.removesuffix("+"), path, (0, 1, 2, 3)).astype(int)
    for key in keys:
        graded[key] = _numbers(table[key], path)
    if keys == ["object_id"]:
        graded["object_id"] = graded["object_id"].astype(int)
        twice = graded.index[graded.duplicated(["image", "object_id"])]
        if len(twice):
            raise GradingError(
                f"row {twice[0] + 2} grades an object for the second time", where=str(path), remedy="Keep one grade"
            )
    return graded.reset_index(drop=True)


def match_graded(study: Study, graded: pd.DataFrame, unit: str) -> GradedCells:
    """Find the CTCs of a study that were graded, with their intensities.

    A centroid is matched to the object that it lies within one radius of (of a circle of the object's area): one
    to one, the nearest pairs first.

    Parameters
    ----------
    study : Study
        With its images scored.
    graded : DataFrame
        As :func:`read_graded` returns it.
    unit : {"counts", "leukocyte_ratio", "leukocyte_sd"}
        The unit of the intensities; one of leukocytes is that of the cell's own sample.

    Returns
    -------
    GradedCells

    Raises
    ------
    GradingError
        Not one graded cell is a CTC of the study.
    """
    samples = study.samples
    samples = samples[[study.folder_of(image).is_dir() for image in samples["image"]]]
    wanted = set(graded["image"])
    tables, reason = [], ""
    for _, images in samples.groupby(["patient_id", "sample_id"], sort=False)["image"]:
        if wanted.isdisjoint(images):
            continue
        objects = study.read_objects(images)
        centre, scale, missing = intensity_reference(objects, unit)
        reason = reason or missing
        objects = objects[objects["image"].isin(wanted)]
        tables.append(objects.assign(intensity=(objects["her2_mean"] - centre) / scale))
    matched = pd.concat([*_matches(study, graded, tables)], ignore_index=True) if tables else pd.DataFrame()
    ctcs = matched[matched["kind"] == "ctc"] if len(matched) else matched
    if ctcs.empty:
        raise GradingError(
            f"not one of {len(graded)} graded cells is a CTC of the study" + _example(graded, samples),
            where=str(study.path),
            remedy="The images' names and the centroids (or object_id) must be those of this study",
        )
    measured = np.isfinite(ctcs["intensity"].to_numpy(float))
    columns = ["image", "object_id", "patient_id", "sample_id", "grade_auto", "intensity", "grade"]
    return GradedCells(
        cells=ctcs.loc[measured, columns].reset_index(drop=True),
        n_graded=len(graded),
        n_no_object=len(graded) - len(matched),
        n_not_ctc=len(matched) - len(ctcs),
        n_no_intensity=int((~measured).sum()),
        reason=(reason or "HER2 could not be measured") if not measured.all() else "",
    )


def _numbers(texts: pd.Series, path: Path, allowed: tuple[int, ...] | None = None) -> pd.Series:
    numbers = pd.to_numeric(texts.str.strip(), errors="coerce").astype(float)
    fine = numbers.isin(allowed) if allowed else np.isfinite(numbers)
    if not fine.all():
        row = int(texts.index[~fine][0])
        wanted = f"one of {', '.join(GRADE_NAMES)}" if allowed else "a number"
        raise GradingError(
            f"{texts.name} = {texts[row]!r} in row {row + 2} must be {wanted}", where=str(path), remedy="Mend it"
        )
    return numbers


def _matches(study: Study, graded: pd.DataFrame, tables: list[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Yield the objects of each image that were graded, with their grades."""
    by_image = dict(tuple(graded.groupby("image")))
    for table in tables:
        for image, objects in table.groupby("image", sort=False):
            cells = by_image[image]
            if "object_id" in cells:
                yield objects.merge(cells[["object_id", "grade"]], on="object_id")
                continue
            radius = (
                objects["diameter_um"].to_numpy(float)
                / 2
                / pixel_size_um(study.score_of(str(image)), str(image), study.path)
            )
            row, of = nearest_pairs(cells[[*PLACE]].to_numpy(), objects[[*PLACE]].to_numpy(), radius)
            yield objects.iloc[of].assign(grade=cells["grade"].to_numpy()[row])


def _example(graded: pd.DataFrame, samples: pd.DataFrame) -> str:
    if graded.empty:
        return " (no row has a grade)"
    if samples.empty or not set(graded["image"]).isdisjoint(samples["image"]):
        return ""
    return f" (an image is called {graded['image'].iloc[0]!r} there and {samples['image'].iloc[0]!r} here)"
