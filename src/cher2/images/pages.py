"""One page of a TIFF: held against the file before it is decoded."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from cher2.errors import ImageError
from cher2.images.image import check_pixels
from cher2.images.packed_pages import check_packing

_MINISWHITE, _MINISBLACK, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_JPEG = (6, 7, 33007, 34892)
_TAGS_THAT_MATTER = {*range(254, 348), *range(32995, 32999), 50838, 50839}
_EXPORT = "Export the image again as OME-TIFF"
_COPY = "The file was cut short: copy it again from its source"


def load_page(tif: tifffile.TiffFile, offset: int, number: int, where: str) -> tifffile.TiffPage:
    """Read a page's tags.

    Raises
    ------
    ImageError
        A tag that says how to read the page leads out of the file; tifffile would do without it, so that a
        cut description would pass for none.
    """
    handle, form = tif.filehandle, tif.tiff
    handle.seek(offset)
    page = tifffile.TiffPage(tif, index=number)
    handle.seek(offset)
    count = struct.unpack(form.tagnoformat, handle.read(form.tagnosize))[0]
    entries = handle.read(count * form.tagsize)
    # Each begins with its code; tifffile tells the whole of its form only since 2026.
    codes = {code for (code,) in struct.iter_unpack(f"{form.byteorder}H{form.tagsize - 2}x", entries)}
    if lost := sorted(code for code in codes if code in _TAGS_THAT_MATTER and code not in page.tags):
        raise ImageError(f"tag {lost[0]} of its page {number + 1} cannot be read", where=where, remedy=_COPY)
    return page


def check_kind(page: tifffile.TiffPage, where: str) -> np.dtype[Any]:
    """Return the type of a page's pixels, in the machine's byte order; refuse a page that holds no counts.

    Raises
    ------
    ImageError
        The pixels are black and white or complex, inverted, of colours other than RGB, or volumes.
    """
    if page.dtype is None or page.dtype.kind not in "uif" or page.bitspersample == 1:
        raise ImageError(
            f"its pixels are of the type {page.dtype or 'unknown'}, which are no camera counts",
            where=where,
            remedy="Name images of 8 or 16 bit; masks do not belong in the image folder",
        )
    if page.photometric == _MINISWHITE and 262 in page.tags:
        raise ImageError("its counts are inverted (zero is white)", where=where, remedy="Save it with zero as black")
    if page.photometric not in (_MINISWHITE, _MINISBLACK, _RGB, _PALETTE) and not (
        page.photometric == _YCBCR and page.compression in _JPEG
    ):
        raise ImageError(
            f"its colours are of a kind that holds no counts (photometric {int(page.photometric)})",
            where=where,
            remedy=_EXPORT,
        )
    check_packing(page, where)
    if page.imagedepth != 1:
        raise ImageError(f"each of its pages is a volume of {page.imagedepth} planes", where=where, remedy=_EXPORT)
    return page.dtype.newbyteorder("=")


def check_alike(numbers: tuple[int, ...], pages: list[tifffile.TiffPage], most: int, where: str) -> None:
    """Refuse pages that are no channels of one frame, or too large to decode.

    Raises
    ------
    ImageError
        They differ in size or type, or have more pixels together than ``most``.
    """
    first = pages[0]
    pixels = len(pages) * first.samplesperpixel * first.imagelength * first.imagewidth
    pixels = max(pixels, first.tilelength * first.tilewidth * first.samplesperpixel) if pixels else 0
    check_pixels(pixels, most, where)
    for number, page in zip(numbers, pages, strict=True):
        if (page.shape, page.dtype, page.photometric) != (first.shape, first.dtype, first.photometric):
            raise ImageError(
                f"its pages {numbers[0] + 1} and {number + 1} differ in size or type",
                where=where,
                remedy="Save all channels of a frame in one size and type",
            )


def check_bytes(page: tifffile.TiffPage, number: int, file_size: int, where: str) -> None:
    """Demand that every strip or tile of a page is there, and lies within the file.

    Raises
    ------
    ImageError
        Some are not, so that tifffile would fill them with zeros.
    """
    offsets, counts = page.dataoffsets, page.databytecounts
    whole = len(offsets) == len(counts) == math.prod(page.chunked)
    inside = all(o > 0 and n > 0 and o + n <= file_size for o, n in zip(offsets, counts, strict=False))
    enough = page.compression != 1 or sum(counts) >= page.size * page.bitspersample // 8
    if not (whole and inside and enough):
        raise ImageError(f"the pixels of its page {number + 1} are not all there", where=where, remedy=_COPY)


def channel_names(names: tuple[str, ...], pages: int, page: tifffile.TiffPage) -> tuple[str, ...]:
    """Return the names of the channels of so many pages alike: R, G, B (and A) for colours, else as given."""
    total = pages * page.samplesperpixel
    if page.photometric in (_RGB, _YCBCR) and page.samplesperpixel in (3, 4) and pages == 1:
        return ("R", "G", "B", "A")[: page.samplesperpixel]
    return names if len(names) == total else ("",) * total


def as_counts(pixels: NDArray[Any], where: str) -> NDArray[Any]:
    """Return pixels as uint8, uint16 or float32.

    Other integers become uint16 where all fit, else float32 where that holds each exactly (up to 2**24).

    Raises
    ------
    ImageError
        Integers too large for float32, or floats that are no finite numbers.
    """
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels
    if pixels.dtype.kind in "ui":
        low, high = int(pixels.min()), int(pixels.max())
        if low >= 0 and high < 2**16:
            return pixels.astype(np.uint16)
        if max(-low, high) > 2**24:
            raise ImageError(
                f"its counts reach from {low} to {high}, more than float32 can hold exactly",
                where=where,
                remedy="Save it as 16 bit",
            )
        return pixels.astype(np.float32)
    with np.errstate(over="ignore"):
        counts: NDArray[Any] = pixels.astype(np.float32, copy=False)
    bad = counts.size - int(np.count_nonzero(np.isfinite(counts)))
    if bad:
        raise ImageError(
            f"{bad} of its {counts.size} pixels are not finite numbers (NaN or infinite)",
            where=where,
            remedy="Save the camera's own counts",
        )
    return counts
