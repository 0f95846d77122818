"""Frames as OME-TIFF with the same bytes every time: no dates, no unique ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import tifffile
from numpy.typing import NDArray

from cher2.images.ome import SIMULATOR


def write_ome_tiff(
    path: Path,
    pixels: NDArray[np.uint16],
    channels: Sequence[str],
    pixel_size_um: float,
    significant_bits: int,
    compress: bool = False,
) -> None:
    """Write a frame (C, Y, X) of uint16 as an OME-TIFF, one page a channel.

    tifffile's own OME-XML has a random UUID in it, and a study should be the same bytes for the same seed.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    tifffile.imwrite(
        path,
        pixels,
        ome=False,
        description=ome_xml(path.name, pixels.shape, channels, pixel_size_um, significant_bits),
        metadata=None,
        software="cher2 simulate",
        photometric="minisblack",
        compression="adobe_deflate" if compress else None,
        predictor=compress,
    )


def ome_xml(
    name: str,
    shape: tuple[int, ...],
    channels: Sequence[str],
    pixel_size_um: float,
    significant_bits: int,
) -> str:
    """Return the OME-XML (schema 2016-06, ASCII) of one frame (C, Y, X) of uint16."""
    count, rows, columns = shape
    described = "".join(
        f'<Channel ID="Channel:0:{number}" Name={quoteattr(channel)} SamplesPerPixel="1"/>'
        for number, channel in enumerate(channels)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:schemaLocation="http://www.openmicroscopy.org/Schemas/OME/2016-06 '
        'http://www.openmicroscopy.org/Schemas/OME/2016-06/ome.xsd" Creator="'
        f'{SIMULATOR}">'
        f'<Image ID="Image:0" Name={quoteattr(name)}>'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SignificantBits="{significant_bits}" '
        f'SizeX="{columns}" SizeY="{rows}" SizeC="{count}" SizeZ="1" SizeT="1" '
        f'PhysicalSizeX="{pixel_size_um:g}" PhysicalSizeXUnit="&#181;m" '
        f'PhysicalSizeY="{pixel_size_um:g}" PhysicalSizeYUnit="&#181;m">'
        f'{described}<TiffData IFD="0" PlaneCount="{count}"/></Pixels></Image></OME>'
    )
