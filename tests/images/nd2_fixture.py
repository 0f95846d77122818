"""A small writer of ND2 files, from the facts of the format as the library nd2 reads them (version 3.0).

Chunks of (magic, length of name, length of data); a map of them at the end; descriptions in Nikon's "lite variant".
"""

import struct
import zlib

import numpy as np

MAGIC = 0x0ABECEDA
MAP = b"ND2 CHUNK MAP SIGNATURE 0000001!"


def lite(name, value):
    """Encode one entry: its type, the letters of its name, its name in UTF-16, its value."""
    head = bytes([len(name) + 1]) + (name + "\0").encode("utf-16-le")
    if isinstance(value, bool):
        return b"\x01" + head + struct.pack("<B", value)
    if isinstance(value, int):
        return b"\x03" + head + struct.pack("<I", value)
    if isinstance(value, float):
        return b"\x06" + head + struct.pack("<d", value)
    if isinstance(value, str):
        return b"\x08" + head + (value + "\0").encode("utf-16-le")
    if isinstance(value, bytes):
        return b"\x09" + head + struct.pack("<Q", len(value)) + value
    inner = b"".join(lite(k, v) for k, v in value.items())
    start = b"\x0b" + head
    length = len(start) + 12 + len(inner)
    return start + struct.pack("<IQ", len(value), length) + inner + b"\0" * (8 * len(value))


def write_nd2(
    path,
    frames,
    names,
    *,
    loops=(),
    size=0.65,
    calibrated=True,
    bits=12,
    exposures=None,
    turn=None,
    missing=(),
    zipped=False,
    about=(),
):
    """Write frames (N, C, Y, X) with loops, a sequence of ("T" or "Z", count) or ("XY", [(x, y) ...]).

    Where `zipped` is bytes, they stand for the packed pixels of each frame.
    """
    frames = np.asarray(frames)
    _, channels, rows, columns = frames.shape
    item = frames.dtype.itemsize
    attributes = {
        "SLxImageAttributes": {
            "uiWidth": columns, "uiWidthBytes": columns * channels * item, "uiHeight": rows, "uiComp": channels,
            "uiBpcInMemory": 8 * item, "uiBpcSignificant": bits, "uiSequenceCount": len(frames),
            "uiTileWidth": columns, "uiTileHeight": rows, "eCompression": 0 if zipped else 2,
        }
    }  # fmt: skip
    probe = {"m_ExcitationSpectrum": {"uiCount": 0}}
    planes = {
        f"a{k}": {"uiCompCount": 1, "uiSampleIndex": k, "sDescription": n, "pFluorescentProbe": probe}
        for k, n in enumerate(names)
    }
    sampled = {f"a{k}": {"dExposureTime": float(ms)} for k, ms in enumerate(exposures or ())}
    if turn is not None:
        for k in range(channels):
            setting = {"m_iXYUse0": 1, "m_iXOrientation0": 1, "m_iYOrientation0": 1}
            sampled.setdefault(f"a{k}", {})["pDeviceSetting"] = setting
    picture = {
        "bCalibrated": calibrated, "dCalibration": float(size),
        **dict(zip(("dStgLgCT11", "dStgLgCT12", "dStgLgCT21", "dStgLgCT22"), map(float, turn or ()), strict=False)),
        "sPicturePlanes": {"uiCount": channels, "sPlaneNew": planes, "sSampleSetting": sampled},
    }  # fmt: skip
    experiment = None
    for kind, what in reversed(loops):
        level = {"ppNextLevelEx": {"i0000000000": experiment}} if experiment else {}
        experiment = {"eType": {"T": 1, "XY": 2, "Z": 4}[kind], "uLoopPars": _loop(kind, what), **level}
    chunks = {
        b"ImageAttributesLV!": b"".join(lite(k, v) for k, v in attributes.items()),
        b"ImageMetadataSeqLV|0!": lite("SLxPictureMetadata", picture),
    }
    chunks |= dict(about)
    if experiment:
        chunks[b"ImageMetadataLV!"] = lite("SLxExperiment", experiment)
    for number, frame in enumerate(frames):
        if number not in missing:
            pixels = np.ascontiguousarray(np.moveaxis(frame, 0, -1)).tobytes()
            if zipped:
                pixels = zipped if isinstance(zipped, bytes) else zlib.compress(pixels)
            chunks[b"ImageDataSeq|%d!" % number] = struct.pack("<d", 100.0 * number) + pixels
    out = bytearray(_chunk(b"ND2 FILE SIGNATURE CHUNK NAME01!", b"Ver3.0".ljust(64, b"\0"), 32))
    entries = b""
    for name, data in chunks.items():
        entries += name + struct.pack("<QQ", len(out), len(data))
        out += _chunk(name, data, 4096 - 16 - 8)
    location = len(out)
    out += _chunk(b"ND2 FILEMAP SIGNATURE NAME 0001!", entries + MAP + struct.pack("<Q", location), 32)
    path.write_bytes(bytes(out))
    return path


def _chunk(name, data, reserved):
    return struct.pack("<IIQ", MAGIC, reserved, len(data)) + name.ljust(reserved, b"\0") + data


def _loop(kind, what):
    if kind == "T":
        return {"uiCount": what, "dStart": 0.0, "dPeriod": 1000.0, "dDuration": 0.0}
    if kind == "Z":
        return {"uiCount": what, "dZLow": 0.0, "dZHigh": 1.0, "dZStep": 1.0, "iType": 0}
    points = {f"i{k:010}": {"dPosX": float(x), "dPosY": float(y), "dPosZ": 0.0} for k, (x, y) in enumerate(what)}
    return {"bUseZ": False, "Points": points}
