"""CellTracks exports: counts to the last one, places, and a refusal of whatever deviates.

The exports are written by ``celltracks_export`` from the facts in docs/formats.md; no real one is public.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from celltracks_export import FILTERS, event, place, stretch, write_export, write_frame, xml

from cher2.errors import ChannelError, ImageError
from cher2.images.cartridge import GRIDS, find_grid, place_of, stage_position
from cher2.images.celltracks import UNVERIFIED, restore_counts
from cher2.images.celltracks_xml import Export, read_export
from cher2.images.files import find_image_files, single_file
from cher2.images.frames import FrameInfo
from cher2.images.image import SelectedCell
from cher2.images.reader import open_frames, read_frame, read_image
from cher2.protocol import Protocol
from cher2.study.provenance import file_digest, file_stamp

PROTOCOL = Protocol()
GRID, CAMERA = (2, 3), (40, 56)
FRAMES = np.random.default_rng(0).integers(90, 4096, (6, 4, *CAMERA), dtype=np.uint16)


@pytest.fixture
def cartridge(tmp_path):
    write_export(tmp_path / "P1", FRAMES, GRID)
    return tmp_path / "P1"


def listed(folder):
    return find_image_files(folder, PROTOCOL)


def refusal(folder, number=0):
    """Return the error of reading a frame."""
    with pytest.raises(ImageError) as caught:
        read_frame(listed(folder)[number], 0, PROTOCOL)
    return str(caught.value)


class TestAFrame:
    def test_every_count_of_every_page_is_the_cameras(self, cartridge):
        for file, pixels in zip(listed(cartridge), FRAMES, strict=True):
            image = read_frame(file, 0, PROTOCOL)
            assert image.pixels.dtype == np.uint16
            np.testing.assert_array_equal(image.pixels, pixels)

    def test_what_file_and_xml_say_is_used(self, cartridge):
        image = read_frame(listed(cartridge)[0], 0, PROTOCOL)
        assert image.channels == FILTERS
        assert image.pixel_size_um == 0.64
        assert image.bits == 12
        assert image.saturation == 4095
        assert image.name == "174182.1.2.001.tif"
        assert image.plane("her2", PROTOCOL.channels) is not None
        np.testing.assert_array_equal(image.plane("her2", PROTOCOL.channels), FRAMES[0, 1])

    def test_it_is_known_before_a_pixel_is_read(self, cartridge):
        with open_frames(listed(cartridge)[4], PROTOCOL) as frames:
            info = frames.info(0)
            assert len(frames) == 1
        assert info == FrameInfo(
            shape=(4, *CAMERA),
            dtype=np.dtype(np.uint16),
            channels=FILTERS,
            pixel_size_um=0.64,
            bits=12,
            position_um=info.position_um,
            remarks=(UNVERIFIED,),
        )

    def test_a_compressed_frame_is_the_same(self, cartridge):
        file = listed(cartridge)[2]
        write_frame(file.paths[0], FRAMES[2], compression="lzw")
        np.testing.assert_array_equal(read_frame(file, 0, PROTOCOL).pixels, FRAMES[2])

    def test_limits_with_the_offset_of_32768_give_the_same_counts(self, cartridge):
        file = listed(cartridge)[2]
        write_frame(file.paths[0], FRAMES[2], offset=32768)
        np.testing.assert_array_equal(read_frame(file, 0, PROTOCOL).pixels, FRAMES[2])

    def test_eight_bits_are_within_half_a_step_and_half_a_count(self, cartridge):
        file = listed(cartridge)[2]
        write_frame(file.paths[0], FRAMES[2], bits=8)
        error = np.abs(read_frame(file, 0, PROTOCOL).pixels - FRAMES[2].astype(float))
        assert 2 < error.max() <= 0.5 * (4095 - 90) / 255 + 0.5

    def test_one_frame_named_by_its_path_is_the_same_as_in_the_listing(self, cartridge):
        file = listed(cartridge)[3]
        assert single_file(file.paths[0]) == file
        np.testing.assert_array_equal(read_image(file.paths[0]).pixels, FRAMES[3])

    def test_without_filters_pages_have_the_fixed_names_and_the_error_lists_them(self, tmp_path):
        write_export(tmp_path, FRAMES, GRID, filters=())
        image = read_frame(listed(tmp_path)[0], 0, PROTOCOL)
        assert image.channels == ("DNA", "Marker1", "CK", "CD45")
        with pytest.raises(ChannelError, match=r'no channel "DAPI" .* it has DNA, Marker1, CK, CD45'):
            image.planes(PROTOCOL.channels)


class TestRestoring:
    def test_by_hand(self):
        # 100 + v * (1100 - 100) / 500: the largest value present, not the largest possible, stands for 1100.
        values = np.array([[0, 1, 2], [250, 499, 500]], np.uint16)
        np.testing.assert_array_equal(restore_counts(values, 100, 1100), [[100, 102, 104], [600, 1098, 1100]])

    @pytest.mark.parametrize("span", [1, 2, 7, 255, 1000, 4095])
    def test_sixteen_bits_give_back_any_range_of_counts(self, span):
        counts = np.arange(span + 1, dtype=np.uint16)[None] + (4095 - span)
        values, low, high = stretch(counts)
        np.testing.assert_array_equal(restore_counts(values, low, high), counts)

    def test_a_page_of_one_count(self):
        np.testing.assert_array_equal(restore_counts(np.zeros((2, 2), np.uint8), 117, 117), np.full((2, 2), 117))

    @pytest.mark.parametrize(
        ("low", "high", "says"),
        [
            (500, 100, "limits are 500 and 100"),
            (0, 4096, "counts from 0 to 4095"),
            (100, 32768, "only one carries the offset"),
            (32768, 32768 + 4096, "counts from 0 to 4095"),
        ],
    )
    def test_limits_that_cannot_be(self, low, high, says):
        with pytest.raises(ValueError, match=says):
            restore_counts(np.array([[0, 9]], np.uint16), low, high)

    def test_a_page_of_zeros_with_a_range_is_refused(self):
        with pytest.raises(ValueError, match="0 everywhere"):
            restore_counts(np.zeros((2, 2), np.uint16), 100, 200)


class TestPlaces:
    @pytest.mark.parametrize(("count", "rows", "columns"), [(n, *grid) for n, grid in GRIDS.items()])
    def test_known_grids_by_the_number_of_frames(self, count, rows, columns):
        assert rows * columns == count
        assert find_grid(Export(None, None, CAMERA, (), ()), count, "x") == (rows, columns)

    @pytest.mark.parametrize(("count", "rows", "columns"), [(n, *grid) for n, grid in GRIDS.items()])
    def test_rows_are_scanned_to_and_fro(self, count, rows, columns):
        places = [place_of(number, columns) for number in range(1, count + 1)]
        assert [(p.row, p.column) for p in places] == [place(number, columns) for number in range(1, count + 1)]
        # Each frame lies beside the one before it.
        steps = [abs(a.row - b.row) + abs(a.column - b.column) for a, b in itertools.pairwise(places)]
        assert steps == [1] * (count - 1)
        assert len(set(places)) == count
        assert places[-1].row == rows - 1

    def test_stage_positions_in_the_order_of_the_folder(self, cartridge):
        found = [read_frame(file, 0, PROTOCOL).position_um for file in listed(cartridge)]
        high, wide = 40 * 0.64, 56 * 0.64
        expected = [(0, 0), (0, wide), (0, 2 * wide), (high, 2 * wide), (high, wide), (high, 0)]
        np.testing.assert_allclose(found, expected, atol=0.01)

    def test_frames_that_touch_do_not_overlap_by_an_error_of_rounding(self):
        ends = [stage_position(place_of(number, 35), (1036, 1384)) for number in range(1, 36)]
        assert min(b[1] - a[1] for a, b in itertools.pairwise(ends)) >= 1384 * 0.64

    def test_natural_order_of_names(self, tmp_path):
        write_export(tmp_path, FRAMES, GRID)
        for number in range(1, 7):
            (tmp_path / f"174182.1.2.{number:03d}.tif").rename(tmp_path / f"f{number * 3}.TIF")
        assert [file.name for file in listed(tmp_path)] == [
            "f3.TIF",
            "f6.TIF",
            "f9.TIF",
            "f12.TIF",
            "f15.TIF",
            "f18.TIF",
        ]
        np.testing.assert_array_equal(read_image(tmp_path / "f12.TIF").pixels, FRAMES[3])
        assert [file.celltracks for file in listed(tmp_path)] == [(k, 6) for k in range(1, 7)]

    @pytest.mark.parametrize("run", [{"numrows": None}, {"numcols": None}])
    def test_half_a_grid_is_completed_by_the_number_of_frames(self, tmp_path, run):
        write_export(tmp_path, FRAMES, GRID, run=run)
        assert read_frame(listed(tmp_path)[3], 0, PROTOCOL).position_um == pytest.approx((25.6, 71.68), abs=0.01)

    def test_no_grid_no_positions_and_that_is_said(self, tmp_path):
        write_export(tmp_path, FRAMES, GRID, run={"numrows": None, "numcols": None})
        image = read_frame(listed(tmp_path)[3], 0, PROTOCOL)
        assert image.position_um is None
        assert image.selected is None
        assert any("how its 6 frames lie" in remark for remark in image.remarks)
        np.testing.assert_array_equal(image.pixels, FRAMES[3])

    def test_two_cartridges_of_a_patient_are_numbered_apart(self, tmp_path):
        for name in ("a", "b"):
            write_export(tmp_path / "P1" / name, FRAMES, GRID)
        assert [file.celltracks for file in listed(tmp_path)] == [(k, 6) for k in range(1, 7)] * 2


class TestSelectedCells:
    def read(self, folder, number):
        return read_frame(listed(folder)[number - 1], 0, PROTOCOL).selected

    def test_boxes_come_in_pixels_of_their_frame(self, tmp_path):
        # Frame 4 is the last of the second row, read from right to left: its corner is at y 40, x 112.
        write_export(tmp_path, FRAMES, GRID, events=[event(7, 4, (50, 120, 60, 130)), event(8, 1, (1, 2, 3, 4))])
        assert self.read(tmp_path, 4) == (SelectedCell("7", (10, 8, 20, 18)),)
        assert self.read(tmp_path, 1) == (SelectedCell("8", (1, 2, 3, 4)),)
        assert self.read(tmp_path, 2) == ()

    def test_the_order_of_the_corners_does_not_matter(self, tmp_path):
        text = xml(GRID, CAMERA, events=[event(7, 4, (50, 120, 60, 130))])
        assert "(130,60),(120,50)" in text
        write_export(tmp_path, FRAMES, GRID, text=text.replace("(130,60),(120,50)", "(120, 50), (130.0 ,60)"))
        assert self.read(tmp_path, 4) == (SelectedCell("7", (10, 8, 20, 18)),)

    def test_what_the_operator_did_not_assign_is_left_out(self, tmp_path):
        write_export(tmp_path, FRAMES, GRID, events=[event(1, 1, (1, 2, 3, 4), "false"), event(2, 1, (5, 6, 7, 8))])
        assert [cell.name for cell in self.read(tmp_path, 1)] == ["2"]

    def test_an_event_across_two_frames_is_where_its_centre_lies(self, tmp_path):
        # Named frame 1, columns 0 to 55; the centre, 57, is in frame 2.
        write_export(tmp_path, FRAMES, GRID, events=[event(1, 1, (10, 50, 20, 64))])
        assert self.read(tmp_path, 1) == ()
        assert self.read(tmp_path, 2) == (SelectedCell("1", (10, -6, 20, 8)),)

    @pytest.mark.parametrize("words", [{"events": None}, {"events": [event(1, 1, (1, 2, 3, 4), None)]}])
    def test_an_export_that_does_not_say_is_not_one_without_ctcs(self, tmp_path, words):
        write_export(tmp_path, FRAMES, GRID, **words)
        image = read_frame(listed(tmp_path)[0], 0, PROTOCOL)
        assert image.selected is None
        assert any("which cells its operator selected" in remark for remark in image.remarks)

    def test_an_event_outside_its_frame_means_that_the_order_is_another(self, tmp_path):
        # Without the turn, frame 4 would begin the second row at its left.
        write_export(tmp_path, FRAMES, GRID, events=[event(3, 4, (50, 10, 60, 20))])
        assert "event 3 lies at y 50 to 60 and x 10 to 20, outside its frame 4" in refusal(tmp_path)

    def test_an_event_of_a_frame_that_is_not_there(self, tmp_path):
        write_export(tmp_path, FRAMES, GRID, events=[event(3, 7, (50, 10, 60, 20))])
        assert "event 3 is in frame 7, but there are 6" in refusal(tmp_path)


class TestDeviations:
    @pytest.mark.parametrize("without", [[(1, 755)], [(1, 756)], [(2, 755), (2, 756)]])
    def test_a_tag_that_some_pages_lack(self, cartridge, without):
        write_frame(listed(cartridge)[0].paths[0], FRAMES[0], without=without)
        page, tag = without[0]
        assert f"its page {page + 1} has no tag {tag}" in refusal(cartridge)

    def test_no_tags_at_all(self, cartridge):
        tags = [(page, tag) for page in range(4) for tag in (755, 756)]
        write_frame(listed(cartridge)[0].paths[0], FRAMES[0], without=tags)
        assert "has no tag 755" in refusal(cartridge)

    def test_limits_that_cannot_be_name_the_page(self, cartridge):
        write_frame(listed(cartridge)[0].paths[0], FRAMES[0], limits={2: (900, 100)})
        assert "page 3: its limits are 900 and 100" in refusal(cartridge)

    def test_fewer_pages_than_filters(self, cartridge):
        write_frame(listed(cartridge)[0].paths[0], FRAMES[0, :3])
        assert "3 pages, but the export has 4 filters" in refusal(cartridge)

    def test_more_pages_than_are_known(self, tmp_path):
        write_export(tmp_path, np.concatenate([FRAMES, FRAMES], axis=1), GRID, filters=())
        assert "8 pages, where at most 6 are known" in refusal(tmp_path)

    def test_a_frame_is_missing(self, cartridge):
        listed(cartridge)[5].paths[0].unlink()
        assert "2 x 3 frames, but its folder has 5 TIFFs" in refusal(cartridge)

    def test_another_grid_than_is_known(self):
        with pytest.raises(ImageError, match="35 x 5 frames, where 175 are known as 5 x 35"):
            find_grid(Export(35, 5, CAMERA, (), ()), 175, "x")

    def test_pages_of_another_size_than_the_camera(self, tmp_path):
        write_export(tmp_path, FRAMES, GRID, run={"camxsize": 40, "camysize": 56})
        assert "40 x 56 pixels, but the export's camera 56 x 40" in refusal(tmp_path)

    def test_pages_of_floats(self, cartridge):
        path = listed(cartridge)[0].paths[0]
        tags = [(755, "H", 1, 0, False), (756, "H", 1, 9, False)]
        with tifffile.TiffWriter(path) as tif:
            for page in FRAMES[0]:
                tif.write(page.astype(np.float32), metadata=None, contiguous=False, extratags=tags)
        assert "float32, not 8 or 16 bits" in refusal(cartridge)

    def test_two_xmls(self, cartridge):
        shutil.copy(cartridge / "174182.1.2.xml", cartridge / "copy.xml")
        assert "2 XMLs of an export lie beside it: 174182.1.2.xml, copy.xml" in refusal(cartridge)

    def test_an_xml_of_another_program_is_no_second_one(self, cartridge):
        (cartridge / "settings.xml").write_text("<settings><a/></settings>", encoding="utf-8")
        assert read_frame(listed(cartridge)[0], 0, PROTOCOL).channels == FILTERS

    def test_no_xml_stretched_pages_are_never_read_as_counts(self, cartridge):
        (cartridge / "174182.1.2.xml").unlink()
        assert "counts are stretched" in refusal(cartridge)
        with pytest.raises(ImageError, match="counts are stretched"):
            read_image(cartridge / "174182.1.2.001.tif")

    def test_an_xml_without_frames_is_no_image(self, tmp_path):
        (tmp_path / "a.xml").write_text(xml(GRID, CAMERA), encoding="utf-8")
        with pytest.raises(ImageError, match="there is no image"):
            listed(tmp_path)

    def test_a_frame_that_is_cut_short(self, cartridge):
        path = listed(cartridge)[0].paths[0]
        path.write_bytes(path.read_bytes()[:-2000])
        assert "174182.1.2.001.tif" in refusal(cartridge)


class TestListing:
    def test_an_ordinary_folder_opens_no_xml(self, tmp_path, monkeypatch):
        (tmp_path / "a").mkdir()
        tifffile.imwrite(tmp_path / "a" / "1.tif", FRAMES[0], photometric="minisblack")
        for name in ("1.xml", "a/1.png"):
            (tmp_path / name).write_bytes(b"")
        opened = []
        monkeypatch.setattr("cher2.images.files.is_export", lambda path: opened.append(path) or False)
        assert [file.celltracks for file in listed(tmp_path)] == [None, None]
        assert opened == []

    def test_many_xmls_are_not_opened(self, cartridge, monkeypatch):
        for k in range(4):
            (cartridge / f"{k}.xml").write_text("<a/>", encoding="utf-8")
        monkeypatch.setattr("cher2.images.files.is_export", lambda path: pytest.fail("it was opened"))
        assert all(file.celltracks is None for file in listed(cartridge))

    def test_the_xml_is_parsed_once_for_all_frames(self, cartridge, monkeypatch):
        files, reads = listed(cartridge), []
        import cher2.images.celltracks_xml as module

        chunks = module._parsed_chunks
        monkeypatch.setattr(module, "_parsed_chunks", lambda *words: reads.append(words) or chunks(*words))
        for file in files:
            read_frame(file, 0, PROTOCOL)
        assert len(reads) == 1

    def test_a_changed_xml_is_another_input(self, cartridge):
        file = listed(cartridge)[0]
        before, path = (file_stamp(file), file_digest(file)), file.paths[1]
        path.write_text(path.read_text(encoding="utf-8").replace("HER2", "FITC"), encoding="utf-8")
        os.utime(path, ns=(1, 1))
        assert file_stamp(file) != before[0]
        assert file_digest(file) != before[1]
        assert read_frame(file, 0, PROTOCOL).channels[1] == "FITC"

    def test_another_number_of_frames_is_another_input(self, cartridge):
        file = listed(cartridge)[0]
        other = dataclasses.replace(file, celltracks=(1, 7))
        assert file_stamp(file) != file_stamp(other)
        assert file_digest(file) != file_digest(other)

    def test_the_xml_of_the_export_is_read_whatever_its_root_is_called(self, tmp_path):
        path = write_export(tmp_path, FRAMES, GRID, root="export", head="")
        assert read_export(path).filters == FILTERS
        assert read_frame(listed(tmp_path)[0], 0, PROTOCOL).channels == FILTERS


def test_the_protocol_in_the_documentation_fits_an_export_without_filter_names(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    (tmp_path / "p.toml").write_text(page.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    protocol = Protocol.load(tmp_path / "p.toml")
    write_export(tmp_path / "images", FRAMES, GRID, filters=())
    image = read_frame(find_image_files(tmp_path / "images", protocol)[0], 0, protocol)
    for role, page_number in (("dapi", 0), ("her2", 1), ("ck", 2), ("cd45", 3)):
        np.testing.assert_array_equal(image.plane(role, protocol.channels), FRAMES[0, page_number])
