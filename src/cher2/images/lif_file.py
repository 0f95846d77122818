"""Frames from Leica LIF files, through the library liffile: every tile and time point of every image.

A LIF is one XML text and a block of memory for each image. liffile takes a block that ends behind the file's end for
whole, so blocks are held against the file's length here. Leica gives lengths in metres and exposures in seconds.
"""

from __future__ import annotations

import itertools
import math
import re
import struct
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from cher2.images.frames import FrameInfo
from cher2.images.layout import length_um, square_pixel_um, z_stack
from cher2.images.tiff_chain import MAX_PAGES
from cher2.images.vendor import VendorFrames, milliseconds

_COUNTED = ("M", "T")  # tiles, then time points: what makes frames of an image
_STITCHED = re.compile(r"(_merged|_merging|^mosaic\w*)$", re.IGNORECASE)
_MOST_LETTERS = 2**24
_DESCRIPTION = "./Data/Image/ImageDescription"


@dataclass(frozen=True)
class _Frame:
    """One frame: its image, and its number among the image's tiles and time points."""

    image: Any
    tile: int
    time: int


class LifFrames(VendorFrames):
    """An open LIF file as a sequence of frames; as :class:`~cher2.images.vendor.VendorFrames`."""

    library, format_name = "liffile", "Leica LIF"

    def _check_file(self) -> None:
        with self._path.open("rb") as file:
            letters = struct.unpack("<IIBI", file.read(13))[3]
            if letters > _MOST_LETTERS:
                raise self._cut(f"its description has {letters} letters, where up to {_MOST_LETTERS} are read")
            if 13 + 2 * letters > self._size:
                raise self._cut("its description is not all there")
            if "<!DOCTYPE".encode("utf-16-le") in file.read(2 * letters):
                raise self._error("its description declares a document type, which Leica's never does")

    def _open_file(self) -> Any:
        return self._module.LifFile(self._path, squeeze=False)

    def _find_frames(self) -> int:
        images = list(self._file.images)
        if not images:
            raise self._error("it holds no images")
        for image in images:
            self._check_image(image)
        most = max(image.sizes.get("C", 1) for image in images)
        if fewer := [f"{i.path} ({i.sizes.get('C', 1)})" for i in images if i.sizes.get("C", 1) < most]:
            raise self._error(
                f"its images have different numbers of channels: fewer than {most} have {', '.join(fewer[:5])}",
                "Take those out of the file, or export the others as OME-TIFF",
            )
        total = sum(math.prod(image.sizes.get(axis, 1) for axis in _COUNTED) for image in images)
        if total > MAX_PAGES:
            raise self._error(f"it declares {total} frames, where 1 to {MAX_PAGES} are read")
        self._frames = [
            _Frame(image, tile, time)
            for image in images
            for tile, time in itertools.product(*(range(image.sizes.get(axis, 1)) for axis in _COUNTED))
        ]
        return len(self._frames)

    def _check_image(self, image: Any) -> None:
        """Refuse an image that is no series of frames, or whose memory is not all there."""
        if image.is_flim:
            raise self._error(f"its image {image.path} holds lifetimes, no counts of a camera")
        if _STITCHED.search(image.name) and len(self._file.images) > 1:
            raise self._error(
                f"its image {image.path} looks like others stitched together: its cells would count twice",
                "Take it out of the file, or export the frames to be scored as OME-TIFF",
            )
        sizes = image.sizes
        if sizes.get("Z", 1) > 1:
            raise z_stack(sizes["Z"], self._where)
        if sizes.get("S", 1) > 1:
            raise self._error(f"the pixels of its image {image.path} are colours, not counts of single channels")
        others = [axis for axis, size in sizes.items() if axis not in ("X", "Y", "Z", "C", *_COUNTED) and size > 1]
        if others or not {"X", "Y"} <= sizes.keys():
            raise self._error(f"its image {image.path} has the axes {', '.join(sizes)}, which are not those of frames")
        block = image.memory_block
        if block.offset + block.size > self._size or math.prod(sizes.values()) * image.dtype.itemsize > block.size:
            raise self._cut(f"the pixels of its image {image.path} are not all there")

    def _info(self, number: int) -> FrameInfo:
        frame = self._frames[number]
        image, xml = frame.image, frame.image.xml_element
        shape = tuple(image.sizes.get(axis, 1) for axis in "CYX")
        bits = {int(channel.get("Resolution", "0")) for channel in _channels(xml)}
        return FrameInfo(
            shape=(shape[0], shape[1], shape[2]),
            dtype=image.dtype.newbyteorder("="),
            channels=_names(xml, shape[0]),
            pixel_size_um=square_pixel_um(_step_um(xml, 1), _step_um(xml, 2), self._where),
            bits=max(bits, default=0) or None,
            position_um=_position_um(image.tilescan, frame.tile),
            exposure_ms=_exposures(xml, shape[0]),
        )

    def _pixels(self, number: int, info: FrameInfo) -> NDArray[Any]:
        frame = self._frames[number]
        place = {"M": frame.tile, "T": frame.time}
        place = {axis: k for axis, k in place.items() if axis in frame.image.sizes}
        many = "C" in frame.image.sizes
        planes = [frame.image.frame(**place, **({"C": c} if many else {})) for c in range(info.shape[0])]
        return np.stack([plane.reshape(info.shape[1:]) for plane in planes])


def _channels(xml: Element) -> list[Element]:
    """Return the descriptions of the channels, in the order of their pixels."""
    found = xml.findall(f"{_DESCRIPTION}/Channels/ChannelDescription")
    return sorted(found, key=lambda channel: int(channel.get("BytesInc", "0")))


def _camera_settings(xml: Element, count: int) -> list[Element]:
    """Return the camera's settings of each channel; none where there are not as many as channels."""
    found = xml.findall("./Data/Image/Attachment//WideFieldChannelConfigurator/WideFieldChannelInfo")
    return found if len(found) == count else []


def _names(xml: Element, count: int) -> tuple[str, ...]:
    """Return the channels' names: the dye, else the user's name or the filter cube, else the colour table."""
    cameras: list[Element | None] = [*_camera_settings(xml, count)] or [None] * count
    names = []
    for channel, camera in zip(_channels(xml), cameras, strict=False):
        dye = next((p.findtext("Value", "") for p in channel if p.findtext("Key") == "DyeName"), "")
        given = [camera.get("UserDefName", ""), camera.get("FluoCubeName", "")] if camera is not None else []
        names.append(next((name for name in (dye.removeprefix("Leica/"), *given) if name), channel.get("LUTName", "")))
    return tuple(names) if len(names) == count else ("",) * count


def _step_um(xml: Element, axis: int) -> float | None:
    """Return the distance of pixels along an axis (1 is X, 2 is Y); Leica gives that of the first and the last."""
    for dimension in xml.findall(f"{_DESCRIPTION}/Dimensions/DimensionDescription"):
        steps = int(dimension.get("NumberOfElements", "0")) - 1
        if dimension.get("DimID") == str(axis) and steps > 0:
            length = length_um(dimension.get("Length"), dimension.get("Unit", ""))
            return None if length is None else abs(length) / steps
    return None


def _position_um(scan: Any, tile: int) -> tuple[float, float] | None:
    """Return a tile's place (y, x); the stage's axes are swapped and turned as the scan says, to be the image's."""
    if scan is None or tile >= len(scan):
        return None
    y, x = 1e6 * float(scan.tiles["pos_y"][tile]), 1e6 * float(scan.tiles["pos_x"][tile])
    if scan.swap_xy:
        y, x = x, y
    y, x = -y if scan.flip_y else y, -x if scan.flip_x else x
    return (y, x) if math.isfinite(x + y) else None


def _exposures(xml: Element, count: int) -> tuple[float | None, ...]:
    texts = [camera.get("ExposureTime", "") for camera in _camera_settings(xml, count)]
    return tuple(milliseconds(_seconds_as_ms(text)) for text in texts)


def _seconds_as_ms(text: str) -> float | None:
    """Return milliseconds from "0.05", in seconds, or from "50 ms"."""
    found = re.fullmatch(r"([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*(ms|s|)", text.strip())
    return float(found[1]) * (1.0 if found[2] == "ms" else 1e3) if found else None
