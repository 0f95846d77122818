"""Clean copies of one image, or of one CellTracks export: written, read back, and only then put in their place.

A copy that is there already is kept where it is as it should be, so that a command that was broken off goes on; where
it is another file, nothing is overwritten.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from cher2.errors import ImageError, StudyError
from cher2.exchange.clean_celltracks import SUFFIX as EXPORT_SUFFIX
from cher2.exchange.clean_celltracks import clean_export_tiff, clean_export_xml
from cher2.exchange.clean_image import (
    CREATOR,
    SUFFIX,
    check_no_text,
    check_same,
    clean_bytes,
    refuse_texts,
    text_around_pixels,
)
from cher2.exchange.private_texts import texts_of
from cher2.images.celltracks import CellTracksFrames
from cher2.images.celltracks_xml import Export, read_export
from cher2.images.files import ImageFile
from cher2.images.image import Image
from cher2.images.library_faults import LIBRARY_FAULTS, library_faults
from cher2.images.reader import open_frames
from cher2.protocol import Protocol
from cher2.study.tables import replaced_whole
from cher2.study.whole_folder import write_folder

XML = "export.xml"
"""The name of a clean export's XML."""


@dataclass(frozen=True)
class Copied:
    """What became of an image: its files, below the folder of copies, and the names of channels that they keep."""

    files: tuple[str, ...]
    channels: tuple[str, ...]


def copy_image(file: ImageFile, name: str, out: Path, protocol: Protocol) -> Copied:
    """Copy every frame of an image that is no CellTracks export into an OME-TIFF of its own.

    Parameters
    ----------
    file : ImageFile
        The image, on a disk.
    name : str
        What its copy is called, without an ending; several frames get ``_1``, ``_2`` ... behind it.
    out : Path
        The folder of copies.
    protocol : Protocol
        As of :func:`cher2.images.reader.open_frames`.

    Returns
    -------
    Copied

    Raises
    ------
    ImageError
        The image cannot be read, or a copy is not as it should be; that copy is not there then.
    StudyError
        Another file lies in a copy's place, or the disk is full.
    """
    with _searching(file):
        texts = texts_of(file)
    copies, channels = [], dict[str, None]()
    with open_frames(file, protocol) as frames:
        for number in range(len(frames)):
            image = frames.read(number, name)
            copy = f"{name}{SUFFIX}" if len(frames) == 1 else f"{name}_{number + 1:0{len(str(len(frames)))}d}{SUFFIX}"
            _put(out / copy, clean_bytes(image), partial(_check, image, texts, protocol))
            copies.append(copy)
            channels |= dict.fromkeys(image.channels)
    return Copied(tuple(copies), tuple(channels))


def _check(image: Image, texts: set[str], protocol: Protocol, path: Path) -> None:
    with open_frames(ImageFile(path.name, (path,)), protocol) as frames:
        check_same(frames.read(0, image.name), image, image.name)
    check_no_text(path, image, texts)


def _put(path: Path, content: bytes, check: Callable[[Path], None]) -> None:
    """Write a file, check it, and put it in its place; where one is already, only check it."""
    if path.exists():
        try:
            check(path)
        except ImageError as error:
            raise _taken(path) from error
        return
    _make_folder(path.parent)
    with replaced_whole(path) as file:
        file.write(content)
        file.flush()
        check(Path(file.name))


def copy_export(files: Sequence[ImageFile], names: Mapping[str, str], out: Path) -> dict[str, Copied]:
    """Copy a CellTracks export, whole or not at all.

    Parameters
    ----------
    files : sequence of ImageFile
        All frames of the export, in the order of their numbers.
    names : mapping of str to str
        The new name, without an ending, of each.
    out : Path
        The folder of copies.

    Returns
    -------
    dict of str to Copied
        By image.

    Raises
    ------
    ImageError, StudyError
        As of :func:`copy_image`; new names that are not in one folder, or in another order.
    """
    folders = {names[file.name].rpartition("/")[0] for file in files}
    if len(folders) != 1:
        raise StudyError("the frames of an export get names in several folders", remedy="Give it a folder of its own")
    folder = out / folders.pop()
    tiffs = {file.name: names[file.name].rpartition("/")[2] + EXPORT_SUFFIX for file in files}
    export = read_export(files[0].paths[1])
    with _searching(files[0]):
        texts = texts_of(ImageFile(XML, (files[0].paths[1],)))

    def fill(home: Path) -> None:
        (home / XML).write_text(clean_export_xml(export), encoding="utf-8")
        for file in files:
            (home / tiffs[file.name]).write_bytes(clean_export_tiff(file.paths[0]))
        check(home)

    def check(home: Path) -> None:
        _check_export(home, files, tiffs, export, texts)

    if folder.exists():
        try:
            check(folder)
        except ImageError as error:
            raise _taken(folder) from error
    else:
        _make_folder(folder.parent)
        try:
            write_folder(folder, folder.parent, fill)
        except OSError as error:
            raise _unwritten(folder, error) from error
        finally:
            # What did not pass the check must not lie among the copies.
            for left in folder.parent.glob(".partial-*"):
                shutil.rmtree(left)
    start = folder.relative_to(out).as_posix()
    return {name: Copied((f"{start}/{tiff}",), export.filters) for name, tiff in tiffs.items()}


def _check_export(
    folder: Path, files: Sequence[ImageFile], tiffs: Mapping[str, str], export: Export, texts: set[str]
) -> None:
    form = clean_export_xml(replace(export, filters=("-",) if export.filters else ()))
    allowed = "\n".join([form, *export.filters])
    try:
        held = (folder / XML).read_text(encoding="utf-8")
    except OSError as error:
        raise ImageError(f"its XML cannot be read ({error.strerror})", where=folder.name) from error
    refuse_texts(held, texts, allowed, clean_export_xml(export), XML)
    for number, file in enumerate(files, 1):
        copy = folder / tiffs[file.name]
        with CellTracksFrames(copy, (folder / XML,), number, len(files)) as frames:
            copied = frames.read(0, file.name)
        with CellTracksFrames(file.paths[0], file.paths[1:], number, len(files)) as frames:
            check_same(copied, frames.read(0, file.name), copy.name)
        with _searching(file):
            own = texts_of(ImageFile(copy.name, file.paths[:1]))
        refuse_texts(text_around_pixels(copy), own, CREATOR, CREATOR, copy.name)


def _searching(file: ImageFile) -> AbstractContextManager[None]:
    return library_faults("its texts cannot be searched", file.name, "Export the image again", LIBRARY_FAULTS)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritten(folder, error) from error


def _unwritten(folder: Path, error: OSError) -> StudyError:
    return StudyError(
        f"the copies cannot be written ({error.strerror})",
        where=str(folder),
        remedy="Make room on the disk, or name a folder that you may write to",
    )


def _taken(path: Path) -> StudyError:
    return StudyError(
        "another file, or a copy of another image, lies there",
        where=str(path),
        remedy="Name a new folder with -o; where names are random, give the key of the first time",
    )
