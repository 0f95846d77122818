"""Files that hold one channel each are told by their names, and nothing else is taken for such."""

from pathlib import Path

import pytest

from cher2.errors import ImageError
from cher2.images.file_patterns import likely_pattern, refuse_split_frames
from cher2.images.files import ImageFile, find_image_files
from cher2.protocol import Protocol

CHANNELS = ["DAPI", "CK", "CD45", "HER2"]


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ("P1/frame01_{}.jpg", "{frame}_{channel}.jpg"),
        ("P1/frame01-{}.ome.tif", "{frame}-{channel}.ome.tif"),
        ("P1/7 {}.png", "{frame} {channel}.png"),
        ("P1/{}_frame01.tif", "{channel}_{frame}.tif"),
        ("P1/{}/frame01.tif", "{channel}/{frame}.tif"),
        ("P1/a_{}_001.tif", ""),  # Which of both is the frame nobody knows.
        ("{}/frame01/x.tif", ""),  # A folder further up may be a patient.
        ("P1/frame01_{}x.tif", ""),
    ],
)
def test_names_that_differ_in_the_channel(form, pattern):
    names = [form.format(name) for name in ("dapi", "ck", "cd45", "other")]
    assert likely_pattern(names, CHANNELS) == pattern


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["P1/frame01.tif", "P1/frame02.tif"],
        ["P1/1_dapi.tif", "P1/1_ck.tif"],  # two only
        ["P1/1_dapi.tif", "P1/2_ck.tif", "P1/3_cd45.tif"],  # other frames
        ["P1/1_dapi_ck_cd45_her2.tif", "P2/1_dapi_ck_cd45_her2.tif"],
    ],
)
def test_other_names(names):
    assert likely_pattern(names, CHANNELS) == ""
    assert likely_pattern(names, []) == ""


def test_the_pattern_that_is_proposed_finds_the_frames(tmp_path):
    (tmp_path / "P1").mkdir()
    for frame in ("a", "b"):
        for channel in CHANNELS:
            (tmp_path / "P1" / f"{frame}_{channel.lower()}.png").touch()
    with pytest.raises(ImageError, match=r'file_pattern = "\{frame\}_\{channel\}\.png"') as raised:
        refuse_split_frames(find_image_files(tmp_path, Protocol()), Protocol())
    assert raised.value.where == "P1/a_cd45.png"
    rules = Protocol.from_dict({"image": {"file_pattern": "{frame}_{channel}.png"}})
    files = find_image_files(tmp_path, rules)
    assert [file.name for file in files] == ["P1/a", "P1/b"]
    refuse_split_frames(files, rules)


def test_wells_of_a_plate_are_no_files():
    wells = [ImageFile(f"p.zarr/{name}/1", (Path("x"),), plate="p.zarr") for name in CHANNELS]
    refuse_split_frames(wells, Protocol())
