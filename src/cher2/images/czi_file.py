"""Frames from Zeiss CZI files, through the library czifile: every tile and time point of every scene.

A CZI is a directory of sub-blocks, each a channel of a tile with its place in the plane of the whole document. Tiles
of a mosaic are not stitched: each is a frame, at its place in that plane. czifile exists in two kinds, one for Python
3.11 and one for later; what is used of both is the directory, the XML and the sub-blocks' bytes, which imagecodecs
decodes. Where the directory is not there, czifile would search the file; here it is refused.

Source: https://zeiss.github.io/libczi/ (sub-blocks, pyramid types, the header of zstd1).
"""

from __future__ import annotations

import math
import struct
from collections import defaultdict
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from cher2.images.frames import FrameInfo
from cher2.images.layout import length_um, square_pixel_um, z_stack
from cher2.images.tiff_chain import MAX_PAGES
from cher2.images.vendor import VendorFrames, milliseconds

_MAX_DIMENSIONS = 32
_MOST_LETTERS = 2**25
_MAX_ENTRIES = 4 * MAX_PAGES  # with the smaller copies of each tile
_GRAY = {"u1", "u2", "f4"}
_PLACE = ("S", "T", "M", "Y", "X")
_IGNORED = ("B",)  # the block of an acquisition; it says nothing of the picture
_UNCOMPRESSED, _JPEG, _JPEG_XR, _ZSTD, _ZSTD_HEADER = 0, 1, 4, 5, 6


@dataclass(frozen=True)
class _Block:
    """A sub-block: a channel of a tile. Starts and sizes are by axis, in pixels along X and Y."""

    entry: Any
    starts: dict[str, int]
    sizes: dict[str, int]
    is_reduced: bool

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of a sample; a pixel of several is a sub-array."""
        dtype: np.dtype[Any] = np.dtype(self.entry.dtype)
        return dtype

    @property
    def is_gray(self) -> bool:
        """Whether a pixel is one count."""
        samples = self.sizes.get("samples", 1)
        return samples == 1 and not self.dtype.shape and self.dtype.str[1:] in _GRAY


class CziFrames(VendorFrames):
    """An open CZI file as a sequence of frames; as :class:`~cher2.images.vendor.VendorFrames`."""

    library, format_name = "czifile", "Zeiss CZI"

    def _check_file(self) -> None:
        """See that the header leads to a description and to a directory whose entries are of sane length."""
        with self._path.open("rb") as file:
            header = file.read(112)
            if len(header) < 112:
                raise self._cut("its header is not all there")
            directory, description = struct.unpack_from("<qq", header, 84)
            for name, position in ((b"ZISRAWMETADATA", description), (b"ZISRAWDIRECTORY", directory)):
                file.seek(max(0, position))
                if position <= 0 or file.read(16).rstrip(b"\0") != name:
                    raise self._cut("its directory or its description is not there")
            file.seek(description + 32)
            (letters,) = struct.unpack("<I", file.read(4))
            if letters > _MOST_LETTERS:
                raise self._cut(f"its description has {letters} bytes, where up to {_MOST_LETTERS} are read")
            file.seek(directory + 32)
            (count,) = struct.unpack("<i124x", file.read(128))
            if not 0 < count <= _MAX_ENTRIES:
                raise self._error(f"it declares {count} sub-blocks, where 1 to {_MAX_ENTRIES} are read")
            for _ in range(count):
                file.seek(20 * self._axes(file.read(32)), 1)

    def _axes(self, entry: bytes) -> int:
        """Return how many axes an entry has; refuse more than there are, for czifile would make room for billions."""
        if len(entry) < 32 or entry[:2] != b"DV":
            raise self._cut("the directory of its sub-blocks is damaged")
        count = int.from_bytes(entry[28:], "little")
        if count > _MAX_DIMENSIONS:
            raise self._cut(f"a sub-block of it says to have {count} axes")
        return count

    def _open_file(self) -> Any:
        return self._module.CziFile(self._path)

    def _find_frames(self) -> int:
        header = self._file.header
        if header.update_pending or header.file_part:
            what = "was not written to its end" if header.update_pending else "is one part of several"
            raise self._error(f"it {what}", "Open it in ZEN and save it as one file")
        blocks = [block for entry in self._file.subblock_directory if not (block := _block(entry)).is_reduced]
        self._check_blocks(blocks)
        frames: defaultdict[tuple[int, ...], dict[int, _Block]] = defaultdict(dict)
        for block in blocks:
            channels = frames[tuple(block.starts.get(axis, 0) for axis in _PLACE)]
            if channels.setdefault(block.starts.get("C", 0), block) is not block:
                raise self._error("two of its sub-blocks are the same channel of the same tile")
        self._frames = [frames[place] for place in sorted(frames)]
        self._check_channels()
        self._starts = {place[3:] for place in frames}
        self._xml = self._description()
        return len(self._frames)

    def _check_blocks(self, blocks: list[_Block]) -> None:
        """Refuse what is no set of channels in one focal plane."""
        if not 0 < len(blocks) <= MAX_PAGES:
            raise self._error(f"it declares {len(blocks)} sub-blocks, where 1 to {MAX_PAGES} are read")
        for axis in sorted({axis for block in blocks for axis in block.starts} - {*_PLACE, "C", "samples", *_IGNORED}):
            count = len({block.starts.get(axis, 0) for block in blocks})
            if axis == "Z" and count > 1:
                raise z_stack(count, self._where)
            if count > 1:
                raise self._error(f"its sub-blocks are counted along the axis {axis}, of which cher2 knows nothing")
        for block in blocks:
            if not block.is_gray:
                raise self._error("its pixels are colours or complex, not the counts of single channels")
            if any(size != 1 for axis, size in block.sizes.items() if axis not in "XY"):
                raise self._error("a sub-block of it holds more than one channel of one tile")
            if not 0 < block.entry.file_position < self._size:
                raise self._cut("its sub-blocks are not all there")

    def _check_channels(self) -> None:
        """Demand the same channels of each tile, in one size and type."""
        wanted = sorted({channel for frame in self._frames for channel in frame})
        for number, frame in enumerate(self._frames):
            if sorted(frame) != wanted:
                raise self._error(f"its frame {number + 1} has {len(frame)} of {len(wanted)} channels")
            if len({(b.dtype, b.sizes["Y"], b.sizes["X"]) for b in frame.values()}) > 1:
                raise self._error(f"the channels of its frame {number + 1} differ in size or type")

    def _description(self) -> ElementTree.Element:
        text = self._file.metadata()
        if "<!DOCTYPE" in text:
            raise self._error("its description declares a document type, which Zeiss's never does")
        return ElementTree.fromstring(text)

    def _info(self, number: int) -> FrameInfo:
        frame = self._frames[number]
        first = next(iter(frame.values()))
        channels = self._xml.findall(".//Information/Image/Dimensions/Channels/Channel")
        described = channels if len(channels) == len(frame) else []
        size = square_pixel_um(self._scale_um("X"), self._scale_um("Y"), self._where)
        bits = [c.findtext("ComponentBitCount", "") for c in described]
        bits.append(self._xml.findtext(".//Information/Image/ComponentBitCount", ""))
        return FrameInfo(
            shape=(len(frame), first.sizes["Y"], first.sizes["X"]),
            dtype=first.dtype.newbyteorder("="),
            channels=self._names(described, len(frame)),
            pixel_size_um=size,
            bits=max((int(b) for b in bits if b.isascii() and b.isdecimal() and len(b) < 4), default=None),
            position_um=self._position_um(frame, size),
            exposure_ms=tuple(milliseconds(_nanoseconds_as_ms(c.findtext("ExposureTime", ""))) for c in described),
        )

    def _names(self, described: list[ElementTree.Element], count: int) -> tuple[str, ...]:
        """Return the channels' names; where the image has none, those that ZEN shows, in the same order."""
        shown = self._xml.findall(".//DisplaySetting/Channels/Channel")
        lists = [[c.get("Name", "") for c in channels] for channels in (described, shown) if len(channels) == count]
        return tuple(next((name for name in names if name), "") for names in zip(*lists, strict=True)) or ("",) * count

    def _scale_um(self, axis: str) -> float | None:
        """Return the distance of pixels along an axis; Zeiss gives it in metres."""
        return length_um(self._xml.findtext(f".//Scaling/Items/Distance[@Id='{axis}']/Value"), "m")

    def _position_um(self, frame: dict[int, _Block], size: float | None) -> tuple[float, float] | None:
        """Return a tile's place in the plane of the document, else that of the stage less half a frame.

        The plane holds the tiles as they lie to one another, once ZEN has registered them. Where all frames begin at
        its same point, only the stage tells them apart; it gives the middle of a frame.
        """
        block = frame[min(frame)]
        if size is None:
            return None
        if len(self._starts) > 1:
            return block.starts["Y"] * size, block.starts["X"] * size
        tags = self._segment(block).metadata(**({} if hasattr(block.entry, "dims") else {"raw": True}))
        root = ElementTree.fromstring(tags) if tags and "<!DOCTYPE" not in tags else None
        texts = [root.findtext(f".//Tags/Stage{axis}Position", "") for axis in "YX"] if root is not None else [""]
        middle = [value for text in texts if (value := length_um(text, "um")) is not None]
        if len(middle) != 2:
            return None
        return middle[0] - block.sizes["Y"] * size / 2, middle[1] - block.sizes["X"] * size / 2

    def _segment(self, block: _Block) -> Any:
        """Return a sub-block's segment, by either kind of czifile."""
        entry = block.entry
        with self._path.open("rb") as file:
            file.seek(entry.file_position + 48)
            self._axes(file.read(32))
        return entry.read_segment_data(self._file) if hasattr(entry, "dims") else entry.data_segment()

    def _pixels(self, number: int, info: FrameInfo) -> NDArray[Any]:
        return np.stack([self._plane(block) for _, block in sorted(self._frames[number].items())])

    def _plane(self, block: _Block) -> NDArray[Any]:
        """Decode one channel of a tile."""
        segment, shape = self._segment(block), (block.sizes["Y"], block.sizes["X"])
        if not 0 < segment.data_size <= self._size - segment.data_offset:
            raise self._cut("its sub-blocks are not all there")
        wanted = math.prod(shape) * block.dtype.itemsize
        if segment.data_size > wanted * 9 // 8 + 2**16:
            raise self._cut(f"a sub-block takes {segment.data_size} bytes for {wanted}")
        data = segment.data(raw=True)
        kind = int(block.entry.compression)
        if kind in (_JPEG, _JPEG_XR):
            decode = imagecodecs.jpeg_decode if kind == _JPEG else imagecodecs.jpegxr_decode
            return np.asarray(decode(data, out=np.empty(shape, block.dtype)))
        if kind not in (_UNCOMPRESSED, _ZSTD, _ZSTD_HEADER):
            raise self._error(f"its pixels are packed in a way that is not read here (compression {kind})")
        packed = kind == _ZSTD_HEADER and _is_split(data)
        if kind != _UNCOMPRESSED:
            data = imagecodecs.zstd_decode(data[data[0] if kind == _ZSTD_HEADER else 0 :], out=wanted)
        if len(data) != wanted:
            raise self._cut(f"a sub-block has {len(data)} bytes for {wanted}")
        if packed:
            # All low bytes, then all high bytes.
            data = np.ascontiguousarray(np.frombuffer(data, np.uint8).reshape(2, -1).T).tobytes()
        return np.frombuffer(data, block.dtype).reshape(shape)


def _is_split(data: bytes) -> bool:
    """Tell from the header of zstd1 (its length, then chunks) whether low and high bytes are packed apart."""
    if data[0] not in (1, 3) or (data[0] == 3 and data[1] != 1):
        raise ValueError("the header of its packed pixels is of an unknown kind")
    return data[0] == 3 and bool(data[2] & 1)


def _block(entry: Any) -> _Block:
    """Return a directory's entry, as either kind of czifile gives it."""
    if hasattr(entry, "dims"):
        axes = (*entry.dims[:-1], "samples")
        extra = {"S": entry.scene_index, "M": entry.mosaic_index}
        starts = dict(zip(axes, entry.start, strict=True)) | {k: v for k, v in extra.items() if v >= 0}
        sizes, stored = (dict(zip(axes, shape, strict=True)) for shape in (entry.shape, entry.stored_shape))
    else:
        dimensions = {dimension.dimension: dimension for dimension in entry.dimension_entries}
        starts = {axis: dimension.start for axis, dimension in dimensions.items()}
        sizes = {axis: dimension.size for axis, dimension in dimensions.items()}
        stored = {axis: dimension.stored_size for axis, dimension in dimensions.items()}
    return _Block(entry, starts, sizes, bool(int(entry.pyramid_type)) or stored != sizes)


def _nanoseconds_as_ms(text: str) -> float | None:
    try:
        return float(text) / 1e6
    except ValueError:
        return None
