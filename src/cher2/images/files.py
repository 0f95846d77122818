"""Which files of a folder are frames, and what the tables call them.

Only names are looked at: a folder of a hundred thousand frames on a slow share is listed without opening one. Where an
XML lies beside TIFFs, its beginning is read: it may be that of a CellTracks export.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from cher2.errors import ImageError
from cher2.images.celltracks_xml import is_export
from cher2.images.folder_links import BELOW
from cher2.images.folder_listing import list_folder
from cher2.images.image_folders import IMAGE_SUFFIXES, TIFF_SUFFIXES
from cher2.images.omezarr_plate import wells_of
from cher2.images.places import in_store, is_remote, place, shown
from cher2.images.remote_folder import Stamp, list_remote
from cher2.protocol import ROLES, Protocol

MOST_XMLS = 4
"""A folder with more XMLs is no CellTracks export, which has one: none of them is opened."""


@dataclass(frozen=True)
class ImageFile:
    """One image of a folder: a file, or the files of its channels.

    Parameters
    ----------
    name : str
        What tables call it: the path relative to the image folder, with forward slashes; for one file a
        channel the path with the frame's name, "P1/frame01" for P1/frame01_dapi.jpg.
    paths : tuple of Path
        The file, or one file a channel; of a frame of a CellTracks export, the TIFF and the export's XML. By URL, as
        of :func:`~cher2.images.places.place`.
    channels : tuple of str
        The channel names found in the files' names; empty for a single file.
    celltracks : tuple of int, or None
        Which frame of a CellTracks export it is, counted from 1, and how many frames the folder has; None for any
        other file.
    plate : str
        The name of the plate, where the image is a well of an OME-Zarr.
    stamps : tuple of tuple
        Name, bytes and mark of change of each file by URL, where the listing told them.
    refused : str
        Why it is not even opened, such as a link that leads out of the folder; empty for any that may be.
    """

    name: str
    paths: tuple[Path, ...]
    channels: tuple[str, ...] = ()
    celltracks: tuple[int, int] | None = None
    plate: str = ""
    stamps: tuple[Stamp, ...] = field(default=(), compare=False)
    refused: str = ""

    def refuse(self) -> None:
        """Raise why it is not opened, where it is not.

        Raises
        ------
        ImageError
            It is refused.
        """
        if self.refused:
            raise ImageError(self.refused, where=self.name, remedy="Put the image itself there, or take it away")

    def absolute(self) -> ImageFile:
        """Return the same image with its paths from the root: a worker may stand in another folder."""
        if all(is_remote(path) or path.is_absolute() for path in self.paths):
            return self
        return replace(self, paths=tuple(path if is_remote(path) else path.absolute() for path in self.paths))


class _Match(NamedTuple):
    frame: str
    channel: str


def find_image_files(folder: Path, protocol: Protocol) -> list[ImageFile]:
    """Find the images of a folder and of all folders below it.

    Hidden files and folders are left out, and so are links to folders within the folder. A link that leads out of it,
    or nowhere, is not followed, but listed with the reason, as is what would be waited for without end, such as a pipe.
    With a ``file_pattern``, the files of one frame make one image; files whose channel no
    role names are left out, such as masks, unless the frame has no other. A frame that lacks a channel is
    listed, so that reading it can say so.

    A Zarr folder is one image, and is not looked into; a plate is one for each of its wells, called
    "plate.ome.zarr/B/03".

    Parameters
    ----------
    folder : Path
        The image folder, or a URL as of :func:`~cher2.images.places.place`.
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
    folder = place(folder)
    if is_remote(folder):
        stamps, zarr_folders = list_remote(folder)
        paths = dict.fromkeys(stamps, "")
    else:
        stamps = {}
        paths, zarr_folders = list_folder(folder)
    pattern = protocol.image.file_pattern
    if pattern:
        images = _channel_sets(folder, paths, protocol)
    else:
        # The XML of an export is read while the folder is listed: for each folder of a store that would take long.
        exports = {} if is_remote(folder) else _export_frames(folder, paths)
        chosen = (path for path in paths if path.lower().endswith(IMAGE_SUFFIXES))
        images = [exports.get(path) or ImageFile(_printable(path), (folder / path,)) for path in chosen]
        images += [image for path in zarr_folders for image in _zarr_images(folder, path)]
    alone = (BELOW,) if pattern else (BELOW, ".zarr")
    images += [ImageFile(_printable(path), (folder / path,)) for path in paths if path.lower().endswith(alone)]
    if not images:
        raise _none_found(folder, paths, pattern)
    images = _called_apart(images)
    if closed := {folder / path: why for path, why in paths.items() if why}:
        images = [replace(i, refused=next((closed[p] for p in i.paths if p in closed), "")) for i in images]
    if is_remote(folder):
        images = [_stamped(image, folder, stamps) for image in images]
    return sorted(images, key=lambda image: natural_key(image.name))


def single_file(path: Path) -> ImageFile:
    """Return one file as an image, called by its own name; a frame of a CellTracks export with its XML."""
    plain = ImageFile(Path(shown(path)).name, (path,))
    if is_remote(path) or not path.name.lower().endswith(TIFF_SUFFIXES) or not path.is_file():
        return plain
    return _export_frames(path.parent, _names(path.parent)).get(path.name, plain)


def named_by_image(text: str, file: ImageFile) -> str:
    """Return a message about an image without the folders above the image folder: they may name a person."""
    above = (path.parents[file.name.count("/")] for path in file.paths if not is_remote(path))
    for folder in dict.fromkeys(os.fspath(folder / "_")[:-1] for folder in above):
        text = text.replace(folder, "")
    return text


def _export_frames(folder: Path, paths: Iterable[str]) -> dict[str, ImageFile]:
    """Return the frames of CellTracks exports by path: the TIFFs of a folder in natural order, with the XML."""
    tiffs, xmls = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for path in paths:
        name = path.lower()
        if name.endswith(TIFF_SUFFIXES) or name.endswith(".xml"):
            (xmls if name.endswith(".xml") else tiffs)[path.rpartition("/")[0]].append(path)
    found = dict[str, ImageFile]()
    for below, beside in xmls.items():
        if not tiffs[below] or len(beside) > MOST_XMLS:
            continue
        own = tuple(folder / xml for xml in sorted(beside) if is_export(folder / xml))
        for number, path in enumerate(sorted(tiffs[below], key=natural_key), 1) if own else ():
            which = (number, len(tiffs[below]))
            found[path] = ImageFile(_printable(path), (folder / path, *own), celltracks=which)
    return found


def _stamped(image: ImageFile, folder: Path, known: dict[str, Stamp | None]) -> ImageFile:
    """Keep what the listing told of an image's files, so that nobody has to ask again."""
    start = len(in_store(folder)[1].rstrip("/")) + 1
    found = [known.get(in_store(path)[1][start:]) for path in image.paths]
    stamps = tuple(stamp for stamp in found if stamp is not None)
    return replace(image, stamps=stamps) if len(stamps) == len(found) else image


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
            where=shown(path),
            remedy="Name a frame's files as in frame01_{channel}.jpg",
        )
    before, after = path.name.split("{channel}")
    regex = re.compile(f"{re.escape(before)}(?P<channel>.+){re.escape(after)}", re.DOTALL)
    found = {m["channel"]: path.parent / n for n in _names(path.parent) if (m := regex.fullmatch(n))}
    if not found:
        raise ImageError("no file fits", where=shown(path), remedy="Look for a misspelling in the path")
    frame = (before + after).partition(".")[0].strip("_-. ") or path.parent.name
    return _image_set(frame, found.items(), protocol)


def _printable(name: str) -> str:
    r"""Return a name that tables can hold: bytes that are no UTF-8, as Linux allows them, are written as \xff."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _called_apart(images: list[ImageFile]) -> list[ImageFile]:
    r"""Give a name of its own to a file whose bytes are no UTF-8 where another is called \xff in so many letters."""
    times = Counter(image.name for image in images)
    odd = {i for i in images if times[i.name] > 1 and _printable(str(i.paths[0])) != str(i.paths[0])}
    return [replace(i, name=i.name.replace("\\", "\\\\")) if i in odd else i for i in images]


def _zarr_images(folder: Path, path: str) -> list[ImageFile]:
    """Return the images of a Zarr folder: its wells where it is a plate."""
    name = _printable(path)
    wells = [ImageFile(f"{name}/{well}", (folder / path / well,), plate=name) for well in wells_of(folder / path)]
    return wells or [ImageFile(name, (folder / path,))]


def _names(folder: Path) -> list[str]:
    if is_remote(folder):
        return [path for path in list_remote(folder, deep=False).files if "/" not in path]
    listed = list_folder(folder, deep=False)[0]
    return [path for path, why in listed.items() if not why and "/" not in path]


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


def _none_found(folder: Path, paths: Collection[str], pattern: str) -> ImageError:
    looked = f"that fits {pattern}" if pattern else f"(looked for {', '.join(IMAGE_SUFFIXES)})"
    endings = Counter(Path(path).suffix.lower() or "no ending" for path in paths).most_common(3)
    seen = ", ".join(f"{count} {ending}" for ending, count in endings)
    others = f"; the {len(paths)} files there are {seen}, such as {min(paths)}" if paths else "; it is empty"
    remedy = "Export the images as TIFF, OME-Zarr, PNG or JPEG" if paths else "Name the folder that holds the images"
    if pattern:
        remedy = "Mend image.file_pattern in the protocol, or empty it where each file has all channels"
    return ImageError(f"there is no image {looked}{others}", where=shown(folder), remedy=remedy)
