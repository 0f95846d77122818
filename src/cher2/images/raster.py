"""Frames from PNG and JPEG.

The header's size is checked before a pixel is decoded, and a file that was cut is an error: libjpeg would
fill the missing rows with grey. imagecodecs decodes, for it keeps the 16 bit of a colour PNG and checks its
sums.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from cher2.errors import ImageError
from cher2.images.image import MAX_PIXELS, Image, check_pixels

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8\xff"

GREY_TOLERANCE = 16
"""Counts by which the colours of a grey picture differ at most after a JPEG's rounding of hue."""

LEAK = 0.1
"""Share of the brightest colour that a JPEG's coarser hue leaks into the others of a one-colour picture."""

_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PIECE = 2**20
_EOI = b"\xff\xd9"
_CUT = "The file was cut short or altered: copy it again from its source"


def decode_png(data: bytes, name: str, where: str, most: int = MAX_PIXELS) -> Image:
    """Decode a PNG of 8 or 16 bit: one channel if it is grey, three (R, G, B) if it has colours or a palette.

    Transparency is left out, for it measures nothing.

    Raises
    ------
    ImageError
        The file is cut or damaged, too large, or black and white.
    """
    chunks = list(_png_chunks(data, where))
    kind, header = chunks[0][4:8], chunks[0][8:-4]
    if kind != b"IHDR" or len(header) != 13:
        raise ImageError("it is a PNG without its header", where=where, remedy=_CUT)
    columns, rows, depth, colour, *methods = struct.unpack(">IIBBBBB", header)
    check_pixels(rows * columns * {0: 1, 4: 2, 6: 4}.get(colour, 3), most, where)
    # libpng would print what is wrong with a header.
    if (
        depth not in _PNG_DEPTHS.get(colour, ())
        or methods[:2] != [0, 0]
        or methods[2] > 1
        or max(rows, columns) > 10**6
    ):
        raise ImageError("its PNG header says what no PNG can", where=where, remedy=_CUT)
    if depth == 1:
        raise ImageError(
            "it is black and white: a mask, no counts",
            where=where,
            remedy="Name images of 8 or 16 bit; masks do not belong among them",
        )
    _check_unpacked(chunks, rows, columns * depth * {0: 1, 4: 2, 6: 4, 3: 1}.get(colour, 3), where)
    # libpng would have it logged that a grey picture has no use for a palette.
    kept = (chunk for chunk in chunks if colour == 3 or chunk[4:8] != b"PLTE")
    try:
        pixels: NDArray[Any] = imagecodecs.png_decode(PNG_MAGIC + b"".join(kept))
    except (imagecodecs.PngError, ValueError, MemoryError) as error:
        raise ImageError(f"its PNG data are damaged ({error})", where=where, remedy=_CUT) from error
    return _as_image(pixels, name, None, where)


def decode_jpeg(data: bytes, name: str, where: str, most: int = MAX_PIXELS) -> Image:
    """Decode a JPEG of 8 or 12 bit: one channel if it is grey, three (R, G, B) if it has colours.

    Raises
    ------
    ImageError
        The file is cut or damaged, too large, or in printer's colours (CMYK).
    """
    precision, rows, columns, samples, scan = jpeg_header(data, where)
    check_pixels(rows * columns * samples, most, where)
    if samples not in (1, 3):
        raise ImageError(
            f"it has {samples} colours a pixel", where=where, remedy="Save it as grey or RGB, best as TIFF"
        )
    if data.rfind(_EOI, scan) < 0:
        raise ImageError("its end is missing", where=where, remedy=_CUT)
    try:
        pixels: NDArray[Any] = imagecodecs.jpeg8_decode(data)
    except (imagecodecs.Jpeg8Error, ValueError, MemoryError) as error:
        raise ImageError(f"its JPEG data are damaged ({error})", where=where, remedy=_CUT) from error
    return _as_image(pixels, name, precision if precision != 8 else None, where)


def single_plane(image: Image, where: str) -> NDArray[Any]:
    """Return the one plane (Y, X) of a file that stands for one channel.

    Many cameras save grey as RGB. Where two of red, green and blue are empty up to a JPEG's leak
    (:data:`LEAK`), as in a picture coloured by its stain, the plane is the brightest of them; where they are
    equal up to its rounding (:data:`GREY_TOLERANCE`, and alike on average), it is their rounded mean.

    Raises
    ------
    ImageError
        The colours differ, so that no single one is the channel; or the file has several channels.
    """
    pixels = image.pixels
    plane: NDArray[Any] = pixels[0]
    if len(pixels) == 1:
        return plane
    if image.channels[:3] != ("R", "G", "B"):
        raise ImageError(
            f"it should be one channel, but has {len(pixels)}",
            where=where,
            remedy="Leave image.file_pattern empty in the protocol where each file has all channels",
        )
    colours = pixels[:3]
    means = colours.mean(axis=(1, 2), dtype=np.float64)
    brightest = int(means.argmax())
    if np.delete(means, brightest).max() <= LEAK * means[brightest]:
        plane = colours[brightest]
        return plane
    # Rounding averages out: a faint picture of one hue stays below the tolerance, but its means differ.
    spread = colours.max(axis=0) - colours.min(axis=0)
    if spread.max() <= GREY_TOLERANCE and np.ptp(means) <= 0.5 + 0.02 * means[brightest]:
        mean = colours.mean(axis=0, dtype=np.float64)
        rounded = np.rint(mean) if colours.dtype.kind == "u" else mean
        plane = rounded.astype(colours.dtype)
        return plane
    raise ImageError(
        "it should be one channel, but is a colour picture",
        where=where,
        remedy="Save each channel as a grey picture, best as TIFF",
    )


def _png_chunks(data: bytes, where: str) -> Iterator[bytes]:
    """Yield the chunks that hold pixels, from the header to the end, each with its check sum proved.

    The others are left out: libpng would have its opinion of a colour profile logged.
    """
    position, kind = len(PNG_MAGIC), b""
    while kind != b"IEND":
        length, kind = struct.unpack(">I4s", data[position : position + 8].ljust(8, b"\0"))
        chunk = data[position : position + length + 12]
        if len(chunk) < length + 12 or zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
            raise ImageError("its PNG data are cut or damaged", where=where, remedy=_CUT)
        if kind in (b"IHDR", b"PLTE", b"IDAT", b"IEND"):
            yield chunk
        position += length + 12


def _check_unpacked(chunks: list[bytes], rows: int, row_bits: int, where: str) -> None:
    """Refuse data that unpack to far more than the rows that the header declares: libpng would unpack them all."""
    # A byte a row tells its filter; the seven passes of an interlaced picture have more rows, and padded ones.
    most = 2 * rows * (row_bits // 8 + 2) + 2**16
    unpacker, size = zlib.decompressobj(), 0
    for chunk in chunks:
        data = chunk[8:-4] if chunk[4:8] == b"IDAT" else b""
        while data and not unpacker.eof:
            try:
                size += len(unpacker.decompress(data, _PIECE))
            except zlib.error as error:
                raise ImageError(f"its PNG data are damaged ({error})", where=where, remedy=_CUT) from error
            data = unpacker.unconsumed_tail
            if size > most:
                raise ImageError("its PNG data unpack to more than it declares", where=where, remedy=_CUT)


def jpeg_header(data: bytes, where: str) -> tuple[int, int, int, int, int]:
    """Return bits, rows, columns and samples, and where the scan begins, from the markers of ITU-T T.81 B.1.

    The size is not left to the decoder: what it allocates must be known before it does.

    Raises
    ------
    ImageError
        The header is not there, or is cut.
    """
    position, size = 2, None
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and position + 10 <= len(data):
            size = struct.unpack_from(">BHHB", data, position + 4)
        position += 2 + length
        if marker == 0xDA and size is not None:
            return (*size, position)
    raise ImageError("it is a JPEG without its header", where=where, remedy=_CUT)


def _as_image(pixels: NDArray[Any], name: str, bits: int | None, where: str) -> Image:
    """Make an image of an array (Y, X) or (Y, X, samples)."""
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"its pixels are of the type {pixels.dtype}", where=where, remedy="Save it as 16 bit")
    if pixels.ndim == 2:
        return Image(np.ascontiguousarray(pixels[None]), name=name, bits=bits)
    colours = 1 if pixels.shape[2] <= 2 else 3
    planes = np.ascontiguousarray(np.moveaxis(pixels[..., :colours], -1, 0))
    return Image(planes, ("R", "G", "B") if colours == 3 else ("",), name=name, bits=bits)
