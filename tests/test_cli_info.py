"""The command info: what it prints of files and folders, and how it ends."""

import json

import numpy as np
import pytest
import tifffile

NAMES = ["DAPI", "CK", "CD45", "HER2"]
PIXELS = np.arange(3 * 4 * 6 * 8, dtype=np.uint16).reshape(3, 4, 6, 8)


@pytest.fixture
def stack(tmp_path):
    path = tmp_path / "P1" / "stack.ome.tif"
    path.parent.mkdir()
    metadata = {
        "axes": "TCYX", "Channel": {"Name": NAMES}, "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "SignificantBits": 12,
        "Plane": {"ExposureTime": [0.1] * 12},
    }  # fmt: skip
    tifffile.imwrite(path, PIXELS, photometric="minisblack", ome=True, bigtiff=True, metadata=metadata)
    return path


def test_a_file(stack, command):
    ran = command("info", stack)
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0] == str(stack)
    assert "  format       OME-TIFF (BigTIFF)" in lines
    assert "  frames       3 of 4 channels x 6 rows x 8 columns, uint16" in lines
    assert "  pixel size   0.5 um" in lines
    assert "  exposure     DAPI 100 ms, CK 100 ms, CD45 100 ms, HER2 100 ms" in lines


def test_the_protocols_channels_are_looked_for(stack, command, tmp_path):
    rules = tmp_path / "protocol.toml"
    rules.write_text('[channels]\nher2 = "ERBB2"\n[image]\npixel_size_um = 0.3\n')
    ran = command("info", stack, "--protocol", rules)
    assert 'no channel "ERBB2" for the role her2; it has DAPI, CK, CD45, HER2' in ran.out
    assert "3 HER2 (her2)" not in ran.out


def test_json_tells_the_same(stack, command):
    ran = command("info", "--json", stack)
    (said,) = json.loads(ran.out)
    assert said["kinds"] == [{"frames": 3, "shape": [4, 6, 8], "dtype": "uint16"}]
    assert (said["format"], said["pixel_size_um"], said["bits"]) == ("OME-TIFF (BigTIFF)", [0.5], [12])
    assert said["roles"] == {"dapi": 0, "ck": 1, "cd45": 2, "her2": 3}
    assert said["position_range_um"] is None


def test_a_folder_is_counted_and_its_first_image_described(stack, command, tmp_path):
    (tmp_path / "P2").mkdir()
    for name in ("P1/b.nd2", "P2/a.czi", "P2/b.tif"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "P1" / "b.nd2").rename(tmp_path / "P1" / "z.nd2")
    ran = command("info", tmp_path)
    assert ran.code == 0, ran.err
    assert f"{tmp_path}: 4 images" in ran.out
    assert "2 .tif, 1 .nd2, 1 .czi" in ran.out
    assert "P1 2, P2 2" in ran.out
    assert "OME-TIFF (BigTIFF)" in ran.out
    (said,) = json.loads(command("info", "--json", tmp_path).out)
    assert (said["images"], said["folders"], said["first"]["frames"]) == (4, {"P1": 2, "P2": 2}, 3)
    assert said["file_pattern"] == ""


def test_a_folder_of_one_file_a_channel_is_told_its_pattern(command, tmp_path):
    for frame in ("a", "b"):
        for name in NAMES:
            tifffile.imwrite(tmp_path / f"{frame}_{name.lower()}.tif", PIXELS[0, 0])
    said = 'file_pattern = "{frame}_{channel}.tif"'
    assert said in command("info", tmp_path).out
    rules = tmp_path / "protocol.toml"
    rules.write_text(f"[image]\n{said}\n")
    (folder,) = json.loads(command("info", "--json", tmp_path, "--protocol", rules).out)
    assert (folder["images"], folder["file_pattern"]) == (2, "")


def test_one_file_a_channel(command, tmp_path):
    import imagecodecs

    for name in NAMES:
        (tmp_path / f"f1_{name}.png").write_bytes(imagecodecs.png_encode(PIXELS[0, 0].astype(np.uint8)))
    ran = command("info", tmp_path / "f1_{channel}.png")
    assert ran.code == 0, ran.err
    assert "4 files PNG, one a channel" in ran.out


def test_errors_are_a_line_each_and_tell_in_the_exit_code(stack, command, tmp_path):
    bad = tmp_path / "bad.tif"
    bad.write_bytes(b"II*\0 nothing")
    some = command("info", bad, stack, tmp_path / "none.tif")
    assert some.code == 1
    assert len(some.err.strip().splitlines()) == 2
    assert "none.tif: the image cannot be read" in some.err
    assert "OME-TIFF" in some.out
    assert command("info", bad).code == 2
    said = json.loads(command("info", "--json", bad, stack).out)
    assert "bad.tif" in said[0]["error"]
    assert said[1]["frames"] == 3


def test_a_protocol_that_is_not_there_is_refused(stack, refused, tmp_path):
    refused("info", stack, "--protocol", tmp_path / "none.toml", says=["none.toml"])
