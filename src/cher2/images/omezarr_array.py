"""How a Zarr array is stored: what its metadata claim, checked before a chunk is read or a library believes them.

Zarr's own registry would run whatever codec a file names, Python's pickle among them. Here a few are known,
all that microscopes' files use; an array stored otherwise is refused by the name of its codec.

Sources: https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html and
https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html, with the codecs named there.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cher2.errors import ImageError
from cher2.images.library_faults import figures

COMPRESSORS = ("blosc", "zstd", "gzip", "zlib", "lz4")
"""The compressors that are read; beside them the checksum crc32c."""

MAX_SIZE = 2**31
"""Most elements along an axis."""

MAX_CHUNKS_PER_SHARD = 2**16

MAX_CHUNK = 2**31
"""Most pixels of a chunk, whatever the protocol's limit for a frame is."""

_TYPES_3 = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
_REMEDY = "Export it again as OME-Zarr, with blosc, zstd or gzip"


@dataclass(frozen=True)
class StoredArray:
    """An array as it is stored.

    Parameters
    ----------
    shape, chunks : tuple of int
        Of the array, and of what is decoded at once.
    dtype : dtype
        Of its pixels, in the machine's byte order.
    codecs : tuple of str
        What was done to a chunk's bytes, in the order in which it was done: of :data:`COMPRESSORS` and "crc32c".
    per_shard : tuple of int
        Chunks in a shard along each axis; all 1 where there are no shards.
    index : str
        Where a shard's index of its chunks lies, "start" or "end"; empty where there are no shards.
    index_checked : bool
        The index carries a checksum.
    prefix, separator : str
        A file of chunks is called by them and its numbers: "c/0/1", "0.1".
    plain : bytes
        Zarr metadata of the same array, as if each chunk were stored by itself and plainly.
    plain_key : str
        What a Zarr folder calls such metadata.
    """

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[np.generic]
    codecs: tuple[str, ...]
    per_shard: tuple[int, ...]
    index: str
    index_checked: bool
    prefix: str
    separator: str
    plain: bytes
    plain_key: str

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a decoded chunk."""
        return math.prod(self.chunks) * self.dtype.itemsize

    def file_of(self, chunk: Sequence[int]) -> str:
        """Return the file, below the array's folder, that holds a chunk."""
        numbers = (c // n for c, n in zip(chunk, self.per_shard, strict=True))
        return self.prefix + self.separator.join(map(str, numbers))

    def place_in_shard(self, chunk: Sequence[int]) -> int:
        """Return which entry of its shard's index is a chunk's."""
        inner = [c % n for c, n in zip(chunk, self.per_shard, strict=True)]
        return int(np.ravel_multi_index(inner, self.per_shard))


def stored_array(document: Mapping[str, Any], where: str) -> StoredArray:
    """Return how an array is stored, from its ``.zarray`` or ``zarr.json``.

    Raises
    ------
    ImageError
        It is no array of numbers, has a codec that is not read, or sizes that make no sense.
    """
    zarr_format = document.get("zarr_format")
    if zarr_format == 2:
        return _stored_2(document, where)
    if zarr_format == 3 and document.get("node_type") == "array":
        return _stored_3(document, where)
    raise _error("its full resolution is no Zarr array", where)


def _stored_2(document: Mapping[str, Any], where: str) -> StoredArray:
    text = document.get("dtype")
    if not (isinstance(text, str) and re.fullmatch(r"[<>|][uif][1248]", text)) or text[1:] == "f1":
        raise _no_counts(text, where)
    if document.get("filters"):
        raise _error("its chunks went through filters, which are not read", where)
    compressor, order = document.get("compressor"), document.get("order")
    separator = document.get("dimension_separator", ".")
    if order not in ("C", "F") or separator not in (".", "/"):
        raise _error("its metadata have an order or dimension_separator that is none", where)
    shape, chunks = _sizes(document.get("shape"), document.get("chunks"), where)
    plain = {"zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": text, "order": order, "fill_value": 0}
    return StoredArray(
        shape=shape,
        chunks=chunks,
        dtype=np.dtype(text).newbyteorder("="),
        codecs=_compressors([] if compressor is None else [compressor], "id", where),
        per_shard=(1,) * len(shape),
        index="",
        index_checked=False,
        prefix="",
        separator=separator,
        plain=json.dumps(plain | {"compressor": None, "filters": None}).encode(),
        plain_key=".zarray",
    )


def _stored_3(document: Mapping[str, Any], where: str) -> StoredArray:
    if document.get("data_type") not in _TYPES_3:
        raise _no_counts(document.get("data_type"), where)
    if document.get("storage_transformers"):
        raise _error("its chunks are stored by a transformer, which is not read", where)
    grid, keys = _named(document, "chunk_grid", where), _named(document, "chunk_key_encoding", where)
    prefix, usual = {"default": ("c", "/"), "v2": ("", ".")}.get(str(keys[0]), ("", ""))
    separator = keys[1].get("separator", usual)
    if grid[0] != "regular" or separator not in (".", "/"):
        raise _error("its chunks lie in no regular grid, or are called in an unknown way", where)
    shape, outer = _sizes(document.get("shape"), grid[1].get("chunk_shape"), where, most=MAX_SIZE**2)
    shards = _shards(document.get("codecs"), where)
    chunks = outer if shards is None else _sizes(shape, shards.get("chunk_shape"), where)[1]
    if shards is None:
        _sizes(shape, outer, where)
    codecs = document.get("codecs") if shards is None else shards.get("codecs")
    arrays, rest = _split(codecs, where)
    return StoredArray(
        shape=shape,
        chunks=chunks,
        dtype=np.dtype(document["data_type"]),
        codecs=_compressors(rest, "name", where),
        per_shard=_per_shard(outer, chunks, where),
        index="" if shards is None else _index(shards, where),
        index_checked=shards is not None and len(shards["index_codecs"]) == 2,
        prefix=prefix + separator if prefix else "",
        separator=separator,
        plain=_plain_3(document, shape, chunks, arrays),
        plain_key="zarr.json",
    )


def _plain_3(document: Mapping[str, Any], shape: tuple[int, ...], chunks: tuple[int, ...], codecs: list[Any]) -> bytes:
    return json.dumps(
        {
            "zarr_format": 3,
            "node_type": "array",
            "shape": shape,
            "data_type": document["data_type"],
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0,
            "codecs": codecs,
            "attributes": {},
        }
    ).encode()


def _sizes(shape: object, chunks: object, where: str, most: int = MAX_CHUNK) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return shape and chunk shape; refuse chunks of more pixels than are read of a whole frame."""
    one, other = _whole_numbers(shape, where), _whole_numbers(chunks, where)
    if len(one) != len(other) or not 2 <= len(one) <= 5:
        raise _error(f"its array has {len(one)} axes and its chunks {len(other)}, where 2 to 5 are read", where)
    if math.prod(other) > most:
        raise _error(f"one of its chunks has {math.prod(other)} pixels, where up to {most} are read", where)
    return one, other


def _whole_numbers(sizes: object, where: str) -> tuple[int, ...]:
    numbers = tuple(sizes) if isinstance(sizes, (list, tuple)) else ("none",)
    if not all(type(n) is int and 0 < n <= MAX_SIZE for n in numbers):
        raise _error(f"its metadata claim the shape {figures(sizes)}", where)
    return numbers


def _per_shard(outer: tuple[int, ...], chunks: tuple[int, ...], where: str) -> tuple[int, ...]:
    counts = tuple(a // b for a, b in zip(outer, chunks, strict=True))
    whole = all(a % b == 0 for a, b in zip(outer, chunks, strict=True))
    if not whole or math.prod(counts) > MAX_CHUNKS_PER_SHARD:
        raise _error(f"its shards of the shape {outer} hold chunks of the shape {chunks}", where)
    return counts


def _named(value: Mapping[str, Any], key: str, where: str) -> tuple[object, Mapping[str, Any]]:
    """Return name and configuration of an extension point of Zarr 3."""
    part = value.get(key)
    part = {"name": part} if isinstance(part, str) else part
    configuration = part.get("configuration", {}) if isinstance(part, Mapping) else None
    if not isinstance(part, Mapping) or not isinstance(configuration, Mapping):
        raise _error(f"its metadata have no {key}", where)
    return part.get("name"), configuration


def _codec_name(codec: object) -> str:
    return codec if isinstance(codec, str) else str(codec.get("name")) if isinstance(codec, Mapping) else ""


def _shards(codecs: object, where: str) -> dict[str, Any] | None:
    """Return the configuration of shards; None where there are none."""
    if not isinstance(codecs, list) or not codecs:
        raise _error("its metadata name no codecs", where)
    if not any(_codec_name(codec) == "sharding_indexed" for codec in codecs):
        return None
    configuration = codecs[0].get("configuration") if isinstance(codecs[0], Mapping) else None
    if len(codecs) > 1 or not isinstance(configuration, dict):
        raise _error("its shards went through further codecs, which are not read", where)
    return configuration


def _index(shards: dict[str, Any], where: str) -> str:
    codecs, place = shards.get("index_codecs"), shards.get("index_location", "end")
    codecs = codecs if isinstance(codecs, list) else []
    known = [_codec_name(codec) for codec in codecs] in (["bytes"], ["bytes", "crc32c"])
    if not known or place not in ("start", "end") or _is_big_endian(codecs[0]):
        raise _error("the index of its shards is stored in an unknown way", where)
    return str(place)


def _is_big_endian(codec: object) -> bool:
    return isinstance(codec, Mapping) and (codec.get("configuration") or {}).get("endian", "little") != "little"


def _split(codecs: object, where: str) -> tuple[list[Any], list[Any]]:
    """Return the codecs that order an array's numbers, and those that change its bytes."""
    names = [_codec_name(codec) for codec in codecs] if isinstance(codecs, list) else []
    if not isinstance(codecs, list) or "bytes" not in names or set(names[: names.index("bytes")]) - {"transpose"}:
        raise _error(f"its chunks are stored with the codecs {', '.join(names)[:60]}, which are not read", where)
    cut = names.index("bytes") + 1
    return codecs[:cut], codecs[cut:]


def _compressors(codecs: Sequence[object], key: str, where: str) -> tuple[str, ...]:
    names = [str(c.get(key)) if isinstance(c, Mapping) else str(c) for c in codecs]
    names = [name.removeprefix("numcodecs.") for name in names]
    if unknown := [name for name in names if name not in (*COMPRESSORS, "crc32c")]:
        raise _error(f"it is compressed with {unknown[0][:40]!r}; read are {', '.join(COMPRESSORS)}", where)
    if sum(name in COMPRESSORS for name in names) > 1 or len(names) > 2 or names[:-1] == ["crc32c"]:
        raise _error(f"its chunks went through {', '.join(names)[:60]}, one after the other", where)
    return tuple(names)


def _no_counts(dtype: object, where: str) -> ImageError:
    return ImageError(
        f"its pixels are of the type {str(dtype)[:40]}, which are no camera counts",
        where=where,
        remedy="Name images of 8 or 16 bit; masks do not belong in the image folder",
    )


def _error(what: str, where: str) -> ImageError:
    return ImageError(what, where=where, remedy=_REMEDY)
