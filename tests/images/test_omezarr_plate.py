"""A Zarr folder is listed as one image, a plate as one a well; nothing in it passes for a plain file."""

from __future__ import annotations

import json
import sys
import time

import pytest

from cher2.errors import ImageError
from cher2.images.files import find_image_files
from cher2.images.omezarr_plate import is_zarr_folder, wells_of
from cher2.images.reader import count_frames, frame_name, read_frame
from cher2.protocol import Protocol


def listed(folder):
    return [(file.name, file.plate) for file in find_image_files(folder, Protocol())]


def write_attributes(folder, ome, zarr_format=2):
    folder.mkdir(parents=True, exist_ok=True)
    document = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome | {"version": "0.5"}}}
    name, text = (".zattrs", ome) if zarr_format == 2 else ("zarr.json", document)
    (folder / name).write_text(json.dumps(text))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_images_and_plates_among_other_files(tmp_path, zarr_format):
    wells = {"wells": [{"path": well} for well in ("B/10", "B/2", "A/1")]}
    write_attributes(tmp_path / "P1" / "plate.ome.zarr", {"plate": wells}, zarr_format)
    write_attributes(tmp_path / "P1" / "f10.zarr", {"multiscales": []}, zarr_format)
    write_attributes(tmp_path / "P1" / "no ending", {"multiscales": []}, zarr_format)
    for name in ("P1/f2.tif", "P1/f10.zarr/thumbnail.png", "P1/plate.ome.zarr/B/2/x.tif", ".cache/a.zarr/.zattrs"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "P2" / "EMPTY.ZARR").mkdir(parents=True)
    plate = "P1/plate.ome.zarr"
    assert listed(tmp_path) == [
        ("P1/f2.tif", ""),
        ("P1/f10.zarr", ""),
        ("P1/no ending", ""),
        (f"{plate}/A/1", plate),
        (f"{plate}/B/2", plate),
        (f"{plate}/B/10", plate),
        ("P2/EMPTY.ZARR", ""),
    ]


def test_a_zarr_folder_is_no_folder_of_images(tmp_path):
    write_attributes(tmp_path / "plate", {"plate": {"wells": [{"path": "A/1"}]}})
    with pytest.raises(
        ImageError, match=r"it is a Zarr folder, one image or one plate\. Name the folder that it lies in"
    ):
        listed(tmp_path / "plate")
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(ImageError, match="it is a Zarr folder"):
        listed(tmp_path / "a.zarr")


@pytest.mark.parametrize("text", ["{", '{"plate": 3}', '{"plate": {"wells": [{"path": "../x"}]}}', "[1]"])
def test_a_plate_that_cannot_be_read_is_one_image_which_says_why(tmp_path, text):
    (tmp_path / "p.zarr").mkdir()
    (tmp_path / "p.zarr" / ".zattrs").write_text(text)
    assert wells_of(tmp_path / "p.zarr") == ()
    (file,) = find_image_files(tmp_path, Protocol())
    with pytest.raises(ImageError, match=r"p\.zarr"):
        count_frames(file, Protocol())


def test_what_is_a_zarr_folder():
    assert is_zarr_folder("a.OME.Zarr", [])
    assert is_zarr_folder("a", ["x.tif", ".zgroup"])
    assert not is_zarr_folder("zarr", ["zarr.txt", ".zarr"])


def test_a_large_plate_is_listed_at_once(tmp_path):
    # 1536 wells are the most of common plates; only one document is opened.
    wells = [{"path": f"{row}/{column}"} for row in range(32) for column in range(48)]
    write_attributes(tmp_path / "P1" / "p.zarr", {"plate": {"wells": wells}}, 3)
    for well in wells:
        (tmp_path / "P1" / "p.zarr" / well["path"]).mkdir(parents=True)
    start = time.process_time()
    assert len(listed(tmp_path)) == 1536
    assert time.process_time() - start < 1


def test_without_zarr_a_folder_is_listed_and_reading_says_what_to_install(tmp_path, monkeypatch):
    write_attributes(tmp_path / "P1" / "p.zarr", {"plate": {"wells": [{"path": "A/1"}]}})
    (tmp_path / "P1" / "p.zarr" / "A" / "1").mkdir(parents=True)
    for name in [name for name in sys.modules if name.split(".")[0] == "zarr"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "zarr", None)
    (file,) = find_image_files(tmp_path, Protocol())
    with pytest.raises(ImageError, match=r"the library zarr is needed\. pip install cher2\[formats\]"):
        count_frames(file, Protocol())


def test_fields_are_frames_with_a_number(tmp_path):
    from zarr_folders import counts, write_plate

    fields = [counts(4, 20, 30, seed=k) for k in range(2)]
    write_plate(tmp_path / "P1" / "p.zarr", {"A/1": fields, "A/2": fields[:1]})
    several, one = find_image_files(tmp_path, Protocol())
    assert [frame_name(several.name, k, count_frames(several, Protocol())) for k in range(2)] == [
        "P1/p.zarr/A/1#1",
        "P1/p.zarr/A/1#2",
    ]
    assert read_frame(several, 1, Protocol()).name == "P1/p.zarr/A/1#2"
    assert (read_frame(several, 1, Protocol()).pixels == fields[1]).all()
    assert read_frame(one, 0, Protocol()).name == "P1/p.zarr/A/2"
