"""The images of a container as bioformats2raw writes it, with the OME-XML that it keeps beside them.

Source: https://ngff.openmicroscopy.org/0.5/#bf2raw.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cher2.images.ome import OmeImage, ome_images
from cher2.images.omezarr_metadata import MAX_WELLS, series_paths
from cher2.images.omezarr_plate import group_attributes
from cher2.images.omezarr_store import faults, read_document, read_text, where_is

XML = "OME/METADATA.ome.xml"


def contained_images(path: Any) -> dict[str, OmeImage | None]:
    """Return the groups of a container that are images, in their order, and what OME-XML says of each.

    Parameters
    ----------
    path : Path, or an object with ``fs`` and ``path``
        The folder.

    Returns
    -------
    dict of str to (OmeImage or None)
        The groups that "OME" names, else 0, 1, 2 and so on. Where the OME-XML has another number of images, as
        when only some were converted, it cannot be told which is which, and none is believed.

    Raises
    ------
    ImageError
        Attributes or OME-XML cannot be read.
    """
    told = _ome_group(path)
    places = series_paths(told, where_is(path, "OME")) if "series" in told else tuple(_numbered(path))
    data = read_text(path, XML)
    with faults("it is no UTF-8", where_is(path, XML)):
        images = ome_images(data.decode(), where_is(path, XML)) if data else []
    fit = images if len(images) == len(places) else [None] * len(places)
    return dict(zip(places, fit, strict=True))


def _ome_group(path: Any) -> Mapping[str, Any]:
    """Return what the group "OME", which is no image and may say nothing, tells of the images."""
    document = read_document(path, "OME/zarr.json")
    if document is None:
        return read_document(path, "OME/.zattrs") or {}
    attributes = document.get("attributes")
    told = attributes.get("ome") if isinstance(attributes, Mapping) else None
    return told if isinstance(told, Mapping) else {}


def _numbered(path: Any) -> Iterator[str]:
    for number in range(MAX_WELLS):
        if group_attributes(path, str(number)) is None:
            return
        yield str(number)
