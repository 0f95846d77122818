"""What a file of images says of itself, gathered over its frames without decoding a pixel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import get_args

import numpy as np

from cher2.errors import ChannelError
from cher2.images.files import ImageFile
from cher2.images.frames import FrameInfo, Frames
from cher2.images.image import Image
from cher2.protocol import Channels, Protocol, Role

FIRST_POSITIONS = 3
"""So many stage positions are shown."""


@dataclass(frozen=True)
class FrameKind:
    """Frames of one shape and type, and how many there are."""

    frames: int
    shape: tuple[int, int, int]
    dtype: str


@dataclass(frozen=True)
class FileDescription:
    """What a file says of itself.

    Parameters
    ----------
    name, format : str
        The file, and the kind of file it is.
    frames : int
        How many frames it has.
    kinds : tuple of FrameKind
        Their shapes (channels, rows, columns) and types.
    channels : tuple of str
        The first frame's channel names.
    roles : dict of str to int
        The 0-based channel that fills each role of the protocol.
    missing : tuple of str
        Why the other roles are not filled, one sentence a role.
    pixel_size_um : tuple of float
        The sizes that frames tell, each once; empty where none does.
    protocol_pixel_size_um : float
        What is used for frames that tell none.
    without_pixel_size : int
        How many frames those are.
    bits : tuple of int
        Significant bits that frames tell, each once.
    exposure_ms : tuple of (tuple of float)
        The exposure times of each channel in ms, each once; empty for a channel of which none is told.
    positions_um : tuple of (float, float)
        Stage positions (y, x) of the first frames that tell theirs.
    position_range_um : tuple or None
        Lowest and highest (y, x) of all; None where no frame tells its position.
    with_position : int
        How many frames tell their position.
    synthetic : bool
        A frame says that ``cher2 simulate`` made it.
    """

    name: str
    format: str
    frames: int
    kinds: tuple[FrameKind, ...]
    channels: tuple[str, ...]
    roles: dict[str, int]
    missing: tuple[str, ...]
    pixel_size_um: tuple[float, ...]
    protocol_pixel_size_um: float
    without_pixel_size: int
    bits: tuple[int, ...]
    exposure_ms: tuple[tuple[float, ...], ...]
    positions_um: tuple[tuple[float, float], ...]
    position_range_um: tuple[tuple[float, float], tuple[float, float]] | None
    with_position: int
    synthetic: bool


def describe(file: ImageFile, frames: Frames, protocol: Protocol) -> FileDescription:
    """Gather what the frames of an open file say.

    Parameters
    ----------
    file : ImageFile
        The file; its name is kept.
    frames : Frames
        The file, open.
    protocol : Protocol
        Its channels are the roles to be filled; its pixel size is used where a frame tells none.

    Raises
    ------
    ImageError
        What a frame says cannot be read.
    """
    infos = [frames.info(k) for k in range(len(frames))]
    kinds = Counter((info.shape, str(info.dtype)) for info in infos)
    roles, missing = roles_of(infos[0], protocol.channels)
    places = [info.position_um for info in infos if info.position_um is not None]
    return FileDescription(
        name=file.name,
        format=_format(file, frames),
        frames=len(infos),
        kinds=tuple(FrameKind(count, shape, dtype) for (shape, dtype), count in kinds.items()),
        channels=infos[0].channels or ("",) * infos[0].shape[0],
        roles=roles,
        missing=missing,
        pixel_size_um=tuple(sorted({info.pixel_size_um for info in infos if info.pixel_size_um is not None})),
        protocol_pixel_size_um=protocol.image.pixel_size_um,
        without_pixel_size=sum(info.pixel_size_um is None for info in infos),
        bits=tuple(sorted({info.bits for info in infos if info.bits is not None})),
        exposure_ms=_exposures(infos),
        positions_um=tuple(places[:FIRST_POSITIONS]),
        position_range_um=_range(places),
        with_position=len(places),
        synthetic=any(info.synthetic for info in infos),
    )


def _format(file: ImageFile, frames: Frames) -> str:
    """Name the kind of a file: as its reader does, or by its ending."""
    ending = PurePath(file.paths[0].name).suffix.lstrip(".").upper().replace("JPG", "JPEG")
    kind = str(getattr(frames, "format_name", "") or ending)
    return f"{len(file.paths)} files {kind}, one a channel" if file.channels else kind


def roles_of(info: FrameInfo, channels: Channels) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the channel of each role, and why others have none; found as for scoring."""
    image = Image(np.zeros((info.shape[0], 1, 1), np.uint8), info.channels, name="")
    found: dict[str, int] = {}
    missing = []
    roles: tuple[Role, ...] = get_args(Role)
    for role in roles:
        if role == "her2" and not channels.has_her2:
            continue
        try:
            found[role] = image.channel_index(role, channels)
        except ChannelError as error:
            missing.append(error.what)
    return found, tuple(missing)


def _exposures(infos: Sequence[FrameInfo]) -> tuple[tuple[float, ...], ...]:
    told = [info.exposure_ms for info in infos if info.exposure_ms]
    count = max((len(times) for times in told), default=0)
    each = ({times[c] for times in told if c < len(times)} - {None} for c in range(count))
    return tuple(tuple(sorted(time for time in times if time is not None)) for times in each)


def _range(places: list[tuple[float, float]]) -> tuple[tuple[float, float], tuple[float, float]] | None:
    if not places:
        return None
    ys, xs = zip(*places, strict=True)
    return (min(ys), min(xs)), (max(ys), max(xs))


def description_lines(said: FileDescription) -> list[str]:
    """Return a description in words, a line a fact; the first line is the file's name."""
    kinds = "; ".join(
        f"{kind.frames} of {kind.shape[0]} channels x {kind.shape[1]} rows x {kind.shape[2]} columns, {kind.dtype}"
        for kind in said.kinds
    )
    facts = {
        "format": said.format,
        "frames": kinds,
        "channels": _channel_words(said),
        "pixel size": _pixel_words(said),
        "bits": ", ".join(map(str, said.bits)) or "not in the file",
        "exposure": _exposure_words(said),
        "stage (y, x)": _position_words(said),
    }
    if said.missing:
        facts["roles"] = "; ".join(said.missing)
    if said.synthetic:
        facts["synthetic"] = "yes: these images show no patient's cells"
    return [printable(said.name), *(f"  {name:<13}{printable(words)}" for name, words in facts.items())]


def _channel_words(said: FileDescription) -> str:
    filled = {number: role for role, number in said.roles.items()}
    return ", ".join(
        f"{number} {name or 'unnamed'}" + (f" ({filled[number]})" if number in filled else "")
        for number, name in enumerate(said.channels)
    )


def _pixel_words(said: FileDescription) -> str:
    ours = f"the protocol's {said.protocol_pixel_size_um:g} um is used"
    if not said.pixel_size_um:
        return f"not in the file: {ours}"
    words = ", ".join(f"{size:.4g}" for size in said.pixel_size_um) + " um"
    return words + (f"; not of {said.without_pixel_size} frames: {ours}" if said.without_pixel_size else "")


def _exposure_words(said: FileDescription) -> str:
    if not any(said.exposure_ms):
        return "not in the file"
    return ", ".join(
        f"{name or number} " + (" or ".join(f"{time:.4g}" for time in times) + " ms" if times else "unsaid")
        for number, (name, times) in enumerate(zip(said.channels, said.exposure_ms, strict=False))
    )


def _position_words(said: FileDescription) -> str:
    if said.position_range_um is None:
        return "not in the file"
    first = ", ".join(f"({y:.1f}, {x:.1f})" for y, x in said.positions_um)
    more = " ..." if said.with_position > len(said.positions_um) else ""
    (y0, x0), (y1, x1) = said.position_range_um
    words = f"{first}{more} um"
    if said.with_position > 1:
        words += f"; y {y0:.1f} to {y1:.1f}, x {x0:.1f} to {x1:.1f}"
    return words + ("" if said.with_position == said.frames else f"; of {said.with_position} frames only")


def printable(text: str) -> str:
    """Return a text of a stranger's file so that it cannot steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
