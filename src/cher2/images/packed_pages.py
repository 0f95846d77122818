"""How the pixels of a TIFF's page are packed: which ways are read, and pictures in it that claim another size.

What packs bytes (LZW, deflate ...) is unpacked into as many bytes as the page declares, and never more. A picture in
a page, such as a JPEG, says its size itself, and its decoder believes it: a kilobyte may claim gigabytes. So that
size is read first, and held against the page's own.

Sources: TIFF 6.0 with its supplements; ITU-T T.81 B.1 (JPEG), T.800 A.5.1 (JPEG 2000); PNG 11.2.2.
"""

from __future__ import annotations

import struct
from typing import Any

import tifffile

from cher2.errors import ImageError
from cher2.images.raster import PNG_MAGIC, jpeg_header

BYTES = {1: "none", 5: "LZW", 8: "deflate", 32946: "deflate", 32773: "PackBits", 34925: "LZMA", 50000: "zstd"}
JPEG = (7, 33007, 34892)
JPEG_2000 = (33003, 33004, 33005, 34712)
PNG = 34933

HEAD_BYTES = 2**16
"""So far into a packed picture its size is looked for."""

_J2K = b"\xff\x4f\xff\x51"


def check_packing(page: tifffile.TiffPage, where: str) -> None:
    """Refuse pixels that are packed in a way that is not read.

    Raises
    ------
    ImageError
        They are; its remedy names those that are read.
    """
    if page.compression not in (*BYTES, *JPEG, *JPEG_2000, PNG):
        raise ImageError(
            f"its pixels are packed in a way that is not read (compression {int(page.compression)})",
            where=where,
            remedy="Export it again as OME-TIFF with deflate, LZW, zstd, or unpacked",
        )


def check_pictures(page: tifffile.TiffPage, number: int, stream: Any, where: str) -> None:
    """Refuse a page with a picture in it that claims more pixels than its strip or tile has.

    Parameters
    ----------
    page : TiffPage
        Its strips or tiles lie within the file.
    number : int
        Which page it is, counted from 0, for errors.
    stream : file
        The file; where it is read next changes.
    where : str
        The file, for errors.

    Raises
    ------
    ImageError
        A picture does, or does not tell its size.
    """
    if page.compression in BYTES:
        return
    # A decoder may pad a strip to whole blocks of 16.
    most = (page.tilelength or page.rowsperstrip) + 16, (page.tilewidth or page.imagewidth) + 16
    for offset, length in zip(page.dataoffsets, page.databytecounts, strict=True):
        stream.seek(offset)
        rows, columns, samples = _size(stream.read(min(length, HEAD_BYTES)), int(page.compression), where)
        if rows > most[0] or columns > most[1] or samples > max(4, page.samplesperpixel):
            raise ImageError(
                f"a picture packed in its page {number + 1} claims {rows} x {columns} x {samples} pixels",
                where=where,
                remedy="It is damaged: export it again as OME-TIFF",
            )


def _size(data: bytes, compression: int, where: str) -> tuple[int, int, int]:
    """Return rows, columns and samples that a picture claims."""
    if compression in JPEG:
        return jpeg_header(data, where)[1:4]
    if compression == PNG:
        if not data.startswith(PNG_MAGIC):
            raise ValueError("a packed picture is no PNG")
        columns, rows = struct.unpack_from(">II", data, 16)
        return rows, columns, 1
    start = data.index(_J2K)
    columns, rows, left, top = struct.unpack_from(">IIII", data, start + 8)
    return max(rows - top, 0), max(columns - left, 0), int(struct.unpack_from(">H", data, start + 40)[0])
