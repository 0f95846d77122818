"""Frames from OME-Zarr 0.4 and 0.5: single images, containers of several, and wells of plates.

A frame is a time point of an image; the images of a well (its fields) or of a container follow one another.
Only the full resolution is read; labels are no frames. What the attributes claim is checked by
:mod:`~cher2.images.omezarr_metadata`, what the arrays claim by :mod:`~cher2.images.omezarr_array`, and each
chunk by :mod:`~cher2.images.omezarr_chunks`.

Sources: https://ngff.openmicroscopy.org/0.4 and https://ngff.openmicroscopy.org/0.5.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from cher2.errors import ImageError
from cher2.images.frames import FrameInfo, check_frame
from cher2.images.image import MAX_PIXELS, Image, check_pixels
from cher2.images.layout import z_stack
from cher2.images.ome import OmeImage
from cher2.images.omezarr_array import StoredArray, stored_array
from cher2.images.omezarr_container import contained_images
from cher2.images.omezarr_metadata import LAYOUT, Multiscale, multiscale, well_fields
from cher2.images.omezarr_plate import group_attributes, plate_places
from cher2.images.omezarr_store import faults, open_store, read_document, where_is
from cher2.images.pages import as_counts
from cher2.images.tiff_chain import MAX_PAGES

if TYPE_CHECKING:
    from cher2.images.omezarr_chunks import PlainChunks

MAX_CHUNKS = 2**16
"""Most chunks of a frame: one of 8192 x 8192 in four channels has them at 64 x 64 pixels each."""


@dataclass(frozen=True)
class _Series:
    """One image of the folder: where its array lies, what is said of it, and how it is stored."""

    place: str
    said: Multiscale
    stored: StoredArray
    where: str
    xml: OmeImage | None

    def size(self, axis: str) -> int:
        """Return the length of an axis; 1 where there is none."""
        return self.stored.shape[self.said.axes.index(axis)] if axis in self.said.axes else 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of a frame."""
        return self.size("c"), self.size("y"), self.size("x")

    @property
    def chunks_a_frame(self) -> int:
        """Return how many chunks a frame lies in."""
        sizes = zip(self.said.axes, self.stored.shape, self.stored.chunks, strict=True)
        return math.prod(-(-size // chunk) for axis, size, chunk in sizes if axis in "cyx")

    def info(self, t: int) -> FrameInfo:
        """Return what is said of a frame: by the attributes, and what they leave open by OME-XML."""
        said, xml = self.said, self.xml or OmeImage((), None, None, {}, False)
        count = self.shape[0]
        return FrameInfo(
            shape=self.shape,
            dtype=self.stored.dtype,
            channels=next((names for names in (said.channels, xml.channels) if len(names) == count), ("",) * count),
            pixel_size_um=said.pixel_size_um or xml.pixel_size_um,
            # As in OME-TIFF: the container's width is what writers fill in where they know no better.
            bits=xml.bits if xml.bits is not None and xml.bits < 8 * self.stored.dtype.itemsize else None,
            position_um=said.position_um or xml.positions_um.get(t),
            synthetic=xml.synthetic,
        )


class OmeZarrFrames:
    """An OME-Zarr image, container or well as a sequence of frames; a context manager.

    Parameters
    ----------
    path : Path, or an object with ``fs`` and ``path``
        The folder, here or in a file system of fsspec.
    most : int
        Most pixels of a frame that are read, as of :func:`~cher2.images.image.check_pixels`.

    Raises
    ------
    ImageError
        It is no OME-Zarr of a known version, is a whole plate, or what it claims makes no sense.
    """

    def __init__(self, path: Any, most: int = MAX_PIXELS) -> None:
        self._path, self._most = path, most
        self._where = where_is(path)
        self._groups: dict[str, Mapping[str, Any] | None] = {}
        open_store(path)  # Without zarr, that is told before anything else.
        self._series = _positions_that_tell([self._one_series(*place) for place in self._places().items()])
        _check_count(self._series, self._where)
        self._frames = [(series, t) for series in self._series for t in range(series.size("t"))]
        self._open: tuple[_Series, PlainChunks, Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = None

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._frames)

    def info(self, number: int) -> FrameInfo:
        """Return what the folder says of a frame, without reading a chunk."""
        check_frame(number, len(self), self._where)
        series, t = self._frames[number]
        return series.info(t)

    def read(self, number: int, name: str) -> Image:
        """Read one frame, and only the chunks that it lies in.

        Raises
        ------
        ImageError
            A chunk is missing, damaged or of another size than declared, or holds no finite numbers.
        """
        check_frame(number, len(self), self._where)
        series, t = self._frames[number]
        info, pixels = series.info(t), self._pixels(series, t)
        return info.image(as_counts(pixels, series.where), name)

    def _places(self) -> Mapping[str, OmeImage | None]:
        """Return the groups of the folder that are images, and what OME-XML says of each."""
        found = self._group("")
        if found is None:
            raise ImageError(
                "it is a folder that cannot be read as OME-Zarr: it has neither .zattrs nor zarr.json",
                where=self._where,
                remedy="Name the folder that holds them, or copy it again from its source",
            )
        if "plate" in found:
            wells = plate_places(self._path, found)
            raise ImageError(
                f"it is a plate of {len(wells)} wells",
                where=self._where,
                remedy=f"Name one of them, such as {self._where}/{wells[0]}",
            )
        if "well" in found:
            return dict.fromkeys(well_fields(found, self._where))
        if "multiscales" in found:
            return {"": None}
        if LAYOUT in found:
            return contained_images(self._path)
        raise ImageError(
            "its attributes tell of no image, well or container of images",
            where=self._where,
            remedy="Export it again as OME-Zarr 0.4 or 0.5",
        )

    def _group(self, place: str) -> Mapping[str, Any] | None:
        """Return the attributes of a group, asked for once: each question to a store in the network takes time."""
        if place not in self._groups:
            self._groups[place] = group_attributes(self._path, place)
        return self._groups[place]

    def _one_series(self, group: str, xml: OmeImage | None) -> _Series:
        where = f"{self._where}/{group}" if group else self._where
        found = self._group(group)
        if found is None:
            raise ImageError("the image is not there", where=where, remedy="Copy the folder again from its source")
        said = multiscale(found, where)
        place = f"{group}/{said.path}" if group else said.path
        where = f"{self._where}/{place}"
        document = read_document(self._path, f"{place}/zarr.json") or read_document(self._path, f"{place}/.zarray")
        if document is None:
            raise ImageError("the array is not there", where=where, remedy="Copy the folder again from its source")
        series = _Series(place, said, stored_array(document, where), where, xml)
        _check_sizes(series, self._most)
        return series

    def _pixels(self, series: _Series, t: int) -> NDArray[Any]:
        """Return the pixels (C, Y, X) of a time point."""
        chunks, array = self._array(series)
        axes = series.said.axes
        chunks.missing.clear()
        with faults("its pixels cannot be read", series.where):
            pixels = np.asarray(array[tuple({"t": t, "z": 0}.get(axis, slice(None)) for axis in axes)])
        if chunks.missing:
            raise ImageError(
                f"{len(chunks.missing)} of the {series.chunks_a_frame} chunks of a frame are missing",
                where=series.where,
                remedy="Copy the folder again from its source; if the writer left out chunks of zeros, have it "
                "write them (in zarr: write_empty_chunks)",
            )
        kept = [axis for axis in axes if axis in "cyx"]
        ordered = pixels.transpose([kept.index(axis) for axis in "cyx" if axis in kept])
        return np.ascontiguousarray(ordered.reshape(series.shape), series.stored.dtype)

    def _array(self, series: _Series) -> tuple[PlainChunks, Any]:
        """Return an image's array as zarr reads it, and what zarr reads from; it stays open for the next frame."""
        if self._open is None or self._open[0] is not series:
            from cher2.images.omezarr_chunks import PlainChunks

            with faults("its array cannot be opened", series.where):
                chunks = PlainChunks(self._path, series.place, series.stored)
                self._open = series, chunks, chunks.array()
        return self._open[1], self._open[2]


def _check_sizes(series: _Series, most: int) -> None:
    """Refuse stacks, axes that the array does not have, and frames too large to read."""
    where, stored = series.where, series.stored
    if len(stored.shape) != len(series.said.axes):
        raise ImageError(
            f"its attributes name {len(series.said.axes)} axes, but the array has {len(stored.shape)}",
            where=where,
            remedy="Export it again as OME-Zarr 0.4 or 0.5",
        )
    if series.size("z") > 1:
        raise z_stack(series.size("z"), where)
    check_pixels(math.prod(series.shape), most, where)
    decoded = series.chunks_a_frame * math.prod(stored.chunks)
    if decoded > 2 * most:
        raise ImageError(
            f"the chunks that a frame lies in have {decoded} pixels, the frame {math.prod(series.shape)}",
            where=where,
            remedy="Export it again, with chunks of one time point and no larger than a frame",
        )
    if series.size("t") * series.size("c") > MAX_PAGES or series.chunks_a_frame > MAX_CHUNKS:
        raise ImageError(
            f"it claims {series.size('t')} frames of {series.chunks_a_frame} chunks each",
            where=where,
            remedy="Export it again, with chunks of 512 x 512 pixels or more",
        )


def _check_count(series: list[_Series], where: str) -> None:
    frames = sum(one.size("t") for one in series)
    if not 0 < frames <= MAX_PAGES:
        raise ImageError(
            f"it claims {frames} frames, where 1 to {MAX_PAGES} are read", where=where, remedy="Export it again"
        )


def _positions_that_tell(series: list[_Series]) -> list[_Series]:
    """Leave out translations where all of a folder's are zero: many writers put that for "unsaid"."""
    if any(one.said.position_um not in (None, (0.0, 0.0)) for one in series):
        return series
    return [replace(one, said=replace(one.said, position_um=None)) for one in series]
