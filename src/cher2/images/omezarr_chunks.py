"""What zarr is given to read from: an array's chunks one by one, each checked and already decoded.

zarr fills in chunks that are not there with a fill value, and follows links wherever they lead. A score needs
the opposite. So the store that zarr sees is :class:`PlainChunks`: it knows what is missing, reads nothing from
outside the folder, and takes shards apart, so that a hole within one is seen too. zarr finds out which chunks
a frame needs, fetches several at a time, and puts them together.

This module needs zarr, an optional library; :mod:`cher2.images.omezarr` imports it when a first array is read.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.store import ByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.storage import WrapperStore

from cher2.errors import ImageError
from cher2.images.image_folders import check_inside
from cher2.images.omezarr_array import StoredArray
from cher2.images.omezarr_codecs import decode_chunk, index_bytes, is_absent, most_bytes, shard_index
from cher2.images.omezarr_store import faults, open_store, where_is
from cher2.images.places import is_remote

_COPY = "It is damaged: copy the folder again from its source"


class PlainChunks(WrapperStore[Store]):
    """One array of a Zarr folder, as a store that holds nothing but its plain chunks.

    Parameters
    ----------
    path : Path, or an object with ``fs`` and ``path``
        The folder, as of :func:`~cher2.images.omezarr_store.open_store`.
    place : str
        The array below it.
    stored : StoredArray
        How it is stored.

    Attributes
    ----------
    missing : set of tuple of int
        The chunks that were asked for and are not there.
    """

    def __init__(self, path: Any, place: str, stored: StoredArray) -> None:
        super().__init__(open_store(path))
        self._path = path
        self._place = place
        self._stored = stored
        self._indices: dict[str, asyncio.Future[NDArray[np.uint64] | None]] = {}
        self.missing: set[tuple[int, ...]] = set()

    def array(self) -> zarr.Array[Any]:
        """Return the array, as zarr reads it from here."""
        return zarr.open_array(store=self, mode="r", zarr_format=2 if self._stored.plain_key == ".zarray" else 3)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Return the metadata, or the plain bytes of a chunk; None where it is not there."""
        if key == self._stored.plain_key:
            return prototype.buffer.from_bytes(self._stored.plain)
        if byte_range is not None or not re.fullmatch(r"(c/)?\d+([./]\d+)*", key):
            return None
        chunk = tuple(int(number) for number in re.findall(r"\d+", key))
        file = f"{self._place}/{self._stored.file_of(chunk)}"
        data = await (self._from_shard(file, chunk) if self._stored.index else self._whole(file))
        if data is None:
            self.missing.add(chunk)
            return None
        where = where_is(self._path, file)
        with faults("the chunk cannot be decoded", where):
            return prototype.buffer.from_bytes(decode_chunk(data, self._stored, where))

    async def _whole(self, file: str) -> bytes | None:
        most = most_bytes(self._stored)
        data = await self._bytes(file, RangeByteRequest(0, most + 1))
        if data is not None and len(data) > most:
            raise self._damaged(file, f"the chunk takes more than {most} bytes")
        return data

    async def _from_shard(self, file: str, chunk: tuple[int, ...]) -> bytes | None:
        if file not in self._indices:
            # Chunks are fetched side by side; the first of a shard to come reads the index for all.
            self._indices[file] = asyncio.ensure_future(self._read_index(file))
        index = await self._indices[file]
        if index is None or is_absent(entry := index[self._stored.place_in_shard(chunk)]):
            return None
        offset, length = int(entry[0]), int(entry[1])
        if not (offset < 2**62 and 0 < length <= most_bytes(self._stored)):
            raise self._damaged(file, f"its index tells of a chunk of {length} bytes at {offset}")
        data = await self._bytes(file, RangeByteRequest(offset, offset + length))
        if data is None or len(data) != length:
            raise self._damaged(file, "the shard was cut short")
        return data

    async def _read_index(self, file: str) -> NDArray[np.uint64] | None:
        size = index_bytes(self._stored)
        at = RangeByteRequest(0, size) if self._stored.index == "start" else SuffixByteRequest(size)
        data = await self._bytes(file, at)
        return None if data is None else shard_index(data, self._stored, where_is(self._path, file))

    async def _bytes(self, file: str, byte_range: ByteRequest) -> bytes | None:
        if not is_remote(self._path):
            check_inside(self._path, file)
            # A named pipe would be waited for without end.
            if not (Path(self._path) / file).is_file():
                return None
        buffer = await self._store.get(file, default_buffer_prototype(), byte_range)
        return None if buffer is None else buffer.to_bytes()

    def _damaged(self, file: str, what: str) -> ImageError:
        return ImageError(what, where=where_is(self._path, file), remedy=_COPY)
