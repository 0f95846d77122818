"""Frames from Nikon ND2 files, through the library nd2: every time point of every position.

nd2 gives zeros for a frame that is not in the file. So the map of chunks at the file's end is read here too, and each
frame's chunk is held against the file's length before nd2 decodes it.

Stage positions in ND2 are those of the middle of a frame, in the stage's own axes. They are turned into the axes of
the camera by the matrix that the file gives (pixel to stage), so that positions grow with rows and columns, and
moved to the first pixel.
"""

from __future__ import annotations

import itertools
import math
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cher2.images.frames import FrameInfo
from cher2.images.layout import square_pixel_um, z_stack
from cher2.images.tiff_chain import MAX_PAGES
from cher2.images.vendor import VendorFrames, milliseconds

_HEADER = struct.Struct("<IIQ")
_CHUNK = 0x0ABECEDA
_MAP_SIGNATURE = b"ND2 CHUNK MAP SIGNATURE 0000001!"
_FRAME = b"ImageDataSeq|"
_MOST_MAP, _MOST_TEXT, _PIECE = 2**26, 2**26, 2**20
_PIXELS_AT = 4096  # nd2 takes the pixels from here on in a frame's chunk; the last 8 bytes before are its time


class Nd2Frames(VendorFrames):
    """An open ND2 file as a sequence of frames; as :class:`~cher2.images.vendor.VendorFrames`."""

    library, format_name = "nd2", "Nikon ND2"

    def _check_file(self) -> None:
        self._chunks = self._frame_chunks()

    def _open_file(self) -> Any:
        return self._module.ND2File(self._path)

    def _find_frames(self) -> int:
        attributes, loops = self._file.attributes, self._file.experiment
        count: int = math.prod(loop.count for loop in loops)
        if not 0 < count <= MAX_PAGES:
            raise self._error(f"it declares {count} frames, where 1 to {MAX_PAGES} are read")
        for loop in loops:
            if loop.type == "ZStackLoop" and loop.count > 1:
                raise z_stack(loop.count, self._where)
            if loop.type not in ("TimeLoop", "NETimeLoop", "XYPosLoop", "ZStackLoop") and loop.count > 1:
                raise self._error(f"its frames are counted along something other than time and place ({loop.type})")
        if sorted(self._chunks) != list(range(count)):
            raise self._cut(f"it declares {count} frames but has {len(self._chunks)}")
        if self._file.components_per_channel != 1:
            raise self._error("its pixels are colours, not the counts of single channels")
        self._loops = list(itertools.product(*(range(loop.count) for loop in loops)))
        self._check_bytes(attributes)
        self._shape = (attributes.channelCount or 1, attributes.heightPx, attributes.widthPx)
        return count

    def _frame_chunks(self) -> dict[int, tuple[int, int]]:
        """Return where each frame's chunk begins in the file, and its length, from the map at the end."""
        found: dict[int, tuple[int, int]] = {}
        with self._path.open("rb") as file:
            file.seek(max(0, self._size - 40))
            tail = file.read(40)
            if tail[:32] != _MAP_SIGNATURE:
                raise self._cut("the map of its parts, which ends an ND2 file, is not there")
            _, data = self._chunk(file, int.from_bytes(tail[32:], "little"))
            at = 0
            while not data.startswith(_MAP_SIGNATURE, at):
                end = data.index(b"!", at) + 1
                name, (offset, _) = data[at:end], struct.unpack_from("<QQ", data, end)
                at = end + 16
                if name.startswith(b"Image") and not name.startswith(_FRAME):
                    self._check_text(name.decode("latin-1"), self._chunk(file, offset, False)[0])
                if name.startswith(_FRAME):
                    found[int(name[len(_FRAME) : -1])] = (offset, self._chunk(file, offset, False)[0])
        return found

    def _chunk(self, file: Any, offset: int, with_data: bool = True) -> tuple[int, bytes]:
        """Return a chunk's length from its first byte to its last, and its data."""
        if offset + _HEADER.size > self._size:
            raise self._cut("its parts are not all there")
        file.seek(offset)
        magic, name, length = _HEADER.unpack(file.read(_HEADER.size))
        if magic != _CHUNK or offset + _HEADER.size + name + length > self._size:
            raise self._cut("its parts are not all there")
        if with_data and length > _MOST_MAP:
            raise self._cut(f"the map of its parts has {length} bytes")
        file.seek(name, 1)
        return _HEADER.size + name + length, file.read(length) if with_data else b""

    def _check_text(self, name: str, length: int) -> None:
        """Refuse a description that nd2 would read into memory, however long."""
        if length > _MOST_TEXT:
            raise self._cut(f"its part {name[:40]} has {length} bytes")

    def _check_bytes(self, attributes: Any) -> None:
        """Demand that each frame's chunk can hold its pixels."""
        row = max(attributes.widthBytes or 0, attributes.widthPx * attributes.componentCount)
        needed = _PIXELS_AT + attributes.heightPx * row
        if attributes.compressionType is not None:
            needed = _PIXELS_AT
        for number, (_, length) in self._chunks.items():
            if length < needed:
                raise self._cut(f"the pixels of its frame {number + 1} are not all there")

    def _info(self, number: int) -> FrameInfo:
        channels = self._file.metadata.channels or []
        attributes = self._file.attributes
        names = tuple(channel.channel.name or "" for channel in channels)
        return FrameInfo(
            shape=self._shape,
            dtype=np.dtype(self._file.dtype),
            channels=names if len(names) == self._shape[0] else ("",) * self._shape[0],
            pixel_size_um=self._pixel_size_um(channels),
            bits=attributes.bitsPerComponentSignificant,
            position_um=self._position_um(number, channels),
            exposure_ms=self._exposures(channels),
        )

    def _pixel_size_um(self, channels: list[Any]) -> float | None:
        if not channels or not all(channels[0].volume.axesCalibrated[:2]):
            return None
        x, y, _ = channels[0].volume.axesCalibration
        return square_pixel_um(x, y, self._where)

    def _position_um(self, number: int, channels: list[Any]) -> tuple[float, float] | None:
        """Return the place of a frame's first pixel (y, x), in the camera's axes."""
        places = next((i for i, loop in enumerate(self._file.experiment) if loop.type == "XYPosLoop"), None)
        size = self._pixel_size_um(channels)
        if places is None or size is None:
            return None
        point = self._file.experiment[places].parameters.points[self._loops[number][places]]
        middle = np.array([point.stagePositionUm.x, point.stagePositionUm.y])
        matrix = channels[0].volume.pixelToStageTransformationMatrix
        if matrix is not None:
            turn = np.array([[matrix[0], matrix[1]], [matrix[3], matrix[4]]])
            if abs(np.linalg.det(turn)) < 1e-3 * size**2:
                return None
            middle = size * np.linalg.solve(turn, middle)
        x, y = middle - size * np.array([self._shape[2], self._shape[1]]) / 2
        return (float(y), float(x)) if math.isfinite(x + y) else None

    def _exposures(self, channels: list[Any]) -> tuple[float | None, ...]:
        """Return each channel's exposure time, from the settings of its sample (dExposureTime, in ms)."""
        keys = {"ImageMetadataSeqLV|0", "ImageMetadataSeq|0"}
        chunks = self._file.unstructured_metadata(strip_prefix=False, include=keys)
        raw: dict[str, Any] = next(iter(chunks.values()), {})
        settings = raw.get("SLxPictureMetadata", raw).get("sPicturePlanes", {}).get("sSampleSetting", {})
        # One acquisition may give several channels: then there is one entry for all.
        only = next(iter(settings.values())) if len(settings) == 1 else {}
        found = [settings.get(f"a{channel.channel.index}", only).get("dExposureTime") for channel in channels]
        times = tuple(milliseconds(value if isinstance(value, float) else None) for value in found)
        return times if len(times) == self._shape[0] else ()

    def _check_packed(self, number: int) -> None:
        """Refuse a packed frame that unpacks to more than it declares: nd2 would unpack it whole."""
        attributes = self._file.attributes
        row = max(attributes.widthBytes or 0, attributes.widthPx * attributes.componentCount * 4)
        most, offset = attributes.heightPx * row, self._chunks[number][0]
        unpacker = zlib.decompressobj()
        with self._path.open("rb") as file:
            file.seek(offset)
            _, name, length = _HEADER.unpack(file.read(_HEADER.size))
            if length > most + _PIXELS_AT:
                raise self._cut(f"the pixels of its frame {number + 1} take {length} bytes")
            file.seek(name + 8, 1)
            data = file.read(length - 8)
        size = 0
        while data and not unpacker.eof and size <= most:
            size += len(unpacker.decompress(data, _PIECE))
            data = unpacker.unconsumed_tail
        if size > most:
            raise self._cut(f"the pixels of its frame {number + 1} unpack to more than {most} bytes")

    def _pixels(self, number: int, info: FrameInfo) -> NDArray[Any]:
        if self._file.attributes.compressionType is not None:
            self._check_packed(number)
        pixels: NDArray[Any] = self._file.read_frame(number)
        # A copy: what nd2 returns lies in the file that it has mapped, and is gone when it is closed.
        return pixels.reshape(info.shape).copy()
