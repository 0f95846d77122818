"""From a chunk's bytes as they are stored to its plain numbers, and never to more than the array declares.

zarr's own codecs decode a chunk of a kilobyte to the gigabytes that it claims, and a Blosc chunk that was cut
short to whatever lies behind it in memory. imagecodecs takes the size that is wanted and goes no further.
"""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from cher2.errors import ImageError
from cher2.images.omezarr_array import StoredArray

_COPY = "It is damaged: copy the folder again from its source"
_ABSENT = np.uint64(2**64 - 1)


def most_bytes(stored: StoredArray) -> int:
    """Return the most bytes that a chunk may take on disk: compressors add little where they cannot save."""
    return stored.chunk_bytes * 9 // 8 + 1024


def decode_chunk(data: bytes, stored: StoredArray, where: str) -> bytes:
    """Return the plain bytes of a chunk.

    Parameters
    ----------
    data : bytes
        As they are stored.
    stored : StoredArray
        How.
    where : str
        The chunk, for errors.

    Raises
    ------
    ImageError
        They are too few or too many, or their checksum is not theirs.
    """
    for number, codec in reversed(list(enumerate(stored.codecs))):
        size = stored.chunk_bytes + 4 * stored.codecs[:number].count("crc32c")
        data = _without_checksum(data, where) if codec == "crc32c" else _decompress(codec, data, size)
    if len(data) != stored.chunk_bytes:
        raise ImageError(
            f"the chunk has {len(data)} bytes, but the array declares {stored.chunk_bytes}", where=where, remedy=_COPY
        )
    return data


def shard_index(data: bytes, stored: StoredArray, where: str) -> NDArray[np.uint64]:
    """Return where the chunks of a shard lie in its file: offset and length, (chunks, 2).

    Raises
    ------
    ImageError
        The index was cut short, or its checksum is not its own.
    """
    if len(data) != index_bytes(stored):
        raise ImageError("the shard was cut short", where=where, remedy=_COPY)
    plain = _without_checksum(data, where) if stored.index_checked else data
    return np.frombuffer(plain, "<u8").reshape(-1, 2)


def index_bytes(stored: StoredArray) -> int:
    """Return how many bytes the index of a shard takes."""
    return 16 * int(np.prod(stored.per_shard)) + (4 if stored.index_checked else 0)


def is_absent(entry: NDArray[np.uint64]) -> bool:
    """Tell whether an entry of an index says that its chunk is not there."""
    return bool(entry[0] == _ABSENT and entry[1] == _ABSENT)


def _decompress(codec: str, data: bytes, size: int) -> bytes:
    """Decompress to no more than `size` bytes; the codec raises where there would be more."""
    if codec == "blosc":
        # Blosc's header says how many bytes there should be (16 of header, little-endian); it is not looked at.
        if len(data) < 16 or struct.unpack_from("<I", data, 12)[0] != len(data):
            raise ValueError("the chunk was cut short")
        if (declared := struct.unpack_from("<I", data, 4)[0]) != size:
            raise ValueError(f"the chunk claims {declared} bytes, the array {size}")
        return bytes(imagecodecs.blosc_decode(data, out=size))
    if codec == "lz4":
        return bytes(imagecodecs.lz4_decode(data, header=True, out=size))
    decoders = {"zstd": imagecodecs.zstd_decode, "gzip": imagecodecs.gzip_decode, "zlib": imagecodecs.zlib_decode}
    return bytes(decoders[codec](data, out=size))


def _without_checksum(data: bytes, where: str) -> bytes:
    # A dependency of zarr, which alone has files with such sums.
    from google_crc32c import value

    if len(data) < 4 or struct.pack("<I", value(bytes(data[:-4]))) != data[-4:]:
        raise ImageError("its checksum is not that of its bytes", where=where, remedy=_COPY)
    return data[:-4]
