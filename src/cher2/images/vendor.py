"""What the makers' formats have in common: an optional library reads them, frame by frame.

The libraries are imported when a file of theirs is opened. They fill what is missing with zeros, or read on beyond
what a file declares; each format therefore holds the file against its own words before a pixel is decoded.
"""

from __future__ import annotations

import importlib
import math
import warnings
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cher2.errors import ImageError
from cher2.images.frames import FrameInfo, check_frame
from cher2.images.image import MAX_PIXELS, Image, check_pixels
from cher2.images.library_faults import LIBRARY_FAULTS, library_faults
from cher2.images.pages import as_counts
from cher2.images.tiff_chain import MAX_PAGES

_EXPORT = "It is damaged or of an unknown kind: copy it again from its source, or export it as OME-TIFF"
_WARNING_MODULES = r"(nd2|liffile|czifile|cher2\.images\.\w+_file)(\.|$)"


def load_library(name: str, where: str) -> Any:
    """Import the library of a format.

    Raises
    ------
    ImageError
        It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImageError(
            f"to read it, the library {name} is needed ({error})",
            where=where,
            remedy='pip install "cher2[formats]", or export the image as OME-TIFF',
        ) from error


class VendorFrames(ABC):
    """A file that a maker's library has open, as a sequence of frames; a context manager.

    Parameters
    ----------
    path : Path
        The file.
    most : int
        Most pixels of a frame that are read, as of :func:`~cher2.images.image.check_pixels`.

    Raises
    ------
    ImageError
        The library is not installed; the file is cut short or damaged, or holds what is no frame.
    """

    library: str
    """The module that reads the format."""

    format_name: str
    """What people call the format."""

    def __init__(self, path: Path, most: int = MAX_PIXELS) -> None:
        self._path, self._where, self._most = path, str(path), most
        # Naming the modules, for the life of the process: catch_warnings would touch what other threads warn of.
        warnings.filterwarnings("ignore", module=_WARNING_MODULES)
        self._module = load_library(self.library, self._where)
        with self._faults("it cannot be read"):
            self._size = path.stat().st_size
            self._check_file()
            self._file = self._open_file()
        try:
            with self._faults("it cannot be read"):
                self._count = self._find_frames()
            if not 0 < self._count <= MAX_PAGES:
                raise self._error(f"it declares {self._count} frames, where 1 to {MAX_PAGES} are read")
        except ImageError:
            self._file.close()
            raise

    @abstractmethod
    def _check_file(self) -> None:
        """Refuse a file that the library must not see."""

    @abstractmethod
    def _open_file(self) -> Any:
        """Return the library's open file."""

    @abstractmethod
    def _find_frames(self) -> int:
        """Find the frames, hold them against the file, and return how many there are."""

    @abstractmethod
    def _info(self, number: int) -> FrameInfo:
        """Return what the file says of a frame."""

    @abstractmethod
    def _pixels(self, number: int, info: FrameInfo) -> NDArray[Any]:
        """Decode one frame (C, Y, X)."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        """Return the number of frames."""
        return self._count

    def info(self, number: int) -> FrameInfo:
        """Return what the file says of a frame, without decoding a pixel.

        Raises
        ------
        ImageError
            The file's words on it cannot be read.
        """
        check_frame(number, len(self), self._where)
        with self._faults("its description cannot be read"):
            info = self._info(number)
        if info.bits is not None and not 0 < info.bits < 8 * info.dtype.itemsize:
            # Writers fill in the container's width where they know no better, which hides a 12-bit camera.
            info = replace(info, bits=None)
        if all(time is None for time in info.exposure_ms):
            info = replace(info, exposure_ms=())
        return info

    def read(self, number: int, name: str) -> Image:
        """Read one frame, counted from 0, and call it by a name; no other frame is decoded.

        Raises
        ------
        ImageError
            Its pixels are not all there, cannot be decoded, are too many, or are no finite numbers.
        """
        info = self.info(number)
        check_pixels(math.prod(info.shape), self._most, self._where)
        with self._faults("its pixels cannot be decoded"):
            counts = np.ascontiguousarray(self._pixels(number, info))
            if counts.shape != info.shape:
                raise ValueError(f"they are {counts.shape}, not {info.shape}")
        native = counts.astype(counts.dtype.newbyteorder("="), copy=False)
        return info.image(as_counts(native, self._where), name)

    def _faults(self, what: str) -> AbstractContextManager[None]:
        # czifile for Python 3.11 has an exception of its own that is of no common kind.
        missing = getattr(self._module, "SegmentNotFoundError", OSError)
        return library_faults(what, self._where, _EXPORT, (*LIBRARY_FAULTS, missing))

    def _error(self, what: str, remedy: str = "Export the images as OME-TIFF") -> ImageError:
        return ImageError(what, where=self._where, remedy=remedy)

    def _cut(self, what: str) -> ImageError:
        return self._error(what, "The file was cut short or is damaged: copy it again from its source")


def milliseconds(value: float | None) -> float | None:
    """Return an exposure time; None where it is no positive number."""
    return value if value is not None and math.isfinite(value) and value > 0 else None
