"""Where the frames of a CellTracks (CellSearch) cartridge lie, and where in them its events.

A cartridge is scanned in rows to and fro. Frames are taken to lie side by side: how far they overlap is not known.
The events' boxes are in pixels of the whole cartridge, so they tell on the order of the frames: where an event does
not lie in the frame that it names, the order is not as known here, and nothing is guessed.

Source: ACCEPT, input_output/Loaders/CellTracks.m (processXML, event_to_pixels_and_frame, calculate_frame_nr_order).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from cher2.errors import ImageError
from cher2.images.celltracks_xml import REMEDY, Event, Export
from cher2.images.image import SelectedCell

PIXEL_SIZE_UM = 0.64
"""Side of a pixel."""

GRIDS = {210: (6, 35), 180: (5, 36), 175: (5, 35), 170: (5, 34), 144: (4, 36), 140: (4, 35)}
"""Rows and columns of a cartridge by its number of frames."""

_STEP = 2**-10


@dataclass(frozen=True)
class Place:
    """Where a frame is in its cartridge: row and column from 0, counted from the top left."""

    row: int
    column: int


def find_grid(export: Export, count: int, where: str) -> tuple[int, int] | None:
    """Return rows and columns of a cartridge of so many frames; None where neither the XML nor the number tells.

    Raises
    ------
    ImageError
        The folder has another number of frames than the XML says, or the XML another grid than is known.
    """
    rows = export.rows or (count // export.columns if export.columns else None)
    columns = export.columns or (count // export.rows if export.rows else None)
    if rows is None or columns is None:
        return GRIDS.get(count)
    if rows * columns != count:
        said = f"{export.rows or '?'} x {export.columns or '?'}"
        raise _error(f"the export is of {said} frames, but its folder has {count} TIFFs", where)
    known = GRIDS.get(count, (rows, columns))
    if known != (rows, columns):
        said = f"{rows} x {columns}"
        raise _error(f"the export says {said} frames, where {count} are known as {known[0]} x {known[1]}", where)
    return rows, columns


def place_of(number: int, columns: int) -> Place:
    """Return where a frame is; every second row is scanned from right to left.

    Parameters
    ----------
    number : int
        The frame's number, from 1.
    columns : int
        Frames of a row.
    """
    row, column = divmod(number - 1, columns)
    return Place(row, columns - 1 - column if row % 2 else column)


@lru_cache(maxsize=16)
def selected_cells(export: Export, count: int, where: str) -> Mapping[Place, tuple[SelectedCell, ...]] | None:
    """Return the cells that the operator called CTCs by the place of their frame, in pixels of the frame.

    An event whose box reaches into another frame is in the frame that holds its centre.

    Parameters
    ----------
    export : Export
    count : int
        Frames of the cartridge.
    where : str
        The XML, for errors.

    Returns
    -------
    mapping of Place to tuple of SelectedCell, or None
        Frames without such cells are left out; None where the export does not say which events were assigned, or how
        the frames lie.

    Raises
    ------
    ImageError
        Any event is in a frame that is not there, or lies outside its frame: the order of the frames is then not as
        known.
    """
    grid, events = find_grid(export, count, where), export.events or ()
    late = next((event for event in events if event.frame > count), None)
    if late is not None:
        raise _error(f"event {late.number} is in frame {late.frame}, but there are {count}", where)
    if grid is None:
        return None
    placed = [(event, _place_of_event(event, export, grid, where)) for event in events]
    if export.events is None or any(event.assigned is None for event in events):
        return None
    cells = defaultdict[Place, list[SelectedCell]](list)
    for event, place in placed:
        if event.assigned:
            top, left = place.row * export.camera[0], place.column * export.camera[1]
            y0, x0, y1, x1 = event.corners
            cells[place].append(SelectedCell(event.number, (y0 - top, x0 - left, y1 - top, x1 - left)))
    return {place: tuple(of_frame) for place, of_frame in cells.items()}


def _place_of_event(event: Event, export: Export, grid: tuple[int, int], where: str) -> Place:
    """Return the frame that holds an event's centre; its box must reach into the frame that it names."""
    (rows, columns), named = export.camera, place_of(event.frame, grid[1])
    y0, x0, y1, x1 = event.corners
    top, left = named.row * rows, named.column * columns
    if not (y0 <= top + rows and y1 >= top and x0 <= left + columns and x1 >= left):
        raise _error(
            f"event {event.number} lies at y {y0:g} to {y1:g} and x {x0:g} to {x1:g}, outside its frame {event.frame}, "
            f"which is known in row {named.row + 1} and column {named.column + 1}",
            where,
        )
    centre = (y0 + y1) / 2 // rows, (x0 + x1) / 2 // columns
    # A box at the cartridge's edge may reach beyond it.
    return Place(*(min(max(int(c), 0), most - 1) for c, most in zip(centre, grid, strict=True)))


def stage_position(place: Place, camera: tuple[int, int]) -> tuple[float, float]:
    """Return the place (y, x) of a frame's first pixel in micrometres: frames lie side by side without overlap."""
    # The frame's side is rounded up to 1/1024 um, so that its multiples are exact: by an error of rounding frames
    # would overlap that only touch.
    height, width = (math.ceil(side * PIXEL_SIZE_UM / _STEP) * _STEP for side in camera)
    return place.row * height, place.column * width


def _error(what: str, where: str) -> ImageError:
    return ImageError(what, where=where, remedy=REMEDY)
