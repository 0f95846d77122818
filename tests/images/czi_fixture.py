"""A small writer of CZI files, from the facts of the format as the library czifile reads them.

Segments of (name, allocated, used): a header, sub-blocks, a directory of them, and a description in XML.
"""

import struct

import imagecodecs
import numpy as np

PIXEL_TYPES = {"u1": 0, "u2": 1, "f4": 2}


def write_czi(
    path, blocks, names=(), *, um=0.5, bits=12, exposures=None, pending=0, directory=True, shown=(), about=""
):
    """Write blocks, dicts of pixels (Y, X) and starts by axis, and more as _block takes."""
    out = bytearray(_segment(b"ZISRAWFILE", b"\0" * 80, 512))
    entries = []
    for block in blocks:
        entry, data = _block(len(out), **block)
        entries.append(entry)
        out += data
    positions = [len(out) if directory else 0]
    out += _segment(b"ZISRAWDIRECTORY", struct.pack("<i", len(entries)).ljust(128, b"\0") + b"".join(entries))
    positions.append(len(out))
    xml = _xml(names, um, bits, exposures, shown, about).encode()
    out += _segment(b"ZISRAWMETADATA", struct.pack("<ii", len(xml), 0).ljust(256, b"\0") + xml)
    out[32:112] = struct.pack("<iiii16s16siqqiq", 1, 0, 0, 0, b"a" * 16, b"a" * 16, 0, *positions, pending, 0)
    path.write_bytes(bytes(out))
    return path


def tiles(frames, places, *, scenes=None, times=None, mosaic=True, **more):
    """Return blocks of frames (N, C, Y, X), each at its place (y, x) in the plane of the document."""
    return [
        {
            "pixels": plane,
            "starts": {
                "X": x, "Y": y, "C": c, "T": times[n] if times else 0, "S": scenes[n] if scenes else 0,
                **({"M": n} if mosaic else {}),
            },
            **more,
        }
        for n, (frame, (y, x)) in enumerate(zip(frames, places, strict=True))
        for c, plane in enumerate(frame)
    ]  # fmt: skip


def _segment(name, data, room=0):
    size = max(room, len(data))
    return struct.pack("<16sqq", name, size, len(data)) + data.ljust(size, b"\0")


def _block(position, pixels, starts, packed=0, pyramid=0, stored=None, stage=None, pixel_type=None):
    size = {"X": pixels.shape[1], "Y": pixels.shape[0]}
    kind = PIXEL_TYPES[pixels.dtype.str[1:]] if pixel_type is None else pixel_type
    dimensions = b"".join(
        struct.pack("<4siifi", axis.encode(), start, (stored or 1) * size.get(axis, 1) if axis in "XY" else 1, 0.0,
                    size.get(axis, 1))
        for axis, start in starts.items()
    )  # fmt: skip
    entry = struct.pack("<2siqiiBB4si", b"DV", kind, position, 0, packed, pyramid, 0, b"", len(starts)) + dimensions
    tags = ""
    if stage:
        tags = (
            f"<METADATA><Tags><StageXPosition>{stage[1]:+.3f}</StageXPosition>"
            f"<StageYPosition>{stage[0]:+.3f}</StageYPosition></Tags></METADATA>"
        )
    data = _pack(pixels, packed)
    head = (struct.pack("<iiq", len(tags), 0, len(data)) + entry).ljust(256, b"\0")
    return entry, _segment(b"ZISRAWSUBBLOCK", head + tags.encode() + data)


def _pack(pixels, packed):
    raw = pixels.tobytes()
    if packed == 4:
        return imagecodecs.jpegxr_encode(pixels, level=1.0)
    if packed == 5:
        return imagecodecs.zstd_encode(raw)
    if packed == 6:
        split = np.frombuffer(raw, np.uint8).reshape(-1, 2).T.tobytes()
        return b"\x03\x01\x01" + imagecodecs.zstd_encode(split)
    return raw


def _xml(names, um, bits, exposures, shown, about):
    channels = "".join(
        f'<Channel Id="Channel:{k}" Name="{name}"><ComponentBitCount>{bits}</ComponentBitCount>'
        + (f"<ExposureTime>{int(exposures[k] * 1e6)}</ExposureTime>" if exposures else "")
        + "</Channel>"
        for k, name in enumerate(names)
    )
    sides = dict(zip("XY", (um, um) if np.isscalar(um) else um, strict=True)) if um else {}
    display = "".join(f'<Channel Id="{k}x" Name="{name}"/>' for k, name in enumerate(shown))
    scales = "".join(f'<Distance Id="{a}"><Value>{v * 1e-6!r}</Value></Distance>' for a, v in sides.items())
    return (
        f"<ImageDocument><Metadata><Information>{about}<Image><Dimensions><Channels>"
        f"{channels}</Channels></Dimensions></Image></Information><Scaling><Items>{scales}</Items></Scaling>"
        f"<DisplaySetting><Channels>{display}</Channels></DisplaySetting></Metadata></ImageDocument>"
    )
