"""One frame in memory, whatever file it came from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from cher2.errors import ChannelError, ImageError
from cher2.protocol import Channels, Protocol, Role

MAX_PIXELS = Protocol().image.max_pixels
"""Most pixels of a frame in all channels together that are read, where a protocol says nothing else."""


def check_pixels(pixels: int, most: int, where: str) -> None:
    """Refuse a frame that is too large, before it is decoded.

    Parameters
    ----------
    pixels : int
        Of all channels together, as the file declares them.
    most : int
        The protocol's ``image.max_pixels``.
    where : str
        The file, for errors.

    Raises
    ------
    ImageError
        It has none, or more than are read.
    """
    if pixels < 1:
        raise ImageError("a frame has 0 pixels", where=where, remedy="Export the image again from its source")
    if pixels > most:
        raise ImageError(
            f"a frame has {pixels} pixels in all channels, where up to {most} are read (image.max_pixels)",
            where=where,
            remedy="Cut the image into frames, or raise image.max_pixels in the protocol where there is memory for it",
        )


@dataclass(frozen=True)
class SelectedCell:
    """A cell that an operator selected in another program.

    Parameters
    ----------
    name : str
        What that program calls it.
    box : tuple of float
        Least y, least x, most y and most x in pixels of the frame; it may reach beyond the frame.
    """

    name: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Image:
    """One frame: its channels and what the file says about them.

    Parameters
    ----------
    pixels : ndarray, shape (C, Y, X)
        The channels as the file holds them: uint8, uint16 or float32, in camera counts.
    channels : tuple of str, length C
        The channels' names in the file; an empty string where the file gives none.
    pixel_size_um : float or None
        Side of a pixel in micrometres; None where the file does not say.
    name : str
        What tables call the frame: the file's path relative to the image folder, with "#1", "#2" ... where a
        file has several.
    bits : int or None
        Significant bits of the camera, where the file says.
    position_um : tuple of float or None
        Stage position (y, x) of the frame's first pixel in micrometres, where the file says.
    synthetic : bool
        The file says that ``cher2 simulate`` made it: wherever it is shown, that is said.
    exposure_ms : tuple of (float or None), length C
        Exposure time of each channel in milliseconds, None where the file does not say; empty where it says
        none.
    remarks : tuple of str
        What a user must know of how the file was read; the report repeats it.
    selected : tuple of SelectedCell, or None
        The cells that an operator called CTCs in another program; None where the file does not say.
    """

    pixels: NDArray[Any]
    channels: tuple[str, ...] = ()
    pixel_size_um: float | None = None
    name: str = "image"
    bits: int | None = None
    position_um: tuple[float, float] | None = None
    synthetic: bool = False
    exposure_ms: tuple[float | None, ...] = ()
    remarks: tuple[str, ...] = ()
    selected: tuple[SelectedCell, ...] | None = None

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or 0 in self.pixels.shape:
            raise ChannelError(
                f"an image has channels, rows and columns, but this one has the shape {self.pixels.shape}",
                where=self.name,
                remedy="Give the pixels as an array (C, Y, X)",
            )
        names = self.channels or ("",) * len(self.pixels)
        if len(names) != len(self.pixels):
            raise ChannelError(f"there are {len(self.pixels)} channels but {len(names)} channel names", where=self.name)
        object.__setattr__(self, "channels", tuple(names))
        if self.exposure_ms and len(self.exposure_ms) != len(self.pixels):
            raise ChannelError(
                f"there are {len(self.pixels)} channels but {len(self.exposure_ms)} exposure times", where=self.name
            )

    def named(self, name: str) -> Image:
        """Return the same frame under another name."""
        return self if name == self.name else replace(self, name=name)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the frame."""
        return self.pixels.shape[1], self.pixels.shape[2]

    @property
    def saturation(self) -> float:
        """The count at which the camera saturates; infinity where that cannot be known (float pixels).

        Without a word in the file, the camera is taken to have the fewest of 8, 10, 12, 14 or 16 bits that
        hold the brightest pixel: a frame that touches 4095 is from a 12-bit camera.
        """
        if not np.issubdtype(self.pixels.dtype, np.integer):
            return float("inf")
        brightest = int(self.pixels.max())
        known = self.bits if self.bits and brightest < 2**self.bits else None
        bits = known or next((b for b in (8, 10, 12, 14, 16) if brightest < 2**b), 16)
        return float(2**bits - 1)

    def channel_index(self, role: Role, channels: Channels) -> int:
        """Return the number of the channel that has a role.

        Names are compared without regard to case. A number in the protocol counts from 0.

        Raises
        ------
        ChannelError
            The image has no such channel, or two of that name.
        """
        wanted = getattr(channels, role)
        if isinstance(wanted, int):
            if wanted >= len(self.pixels):
                raise self._missing(role, f"number {wanted}")
            return wanted
        found = [i for i, name in enumerate(self.channels) if name.casefold() == wanted.casefold()]
        if not found:
            raise self._missing(role, f'"{wanted}"')
        if len(found) > 1:
            raise ChannelError(
                f'two channels are named "{wanted}" (numbers {found[0]} and {found[1]})',
                where=self.name,
                remedy=f"Give the channel's 0-based number in the protocol: channels.{role} = {found[0]}",
            )
        return found[0]

    def plane(self, role: Role, channels: Channels) -> NDArray[Any]:
        """Return the channel (Y, X) that has a role; a HER2 that the protocol says is not there is dark.

        Raises
        ------
        ChannelError
            As :meth:`channel_index`.
        """
        if role == "her2" and not channels.has_her2:
            return np.zeros(self.shape, self.pixels.dtype)
        plane: NDArray[Any] = self.pixels[self.channel_index(role, channels)]
        return plane

    def planes(self, channels: Channels) -> dict[Role, NDArray[Any]]:
        """Return the four channels (Y, X) by role."""
        roles: tuple[Role, ...] = get_args(Role)
        return {role: self.plane(role, channels) for role in roles}

    def exposures(self, channels: Channels) -> dict[Role, float]:
        """Return the exposure times in milliseconds by role, of the roles whose exposure the file tells.

        Raises
        ------
        ChannelError
            As :meth:`channel_index`.
        """
        if not self.exposure_ms:
            return {}
        roles: tuple[Role, ...] = get_args(Role)
        there = [role for role in roles if role != "her2" or channels.has_her2]
        times = {role: self.exposure_ms[self.channel_index(role, channels)] for role in there}
        return {role: time for role, time in times.items() if time is not None}

    def _missing(self, role: Role, wanted: str) -> ChannelError:
        named = [name for name in self.channels if name]
        one = len(self.pixels) == 1
        has = (
            f"it has {', '.join(named)}" if named else f"it has {len(self.pixels)} unnamed channel{'' if one else 's'}"
        )
        remedy = f"Set channels.{role} in the protocol to a channel's name or 0-based number"
        if role == "her2":
            remedy += ', or to "none" to find CTCs without grading them'
        if one:
            remedy = 'If each file is one channel, say so by image.file_pattern, such as "{frame}_{channel}.tif"'
        return ChannelError(f"no channel {wanted} for the role {role}; {has}", where=self.name, remedy=remedy)
