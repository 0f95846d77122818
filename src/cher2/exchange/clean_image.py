"""A frame as an OME-TIFF that holds nothing but its pixels and what cher2 reads beside them.

The file is made anew from an :class:`~cher2.images.image.Image`, and nothing is copied from the source's bytes: text
that cher2 does not know of cannot come along. What is written has no date, no unique identifier and no name of a
person, program version or computer, so the same frame gives the same bytes.

Source: OME data model 2016-06, https://docs.openmicroscopy.org/ome-model/latest/ome-tiff/specification.html.
"""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import tifffile

from cher2.errors import ImageError
from cher2.images.image import Image
from cher2.images.ome import SIMULATOR

CREATOR = "cher2 deidentify"
"""The program that a clean copy names."""

SUFFIX = ".ome.tif"
"""The ending of a clean copy, whatever its source's."""

ROWS_PER_STRIP = 256

_RUN = re.compile(r"[\x20-\x7e]{4,}")
_TYPES = {"uint8": "uint8", "uint16": "uint16", "float32": "float"}
_QUOTES = {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}


def clean_bytes(image: Image) -> bytes:
    """Return a frame as a whole OME-TIFF, one page a channel, compressed without loss (deflate).

    Parameters
    ----------
    image : Image
        Its pixels, channels' names, pixel size, bits, stage position, exposures and whether it is synthetic are
        written; its name is not.
    """
    content = io.BytesIO()
    tifffile.imwrite(
        content,
        image.pixels,
        ome=False,
        description=clean_xml(image),
        metadata=None,
        software=CREATOR,
        photometric="minisblack",
        planarconfig=None,
        rowsperstrip=ROWS_PER_STRIP,
        compression="zlib",
        predictor=image.pixels.dtype.kind == "u",
    )
    return content.getvalue()


def clean_xml(image: Image) -> str:
    """Return the OME-XML (schema 2016-06, ASCII) of one frame; its ``Image`` has no name."""
    channels, rows, columns = image.pixels.shape
    size = f'SizeX="{columns}" SizeY="{rows}" SizeC="{channels}" SizeZ="1" SizeT="1"'
    bits = f' SignificantBits="{image.bits}"' if image.bits is not None else ""
    # All digits: a pixel size that is rounded makes another area of every cell.
    side = image.pixel_size_um
    sides = "".join(f' PhysicalSize{axis}="{side!r}" PhysicalSize{axis}Unit="µm"' for axis in "XY") if side else ""
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        f'Creator="{SIMULATOR if image.synthetic else CREATOR}"><Image ID="Image:0">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="{_TYPES[str(image.pixels.dtype)]}"{bits} {size}{sides}>'
        f'{"".join(_channel_elements(image))}<TiffData IFD="0" PlaneCount="{channels}"/>'
        f"{''.join(_plane_elements(image))}</Pixels></Image></OME>"
    )
    return xml.encode("ascii", "xmlcharrefreplace").decode()


def _channel_elements(image: Image) -> Iterator[str]:
    for number, name in enumerate(image.channels):
        named = f" Name={quoteattr(name, _QUOTES)}" if name else ""
        yield f'<Channel ID="Channel:0:{number}"{named} SamplesPerPixel="1"/>'


def _plane_elements(image: Image) -> Iterator[str]:
    """Return what is told of each channel's plane: exposure and stage position."""
    place = ""
    if image.position_um is not None:
        y, x = image.position_um
        place = f' PositionX="{x!r}" PositionXUnit="µm" PositionY="{y!r}" PositionYUnit="µm"'
    for number in range(len(image.pixels)):
        time = image.exposure_ms[number] if image.exposure_ms else None
        exposed = f' ExposureTime="{time!r}" ExposureTimeUnit="ms"' if time is not None else ""
        if place or exposed:
            yield f'<Plane TheC="{number}" TheT="0" TheZ="0"{exposed}{place}/>'


def check_same(copy: Image, source: Image, where: str) -> None:
    """Demand that a copy, read back, is its source to the last bit, and says of itself what the source says.

    Raises
    ------
    ImageError
        It does not.
    """
    facts = ("channels", "pixel_size_um", "bits", "position_um", "exposure_ms", "synthetic", "selected", "remarks")
    differing = [name for name in facts if getattr(copy, name) != getattr(source, name)]
    if copy.pixels.dtype != source.pixels.dtype or not np.array_equal(copy.pixels, source.pixels):
        differing.insert(0, "pixels")
    if differing:
        raise ImageError(
            f"the copy is not as its source is: {', '.join(differing)} differ",
            where=where,
            remedy="This is a fault of cher2, or the channels' names hold what no TIFF can: please report it",
        )


def check_no_text(path: Path, image: Image, texts: Collection[str]) -> None:
    """Demand that a clean copy holds none of its source's texts, but for the channels' names, which are kept.

    Only what surrounds the pixels is searched: compressed pixels are any bytes.

    Parameters
    ----------
    path : Path
        The copy.
    image : Image
        What it was made of.
    texts : collection of str
        As of :func:`cher2.exchange.private_texts.texts_of`.

    Raises
    ------
    ImageError
        A text is there.
    """
    # The words of the form itself, and the kept numbers, are in any copy of such a frame.
    form = clean_xml(replace(image, channels=("-",) * len(image.pixels)))
    allowed = "\n".join([form, CREATOR, *image.channels])
    refuse_texts(text_around_pixels(path), texts, allowed, f"{clean_xml(image)}\n{CREATOR}", image.name)


def refuse_texts(held: str, texts: Collection[str], allowed: str, written: str, where: str) -> None:
    """Refuse a copy that holds a text of its source which is not allowed, or any that was not written; none is quoted.

    Parameters
    ----------
    held : str
        All that the copy holds beside pixels.
    texts : collection of str
        The source's texts.
    allowed : str
        Words of the form and facts that are kept: a source's text that is among them may be in the copy.
    written : str
        All that was meant to be written.
    where : str
        The copy.

    Raises
    ------
    ImageError
        It does.
    """
    folded, allowed = held.casefold(), allowed.casefold()
    wanted = {folded_text for text in texts if (folded_text := text.casefold()) not in allowed}
    # In UTF-16 a zero stands between two letters.
    left = sum(text in folded or "\0".join(text) in folded for text in wanted)
    left += sum(run.strip() not in written for run in _RUN.findall(held))
    if left:
        raise ImageError(
            f"{left} texts of the source are still in the copy, which was taken away",
            where=where,
            remedy="This is a fault of cher2: please report it, without the file",
        )


def text_around_pixels(path: Path) -> str:
    """Return all bytes of a TIFF but those of its strips, as text of one character a byte."""
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tif:
        for page in tif.pages:
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
                data[offset : offset + count] = bytes(count)
    return data.decode("latin-1")
