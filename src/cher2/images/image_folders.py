"""Images that are folders, here or in a store by URL: which files lie in them, and what tells that one changed.

An object of a store is a file of fsspec: anything with ``fs`` and ``path``, as a ``upath.UPath`` has them.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from cher2.errors import ImageError
from cher2.images.places import is_remote, shown

# What tells that an object was written again, in the words of S3, Google, HTTP and memory.
_MARKS = (
    "ETag", "etag", "md5Hash", "Content-MD5", "LastModified", "Last-Modified", "updated", "mtime", "created",
)  # fmt: skip


TIFF_SUFFIXES = (".tif", ".tiff", ".btf")
IMAGE_SUFFIXES = (*TIFF_SUFFIXES, ".png", ".jpg", ".jpeg", ".nd2", ".lif", ".czi")
"""Endings of image files, in any case; ``.ome.tif`` is one of them."""


NO_FILE = "it is a named pipe, a socket or a device, and no file"


class FileBelow(NamedTuple):
    """A file of a folder: its name below it, its bytes, and what changes when it is written again."""

    name: str
    size: int
    mark: str


def is_folder(path: Any) -> bool:
    """Tell whether a path is a folder."""
    if not is_remote(path):
        return Path(path).is_dir()
    # A store is asked over the network: not for what by its name is a file.
    return not path.name.lower().endswith(IMAGE_SUFFIXES) and bool(path.fs.isdir(path.path))


def files_below(path: Any) -> list[FileBelow]:
    """Return the files of a folder and of all folders below it, sorted by name.

    Raises
    ------
    OSError
        The folder or a file cannot be read.
    ImageError
        A link leads out of it.
    """
    return sorted(_remote_files(path) if is_remote(path) else _local_files(Path(path)))


def open_file(path: Path) -> BinaryIO:
    """Open a file here for reading; never what would be waited for without end.

    Raises
    ------
    OSError
        It cannot be read, or is a named pipe, a socket or a device.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, NO_FILE)
    return path.open("rb")


def open_below(path: Any, name: str = "") -> BinaryIO:
    """Open a file of a folder for reading; the path itself where there is no name.

    Raises
    ------
    OSError
        It cannot be read.
    """
    if not is_remote(path):
        return open_file(Path(path) / name if name else Path(path))
    return cast(BinaryIO, path.fs.open(f"{path.path.rstrip('/')}/{name}" if name else path.path, "rb"))


def check_inside(path: Path, name: str) -> None:
    """Refuse a place in a folder that a link leads out of it.

    Raises
    ------
    ImageError
        It does.
    """
    root = os.path.realpath(path)
    if not Path(os.path.realpath(path / name)).is_relative_to(root):
        raise ImageError(
            "a link leads out of the folder", where=f"{shown(path)}/{name}", remedy="Put the file itself in its place"
        )


def _local_files(folder: Path) -> Iterator[FileBelow]:
    waiting = [""]
    while waiting:
        below = waiting.pop()
        with os.scandir(folder / below) as entries:
            for entry in entries:
                name = f"{below}/{entry.name}" if below else entry.name
                if entry.is_symlink():
                    check_inside(folder, name)
                status = entry.stat()
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(name)
                elif stat.S_ISREG(status.st_mode):
                    yield FileBelow(name, status.st_size, f"{status.st_mtime_ns} {status.st_ctime_ns}")


def _remote_files(path: Any) -> Iterator[FileBelow]:
    root = path.path.rstrip("/")
    for name, facts in path.fs.find(root, detail=True).items():
        mark = next((str(facts[key]) for key in _MARKS if facts.get(key)), "")
        yield FileBelow(name[len(root) :].lstrip("/"), facts["size"] or 0, mark)
