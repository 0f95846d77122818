"""Where the frames and channels of a TIFF lie among its pages, from ImageJ's, tifffile's or no description.

A TIFF is a chain of pages; which page is which channel of which frame is told by a description in the
first one, in one of several dialects. OME's has its own module, :mod:`cher2.images.ome`. Every claim of a
description is held against the number of pages that are there: a file that was cut must not pass for one of
fewer channels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cher2.errors import ImageError

UM = {
    "pm": 1e-6, "Å": 1e-4, "nm": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0,
    "micrometer": 1.0, "micrometers": 1.0, "\\u00b5m": 1.0, "mm": 1e3, "cm": 1e4, "dm": 1e5, "m": 1e6,
    "inch": 25400.0, "in": 25400.0,
    "picometer": 1e-6, "angstrom": 1e-4, "nanometer": 1e-3, "millimeter": 1e3, "centimeter": 1e4, "meter": 1e6,
}  # fmt: skip
"""Micrometres in a unit of length, by the names that OME, ImageJ, TIFF and OME-Zarr use."""

PIXEL_SIZE_RANGE_UM = (0.01, 100.0)
"""Pixel sizes outside are nonsense, such as the 353 um of a TIFF at 72 dpi, and count as unsaid."""

PRINT_ABOVE_UM = 10.0
"""A pixel size given per inch and coarser than this (2540 dpi) is a printer's, not a microscope's."""

UNNAMED_CHANNELS = range(3, 7)
"""So many pages without a word on their order are the channels of one frame."""


_FILE_NAME = re.compile(r"\.(tiff?|btf|png|jpe?g|nd2|lif|czi|lsm|oi[bf]|vsi|zvi|ics|stk|dcm|bmp|gif)\b", re.IGNORECASE)


@dataclass(frozen=True)
class FrameLayout:
    """The pages of one frame, and what the file says about the frame.

    Parameters
    ----------
    pages : tuple of int
        The 0-based page of each channel (of all channels, where a page has several samples a pixel).
    channels : tuple of str
        Channel names; empty where the file gives none.
    pixel_size_um, bits, position_um, synthetic, exposure_ms
        As of :class:`~cher2.images.image.Image`.
    """

    pages: tuple[int, ...]
    channels: tuple[str, ...] = ()
    pixel_size_um: float | None = None
    bits: int | None = None
    position_um: tuple[float, float] | None = None
    synthetic: bool = False
    exposure_ms: tuple[float | None, ...] = ()


def length_um(value: object, unit: str) -> float | None:
    """Return a length in micrometres; None where the value is no finite number or the unit no length."""
    factor = UM.get(unit.strip()) or UM.get(unit.strip().lower())
    if factor is None or not isinstance(value, (str, int, float)):
        return None
    try:
        length = float(value) * factor
    except ValueError:
        return None
    return length if math.isfinite(length) else None


def square_pixel_um(x: float | None, y: float | None, where: str) -> float | None:
    """Return the side of a pixel from its width and height in micrometres; None where they are unsaid.

    Raises
    ------
    ImageError
        Width and height differ by more than 1 %: diameters and areas would be wrong.
    """
    low, high = PIXEL_SIZE_RANGE_UM
    sizes = [size for size in (x, y) if size is not None and low <= size <= high]
    if len(sizes) == 2 and abs(sizes[0] - sizes[1]) > 0.01 * max(sizes):
        raise ImageError(
            f"its pixels are not square ({sizes[0]:g} by {sizes[1]:g} um)",
            where=where,
            remedy="Resample the image to square pixels",
        )
    return sizes[0] if sizes else None


def resolution_um(x: object, y: object, unit: str, where: str) -> float | None:
    """Return the side of a pixel from TIFF resolutions, fractions of pixels per unit; None where unsaid."""
    sides = []
    for value in (x, y):
        if not (isinstance(value, tuple) and len(value) == 2 and value[0]):
            return None
        sides.append(length_um(value[1] / value[0], unit))
    size = square_pixel_um(sides[0], sides[1], where)
    if size is not None and UM.get(unit.lower()) == UM["inch"] and size > PRINT_ABOVE_UM:
        return None
    return size


def pages_missing(declared: int, pages: int, where: str) -> ImageError:
    """Return the error of a file whose description claims other than the pages that it has."""
    return ImageError(
        f"it declares {declared} pages but has {pages}",
        where=where,
        remedy="The file was cut short or altered: copy it again from its source, or export it again",
    )


def z_stack(planes: int, where: str) -> ImageError:
    """Return the error of a stack of focal planes."""
    return ImageError(
        f"it is a stack of {planes} focal planes",
        where=where,
        remedy="Make a projection or choose one plane (in ImageJ: Image > Stacks > Z Project), and save that",
    )


def plain_layout(pages: int, samples: int, where: str) -> list[FrameLayout]:
    """Return the frames of a file that says nothing about the order of its pages.

    Pages of several samples (RGB) are a frame each. 3 to 6 pages are the channels of one frame, a multiple of
    4 is frames of 4 channels.

    Raises
    ------
    ImageError
        Any other number of pages: which are channels cannot be known.
    """
    if samples > 1 or pages == 1:
        return [FrameLayout((page,)) for page in range(pages)]
    if pages in UNNAMED_CHANNELS:
        return [FrameLayout(tuple(range(pages)))]
    if pages % 4 == 0:
        return _in_turn(pages, 4)
    raise ImageError(
        f"it has {pages} pages, and does not say which of them are channels",
        where=where,
        remedy="Save it as OME-TIFF or as an ImageJ hyperstack with its channels",
    )


def imagej_layout(
    metadata: Mapping[str, Any], pages: int, samples: int, roles: Iterable[str], where: str
) -> list[FrameLayout]:
    """Return the frames of an ImageJ stack or hyperstack.

    Parameters
    ----------
    metadata : mapping
        ImageJ's own: images, channels, slices, frames, Labels.
    pages, samples : int
        Pages that are there; samples a pixel of each.
    roles : iterable of str
        Channel names that the protocol looks for: slices labelled with them are channels.
    where : str
        The file, for errors.
    """
    images, c, z, t = (_count(metadata, key, where) for key in ("images", "channels", "slices", "frames"))
    declared = max(images, c * z * t)
    if declared != pages:
        raise pages_missing(declared, pages, where)
    labels = _labels(metadata, pages)
    if c == t == 1 and not labels:
        return plain_layout(pages, samples, where)
    if c == t == 1 and z > 1:
        known = {label.casefold() for label in labels}
        if not {role.casefold() for role in roles} <= known:
            raise z_stack(z, where)
        c, z = z, 1
    if z > 1:
        raise z_stack(z, where)
    if c * t != pages:
        raise pages_missing(c * t, pages, where)
    frames = _in_turn(pages, c)
    named = [replace(f, channels=tuple(labels[page] for page in f.pages)) for f in frames if labels]
    return named if c > 1 and labels else frames


def shaped_layout(
    shape: tuple[int, ...], axes: str, pages: int, samples: int, blocks: int, where: str
) -> list[FrameLayout]:
    """Return the frames of a file of tifffile's own kind, which tells the shape and perhaps the axes.

    Parameters
    ----------
    shape, axes
        Of the array that was saved; axes is empty where they were not named.
    pages, samples : int
        Pages that are there; samples a pixel of each.
    blocks : int
        How many arrays of this shape the file holds one after the other.
    where : str
        The file, for errors.
    """
    shape, axes = _without_pixels(shape, axes, samples)
    declared = math.prod(shape)
    if declared * blocks != pages:
        raise pages_missing(declared * blocks, pages, where)
    if not axes:
        named = len(shape) > 1 and shape[-1] in UNNAMED_CHANNELS
        one = _in_turn(declared, shape[-1]) if named else plain_layout(declared, samples, where)
    else:
        one = _along_axes(shape, axes, where)
    return [
        FrameLayout(tuple(page + block * declared for page in frame.pages)) for block in range(blocks) for frame in one
    ]


def _without_pixels(shape: tuple[int, ...], axes: str, samples: int) -> tuple[tuple[int, ...], str]:
    """Take the axes that lie within a page (Y, X, samples) off a shape."""
    if len(axes) == len(shape):
        kept = [(n, a) for n, a in zip(shape, axes, strict=True) if a not in "YXS"]
        return tuple(n for n, _ in kept), "".join(a for _, a in kept)
    if samples > 1:
        inner = 3 if len(shape) > 2 and samples in (shape[-1], shape[-3]) else 2
        return shape[:-inner], ""
    return shape[:-2], ""


def _along_axes(shape: tuple[int, ...], axes: str, where: str) -> list[FrameLayout]:
    sizes = dict(zip(axes, shape, strict=True))
    if sizes.get("Z", 1) > 1:
        raise z_stack(sizes["Z"], where)
    numbers = np.arange(math.prod(shape)).reshape(shape)
    if "C" in axes:
        numbers = np.moveaxis(numbers, axes.index("C"), -1)
    frames = numbers.reshape(-1, sizes.get("C", 1))
    return [FrameLayout(tuple(int(page) for page in frame)) for frame in frames]


def _in_turn(pages: int, channels: int) -> list[FrameLayout]:
    """Return frames whose channels follow one another."""
    return [FrameLayout(tuple(range(k, k + channels))) for k in range(0, pages, channels)]


def _count(metadata: Mapping[str, Any], key: str, where: str) -> int:
    value = metadata.get(key, 1)
    if not isinstance(value, int) or value < 1:
        raise ImageError(f"its ImageJ description says {key}={value}", where=where, remedy="Save it again")
    return value


def _labels(metadata: Mapping[str, Any], pages: int) -> list[str]:
    """Return one label a page without ImageJ's own "c:1/4 - " before it; none where pages lack one."""
    labels = metadata.get("Labels")
    if not isinstance(labels, list) or len(labels) != pages or not all(isinstance(x, str) for x in labels):
        return []
    plain = (re.sub(r"^([czt]:\d+/\d+ )+- ", "", label).strip() for label in labels)
    # Stacks that were put together of files are labelled with these, and files are called after patients.
    return ["" if _FILE_NAME.search(label) else label for label in plain]
