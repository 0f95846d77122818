"""Damaged and hostile OME-Zarr folders end in an ImageError that says why, at once and in little memory."""

from __future__ import annotations

import os
import random
import struct
import time
import tracemalloc

import numpy as np
import pytest
import zarr
from numcodecs import Blosc, Zstd
from zarr.codecs import Crc32cCodec
from zarr_folders import (
    array_of,
    change_attributes,
    change_document,
    chunk_files,
    copy,
    counts,
    document_of,
    write,
    write_plate,
)

from cher2.errors import ImageError
from cher2.images.files import find_image_files
from cher2.images.omezarr import OmeZarrFrames
from cher2.protocol import Protocol

PIXELS = counts(4, 40, 50)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return the folders of sound images; a test changes a copy."""
    folder = tmp_path_factory.mktemp("sound")
    write(folder / "v2.zarr", PIXELS, zarr_format=2)
    write(folder / "v3.zarr", PIXELS)
    write(folder / "shards.zarr", PIXELS, shards=(4, 64, 64), compressors=(Crc32cCodec(),))
    write_plate(folder / "p.zarr", {"A/1": [PIXELS, PIXELS]})
    return folder


@pytest.fixture(params=["v2.zarr", "v3.zarr"])
def sound(request, written, tmp_path):
    return copy(written / request.param, tmp_path / request.param)


def read_all(path):
    with OmeZarrFrames(path) as frames:
        return [frames.read(k, "f") for k in range(len(frames))]


def refused(path, says):
    start = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match=says):
            read_all(path)
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()
    assert time.process_time() - start < 2


def test_missing_chunks_are_no_zeros(sound):
    for file in chunk_files(sound)[:3]:
        file.unlink()
    refused(sound, "3 of the 16 chunks of a frame are missing.*write_empty_chunks")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_chunks_of_zeros_are_read_where_they_were_written(tmp_path, zarr_format):
    path = write(tmp_path / "a.zarr", PIXELS * 0, zarr_format=zarr_format)
    refused(path, "16 of the 16 chunks of a frame are missing")
    with zarr.config.set({"array.write_empty_chunks": True}):
        zarr.open_array(path / "s0")[...] = 0
    with OmeZarrFrames(path) as frames:
        assert not frames.read(0, "f").pixels.any()


def test_a_hole_in_a_shard_is_seen_but_not_one_beyond_the_image(tmp_path):
    pixels = counts(1, 40, 50)
    path = write(tmp_path / "a.zarr", pixels, names=("A",), shards=(1, 128, 128))
    with OmeZarrFrames(path) as frames:
        np.testing.assert_array_equal(frames.read(0, "f").pixels, pixels)
    pixels[0, :32, :32] = 0
    zarr.open_array(path / "s0")[...] = pixels
    refused(path, "1 of the 4 chunks of a frame are missing")


def test_truncated_chunks(sound):
    for file in chunk_files(sound):
        file.write_bytes(file.read_bytes()[:-3])
    refused(sound, "cannot be decoded|has .* bytes, but")


def test_truncated_blosc_which_decodes_to_what_lies_behind_it_in_memory(tmp_path):
    path = write(tmp_path / "a.zarr", PIXELS, zarr_format=2, compressor=Blosc())
    file = chunk_files(path)[0]
    file.write_bytes(file.read_bytes()[:-3])
    refused(path, "the chunk was cut short")


def test_a_shard_cut_short_or_altered(written, tmp_path):
    path = copy(written / "shards.zarr", tmp_path / "a.zarr")
    (file,) = chunk_files(path)
    data = file.read_bytes()
    file.write_bytes(data[:50])
    refused(path, "the shard was cut short")
    file.write_bytes(data[: len(data) // 2])
    refused(path, "its checksum is not that of its bytes")
    file.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    refused(path, "its checksum is not that of its bytes")


@pytest.mark.parametrize("entry", [(2**63, 100), (0, 2**40), (5, 0), (10**9, 2048)])
def test_a_shard_whose_index_leads_elsewhere(written, tmp_path, entry):
    path = copy(written / "shards.zarr", tmp_path / "a.zarr")
    change_document(array_of(path), lambda d: d["codecs"][0]["configuration"]["index_codecs"].pop())
    (file,) = chunk_files(path)
    data = bytearray(file.read_bytes()[:-4])
    data[-256:-240] = struct.pack("<QQ", *entry)
    file.write_bytes(data)
    refused(path, "its index tells of a chunk|the shard was cut short")


@pytest.mark.parametrize("compressor", [Zstd(), Blosc("zstd")])
def test_a_chunk_that_decompresses_to_more_than_it_should(tmp_path, compressor):
    path = write(tmp_path / "a.zarr", PIXELS, zarr_format=2, compressor=compressor)
    bomb = compressor.encode(np.zeros(500_000_000, np.uint8))
    assert len(bomb) < 3_000_000
    small = compressor.encode(np.zeros(10_000_000, np.uint8))
    for data in (bomb, small):
        chunk_files(path)[0].write_bytes(data)
        refused(path, "cannot be decoded|takes more than")


def test_a_huge_file_in_place_of_a_chunk_is_not_read(sound):
    with chunk_files(sound)[0].open("wb") as file:
        file.truncate(2**40)
    refused(sound, "takes more than")


@pytest.mark.skipif(os.name == "nt", reason="no named pipes")
def test_a_named_pipe_is_not_waited_for(sound):
    chunk = chunk_files(sound)[0]
    chunk.unlink()
    os.mkfifo(chunk)
    refused(sound, "1 of the 16 chunks of a frame are missing")


@pytest.mark.parametrize(
    "shape",
    [[4, 2**31, 50], [4, 2**14, 2**14 + 1], [4, 0, 50], [4, -1, 50], [4, 40.0, 50], "40", [4, 40], [2**70, 1, 1]],
)
def test_absurd_shapes(sound, shape):
    change_document(array_of(sound), lambda d: d.update(shape=shape))
    refused(sound, "pixels in all channels|claim the shape|axes|it claims|chunks that a frame lies in")


@pytest.mark.parametrize("chunks", [[1, 2**20, 2**20], [2**9, 2**9, 2**11], [1, 0, 1], [1, 1, 1, 1], None])
def test_absurd_chunks(sound, chunks):
    def change(document):
        if "chunks" in document:
            document["chunks"] = chunks
        else:
            document["chunk_grid"]["configuration"]["chunk_shape"] = chunks

    change_document(array_of(sound), change)
    refused(sound, "one of its chunks has|claim the shape|axes|chunks that a frame lies in")


def test_more_chunks_than_anybody_would_write(written, tmp_path):
    path = copy(written / "v2.zarr", tmp_path / "a.zarr")
    change_document(array_of(path), lambda d: d.update(shape=[4, 4000, 4000], chunks=[1, 1, 1]))
    refused(path, "it claims 1 frames of 64000000 chunks each")


@pytest.mark.parametrize("dtype", ["complex64", "bool", "datetime64[s]", "S4"])
def test_pixels_that_are_no_counts(written, tmp_path, dtype):
    path = copy(written / "v2.zarr", tmp_path / "a.zarr")
    change_document(array_of(path), lambda d: d.update(dtype=np.dtype(dtype).str))
    refused(path, "its pixels are of the type .*no camera counts")


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_floats_that_are_no_finite_numbers(tmp_path, bad):
    pixels = PIXELS.astype(np.float64)
    pixels[2, 7, 9] = bad
    refused(write(tmp_path / "a.zarr", pixels), "1 of its 8000 pixels are not finite numbers")


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "|O", "filters": [{"id": "pickle"}]},
        {"filters": [{"id": "pickle"}]},
        {"compressor": {"id": "lzma"}},
        {"compressor": {"id": "pickle"}},
        {"order": "K"},
        {"zarr_format": 4},
        {"dtype": [["a", "<u2"]]},
    ],
)
def test_codecs_that_are_not_read_are_never_loaded(written, tmp_path, change):
    path = copy(written / "v2.zarr", tmp_path / "a.zarr")
    change_document(array_of(path), lambda d: d.update(change))
    refused(path, "filters|pickle|lzma|order|type|no Zarr array")


def sharding(chunks, index_codec):
    settings = {"chunk_shape": chunks, "codecs": ["bytes"], "index_codecs": [index_codec]}
    return {"name": "sharding_indexed", "configuration": settings}


@pytest.mark.parametrize(
    "change",
    [
        {"codecs": []},
        {"codecs": "zstd"},
        {"codecs": [{"name": "zstd"}]},
        {"codecs": ["bytes", "evil"]},
        {"codecs": [{"name": "sharding_indexed", "configuration": 3}]},
        {"storage_transformers": [{"name": "evil"}]},
        {"codecs": [sharding([1, 32, 31], "bytes")]},
        {"codecs": [sharding([1, 32, 32], "zstd")]},
        {"chunk_grid": {"name": "odd"}},
        {"chunk_key_encoding": 5},
        {"data_type": "string"},
        {"data_type": {"name": "struct"}},
    ],
)
def test_metadata_of_zarr_3_that_are_not_read(written, tmp_path, change):
    path = copy(written / "v3.zarr", tmp_path / "a.zarr")
    change_document(array_of(path), lambda d: d.update(change))
    refused(path, "codec|transformer|shards|grid|key|compressed with|type")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "null", "[" * 100_000, '{"multiscales": 1e999}', "\xff", '{"a": NaN}']
)
def test_attributes_that_are_none(sound, text):
    document_of(sound).write_text(text, encoding="latin-1")
    refused(sound, "no JSON|tell of no|zarr.json tells of no group|is no list")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("axes", 5),
        ("axes", ["y", "x"]),
        ("axes", []),
        ("axes", [{"name": "q"}] * 3),
        ("axes", [{"name": "y"}] * 3),
        ("axes", [{"name": "y"}, {"name": "x"}]),
        ("datasets", []),
        ("datasets", [{"path": "s0"}]),
        ("datasets", {"path": 3}),
        ("datasets", [{"path": "s0", "coordinateTransformations": [{"type": "scale", "scale": ["1", 1, 1]}]}]),
        ("datasets", [{"path": "s0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1]}]}]),
        ("datasets", [{"path": "s0", "coordinateTransformations": [{"type": "scale", "scale": [1, 0, 1]}]}]),
        ("datasets", [{"path": "s0", "coordinateTransformations": [{"type": "affine", "scale": [1, 1, 1]}]}]),
        ("coordinateTransformations", [{"type": "scale", "scale": [1, float("nan"), 1]}]),
    ],
)
def test_attributes_of_wrong_types(sound, place, value):
    change_attributes(sound, lambda ome: ome["multiscales"][0].update({place: value}))
    refused(sound, "its (attribute|axes|coordinateTransformations|attributes name)")


@pytest.mark.parametrize(
    "path", ["../v/s0", "/etc", "s0/../../x", "..", ".", "", "a//b", "a\\b", "C:", "a\nb", "x" * 2000]
)
def test_a_level_in_another_place(sound, path):
    change_attributes(sound, lambda ome: ome["multiscales"][0]["datasets"][0].update(path=path))
    refused(sound, "name the place")


def test_a_level_that_is_not_there(sound):
    change_attributes(sound, lambda ome: ome["multiscales"][0]["datasets"][0].update(path="s7"))
    refused(sound, "the array is not there")


@pytest.mark.parametrize(
    ("zarr_format", "version"), [(2, "0.1"), (2, "0.5"), (3, "0.4"), (3, "0.50"), (3, 0.5), (3, None)]
)
def test_versions_that_are_not_read(written, tmp_path, zarr_format, version):
    path = copy(written / f"v{zarr_format}.zarr", tmp_path / "a.zarr")
    if zarr_format == 2:
        change_attributes(path, lambda ome: ome["multiscales"][0].update(version=version))
    else:
        change_attributes(path, lambda ome: ome.update(version=version))
    refused(path, "read are 0.4 in Zarr 2 and 0.5 in Zarr 3")


def test_more_names_than_channels_name_none(sound):
    change_attributes(sound, lambda ome: ome["omero"]["channels"].append({"label": "more"}))
    with OmeZarrFrames(sound) as frames:
        assert frames.info(0).channels == ("",) * 4


@pytest.mark.parametrize("omero", [3, {"channels": 4}, {"channels": [{"label": 5}]}])
def test_channel_names_of_wrong_types(sound, omero):
    change_attributes(sound, lambda ome: ome.update(omero=omero))
    refused(sound, "its attribute omero")


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("what", ["chunk", "array", "attributes"])
def test_a_link_that_leads_out_of_the_folder(sound, tmp_path, what):
    place = {"chunk": chunk_files(sound)[0], "array": sound / "s0", "attributes": document_of(sound)}[what]
    place.rename(tmp_path / "outside")
    place.symlink_to(tmp_path / "outside")
    refused(sound, "a link leads out of the folder")


@pytest.mark.parametrize("well", ["../x", "/etc", "A", "A/1/2", "A/..", "", "A//1"])
def test_a_well_in_another_place(written, tmp_path, well):
    path = copy(written / "p.zarr", tmp_path / "p.zarr")
    change_attributes(path, lambda ome: ome["plate"]["wells"].append({"path": well}))
    refused(path, "name the place")
    # It is listed as one image, so that a run says why it cannot be read, and goes on.
    assert [file.name for file in find_image_files(tmp_path, Protocol())] == ["p.zarr"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_well_that_a_link_leads_out_of_the_plate(tmp_path):
    path = write_plate(tmp_path / "in" / "p.zarr", {"A/1": [PIXELS], "A/2": [PIXELS]})
    (path / "A" / "2").rename(tmp_path / "outside")
    (path / "A" / "2").symlink_to(tmp_path / "outside")
    refused(path, "a link leads out of the folder")
    assert [file.name for file in find_image_files(tmp_path / "in", Protocol())] == ["p.zarr"]


def test_wells_and_plates_that_make_no_sense(written, tmp_path):
    path = copy(written / "p.zarr", tmp_path / "p.zarr")
    refused(path, r"a plate of 1 wells\. Name one of them, such as .*p\.zarr/A/1")
    well = path / "A" / "1"
    change_attributes(well, lambda o: o["well"].update(images=[{"path": "0", "acquisition": 1}, {"path": "1"}]))
    refused(well, "imaged in 2 acquisitions")
    change_attributes(well, lambda ome: ome["well"].update(images=[{"path": "0"}, {"path": "0"}]))
    refused(well, "name a field twice")
    change_attributes(well, lambda ome: ome["well"].update(images=[{"path": "7"}]))
    refused(well, "the image is not there")
    change_attributes(well, lambda ome: ome["well"].update(images=[]))
    refused(well, "well.images")
    change_attributes(path, lambda ome: ome["plate"].update(wells=[{"path": "A/1"}] * 2))
    refused(path, "name a well twice")


def test_folders_that_are_no_ome_zarr(tmp_path):
    refused(tmp_path, "neither .zattrs nor zarr.json")
    zarr.create_array(tmp_path / "a.zarr", data=PIXELS)
    refused(tmp_path / "a.zarr", "tells of no group")
    zarr.open_group(tmp_path / "b.zarr", mode="w")
    refused(tmp_path / "b.zarr", "without OME's attributes")
    zarr.open_group(tmp_path / "c.zarr", mode="w", zarr_format=2, attributes={"a": 1})
    refused(tmp_path / "c.zarr", "tell of no image")
    zarr.open_group(tmp_path / "d.zarr", mode="w", zarr_format=2, attributes={"bioformats2raw.layout": 3})
    refused(tmp_path / "d.zarr", "it claims 0 frames")


@pytest.mark.parametrize("kind", ["v2.zarr", "v3.zarr", "shards.zarr"])
def test_bytes_changed_at_random(written, tmp_path, kind):
    """Whatever is changed, an image comes or an ImageError, and nothing else."""
    chance = random.Random(kind)
    seen = 0
    for k in range(40):
        path = copy(written / kind, tmp_path / f"{k}.zarr")
        files = [document_of(path), array_of(path), chance.choice(chunk_files(path))]
        file = chance.choice(files)
        data = bytearray(file.read_bytes())
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.choice((0, 34, 48, 57, 91, 255, chance.randrange(256)))
        file.write_bytes(data[: chance.randrange(len(data))] if chance.random() < 0.2 else data)
        try:
            with OmeZarrFrames(path) as frames:
                frames.read(0, "f")
        except ImageError:
            seen += 1
    assert seen > 15
