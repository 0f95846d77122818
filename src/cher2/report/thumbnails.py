"""Cells as small pictures: crops, composites in colour, and one sheet of them by grade.

All tiles of a sheet have one contrast a channel, which its caption states: a 1+ cell must look dimmer than a
3+ cell, and a cell stretched to its own brightest pixel would not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.cells.objects import GRADE_NAMES, GRADES
from cher2.errors import ImageError
from cher2.palette import CHANNEL_COLOURS
from cher2.protocol import ROLES, Role

Rgb = NDArray[np.uint8]
Levels = dict[Role, NDArray[np.uint8]]

TILE_PX = 96
SCALE_BAR_UM = 10.0
HER2_WHITE_OVER_CUTOFF = 1.5
"""HER2 is shown white from this many times the cut-off of 3+ on."""
HOW_CHOSEN = (
    "The cells of a grade are chosen by rank, not by eye: evenly spaced from its dimmest to its brightest HER2, "
    "without cells cut by the frame's border and without duplicates"
)
"""What :func:`choose_examples` does, for the caption."""

_GAP_PX = 6
_LABEL_PX = 64
_INK, _PAPER, _GROUND = 235, 24, 0


@dataclass(frozen=True, eq=False)
class CellThumbnail:
    """What one cell looks like.

    Parameters
    ----------
    crops : dict of role to ndarray of float32, shape (N, N)
        Counts above the local background; the cell's centroid lies in the middle pixel. Negative where a
        pixel is darker than the background, 0 outside the frame.
    pixel_size_um : float
        Side of a pixel.
    size_um : float
        Side of the square to be shown; the crops are at least as large.
    """

    crops: Mapping[Role, NDArray[np.float32]]
    pixel_size_um: float
    size_um: float


@dataclass(frozen=True, eq=False)
class Example:
    """A cell that the page shows, and where it was found."""

    thumbnail: CellThumbnail
    patient_id: str
    image: str
    object_id: int
    her2_intensity: float


def cell_thumbnail(
    planes: Mapping[Role, NDArray[Any]], y: float, x: float, pixel_size_um: float, size_um: float = 32.0
) -> CellThumbnail:
    """Cut a cell out of its frame.

    Parameters
    ----------
    planes : mapping of role to ndarray, shape (Y, X)
        The frame's channels in camera counts, as :meth:`cher2.images.image.Image.planes` gives them.
    y, x : float
        The cell's centroid in pixels.
    pixel_size_um, size_um : float
        Side of a pixel and of the square to be shown, in micrometres.

    Returns
    -------
    CellThumbnail
        Its background is the median of the window three times as wide, so far as that lies in the frame: a
        cell that fills the crop must not be taken for background. What lies outside the frame is background.

    Raises
    ------
    ImageError
        The centroid lies outside the frame.
    """
    return CellThumbnail(
        {role: _crop(plane, y, x, size_um / pixel_size_um) for role, plane in planes.items()},
        pixel_size_um,
        size_um,
    )


def _crop(plane: NDArray[Any], y: float, x: float, side_px: float) -> NDArray[np.float32]:
    height, width = plane.shape
    if not (-0.5 <= y <= height - 0.5 and -0.5 <= x <= width - 0.5):
        raise ImageError(
            f"a cell at row {y:g}, column {x:g} lies outside the frame of {height} x {width} pixels",
            remedy="Score this image again: it is not the one that the cell was found in",
        )
    row, column = (min(max(round(at), 0), last - 1) for at, last in ((y, height), (x, width)))
    half = math.ceil(side_px / 2)
    around = plane[_span(row, 3 * half, height), _span(column, 3 * half, width)]
    rows, columns = _span(row, half, height), _span(column, half, width)
    crop = np.zeros((2 * half + 1, 2 * half + 1), dtype=np.float32)
    top, left = rows.start - (row - half), columns.start - (column - half)
    inside = plane[rows, columns] - np.float32(np.median(around))
    crop[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return crop


def _span(centre: int, half: int, size: int) -> slice:
    return slice(max(centre - half, 0), min(centre + half + 1, size))


def choose_examples(cells: pd.DataFrame, per_grade: int = 8) -> pd.DataFrame:
    """Choose the cells to be shown, evenly over the intensities of each grade; see :data:`HOW_CHOSEN`.

    Parameters
    ----------
    cells : DataFrame
        The rows of ``cells.csv``. Where there are ``kind_final`` and ``grade``, they win: what a reader found to
        be no CTC is no example of one.
    per_grade : int
        Most cells of a grade.

    Returns
    -------
    DataFrame
        Rows of `cells` with their ``shown_as`` (the grade), by grade and intensity.
    """
    ordered = shown_cells(cells).sort_values(["shown_as", "her2_intensity", "image", "object_id"], kind="stable")
    ranks = [rows[even_ranks(len(rows), per_grade)] for rows in ordered.groupby("shown_as").indices.values()]
    return ordered.iloc[np.concatenate(ranks)] if ranks else ordered


def shown_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells that may be examples, with their ``shown_as``; see :func:`choose_examples`."""
    grade = cells["grade"] if "grade" in cells else cells["grade_auto"]
    grade = grade.astype("Int64").fillna(cells["grade_auto"].astype("Int64"))
    whole = ~cells["touches_border"].astype(bool) & (cells["duplicate_of"].isna() | cells["duplicate_of"].eq(""))
    if "kind_final" in cells:
        whole &= cells["kind_final"] == "ctc"
    return cells.assign(shown_as=grade)[whole & grade.notna() & cells["her2_intensity"].notna()]


def even_ranks(number: int, most: int) -> NDArray[np.intp]:
    """Return at most so many ranks, evenly spaced from the first of some ordered cells to the last."""
    return np.unique(np.linspace(0, number - 1, min(most, number)).round().astype(np.intp))


def shared_contrast(thumbnails: Iterable[CellThumbnail], her2_white: float | None = None) -> dict[Role, float]:
    """Return the counts above background that are shown white, one number a channel for a whole sheet.

    Parameters
    ----------
    thumbnails : iterable of CellThumbnail
    her2_white : float, optional
        The level for HER2, such as 1.5 times the cut-off of 3+. Where it is not given, HER2 is treated as the
        other channels: the 99th percentile of all crops together.

    Returns
    -------
    dict of role to float
        At least ten times the noise (1.4826 MAD of the crops), and above 0: a channel in which nothing is
        stained stays black.
    """
    crops = list(thumbnails)
    white: dict[Role, float] = {}
    for role in ROLES:
        values = [thumbnail.crops[role].ravel() for thumbnail in crops if role in thumbnail.crops]
        if role == "her2" and her2_white is not None:
            white[role] = her2_white
        elif values:
            counts = np.concatenate(values)
            noise = 1.4826 * float(np.median(np.abs(counts - np.median(counts))))
            white[role] = max(float(np.percentile(counts, 99)), 10 * noise, 1.0)
        else:
            white[role] = 1.0
    return white


def channel_levels(thumbnail: CellThumbnail, white: Mapping[Role, float], tile_px: int = TILE_PX) -> Levels:
    """Return how bright each channel of a cell is shown.

    Parameters
    ----------
    thumbnail : CellThumbnail
    white : mapping of role to float
        The counts above background that are shown white.
    tile_px : int
        Side of the pictures, whatever the crop's own pixels are.

    Returns
    -------
    dict of role to ndarray of uint8, shape (tile_px, tile_px)
        0 at the background and below, 255 at `white` and above.
    """
    return {role: _level(crop, thumbnail, white[role], tile_px) for role, crop in thumbnail.crops.items()}


def coloured(levels: Mapping[Role, NDArray[np.uint8]], colours: Mapping[str, str] = CHANNEL_COLOURS) -> Rgb:
    """Return the channels in colour (Y, X, 3), added as light is: each runs from black to its full colour."""
    shape = next(iter(levels.values())).shape
    light = np.zeros((*shape, 3), dtype=np.float32)
    for role, level in levels.items():
        light += level[..., None] * _rgb(colours[role])
    return (np.minimum(light, 255) + 0.5).astype(np.uint8)


def grey(level: NDArray[np.uint8]) -> Rgb:
    """Return one channel in grey (Y, X, 3)."""
    return np.repeat(level[..., None], 3, axis=2)


def composite(thumbnail: CellThumbnail, white: Mapping[Role, float], tile_px: int = TILE_PX) -> Rgb:
    """Return the cell in colour (tile_px, tile_px, 3), black at the background; `white` as for channel_levels."""
    levels = channel_levels(thumbnail, white, tile_px)
    return coloured(levels) if levels else np.zeros((tile_px, tile_px, 3), dtype=np.uint8)


def grey_tile(thumbnail: CellThumbnail, role: Role, white: Mapping[Role, float], tile_px: int = TILE_PX) -> Rgb:
    """Return one channel in grey (tile_px, tile_px, 3): black at the background, white at `white` counts."""
    return grey(_level(thumbnail.crops[role], thumbnail, white[role], tile_px))


def _level(crop: NDArray[np.float32], thumbnail: CellThumbnail, white: float, tile_px: int) -> NDArray[np.uint8]:
    """Resample a crop to the tile; 0 is background, 255 is white."""
    scale = tile_px * thumbnail.pixel_size_um / thumbnail.size_um
    side = max(round(len(crop) * scale), tile_px)
    # Averaging areas when pixels get fewer keeps noise from aliasing; OpenCV has it for shrinking only.
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(crop, (side, side), interpolation=method)
    margin = (side - tile_px) // 2
    tile = resized[margin : margin + tile_px, margin : margin + tile_px]
    return np.asarray(np.clip(tile / white, 0, 1) * 255 + 0.5).astype(np.uint8)


def _rgb(colour: str) -> NDArray[np.float32]:
    return np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)], dtype=np.float32)


def contact_sheet(
    examples: Mapping[int, Sequence[Example]], her2_white: float | None = None, tile_px: int = TILE_PX
) -> bytes:
    """Draw the examples of every grade on one sheet.

    Parameters
    ----------
    examples : mapping of grade to sequence of Example
        A grade may have none; its row says so.
    her2_white : float, optional
        Counts of HER2 that are shown white; see :func:`shared_contrast`.
    tile_px : int
        Side of a tile.

    Returns
    -------
    bytes
        A PNG: a row a grade, a column a cell, its composite above its HER2 in grey, and a scale bar of 10 µm.
        The same examples give the same bytes.
    """
    shown = {grade: list(examples.get(grade, ())) for grade in GRADES}
    white = shared_contrast((e.thumbnail for row in shown.values() for e in row), her2_white)
    columns = max(1, *(len(row) for row in shown.values()))
    band_px = 2 * tile_px + 2 + 2 * _GAP_PX
    sheet = np.full((len(GRADES) * band_px, _LABEL_PX + columns * (tile_px + _GAP_PX), 3), _PAPER, dtype=np.uint8)
    for grade, row in shown.items():
        top = grade * band_px + _GAP_PX
        _write(sheet, GRADE_NAMES[grade], (12, top + tile_px + 8), 0.9)
        if not row:
            _write(sheet, "no cell", (_LABEL_PX, top + tile_px + 6), 0.6)
        for column, example in enumerate(row):
            left = _LABEL_PX + column * (tile_px + _GAP_PX)
            _draw_cell(sheet, example.thumbnail, white, top, left, tile_px)
    encoded: NDArray[np.uint8] = cv2.imencode(".png", sheet[..., ::-1])[1]
    return encoded.tobytes()


def _draw_cell(
    sheet: Rgb, thumbnail: CellThumbnail, white: Mapping[Role, float], top: int, left: int, tile_px: int
) -> None:
    levels = channel_levels(thumbnail, white, tile_px)
    picture = coloured(levels)
    length = max(1, round(SCALE_BAR_UM * tile_px / thumbnail.size_um))
    picture[-8:-5, 6 : 6 + length] = 255
    sheet[top : top + tile_px, left : left + tile_px] = picture
    below = top + tile_px + 2
    sheet[below : below + tile_px, left : left + tile_px] = grey(levels["her2"])


def _write(sheet: Rgb, text: str, at: tuple[int, int], scale: float) -> None:
    cv2.putText(sheet, text, (at[0], at[1]), cv2.FONT_HERSHEY_SIMPLEX, scale, (_INK, _INK, _INK), 2, cv2.LINE_AA)
