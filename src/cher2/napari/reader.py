"""Open image files in napari: one layer a channel, named, coloured and scaled.

napari asks :func:`get_reader` which files are cher2's, and calls what it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from cher2.errors import ImageError
from cher2.images.files import single_file
from cher2.images.image import Image
from cher2.images.image_folders import IMAGE_SUFFIXES
from cher2.images.reader import count_frames, read_image
from cher2.napari.palettes import CHANNEL_PALETTES, CLASSIC, contrast_limits
from cher2.protocol import ROLES, Protocol, Role

LayerData = tuple[Any, dict[str, Any], str]
"""What napari makes a layer of: pixels, settings, kind of layer."""

METADATA = "cher2"
"""The key of a layer's metadata under which cher2 keeps what the file said."""

MICROMETRE, FRAME_STEP = "micrometer", "pixel"


def get_reader(path: str | Sequence[str]) -> Callable[[Any], list[LayerData]] | None:
    """Return the reader of a file, or of files that napari is to open as one stack.

    Parameters
    ----------
    path : str or sequence of str

    Returns
    -------
    callable or None
        :func:`read_layers`; None where an ending is none of cher2's. Whether the file can be read is not
        looked at here: a damaged image is an error that the user must see, not a file of another plugin's.
    """
    paths = [path] if isinstance(path, str) else list(path)
    ours = all(Path(p).name.lower().endswith(IMAGE_SUFFIXES) and not Path(p).is_dir() for p in paths)
    return read_layers if paths and ours else None


def read_layers(path: str | Sequence[str]) -> list[LayerData]:
    """Read files as layers, one a channel.

    Parameters
    ----------
    path : str or sequence of str
        A file with one frame makes layers (Y, X). A file with several, or several files, make layers
        (T, Y, X) whose frames are read when they are shown.

    Returns
    -------
    list of LayerData

    Raises
    ------
    ImageError
        A file is no image or is damaged, or the frames differ in size or channels.
    """
    paths = [Path(path)] if isinstance(path, str) else [Path(p) for p in path]
    protocol = Protocol()
    places = [(p, k) for p in paths for k in range(count_frames(single_file(p), protocol))]
    first = read_image(places[0][0], protocol, places[0][1])
    if len(places) == 1:
        return channel_layers(first, list(first.pixels), str(paths[0]))
    return channel_layers(first, [_stack(places, first, c) for c in range(len(first.pixels))], str(paths[0]))


def channel_layers(first: Image, channels: Sequence[Any], path: str = "", note: str = "") -> list[LayerData]:
    """Return the layers of an image's channels.

    Parameters
    ----------
    first : Image
        The frame, or the first of several: it gives names, pixel size and contrast.
    channels : sequence of array_like, each (Y, X) or (T, Y, X)
        The pixels of each channel.
    path : str
        The file; of a stack, the layers' metadata keep its name, and never its folders: they may name a person.
    note : str
        What to put behind each layer's name, in brackets; "synthetic" where the file itself says so.

    Returns
    -------
    list of LayerData
    """
    roles = channel_roles(first)
    said = note or ("synthetic" if first.synthetic else "")
    return [
        (pixels, _settings(first, number, roles[number], pixels.ndim, path, said), "image")
        for number, pixels in enumerate(channels)
    ]


def channel_roles(image: Image) -> list[Role | None]:
    """Return the role of each channel by the default protocol's names; None for a channel of another name."""
    names = {str(getattr(Protocol().channels, role)).casefold(): role for role in ROLES}
    roles: list[Role | None] = [names.get(name.casefold()) for name in image.channels]
    return roles


def _settings(image: Image, number: int, role: Role | None, ndim: int, path: str, note: str) -> dict[str, Any]:
    title = str(getattr(Protocol().channels, role)) if role else image.channels[number] or f"channel {number}"
    size = image.pixel_size_um
    frames = ndim - 2
    return {
        "name": f"{title} ({note})" if note else title,
        "colormap": CHANNEL_PALETTES[CLASSIC][role] if role else "gray",
        "blending": "additive",
        "contrast_limits": contrast_limits(image.pixels[number], role),
        # A file that does not know its pixel size stays in pixels: the protocol's is no property of the file.
        "scale": (1.0,) * frames + ((size, size) if size else (1.0, 1.0)),
        "units": (FRAME_STEP,) * frames + ((MICROMETRE if size else "pixel"),) * 2,
        "axis_labels": ("frame", "y", "x")[-ndim:],
        "metadata": {
            METADATA: {
                "role": role,
                "channel": image.channels[number],
                "channels": image.channels,
                "pixel_size_um": size,
                "bits": image.bits,
                # Of a stack, the file's name: the first frame's own has its number behind it.
                "name": Path(path).name if frames else image.name,
            }
        },
    }


def _stack(places: Sequence[tuple[Path, int]], first: Image, channel: int) -> da.Array:
    """Return one channel of all frames, (T, Y, X), read a frame at a time when it is needed."""
    rows, columns = first.shape

    def read(block_id: tuple[int, int, int]) -> NDArray[Any]:
        return _read_plane(places[block_id[0]], first, channel)[np.newaxis]

    stack: da.Array = da.map_blocks(
        read,
        chunks=((1,) * len(places), (rows,), (columns,)),
        dtype=first.pixels.dtype,
        meta=np.empty((0, 0, 0), first.pixels.dtype),
    )
    return stack


def _read_plane(place: tuple[Path, int], first: Image, channel: int) -> NDArray[Any]:
    path, number = place
    frame = read_image(path, frame=number)
    if frame.pixels.shape != first.pixels.shape or frame.channels != first.channels:
        raise ImageError(
            f"this frame has {_described(frame)}, but {first.name} has {_described(first)}",
            where=frame.name,
            remedy="Open frames of different kinds one by one, not as one stack",
        )
    plane: NDArray[Any] = frame.pixels[channel].astype(first.pixels.dtype, copy=False)
    return plane


def _described(image: Image) -> str:
    named = ", ".join(name or "unnamed" for name in image.channels)
    return f"{image.shape[0]} x {image.shape[1]} pixels of {named}"
