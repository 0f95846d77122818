"""A Zarr folder, here or at a URL: its store for zarr, and its documents.

Documents are read without zarr, which a base installation lacks: a folder of plates can be listed by anybody.
"""

from __future__ import annotations

import json
import re
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cher2.errors import ImageError
from cher2.images.image_folders import check_inside
from cher2.images.places import is_remote

if TYPE_CHECKING:
    from zarr.abc.store import Store

MAX_DOCUMENT = 2**23
"""Most bytes of a document of attributes; the plate of 3456 wells takes less than a megabyte."""

MAX_PARTS = 2**18
"""Most lists and objects in it: Python takes seconds and hundreds of megabytes for millions of empty ones."""

DOCUMENTS = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
"""The files that tell a folder from a Zarr folder; the first of them is Zarr 3's."""

_COPY = "Copy the folder again from its source, whole"

# What zarr, its stores and the codecs raise at bytes that make no sense. They promise no common class.
_FAULTS = (
    ValueError, TypeError, LookupError, ArithmeticError, AttributeError,
    RuntimeError, MemoryError, OSError, struct.error,
)  # fmt: skip

# File systems of fsspec let some errors of their clients through; a client that is not loaded raises none.
_CLIENT_FAULTS = (("aiohttp", "ClientError"), ("botocore.exceptions", "BotoCoreError"))


@contextmanager
def faults(what: str, where: str) -> Iterator[None]:
    """Turn whatever a library raises at broken bytes into an ImageError."""
    clients = [getattr(sys.modules[name], fault) for name, fault in _CLIENT_FAULTS if name in sys.modules]
    try:
        yield
    except (*_FAULTS, *clients) as error:
        # A web address may hold a password, or a token behind a question mark.
        said = re.sub(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s'\")]*", "the address", " ".join(str(error).split()))
        reason = said[:120] or type(error).__name__
        raise ImageError(f"{what} ({reason})", where=where, remedy=_COPY) from error


def where_is(path: Any, key: str = "") -> str:
    """Return a place in a Zarr folder as errors name it."""
    return f"{path}/{key}" if key else str(path)


def open_store(path: Any) -> Store:
    """Open a folder as a store of zarr, for reading.

    Parameters
    ----------
    path : Path, or an object with ``fs`` and ``path``
        A folder here; or a file system of fsspec and the place in it, as ``upath.UPath`` has them.

    Raises
    ------
    ImageError
        zarr is not installed.
    """
    try:
        from zarr.storage import FsspecStore, LocalStore
    except ImportError as error:
        raise ImageError(
            "to read OME-Zarr, the library zarr is needed", where=where_is(path), remedy="pip install cher2[formats]"
        ) from error
    if not is_remote(path):
        return LocalStore(Path(path), read_only=True)
    return FsspecStore(_asynchronous(path.fs), read_only=True, path=path.path)


def _asynchronous(fs: Any) -> Any:
    """Return the same file system for use in zarr's own event loop."""
    if not fs.async_impl:
        from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper

        return AsyncFileSystemWrapper(fs, asynchronous=True)
    if fs.asynchronous:
        return fs
    return type(fs)(*fs.storage_args, **{**fs.storage_options, "asynchronous": True})


def read_document(path: Any, key: str) -> dict[str, Any] | None:
    """Read a JSON document of a Zarr folder; None where there is none.

    Parameters
    ----------
    path : Path, or an object with ``fs`` and ``path``
        As of :func:`open_store`.
    key : str
        The document below it, with forward slashes.

    Raises
    ------
    ImageError
        It cannot be read, is no JSON object, or lies outside the folder.
    """
    where, data = where_is(path, key), read_text(path, key)
    if data is None:
        return None
    if (parts := data.count(b"[") + data.count(b"{")) > MAX_PARTS:
        raise ImageError(f"it has {parts} lists and objects", where=where, remedy=_COPY)
    with faults("it is no JSON", where):
        # RecursionError, at brackets in brackets without end, is a RuntimeError.
        document = json.loads(data)
    if not isinstance(document, dict):
        raise ImageError("it is no JSON object", where=where, remedy=_COPY)
    return document


def read_text(path: Any, key: str) -> bytes | None:
    """Read a text of a Zarr folder; None where there is none.

    Raises
    ------
    ImageError
        It cannot be read, is too long, or lies outside the folder.
    """
    where = where_is(path, key)
    with faults("it cannot be read", where):
        data = _remote_bytes(path, key) if is_remote(path) else _local_bytes(Path(path), key)
    if data is not None and len(data) > MAX_DOCUMENT:
        raise ImageError(f"it has more than {MAX_DOCUMENT} bytes", where=where, remedy=_COPY)
    return data


def _local_bytes(path: Path, key: str) -> bytes | None:
    file = path / key
    check_inside(path, key)
    if not file.is_file():
        return None
    with file.open("rb") as stream:
        return stream.read(MAX_DOCUMENT + 1)


def _remote_bytes(path: Any, key: str) -> bytes | None:
    try:
        return bytes(path.fs.cat_file(f"{path.path.rstrip('/')}/{key}"))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None
