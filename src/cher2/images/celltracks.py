"""CellTracks (CellSearch) exports: a folder with one multi-page TIFF a frame, and an XML beside them.

The reader is written from public code and has never met a real export: none is public. ``docs/formats.md`` says what
is known from where. So whatever is not as known is an error, and every image that is read says that it is unverified.

The pages are stretched, each by its own limits: a page that is darker than another in counts may be brighter in the
file. The limits stand in two private tags. Counts are restored to whole numbers: where a page has more steps than
counts, as 16 bits for 12, rounding gives back the camera's own counts exactly, and else it adds at most half a count,
where HER2 begins at 30.

Source: ACCEPT, input_output/Loaders/CellTracks.m (read_im_and_scale).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from cher2.errors import ImageError
from cher2.images.cartridge import PIXEL_SIZE_UM, find_grid, place_of, selected_cells, stage_position
from cher2.images.celltracks_xml import REMEDY, read_export
from cher2.images.frames import FrameInfo
from cher2.images.image import MAX_PIXELS, Image
from cher2.images.layout import FrameLayout
from cher2.images.library_faults import figures
from cher2.images.tiff import TiffFrames

CAMERA_BITS = 12

CHANNELS = ("DNA", "Marker1", "CK", "CD45", "Marker2", "Marker3")
"""What the pages are where the XML names no filters, in the order of ACCEPT."""

LOWER_LIMIT, HIGHER_LIMIT = 755, 756
"""Private tags: the count that the value 0 stands for, and the count of the page's largest value."""

OFFSET = 2**15
"""Restored counts from here on carry this much too much."""

UNVERIFIED = (
    "they were read as a CellTracks export, by rules from public code that have never been held against a real export: "
    "compare some counts and places with CellTracks itself before you rely on them. Frames are taken to lie side "
    "by side: if they overlap, cells in two of them count twice unless image.overlap_px says by how much"
)
NO_GRID = "the CellTracks export does not say how its {count} frames lie, so they have no stage positions"
NO_SELECTION = "the CellTracks export does not say which cells its operator selected, so they are not compared"


def restore_counts(values: NDArray[Any], low: int, high: int) -> NDArray[np.uint16]:
    """Return the camera's counts of a page that was stretched.

    Parameters
    ----------
    values : ndarray of uint8 or uint16
        The page as it is stored.
    low, high : int
        The counts of the value 0 and of the page's largest value.

    Returns
    -------
    ndarray of uint16
        ``low + values * (high - low) / max(values)``, rounded.

    Raises
    ------
    ValueError
        The limits are in the wrong order, beyond the camera's 12 bits, of a page that is all 0, or only one of them
        carries the offset of 32768.
    """
    if (low >= OFFSET) != (high >= OFFSET):
        raise ValueError(f"of its limits {low} and {high}, only one carries the offset of {OFFSET}")
    if low >= OFFSET:
        low, high = low - OFFSET, high - OFFSET
    if not low <= high < 2**CAMERA_BITS:
        raise ValueError(f"its limits are {low} and {high}, where counts from 0 to {2**CAMERA_BITS - 1} are due")
    most = int(values.max())
    if most == 0 and high > low:
        raise ValueError(f"it is 0 everywhere, but its limits are {low} and {high}")
    counts = low + np.rint(np.arange(most + 1) * ((high - low) / max(most, 1)))
    # A table of all values is as exact as float64, and faster than four passes over the page.
    return np.take(counts.astype(np.uint16), values)


class CellTracksFrames(TiffFrames):
    """One frame of an export, as a sequence of one; a context manager.

    Parameters
    ----------
    path : Path
        The frame's TIFF.
    xmls : tuple of Path
        The XML beside it; more than one is an error.
    number, count : int
        Which frame of the folder it is, from 1, and how many there are.
    most : int
        As of :class:`~cher2.images.tiff.TiffFrames`.

    Raises
    ------
    ImageError
        The TIFF or the XML cannot be read, or they do not fit together or to what is known.
    """

    def __init__(self, path: Path, xmls: tuple[Path, ...], number: int, count: int, most: int = MAX_PIXELS) -> None:
        if len(xmls) != 1:
            names = ", ".join(xml.name for xml in xmls)
            raise _error(f"{len(xmls)} XMLs of an export lie beside it: {names}", str(path), "Keep the frames' own")
        self._export, self._xml = read_export(xmls[0]), str(xmls[0])
        self._count = count
        grid = find_grid(self._export, count, self._xml)
        self._place = place_of(number, grid[1]) if grid else None
        cells = selected_cells(self._export, count, self._xml)
        self._selected = None if cells is None or self._place is None else cells.get(self._place, ())
        super().__init__(path, most=most)

    def info(self, number: int) -> FrameInfo:
        """Return what file and XML say of the frame."""
        return replace(super().info(number), bits=CAMERA_BITS, remarks=self._remarks())

    def read(self, number: int, name: str) -> Image:
        """Read the frame in restored counts, as uint16.

        Raises
        ------
        ImageError
            As :meth:`TiffFrames.read`, or a page's limits cannot be.
        """
        image = super().read(number, name)
        counts = np.empty(image.pixels.shape, np.uint16)
        for page, (low, high) in enumerate(self._limits):
            try:
                counts[page] = restore_counts(image.pixels[page], low, high)
            except ValueError as error:
                raise self._error(f"page {page + 1}: {error}", REMEDY) from error
        return replace(image, pixels=counts, bits=CAMERA_BITS, remarks=self._remarks(), selected=self._selected)

    def _find_layouts(self, roles: tuple[str, ...]) -> list[FrameLayout]:
        count, filters = len(self._offsets), self._export.filters
        if filters and len(filters) != count:
            raise self._error(f"it has {count} pages, but the export has {len(filters)} filters", REMEDY)
        if count > len(CHANNELS) and not filters:
            raise self._error(f"it has {count} pages, where at most {len(CHANNELS)} are known", REMEDY)
        position = None if self._place is None else stage_position(self._place, self._export.camera)
        pages = [self._page(number) for number in range(count)]
        for number, page in enumerate(pages, 1):
            self._check_page(page, number)
        self._limits = [self._limits_of(page, number) for number, page in enumerate(pages, 1)]
        channels = filters or CHANNELS[:count]
        return [FrameLayout(tuple(range(count)), channels, PIXEL_SIZE_UM, position_um=position)]

    def _check_page(self, page: tifffile.TiffPage, number: int) -> None:
        shape, camera = (page.imagelength, page.imagewidth), self._export.camera
        if shape != camera:
            said = f"{shape[0]} x {shape[1]} pixels, but the export's camera {camera[0]} x {camera[1]} (rows x columns)"
            raise self._error(f"its page {number} has {said}", REMEDY)
        if page.samplesperpixel != 1 or page.dtype not in (np.uint8, np.uint16):
            raise self._error(f"its page {number} is {page.samplesperpixel} x {page.dtype}, not 8 or 16 bits", REMEDY)

    def _limits_of(self, page: tifffile.TiffPage, number: int) -> tuple[int, int]:
        values = []
        for tag in (LOWER_LIMIT, HIGHER_LIMIT):
            value = page.tags.valueof(tag)
            if not isinstance(value, int) or not 0 <= value < 2**16:
                said = "has no tag" if value is None else f"says {figures(value)} in its tag"
                remedy = "Without it counts cannot be restored: copy the export's own TIFFs"
                raise self._error(f"its page {number} {said} {tag} (limit of its stretch)", remedy)
            values.append(value)
        return values[0], values[1]

    def _remarks(self) -> tuple[str, ...]:
        further = [] if self._place else [NO_GRID.format(count=self._count)]
        return (UNVERIFIED, *further, *([] if self._selected is not None else [NO_SELECTION]))


def _error(what: str, where: str, remedy: str = REMEDY) -> ImageError:
    return ImageError(what, where=where, remedy=remedy)
