"""Frames from TIFF, BigTIFF, OME-TIFF, ImageJ hyperstacks and plain multi-page TIFF.

tifffile is made to get whatever can be got out of a damaged file: it logs a line and gives back one
channel, or zeros, or another file's pixels. A score needs the opposite. So pages are walked, checked against
what the file declares and against its length, and only then decoded, one at a time, with tifffile and
imagecodecs.
"""

from __future__ import annotations

import io
import json
import math
import re
import struct
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import tifffile
from numpy.typing import NDArray

from cher2.errors import ImageError
from cher2.images.frames import FrameInfo, check_frame
from cher2.images.image import MAX_PIXELS, Image
from cher2.images.image_folders import open_file
from cher2.images.layout import (
    FrameLayout,
    imagej_layout,
    plain_layout,
    resolution_um,
    shaped_layout,
)
from cher2.images.library_faults import figures, library_faults
from cher2.images.ome import OmeFile, ome_layout
from cher2.images.packed_pages import check_pictures
from cher2.images.pages import as_counts, channel_names, check_alike, check_bytes, check_kind, load_page
from cher2.images.places import is_remote, shown
from cher2.images.remote import RemoteFile
from cher2.images.tiff_chain import MAX_PAGES, page_offsets

# What tifffile and the codecs of imagecodecs raise at bytes that make no sense. They promise no common class.
_FAULTS = (
    tifffile.TiffFileError, struct.error, ValueError, TypeError, LookupError, ArithmeticError,
    RuntimeError, MemoryError, OSError, ImportError,
)  # fmt: skip

SPARE_BYTES = 2**30
"""So much may a file hold beside its frames."""


class TiffFrames:
    """An open TIFF as a sequence of frames; a context manager.

    Parameters
    ----------
    path : Path
        The file.
    roles : tuple of str
        Channel names that the protocol looks for; they tell labelled channels from focal planes.
    most : int
        Most pixels of a frame that are read, as of :func:`~cher2.images.image.check_pixels`.

    Raises
    ------
    ImageError
        The file is no TIFF, is cut short, or its description and its pages do not fit together.
    """

    def __init__(self, path: Path, roles: tuple[str, ...] = (), most: int = MAX_PIXELS) -> None:
        self._where = shown(path)
        self._path, self._most = path, most
        with self._faults("it cannot be read as a TIFF"):
            source: Any = RemoteFile(path) if is_remote(path) else path
            self._offsets = self._chain(source)
            # Vendors' dialects are switched off: to find out tifffile would walk pages unchecked.
            self._tif = tifffile.TiffFile(source, is_ndpi=False, is_lsm=False, is_scanimage=False)
        try:
            with self._faults("it cannot be read as a TIFF"):
                self._open(roles)
        except ImageError:
            self._tif.close()
            raise

    def _open(self, roles: tuple[str, ...]) -> None:
        self._size = self._tif.filehandle.size
        self._first = self._page(0)
        check_kind(self._first, self._where)
        self._virtual = 0
        self._layouts = self._find_layouts(roles)
        if self._size > len(self._layouts) * self._most * 8 + SPARE_BYTES:
            # Its hash would be that of terabytes, holes of a sparse file among them.
            raise self._error(f"it has {self._size} bytes, more than its {len(self._layouts)} frames can have")

    def _chain(self, source: Any) -> list[int]:
        """Return where the pages begin, before tifffile reads a tag of theirs."""
        if isinstance(source, RemoteFile):
            size = source.seek(0, io.SEEK_END)
            offsets = page_offsets(source, size, self._where)
            source.seek(0)
            return offsets
        with open_file(source) as stream:
            return page_offsets(stream, source.stat().st_size, self._where)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tif.close()

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._layouts)

    def read(self, number: int, name: str) -> Image:
        """Read one frame.

        Parameters
        ----------
        number : int
            The frame, counted from 0.
        name : str
            What to call the image.

        Returns
        -------
        Image
            uint8 and uint16 as they are; other integers as uint16 where they fit, else as float32 where
            that is exact; floats as float32.

        Raises
        ------
        ImageError
            A page's bytes are not all there, cannot be decoded, are too many, or are no finite numbers.
        """
        check_frame(number, len(self), self._where)
        layout = self._layouts[number]
        with self._faults("its pixels cannot be decoded"):
            pages = [self._page(page) for page in layout.pages]
            dtype = check_kind(pages[0], self._where)
            check_alike(layout.pages, pages, self._most, self._where)
            for number, page in zip(layout.pages, pages, strict=True):
                # The planes that follow ImageJ's only page were counted against the file when it was opened.
                if not self._virtual:
                    check_bytes(page, number, self._size, self._where)
                    check_pictures(page, number, self._tif.filehandle, self._where)
            pixels = self._decode(pages, layout, dtype)
        info = self._info(layout, pages, dtype)
        return info.image(as_counts(pixels, self._where), name)

    def info(self, number: int) -> FrameInfo:
        """Return what the file says of a frame, without decoding a pixel.

        Raises
        ------
        ImageError
            A page cannot be read, or holds no counts.
        """
        check_frame(number, len(self), self._where)
        layout = self._layouts[number]
        with self._faults("its pages cannot be read"):
            pages = [self._page(page) for page in layout.pages]
            return self._info(layout, pages, check_kind(pages[0], self._where))

    def _info(self, layout: FrameLayout, pages: list[tifffile.TiffPage], dtype: np.dtype[Any]) -> FrameInfo:
        first = pages[0]
        bits = first.bitspersample if first.bitspersample in (10, 12, 14) else layout.bits
        if bits is not None and bits >= 8 * dtype.itemsize:
            # Writers fill in the container's width where they know no better, which hides a 12-bit camera.
            bits = None
        return FrameInfo(
            shape=(len(pages) * first.samplesperpixel, first.imagelength, first.imagewidth),
            dtype=dtype,
            channels=channel_names(layout.channels, len(pages), first),
            pixel_size_um=layout.pixel_size_um,
            bits=bits,
            position_um=layout.position_um,
            synthetic=layout.synthetic,
            exposure_ms=layout.exposure_ms,
        )

    def _faults(self, what: str) -> AbstractContextManager[None]:
        remedy = "It is damaged or of an unknown kind: export it again as OME-TIFF"
        return library_faults(what, self._where, remedy, _FAULTS)

    @property
    def format_name(self) -> str:
        """What kind of TIFF it is, in words."""
        text = self._first.description
        kinds = {"OME-TIFF": "OME>" in text[-16:], "ImageJ TIFF": text.startswith("ImageJ=")}
        kind = next((name for name, fits in kinds.items() if fits), "TIFF")
        return f"{kind} (BigTIFF)" if self._tif.is_bigtiff else kind

    def _page(self, number: int) -> tifffile.TiffPage:
        return load_page(self._tif, self._offsets[number], number, self._where)

    def _error(self, what: str, remedy: str = "Export the image again as OME-TIFF") -> ImageError:
        return ImageError(what, where=self._where, remedy=remedy)

    def _find_layouts(self, roles: tuple[str, ...]) -> list[FrameLayout]:
        page, where = self._first, self._where
        if 755 in page.tags and 756 in page.tags:
            raise self._error(
                "its counts are stretched, as in a CellTracks export, but no XML of an export can be read beside it",
                "Copy the export's XML into the folder of its TIFFs; docs/formats.md says how it must look",
            )
        text = page.description
        samples, count = page.samplesperpixel, len(self._offsets)
        if text.rstrip().endswith("OME>") or re.search(r"<(\w+:)?OME[\s>]", text[:4096]):
            shape = (page.imagelength, page.imagewidth)
            layouts = ome_layout(text, OmeFile(self._path.name, count, shape, samples, where))
            self._check_others({p for layout in layouts for p in layout.pages})
            return layouts
        x, y = page.tags.valueof(282), page.tags.valueof(283)
        if text.startswith("ImageJ="):
            metadata = self._tif.imagej_metadata or {}
            count = self._imagej_pages(metadata)
            layouts = imagej_layout(metadata, count, samples, roles, where)
            size = resolution_um(x, y, str(metadata.get("unit", "")), where)
        else:
            layouts = self._shaped(text) if text.startswith('{"shape"') else self._plain()
            size = resolution_um(x, y, {2: "inch", 3: "cm"}.get(int(page.resolutionunit), ""), where)
        return [replace(layout, pixel_size_um=size) for layout in layouts]

    def _check_others(self, named: set[int]) -> None:
        """Refuse pages that an OME header does not name, unless they are smaller copies of others."""
        for number in set(range(len(self._offsets))) - named:
            if not self._page(number).is_reduced:
                raise self._error(f"it declares {len(named)} pages but has {len(self._offsets)}")

    def _imagej_pages(self, metadata: dict[str, Any]) -> int:
        """Return the number of planes; ImageJ gives files above 4 GB one page for all, which follow it."""
        images, count = metadata.get("images", 1), len(self._offsets)
        if count != 1 or not isinstance(images, int) or images <= 1 or not self._first.is_final:
            return count
        end = self._first.dataoffsets[0] + images * self._first.nbytes
        if images > MAX_PAGES or end > self._size:
            return count
        self._virtual = images
        self._offsets *= images
        return images

    def _shaped(self, text: str) -> list[FrameLayout]:
        values = json.loads(text)
        shape, axes = values["shape"], values.get("axes", "")
        if not (isinstance(axes, str) and shape and all(isinstance(n, int) and n > 0 for n in shape)):
            raise self._error(f"its description says the shape {figures(shape)}")
        pages, page = len(self._offsets), self._first
        each = max(1, math.prod(shape) // max(1, page.imagelength * page.imagewidth * page.samplesperpixel))
        starts = range(0, pages, each)
        blocks = sum(self._page(start).description == text for start in starts) if pages % each == 0 else 1
        return shaped_layout(tuple(shape), axes, pages, page.samplesperpixel, blocks, self._where)

    def _plain(self) -> list[FrameLayout]:
        full = [n for n in range(len(self._offsets)) if not self._page(n).is_reduced]
        layouts = plain_layout(len(full), self._first.samplesperpixel, self._where)
        return [FrameLayout(tuple(full[page] for page in layout.pages)) for layout in layouts]

    def _decode(self, pages: list[tifffile.TiffPage], layout: FrameLayout, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Decode the pages into one array (C, Y, X) in the machine's byte order."""
        first = pages[0]
        samples, size = first.samplesperpixel, (first.imagelength, first.imagewidth)
        out = np.empty((len(pages), samples, *size), dtype)
        for number, page, target in zip(layout.pages, pages, out, strict=True):
            if page.is_final and (samples == 1 or page.planarconfig == 2):
                self._read_into(target, page.dataoffsets[0] + (number * page.nbytes if self._virtual else 0))
            else:
                # One thread: cher2 has its cores busy with other frames.
                plane = page.asarray(squeeze=False, maxworkers=1)
                target[...] = np.moveaxis(plane[:, 0], -1, 1).reshape(samples, *size)
        return out.reshape(-1, *size)

    def _read_into(self, target: NDArray[Any], offset: int) -> None:
        # read_array swaps bytes where the file's order is not the machine's, and raises at too few.
        stored = target.dtype.newbyteorder(self._tif.byteorder)
        self._tif.filehandle.read_array(stored, target.size, offset, out=target)
