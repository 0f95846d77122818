"""Which files of a folder are frames, and what the tables call them.

Only names are looked at: a folder of a hundred thousand frames on a slow share is listed without opening one.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from cher2.errors import ImageError
from cher2.protocol import ROLES, Protocol

IMAGE_SUFFIXES = (".tif", ".tiff", ".btf", ".png", ".jpg", ".jpeg")
"""Endings of image files, in any case; ``.ome.tif`` is one of them."""


@dataclass(frozen=True)
class ImageFile:
    """One image of a folder: a file, or the files of its channels.

    Parameters
    ----------
    name : str
        What tables call it: the path relative to the image folder, with forward slashes; for one file a
        channel the path with the frame's name, "P1/frame01" for P1/frame01_dapi.jpg.
    paths : tuple of Path
        The file, or one file a channel.
    channels : tuple of str
        The channel names found in the files' names; empty for a single file.
    """

    name: str
    paths: tuple[Path, ...]
    channels: tuple[str, ...] = ()

    def absolute(self) -> ImageFile:
        """Return the same image with its paths from the root: a worker may stand in another folder."""
        return replace(self, paths=tuple(path.absolute() for path in self.paths))


class _Match(NamedTuple):
    frame: str
    channel: str


def find_image_files(folder: Path, protocol: Protocol) -> list[ImageFile]:
    """Find the images of a folder and of all folders below it.

    Hidden files and folders are left out, links to folders are not followed, and neither are links to files
    outside the folder. With a ``file_pattern``, the files of one frame make one image; files whose channel no
    role names are left out, such as masks, unless the frame has no other. A frame that lacks a channel is
    listed, so that reading it can say so.

    Parameters
    ----------
    folder : Path
        The image folder.
    protocol : Protocol
        Its ``image.file_pattern`` and ``channels`` are used. A pattern without "/" is matched against a
        file's name, one with it against the end of the file's path below the folder, by whole folders.

    Returns
    -------
    list of ImageFile
        In natural order of their names: frame2 before frame10.

    Raises
    ------
    ImageError
        The folder is not there or cannot be listed, or no image is in it.
    """
    folder = Path(folder)
    paths = _list_folder(folder)
    pattern = protocol.image.file_pattern
    if pattern:
        images = _channel_sets(folder, paths, protocol)
    else:
        chosen = (path for path in paths if path.lower().endswith(IMAGE_SUFFIXES))
        images = [ImageFile(_printable(path), (folder / path,)) for path in chosen]
    if not images:
        raise _none_found(folder, paths, pattern)
    return sorted(images, key=lambda image: natural_key(image.name))


def natural_key(text: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Return a key that sorts numbers in names by value; names alike but for case keep a fixed order."""
    # A folder's files come before those of a folder whose name goes on: "/" sorts as the lowest character.
    parts = re.split(r"([0-9]+)", text.casefold().replace("/", "\0"))
    return tuple((0, int(p), "") if i % 2 else (1, 0, p) for i, p in enumerate(parts)), text


def channel_files(path: Path, protocol: Protocol) -> ImageFile:
    """Find the files of one frame, given as a path whose name holds ``{channel}``.

    Raises
    ------
    ImageError
        The folder is not there, or no file fits.
    """
    if path.name.count("{channel}") != 1:
        raise ImageError(
            "a path must hold {channel} once, in the file's name",
            where=str(path),
            remedy="Name a frame's files as in frame01_{channel}.jpg",
        )
    before, after = path.name.split("{channel}")
    regex = re.compile(f"{re.escape(before)}(?P<channel>.+){re.escape(after)}", re.DOTALL)
    found = {m["channel"]: path.parent / n for n in _names(path.parent) if (m := regex.fullmatch(n))}
    if not found:
        raise ImageError("no file fits", where=str(path), remedy="Look for a misspelling in the path")
    frame = (before + after).partition(".")[0].strip("_-. ") or path.parent.name
    return _image_set(frame, found.items(), protocol)


def _printable(name: str) -> str:
    r"""Return a name that tables can hold: bytes that are no UTF-8, as Linux allows them, are written as \xff."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _names(folder: Path) -> list[str]:
    return [path for path in _list_folder(folder, deep=False) if "/" not in path]


def _list_folder(folder: Path, deep: bool = True) -> list[str]:
    """Return the files below a folder as paths relative to it, with forward slashes."""
    if not folder.is_dir():
        what = "it is a file, not a folder" if folder.exists() else "there is no such folder"
        raise ImageError(what, where=str(folder), remedy="Name the folder that holds the images")
    root = folder.resolve()
    found: list[str] = []
    waiting = [""]
    while waiting:
        below = waiting.pop()
        for entry in _entries(folder / below):
            path = f"{below}/{entry.name}" if below else entry.name
            if entry.is_dir(follow_symlinks=False):
                waiting.extend([path] if deep else [])
            elif not entry.is_symlink() or _leads_to_file_within(root, entry):
                found.append(path)
    return found


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            kept = [e for e in entries if not e.name.startswith((".", "__MACOSX"))]
    except OSError as error:
        raise ImageError(
            f"the folder cannot be listed ({error.strerror})",
            where=str(folder),
            remedy="Give yourself the right to read it, or move it elsewhere",
        ) from error
    yield from kept


def _leads_to_file_within(root: Path, entry: os.DirEntry[str]) -> bool:
    target = Path(os.path.realpath(entry.path))
    return target.is_relative_to(root) and target.is_file()


def _channel_sets(folder: Path, paths: Iterable[str], protocol: Protocol) -> list[ImageFile]:
    """Gather the files that match the protocol's pattern by frame."""
    matcher = _Matcher(protocol)
    frames: defaultdict[str, list[tuple[str, Path]]] = defaultdict(list)
    for path in paths:
        match = matcher.match(path)
        if match is not None:
            frames[match.frame].append((match.channel, folder / path))
    return [_image_set(name, files, protocol) for name, files in frames.items()]


def _image_set(name: str, files: Iterable[tuple[str, Path]], protocol: Protocol) -> ImageFile:
    """Make an image of the files whose channels have a role; of all where the protocol counts channels."""
    ordered = sorted(files, key=lambda file: natural_key(f"{file[0]}/{file[1]}"))
    wanted = role_names(protocol)
    if len(wanted) == len(ROLES):
        folded = {name.casefold() for name in wanted}
        ordered = [file for file in ordered if file[0].casefold() in folded] or ordered
    return ImageFile(_printable(name), tuple(path for _, path in ordered), tuple(channel for channel, _ in ordered))


def role_names(protocol: Protocol) -> tuple[str, ...]:
    """Return the channel names that the protocol gives; it may give numbers instead."""
    values = (getattr(protocol.channels, role) for role in ROLES)
    return tuple(value for value in values if isinstance(value, str))


class _Matcher:
    """The protocol's file pattern, ready to take paths apart.

    A channel that the protocol names is tried first: "{frame}_{channel}.jpg" must not take "1_CD45_APC.jpg"
    for the channel "APC".
    """

    def __init__(self, protocol: Protocol) -> None:
        self._pattern = protocol.image.file_pattern
        names = sorted(role_names(protocol), key=len, reverse=True)
        known = "|".join(map(re.escape, names))
        self._tries = [self._compile("[^/]+?", f"(?i:{known})")] if names else []
        self._tries.append(self._compile("[^/]+", "[^/]+?"))

    def _compile(self, frame: str, channel: str) -> re.Pattern[str]:
        groups = {"{frame}": f"(?P<frame>{frame})", "{channel}": f"(?P<channel>{channel})"}
        parts = re.split(r"(\{frame\}|\{channel\})", self._pattern)
        body = "".join(groups.get(part) or re.escape(part) for part in parts)
        return re.compile(f"(?P<folder>(?:.*/)?){body}", re.DOTALL | re.IGNORECASE)

    def match(self, path: str) -> _Match | None:
        """Take a path apart into the image's name and the channel; None where the pattern does not fit."""
        for regex in self._tries:
            if found := regex.fullmatch(path):
                return _Match(found["folder"] + self._frame_path(found["frame"]), found["channel"])
        return None

    def _frame_path(self, frame: str) -> str:
        """Return the pattern's folders and the frame, without what tells the channel."""
        parts = self._pattern.split("/")
        kept = (part for part in parts if "{frame}" in part or "{channel}" not in part)
        return "/".join(frame if "{frame}" in part else part for part in kept)


def _none_found(folder: Path, paths: list[str], pattern: str) -> ImageError:
    looked = f"that fits {pattern}" if pattern else f"(looked for {', '.join(IMAGE_SUFFIXES)})"
    endings = Counter(Path(path).suffix.lower() or "no ending" for path in paths).most_common(3)
    seen = ", ".join(f"{count} {ending}" for ending, count in endings)
    others = f"; the {len(paths)} files there are {seen}, such as {min(paths)}" if paths else "; it is empty"
    remedy = "Export the images as TIFF, PNG or JPEG" if paths else "Name the folder that holds the images"
    if pattern:
        remedy = "Mend image.file_pattern in the protocol, or empty it where each file has all channels"
    return ImageError(f"there is no image {looked}{others}", where=str(folder), remedy=remedy)
