import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from cher2.errors import ChannelError, ImageError
from cher2.images.files import ImageFile, find_image_files
from cher2.images.reader import count_frames, read_frames, read_image
from cher2.protocol import Protocol

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 20, 30), dtype=np.uint8)
ROLES = {"dapi": "dapi", "ck": "ck", "cd45": "cd45", "her2": "fitc"}
CHANNELS = ("cd45", "ck", "dapi", "fitc")


def protocol(pattern="{frame}_{channel}.png", **channels):
    return Protocol.from_dict({"image": {"file_pattern": pattern}, "channels": {**ROLES, **channels}})


def save_set(folder, frame="f1", ending="png", channels=CHANNELS):
    folder.mkdir(exist_ok=True)
    for channel, plane in zip(channels, PIXELS, strict=False):
        Pillow.fromarray(plane).save(folder / f"{frame}_{channel}.{ending}")
    return folder


def test_a_channel_set_is_one_image(tmp_path):
    save_set(tmp_path / "P1")
    save_set(tmp_path / "P1", "f1", channels=("mask",))
    (file,) = find_image_files(tmp_path, protocol())
    (image,) = read_frames(file, protocol())
    assert (image.name, image.channels) == ("P1/f1", CHANNELS)
    np.testing.assert_array_equal(image.pixels, PIXELS)
    np.testing.assert_array_equal(image.plane("her2", protocol().channels), PIXELS[3])
    assert count_frames(file, protocol()) == 1


def test_a_channel_set_is_read_by_its_path(tmp_path):
    save_set(tmp_path)
    save_set(tmp_path, "f11")
    image = read_image(str(tmp_path / "f1_{channel}.png"), protocol())
    assert (image.name, image.channels) == ("f1", CHANNELS)
    np.testing.assert_array_equal(image.pixels, PIXELS)


@pytest.mark.parametrize("path", ["f2_{channel}.png", "{channel}_{channel}.png", "nowhere/f1_{channel}.png"])
def test_a_path_that_no_file_fits(tmp_path, path):
    save_set(tmp_path)
    with pytest.raises(ImageError):
        read_image(tmp_path / path, protocol())


def test_a_set_may_be_of_tiffs_that_know_the_pixel_size(tmp_path):
    for channel, plane in zip(CHANNELS, PIXELS, strict=True):
        tifffile.imwrite(
            tmp_path / f"f1_{channel}.tif", plane, photometric="minisblack",
            resolution=(15_625, 15_625), resolutionunit="centimeter",
        )  # fmt: skip
    image = read_image(tmp_path / "f1_{channel}.tif", protocol())
    np.testing.assert_array_equal(image.pixels, PIXELS)
    assert image.pixel_size_um == pytest.approx(0.64)


def test_a_missing_channel_is_an_error_of_its_own(tmp_path):
    save_set(tmp_path, channels=CHANNELS[:3])
    (file,) = find_image_files(tmp_path, protocol())
    with pytest.raises(ChannelError, match=r'f1: no file of the channel "fitc" for the role her2; there are cd45'):
        list(read_frames(file, protocol()))


def test_two_files_of_one_channel_are_an_error(tmp_path):
    save_set(tmp_path)
    save_set(tmp_path, channels=("DAPI",))
    (file,) = find_image_files(tmp_path, protocol())
    with pytest.raises(ChannelError, match='more than one file of the channel "dapi"'):
        list(read_frames(file, protocol()))


def test_channels_may_be_counted(tmp_path):
    save_set(tmp_path)
    image = read_image(tmp_path / "f1_{channel}.png", protocol(dapi=2, ck=1, cd45=0, her2=3))
    assert image.channels == CHANNELS
    with pytest.raises(ChannelError, match='no file of the channel "4"'):
        read_image(tmp_path / "f1_{channel}.png", protocol(her2=4))


@pytest.mark.parametrize(
    ("plane", "described"),
    [(PIXELS[0, 1:], "19 x 30 pixels of uint8"), (PIXELS[0].astype(np.uint16), "20 x 30 pixels of uint16")],
)
def test_planes_that_differ_are_named_with_their_sizes(tmp_path, plane, described):
    save_set(tmp_path)
    Pillow.fromarray(plane).save(tmp_path / "f1_ck.png")
    with pytest.raises(ImageError, match=f"f1_cd45.png has 20 x 30 pixels of uint8, but f1_ck.png has {described}"):
        read_image(tmp_path / "f1_{channel}.png", protocol())


def test_a_file_of_a_set_has_one_channel_and_one_frame(tmp_path):
    save_set(tmp_path, ending="tif")
    tifffile.imwrite(tmp_path / "f1_ck.tif", PIXELS, photometric="minisblack")
    with pytest.raises(ImageError, match=r"one channel, but has 4.*file_pattern empty"):
        read_image(tmp_path / "f1_{channel}.tif", protocol())
    tifffile.imwrite(tmp_path / "f1_ck.tif", np.tile(PIXELS, (2, 1, 1)), photometric="minisblack")
    with pytest.raises(ImageError, match="has 2 frames"):
        read_image(tmp_path / "f1_{channel}.tif", protocol())


def test_what_a_file_is_its_first_bytes_say(tmp_path):
    Pillow.fromarray(PIXELS[0]).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, PIXELS[:1])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"patient_id,liver\n", r"no TIFF, PNG or JPEG, but begins with text"),
        (b"ZISRAWFILE\0\0\0", r"its header is not all there\. The file was cut short"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"II*\0", "cannot be read as a TIFF"),
        (b"II*\0\0\0\0\0", "it has no page"),
        (b"II*\0\x08\0\0\0\0\0\0\0\0\0", "cannot be read as a TIFF|no camera counts"),
        (b"MM\0+\0\x08\0\0" + b"\xff" * 8, "ends before its page 1"),
        (b"\x89PNG\r\n\x1a\n", "PNG data are cut"),
        (b"\xff\xd8\xff", "JPEG without its header"),
    ],
)
def test_what_is_no_image(tmp_path, data, message):
    path = tmp_path / "a.tif"
    path.write_bytes(data)
    for read in (read_image, lambda path: list(read_frames(ImageFile("a", (path,)), protocol()))):
        with pytest.raises(ImageError, match=message) as caught:
            read(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)


def test_what_is_not_there(tmp_path):
    for path in (tmp_path, tmp_path / "gone.tif", tmp_path / "a\0b.tif"):
        with pytest.raises(ImageError, match="cannot be read"):
            read_image(path)


@pytest.mark.parametrize("frame", [-1, 1, 10**9])
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_frame_that_is_not_there(tmp_path, frame, name):
    Pillow.fromarray(PIXELS[0]).save(tmp_path / name)
    with pytest.raises(ImageError, match=f"no frame {frame}"):
        read_image(tmp_path / name, frame=frame)


def test_files_are_closed_whatever_happens(tmp_path):
    table = Path("/proc/self/fd")
    if not table.is_dir():
        pytest.skip("open files cannot be counted here")

    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.tile(PIXELS, (2, 1, 1)), photometric="minisblack")
    before = len(list(table.iterdir()))
    read_image(path)
    frames = read_frames(ImageFile("a", (path,)), protocol())
    next(frames)
    frames.close()
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ImageError):
        read_image(path)
    assert len(list(table.iterdir())) == before


def test_tifffiles_log_lines_stay_off_the_terminal_but_only_while_cher2_reads(tmp_path, capfd, caplog):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PIXELS, photometric="minisblack")
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ImageError):
        read_image(path)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    with tifffile.TiffFile(path) as tif:
        len(tif.pages)
    assert caplog.records


def test_reads_in_several_threads_at_once(tmp_path):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, PIXELS, photometric="minisblack", metadata={"axes": "CYX"})
    found = []

    def read():
        found.extend(np.array_equal(read_image(path).pixels, PIXELS) for _ in range(20))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 80
