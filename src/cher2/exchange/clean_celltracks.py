"""A CellTracks export without what it says of the patient: its pages as they are stored, and an XML made anew.

An export stays an export, since the operator's cells and the pages' stretch have no place in an OME-TIFF. Of the XML
only what :mod:`cher2.images.celltracks_xml` reads is written, from the numbers that it read: the run's grid and camera,
the filters' names, and the events. Of a page only the stored values and the two limits of its stretch are kept.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import tifffile
from numpy.typing import NDArray

from cher2.exchange.clean_image import CREATOR
from cher2.images.celltracks import HIGHER_LIMIT, LOWER_LIMIT
from cher2.images.celltracks_xml import Event, Export

SUFFIX = ".tif"


def clean_export_xml(export: Export) -> str:
    """Return the XML of an export from what was read of it."""
    rows, columns = export.camera
    run = {"numcols": export.columns, "numrows": export.rows, "camxsize": columns, "camysize": rows}
    fields = "".join(_field(name, value) for name, value in run.items() if value is not None)
    filters = "".join(f"<record>{_field('filtername', name)}</record>" for name in export.filters)
    tables = f"<runs><record>{fields}</record></runs>"
    tables += f"<test_filters>{filters}</test_filters>" if filters else ""
    if export.events is not None:
        tables += f"<events>{''.join(map(_record, export.events))}</events>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<export>{tables}</export>\n'


def _record(event: Event) -> str:
    y0, x0, y1, x1 = event.corners
    said = {"eventnum": event.number, "framenum": event.frame}
    said |= {} if event.assigned is None else {"assigned": str(event.assigned).lower()}
    fields = "".join(_field(name, value) for name, value in said.items())
    return f"<record>{fields}{_field('location', f'({_plain(x1)},{_plain(y1)}),({_plain(x0)},{_plain(y0)})')}</record>"


def _plain(value: float) -> str:
    """Return a number without an exponent; exports are read to nine decimals."""
    return f"{value:.9f}".rstrip("0").rstrip(".")


def _field(name: str, value: object) -> str:
    return f"<{name}>{escape(str(value))}</{name}>"


def clean_export_tiff(source: Path) -> bytes:
    """Return a frame of an export with its pages as they are stored, compressed without loss, and their limits.

    Parameters
    ----------
    source : Path
        A frame that :class:`cher2.images.celltracks.CellTracksFrames` has read.
    """
    content = io.BytesIO()
    with tifffile.TiffWriter(content) as writer:
        for pixels, low, high in _stored_pages(source):
            writer.write(
                pixels,
                photometric="minisblack",
                metadata=None,
                contiguous=False,
                software=CREATOR,
                compression="zlib",
                predictor=True,
                extratags=[(LOWER_LIMIT, "H", 1, low, False), (HIGHER_LIMIT, "H", 1, high, False)],
            )
    return content.getvalue()


def _stored_pages(source: Path) -> Iterator[tuple[NDArray[Any], int, int]]:
    with tifffile.TiffFile(source) as tif:
        for page in tif.pages:
            assert isinstance(page, tifffile.TiffPage)
            yield page.asarray(), page.tags.valueof(LOWER_LIMIT), page.tags.valueof(HIGHER_LIMIT)
