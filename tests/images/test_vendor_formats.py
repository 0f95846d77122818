"""ND2, LIF and CZI, read from files written here from the facts of the formats: no real file was at hand."""

import contextlib
import logging
import re
import sys
import time
import tracemalloc

import numpy as np
import pytest
from czi_fixture import tiles, write_czi
from lif_fixture import write_lif
from nd2_fixture import write_nd2

from cher2.errors import ImageError
from cher2.images.files import ImageFile, find_image_files, single_file
from cher2.images.reader import open_frames, read_frames, read_image
from cher2.protocol import Protocol

NAMES = ("DAPI", "CK", "CD45", "HER2")
PROTOCOL = Protocol.from_dict({})
FRAMES = np.random.default_rng(6).integers(0, 4096, (6, 4, 20, 30), dtype=np.uint16)
PLACES = [(0, 0), (0, 27), (0, 54), (18, 0), (18, 27), (18, 54)]


def opened(path):
    return open_frames(ImageFile(path.name, (path,)), PROTOCOL)


def nd2_file(path):
    points = [(100.0, 200.0), (120.0, 200.0), (140.0, 200.0)]
    return write_nd2(path / "a.nd2", FRAMES, NAMES, loops=[("T", 2), ("XY", points)], exposures=(10, 20, 30, 40))


def lif_file(path):
    pixels = FRAMES.reshape(3, 2, 4, 20, 30)
    cameras = [(f"cube {name}", text) for name, text in zip(NAMES, ("0.01", "0.02", "30 ms", ""), strict=True)]
    image = {"name": "R", "pixels": pixels, "axes": "MTCYX", "channels": NAMES, "dyes": NAMES, "bits": 12}
    return write_lif(path / "a.lif", [image | {"tiles": PLACES[:3], "cameras": cameras}])


def czi_file(path, **more):
    return write_czi(path / "a.czi", tiles(FRAMES, PLACES, **more), NAMES, exposures=(10, 20, 30, 40))


WRITERS = pytest.mark.parametrize("write", [nd2_file, lif_file, czi_file])


@WRITERS
def test_every_frame_is_read_as_it_was_written(write, tmp_path):
    path = write(tmp_path)
    images = list(read_frames(ImageFile(path.name, (path,)), PROTOCOL))
    assert [image.name for image in images] == [f"{path.name}#{k}" for k in range(1, 7)]
    for image, frame in zip(images, FRAMES, strict=True):
        np.testing.assert_array_equal(image.pixels, frame)
        assert image.channels == NAMES
        assert image.bits == 12


@WRITERS
def test_what_the_file_says_is_known_before_a_pixel_is_read(write, tmp_path):
    with opened(write(tmp_path)) as frames:
        info = frames.info(4)
        assert (len(frames), info.shape, info.dtype) == (6, (4, 20, 30), np.uint16)
        assert info.pixel_size_um == pytest.approx(0.65 if write is nd2_file else 0.5)
        last = None if write is lif_file else 40.0
        assert info.exposure_ms == pytest.approx((10.0, 20.0, 30.0, last))


def test_nd2_positions_are_of_the_first_pixel(tmp_path):
    """The file gives the middle, (140, 200): less 15 columns and 10 rows of 0.65 um."""
    with opened(nd2_file(tmp_path)) as frames:
        assert frames.info(2).position_um == pytest.approx((200 - 6.5, 140 - 9.75))
        assert frames.info(5).position_um == frames.info(2).position_um


def test_nd2_stage_axes_are_turned_into_the_cameras(tmp_path):
    """A camera turned so that columns run against the stage's x: neighbours lie the other way round."""
    loops = [("XY", [(0.0, 0.0), (19.5, 0.0)])]
    path = write_nd2(tmp_path / "t.nd2", FRAMES[:2], NAMES, loops=loops, turn=(-1, 0, 0, 1))
    with opened(path) as frames:
        (y0, x0), (y1, x1) = (frames.info(k).position_um for k in range(2))
    assert (y1 - y0, x1 - x0) == pytest.approx((0.0, -19.5))


def test_lif_positions_follow_the_stage_in_the_images_axes(tmp_path):
    image = {"name": "R", "pixels": FRAMES[:2], "axes": "MCYX", "channels": NAMES, "tiles": [(1, 2), (3, 7)]}
    expected = {(0, 0, 0): (3, 7), (1, 0, 0): (3, -7), (0, 1, 0): (-3, 7), (0, 0, 1): (7, 3)}
    for turned, place in expected.items():
        with opened(write_lif(tmp_path / "a.lif", [image | {"turned": turned}])) as frames:
            assert frames.info(1).position_um == pytest.approx(place)


def test_lif_images_follow_one_another_and_fall_back_on_colour_tables(tmp_path):
    images = [{"name": f"R{k}", "pixels": FRAMES[k], "channels": ("Blue", "Green", "Red", "Gray")} for k in range(2)]
    with opened(write_lif(tmp_path / "a.lif", images)) as frames:
        assert len(frames) == 2
        np.testing.assert_array_equal(frames.read(1, "x").pixels, FRAMES[1])
        assert frames.info(0).channels == ("Blue", "Green", "Red", "Gray")
        assert frames.info(0).bits is None
        assert frames.info(0).exposure_ms == ()


@pytest.mark.parametrize("packed", [4, 5, 6])
def test_czi_pixels_packed_without_loss(packed, tmp_path):
    with opened(czi_file(tmp_path, packed=packed)) as frames:
        for k in range(6):
            np.testing.assert_array_equal(frames.read(k, "x").pixels, FRAMES[k])


@pytest.mark.parametrize(
    ("names", "shown", "found"),
    [
        (("", "CK", "", ""), NAMES, NAMES),
        ((), NAMES, NAMES),
        (("", "CK", "", ""), ("DAPI",), ("", "CK", "", "")),
        ((), (), ("",) * 4),
    ],
)
def test_czi_names_fall_back_on_those_that_are_shown(names, shown, found, tmp_path):
    """As in czitools' DAPI_GFP.czi, whose channels have names in the display settings only."""
    with opened(write_czi(tmp_path / "a.czi", tiles(FRAMES, PLACES), names, shown=shown)) as frames:
        assert frames.info(0).channels == found


def test_czi_tiles_are_frames_at_their_places(tmp_path):
    with opened(czi_file(tmp_path)) as frames:
        assert [frames.info(k).position_um for k in range(6)] == [(y * 0.5, x * 0.5) for y, x in PLACES]


def test_czi_smaller_copies_are_left_out_and_scenes_come_in_order(tmp_path):
    blocks = tiles(FRAMES[:4], [(0, 0)] * 4, scenes=[1, 0, 1, 0], times=[1, 1, 0, 0], mosaic=False)
    small = FRAMES[0, 0, ::2, ::2]
    copies = [{"pixels": small, "starts": {"X": 0, "Y": 0, "C": 0, "S": 0}, "stored": 2, "pyramid": p} for p in (0, 2)]
    with opened(write_czi(tmp_path / "a.czi", blocks + copies, NAMES)) as frames:
        assert len(frames) == 4
        for number, k in enumerate((3, 1, 2, 0)):
            np.testing.assert_array_equal(frames.read(number, "x").pixels, FRAMES[k])


def test_czi_stage_positions_where_all_frames_begin_at_one_point(tmp_path):
    blocks = tiles(FRAMES[:1], [(0, 0)], mosaic=False, stage=(1000.0, 2000.0))
    with opened(write_czi(tmp_path / "a.czi", blocks, NAMES)) as frames:
        assert frames.info(0).position_um == pytest.approx((1000 - 5.0, 2000 - 7.5))


def z_nd2(p):
    write_nd2(p, FRAMES[:2], NAMES, loops=[("Z", 2)])


def z_lif(p):
    write_lif(p, [{"name": "R", "pixels": FRAMES[:2], "axes": "ZCYX", "channels": NAMES}])


def z_czi(p):
    blocks = [b for z in range(2) for b in tiles(FRAMES[:1], [(0, 0)])]
    for k, block in enumerate(blocks):
        block["starts"]["Z"] = k // 4
    write_czi(p, blocks, NAMES)


def other_channels(p):
    write_lif(p, [{"name": f"R{n}", "pixels": FRAMES[0, :n], "channels": NAMES[:n]} for n in (4, 1)])


def stitched(p):
    write_lif(p, [{"name": n, "pixels": FRAMES[0], "channels": NAMES} for n in ("Scan", "Scan_Merged")])


def lacks_channel(p):
    write_czi(p, tiles(FRAMES, PLACES)[:-1], NAMES)


def colours(p):
    write_czi(p, tiles(FRAMES, PLACES, pixel_type=4), NAMES)


def pending(p):
    write_czi(p, tiles(FRAMES, PLACES), NAMES, pending=1)


def no_directory(p):
    write_czi(p, tiles(FRAMES, PLACES), NAMES, directory=False)


def twice(p):
    write_czi(p, tiles(FRAMES[:1], [(0, 0)]) * 2, NAMES)


def frame_missing(p):
    write_nd2(p, FRAMES, NAMES, loops=[("T", 6)], missing=(3,))


def oblong(p):
    write_czi(p, tiles(FRAMES, PLACES), NAMES, um=(0.5, 0.6))


def huge(p):
    write_nd2(p, np.broadcast_to(np.uint16(0), (1, 4, 2, 1)), NAMES)
    raw = bytearray(p.read_bytes())
    for name in ("uiWidth", "uiHeight"):
        at = raw.index((name + "\0").encode("utf-16-le")) + 2 * len(name) + 2
        raw[at : at + 4] = (2**15).to_bytes(4, "little")
    p.write_bytes(raw)


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (z_nd2, "a stack of 2 focal planes"),
        (z_lif, "a stack of 2 focal planes"),
        (z_czi, "a stack of 2 focal planes"),
        (other_channels, r"different numbers of channels: fewer than 4 have R1 \(1\)"),
        (stitched, "Scan_Merged looks like others stitched together"),
        (lacks_channel, "frame 6 has 3 of 4 channels"),
        (colours, "colours or complex"),
        (pending, "not written to its end"),
        (no_directory, "directory or its description is not there"),
        (twice, "the same channel of the same tile"),
        (frame_missing, "declares 6 frames but has 5"),
        (oblong, "pixels are not square"),
        (huge, "are not all there"),
    ],
)
def test_what_is_no_set_of_frames_is_refused(write, says, tmp_path):
    path = tmp_path / "a"
    write(path)
    with pytest.raises(ImageError, match=says), opened(path) as frames:
        frames.read(0, "x")


def test_pixels_beyond_the_protocols_limit_are_not_decoded(tmp_path):
    protocol = Protocol.from_dict({"image": {"max_pixels": 4 * 20 * 30 - 1}})
    file = single_file(czi_file(tmp_path))
    with open_frames(file, protocol) as frames, pytest.raises(ImageError, match="2400 pixels in all channels"):
        frames.read(0, "x")


def packed_nd2(path):
    return write_nd2(path / "z.nd2", FRAMES, NAMES, loops=[("T", 6)], zipped=True)


def packed_czi(path):
    return czi_file(path, packed=5)


@pytest.mark.parametrize(("write", "start"), [(packed_nd2, b"ImageDataSeq|5!"), (packed_czi, b"ZISRAWSUBBLOCK")])
def test_no_frame_but_the_one_asked_for_is_decoded(write, start, tmp_path):
    """The last frame's packed pixels are nonsense; that is found when it is read, and not before."""
    path = write(tmp_path)
    raw = bytearray(path.read_bytes())
    place = raw.index(start) if write is packed_nd2 else raw.rindex(start)
    pixels = place + (4096 if write is packed_nd2 else 32 + 256)
    raw[pixels : pixels + 64] = b"\x55" * 64
    path.write_bytes(raw)
    with opened(path) as frames:
        for k in range(5):
            np.testing.assert_array_equal(frames.read(k, "x").pixels, FRAMES[k])
        with pytest.raises(ImageError, match="its pixels cannot be decoded"):
            frames.read(5, "x")


def test_reading_a_frame_of_a_lif_takes_no_memory_for_the_others(tmp_path):
    pixels = np.zeros((20, 4, 200, 300), np.uint16)
    path = write_lif(tmp_path / "a.lif", [{"name": "R", "pixels": pixels, "axes": "MCYX", "channels": NAMES}])
    with opened(path) as frames:
        frames.read(0, "x")
        tracemalloc.start()
        frames.read(19, "x")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 4 * pixels[0].nbytes


@WRITERS
def test_a_file_cut_anywhere_is_an_error(write, tmp_path):
    path = write(tmp_path)
    raw = path.read_bytes()
    for length in [12, 13, 40, 100, *range(200, len(raw) - 1, len(raw) // 40), len(raw) - 1]:
        path.write_bytes(raw[:length])
        start = time.perf_counter()
        with pytest.raises(ImageError):
            list(read_frames(ImageFile("a", (path,)), PROTOCOL))
        assert time.perf_counter() - start < 2


@WRITERS
def test_altered_bytes_end_in_an_image_or_an_error_without_a_word(write, tmp_path, capsys):
    path = write(tmp_path)
    raw = path.read_bytes()
    random = np.random.default_rng(1)
    words = [b"\xff" * 8, b"\0" * 8, b"\xff\xff\xff\x7f\0\0\0\0"]
    for _ in range(150):
        altered = bytearray(raw)
        at = int(random.integers(0, len(raw) - 8))
        altered[at : at + 8] = words[int(random.integers(0, 3))]
        path.write_bytes(altered)
        start = time.perf_counter()
        with contextlib.suppress(ImageError):
            assert all(image.pixels.size for image in read_frames(ImageFile("a", (path,)), PROTOCOL))
        assert time.perf_counter() - start < 2
    out = capsys.readouterr()
    assert (out.out, out.err) == ("", "")


def test_a_sub_block_of_billions_of_axes_is_refused_at_once(tmp_path):
    """czifile for Python 3.12 took 15 s to make room for them."""
    path = czi_file(tmp_path)
    raw = bytearray(path.read_bytes())
    at = raw.index(b"ZISRAWDIRECTORY") + 32 + 128 + 28
    for place in (at, raw.index(b"ZISRAWSUBBLOCK") + 32 + 16 + 28):
        altered = bytearray(raw)
        altered[place : place + 4] = b"\xff\xff\xff\x7f"
        path.write_bytes(altered)
        start = time.perf_counter()
        with pytest.raises(ImageError, match="2147483647 axes"), opened(path) as frames:
            frames.read(0, "x")
        assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize(("write", "library"), [(nd2_file, "nd2"), (lif_file, "liffile"), (czi_file, "czifile")])
def test_a_missing_library_is_named_with_its_remedy(write, library, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImageError, match=re.escape('pip install "cher2[formats]"')):
        read_image(write(tmp_path))


def test_a_folder_of_them_is_found(tmp_path):
    for write in (nd2_file, lif_file, czi_file):
        write(tmp_path)
    assert [file.name for file in find_image_files(tmp_path, PROTOCOL)] == ["a.czi", "a.lif", "a.nd2"]


def test_a_compressed_nd2_without_calibration(tmp_path):
    path = write_nd2(tmp_path / "z.nd2", FRAMES, NAMES, loops=[("T", 6)], zipped=True, calibrated=False)
    with opened(path) as frames:
        np.testing.assert_array_equal(frames.read(5, "x").pixels, FRAMES[5])
        assert frames.info(0).pixel_size_um is None
        assert frames.info(0).position_um is None


def test_the_libraries_keep_their_own_loggers(tmp_path, caplog):
    """Only while cher2 reads are log lines held back."""
    with opened(lif_file(tmp_path)):
        pass
    logging.getLogger("liffile").warning("of its own")
    assert "of its own" in caplog.text
