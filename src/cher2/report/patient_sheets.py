"""The cells of each patient as one small picture, which the page opens when the patient is clicked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.cells.objects import GRADE_NAMES
from cher2.errors import ImageError
from cher2.protocol import Role
from cher2.report.cell_pictures import CellPlace, StudyFrames, cell_places
from cher2.report.thumbnails import CellThumbnail, Rgb, channel_levels, coloured, grey

SHEET_TILE_PX = 64
COLUMNS = 16
"""Cells side by side in a sheet."""

MOST_CELLS, MOST_OF_PATIENT = 10_000, 64
"""Cells that are shown of a study and of a patient at most."""

MOST_FRAMES = 400
"""Frames that are read for the sheets at most: each patient has its share, those with the most CTCs first."""

ENOUGH = 2
"""Frames of a patient are read until they hold so many times the cells that a sheet has room for."""

_QUALITY = 75


@dataclass(frozen=True)
class SheetCell:
    """One cell of a sheet: its final grade (empty where it has none), HER2 and where it was found."""

    grade: str
    her2: float
    image: str
    object_id: int


@dataclass(frozen=True, eq=False)
class PatientSheet:
    """Cells of one patient as a picture.

    Parameters
    ----------
    patient_id : str
    webp : bytes
        Tiles of :data:`SHEET_TILE_PX`, :data:`COLUMNS` a row: each cell in colour, and in the row of tiles below it
        its HER2 in grey.
    cells : tuple of SheetCell
        In the order of the tiles: by grade, then by HER2.
    of : int
        CTCs that the patient has, shown or not.
    """

    patient_id: str
    webp: bytes
    cells: tuple[SheetCell, ...]
    of: int


def choose_frames(ctcs: pd.DataFrame, frames: int = MOST_FRAMES) -> list[str]:
    """Choose the frames that the sheets are cut out of.

    Parameters
    ----------
    ctcs : DataFrame
        ``patient_id``, ``image`` and ``ctcs``, how many of the patient's CTCs are in it: a row a frame.
    frames : int
        Frames of the whole study at most, but for one a patient.

    Returns
    -------
    list of str
        Of each patient the frames with the most CTCs, until they hold enough, in the order of their names.
    """
    each = max(1, frames // max(1, ctcs["patient_id"].nunique()))
    falling = ctcs.sort_values(["patient_id", "ctcs", "image"], ascending=[True, False, True], kind="stable")
    of_patient = falling.groupby("patient_id", sort=True)["ctcs"]
    before = of_patient.cumsum() - falling["ctcs"]
    chosen = (of_patient.cumcount() < each) & (before < ENOUGH * MOST_OF_PATIENT)
    return sorted(falling.loc[chosen, "image"])


def choose_cells(cells: pd.DataFrame, most: int = MOST_CELLS) -> pd.DataFrame:
    """Choose the CTCs that the sheets show.

    Parameters
    ----------
    cells : DataFrame
        Rows of ``cells.csv``.
    most : int
        Cells of the whole study at most, but for one a patient.

    Returns
    -------
    DataFrame
        Rows of `cells` with ``shown_as``, the final grade (NA where there is none): of each patient all CTCs but
        duplicates, evenly spaced by grade and HER2 where they are too many.
    """
    ctcs = cells[counted_once(cells)]
    ctcs = ctcs.assign(shown_as=ctcs["grade"].astype("Int64")).sort_values(
        ["patient_id", "shown_as", "her2_intensity", "image", "object_id"], kind="stable"
    )
    each = max(1, min(MOST_OF_PATIENT, most // max(1, ctcs["patient_id"].nunique())))
    rows = [
        own[np.unique(np.linspace(0, len(own) - 1, min(each, len(own))).round().astype(int))]
        for own in ctcs.groupby("patient_id", sort=True).indices.values()
    ]
    return ctcs.iloc[np.concatenate(rows)] if rows else ctcs


def counted_once(cells: pd.DataFrame) -> NDArray[np.bool_]:
    """Say which cells are CTCs, by their final kind where there is one, and nobody's duplicates."""
    kind = cells["kind_final"] if "kind_final" in cells else cells["kind"]
    is_copy = cells["duplicate_of"].notna() & (cells["duplicate_of"] != "")
    return ((kind == "ctc") & ~is_copy).to_numpy(bool)


def patient_sheets(
    frames: StudyFrames, chosen: pd.DataFrame, of: Mapping[str, int], white: Mapping[Role, float]
) -> tuple[list[PatientSheet], int]:
    """Cut cells out of their frames, patient by patient.

    Parameters
    ----------
    frames : StudyFrames
    chosen : DataFrame
        As :func:`choose_cells` gives it.
    of : mapping of str to int
        How many CTCs each patient has.
    white : mapping of role to float
        The counts above background that are shown white, as :func:`cher2.report.cell_pictures.study_contrast` gives
        them: one contrast for all patients.

    Returns
    -------
    sheets : list of PatientSheet
        One a patient with a cell to show, in the order of their names.
    lost : int
        Cells that could not be cut out because their image is not as it was scored.
    """
    sheets, lost = [], 0
    for patient, rows in chosen.groupby("patient_id", sort=True):
        # Frame by frame, so that each is read once; then in the order of the sheet.
        by_frame = np.argsort(rows["image"].to_numpy(), kind="stable").tolist()
        places = cell_places(rows)
        found = {row: _cut(frames, places[row]) for row in by_frame}
        thumbnails: list[CellThumbnail] = []
        shown: list[SheetCell] = []
        for row, line in enumerate(rows.to_dict("records")):
            if (thumbnail := found[row]) is None:
                lost += 1
                continue
            thumbnails.append(thumbnail)
            grade = "" if pd.isna(line["shown_as"]) else GRADE_NAMES[int(line["shown_as"])]
            shown.append(SheetCell(grade, float(line["her2_intensity"]), line["image"], int(line["object_id"])))
        if shown:
            sheets.append(PatientSheet(str(patient), _webp(thumbnails, white), tuple(shown), of[str(patient)]))
    return sheets, lost


def _cut(frames: StudyFrames, place: CellPlace) -> CellThumbnail | None:
    try:
        return frames.thumbnail(place)
    except ImageError:
        # The page must not fail for a picture; it says how many are missing.
        return None


def _webp(thumbnails: list[CellThumbnail], white: Mapping[Role, float]) -> bytes:
    columns = min(COLUMNS, len(thumbnails))
    rows = -(-len(thumbnails) // columns)
    sheet: Rgb = np.zeros((2 * rows * SHEET_TILE_PX, columns * SHEET_TILE_PX, 3), np.uint8)
    for number, thumbnail in enumerate(thumbnails):
        levels = channel_levels(thumbnail, white, SHEET_TILE_PX)
        top, left = 2 * (number // columns) * SHEET_TILE_PX, number % columns * SHEET_TILE_PX
        for down, tile in ((0, coloured(levels)), (SHEET_TILE_PX, grey(levels["her2"]))):
            sheet[top + down : top + down + SHEET_TILE_PX, left : left + SHEET_TILE_PX] = tile
    encoded: NDArray[np.uint8] = cv2.imencode(".webp", sheet[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])[1]
    return encoded.tobytes()
