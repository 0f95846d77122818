"""Files that hold one channel each, told by their names: frame01_DAPI.jpg, frame01_CK.jpg, or DAPI/frame01.tif."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import PurePosixPath

from cher2.errors import ImageError
from cher2.images.files import ImageFile, role_names
from cher2.protocol import Protocol

ROLES_SEEN = 3
"""So many roles must differ in nothing but the channel: two may also be the name of a kit."""


def likely_pattern(names: Iterable[str], channels: Sequence[str]) -> str:
    """Return the ``file_pattern`` that files' names suggest; empty where they suggest none.

    Parameters
    ----------
    names : iterable of str
        Paths with forward slashes.
    channels : sequence of str
        The names of channels that are looked for, in any case.

    Examples
    --------
    >>> likely_pattern(["P1/7_dapi.png", "P1/7_ck.png", "P1/7_cd45.png"], ["DAPI", "CK", "CD45", "HER2"])
    '{frame}_{channel}.png'
    """
    seen: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    if not channels:
        return ""
    word = re.compile(rf"(?<![a-z0-9])({'|'.join(map(re.escape, channels))})(?![a-z0-9])", re.IGNORECASE)
    for name in names:
        for found in word.finditer(name):
            rest = f"{name[: found.start()]}{{channel}}{name[found.end() :]}"
            if pattern := _pattern(rest):
                seen[rest, pattern].add(found[0].casefold())
    return next((pattern for (_, pattern), roles in seen.items() if len(roles) >= ROLES_SEEN), "")


def pattern_of(files: Iterable[ImageFile], protocol: Protocol) -> str:
    """Return the ``file_pattern`` that a protocol lacks for some files; empty where it has one, or needs none."""
    if protocol.image.file_pattern:
        return ""
    return likely_pattern(_single(files), role_names(protocol))


def refuse_split_frames(files: Collection[ImageFile], protocol: Protocol) -> None:
    """Refuse files that hold one channel each, where the protocol takes each file for a frame.

    Raises
    ------
    ImageError
        Their names differ only in the channel, and the protocol has no ``image.file_pattern``.
    """
    if pattern := pattern_of(files, protocol):
        raise ImageError(
            "the files seem to hold one channel each, but the protocol says nothing of it",
            where=_single(files)[0],
            remedy=f'Write file_pattern = "{pattern}" under [image] in a protocol, and give it with --protocol; '
            "'cher2 protocol --example' prints one",
        )


def _single(files: Iterable[ImageFile]) -> list[str]:
    """Return the names of files that are neither joined from several nor wells of a plate."""
    return [file.name for file in files if not file.channels and not file.plate]


def _pattern(rest: str) -> str:
    """Return the pattern for a path whose channel is marked; empty where the frame's place is not plain."""
    path = PurePosixPath(rest)
    suffix = "".join(re.findall(r"\.[a-z]+", path.name, re.IGNORECASE)[-2:])
    if path.parent.name == "{channel}":
        return f"{{channel}}/{{frame}}{suffix}"
    before, channel, after = path.name.partition("{channel}")
    if not channel:
        return ""
    if after == suffix and (parts := re.fullmatch(r".*[a-z0-9]([_\-. ]*)", before, re.IGNORECASE)):
        return f"{{frame}}{parts[1]}{{channel}}{suffix}"
    middle = after.removesuffix(suffix)
    if not before and (parts := re.fullmatch(r"([_\-. ]*)[a-z0-9].*", middle, re.IGNORECASE)):
        return f"{{channel}}{parts[1]}{{frame}}{suffix}"
    return ""
