"""Files in a store that is reached by URL: read by ranges, or brought here whole.

Each request to a store costs tens of milliseconds whatever its size: a frame's file is brought here with one, and of a
stack only what a frame needs is asked for.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cher2.errors import Cher2Error
from cher2.images.places import in_store, is_remote, reaching, shown
from cher2.images.remote_folder import is_in_zarr, remote_stamp

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

NEED_A_DISK = (".nd2", ".lif", ".czi")
"""Endings of files that their makers' libraries open by a path only: they are brought here whatever their size."""


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
    if not all(is_remote(path) for path in file.paths) or any(is_in_zarr(path) for path in file.paths):
        return False
    if all(path.name.lower().endswith(NEED_A_DISK) for path in file.paths):
        return True
    stamps = file.stamps or [remote_stamp(path) for path in file.paths]
    return sum(most_bytes + 1 if stamp is None else stamp[1] for stamp in stamps) <= most_bytes
