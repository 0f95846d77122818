import struct
import zlib

import numpy as np
import pytest
import tifffile

from cher2.errors import ImageError
from cher2.images.files import ImageFile
from cher2.images.reader import count_frames, read_frames, read_image
from cher2.protocol import Protocol

NAMES = ("DAPI", "CK", "CD45", "HER2")
PIXELS = np.random.default_rng(0).integers(0, 4096, (4, 40, 56), dtype=np.uint16)
FRAMES = np.random.default_rng(1).integers(0, 4096, (3, 4, 40, 56), dtype=np.uint16)


def save(path, pixels=PIXELS, **words):
    """Write a TIFF; grey unless it is said otherwise."""
    tifffile.imwrite(path, pixels, **{"photometric": "minisblack", **words})
    return path


def ome(path, pixels=PIXELS, axes="CYX", compression=None, **metadata):
    return save(path, pixels, ome=True, compression=compression, metadata={"axes": axes, **metadata})


def frames(path):
    protocol = Protocol.from_dict({})
    file = ImageFile(path.name, (path,))
    found = list(read_frames(file, protocol))
    assert count_frames(file, protocol) == len(found)
    return found


def assert_frames(path, expected):
    """The file holds these frames, and each can be read alone."""
    found = frames(path)
    assert len(found) == len(expected)
    for k, (image, pixels) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_array_equal(image.pixels, pixels)
        np.testing.assert_array_equal(read_image(path, frame=k).pixels, pixels)
        assert image.name == (path.name if len(expected) == 1 else f"{path.name}#{k + 1}")
        assert image.pixels.flags.c_contiguous
        assert image.pixels.dtype.isnative


class TestOme:
    def test_pixels_and_all_that_the_header_says(self, tmp_path):
        path = ome(
            tmp_path / "a.ome.tif",
            Channel={"Name": list(NAMES)},
            PhysicalSizeX=640.0, PhysicalSizeXUnit="nm", PhysicalSizeY=0.64, PhysicalSizeYUnit="µm",
            SignificantBits=12,
            Plane={"PositionX": [1.5] * 4, "PositionXUnit": ["mm"] * 4,
                   "PositionY": [-20.0] * 4, "PositionYUnit": ["µm"] * 4},
        )  # fmt: skip
        assert_frames(path, [PIXELS])
        image = read_image(path)
        assert image.channels == NAMES
        assert image.pixel_size_um == pytest.approx(0.64)
        assert image.bits == 12
        assert image.position_um == (-20.0, 1500.0)

    def test_exposure_times_by_channel_and_time(self, tmp_path):
        times = [0.05, 0.1, 0.2, 0.4, 0.05, 0.1, 0.2, 0.8]
        path = ome(tmp_path / "a.ome.tif", FRAMES[:2], "TCYX", Plane={"ExposureTime": times})
        found = [image.exposure_ms for image in frames(path)]
        assert found[0] == pytest.approx((50, 100, 200, 400))
        assert found[1] == pytest.approx((50, 100, 200, 800))

    @pytest.mark.parametrize(
        ("unit", "time", "ms"), [("s", 0.25, 250.0), ("ms", 250, 250.0), ("µs", 250, 0.25), ("ns", 5e6, 5.0)]
    )
    def test_units_of_exposure_times(self, tmp_path, unit, time, ms):
        plane = {"ExposureTime": [time] * 4, "ExposureTimeUnit": [unit] * 4}
        assert read_image(ome(tmp_path / "a.ome.tif", Plane=plane)).exposure_ms == pytest.approx((ms,) * 4)

    @pytest.mark.parametrize(("unit", "time"), [("fortnight", 1.0), ("s", -1.0), ("s", 0.0), ("s", float("nan"))])
    def test_an_exposure_that_is_none_is_unsaid(self, tmp_path, unit, time):
        plane = {"ExposureTime": [time] * 4, "ExposureTimeUnit": [unit] * 4}
        path = ome(tmp_path / "a.ome.tif", Plane=plane)
        assert read_image(path).exposure_ms == ()

    def test_exposures_of_some_channels_leave_the_others_unsaid(self, tmp_path):
        planes = "".join(f'<Plane TheC="{c}" TheZ="0" TheT="0" ExposureTime="0.{c}"/>' for c in (2, 1))
        path = with_header(tmp_path, header(blocks='<TiffData IFD="0" PlaneCount="4"/>' + planes))
        assert read_image(path).exposure_ms == (None, 100.0, 200.0, None)

    def test_says_nothing_where_the_header_says_nothing(self, tmp_path):
        image = read_image(ome(tmp_path / "a.ome.tif", Plane={"PositionX": [3.0] * 4, "PositionY": [4.0] * 4}))
        # A position without a unit is in "reference frame" units: no micrometres.
        assert (image.pixel_size_um, image.bits, image.position_um) == (None, None, None)
        assert image.channels == ("",) * 4

    def test_bits_of_the_container_say_nothing_of_the_camera(self, tmp_path):
        assert read_image(ome(tmp_path / "a.ome.tif", SignificantBits=16)).bits is None

    @pytest.mark.parametrize("planar", ["contig", "separate"])
    def test_colours_are_channels(self, tmp_path, planar):
        pixels, axes = (PIXELS[:3], "CYX") if planar == "separate" else (np.moveaxis(PIXELS[:3], 0, -1), "YXC")
        words = {"photometric": "rgb", "planarconfig": planar, "metadata": {"axes": axes.replace("C", "S")}}
        path = save(tmp_path / "a.ome.tif", np.ascontiguousarray(pixels), ome=True, **words)
        assert_frames(path, [PIXELS[:3]])
        assert read_image(path).channels == ("R", "G", "B")

    @pytest.mark.parametrize("size", [0.001, 352.8, 0.0, -1.0])
    def test_a_nonsense_pixel_size_is_unsaid(self, tmp_path, size):
        assert read_image(ome(tmp_path / "a.ome.tif", PhysicalSizeX=size, PhysicalSizeY=size)).pixel_size_um is None

    def test_pixels_that_are_not_square_are_refused(self, tmp_path):
        with pytest.raises(ImageError, match=r"not square \(0.64 by 0.5 um\)"):
            read_image(ome(tmp_path / "a.ome.tif", PhysicalSizeX=0.64, PhysicalSizeY=0.5))

    def test_time_and_channels_in_either_order(self, tmp_path):
        assert_frames(ome(tmp_path / "a.ome.tif", FRAMES, "TCYX"), list(FRAMES))
        assert_frames(ome(tmp_path / "b.ome.tif", FRAMES.swapaxes(0, 1), "CTYX"), list(FRAMES))

    def test_series_are_frames(self, tmp_path):
        with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
            for pixels in FRAMES:
                writer.write(pixels, photometric="minisblack", metadata={"axes": "CYX"})
        assert_frames(tmp_path / "a.ome.tif", list(FRAMES))

    def test_smaller_copies_are_left_out(self, tmp_path):
        with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
            writer.write(PIXELS, photometric="minisblack", metadata={"axes": "CYX"}, subifds=1)
            writer.write(PIXELS[:, ::2, ::2], photometric="minisblack", subfiletype=1)
        assert_frames(tmp_path / "a.ome.tif", [PIXELS])

    def test_smaller_copies_in_the_chain_of_pages_are_left_out(self, tmp_path):
        with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
            writer.write(PIXELS, photometric="minisblack", metadata={"axes": "CYX"})
        with tifffile.TiffWriter(tmp_path / "a.ome.tif", append="force") as writer:
            writer.write(PIXELS[:, ::2, ::2], photometric="minisblack", subfiletype=1, metadata=None)
        assert_frames(tmp_path / "a.ome.tif", [PIXELS])

    def test_series_with_smaller_copies_in_bigtiff(self, tmp_path):
        with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True, bigtiff=True) as writer:
            for pixels in FRAMES:
                writer.write(pixels, photometric="minisblack", metadata={"axes": "CYX"}, subifds=2, tile=(16, 16))
                for step in (2, 4):
                    writer.write(pixels[:, ::step, ::step], photometric="minisblack", subfiletype=1, tile=(16, 16))
        assert_frames(tmp_path / "a.ome.tif", list(FRAMES))

    def test_focal_planes_are_refused(self, tmp_path):
        with pytest.raises(ImageError, match=r"4 focal planes.*projection"):
            read_image(ome(tmp_path / "a.ome.tif", axes="ZYX"))

    @pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
    @pytest.mark.parametrize("part", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
    @pytest.mark.parametrize("kind", ["ome", "imagej", "plain"])
    def test_a_cut_file_never_passes_for_one_channel(self, tmp_path, compression, part, kind):
        path = tmp_path / "a.tif"
        words = {"ome": {"ome": True}, "imagej": {"imagej": compression is None}, "plain": {}}[kind]
        save(path, compression=compression, metadata={"axes": "CYX"}, **words)
        data = path.read_bytes()
        path.write_bytes(data[: int(part * len(data))])
        with pytest.raises(ImageError):
            frames(path)

    @pytest.mark.parametrize("claim", [2_000_000, 10**10, 5, 8, 3, 1])
    def test_a_header_that_claims_other_channels_is_refused(self, tmp_path, claim):
        path = with_header(tmp_path, header(c=claim, blocks=""))
        with pytest.raises(ImageError, match=r"declares \d+ pages but has 4"):
            read_image(path)

    @pytest.mark.parametrize("claim", ["0", "-4", "four", "", "9" * 5000, "1e3", "４"])
    def test_a_size_that_is_no_number_is_refused(self, tmp_path, claim):
        with pytest.raises(ImageError, match='SizeC="'):
            read_image(with_header(tmp_path, header(c=claim)))

    def test_another_files_pixels_are_never_read(self, tmp_path):
        ome(tmp_path / "other.tif")
        block = '<TiffData IFD="0" PlaneCount="4"><UUID FileName="../other.tif">urn:uuid:1</UUID></TiffData>'
        (tmp_path / "in").mkdir()
        with pytest.raises(ImageError, match="no pixels in this file"):
            read_image(with_header(tmp_path / "in", header(blocks=block)))
        own = '<TiffData IFD="0" FirstC="0" PlaneCount="3"/>'
        other = '<TiffData IFD="3" FirstC="3"><UUID FileName="../other.tif">urn:uuid:1</UUID></TiffData>'
        with pytest.raises(ImageError, match=r"in another file\."):
            read_image(with_header(tmp_path / "in", header(blocks=own + other)))

    @pytest.mark.parametrize("own", ['FileName="a.ome.tif">urn:uuid:1', 'FileName="old name.tif">urn:uuid:7'])
    def test_its_own_name_or_uuid_is_the_file_itself(self, tmp_path, own):
        block = f'<TiffData IFD="0" PlaneCount="4"><UUID {own}</UUID></TiffData>'
        assert_frames(with_header(tmp_path, header(blocks=block)), [PIXELS])

    def test_pages_may_come_in_any_order(self, tmp_path):
        blocks = "".join(f'<TiffData IFD="{3 - c}" FirstC="{c}" PlaneCount="1"/>' for c in range(4))
        assert_frames(with_header(tmp_path, header(blocks=blocks)), [PIXELS[::-1]])

    @pytest.mark.parametrize(
        "block",
        ['<TiffData IFD="1" PlaneCount="4"/>', '<TiffData IFD="0" PlaneCount="9"/>', '<TiffData IFD="0"/>',
         '<TiffData IFD="-1" PlaneCount="4"/>', '<TiffData IFD="0" FirstC="99999999999" PlaneCount="4"/>',
         '<TiffData FirstC="2"/>'],
    )  # fmt: skip
    def test_blocks_that_do_not_fit_are_refused(self, tmp_path, block):
        with pytest.raises(ImageError):
            read_image(with_header(tmp_path, header(blocks=block)))

    def test_two_channels_on_one_page_are_refused(self, tmp_path):
        blocks = "".join(f'<TiffData IFD="0" FirstC="{c}" PlaneCount="1"/>' for c in range(4))
        with pytest.raises(ImageError, match="declares 4 pages"):
            read_image(with_header(tmp_path, header(blocks=blocks)))

    def test_a_bomb_of_entities_is_refused(self, tmp_path):
        bomb = '<!DOCTYPE a [<!ENTITY x "xx"><!ENTITY y "&x;&x;">]>' + header()
        with pytest.raises(ImageError, match="document type"):
            read_image(with_header(tmp_path, bomb))

    @pytest.mark.parametrize("xml", ["<OME></OME>", "<OME><Image></OME>", "no xml OME>"])
    def test_a_header_that_is_none_is_refused(self, tmp_path, xml):
        with pytest.raises(ImageError, match="OME header"):
            read_image(with_header(tmp_path, xml))

    def test_a_header_of_another_size_is_refused(self, tmp_path):
        with pytest.raises(ImageError, match=r"says 41 x 56 pixels, its pages have 40 x 56"):
            read_image(with_header(tmp_path, header(y=41)))


def header(c=4, y=40, blocks='<TiffData IFD="0" PlaneCount="4"/>'):
    return (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:7">'
        '<Image ID="Image:0"><Pixels DimensionOrder="XYCZT" Type="uint16" SizeX="56" '
        f'SizeY="{y}" SizeC="{c}" SizeZ="1" SizeT="1">'
        f"{blocks}</Pixels></Image></OME>"
    )


def with_header(folder, xml):
    return save(folder / "a.ome.tif", description=xml.encode(), metadata=None, ome=False)


class TestImageJ:
    def test_hyperstack_with_labels_and_unit(self, tmp_path):
        metadata = {"axes": "CYX", "Labels": list(NAMES), "unit": "um"}
        path = save(tmp_path / "a.tif", imagej=True, resolution=(1 / 0.64, 1 / 0.64), metadata=metadata)
        assert_frames(path, [PIXELS])
        image = read_image(path)
        assert image.channels == NAMES
        assert image.pixel_size_um == pytest.approx(0.64, rel=1e-5)

    @pytest.mark.parametrize(
        ("unit", "per_unit", "size"),
        [("micron", 2, 0.5), ("\\u00B5m", 2, 0.5), ("µm", 2, 0.5), ("nm", 1 / 640, 0.64), ("mm", 1000, 1.0),
         ("cm", 20_000, 0.5), ("inch", 50_800, 0.5), ("inch", 300, None), ("pixel", 1, None), ("", 1, None)],
    )  # fmt: skip
    def test_units(self, tmp_path, unit, per_unit, size):
        text = f"ImageJ=1.54f\nimages=4\nchannels=4\nhyperstack=true\nunit={unit}\n"
        path = save(tmp_path / "a.tif", description=text.encode(), metadata=None, resolution=(per_unit, per_unit))
        assert read_image(path).pixel_size_um == (size if size is None else pytest.approx(size, rel=1e-5))

    def test_frames(self, tmp_path):
        assert_frames(save(tmp_path / "a.tif", FRAMES, imagej=True, metadata={"axes": "TCYX"}), list(FRAMES))

    def test_one_page_for_all_planes_as_above_4_gb(self, tmp_path):
        path = tmp_path / "a.tif"
        text = "ImageJ=1.54f\nimages=12\nchannels=4\nframes=3\nhyperstack=true\n"
        save(path, FRAMES[0, 0], description=text, metadata=None, byteorder=">")
        with tifffile.TiffFile(path) as tif:
            start = tif.pages[0].dataoffsets[0]
        path.write_bytes(path.read_bytes()[:start] + FRAMES.astype(">u2").tobytes())
        assert_frames(path, list(FRAMES))
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(ImageError, match="declares 12 pages but has 1"):
            frames(path)

    @pytest.mark.parametrize("text", ["images=5\nchannels=5", "images=4\nchannels=2", "images=2", "channels=0"])
    def test_a_claim_of_other_pages_is_refused(self, tmp_path, text):
        path = save(tmp_path / "a.tif", description=f"ImageJ=1.54f\n{text}\n", metadata=None)
        with pytest.raises(ImageError):
            frames(path)

    def test_slices_without_names_are_channels(self, tmp_path):
        text = "ImageJ=1.54f\nimages=4\nslices=4\nloop=false\n"
        assert_frames(save(tmp_path / "a.tif", description=text, metadata=None), [PIXELS])

    def test_labels_that_are_names_of_files_are_no_names_of_channels(self, tmp_path):
        labels = ["c:1/4 - Doe, Jane.nd2 (series 1)", "CK", "Doe_Jane_CD45.TIF", "HER2.v2"]
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, np.ones((4, 8, 9), np.uint8), imagej=True, metadata={"axes": "CYX", "Labels": labels})
        assert read_image(path).channels == ("", "CK", "", "HER2.v2")

    def test_slices_labelled_as_the_roles_are_channels_others_focal_planes(self, tmp_path):
        path = tmp_path / "a.tif"
        save(path, imagej=True, metadata={"axes": "ZYX", "Labels": list(NAMES)})
        assert read_image(path).channels == NAMES
        save(path, imagej=True, metadata={"axes": "ZYX", "Labels": ["z1", "z2", "z3", "z4"]})
        with pytest.raises(ImageError, match="4 focal planes"):
            read_image(path)

    def test_focal_planes_of_channels_are_refused(self, tmp_path):
        path = save(tmp_path / "a.tif", FRAMES, imagej=True, metadata={"axes": "ZCYX"})
        with pytest.raises(ImageError, match="3 focal planes"):
            read_image(path)


class TestPlain:
    @pytest.mark.parametrize("pages", [3, 4, 5, 6])
    def test_few_pages_are_channels(self, tmp_path, pages):
        pixels = np.resize(PIXELS, (pages, 40, 56))
        assert_frames(save(tmp_path / "a.tif", pixels, metadata=None), [pixels])

    def test_a_multiple_of_four_is_frames(self, tmp_path):
        flat = FRAMES.reshape(12, 40, 56)
        assert_frames(save(tmp_path / "a.tif", flat, metadata=None), list(FRAMES))
        assert_frames(save(tmp_path / "b.tif", flat), list(FRAMES))

    @pytest.mark.parametrize("pages", [2, 7, 9])
    def test_another_number_is_told(self, tmp_path, pages):
        path = save(tmp_path / "a.tif", np.resize(PIXELS, (pages, 40, 56)), metadata=None)
        with pytest.raises(ImageError, match=f"has {pages} pages, and does not say"):
            read_image(path)

    def test_axes_named_by_tifffile(self, tmp_path):
        named = {"metadata": {"axes": "TCYX"}}
        assert_frames(save(tmp_path / "a.tif", FRAMES[:, :2], **named), list(FRAMES[:, :2]))
        swapped = FRAMES.swapaxes(0, 1)
        assert_frames(save(tmp_path / "b.tif", swapped, metadata={"axes": "CTYX"}), list(FRAMES))
        with pytest.raises(ImageError, match="4 focal planes"):
            read_image(save(tmp_path / "c.tif", metadata={"axes": "ZYX"}))

    def test_arrays_saved_one_after_the_other_are_frames(self, tmp_path):
        with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
            for pixels in FRAMES:
                writer.write(pixels, photometric="minisblack", contiguous=False)
        assert_frames(tmp_path / "a.tif", list(FRAMES))

    def test_a_frame_of_one_channel(self, tmp_path):
        assert_frames(save(tmp_path / "a.tif", PIXELS[0]), [PIXELS[:1]])

    @pytest.mark.parametrize(
        "words",
        [{"compression": "lzw"}, {"compression": "zlib", "predictor": True}, {"tile": (16, 32)},
         {"tile": (16, 16), "compression": "zstd"}, {"bigtiff": True}, {"byteorder": ">"},
         {"rowsperstrip": 7},
         {"byteorder": ">", "compression": "zlib"}, {"planarconfig": "separate"}],
        ids=str,
    )  # fmt: skip
    def test_every_way_to_store_it(self, tmp_path, words):
        assert_frames(save(tmp_path / "a.tif", metadata=None, **words), [PIXELS])

    @pytest.mark.parametrize("planar", ["contig", "separate"])
    def test_colours_are_channels(self, tmp_path, planar):
        pixels = PIXELS[:3] if planar == "separate" else np.moveaxis(PIXELS[:3], 0, -1).copy()
        path = save(tmp_path / "a.tif", pixels, photometric="rgb", planarconfig=planar)
        assert_frames(path, [PIXELS[:3]])
        assert read_image(path).channels == ("R", "G", "B")

    def test_colour_jpeg(self, tmp_path):
        smooth = np.stack([np.add.outer(np.arange(64), np.arange(64))] * 3, -1).astype(np.uint8)
        path = save(tmp_path / "a.tif", smooth, photometric="rgb", compression="jpeg")
        assert np.abs(read_image(path).pixels.astype(int) - np.moveaxis(smooth, -1, 0)).max() <= 8

    @pytest.mark.parametrize(
        ("resolution", "unit", "size"),
        [(72, "inch", None), (300, "inch", None), (50_800, "inch", 0.5), (15_625, "centimeter", 0.64),
         (2, "none", None), (1, "centimeter", None)],
    )  # fmt: skip
    def test_resolution(self, tmp_path, resolution, unit, size):
        path = save(tmp_path / "a.tif", resolution=(resolution, resolution), resolutionunit=unit)
        assert read_image(path).pixel_size_um == (size if size is None else pytest.approx(size))

    def test_pages_in_a_circle_do_not_hang(self, tmp_path):
        path = save(tmp_path / "a.tif", metadata=None)
        data = bytearray(path.read_bytes())
        offset = first = struct.unpack_from("<I", data, 4)[0]
        while offset:
            end = offset + 2 + 12 * struct.unpack_from("<H", data, offset)[0]
            offset = struct.unpack_from("<I", data, end)[0]
        struct.pack_into("<I", data, end, first)
        path.write_bytes(data)
        with pytest.raises(ImageError, match="in a circle"):
            read_image(path)

    def test_pages_of_two_sizes_are_no_frame(self, tmp_path):
        with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
            for k in range(4):
                writer.write(PIXELS[k, k:], photometric="minisblack", metadata=None)
        with pytest.raises(ImageError, match="pages 1 and 2 differ"):
            read_image(tmp_path / "a.tif")

    def test_a_claim_of_too_many_pixels_is_refused_before_decoding(self, tmp_path):
        path = save(tmp_path / "a.tif", PIXELS[0], metadata=None, compression="zlib")
        set_tag(path, "ImageWidth", 2**31)
        with pytest.raises(ImageError, match=r"up to 67108864 are read \(image.max_pixels\)"):
            read_image(path)

    def test_a_strip_that_is_not_there_is_not_zeros(self, tmp_path):
        path = save(tmp_path / "a.tif", PIXELS[0], metadata=None, compression="zlib")
        set_tag(path, "StripByteCounts", 0)
        with pytest.raises(ImageError, match="page 1 are not all there"):
            read_image(path)

    @pytest.mark.parametrize("bigtiff", [False, True])
    def test_pixels_after_their_tags_that_are_cut_are_not_zeros(self, tmp_path, bigtiff):
        path = save(tmp_path / "a.tif", PIXELS[0], metadata=None, bigtiff=bigtiff)
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(ImageError, match="page 1 are not all there"):
            read_image(path)

    def test_a_tile_that_decodes_to_too_few_bytes_is_not_zeros(self, tmp_path):
        path = save(tmp_path / "a.tif", PIXELS[0, :32, :32], metadata=None, compression="zlib", tile=(32, 32))
        with tifffile.TiffFile(path) as tif:
            start, length = tif.pages[0].dataoffsets[0], tif.pages[0].databytecounts[0]
        data = bytearray(path.read_bytes())
        short = zlib.compress(PIXELS[0, :16, :32].tobytes())
        data[start : start + length] = short.ljust(length, b"\0")
        path.write_bytes(data)
        with pytest.raises(ImageError, match="cannot be decoded"):
            read_image(path)

    def test_inverted_counts_are_refused(self, tmp_path):
        with pytest.raises(ImageError, match="zero is white"):
            read_image(save(tmp_path / "a.tif", photometric="miniswhite"))


def set_tag(path, name, value):
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages[0].tags[name].overwrite(value, dtype="I")


class TestTypes:
    @pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
    def test_kept(self, tmp_path, dtype):
        pixels = (PIXELS >> 4).astype(dtype)
        path = save(tmp_path / "a.tif", pixels)
        assert_frames(path, [pixels])
        assert read_image(path).pixels.dtype == np.dtype(dtype)

    @pytest.mark.parametrize("dtype", ["i2", "i4", "u4", "i1", "u8"])
    def test_integers_that_fit_become_uint16(self, tmp_path, dtype):
        pixels = (PIXELS >> 6).astype(dtype)
        image = read_image(save(tmp_path / "a.tif", pixels))
        assert image.pixels.dtype == np.uint16
        np.testing.assert_array_equal(image.pixels, pixels)

    @pytest.mark.parametrize("extreme", [-5, 70_000, 2**24])
    def test_integers_that_float32_holds_exactly_become_float32(self, tmp_path, extreme):
        pixels = PIXELS.astype(np.int32)
        pixels[0, 0, 0] = extreme
        image = read_image(save(tmp_path / "a.tif", pixels))
        assert image.pixels.dtype == np.float32
        np.testing.assert_array_equal(image.pixels, pixels)

    def test_larger_integers_are_refused(self, tmp_path):
        with pytest.raises(ImageError, match="from 16777217 to 16777217, more than float32"):
            read_image(save(tmp_path / "a.tif", np.full((4, 8, 8), 2**24 + 1, np.uint32)))

    def test_float64_becomes_float32(self, tmp_path):
        image = read_image(save(tmp_path / "a.tif", PIXELS / 3.0))
        assert image.pixels.dtype == np.float32
        np.testing.assert_allclose(image.pixels, PIXELS / 3.0, rtol=1e-7)

    @pytest.mark.parametrize(("value", "dtype"), [(np.nan, "f4"), (np.inf, "f4"), (-np.inf, "f8"), (1e300, "f8")])
    def test_numbers_that_are_none_are_counted(self, tmp_path, value, dtype):
        pixels = PIXELS.astype(dtype)
        pixels[1, :2, :3] = value
        with pytest.raises(ImageError, match="6 of its 8960 pixels are not finite"):
            read_image(save(tmp_path / "a.tif", pixels))

    @pytest.mark.parametrize("dtype", [bool, np.complex64])
    def test_what_is_no_count_is_refused(self, tmp_path, dtype):
        with pytest.raises(ImageError, match="no camera counts"):
            read_image(save(tmp_path / "a.tif", (PIXELS > 9).astype(dtype)))


@pytest.mark.parametrize(
    ("creator", "synthetic"), [("cher2 simulate", True), ("OME Bio-Formats 7.0", False), ("", False)]
)
def test_a_synthetic_image_says_so(tmp_path, creator, synthetic):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.zeros((4, 8, 9), np.uint16), ome=True, metadata={"axes": "CYX", "Creator": creator})
    text = tifffile.tiffcomment(path)
    tifffile.tiffcomment(path, text.replace('Creator="tifffile.py', f'Creator="{creator}" x="').encode())
    assert read_image(path).synthetic is synthetic
