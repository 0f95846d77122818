import dask.array as da
import numpy as np
import pytest
import tifffile

from cher2 import read_image
from cher2.errors import ImageError
from cher2.napari.reader import get_reader, read_layers


def test_layers_are_named_coloured_and_scaled_by_channel(ome_file, sample_image):
    layers = get_reader(str(ome_file))(str(ome_file))
    assert [kind for _, _, kind in layers] == ["image"] * 4
    assert [s["name"] for _, s, _ in layers] == [f"{name} (synthetic)" for name in ("DAPI", "CK", "CD45", "HER2")]
    assert [s["colormap"] for _, s, _ in layers] == ["#0000ff", "#00ff00", "#ff0000", "#ffff00"]
    for (pixels, settings, _), plane in zip(layers, sample_image.pixels, strict=True):
        np.testing.assert_array_equal(pixels, plane)
        assert settings["blending"] == "additive"
        assert settings["scale"] == (0.64, 0.64)
        assert settings["units"] == ("micrometer", "micrometer")
    said = layers[3][1]["metadata"]["cher2"]
    assert said["role"] == "her2"
    assert said["channels"] == ("DAPI", "CK", "CD45", "HER2")
    assert said["pixel_size_um"] == 0.64
    assert said["bits"] == 12
    assert str(ome_file.parent) not in str(said)


@pytest.mark.parametrize("name", ["a.csv", "a.oib", "tif", "a.tif.txt", "a.ome.zarr"])
def test_other_files_are_not_ours(name):
    assert get_reader(name) is None


@pytest.mark.parametrize("name", ["A.TIF", "a.ome.tiff", "a.btf", "a.png", "a.JPEG"])
def test_our_files_are_ours_before_they_are_looked_at(name):
    assert get_reader(name) is read_layers


def test_folders_and_mixed_or_empty_lists_are_not_ours(tmp_path):
    (tmp_path / "folder.tif").mkdir()
    assert get_reader(str(tmp_path / "folder.tif")) is None
    assert get_reader(["a.tif", "b.csv"]) is None
    assert get_reader([]) is None


@pytest.mark.parametrize("content", [b"", b"II*\0garbage", b"not an image at all"])
def test_a_broken_file_is_an_error_of_one_line(tmp_path, content):
    path = tmp_path / "broken.tif"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"broken\.tif") as caught:
        read_layers(str(path))
    assert "\n" not in str(caught.value)


def test_a_file_without_names_and_pixel_size_stays_so(tmp_path):
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, np.arange(64, dtype=np.uint8).reshape(8, 8), metadata=None)
    [(_, settings, _)] = read_layers(str(path))
    assert settings["name"] == "channel 0"
    assert settings["colormap"] == "gray"
    assert settings["units"] == ("pixel", "pixel")
    assert settings["scale"] == (1.0, 1.0)
    assert settings["metadata"]["cher2"]["pixel_size_um"] is None


@pytest.fixture
def stack_file(tmp_path):
    pixels = np.random.default_rng(2).integers(0, 4000, (3, 4, 32, 40), dtype=np.uint16)
    path = tmp_path / "stack.ome.tif"
    names = ["DAPI", "CK", "CD45", "HER2"]
    tifffile.imwrite(path, pixels, metadata={"axes": "TCYX", "Channel": {"Name": names}})
    return path, pixels


def test_several_frames_become_a_stack_that_is_read_when_shown(stack_file):
    path, pixels = stack_file
    layers = read_layers(str(path))
    assert len(layers) == 4
    for channel, (data, settings, _) in enumerate(layers):
        assert isinstance(data, da.Array)
        assert data.chunks == ((1, 1, 1), (32,), (40,))
        np.testing.assert_array_equal(np.asarray(data), pixels[:, channel])
        assert settings["axis_labels"] == ("frame", "y", "x")
        assert len(settings["scale"]) == len(settings["units"]) == 3
        assert settings["metadata"]["cher2"]["name"] == "stack.ome.tif"


def test_several_files_become_a_stack(tmp_path, ome_file):
    other = tmp_path / "frame_02.ome.tif"
    other.write_bytes(ome_file.read_bytes().replace(b"frame_01", b"frame_02"))
    layers = get_reader([str(ome_file), str(other)])([str(ome_file), str(other)])
    assert layers[0][0].shape == (2, *read_image(ome_file).shape)
    np.testing.assert_array_equal(np.asarray(layers[3][0][1]), read_image(other).pixels[3])


def test_frames_of_another_size_say_so_when_they_are_read(tmp_path, ome_file):
    small = tmp_path / "small.tif"
    tifffile.imwrite(small, np.zeros((8, 8), np.uint16), metadata=None)
    layers = read_layers([str(ome_file), str(small)])
    with pytest.raises(ImageError, match=r"small\.tif: this frame has 8 x 8 pixels"):
        np.asarray(layers[0][0][1])
