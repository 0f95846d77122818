"""Which layers are an image's channels, and whether they fit together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cher2.errors import ChannelError
from cher2.images.image import Image
from cher2.images.pages import as_counts
from cher2.napari.reader import METADATA
from cher2.protocol import ROLES, Channels, Protocol, Role

ROLE_TITLES = {role: str(Channels.model_fields[role].title) for role in ROLES}
"""What a user calls each role."""

_ADDED = re.compile(r"( \[\d+\]| \([^()]*\))+$")
PLACEMENT = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


@dataclass(frozen=True, eq=False)
class Frames:
    """The channels of one frame, or of a stack of them, as napari shows them.

    Parameters
    ----------
    planes : dict of role to array_like, each (Y, X) or (T, Y, X)
        In camera counts; a stack may be read from its file only when it is used.
    pixel_size_um : float or None
        From the layers' scale; None where they are in pixels.
    bits : int or None
        Significant bits of the camera, where the file said.
    name : str
        What to call the image.
    placement : dict
        Where and how large the layers are shown: what a layer on top of them needs.
    """

    planes: Mapping[Role, Any]
    pixel_size_um: float | None
    bits: int | None
    name: str
    placement: Mapping[str, Any]

    @property
    def is_stack(self) -> bool:
        """Whether there is a frame axis."""
        return len(self.planes["her2"].shape) == 3

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a frame."""
        rows, columns = self.planes["her2"].shape[-2:]
        return int(rows), int(columns)

    def __len__(self) -> int:
        """Return the number of frames."""
        return int(self.planes["her2"].shape[0]) if self.is_stack else 1

    def frame_name(self, number: int) -> str:
        """Return what tables call a frame."""
        return f"{self.name}#{number + 1}" if self.is_stack else self.name

    def frame(self, number: int) -> Image:
        """Read one frame; its channels are named as the default protocol names them.

        Raises
        ------
        ImageError
            The frame cannot be read, or holds values that are no counts.
        """
        planes = [self.planes[role] for role in ROLES]
        pixels = np.stack([np.asarray(p[number] if self.is_stack else p) for p in planes])
        name = self.frame_name(number)
        channels = tuple(str(getattr(Channels(), role)) for role in ROLES)
        return Image(as_counts(pixels, name), channels, self.pixel_size_um, name, self.bits)


def guess_layer(role: Role, layers: Sequence[Any], protocol: Protocol) -> Any | None:
    """Return the image layer that most likely is a role's channel.

    A layer named as the role or as the protocol's channel comes before one whose file says so; of several
    the one on top. What napari or cher2 put behind a name, as in "HER2 [1]" or "HER2 (synthetic)", does not count.

    Parameters
    ----------
    role : {"dapi", "ck", "cd45", "her2"}
    layers : sequence of napari layers, the lowest first
    protocol : Protocol

    Returns
    -------
    layer or None
    """
    wanted = {role, ROLE_TITLES[role].casefold(), str(getattr(protocol.channels, role)).casefold()}
    top_first = list(reversed(layers))
    named = [layer for layer in top_first if {layer.name.casefold(), _plain(layer.name)} & wanted]
    said = [layer for layer in top_first if _said(layer).get("role") == role]
    return next(iter([*named, *said]), None)


def _plain(name: str) -> str:
    return _ADDED.sub("", name).casefold()


def _said(layer: Any) -> Mapping[str, Any]:
    said: Mapping[str, Any] = layer.metadata.get(METADATA, {})
    return said


def join_layers(layers: Mapping[Role, Any | None]) -> Frames:
    """Return the layers of the four roles as frames.

    Parameters
    ----------
    layers : dict of role to napari image layer or None

    Returns
    -------
    Frames

    Raises
    ------
    ChannelError
        A role has no layer, two have the same, or the layers are not of one kind: single channels (Y, X) or
        (T, Y, X) of one shape and one scale.
    """
    chosen = {role: _given(role, layers[role]) for role in ROLES}
    _check_distinct(chosen)
    planes = {role: _counts(layer) for role, layer in chosen.items()}
    _check_alike("shape", {role: tuple(plane.shape) for role, plane in planes.items()}, chosen)
    _check_alike("scale", {role: _size(layer) for role, layer in chosen.items()}, chosen)
    her2 = chosen["her2"]
    said = _said(her2)
    return Frames(
        planes=planes,
        pixel_size_um=_size(her2),
        bits=said.get("bits"),
        name=said.get("name") or her2.name,
        placement={name: getattr(her2, name) for name in PLACEMENT},
    )


def _given(role: Role, layer: Any | None) -> Any:
    if layer is None:
        raise ChannelError(f"no layer is chosen for {ROLE_TITLES[role]}", remedy="Open an image, or choose its layer")
    return layer


def _check_distinct(layers: Mapping[Role, Any]) -> None:
    for (other, layer), (role, same) in combinations(layers.items(), 2):
        # A layer may reach a plugin through a new proxy every time: "is" would not see that it is the same.
        if layer == same:
            raise ChannelError(
                f"one layer is chosen for both {ROLE_TITLES[other]} and {ROLE_TITLES[role]}",
                where=layer.name,
                remedy="Choose a layer of its own for each",
            )


def _counts(layer: Any) -> NDArray[Any]:
    """Return the layer's pixels, of a pyramid the finest; refuse what is no channel in counts."""
    if layer.rgb:
        raise ChannelError(
            "this layer is a colour picture (RGB), not one channel",
            where=layer.name,
            remedy="Choose a layer with one channel, or split it (Layers, Data, Split RGB)",
        )
    pixels: NDArray[Any] = layer.data[0] if layer.multiscale else layer.data
    if len(pixels.shape) not in (2, 3):
        raise ChannelError(
            f"this layer has {len(pixels.shape)} axes",
            where=layer.name,
            remedy="cher2 scores frames (Y, X) and stacks of frames (T, Y, X)",
        )
    if 0 in pixels.shape:
        raise ChannelError("this layer has no pixels", where=layer.name, remedy="Choose another layer")
    if pixels.dtype.kind not in "uif":
        raise ChannelError(
            f"this layer holds {pixels.dtype}, not counts",
            where=layer.name,
            remedy="Choose a layer with the camera's counts",
        )
    return pixels


def _check_alike(what: str, values: Mapping[Role, Any], layers: Mapping[Role, Any]) -> None:
    first, *others = ROLES
    for role in others:
        if values[role] != values[first]:
            raise ChannelError(
                f"the {what} of {ROLE_TITLES[role]} ({_shown(values[role])}) is not that of "
                f"{ROLE_TITLES[first]} ({_shown(values[first])})",
                where=layers[role].name,
                remedy="Choose the four layers of one image",
            )


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return " x ".join(str(n) for n in value)
    return "pixels" if value is None else f"{value:g} µm"


def _size(layer: Any) -> float | None:
    """Return the side of a pixel in micrometres; None where the layer has no unit of length."""
    units = layer.units[-2:]
    if not all(unit.is_compatible_with("micrometer") for unit in units):
        return None
    rows, columns = (
        float(scale * (1 * unit).to("micrometer").magnitude)
        for scale, unit in zip(layer.scale[-2:], units, strict=True)
    )
    if not np.isclose(rows, columns, rtol=1e-3):
        raise ChannelError(
            f"its pixels are {rows:g} x {columns:g} µm, not square",
            where=layer.name,
            remedy="Mend the layer's scale",
        )
    return round(rows, 9)
