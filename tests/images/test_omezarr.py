"""OME-Zarr 0.4 and 0.5, written by zarr and ome-zarr themselves, gives the pixels and facts that went in."""

from __future__ import annotations

import functools
import threading
from http.server import ThreadingHTTPServer

import fsspec
import numpy as np
import pytest
import zarr
from numcodecs import LZ4, Blosc, GZip, Zlib, Zstd
from RangeHTTPServer import RangeRequestHandler
from upath import UPath
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, TransposeCodec, ZstdCodec
from zarr_folders import NAMES, change_attributes, chunk_files, counts, group, write, write_plate

from cher2.errors import ImageError
from cher2.images.omezarr import OmeZarrFrames
from cher2.images.reader import read_image

BOTH = pytest.mark.parametrize("zarr_format", [2, 3], ids=["0.4", "0.5"])


def frames_of(path):
    with OmeZarrFrames(path) as frames:
        return [frames.read(k, "f") for k in range(len(frames))]


@BOTH
def test_a_single_image_with_what_is_said_of_it(tmp_path, zarr_format):
    pixels = counts(4, 70, 90)
    path = write(tmp_path / "a.ome.zarr", pixels, zarr_format=zarr_format, size_um=0.64)
    with OmeZarrFrames(path) as frames:
        info = frames.info(0)
        image = frames.read(0, "a.ome.zarr")
        assert len(frames) == 1
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.pixels.flags.c_contiguous
    assert (info.shape, info.dtype, info.channels, info.pixel_size_um) == ((4, 70, 90), np.uint16, NAMES, 0.64)
    assert (image.channels, image.pixel_size_um, image.name) == (NAMES, 0.64, "a.ome.zarr")
    # The writer puts a translation of zero: that is no stage position.
    assert info.position_um is image.position_um is None
    np.testing.assert_array_equal(read_image(path).pixels, pixels)


@pytest.mark.parametrize(
    ("axes", "shape", "frames"),
    [
        ("yx", (40, 50), 1),
        ("cyx", (2, 40, 50), 1),
        ("zyx", (1, 40, 50), 1),
        ("tyx", (3, 40, 50), 3),
        ("tcyx", (3, 2, 40, 50), 3),
        ("czyx", (2, 1, 40, 50), 1),
        ("tczyx", (2, 4, 1, 40, 50), 2),
    ],
)
def test_axes(tmp_path, axes, shape, frames):
    pixels = counts(*shape)
    path = write(
        tmp_path / "a.zarr",
        pixels,
        axes,
        names=("A", "B", "C", "D")[: dict(zip(axes, shape, strict=True)).get("c", 1)],
    )
    images = frames_of(path)
    assert len(images) == frames
    wanted = pixels.reshape(frames, -1, 40, 50)
    for image, one in zip(images, wanted, strict=True):
        np.testing.assert_array_equal(image.pixels, one)
        assert image.channels == (("A", "B", "C", "D")[: len(one)] if "c" in axes else ("",))


@BOTH
def test_axes_in_another_order_than_usual(tmp_path, zarr_format):
    # x before y and channels last: ome-zarr does not write that, but the axes say what it is.
    pixels = counts(50, 40, 3)
    home = group(tmp_path / "a.zarr", zarr_format)
    home.create_array("0", data=pixels, chunks=(16, 16, 2))
    image = {
        "axes": [{"name": "x", "type": "space"}, {"name": "y", "type": "space"}, {"name": "colour", "type": "channel"}],
        "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 1]}]}],
    }
    ome = {"multiscales": [image]}
    home.attrs.update(ome if zarr_format == 2 else {"ome": ome | {"version": "0.5"}})
    (frame,) = frames_of(tmp_path / "a.zarr")
    np.testing.assert_array_equal(frame.pixels, pixels.transpose(2, 1, 0))


def test_focal_planes_are_refused_as_in_other_stacks(tmp_path):
    path = write(tmp_path / "a.zarr", counts(2, 3, 40, 50), "czyx", names=("A", "B"))
    with pytest.raises(ImageError, match="a stack of 3 focal planes"):
        OmeZarrFrames(path)


@pytest.mark.parametrize(
    "compressor",
    [
        None,
        GZip(),
        Zlib(),
        LZ4(),
        Zstd(),
        *(Blosc(name, 5, shuffle) for name, shuffle in (("lz4", 0), ("zstd", 1), ("zlib", 2), ("blosclz", 1))),
    ],
    ids=str,
)
def test_every_compressor_of_zarr_2(tmp_path, compressor):
    pixels = counts(2, 70, 90)
    path = write(tmp_path / "a.zarr", pixels, zarr_format=2, compressor=compressor)
    np.testing.assert_array_equal(frames_of(path)[0].pixels, pixels)


@pytest.mark.parametrize(
    "codecs",
    [
        (),
        (GzipCodec(),),
        (ZstdCodec(),),
        (ZstdCodec(checksum=True),),
        (BloscCodec(cname="zstd"),),
        (ZstdCodec(), Crc32cCodec()),
        (Crc32cCodec(),),
    ],
    ids=lambda codecs: "-".join(type(codec).__name__ for codec in codecs),
)
@pytest.mark.parametrize("shards", [None, (2, 64, 64)], ids=["chunks", "shards"])
def test_every_compressor_of_zarr_3_with_and_without_shards(tmp_path, codecs, shards):
    pixels = counts(4, 70, 90)
    path = write(tmp_path / "a.zarr", pixels, compressors=codecs, shards=shards)
    np.testing.assert_array_equal(frames_of(path)[0].pixels, pixels)


@pytest.mark.parametrize("place", ["start", "end"])
def test_a_shard_of_several_frames_gives_each(tmp_path, place):
    pixels = counts(5, 2, 70, 90)
    path = write(tmp_path / "a.zarr", pixels, "tcyx", names=("A", "B"))
    zarr.create_array(
        path / "s0",
        data=pixels,
        chunks=(1, 1, 32, 32),
        shards={"shape": (3, 2, 96, 64), "index_location": place},
        serializer=BytesCodec(endian="big"),
        filters=[TransposeCodec(order=(0, 1, 3, 2))],
        overwrite=True,
    )
    for image, wanted in zip(frames_of(path), pixels, strict=True):
        np.testing.assert_array_equal(image.pixels, wanted)


@pytest.mark.parametrize(
    ("dtype", "order"), [(">u2", "C"), ("<u2", "F"), ("|u1", "C"), ("<i4", "F"), ("<f4", "C"), (">f8", "F")]
)
def test_byte_orders_and_types(tmp_path, dtype, order):
    pixels = counts(2, 40, 50) % 251
    path = write(tmp_path / "a.zarr", pixels.astype(dtype), zarr_format=2, order=order, names=("A", "B"))
    (image,) = frames_of(path)
    np.testing.assert_array_equal(image.pixels, pixels)
    wanted = {"|u1": np.uint8, "<f4": np.float32, ">f8": np.float32}.get(dtype, np.uint16)
    assert image.pixels.dtype == wanted
    assert image.pixels.dtype.isnative


@BOTH
def test_scale_and_translation_of_level_and_of_all_levels_with_units(tmp_path, zarr_format):
    path = write(tmp_path / "a.zarr", counts(1, 40, 50), zarr_format=zarr_format, names=("A",))

    def change(ome):
        image = ome["multiscales"][0]
        image["datasets"][0]["coordinateTransformations"] = [
            {"type": "scale", "scale": [1, 250.0, 250.0]},
            {"type": "translation", "translation": [0, 1000, 2000]},
        ]
        image["coordinateTransformations"] = [{"type": "scale", "scale": [1, 2, 2]}]
        image["axes"][1]["unit"] = image["axes"][2]["unit"] = "nanometer"

    change_attributes(path, change)
    with OmeZarrFrames(path) as frames:
        info = frames.info(0)
    # 250 nm x 2 a pixel; (1000, 2000) nm x 2 from the origin.
    assert info.pixel_size_um == pytest.approx(0.5)
    assert info.position_um == pytest.approx((2.0, 4.0))


@BOTH
def test_without_a_unit_there_is_neither_pixel_size_nor_position(tmp_path, zarr_format):
    path = write(tmp_path / "a.zarr", counts(1, 40, 50), zarr_format=zarr_format, names=("A",))

    def change(ome):
        image = ome["multiscales"][0]
        image["datasets"][0]["coordinateTransformations"][1:] = [{"type": "translation", "translation": [0, 5, 6]}]
        for axis in image["axes"]:
            axis.pop("unit", None)

    change_attributes(path, change)
    with OmeZarrFrames(path) as frames:
        assert frames.info(0).pixel_size_um is frames.info(0).position_um is None


def test_pixels_that_are_not_square_are_refused(tmp_path):
    path = write(tmp_path / "a.zarr", counts(1, 40, 50), names=("A",))
    step = {"type": "scale", "scale": [1, 0.5, 0.6]}
    change_attributes(path, lambda o: o["multiscales"][0]["datasets"][0].update(coordinateTransformations=[step]))
    with pytest.raises(ImageError, match=r"not square \(0\.6 by 0\.5 um\)"):
        OmeZarrFrames(path)


@BOTH
@pytest.mark.parametrize("told", [True, False], ids=["series told", "numbered"])
def test_a_container_of_several_images(tmp_path, zarr_format, told):
    home = group(tmp_path / "a.zarr", zarr_format)
    layout = {"bioformats2raw.layout": 3}
    home.attrs.update(layout if zarr_format == 2 else {"ome": layout | {"version": "0.5"}})
    names = ["1", "0"] if told else ["0", "1"]
    if told:
        series = {"series": names}
        home.create_group("OME").attrs.update(series if zarr_format == 2 else {"ome": series | {"version": "0.5"}})
    pixels = [counts(2, 40, 50, seed=1), counts(2, 30, 20, seed=2)]
    for name, one in zip(names, pixels, strict=True):
        write(home.create_group(name), one, zarr_format=zarr_format, names=("A", "B"))
    images = frames_of(tmp_path / "a.zarr")
    for image, wanted in zip(images, pixels, strict=True):
        np.testing.assert_array_equal(image.pixels, wanted)


XML = """<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" Creator="cher2 simulate 0.1">
<Image ID="Image:0"><Pixels SizeX="50" SizeY="40" SignificantBits="12" PhysicalSizeX="0.7" PhysicalSizeY="0.7">
<Channel Name="A"/><Channel Name="B"/><Plane TheT="0"
 PositionX="30" PositionXUnit="µm" PositionY="0.02" PositionYUnit="mm"/>
<Plane TheT="1" PositionX="31" PositionXUnit="µm" PositionY="21" PositionYUnit="µm"/></Pixels></Image>
<Image ID="Image:1"><Pixels SignificantBits="16"/></Image></OME>"""


def container(path, xml, zarr_format=3, **options):
    """Write a container as bioformats2raw does, of an image of two frames and one of one."""
    home = group(path, zarr_format)
    layout = {"bioformats2raw.layout": 3}
    home.attrs.update(layout if zarr_format == 2 else {"ome": layout | {"version": "0.5"}})
    home.create_group("OME")
    (path / "OME" / "METADATA.ome.xml").write_text(xml, encoding="utf-8")
    for k, frames in enumerate((2, 1)):
        write(home.create_group(str(k)), counts(frames, 2, 40, 50), "tcyx", zarr_format, **options)
    return path


@BOTH
def test_the_ome_xml_of_bioformats2raw_tells_what_attributes_leave_open(tmp_path, zarr_format):
    path = container(tmp_path / "a.zarr", XML, zarr_format, names=("DAPI",), size_um=0.5)
    with OmeZarrFrames(path) as frames:
        infos = [frames.info(k) for k in range(len(frames))]
        image = frames.read(1, "f")
    # 12 bits of a camera; 16 is the container's width, which says nothing.
    assert [info.bits for info in infos] == [12, 12, None]
    assert [info.position_um for info in infos] == [(20, 30), (21, 31), None]
    # One label for two channels names none, so that the XML's names count; the attributes' pixel size does.
    assert [info.channels for info in infos] == [("A", "B"), ("A", "B"), ("", "")]
    assert {info.pixel_size_um for info in infos} == {0.5}
    assert (image.bits, image.position_um, image.synthetic) == (12, (21, 31), True)


def test_an_ome_xml_of_other_images_is_not_believed(tmp_path):
    path = container(tmp_path / "a.zarr", XML.replace("<Image ID", "<Image><Pixels/></Image><Image ID", 1), names="AB")
    with OmeZarrFrames(path) as frames:
        assert [frames.info(k).position_um for k in range(len(frames))] == [None] * 3


@pytest.mark.parametrize(
    "xml", ["<OME>", "<!DOCTYPE a [<!ENTITY b 'c'>]><OME/>", '<OME><Image><Pixels SignificantBits="x"/></Image></OME>']
)
def test_an_ome_xml_that_is_none(tmp_path, xml):
    path = container(tmp_path / "a.zarr", xml, names="AB")
    with pytest.raises(ImageError, match="its OME header"):
        OmeZarrFrames(path)


@BOTH
def test_the_fields_of_a_well_are_its_frames_with_their_places(tmp_path, zarr_format):
    fields = [counts(4, 40, 50, seed=k) for k in range(3)]
    plate = write_plate(tmp_path / "p.ome.zarr", {"B/03": fields}, zarr_format)
    for k in range(3):
        step = [{"type": "scale", "scale": [1, 0.5, 0.5]}, {"type": "translation", "translation": [0, 0, 20.0 * k]}]
        change_attributes(
            plate / "B" / "03" / str(k),
            lambda o, s=step: o["multiscales"][0]["datasets"][0].update(coordinateTransformations=s),
        )
    images = frames_of(plate / "B" / "03")
    assert [image.position_um for image in images] == [(0, 0), (0, 20), (0, 40)]
    for image, wanted in zip(images, fields, strict=True):
        np.testing.assert_array_equal(image.pixels, wanted)


def test_labels_are_no_frames(tmp_path):
    path = write(tmp_path / "a.zarr", counts(4, 40, 50))
    labels = zarr.open_group(path).create_group("labels/cells")
    write(labels, counts(1, 40, 50), names=("",))
    change_attributes(path / "labels" / "cells", lambda ome: ome.update({"image-label": {}}))
    assert len(frames_of(path)) == 1
    with pytest.raises(ImageError, match="holds labels of another image"):
        OmeZarrFrames(path / "labels" / "cells")


def test_only_the_chunks_of_a_frame_are_read(tmp_path):
    pixels = counts(3, 2, 40, 50)
    path = write(tmp_path / "a.zarr", pixels, "tcyx", names=("A", "B"))
    for file in chunk_files(path):
        if file.relative_to(path).parts[2] == "1":
            file.write_bytes(b"no chunk")
    with OmeZarrFrames(path) as frames:
        np.testing.assert_array_equal(frames.read(2, "f").pixels, pixels[2])
        with pytest.raises(ImageError, match="cannot be decoded"):
            frames.read(1, "f")
        np.testing.assert_array_equal(frames.read(0, "f").pixels, pixels[0])
        with pytest.raises(ImageError, match="no frame 3"):
            frames.read(3, "f")


@BOTH
def test_in_memory(tmp_path, zarr_format):
    pixels = counts(4, 70, 90)
    path = write(tmp_path / "a.zarr", pixels, zarr_format=zarr_format, shards=(4, 64, 64) if zarr_format == 3 else None)
    memory = fsspec.filesystem("memory")
    memory.put(str(path), f"/{tmp_path.name}/a.zarr", recursive=True)
    place = UPath(f"memory://{tmp_path.name}/a.zarr")
    np.testing.assert_array_equal(frames_of(place)[0].pixels, pixels)
    memory.rm(f"{place.path}/{chunk_files(path)[0].relative_to(path).as_posix()}")
    with pytest.raises(ImageError, match=r"(1|16) of the 36 chunks of a frame are missing"):
        frames_of(place)


@pytest.fixture
def served(tmp_path):
    """Return the address of a web server of a temporary folder, and the folder."""

    class Quiet(RangeRequestHandler):
        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", tmp_path
    server.shutdown()
    thread.join()
    server.server_close()


@BOTH
def test_over_http(served, zarr_format):
    address, folder = served
    pixels = counts(4, 40, 50)
    path = write(folder / "a.zarr", pixels, zarr_format=zarr_format)
    place = UPath(f"{address}/a.zarr")
    np.testing.assert_array_equal(frames_of(place)[0].pixels, pixels)
    chunk_files(path)[0].unlink()
    with pytest.raises(ImageError, match="1 of the 16 chunks of a frame are missing"):
        frames_of(place)


def test_an_answer_of_a_server_that_is_an_error(served):
    # This server knows no ranges from the end of a file, where a shard's index lies.
    address, folder = served
    write(folder / "a.zarr", counts(4, 40, 50), shards=(4, 64, 64))
    place = UPath(f"{address}/a.zarr")
    with pytest.raises(ImageError, match=r"its pixels cannot be read .*400"):
        frames_of(place)
