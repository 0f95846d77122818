"""What the window shows of a session's cell: its facts, its picture, and its place in the frame."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.napari.cell_facts import CellFacts
from cher2.napari.frame_reader import FramePixels
from cher2.protocol import Role
from cher2.report.cell_pictures import CellPicture
from cher2.report.thumbnails import CellThumbnail, cell_thumbnail
from cher2.review.reader_view import ReaderView

SIZE_UM = 32.0
"""Side of the square that is shown of a cell: the largest CTCs and their surroundings."""


def facts_of(
    view: ReaderView,
    row: int,
    scale: float,
    *,
    cohort: str = "",
    outline: NDArray[np.bool_] | None = None,
    message: str = "",
) -> CellFacts:
    """Return the facts of a cell.

    Parameters
    ----------
    view : ReaderView
    row : int
        The cell's row.
    scale : float
        Counts in a unit of HER2 intensity; see :func:`unit_scales`.
    cohort : str
        The patient's group so far.
    outline : ndarray of bool, optional
        The cell's body in the picture.
    message : str
        Why there is no picture.
    """
    cell, standing, grade = view.cells.iloc[row], view.standing(row), view.protocol.grade
    p0, p1, p2, p3 = (float(cell[f"p{number}"]) for number in range(4))
    return CellFacts(
        patient_id=str(cell["patient_id"]),
        sample_id=str(cell["sample_id"]),
        image=str(cell["image"]),
        object_id=int(cell["object_id"]),
        her2_intensity=float(cell["her2_intensity"]),
        her2_se=float(cell["her2_se"]) / scale,
        unit=grade.unit,
        cutoffs=grade.cutoffs,
        diameter_um=float(cell["diameter_um"]),
        ck_mean=float(cell["ck_mean"]),
        cd45_mean=float(cell["cd45_mean"]),
        dapi_mean=float(cell["dapi_mean"]),
        cohort=cohort,
        probabilities=None if np.isnan([p0, p1, p2, p3]).any() else (p0, p1, p2, p3),
        kind_auto=str(cell["kind"]),
        grade_auto=None if pd.isna(cell["grade_auto"]) else int(cell["grade_auto"]),
        not_graded=str(cell["not_graded"]),
        reader=standing.reader,
        kind_final=standing.kind,
        grade_final=standing.grade,
        note="; ".join(standing.notes),
        unsaved=standing.unsaved,
        blind=view.blind,
        outline=outline,
        message=message,
    )


def unit_scales(cells: pd.DataFrame, unit: str) -> dict[str, float]:
    """Return by sample how many counts of HER2 make one of the protocol's unit: what a standard error is divided by.

    Counts and intensities of a sample's cells lie on a straight line; two cells give it.

    Parameters
    ----------
    cells : DataFrame
        With ``sample_id, her2_mean, her2_intensity``.
    unit : {"counts", "leukocyte_ratio", "leukocyte_sd"}

    Returns
    -------
    dict of float
        NaN where a sample has no two different cells.
    """
    if unit == "counts":
        return dict.fromkeys(cells["sample_id"].unique(), 1.0)
    found = {}
    for sample, rows in cells.groupby("sample_id", sort=False):
        known = rows[np.isfinite(rows["her2_intensity"]) & np.isfinite(rows["her2_mean"])]
        counts, units = known["her2_mean"].to_numpy(float), known["her2_intensity"].to_numpy(float)
        span = np.ptp(units) if len(units) else 0.0
        found[str(sample)] = float(np.ptp(counts) / span) if span > 0 else float("nan")
    return found


def thumbnail_of(frame: FramePixels, y_px: float, x_px: float) -> CellThumbnail:
    """Cut a cell out of a frame that is read; see :func:`~cher2.report.thumbnails.cell_thumbnail`."""
    return cell_thumbnail(frame.planes, y_px, x_px, frame.pixel_size_um, SIZE_UM)


def outline_of(
    frame: FramePixels, thumbnail: CellThumbnail, y_px: float, x_px: float, object_id: int
) -> NDArray[np.bool_]:
    """Return the body of a cell in its picture, of the shape of the picture's crops."""
    side = len(next(iter(thumbnail.crops.values())))
    height, width = frame.labels.shape
    half = side // 2
    row, column = min(max(round(y_px), 0), height - 1), min(max(round(x_px), 0), width - 1)
    mask = np.zeros((side, side), dtype=np.bool_)
    top, left = max(row - half, 0), max(column - half, 0)
    inside = frame.labels[top : row + half + 1, left : column + half + 1] == object_id
    down, right = top - (row - half), left - (column - half)
    mask[down : down + inside.shape[0], right : right + inside.shape[1]] = inside
    return mask


def enlarged(picture: CellPicture, white: Mapping[Role, float]) -> CellThumbnail:
    """Return a small picture as the large one, until the frame is read: it ends at white."""
    crops = {role: level.astype(np.float32) * (white[role] / 255) for role, level in picture.levels.items()}
    side = len(next(iter(crops.values())))
    return CellThumbnail(crops, SIZE_UM / side, SIZE_UM)
