"""What the attributes of an OME-Zarr say: images, axes, pixel sizes, wells and fields. No file is touched.

Attributes are a stranger's JSON: each is checked before it is believed, and a path among them that could lead
out of the folder is refused.

Sources: https://ngff.openmicroscopy.org/0.4 and https://ngff.openmicroscopy.org/0.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from cher2.errors import ImageError
from cher2.images.layout import length_um, square_pixel_um

VERSIONS = {2: "0.4", 3: "0.5"}
"""The version of OME-Zarr that is read from each Zarr format."""

LAYOUT = "bioformats2raw.layout"
"""The attribute of a container of several images, as bioformats2raw writes it."""

MAX_WELLS = 2**14
"""Most wells of a plate, and most images of a well or of a container; the largest plates have 3456 wells."""

_EXPORT = "Export it again as OME-Zarr 0.4 or 0.5"
_AXES = "tczyx"


class _Part(BaseModel):
    """A part of the attributes; what cher2 does not need of it is let be."""

    model_config = ConfigDict(strict=True, frozen=True, populate_by_name=True)


class _Axis(_Part):
    name: str
    type: str | None = None
    unit: str | None = None


class _Transformation(_Part):
    type: str
    scale: list[FiniteFloat] = []
    translation: list[FiniteFloat] = []


class _Dataset(_Part):
    path: str
    transformations: list[_Transformation] = Field(alias="coordinateTransformations", min_length=1)


class _Multiscale(_Part):
    axes: list[_Axis] = Field(min_length=2, max_length=5)
    datasets: list[_Dataset] = Field(min_length=1)
    transformations: list[_Transformation] = Field([], alias="coordinateTransformations")


class _Channel(_Part):
    label: str | None = None


class _Omero(_Part):
    channels: list[_Channel] = []


class _Field(_Part):
    path: str
    acquisition: int | None = None


class _Fields(_Part):
    images: list[_Field] = Field(min_length=1, max_length=MAX_WELLS)


class _Place(_Part):
    path: str


class _Plate(_Part):
    wells: list[_Place] = Field(min_length=1, max_length=MAX_WELLS)


class _Series(_Part):
    series: Annotated[list[str], Field(min_length=1, max_length=MAX_WELLS)]


_Model = TypeVar("_Model", bound=_Part)


@dataclass(frozen=True)
class Multiscale:
    """What the attributes say of one image.

    Parameters
    ----------
    axes : str
        Of the array, one letter each of "tczyx", in the array's own order.
    path : str
        The array of the full resolution, below the image's group.
    channels : tuple of str
        Channel names; empty where they are not told.
    pixel_size_um : float or None
        Side of a pixel.
    position_um : tuple of float or None
        Translation (y, x) of the first pixel, where it has units of length.
    """

    axes: str
    path: str
    channels: tuple[str, ...] = ()
    pixel_size_um: float | None = None
    position_um: tuple[float, float] | None = None


def ome_attributes(attributes: Mapping[str, Any], zarr_format: int, where: str) -> Mapping[str, Any]:
    """Return the attributes that are OME's.

    Parameters
    ----------
    attributes : mapping
        Of a group.
    zarr_format : int
        2, where the attributes themselves are OME's; or 3, where they stand under "ome".
    where : str
        The group, for errors.

    Raises
    ------
    ImageError
        There are none, or they are of a version that is not read.
    """
    if zarr_format == 2:
        multiscales = attributes.get("multiscales")
        parts = [multiscales[0] if isinstance(multiscales, list) and multiscales else None]
        parts += [attributes.get("plate"), attributes.get("well")]
        # Version 0.4 asks writers to name it, but does not oblige them; a wrong one is another matter.
        found = [part.get("version", VERSIONS[2]) for part in parts if isinstance(part, Mapping)]
        ome = attributes
    else:
        inner = attributes.get("ome")
        if not isinstance(inner, Mapping):
            raise _error("it is a Zarr folder of format 3 without OME's attributes", where)
        found, ome = [inner.get("version")], inner
    for version in found:
        if not (isinstance(version, str) and f"{version}.".startswith(f"{VERSIONS[zarr_format]}.")):
            said = f"of version {str(version)[:20]!r}" if version is not None else "of no version"
            raise _error(
                f"it is an OME-Zarr {said} in Zarr format {zarr_format}; read are 0.4 in Zarr 2 and 0.5 in Zarr 3",
                where,
            )
    if "image-label" in ome:
        raise ImageError("it holds labels of another image", where=where, remedy="Name the image itself")
    return ome


def multiscale(ome: Mapping[str, Any], where: str) -> Multiscale:
    """Return what OME's attributes say of the image of a group; of several pyramids, the first counts.

    Raises
    ------
    ImageError
        Something is missing, of a wrong type, or makes no sense; or pixels are not square.
    """
    pyramids = ome.get("multiscales")
    if not isinstance(pyramids, list) or not pyramids:
        raise _error("its attribute multiscales is no list of images", where)
    image = _checked(_Multiscale, pyramids[0], "multiscales", where)
    axes = _axes(image.axes, where)
    first = image.datasets[0]
    steps = [*first.transformations, *image.transformations]
    scale, shift = _transformed(steps, len(axes), where)
    units = [axis.unit or "" for axis in image.axes]
    y, x = axes.index("y"), axes.index("x")
    sides = [length_um(scale[axis], units[axis]) for axis in (x, y)]
    corner = [length_um(shift[axis], units[axis]) if shift else None for axis in (y, x)]
    return Multiscale(
        axes=axes,
        path=safe_path(first.path, where),
        channels=_channel_names(ome, where),
        pixel_size_um=square_pixel_um(sides[0], sides[1], where),
        position_um=(corner[0], corner[1]) if corner[0] is not None and corner[1] is not None else None,
    )


def plate_wells(ome: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """Return the paths of a plate's wells, such as "B/3".

    Raises
    ------
    ImageError
        The plate names none, or one in another place than its own row and column.
    """
    plate = _checked(_Plate, ome.get("plate"), "plate", where)
    paths = tuple(safe_path(well.path, where, parts=2) for well in plate.wells)
    return _all_different(paths, "well", where)


def well_fields(ome: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """Return the paths of a well's fields.

    Raises
    ------
    ImageError
        The well names none, one in another place, or fields of several acquisitions.
    """
    well = _checked(_Fields, ome.get("well"), "well", where)
    if len(acquisitions := {field.acquisition for field in well.images}) > 1:
        raise ImageError(
            f"the well was imaged in {len(acquisitions)} acquisitions, so that a cell would count more than once",
            where=where,
            remedy="Keep the fields of one acquisition in the well's attributes",
        )
    paths = tuple(safe_path(field.path, where, parts=1) for field in well.images)
    return _all_different(paths, "field", where)


def series_paths(ome: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """Return the paths of the images of a container, in their order, as its group "OME" tells them.

    Raises
    ------
    ImageError
        It tells none, or one in another place.
    """
    series = _checked(_Series, dict(ome), "OME", where).series
    return _all_different(tuple(safe_path(path, where) for path in series), "image", where)


def safe_path(path: str, where: str, parts: int | None = None) -> str:
    """Return a path that stays below its folder.

    Raises
    ------
    ImageError
        It is absolute, goes up, or has another number of parts than it must have.
    """
    names = path.split("/")
    fine = all(name.strip(".") and not set(name) & set("\\:\0\n") for name in names)
    if not fine or len(path) > 1000 or (parts is not None and len(names) != parts):
        raise _error(f"its attributes name the place {path[:40]!r}, which is none inside it", where)
    return path


def _error(what: str, where: str) -> ImageError:
    return ImageError(what, where=where, remedy=_EXPORT)


def _checked(model: type[_Model], value: object, name: str, where: str) -> _Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, (name, *first["loc"])))
        raise _error(f"its attribute {place} cannot be used ({first['msg']})", where) from error


def _axes(axes: Sequence[_Axis], where: str) -> str:
    """Return the axes as letters; a time or channel axis may have a name of its own."""
    letters = [{"time": "t", "channel": "c"}.get(axis.type or "", axis.name.lower()) for axis in axes]
    known = set(letters) <= set(_AXES) and len(set(letters)) == len(letters)
    if not known or not {"y", "x"} <= set(letters):
        raise _error(f"its axes are {', '.join(axis.name[:20] for axis in axes)}, not of t, c, z, y, x", where)
    return "".join(letters)


def _transformed(steps: Sequence[_Transformation], axes: int, where: str) -> tuple[list[float], list[float]]:
    """Return scale and shift after all transformations; no shift where none of them tells one."""
    scale, shift, shifted = [1.0] * axes, [0.0] * axes, False
    for step in steps:
        values = {"scale": step.scale, "translation": step.translation, "identity": scale}.get(step.type)
        if values is None or len(values) != axes:
            raise _error(f"its coordinateTransformations have a {step.type[:20]} of no {axes} numbers", where)
        if step.type == "scale":
            if min(values) <= 0:
                raise _error(f"its coordinateTransformations scale an axis by {min(values):g}", where)
            scale = [a * b for a, b in zip(scale, values, strict=True)]
            shift = [a * b for a, b in zip(shift, values, strict=True)]
        elif step.type == "translation":
            shifted = True
            shift = [a + b for a, b in zip(shift, values, strict=True)]
    return scale, shift if shifted else []


def _channel_names(ome: Mapping[str, Any], where: str) -> tuple[str, ...]:
    if ome.get("omero") is None:
        return ()
    omero = _checked(_Omero, ome["omero"], "omero", where)
    return tuple(channel.label or "" for channel in omero.channels)


def _all_different(paths: tuple[str, ...], what: str, where: str) -> tuple[str, ...]:
    if len(set(paths)) < len(paths):
        raise _error(f"its attributes name a {what} twice", where)
    return paths
