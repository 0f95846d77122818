"""Images in a store that is reached by URL: listed, opened by ranges, or brought here whole.

Each request to a store costs tens of milliseconds whatever its size, so a folder is listed as a whole, a frame's file
is brought here with one request, and of a stack only what a frame needs is asked for.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cher2.errors import Cher2Error, ImageError
from cher2.images.places import in_store, is_remote, reaching, shown

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from cher2.images.files import ImageFile

BLOCK_BYTES = 2**18
"""Bytes asked for at once where few are read, such as a page's tags; for more, their own number is asked for."""

STREAM_BYTES = 2**24
"""Bytes asked for at once where a file is read from its beginning to its end."""

FETCH_BYTES = 2**28
"""Most bytes of a file that is brought here whole when all of it is needed: 24 frames of a cartridge."""

FRAME_FETCH_BYTES = 2**26
"""Most bytes of a file that is brought here whole for one of its frames."""

STORES = (".zarr",)
"""Endings of folders that are one image each, in any case."""

NEED_A_DISK = (".nd2", ".lif", ".czi")
"""Endings of files that their makers' libraries open by a path only: they are brought here whatever their size."""

# What tells that an object was written again, in the words of S3, Google, HTTP and memory.
_MARKS = (
    "ETag", "etag", "md5Hash", "Content-MD5", "Digest", "LastModified", "Last-Modified", "updated", "mtime", "created",
)  # fmt: skip

Stamp = tuple[str, int, str]
"""Name, bytes, and what the store changes when the object is written again."""


def list_remote(folder: Path, deep: bool = True) -> dict[str, Stamp | None]:
    """List a folder in a store and all folders below it.

    Hidden files and folders are left out. A folder with an ending of :data:`STORES` is listed as one path.

    Parameters
    ----------
    folder : Path
        A place in a store.
    deep : bool
        List the folders below, too.

    Returns
    -------
    dict of str to tuple or None
        Paths relative to the folder, with forward slashes, and each one's stamp, where the listing tells.

    Raises
    ------
    ImageError
        Nothing is there, it is a file, the store cannot be reached, or a path has a folder without a name.
    """
    store, root = in_store(folder)
    root = root.rstrip("/")
    with reaching(folder):
        # A store that somebody else opened may answer from what it remembers: changes would not be seen.
        store.invalidate_cache()
        found = store.find(root, maxdepth=None if deep else 1, detail=True)
    if not found:
        raise ImageError("there is no such folder", where=shown(folder), remedy="Name the folder that holds the images")
    if root in found:
        raise ImageError("it is a file, not a folder", where=shown(folder), remedy="Name the folder that holds it")
    listing: dict[str, Stamp | None] = {}
    for key, facts in found.items():
        path = key[len(root) + 1 :]
        name = _entry(path, folder)
        if name:
            listing[name] = _stamp(name, facts) if name == path else None
    return listing


def _entry(path: str, folder: Path) -> str:
    """Return the path of a file, or of the store that it is a part of; empty where it is none or hidden."""
    if path.endswith("/"):
        # The mark that consoles leave for an empty folder.
        return ""
    parts = path.split("/")
    if "" in parts or ".." in parts:
        raise ImageError(
            f"a folder in {path!r} has no name", where=shown(folder), remedy="Rename it, or move it out of the images"
        )
    for number, part in enumerate(parts):
        if part.startswith((".", "__MACOSX")):
            return ""
        if part.lower().endswith(STORES):
            return "/".join(parts[: number + 1])
    return path


def remote_stamp(path: Path) -> Stamp | None:
    """Return the stamp of one file in a store; None where the store tells nothing that would change.

    Raises
    ------
    ImageError
        It is not there, or the store cannot be reached.
    """
    store, key = in_store(path)
    with reaching(path):
        store.invalidate_cache()
        return _stamp(path.name, store.info(key))


def _stamp(name: str, facts: dict[str, Any]) -> Stamp | None:
    mark = next((str(facts[key]) for key in _MARKS if facts.get(key)), "")
    size = facts.get("size")
    return (name.rpartition("/")[2], size, mark) if mark and isinstance(size, int) else None


class RemoteFile(io.RawIOBase):
    """A file in a store, read by ranges; it holds nothing that would have to be closed.

    Parameters
    ----------
    path : Path
        A place in a store.
    in_order : bool
        It is read from its beginning to its end, and not here and there.

    Raises
    ------
    ImageError
        Here and whenever it is read: the store does not give it.
    """

    def __init__(self, path: Path, *, in_order: bool = False) -> None:
        self._path = path
        self._store, self._key = in_store(path)
        block, cache = (STREAM_BYTES, "readahead") if in_order else (BLOCK_BYTES, "blockcache")
        with reaching(path):
            self._file: Any = self._store.open(self._key, "rb", block_size=block, cache_type=cache)
            self._size: int | None = getattr(self._file, "size", None)
            if self._size is None:
                self._file = self._whole()
        self._direct = not in_order and self._size is not None

    def _whole(self) -> io.BytesIO:
        """Return the file in memory: a web server may serve no ranges, and tell it only when it is asked for one."""
        return io.BytesIO(self._store.cat_file(self._key))

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place in the file; nothing is asked for."""
        with reaching(self._path):
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        """Return the place in the file."""
        return int(self._file.tell())

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill a buffer, but for what lies beyond the file's end."""
        view = memoryview(buffer).cast("B")
        with reaching(self._path):
            data = self._bytes(len(view))
        view[: len(data)] = data
        return len(data)

    def _bytes(self, count: int) -> bytes:
        start = self.tell()
        try:
            if not self._direct or count <= BLOCK_BYTES:
                return bytes(self._file.read(count))
            return self._range(start, min(start + count, self._size or 0))
        except ValueError:
            self._file, self._direct = self._whole(), False
            self._file.seek(start)
            return bytes(self._file.read(count))

    def _range(self, start: int, end: int) -> bytes:
        """Read much with one request: a cache of blocks would ask for them one by one."""
        data = bytes(self._store.cat_file(self._key, start=start, end=end)) if start < end else b""
        if len(data) != max(0, end - start):
            raise ValueError("the server took a range for the whole")
        self._file.seek(start + len(data))
        return data


def read_remote(path: Path, count: int = -1) -> bytes:
    """Read a file in a store, or its first bytes.

    Raises
    ------
    ImageError
        The store does not give it.
    """
    if count >= 0:
        return RemoteFile(path).read(count) or b""
    store, key = in_store(path)
    with reaching(path):
        return bytes(store.cat_file(key))


@contextmanager
def fetched(file: ImageFile, most_bytes: int = FETCH_BYTES) -> Iterator[ImageFile]:
    """Bring an image's files here from a store, for as long as they are worked on.

    Parameters
    ----------
    file : ImageFile
    most_bytes : int
        Files with more bytes together stay where they are.

    Yields
    ------
    ImageFile
        The image with files in a temporary folder; as it is, where it is on a disk, has more bytes than that
        (and is none of :data:`NEED_A_DISK`), or is a folder of chunks. Errors in the block name the URLs.

    Raises
    ------
    ImageError
        The store does not give a file, or the temporary folder cannot hold it.
    """
    if not _worth_fetching(file, most_bytes):
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="cher2-", ignore_cleanup_errors=True) as home:
        # One folder each: channels may lie in folders of their own under the same name.
        local = tuple(Path(home) / str(number) / path.name for number, path in enumerate(file.paths))
        for path, target in zip(file.paths, local, strict=True):
            store, key = in_store(path)
            with reaching(path):
                target.parent.mkdir()
                store.get_file(key, str(target))
        try:
            yield replace(file, paths=local)
        except Cher2Error as error:
            where = error.where
            for path, target in zip(file.paths, local, strict=True):
                where = where.replace(str(target), shown(path))
            raise type(error)(error.what, where=where, remedy=error.remedy) from error


def _worth_fetching(file: ImageFile, most_bytes: int) -> bool:
    if not all(is_remote(path) and not path.name.lower().endswith(STORES) for path in file.paths):
        return False
    if all(path.name.lower().endswith(NEED_A_DISK) for path in file.paths):
        return True
    stamps = file.stamps or [remote_stamp(path) for path in file.paths]
    return sum(most_bytes + 1 if stamp is None else stamp[1] for stamp in stamps) <= most_bytes
