import os
import sys
import time
from pathlib import Path

import pytest

from cher2.errors import ImageError
from cher2.images.files import find_image_files, natural_key
from cher2.images.folder_links import LEADS_NOWHERE, LEADS_OUT
from cher2.protocol import Protocol


def touch(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()


def names(folder, pattern="", **channels):
    return [file.name for file in find_image_files(folder, protocol(pattern, **channels))]


def protocol(pattern="", **channels):
    return Protocol.from_dict({"image": {"file_pattern": pattern}, "channels": channels})


def test_every_known_suffix_in_any_case_in_natural_order(tmp_path):
    touch(
        tmp_path,
        "P2/f10.tif",
        "P2/f9.TIFF",
        "P10/a.ome.tif",
        "P1/x.PNG",
        "b.jpg",
        "c.Jpeg",
        "d.btf",
        "no.txt",
    )
    assert names(tmp_path) == [
        "b.jpg",
        "c.Jpeg",
        "d.btf",
        "P1/x.PNG",
        "P2/f9.TIFF",
        "P2/f10.tif",
        "P10/a.ome.tif",
    ]


def test_a_single_file_has_one_path_and_no_channels(tmp_path):
    touch(tmp_path, "P1/a.tif")
    (file,) = find_image_files(tmp_path, Protocol.from_dict({}))
    assert (file.paths, file.channels) == ((tmp_path / "P1" / "a.tif",), ())


def test_hidden_files_and_folders_are_skipped(tmp_path):
    touch(tmp_path, "a.tif", ".b.tif", "._a.tif", ".cache/c.tif", "__MACOSX/P1/a.tif")
    assert names(tmp_path) == ["a.tif"]


def test_links_do_not_lead_out_of_the_folder_nor_round_in_circles(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    touch(inside, "P1/a.tif")
    touch(outside, "secret.tif", "deep/secret.tif")
    (inside / "P1" / "there.tif").symlink_to(outside / "secret.tif")
    (inside / "P1" / "deep").symlink_to(outside / "deep")
    (inside / "P1" / "round").symlink_to(inside)
    (inside / "gone.tif").symlink_to(inside / "nowhere.tif")
    (inside / "same.tif").symlink_to(inside / "P1" / "a.tif")
    found = {file.name: file.refused for file in find_image_files(inside, Protocol())}
    assert found == {
        "P1/a.tif": "",
        "same.tif": "",
        "P1/there.tif": LEADS_OUT,
        "P1/deep/*": LEADS_OUT,
        "gone.tif": LEADS_NOWHERE,
    }


def test_channel_files_of_a_frame_are_one_image(tmp_path):
    touch(tmp_path, *(f"P1/frame{k:02}_{c}.jpg" for k in (1, 2) for c in ("dapi", "ck", "cd45", "fitc", "mask")))
    touch(tmp_path, "P1/frame01_dapi.png", "P1/notes.txt")
    roles = {"dapi": "DAPI", "ck": "ck", "cd45": "cd45", "her2": "fitc"}
    first, second = find_image_files(tmp_path, protocol("{frame}_{channel}.jpg", **roles))
    assert (first.name, second.name) == ("P1/frame01", "P1/frame02")
    assert first.channels == ("cd45", "ck", "dapi", "fitc")
    assert [path.name for path in first.paths] == [f"frame01_{c}.jpg" for c in first.channels]


def test_all_channels_are_kept_where_the_protocol_counts_them(tmp_path):
    touch(tmp_path, *(f"f_{k}.tif" for k in (10, 9, 1, 2)))
    (file,) = find_image_files(tmp_path, protocol("{frame}_{channel}.tif", dapi=0, ck=1, cd45=2, her2=3))
    assert file.channels == ("1", "2", "9", "10")


@pytest.mark.parametrize(
    ("pattern", "path", "name", "channel"),
    [
        ("{frame}_{channel}.jpg", "P1/a_b_DAPI.jpg", "P1/a_b", "DAPI"),
        ("{frame}_{channel}.jpg", "P1/a_b_CD45_APC.jpg", "P1/a_b", "CD45_APC"),
        ("{channel}_{frame}.jpg", "CD45_APC_b_c.jpg", "b_c", "CD45_APC"),
        ("{channel}_{frame}.jpg", "APC_CK_b.jpg", "b", "APC_CK"),
        ("{channel}_{frame}.jpg", "x_b_c.jpg", "b_c", "x"),
        ("{frame}_{channel}.jpg", "a_b_x.jpg", "a_b", "x"),
        ("{frame}{channel}.jpg", "f7DAPI.jpg", "f7", "DAPI"),
        ("s.1+({frame})[{channel}].jpg", "s.1+(7)[DAPI].jpg", "7", "DAPI"),
        ("{frame}/{channel}.tif", "P1/f7/DAPI.tif", "P1/f7", "DAPI"),
        ("{channel}/{frame}.tif", "P1/DAPI/f7.tif", "P1/f7", "DAPI"),
        ("raw/{frame}-{channel}.tif", "P1/raw/f7-DAPI.tif", "P1/raw/f7", "DAPI"),
        ("{frame}/w_{channel}.tif", "P1/f7/w_DAPI.tif", "P1/f7", "DAPI"),
    ],
)
def test_patterns(tmp_path, pattern, path, name, channel):
    touch(tmp_path, path)
    (file,) = find_image_files(tmp_path, protocol(pattern, cd45="CD45_APC", ck="APC_CK", her2="APC"))
    assert (file.name, file.channels) == (name, (channel,))


@pytest.mark.parametrize("path", ["s1x_DAPI_jpg", "s.1_.jpg", "_DAPI.jpg"])
def test_what_a_pattern_does_not_name_is_literal(tmp_path, path):
    touch(tmp_path, path)
    with pytest.raises(ImageError, match="no image that fits"):
        names(tmp_path, "{frame}_{channel}.jpg")


def test_a_set_without_one_of_its_channels_is_listed(tmp_path):
    touch(tmp_path, "f1_DAPI.tif", "f1_CK.tif")
    (file,) = find_image_files(tmp_path, protocol("{frame}_{channel}.tif"))
    assert file.channels == ("CK", "DAPI")


def test_no_folder(tmp_path):
    with pytest.raises(ImageError, match="no such folder"):
        names(tmp_path / "nowhere")
    touch(tmp_path, "a.tif")
    with pytest.raises(ImageError, match="a file, not a folder"):
        names(tmp_path / "a.tif")


def test_no_images_tells_what_else_is_there(tmp_path):
    with pytest.raises(ImageError, match=r"looked for \.tif, .*; it is empty"):
        names(tmp_path)
    touch(tmp_path, "a.oib", "b.oib", "c.txt")
    with pytest.raises(ImageError, match=r"the 3 files there are 2 \.oib, 1 \.txt, such as a\.oib\. Export"):
        names(tmp_path)
    with pytest.raises(ImageError, match=r"fits \{frame\}_\{channel\}\.jpg; .*Mend image\.file_pattern"):
        names(tmp_path, "{frame}_{channel}.jpg")


@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(tmp_path):
    touch(tmp_path, "P1/a.tif")
    (tmp_path / "P1").chmod(0)
    with pytest.raises(ImageError, match="cannot be listed"):
        names(tmp_path)


def test_natural_order_is_total():
    words = ["f10", "f9", "F9", "f09", "f", "10", "9", "f9/a", "f9a", "f²", "f٣"]
    backwards = words[::-1]
    assert sorted(words, key=natural_key) == sorted(backwards, key=natural_key)
    assert sorted(["f10", "f9", "f1"], key=natural_key) == ["f1", "f9", "f10"]


def test_five_thousand_files_are_listed_within_half_a_second(tmp_path):
    for k in range(5_000):
        os.close(os.open(tmp_path / f"frame{k}_{k % 4}.tif", os.O_CREAT))
    start = time.perf_counter()
    assert len(find_image_files(tmp_path, Protocol.from_dict({}))) == 5_000
    # 100,000 files in 5 s is what is wanted; a twentieth of them is what a test may cost.
    assert time.perf_counter() - start < 0.5


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="only Linux has such names")
def test_a_name_that_is_no_utf8_is_written_with_escapes_and_can_be_opened(tmp_path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/fr\xffme.tif")).write_bytes(b"II*\0")
    (file,) = find_image_files(tmp_path, Protocol())
    assert file.name == r"fr\xffme.tif"
    assert file.paths[0].read_bytes() == b"II*\0"


def test_a_pattern_fits_names_of_any_case_as_endings_do_without_one(tmp_path):
    for role in ("dapi", "ck", "cd45", "her2"):
        touch(tmp_path, f"P2/f_{role}.PNG")
    (file,) = find_image_files(tmp_path, protocol("{frame}_{channel}.png"))
    assert file.name == "P2/f"
    assert len(file.paths) == 4
