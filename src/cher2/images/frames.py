"""What every format gives: an open file as a sequence of frames, each read when it is asked for.

A format is a class that keeps to :class:`Frames`; :mod:`cher2.images.reader` chooses among them. Opening reads no
pixels: how many frames there are, and what the file says of each, is known before the first is decoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray

from cher2.errors import ImageError
from cher2.images.image import Image


@dataclass(frozen=True)
class FrameInfo:
    """What a file says of one frame, known without its pixels.

    Parameters
    ----------
    shape : tuple of int
        Channels, rows and columns.
    dtype : dtype
        Of the pixels as the file holds them.
    channels, pixel_size_um, bits, position_um, exposure_ms, synthetic, remarks
        As of :class:`~cher2.images.image.Image`.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[np.generic]
    channels: tuple[str, ...] = ()
    pixel_size_um: float | None = None
    bits: int | None = None
    position_um: tuple[float, float] | None = None
    exposure_ms: tuple[float | None, ...] = ()
    synthetic: bool = False
    remarks: tuple[str, ...] = ()

    def image(self, pixels: NDArray[Any], name: str) -> Image:
        """Return the frame with its decoded pixels (C, Y, X), called by a name.

        Raises
        ------
        ChannelError
            There are not as many channels as it says.
        """
        return Image(
            pixels=pixels,
            channels=self.channels,
            pixel_size_um=self.pixel_size_um,
            name=name,
            bits=self.bits,
            position_um=self.position_um,
            synthetic=self.synthetic,
            exposure_ms=self.exposure_ms,
            remarks=self.remarks,
        )


class Frames(Interface):
    """An open file as a sequence of frames; a context manager that closes it."""

    def __enter__(self) -> Self:
        """Return itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""

    def __len__(self) -> int:
        """Return the number of frames; at least one."""

    def info(self, number: int) -> FrameInfo:
        """Return what the file says of a frame, counted from 0, without decoding a pixel."""

    def read(self, number: int, name: str) -> Image:
        """Read one frame, counted from 0, and call it by a name; no other frame is decoded.

        Raises
        ------
        ImageError
            Its pixels are not all there or cannot be decoded.
        """


class OneFrame:
    """A frame that had to be decoded to be known, such as a PNG, as a sequence of one.

    Parameters
    ----------
    image : Image
    """

    def __init__(self, image: Image) -> None:
        self._image = image

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def __len__(self) -> int:
        """Return 1."""
        return 1

    def info(self, number: int) -> FrameInfo:
        """Return what the file says of the frame."""
        image = self.read(number, self._image.name)
        return FrameInfo(
            shape=(len(image.pixels), *image.shape),
            dtype=image.pixels.dtype,
            channels=image.channels,
            pixel_size_um=image.pixel_size_um,
            bits=image.bits,
            position_um=image.position_um,
            exposure_ms=image.exposure_ms,
            synthetic=image.synthetic,
        )

    def read(self, number: int, name: str) -> Image:
        """Return the frame under a name."""
        check_frame(number, 1, name)
        return self._image.named(name)


def check_frame(number: int, count: int, where: str) -> None:
    """Refuse a number that no frame has.

    Raises
    ------
    ImageError
        It is below 0, or not below the number of frames.
    """
    if not 0 <= number < count:
        raise ImageError(f"there is no frame {number}", where=where, remedy=f"It has {count}, which are counted from 0")
