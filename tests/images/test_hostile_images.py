"""Damaged files give an image or an ImageError, in no time, and print nothing."""

import random
import time

import imagecodecs
import numpy as np
import pytest
import tifffile

from cher2.errors import ImageError
from cher2.images.files import ImageFile
from cher2.images.reader import read_frames
from cher2.protocol import Protocol

PIXELS = np.random.default_rng(0).integers(0, 4096, (4, 24, 32), dtype=np.uint16)
COLOURS = np.ascontiguousarray(np.moveaxis(PIXELS[:3], 0, -1))

TIFFS = {
    "ome": {"ome": True, "metadata": {"axes": "CYX"}},
    "ome-tiles": {"ome": True, "metadata": {"axes": "CYX"}, "tile": (16, 16), "compression": "zlib"},
    "imagej": {"imagej": True},
    "lzw": {"compression": "lzw"},
    "packbits": {"compression": "packbits"},
    "predictor": {"compression": "zlib", "predictor": True},
    "big": {"bigtiff": True, "byteorder": ">"},
    "planar": {"planarconfig": "separate", "metadata": None},
}
RASTERS = {
    "png": imagecodecs.png_encode(PIXELS[0]),
    "png-colour": imagecodecs.png_encode(COLOURS),
    "jpeg": imagecodecs.jpeg8_encode((PIXELS[0] >> 4).astype(np.uint8)),
    "jpeg-colour": imagecodecs.jpeg8_encode((COLOURS >> 4).astype(np.uint8)),
}


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Cut the bytes, change some in the header or anywhere, or copy a piece over another."""
    changed = bytearray(data)
    kind = chance.choice(("cut", "header", "anywhere", "copy"))
    if kind == "cut":
        return bytes(changed[: chance.randrange(len(changed))])
    if kind == "copy":
        start, end, length = chance.randrange(len(data)), chance.randrange(len(data)), chance.randrange(1, 64)
        changed[start : start + length] = changed[end : end + length]
        return bytes(changed)
    reach = min(600, len(data)) if kind == "header" else len(data)
    for _ in range(chance.randrange(1, 10)):
        changed[chance.randrange(reach)] = chance.choice((0, 1, 255, chance.randrange(256)))
    return bytes(changed)


@pytest.mark.parametrize("kind", [*TIFFS, *RASTERS])
def test_300_damaged_files(tmp_path, kind, capfd, caplog):
    path = tmp_path / "a.tif"
    if kind in TIFFS:
        tifffile.imwrite(path, PIXELS, **{"photometric": "minisblack", **TIFFS[kind]})
    else:
        path.write_bytes(RASTERS[kind])
    whole, chance, protocol = path.read_bytes(), random.Random(kind), Protocol.from_dict({})
    slowest, refused = 0.0, []
    for _ in range(300):
        path.write_bytes(damaged(whole, chance))
        start = time.perf_counter()
        try:
            for image in read_frames(ImageFile("a", (path,)), protocol):
                assert image.pixels.dtype in (np.uint8, np.uint16, np.float32)
                assert image.pixels.ndim == 3
        except ImageError as error:
            refused.append(str(error))
        slowest = max(slowest, time.perf_counter() - start)
    assert len(refused) > 60  # at least the quarter that was cut
    assert not any("\n" in message for message in refused)
    assert slowest < 2
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
