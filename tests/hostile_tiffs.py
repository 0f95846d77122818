"""TIFFs that no honest program would write: cut, looped, of absurd sizes, bombs, of types that are no counts.

Each entry of :data:`TIFFS` is a :class:`Case`: what it is called, what writes it into an empty folder, and how reading
it must end. The tests and ``benchmarks/bad_images.py`` share them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile

READ, EITHER = "is read", "is read or refused"
"""How a case may end that no message tells; EITHER is for bytes changed at random."""

NAMES = ("DAPI", "CK", "CD45", "HER2")
SHORT, LONG, LONG8, ASCII = 3, 4, 16, 2
_SIZES = {SHORT: "H", LONG: "I", LONG8: "Q", ASCII: "s"}


@dataclass(frozen=True)
class Case:
    """One hostile image.

    Parameters
    ----------
    name : str
        What it is.
    make : callable
        Writes it into an empty folder.
    ends : str
        READ, EITHER, or a regular expression of the message of the :class:`~cher2.errors.ImageError`.
    quick : bool
        It is made and read in a tenth of a second: the tests have it too.
    frames : int
        How many frames are read right, beside what is refused.
    """

    name: str
    make: Callable[[Path], object]
    ends: str
    quick: bool = True
    frames: int = 0


def counts(*shape: int, seed: int = 0) -> Any:
    """Return pixels of a 12-bit camera, none of them zero."""
    return np.random.default_rng(seed).integers(1, 4096, shape, dtype=np.uint16)


PIXELS = counts(4, 64, 80)


def save(path: Path, pixels: Any = PIXELS, name: str = "a.tif", **words: Any) -> Path:
    """Write a TIFF with tifffile."""
    words = {"photometric": "minisblack", **words}
    tifffile.imwrite(path / name, pixels, **words)
    return path / name


def save_ome(path: Path, pixels: Any = PIXELS, name: str = "a.ome.tif", **words: Any) -> Path:
    """Write an OME-TIFF with the names of the four channels."""
    metadata = {"axes": "CYX", "Channel": {"Name": list(NAMES[: len(pixels)])}}
    return save(path, pixels, name, ome=True, metadata=metadata, **words)


def raw_tiff(path: Path, tags: dict[int, tuple[int, Any]], data: bytes = b"", *, big: bool = False, pages: int = 1,
             extra: int = 0, claims: dict[int, int] | None = None) -> Path:  # fmt: skip
    """Write a TIFF tag by tag: the data after the header, then pages alike that all point to them.

    Values are numbers, lists of numbers or bytes; ``claims`` says other counts than there are, and ``extra`` makes the
    file that much longer without a byte on the disk.
    """
    word = "Q" if big else "I"
    out = bytearray(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0) if big else struct.pack("<2sHI", b"II", 42, 0))
    out += data.ljust(len(data) + len(data) % 2, b"\0")
    previous = 8 if big else 4
    for _ in range(pages):
        entries = []
        for code, (kind, value) in sorted(tags.items()):
            values = value if isinstance(value, (list, bytes)) else [value]
            body = values if isinstance(values, bytes) else struct.pack(f"<{len(values)}{_SIZES[kind]}", *values)
            room = 8 if big else 4
            if len(body) > room:
                entries.append((code, kind, len(values), struct.pack(f"<{word}", len(out))))
                out += body.ljust(len(body) + len(body) % 2, b"\0")
            else:
                entries.append((code, kind, len(values), body.ljust(room, b"\0")))
        struct.pack_into(f"<{word}", out, previous, len(out))
        out += struct.pack("<Q" if big else "<H", len(entries))
        for code, kind, count, body in entries:
            out += struct.pack(f"<HH{word}", code, kind, (claims or {}).get(code, count)) + body
        previous = len(out)
        out += struct.pack(f"<{word}", 0)
    file = path / "a.tif"
    file.write_bytes(bytes(out))
    with file.open("r+b") as stream:
        stream.truncate(len(out) + extra)
    return file


def page(rows: int, columns: int, compression: int, data: bytes, *, strips: int = 1, bits: int = 16) -> dict[int, Any]:
    """Return the tags of a page of grey pixels whose strips all are the same bytes behind the header."""
    return {
        256: (LONG, columns), 257: (LONG, rows), 258: (SHORT, bits), 259: (SHORT, compression), 262: (SHORT, 1),
        273: (LONG, [8] * strips), 277: (SHORT, 1), 278: (LONG, -(-rows // strips)), 279: (LONG, [len(data)] * strips),
    }  # fmt: skip


_DEFLATE, _LZW, _PACKBITS, _ZSTD, _LZMA = 8, 5, 32773, 50000, 34925
_JPEG, _JPEG2000, _PNG, _JPEGXR = 7, 33003, 34933, 34934


def zeros(compression: int, size: int) -> bytes:
    """Return so many zeros, packed; a packer without a stream of its own packs them in one go."""
    if compression in (_DEFLATE, _LZMA):
        import lzma

        packer: Any = zlib.compressobj(1) if compression == _DEFLATE else lzma.LZMACompressor(preset=0)
        block = bytes(min(size, 2**24))
        return b"".join(packer.compress(block) for _ in range(size // len(block))) + bytes(packer.flush())
    if compression == _PACKBITS:
        return b"\x81\0" * (size // 128)
    return bytes((imagecodecs.lzw_encode if compression == _LZW else imagecodecs.zstd_encode)(bytes(size)))


def bomb(path: Path, compression: int, size: int, rows: int = 64, columns: int = 80) -> Path:
    """Write four small pages whose only strip is packed zeros without end."""
    data = zeros(compression, size)
    return raw_tiff(path, page(rows, columns, compression, data), data, pages=4)


def large_picture(path: Path, compression: int, data: bytes, bits: int = 8) -> Path:
    """Write four small pages whose only strip is a packed picture that says itself how large it is."""
    return raw_tiff(path, page(64, 80, compression, data, bits=bits), data, pages=4)


def lying_jpeg(path: Path) -> Path:
    """Write small pages around a JPEG whose own header claims 65,000 x 65,000."""
    data = bytearray(imagecodecs.jpeg8_encode(np.zeros((64, 80), np.uint8)))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", 65000, 65000)
    return large_picture(path, _JPEG, bytes(data))


def pictures(side: int) -> dict[str, tuple[int, Callable[[], bytes]]]:
    """Return pictures in pictures: the code of a packer, and what makes a square one of zeros."""
    plane = np.zeros((side, side), np.uint8)
    return {
        "JPEG": (_JPEG, lambda: imagecodecs.jpeg8_encode(plane)),
        "JPEG 2000": (_JPEG2000, lambda: imagecodecs.jpeg2k_encode(plane)),
        "PNG": (_PNG, lambda: imagecodecs.png_encode(plane)),
        "JPEG XR": (_JPEGXR, lambda: imagecodecs.jpegxr_encode(plane)),
    }


def packed_picture(path: Path, name: str) -> Path:
    """Write small pages around a picture of 144 million pixels."""
    code, make = pictures(12_000)[name]
    return large_picture(path, code, make())


def cut(path: Path, kind: str, compression: str | None, percent: int) -> None:
    """Write an image and cut it to a part of its bytes."""
    words = {"compression": compression} if compression else {}
    if kind == "OME":
        file = save_ome(path, **words)
    else:
        file = save(path, imagej=kind == "ImageJ", **words, **({} if kind == "ImageJ" else {"metadata": None}))
    data = file.read_bytes()
    file.write_bytes(data[: len(data) * percent // 100])


def circle(path: Path) -> None:
    """Write pages the last of which leads back to the first."""
    file = save(path, metadata=None)
    data = bytearray(file.read_bytes())
    offset = first = struct.unpack_from("<I", data, 4)[0]
    while offset:
        end = offset + 2 + 12 * struct.unpack_from("<H", data, offset)[0]
        offset = struct.unpack_from("<I", data, end)[0]
    struct.pack_into("<I", data, end, first)
    file.write_bytes(data)


def circle_below(path: Path) -> None:
    """Write pages whose smaller copies (SubIFDs) are the page itself."""
    data = bytes(2 * 64 * 80)
    file = raw_tiff(path, page(64, 80, 1, data) | {330: (LONG, [8])}, data, pages=4)
    whole = bytearray(file.read_bytes())
    first = struct.unpack_from("<I", whole, 4)[0]
    for k in range(struct.unpack_from("<H", whole, first)[0]):
        if struct.unpack_from("<H", whole, first + 2 + 12 * k)[0] == 330:
            struct.pack_into("<I", whole, first + 10 + 12 * k, first)
    file.write_bytes(whole)


def sizes_differ(path: Path) -> None:
    """Write channels of two sizes."""
    with tifffile.TiffWriter(path / "a.tif") as writer:
        for k in range(4):
            writer.write(PIXELS[k, k // 2 :], photometric="minisblack", metadata=None)


def palette(path: Path) -> None:
    """Write grey counts with a table of colours, as ImageJ does."""
    table = np.arange(3 * 256, dtype=np.uint16).reshape(3, 256)
    save(path, (PIXELS >> 4).astype(np.uint8), photometric="palette", colormap=table, metadata=None)


def of_type(path: Path, dtype: str) -> None:
    """Write the pixels in another type."""
    pixels = (PIXELS >> (5 if np.dtype(dtype).itemsize == 1 else 2)).astype(dtype)
    save(path, pixels, metadata=None, **({"photometric": "minisblack"}))


def with_value(path: Path, value: float, dtype: str = "f4") -> None:
    """Write floats of which one is no finite number."""
    pixels = PIXELS.astype(dtype)
    pixels[3, 10, 10] = value
    save_ome(path, pixels)


def sparse(path: Path, side: int, pages: int, extra: int) -> None:
    """Write a BigTIFF of unpacked pages that have hardly a byte on the disk."""
    tags = page(side, side, 1, b"") | {273: (LONG8, [16]), 279: (LONG8, [2 * side * side])}
    raw_tiff(path, tags, big=True, pages=pages, extra=extra)


def long_tag(path: Path, code: int, kind: int) -> None:
    """Write a BigTIFF with a tag that says to have 20 thousand million values, in a file of that length."""
    data = bytes(2 * 64 * 80)
    tags = page(64, 80, 1, data) | {273: (LONG8, [16]), code: (kind, b"x" * 16 if kind == ASCII else [0] * 4)}
    raw_tiff(path, tags, data, big=True, extra=2 * 10**11, claims={code: 2 * 10**10})


def many_tags(path: Path) -> None:
    """Write a BigTIFF whose page says to have a thousand million tags."""
    file = raw_tiff(path, page(64, 80, 1, bytes(10240)) | {273: (LONG8, [16])}, bytes(10240), big=True, extra=10**11)
    with file.open("r+b") as stream:
        stream.seek(8)
        (first,) = struct.unpack("<Q", stream.read(8))
        stream.seek(first)
        stream.write(struct.pack("<Q", 10**9))


def _deflate_of(size: int) -> Case:
    return Case(
        f"deflate: 64 x 80 pixels whose strip holds {size // 10**6} MB",
        partial(bomb, compression=_DEFLATE, size=size), EITHER, quick=size < 2 * 10**8,
    )  # fmt: skip


def shared_strips(path: Path, side: int, strips: int) -> None:
    """Write four pages whose strips are all the same packed zeros: gigabytes from some kilobytes."""
    data = zlib.compress(bytes(2 * side * (side // strips)), 9)
    raw_tiff(path, page(side, side, _DEFLATE, data, strips=strips), data, pages=4)


_CUT = "ends (before|within) its page|not all there|cannot be (read|decoded)|declares"

TIFFS = [
    *(
        Case(
            f"{kind} TIFF, {packed or 'unpacked'}, cut to {percent} %",
            partial(cut, kind=kind, compression=packed, percent=percent),
            _CUT,
        )
        for kind in ("OME", "ImageJ", "plain")
        for packed in (None, "zlib", "lzw")
        for percent in (30, 50, 70, 90)
    ),
    Case("TIFF of zero bytes", lambda path: (path / "a.tif").write_bytes(b""), "the file is empty"),
    Case("TIFF of a header alone", lambda path: (path / "a.tif").write_bytes(b"II*\0\0\0\0\0"), "no page"),
    Case("TIFF of width 0", lambda path: raw_tiff(path, page(64, 0, 1, b""), b"", pages=4), "0 pixels|not all there"),
    Case("TIFF of height 0", lambda path: raw_tiff(path, page(0, 80, 1, b""), b"", pages=4), "0 pixels|not all there"),
    Case("TIFF of 2**31 x 2**31", lambda path: raw_tiff(path, page(2**31, 2**31, _DEFLATE, b"12"), b"12"), "pixels"),
    Case(
        "deflate: 30,000 x 30,000 x 4 in some kB",
        partial(shared_strips, side=30_000, strips=30),
        "pixels in all channels",
    ),
    Case(
        "deflate: 16,000 x 16,000 x 4 in some kB",
        partial(shared_strips, side=16_000, strips=16),
        "pixels in all channels",
    ),
    _deflate_of(10**8),
    _deflate_of(4 * 10**9),
    Case("LZW: a strip of 500 MB in a small page", partial(bomb, compression=_LZW, size=5 * 10**8), EITHER, False),
    Case("zstd: a strip of 1000 MB in a small page", partial(bomb, compression=_ZSTD, size=10**9), EITHER, False),
    Case("LZMA: a strip of 200 MB in a small page", partial(bomb, compression=_LZMA, size=2 * 10**8), EITHER, False),
    Case(
        "PackBits: a strip of 1000 MB in a small page", partial(bomb, compression=_PACKBITS, size=10**9), EITHER, False
    ),
    Case("JPEG in TIFF that claims 65,000 x 65,000", lying_jpeg, "claims 65000 x 65000"),
    *(
        Case(
            f"{name} in TIFF of 12,000 x 12,000 in a page of 64 x 80",
            partial(packed_picture, name=name),
            "claims 12000|not read",
            False,
        )
        for name in pictures(1)
    ),
    Case("sparse BigTIFF of 200,000 x 200,000", partial(sparse, side=200_000, pages=1, extra=8 * 10**10 + 99), "bytes"),
    Case(
        "sparse BigTIFF of 4 x 20,000 x 20,000", partial(sparse, side=20_000, pages=4, extra=8 * 10**8 + 99), "pixels"
    ),
    Case(
        "small BigTIFF with a terabyte of nothing behind it",
        lambda path: raw_tiff(
            path, page(64, 80, 1, bytes(10240)) | {273: (LONG8, [16])}, bytes(10240), big=True, pages=4, extra=10**12
        ),
        "bytes",
    ),
    Case("BigTIFF with a description of 20 GB", partial(long_tag, code=270, kind=ASCII), "tag 270"),
    Case("BigTIFF with a private tag of 160 GB", partial(long_tag, code=65000, kind=LONG8), "tag 65000"),
    Case("BigTIFF with 160 GB of strips' places", partial(long_tag, code=273, kind=LONG8), "tag 273"),
    Case("BigTIFF with a page of 10**9 tags", many_tags, "tags"),
    Case("loop of pages", circle, "in a circle"),
    Case("loop of pages below pages (SubIFDs)", circle_below, READ, frames=1),
    Case("channels of two sizes", sizes_differ, "differ in size or type"),
    *(Case(f"TIFF of {dtype}", partial(of_type, dtype=dtype), "no camera counts") for dtype in ("bool", "c8", "c16")),
    *(
        Case(f"TIFF of {dtype}", partial(of_type, dtype=dtype), READ, frames=1)
        for dtype in ("i1", "i2", "u4", "f2", "f8")
    ),
    Case("TIFF of grey with a table of colours", palette, READ, frames=1),
    *(
        Case(f"one pixel is {value} ({dtype})", partial(with_value, value=value, dtype=dtype), "not finite numbers")
        for value, dtype in ((np.nan, "f4"), (np.inf, "f4"), (-np.inf, "f8"), (1e300, "f8"))
    ),
    Case("all NaN", lambda path: save_ome(path, np.full((4, 64, 80), np.nan, np.float32)), "not finite numbers"),
    *(
        Case(
            f"all {value}",
            partial(lambda path, value: save_ome(path, np.full((4, 64, 80), value, np.uint16)), value=value),
            READ,
            frames=1,
        )
        for value in (0, 7, 4095, 65535)
    ),
    Case("all 1e30 as float", lambda path: save_ome(path, np.full((4, 64, 80), 1e30, np.float32)), READ, frames=1),
]
