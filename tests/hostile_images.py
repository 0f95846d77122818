"""Every hostile image, whatever its format: pictures, makers' files, OME-Zarr, XML, links, pipes and names of files.

:data:`CASES` are those of ``hostile_tiffs`` and these; the tests and ``benchmarks/bad_images.py`` share them.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import struct
import sys
import tempfile
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile

sys.path.insert(0, str(Path(__file__).parent / "images"))

from czi_fixture import tiles, write_czi
from hostile_tiffs import EITHER, NAMES, PIXELS, READ, TIFFS, Case, counts, save, save_ome
from lif_fixture import write_lif
from nd2_fixture import write_nd2
from zarr_folders import array_of, change_document, chunk_files, write

PARTS = (30, 50, 70, 90)
TERABYTE = 10**12
GREY = (PIXELS[0] >> 4).astype(np.uint8)
COLOURS = np.ascontiguousarray(np.moveaxis(PIXELS[:3], 0, -1))


def frames_of(count: int) -> Any:
    """Return frames (N, C, Y, X)."""
    return counts(count, 4, 40, 60)


def sound(path: Path, kind: str) -> Path:
    """Write a sound image of a kind."""
    if kind in ("PNG", "JPEG"):
        file = path / f"a.{kind.lower()}"
        file.write_bytes(imagecodecs.png_encode(COLOURS) if kind == "PNG" else imagecodecs.jpeg8_encode(GREY))
    elif kind == "ND2":
        file = write_nd2(path / "a.nd2", frames_of(2), NAMES, loops=[("T", 2)])
    elif kind == "packed ND2":
        file = write_nd2(path / "a.nd2", frames_of(2), NAMES, loops=[("T", 2)], zipped=True)
    elif kind == "LIF":
        file = write_lif(path / "a.lif", [{"name": "a", "pixels": frames_of(1)[0], "axes": "CYX", "channels": NAMES}])
    elif kind in ("CZI", "packed CZI"):
        packed = 5 if kind == "packed CZI" else 0
        file = write_czi(path / "a.czi", tiles(frames_of(2), [(0, 0), (0, 60)], packed=packed), NAMES)
    else:
        file = save_ome(path, **({"compression": "zlib"} if kind == "packed OME" else {}))
    return file


KINDS = ("OME", "packed OME", "PNG", "JPEG", "ND2", "packed ND2", "LIF", "CZI", "packed CZI")


def cut(path: Path, kind: str, percent: int) -> None:
    """Write an image of a kind and cut it to a part of its bytes."""
    file = sound(path, kind)
    data = file.read_bytes()
    file.write_bytes(data[: len(data) * percent // 100])


def changed(path: Path, kind: str, seed: int) -> None:
    """Write an image of a kind with some bytes changed at random, half the time in its first 600."""
    file, chance = sound(path, kind), random.Random(f"{kind} {seed}")
    data = bytearray(file.read_bytes())
    reach = min(600, len(data)) if seed % 2 else len(data)
    for _ in range(chance.randrange(1, 12)):
        data[chance.randrange(reach)] = chance.choice((0, 1, 127, 255, chance.randrange(256)))
    file.write_bytes(data)


def empty(path: Path, ending: str) -> None:
    """Write a file of zero bytes."""
    (path / f"a.{ending}").write_bytes(b"")


def png(path: Path, columns: int, rows: int, depth: int, colour: int, data: bytes, extra: int = 0) -> None:
    """Write a PNG chunk by chunk, whatever its header claims."""
    header = b"IHDR" + struct.pack(">IIBBBBB", columns, rows, depth, colour, 0, 0, 0)
    chunks = (header, b"IDAT" + data, b"IEND")
    body = b"".join(struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    file = path / "a.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    if extra:
        os.truncate(file, extra)


def packed_zeros(size: int) -> bytes:
    """Return so many zeros, deflated."""
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(10**6)) for _ in range(size // 10**6)) + packer.flush()


def jpeg(path: Path, rows: int, columns: int) -> None:
    """Write a JPEG whose header claims another size."""
    data = bytearray(imagecodecs.jpeg8_encode(GREY))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", rows, columns)
    (path / "a.jpg").write_bytes(data)


def nd2_bomb(path: Path, size: int) -> None:
    """Write an ND2 whose packed frame unpacks to more than it should."""
    write_nd2(path / "a.nd2", frames_of(1), NAMES, zipped=packed_zeros(size))


def long_head(path: Path, kind: str) -> None:
    """Write a maker's file whose description claims gigabytes, in a file of that length."""
    file = sound(path, kind)
    with file.open("r+b") as stream:
        if kind == "LIF":
            stream.seek(9)
            stream.write(struct.pack("<I", 2**32 - 1))
        elif kind == "CZI":
            stream.seek(32 + 60)
            stream.seek(struct.unpack("<q", stream.read(8))[0] + 32)
            stream.write(struct.pack("<I", 2**31 - 1))
        else:
            data = file.read_bytes()
            at = int.from_bytes(data[-8:], "little")
            stream.seek(at + 8)
            stream.write(struct.pack("<Q", 5 * 10**10))
            stream.seek(at + 5 * 10**10 + 10**6)
            stream.write(data[-40:])
            return
    os.truncate(file, 5 * 10**10)


# OME-Zarr


def zarr(path: Path, zarr_format: int = 3, **options: Any) -> Path:
    """Write a sound OME-Zarr."""
    return write(path / "a.ome.zarr", counts(4, 40, 50), zarr_format=zarr_format, **options)


def codecs() -> dict[str, Any]:
    """Return Zarr 3's packers by name."""
    from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

    return {"zstd": ZstdCodec(), "gzip": GzipCodec(), "blosc": BloscCodec()}


def chunk_bomb(path: Path, codec: str, zarr_format: int, size: int = 4 * 10**8) -> None:
    """Write an OME-Zarr one of whose chunks unpacks to gigabytes."""
    if zarr_format == 2:
        import numcodecs

        kind = {"zstd": numcodecs.Zstd(), "gzip": numcodecs.GZip(), "blosc": numcodecs.Blosc("zstd")}[codec]
        file = chunk_files(zarr(path, 2, compressor=kind))[0]
        file.write_bytes(bytes(kind.encode(np.zeros(size, np.uint8))))
        return
    pack = {"zstd": imagecodecs.zstd_encode, "gzip": imagecodecs.gzip_encode, "blosc": imagecodecs.blosc_encode}
    chunk_files(zarr(path, 3, compressors=(codecs()[codec],)))[0].write_bytes(bytes(pack[codec](bytes(size))))


def shard_bomb(path: Path) -> None:
    """Write an OME-Zarr whose shard holds a chunk that unpacks to 400 MB, with an index that fits."""
    folder = zarr(path, 3, shards=(4, 64, 64), compressors=(codecs()["zstd"],))
    change_document(array_of(folder), lambda d: d["codecs"][0]["configuration"]["index_codecs"].pop())
    (file,) = chunk_files(folder)
    index, bomb = file.read_bytes()[:-4], imagecodecs.zstd_encode(bytes(4 * 10**8))
    index = bytearray(index[-256:])
    struct.pack_into("<QQ", index, 0, 0, len(bomb))
    file.write_bytes(bomb + index)


def long_chunk(path: Path) -> None:
    """Write an OME-Zarr one of whose chunks is a terabyte of nothing."""
    os.truncate(chunk_files(zarr(path))[0], TERABYTE)


def claimed(path: Path, zarr_format: int, **claims: Any) -> None:
    """Write an OME-Zarr whose array claims something else."""

    def change(document: dict[str, Any]) -> None:
        if zarr_format == 3 and "chunks" in claims:
            document["chunk_grid"]["configuration"]["chunk_shape"] = claims["chunks"]
        document.update({key: value for key, value in claims.items() if zarr_format == 2 or key != "chunks"})

    change_document(array_of(zarr(path, zarr_format)), change)


def linked_chunk(path: Path, whole: bool) -> None:
    """Write an OME-Zarr of which a chunk, or the array's folder, is a link out of it."""
    folder = zarr(path)
    target = folder / "s0" if whole else chunk_files(folder)[0]
    outside = path.parent / f".outside_{path.name}"
    target.rename(outside)
    target.symlink_to(outside)


def piped_chunk(path: Path) -> None:
    """Write an OME-Zarr of which a chunk is a named pipe."""
    file = chunk_files(zarr(path))[0]
    file.unlink()
    os.mkfifo(file)


def attributes(path: Path, text: str) -> None:
    """Write an OME-Zarr with another document of attributes."""
    (zarr(path) / "zarr.json").write_text(text)


def zip_file(path: Path) -> None:
    """Write a zip bomb that is called an OME-Zarr."""
    import zipfile

    with zipfile.ZipFile(path / "a.ome.zarr", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zarr.json", bytes(10**8))


# XML

BOMB = "".join(f'<!ENTITY a{k} "{f"&a{k - 1};" * 10}">' for k in range(1, 12))
BILLION = f'<!DOCTYPE x [<!ENTITY a0 "ha">{BOMB}]>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a11 SYSTEM "file:///etc/passwd">]>'
OME = (
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:1"><Image ID="Image:0">'
    '<Pixels ID="Pixels:0" Type="uint16" DimensionOrder="XYCZT" SizeX="80" SizeY="64" SizeZ="1" SizeT="1" SizeC="{c}">'
    "{blocks}</Pixels></Image></OME>"
)


def described(path: Path, xml: str, name: str = "a.ome.tif") -> None:
    """Write a TIFF of four pages with another description."""
    tifffile.imwrite(path / name, PIXELS, photometric="minisblack", metadata=None, description=xml.encode())


def other_file(path: Path) -> None:
    """Write an OME-TIFF whose header sends the reader to another file beside its folder."""
    save(path.parent, counts(4, 64, 80, seed=5), f".other_{path.name}.tif", metadata=None)
    uuid = f'<UUID FileName="../.other_{path.name}.tif">urn:uuid:2</UUID>'
    described(path, OME.format(c=4, blocks=f'<TiffData IFD="0" PlaneCount="4">{uuid}</TiffData>'))


def export(path: Path, xml: str) -> None:
    """Write what looks like a CellTracks export with another XML."""
    save(path, PIXELS, "frame_001.tif", metadata=None, extratags=[(755, "H", 1, 0, True), (756, "H", 1, 4095, True)])
    (path / "export.xml").write_text(xml)


# Links, pipes and names


def linked(path: Path, name: str, of_folder: bool, there: bool = True) -> None:
    """Link to an image, or to a folder with one, that lies outside the image folder."""
    outside = Path(tempfile.mkdtemp())
    save_ome(outside)
    if not there:
        shutil.rmtree(outside)
    (path / name).symlink_to(outside if of_folder else outside / "a.ome.tif")


def piped(path: Path, name: str) -> None:
    """Make a named pipe that is called an image."""
    os.mkfifo(path / name)


def socketed(path: Path) -> None:
    """Make a socket that is called an image."""
    with socket.socket(socket.AF_UNIX) as end:
        # A socket's whole path may have a hundred bytes.
        end.bind(f"{tempfile.mkdtemp()}/a")
        shutil.move(end.getsockname(), path / "a.tif")


def piped_xml(path: Path) -> None:
    """Put a named pipe that is called an XML beside an image."""
    save_ome(path)
    os.mkfifo(path / "export.xml")


def named(path: Path, names: Sequence[str | bytes]) -> None:
    """Write sound images under names."""
    for number, name in enumerate(names):
        target = path / os.fsdecode(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        save_ome(path, PIXELS + number, "_.ome.tif").rename(target)


ODD_NAMES: dict[str, tuple[str | bytes, ...]] = {
    "line breaks": ("a\nb\r\nc.tif",), "quotes": ("\"a'`,;.tif",), "two points": ("a..tif", "x..y...tif"),
    "a leading dash": ("-rf.tif", "--help.tif"), "spaces": (" a .tif",), "a formula": ("=HYPERLINK(1).tif", "@a.tif"),
    "the same in NFC and NFD": ("\u00e9.tif", "e\u0301.tif"), "right to left": ("a\u202egpj.tif",),
    "an emoji": ("\U0001f9ec.tif",), "bytes that are no UTF-8": (b"\xff\xfe.tif",),
    "bytes that are no UTF-8, and how they are written": (b"\xff.tif", "\\xff.tif"),
    "255 bytes": ("a" * 251 + ".tif",), "300 characters of a path": ("/".join(["b" * 96] * 3) + "/a.tif",),
    "names of Windows' devices": ("CON.tif", "nul.tif", "COM1.tif"), "case alone between them": ("A.tif", "a.tif"),
    "control characters": ("\x01\x1b[31mred.tif",), "a percent sign": ("%s%n.tif",), "a number sign": ("a#1.tif",),
    "mark-up": ("<script>alert(1)<script>.tif",), "patterns": ("[a]*?.tif",), "a backslash": ("a\\..\\b.tif",),
    "other digits and spaces": ("\u0663\u00a0\u2028.tif",),
}  # fmt: skip

_CUT = "cut|damaged|not all there|not there|cannot be|empty|end is missing|has .* bytes"
_ZARR_CUT = "cannot be decoded|takes more than|claims|tells of a chunk"

CASES = [
    *TIFFS,
    *(
        Case(f"{kind} cut to {part} %", partial(cut, kind=kind, percent=part), _CUT)
        for kind in KINDS[2:]
        for part in PARTS
    ),
    *(
        Case(f"{kind} changed at random, {k}", partial(changed, kind=kind, seed=k), EITHER, k < 2)
        for kind in KINDS
        for k in range(20)
    ),
    *(
        Case(f"{ending} of zero bytes", partial(empty, ending=ending), "the file is empty")
        for ending in ("png", "jpg", "nd2", "lif", "czi")
    ),
    Case("ND2 whose packed frame holds a gigabyte", partial(nd2_bomb, size=10**9), "take 9", False),
    Case("ND2 whose packed frame holds 10 MB", partial(nd2_bomb, size=10**7), "unpack to more"),
    Case("PNG of 0 x 0", partial(png, columns=0, rows=0, depth=16, colour=0, data=b""), "0 pixels"),
    Case(
        "PNG of 2**31-1 x 2**31-1",
        partial(png, columns=2**31 - 1, rows=2**31 - 1, depth=16, colour=0, data=b""),
        "pixels in all",
    ),
    Case(
        "PNG of 30,000 x 30,000 in 900 kB",
        lambda path: png(path, 30_000, 30_000, 8, 0, packed_zeros(9 * 10**8)),
        "pixels in all",
        False,
    ),
    Case(
        "PNG of 64 x 80 whose data hold 900 MB",
        lambda path: png(path, 80, 64, 8, 0, packed_zeros(9 * 10**8)),
        "unpack to more",
        False,
    ),
    Case(
        "PNG followed by a terabyte of nothing",
        partial(png, columns=80, rows=64, depth=8, colour=0, data=packed_zeros(0), extra=TERABYTE),
        "bytes",
        False,
    ),
    Case(
        "black and white PNG",
        partial(png, columns=80, rows=64, depth=1, colour=0, data=zlib.compress(bytes(11 * 64))),
        "mask",
    ),
    Case("JPEG of 65,000 x 65,000", partial(jpeg, rows=65_000, columns=65_000), "pixels in all"),
    Case("JPEG of 0 x 0", partial(jpeg, rows=0, columns=0), "0 pixels"),
    *(
        Case(
            f"{kind} whose description claims gigabytes",
            partial(long_head, kind=kind),
            "has .* (letters|bytes)|not there",
        )
        for kind in ("ND2", "LIF", "CZI")
    ),
    *(
        Case(f"{codec} bomb in a chunk of Zarr {v}", partial(chunk_bomb, codec=codec, zarr_format=v), _ZARR_CUT, False)
        for codec in ("zstd", "gzip", "blosc")
        for v in (2, 3)
    ),
    Case("zstd bomb in a shard", shard_bomb, _ZARR_CUT, False),
    Case("chunk of a terabyte of nothing", long_chunk, "takes more than"),
    *(
        Case(
            f"Zarr {v} of the shape 4 x 2**31 x 2**31",
            partial(claimed, zarr_format=v, shape=[4, 2**31, 2**31]),
            "pixels in all",
        )
        for v in (2, 3)
    ),
    *(
        Case(
            f"Zarr {v} with chunks of 2**15 x 2**15", partial(claimed, zarr_format=v, chunks=[1, 2**15, 2**15]), "chunk"
        )
        for v in (2, 3)
    ),
    *(
        Case(f"Zarr {v} of no size", partial(claimed, zarr_format=v, shape=[4, 0, 50]), "claim the shape")
        for v in (2, 3)
    ),
    Case("Zarr 2 of complex numbers", partial(claimed, zarr_format=2, dtype="<c8"), "no camera counts"),
    Case("Zarr 2 of Python objects", partial(claimed, zarr_format=2, dtype="|O"), "no camera counts"),
    Case("Zarr chunk linked out of the folder", partial(linked_chunk, whole=False), "leads out"),
    Case("Zarr array linked out of the folder", partial(linked_chunk, whole=True), "leads out"),
    Case("Zarr chunk that is a named pipe", piped_chunk, "missing"),
    Case("Zarr folder with nothing in it", lambda path: (path / "a.ome.zarr").mkdir(), "neither"),
    Case("Zarr attributes of brackets without end", partial(attributes, text="[" * 10**5), "JSON"),
    Case(
        "Zarr attributes of 8 MB of empty lists",
        lambda path: attributes(path, '{"a": [' + "[]," * 2_700_000 + "[]]}"),
        "lists and objects",
    ),
    Case(
        "Zarr attributes of 50 MB", lambda path: attributes(path, '{"a": "' + "x" * 50_000_000 + '"}'), "bytes", False
    ),
    Case("zip bomb that is called an OME-Zarr", zip_file, "zip archive"),
    Case(
        "OME-XML: billion laughs",
        lambda path: described(path, BILLION + OME.format(c=4, blocks="&a11;")),
        "document type",
    ),
    Case(
        "OME-XML: external entity",
        lambda path: described(path, OUTSIDE + OME.format(c=4, blocks="&a11;")),
        "document type",
    ),
    Case("OME-XML: another file's pixels", other_file, "another file|no pixels in this file"),
    Case(
        "OME-XML: 2,000,000 channels",
        lambda path: described(path, OME.format(c=2_000_000, blocks="")),
        "declares 2000000",
    ),
    Case(
        "OME-XML: 100,000 elements in one another",
        lambda path: described(path, OME.format(c=4, blocks="<a>" * 100_000)),
        "not XML",
    ),
    Case(
        "OME-XML: 9 MB of elements",
        lambda path: described(path, OME.format(c=4, blocks="<a/>" * 2_300_000)),
        "tag 270|letters",
    ),
    Case(
        "OME-XML: 8 MB of elements",
        lambda path: described(path, OME.format(c=4, blocks="<a/>" * 2_000_000)),
        "tags",
    ),
    Case(
        "OME-XML: as many elements as are read",
        lambda path: described(path, OME.format(c=4, blocks="<a/>" * 130_000)),
        READ,
        False,
        1,
    ),
    Case(
        "CellTracks XML: billion laughs",
        partial(export, xml=f"{BILLION}<export><events>&a11;</events></export>"),
        "counts are stretched",
    ),
    Case(
        "CellTracks XML: external entity",
        partial(export, xml=f"{OUTSIDE}<export><events>&a11;</events></export>"),
        "counts are stretched",
    ),
    Case(
        "CellTracks XML: elements in one another",
        partial(export, xml="<export><events>" + "<a>" * 10**5),
        "counts are stretched|in one another",
    ),
    Case("link to an image outside", partial(linked, name="a.ome.tif", of_folder=False), "leads out"),
    Case("link to a folder outside", partial(linked, name="deep", of_folder=True), "leads out"),
    Case(
        "link to an image that is not there",
        partial(linked, name="a.ome.tif", of_folder=False, there=False),
        "leads out",
    ),
    Case("link to a folder that is not there", partial(linked, name="deep", of_folder=True, there=False), "leads out"),
    Case("link to itself", lambda path: (path / "a.tif").symlink_to("a.tif"), "not there"),
    Case(
        "link round to its own folder",
        lambda path: (named(path, ["a.tif"]), (path / "b").symlink_to(".")),
        READ,
        frames=1,
    ),
    Case("link to a device", lambda path: (path / "a.tif").symlink_to("/dev/zero"), "leads out"),
    *(
        Case(f"named pipe called {name}", partial(piped, name=name), "named pipe")
        for name in ("a.tif", "a.png", "a.czi", "a.ome.zarr")
    ),
    Case("socket called a.tif", socketed, "socket"),
    Case("named pipe called export.xml beside an image", piped_xml, READ, frames=1),
    *(
        Case(f"name with {what}", partial(named, names=names), READ, frames=len(names))
        for what, names in ODD_NAMES.items()
    ),
]
"""All of them. On Windows, some cannot be made."""
