"""Which images an OME-Zarr folder stands for: one, or one for each well of a plate.

Only attributes are read, and without zarr, so that a folder of plates is listed at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cher2.errors import ImageError
from cher2.images.image_folders import check_inside
from cher2.images.omezarr_store import DOCUMENTS, read_document, where_is
from cher2.images.places import is_remote


def is_zarr_folder(name: str, entries: Iterable[str]) -> bool:
    """Tell by a folder's name and by what lies in it whether it is a Zarr folder.

    Parameters
    ----------
    name : str
        Of the folder; one that ends in ".zarr" is one.
    entries : iterable of str
        The names in it; one of Zarr's documents makes it one.
    """
    return name.lower().endswith(".zarr") or not set(DOCUMENTS).isdisjoint(entries)


def group_attributes(path: Any, place: str = "") -> Mapping[str, Any] | None:
    """Return OME's attributes of a group of a Zarr folder.

    Parameters
    ----------
    path : Path, or an object with ``fs`` and ``path``
        The folder.
    place : str
        The group below it; the folder itself where empty.

    Returns
    -------
    mapping or None
        None where there is no group.

    Raises
    ------
    ImageError
        Its documents cannot be read, or are of a version that is not.
    """
    # Its models take a tenth of a second to build, which a folder without a Zarr does not need.
    from cher2.images.omezarr_metadata import ome_attributes

    start, where = f"{place}/" if place else "", where_is(path, place)
    document = read_document(path, f"{start}zarr.json")
    if document is not None:
        attributes = document.get("attributes", {})
        if document.get("zarr_format") != 3 or document.get("node_type") != "group" or not isinstance(attributes, dict):
            raise ImageError("its zarr.json tells of no group", where=where, remedy="Name the group of an OME-Zarr")
        return ome_attributes(attributes, 3, where)
    attributes = read_document(path, f"{start}.zattrs")
    return None if attributes is None else ome_attributes(attributes, 2, where)


def wells_of(path: Any) -> tuple[str, ...]:
    """Return the paths of the wells of a plate; empty where a Zarr folder is none, or cannot be read.

    A folder that cannot be read is one image, so that reading it can say why.
    """
    try:
        attributes = group_attributes(path)
        return plate_places(path, attributes) if attributes is not None and "plate" in attributes else ()
    except ImageError:
        return ()


def plate_places(path: Any, attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the paths of the wells of a plate, none of which a link leads out of it.

    Raises
    ------
    ImageError
        The plate names no wells, or a place outside.
    """
    from cher2.images.omezarr_metadata import plate_wells

    places = plate_wells(attributes, where_is(path))
    if not is_remote(path):
        for place in places:
            check_inside(Path(path), place)
    return places
