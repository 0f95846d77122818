"""Images of every format with a person's name wherever a writer may put one, and a search for it in any output.

The name is invented, and everything here is synthetic.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import re
import struct
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import tifffile

sys.path.append(str(Path(__file__).parent / "images"))

from celltracks_export import write_export
from czi_fixture import tiles, write_czi
from lif_fixture import write_lif
from nd2_fixture import lite, write_nd2

NAME = "Quibbleford"
"""Stands in every place, with the place behind it."""

BORN = "1903-07-19"
"""Stands beside it."""

ROLES = ("DAPI", "CK", "CD45", "HER2")
ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be")

TAGS = {
    315: "artist", 316: "host_computer", 33432: "copyright", 269: "document_name", 285: "page_name", 271: "make",
    272: "model", 65000: "private",
}  # fmt: skip


def said(place):
    return f"{NAME}_{place} born {BORN}"


def tags():
    """Return TIFF tags with names: text, XMP and an EXIF block."""
    text = [(code, "s", 0, said(place), True) for code, place in TAGS.items()]
    xmp = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'><creator>{said('xmp')}</creator></x:xmpmeta>".encode()
    exif = f"Exif {said('exif')}".encode("utf-16-le")
    return [*text, (700, "B", len(xmp), xmp, True), (65001, "B", len(exif), exif, True)]


def ome_xml(shape, channels=ROLES):
    count, rows, columns = shape
    named = "".join(
        f'<Channel ID="Channel:0:{k}" Name="{name}" SamplesPerPixel="1"/>' for k, name in enumerate(channels)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        f'Creator="{said("creator")}"><Experimenter ID="Experimenter:0" FirstName="{said("first_name")}" '
        f'LastName="{said("last_name")}" Email="{NAME}@clinic.example" Institution="{said("institution")}" '
        f'UserName="{said("user_name")}"/><Image ID="Image:0" Name="{said("image_name")}.tif">'
        f"<AcquisitionDate>{BORN}T12:00:00</AcquisitionDate><Description>{said('description')}</Description>"
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SignificantBits="12" SizeX="{columns}" '
        f'SizeY="{rows}" SizeC="{count}" SizeZ="1" SizeT="1" PhysicalSizeX="0.64" PhysicalSizeY="0.64">{named}'
        f'<TiffData IFD="0" PlaneCount="{count}"/><Plane TheC="0" TheT="0" TheZ="0" ExposureTime="0.12" '
        f'PositionX="1234.5" PositionXUnit="µm" PositionY="-77.125" PositionYUnit="µm"/></Pixels></Image>'
        f"<StructuredAnnotations><CommentAnnotation ID='Annotation:1'><Value>{said('comment')}</Value>"
        f"</CommentAnnotation><XMLAnnotation ID='Annotation:2'><Value><OriginalMetadata><Key>{said('key')}</Key>"
        f"<Value>{said('original_metadata')}</Value></OriginalMetadata></Value></XMLAnnotation>"
        "</StructuredAnnotations></OME>"
    ).encode()


def write_ome(path, pixels):
    tifffile.imwrite(
        path,
        pixels,
        ome=False,
        description=ome_xml(pixels.shape),
        metadata=None,
        photometric="minisblack",
        software=said("software"),
        datetime="1903:07:19 12:00:00",
        extratags=tags(),
    )


def write_imagej(path, pixels, labels=ROLES):
    tifffile.imwrite(
        path,
        pixels,
        imagej=True,
        resolution=(1 / 0.64, 1 / 0.64),
        metadata={"axes": "CYX", "unit": "um", "Info": said("info"), "Labels": list(labels)},
    )


def png(plane):
    """Return a PNG of one channel with text of all three kinds."""
    import imagecodecs

    data = imagecodecs.png_encode(plane)
    texts = [
        (b"tEXt", b"Author\0" + said("png_text").encode("latin-1")),
        (b"zTXt", b"Comment\0\0" + zlib.compress(said("png_packed").encode())),
        (b"iTXt", b"Title\0\1\0de\0Titel\0" + zlib.compress(said("png_international").encode())),
        (b"eXIf", b"MM\0*\0\0\0\x08" + said("png_exif").encode()),
    ]
    chunks = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in texts
    )
    return data[:33] + chunks + data[33:]


def jpeg(plane):
    """Return a JPEG of one channel with EXIF and a comment."""
    import imagecodecs

    data = imagecodecs.jpeg8_encode((plane >> 4).astype(np.uint8), level=95)
    exif = b"Exif\0\0MM\0*" + said("jpeg_exif").encode()
    more = b"".join(
        b"\xff" + marker + struct.pack(">H", len(body) + 2) + body
        for marker, body in ((b"\xe1", exif), (b"\xfe", said("jpeg_comment").encode()))
    )
    return data[:2] + more + data[2:]


def write_zarr(path, pixels):
    from zarr_folders import change_attributes, write

    write(path, pixels, size_um=0.64)

    def plant(ome):
        ome["multiscales"][0]["name"] = said("multiscales")
        ome["omero"]["name"] = said("omero")
        ome["creator"] = {"operator": said("operator")}

    change_attributes(path, plant)


def write_celltracks(folder, frames):
    path = write_export(folder, frames, (1, len(frames)), name="cartridge")
    text = path.read_text(encoding="utf-8")
    person = f"<name>{said('patient')}</name><dob>{BORN}</dob><operator>{said('operator')}</operator>"
    text = text.replace("<name/>", person).replace("<runs><record>", f"<runs><record><runby>{said('run')}</runby>")
    path.write_text(text, encoding="utf-8")


def write_all(home, frame):
    """Write images that can be scored into a folder, one patient a format, from one frame (4, Y, X) of counts."""
    folders = {name: home / name for name in ("P1", "P2", "P3", "P4", "P5", "P6", "P7")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    write_ome(folders["P1"] / "a.ome.tif", frame)
    write_imagej(folders["P2"] / "a.tif", frame)
    about = {
        b"ImageTextInfoLV!": lite("SLxImageTextInfo", {"TextInfoItem_0": said("nd2_text"), "TextInfoItem_1": BORN}),
        b"CustomDataVar|CustomDataV2_0!": lite("User", said("nd2_user")),
    }
    write_nd2(folders["P3"] / "a.nd2", frame[None], ROLES, size=0.64, exposures=(10, 20, 30, 40), about=about)
    lif = {"name": said("lif_image"), "pixels": frame, "axes": "CYX", "channels": ROLES, "dyes": ROLES, "bits": 12}
    write_lif(folders["P4"] / "a.lif", [lif | {"um": 0.64}])
    document = f"<Document><UserName>{said('czi_user')}</UserName><Name>{said('czi_name')}</Name></Document>"
    write_czi(folders["P5"] / "a.czi", tiles(frame[None], [(0, 0)]), ROLES, um=0.64, about=document)
    write_zarr(folders["P6"] / "a.ome.zarr", frame)
    # DAPI, HER2, CK, CD45: the order of a cartridge's pages.
    write_celltracks(folders["P7"], [frame[[0, 3, 1, 2]], frame[[0, 3, 1, 2], ::-1]])


def write_bad(folder, frame):
    """Write images that cannot be scored: whatever is said of them must not quote them."""
    folder.mkdir(parents=True)
    write_ome(folder / "cut.ome.tif", frame)
    whole = (folder / "cut.ome.tif").read_bytes()
    (folder / "cut.ome.tif").write_bytes(whole[: len(whole) // 2])
    write_imagej(folder / "labels.tif", frame, [f"{NAME}_label_{role}.tif" for role in ROLES])
    (folder / "text.tif").write_text(f"        {said('text')}")
    (folder / "grey.png").write_bytes(png(frame[0]))
    (folder / "grey.jpg").write_bytes(jpeg(frame[0]))
    other = ome_xml(frame.shape).replace(
        b'<TiffData IFD="0"',
        f'<TiffData IFD="0"><UUID FileName="{NAME}.tif">urn:uuid:1</UUID></TiffData><TiffData IFD="1"'.encode(),
    )
    tifffile.imwrite(
        folder / "other.ome.tif", frame, ome=False, description=other, metadata=None, photometric="minisblack"
    )
    size = ome_xml(frame.shape).replace(b'SizeC="4"', f'SizeC="{NAME}"'.encode())
    tifffile.imwrite(
        folder / "size.ome.tif", frame, ome=False, description=size, metadata=None, photometric="minisblack"
    )
    (folder / "cut.czi").write_bytes(b"ZISRAWFILE" + said("cut_czi").encode() * 20)


def contents(data):
    """Yield bytes and all that is packed in them; a SQLite file holds its texts as they are."""
    yield data
    if data.startswith(b"\x1f\x8b"):
        yield from contents(gzip.decompress(data))
    if data.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield from contents(archive.read(name))
    if data.startswith(b"\x89PNG"):
        for start in (found.start() for found in re.finditer(rb"[zi]TXt|iCCP", data)):
            yield from _unpacked(data[start : start + 4096])
    if data.startswith(b"PAR1"):
        table = pq.read_table(io.BytesIO(data))
        yield str(table.schema).encode()
        yield table.to_pandas().to_csv().encode(errors="surrogatepass")
    if data.startswith(b"\x89HDF"):
        yield from _hdf5(data)
    if data.lstrip().startswith(b"<!DOCTYPE html"):
        for packed in re.findall(rb"base64,([A-Za-z0-9+/=]{8,})", data):
            yield from contents(base64.b64decode(packed))


def _unpacked(data):
    for start in (found.start() for found in re.finditer(rb"\x78[\x01\x5e\x9c\xda]", data)):
        with contextlib.suppress(zlib.error):
            yield zlib.decompressobj().decompress(data[start:])


def _hdf5(data):
    import h5py

    texts = []
    with h5py.File(io.BytesIO(data)) as file:

        def visit(name, node):
            texts.append(name)
            texts.extend(f"{key} {value}" for key, value in node.attrs.items())
            if isinstance(node, h5py.Dataset):
                texts.append(repr(np.asarray(node[()]).tolist()))

        file.visititems(visit)
    yield "\n".join(texts).encode(errors="surrogatepass")


def found_in(data, needles):
    """Return which of some texts are in bytes, in any encoding, whatever their case and however packed."""
    hits = set()
    for part in contents(data):
        folded = part.lower()
        hits |= {n for n in needles for encoding in ENCODINGS if n.lower().encode(encoding) in folded}
    return hits


def leaks(folder, needles):
    """Return the files below a folder that hold a text, in their bytes or in their names, with the texts."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    hits = {
        path.relative_to(folder).as_posix(): found_in(path.read_bytes(), needles)
        | found_in(path.name.encode(), needles)
        for path in files
    }
    return {name: texts for name, texts in hits.items() if texts}
