"""Every text that an image's files hold beside pixels, whatever it says: what a clean copy must not hold.

Nothing is understood here. Runs of printable characters are taken out of the raw bytes, as 8-bit text and as UTF-16 of
both orders, from all tags, headers and attributes; compressed text of PNGs is unpacked first. Pixels are left out
where the format says where they are; elsewhere they give runs by chance, which are in no copy's header.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import tifffile

from cher2.images.files import ImageFile
from cher2.images.image_folders import files_below, is_folder, open_below
from cher2.images.raster import JPEG_MAGIC, PNG_MAGIC
from cher2.images.reader import TIFF_MAGIC

SHORTEST = 4
"""Characters of the shortest text that is looked for: shorter ones are everywhere by chance."""

MOST_BYTES = 2**22
"""Bytes from each end of a maker's file that are searched: descriptions stand at its beginning or its end."""

_RUN = re.compile(rb"[\x20-\x7e\x80-\xff\n\r\t]{4,}")
_WIDE = (re.compile(rb"(?:[\x20-\x7e\n\r\t]\0){4,}"), re.compile(rb"(?:\0[\x20-\x7e\n\r\t]){4,}"))
_BREAK = re.compile(r"[<>=\"'&;:,|(){}\[\]\s\\/]+")
_VALUE = re.compile(r"[^<>\"\n\r\t]+")
_DOCUMENTS = (".zattrs", ".zgroup", ".zarray", "zarr.json", ".xml")


def texts_of(file: ImageFile) -> set[str]:
    """Return the texts beside the pixels of an image's files: whole values, and their words.

    Parameters
    ----------
    file : ImageFile
        Files or folders on a disk.

    Returns
    -------
    set of str
        Each of at least :data:`SHORTEST` characters, not all of them the digits of a plain number.

    Raises
    ------
    OSError
        A file cannot be read.
    """
    found: set[str] = set()
    for path in file.paths:
        for part in _parts(path):
            for text in _runs(part):
                found.update(_values(text))
    return found


def _values(text: str) -> Iterator[str]:
    for part in (*_VALUE.findall(text), *_BREAK.split(text)):
        value = part.strip()
        if len(value) >= SHORTEST and not re.fullmatch(r"[-+]?[0-9]*\.?[0-9]*", value):
            yield value


def _runs(data: bytes) -> Iterator[str]:
    for run in _RUN.findall(data):
        yield run.decode("latin-1")
    for run in _WIDE[0].findall(data):
        yield run.decode("utf-16-le")
    for run in _WIDE[1].findall(data):
        yield run.decode("utf-16-be")


def _parts(path: Path) -> Iterable[bytes]:
    """Return the bytes of a file that are no pixels, as far as that can be told."""
    if is_folder(path):
        below = (file.name for file in files_below(path) if file.name.lower().endswith(_DOCUMENTS))
        return [_read(path, name) for name in below]
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(TIFF_MAGIC):
        return [_tiff_without_pixels(path)]
    if head.startswith(PNG_MAGIC):
        return _png_texts(path.read_bytes())
    if head.startswith(JPEG_MAGIC):
        data = path.read_bytes()
        # Segments stand before the scan (FF DA); what follows its end may be text again.
        return [data[: data.find(b"\xff\xda")], data[max(0, data.rfind(b"\xff\xd9")) :]]
    return _both_ends(path)


def _read(path: Path, name: str) -> bytes:
    with open_below(path, name) as file:
        return file.read()


def _both_ends(path: Path) -> list[bytes]:
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(MOST_BYTES)
        if size <= MOST_BYTES:
            return [first]
        file.seek(max(MOST_BYTES, size - MOST_BYTES))
        return [first, file.read()]


def _tiff_without_pixels(path: Path) -> bytes:
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path, is_ndpi=False, is_lsm=False, is_scanimage=False) as tif:
        for page in tif.pages:
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
                data[offset : offset + count] = bytes(len(data[offset : offset + count]))
    return bytes(data)


def _png_texts(data: bytes) -> Iterator[bytes]:
    """Yield the chunks that hold no pixels; those of packed text unpacked."""
    position = len(PNG_MAGIC)
    while position + 12 <= len(data):
        length, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        chunk = data[position + 8 : position + 8 + length]
        position += length + 12
        if kind in (b"IDAT", b"PLTE"):
            continue
        yield chunk
        if kind in (b"zTXt", b"iTXt", b"iCCP"):
            yield _unpacked(chunk)


def _unpacked(chunk: bytes) -> bytes:
    """Return what is packed in a chunk, wherever it begins behind the keyword."""
    for start in (found.start() for found in re.finditer(rb"\x78[\x01\x5e\x9c\xda]", chunk)):
        try:
            return zlib.decompressobj().decompress(chunk[start:], MOST_BYTES)
        except zlib.error:
            continue
    return b""
