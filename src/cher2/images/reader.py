"""Read any image that cher2 knows, as one :class:`~cher2.images.image.Image` a frame.

What a file is, its first bytes say; its name does not count.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cher2.errors import ChannelError, ImageError
from cher2.images.celltracks import CellTracksFrames
from cher2.images.files import ImageFile, channel_files, role_names, single_file
from cher2.images.frames import Frames, OneFrame
from cher2.images.image import Image
from cher2.images.image_folders import is_folder, open_file
from cher2.images.omezarr import OmeZarrFrames
from cher2.images.places import is_remote, place, shown
from cher2.images.raster import JPEG_MAGIC, PNG_MAGIC, decode_jpeg, decode_png, single_plane
from cher2.images.remote import FRAME_FETCH_BYTES, fetched, read_remote
from cher2.images.tiff import TiffFrames
from cher2.images.vendor import VendorFrames
from cher2.protocol import ROLES, Protocol

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_MAKERS = {
    b"ZISRAWFILE": ("cher2.images.czi_file", "CziFrames"),
    b"\xda\xce\xbe\x0a": ("cher2.images.nd2_file", "Nd2Frames"),
    b"\x70\x00\x00\x00": ("cher2.images.lif_file", "LifFrames"),
}
"""Modules and classes of the makers' formats by the first bytes; imported when a file of theirs is opened."""

_VENDORS = {
    b"\x89HDF": "an HDF5 file (Imaris?)",
    b"version https://git-lfs": "a Git LFS pointer: the image itself was not downloaded",
    b"BM": "a BMP file",
    b"GIF8": "a GIF file",
    b"PK": "a zip archive",
}  # fmt: skip


HEAD_BYTES = 32
"""So many bytes tell what a file is."""


def read_image(path: str | Path, protocol: Protocol | None = None, frame: int = 0) -> Image:
    """Read one frame.

    Parameters
    ----------
    path : str or Path
        A TIFF, PNG, JPEG, ND2, LIF or CZI file or an OME-Zarr folder; or a path whose name holds ``{channel}``, such
        as ``slide/frame01_{channel}.jpg``, for one file a channel; or a URL of any of these.
    protocol : Protocol, optional
        Its channels tell which of such files are read; the default protocol's where none is given.
    frame : int
        Which frame of a file that has several, counted from 0.

    Returns
    -------
    Image
        Named as the file is, with ``#1``, ``#2`` ... where it has several frames.

    Raises
    ------
    ImageError
        The file is not there, is no image, is damaged, or has no such frame.
    ChannelError
        A file of a channel that the protocol names is missing.

    Examples
    --------
    >>> read_image("slide/frame01.ome.tif").pixels.shape  # doctest: +SKIP
    (4, 1036, 1384)
    """
    path = place(path)
    protocol = protocol or Protocol.from_dict({})
    file = channel_files(path, protocol) if "{channel}" in path.name else single_file(path)
    return read_frame(file, frame, protocol)


def open_frames(file: ImageFile, protocol: Protocol) -> Frames:
    """Open a file or channel set as a sequence of frames; to be used in a ``with`` statement.

    Parameters
    ----------
    file : ImageFile
        As found by :func:`~cher2.images.files.find_image_files`.
    protocol : Protocol
        Its channels tell labelled channels from focal planes; in a channel set, each must have a file. Its
        ``image.max_pixels`` says from where on a frame is too large.

    Returns
    -------
    Frames

    Raises
    ------
    ImageError, ChannelError
        As :func:`read_image`.
    """
    file.refuse()
    path, most = file.paths[0], protocol.image.max_pixels
    if file.channels:
        return OneFrame(_read_set(file, protocol))
    if file.celltracks is not None:
        return CellTracksFrames(path, file.paths[1:], *file.celltracks, most=most)
    if is_folder(path):
        return OmeZarrFrames(path, most)
    head = _read_bytes(path, HEAD_BYTES)
    if maker := _maker(head):
        _refuse_store(path)
        return maker(path, most)
    if (kind := _kind(head, path)) == "tiff":
        return TiffFrames(path, role_names(protocol), most)
    return OneFrame(_read_raster(path, kind, file.name, most))


def read_frame(file: ImageFile, frame: int, protocol: Protocol) -> Image:
    """Read one frame of a file or channel set; of a stack, no other frame is decoded.

    Parameters
    ----------
    file : ImageFile
        As found by :func:`~cher2.images.files.find_image_files`.
    frame : int
        Which frame, counted from 0.
    protocol : Protocol
        As of :func:`open_frames`.

    Returns
    -------
    Image
        Named as :func:`read_frames` names it.

    Raises
    ------
    ImageError, ChannelError
        As :func:`read_image`.
    """
    with fetched(file, FRAME_FETCH_BYTES) as here, open_frames(here, protocol) as frames:
        return frames.read(frame, frame_name(file.name, frame, len(frames)))


def read_frames(file: ImageFile, protocol: Protocol) -> Iterator[Image]:
    """Read every frame of a file or channel set, one after the other.

    Parameters
    ----------
    file : ImageFile
        As found by :func:`~cher2.images.files.find_image_files`.
    protocol : Protocol
        As of :func:`open_frames`.

    Yields
    ------
    Image
        Named ``file.name``, or ``file.name#1``, ``#2`` ... where there are several.

    Raises
    ------
    ImageError, ChannelError
        As :func:`read_image`.
    """
    with fetched(file) as here, open_frames(here, protocol) as frames:
        for k in range(len(frames)):
            yield frames.read(k, frame_name(file.name, k, len(frames)))


def count_frames(file: ImageFile, protocol: Protocol) -> int:
    """Return the number of frames of a file or channel set.

    Raises
    ------
    ImageError
        The file is not there or is no image.
    """
    with open_frames(file, protocol) as frames:
        return len(frames)


def frame_name(name: str, frame: int, count: int) -> str:
    """Return what tables call a frame, counted from 0, of a file with so many."""
    return name if count == 1 else f"{name}#{frame + 1}"


def _maker(head: bytes) -> type[VendorFrames] | None:
    """Return the reader of a maker's format by a file's first bytes; None where it is of none."""
    where = next((where for magic, where in _MAKERS.items() if head.startswith(magic)), None)
    if where is None:
        return None
    reader: type[VendorFrames] = getattr(importlib.import_module(where[0]), where[1])
    return reader


def _refuse_store(path: Path) -> None:
    if is_remote(path):
        raise ImageError(
            "a maker's file in a store is read whole, by cher2 run, and not opened in its place",
            where=shown(path),
            remedy="Copy it to this machine first",
        )


def _kind(head: bytes, path: Path) -> str:
    """Tell by its first bytes whether a file is a "tiff", a "png" or a "jpeg"."""
    if head.startswith(TIFF_MAGIC):
        return "tiff"
    if head.startswith(PNG_MAGIC):
        return "png"
    if head.startswith(JPEG_MAGIC):
        return "jpeg"
    vendor = next((what for magic, what in _VENDORS.items() if head.startswith(magic)), "")
    # Text may be a name: it is not told.
    start = "text" if head[:8].decode("latin-1").isprintable() else repr(head[:8])
    what = f"it is {vendor}" if vendor else f"it is no TIFF, PNG or JPEG, but begins with {start}"
    raise ImageError(
        what if head else "the file is empty",
        where=shown(path),
        remedy="Export the image as OME-TIFF" if head else "Copy it again from its source",
    )


def _read_bytes(path: Path, count: int = -1) -> bytes:
    if is_remote(path):
        return read_remote(path, count)
    try:
        with open_file(path) as file:
            return file.read(count)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(
            f"the image cannot be read ({reason})", where=shown(path), remedy="Name an image file that is there"
        ) from error


def _read_raster(path: Path, kind: str, name: str, most: int) -> Image:
    decode = decode_png if kind == "png" else decode_jpeg
    # 16 bit that could not be packed, and words beside them: a file may be of a terabyte with a small picture's head.
    bytes_most = 3 * most + 2**20
    known = 0 if is_remote(path) else path.stat().st_size
    data = b"" if known > bytes_most else _read_bytes(path, bytes_most + 1)
    if max(known, len(data)) > bytes_most:
        raise ImageError(
            f"it has more than {bytes_most} bytes, which no picture of {most} pixels takes",
            where=shown(path),
            remedy="Save it again from its source, or raise image.max_pixels in the protocol",
        )
    return decode(data, name, shown(path), most)


def _read_set(file: ImageFile, protocol: Protocol) -> Image:
    """Read one file a channel into one image."""
    _check_roles(file, protocol)
    # Channels are held in memory together.
    most = protocol.image.max_pixels // len(file.paths)
    images = [_read_channel(path, most) for path in file.paths]
    planes = [single_plane(image, shown(path)) for image, path in zip(images, file.paths, strict=True)]
    for path, plane in zip(file.paths, planes, strict=True):
        if (plane.shape, plane.dtype) != (planes[0].shape, planes[0].dtype):
            raise ImageError(
                f"{file.paths[0].name} has {_described(planes[0])}, but {path.name} has {_described(plane)}",
                where=file.name,
                remedy="Give all channels of a frame in one size and type",
            )
    return Image(
        np.stack(planes),
        file.channels,
        pixel_size_um=next((i.pixel_size_um for i in images if i.pixel_size_um is not None), None),
        name=file.name,
        bits=max((i.bits for i in images if i.bits is not None), default=None),
        position_um=next((i.position_um for i in images if i.position_um is not None), None),
    )


def _described(plane: NDArray[Any]) -> str:
    return f"{plane.shape[0]} x {plane.shape[1]} pixels of {plane.dtype}"


def _read_channel(path: Path, most: int) -> Image:
    """Read a file that stands for one channel of one frame."""
    if (kind := _kind(_read_bytes(path, HEAD_BYTES), path)) != "tiff":
        return _read_raster(path, kind, path.name, most)
    with TiffFrames(path, most=most) as frames:
        if len(frames) > 1:
            raise ImageError(
                f"it should be one channel of one frame, but has {len(frames)} frames",
                where=shown(path),
                remedy="Save one file a frame and channel, or leave image.file_pattern empty in the protocol",
            )
        return frames.read(0, path.name)


def _check_roles(file: ImageFile, protocol: Protocol) -> None:
    """Demand one file for each channel that the protocol names."""
    there = [channel.casefold() for channel in file.channels]
    for role in ROLES:
        wanted = getattr(protocol.channels, role)
        count = (wanted < len(there)) if isinstance(wanted, int) else there.count(wanted.casefold())
        if count != 1:
            number = "more than one" if count else "no"
            raise ChannelError(
                f'{number} file of the channel "{wanted}" for the role {role}; there are {", ".join(file.channels)}',
                where=file.name,
                remedy=f"Add the file, or set channels.{role} in the protocol to the name that files have",
            )
