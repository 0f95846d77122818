"""Clean copies: the same pixels and scores, none of the names, in every format; nothing overwritten, all resumable."""

from __future__ import annotations

import os
import shutil
import stat

import numpy as np
import pandas as pd
import pytest
import tifffile
from planted_names import BORN, NAME, ROLES, jpeg, leaks, png, write_all, write_bad, write_ome

from cher2.errors import Cher2Error, ImageError, SampleSheetError, StudyError
from cher2.exchange import clean_copies
from cher2.exchange.clean_image import check_no_text, clean_bytes, clean_xml
from cher2.exchange.deidentify import deidentify
from cher2.exchange.new_names import new_names
from cher2.exchange.private_texts import texts_of
from cher2.images.files import ImageFile, find_image_files
from cher2.images.image import Image
from cher2.images.reader import read_frames, read_image
from cher2.protocol import Protocol

NEEDLES = (NAME, BORN, "1903:07:19")
PROTOCOL = Protocol.from_dict({})
FRAME = np.random.default_rng(3).integers(0, 4096, (4, 40, 48), dtype=np.uint16)
FACTS = ("channels", "pixel_size_um", "bits", "position_um", "exposure_ms", "synthetic", "selected", "remarks")


@pytest.fixture
def images(tmp_path):
    """Return a folder of all formats with names in them; none of its cells can be scored, and none needs to be."""
    write_all(tmp_path / "images", FRAME)
    (tmp_path / "images" / "P8").mkdir()
    (tmp_path / "images" / "P8" / f"{NAME}.png").write_bytes(png(FRAME[0]))
    (tmp_path / "images" / "P9").mkdir()
    (tmp_path / "images" / "P9" / "a.jpg").write_bytes(jpeg(FRAME[0]))
    return tmp_path / "images"


def ome_folder(folder, patients=("Doe, Jane", "Ahn, Kim"), frames=2):
    for patient in patients:
        (folder / patient).mkdir(parents=True)
        for number in range(frames):
            write_ome(folder / patient / f"{patient} {number}.ome.tif", FRAME + np.uint16(number))
    return folder


def frames_of(folder):
    return [image for file in find_image_files(folder, PROTOCOL) for image in read_frames(file, PROTOCOL)]


def test_copies_of_every_format_are_the_same_frames_without_a_name(images, tmp_path):
    done = deidentify(images, tmp_path / "out")
    assert (done.images, done.files, done.patients, len(done.failed)) == (10, 10, 9, 0)
    assert done.channels == (*ROLES, "HER2", "CK", "CD45")[:4]
    assert leaks(images, NEEDLES)
    assert leaks(tmp_path / "out", [*NEEDLES, str(tmp_path)]) == {}
    old, new = frames_of(images), frames_of(tmp_path / "out")
    for before, after in zip(old, new, strict=True):
        assert after.pixels.dtype == before.pixels.dtype
        np.testing.assert_array_equal(after.pixels, before.pixels)
        assert {name: getattr(after, name) for name in FACTS} == {name: getattr(before, name) for name in FACTS}
    # What the formats tell is there to be kept: a stage position, exposures, sizes, the bits of a camera.
    assert new[0].position_um == (-77.125, 1234.5)
    assert new[0].exposure_ms == (120.0, None, None, None)
    assert {image.pixel_size_um for image in new} == {0.64, None}
    assert {image.bits for image in new} == {12, None}
    samples = pd.read_csv(tmp_path / "out" / "samples.csv", dtype=str)
    assert samples["patient_id"].tolist() == [f"P00{n}" for n in (1, 2, 3, 4, 5, 6, 7, 7, 8, 9)]
    assert set(samples["image"]) == {file.name for file in find_image_files(tmp_path / "out", PROTOCOL)}


def test_scores_of_copies_are_those_of_the_images(synthetic, command, tmp_path, results_of):
    for patient in ("P02", "P08"):
        shutil.copytree(synthetic / "images" / patient, tmp_path / "images" / patient)
    assert command("deidentify", tmp_path / "images", "-o", tmp_path / "out", "--key", tmp_path / "key.csv").code == 0
    samples = ["--samples", tmp_path / "out" / "samples.csv"]
    assert command("run", tmp_path / "images", "-o", tmp_path / "a", "--workers", "1").code == 0
    assert command("run", tmp_path / "out", "-o", tmp_path / "b", "--workers", "1", *samples).code == 0
    key = pd.read_csv(tmp_path / "key.csv", dtype=str).set_index("old")["new"]
    old, new = (pd.read_csv(tmp_path / name / "cells.csv", dtype=str, keep_default_na=False) for name in "ab")
    assert len(old) > 10
    names = {"patient_id": old["patient_id"].map(key), "image": old["image"].map(key) + ".ome.tif"}
    pd.testing.assert_frame_equal(old.assign(**names, sample_id=new["sample_id"]), new)


def test_a_cartridge_stays_an_export_without_its_patient(images, tmp_path):
    deidentify(images / "P7" / "..", tmp_path / "out")
    folder = tmp_path / "out" / "P007" / "export_001"
    assert sorted(path.name for path in folder.iterdir()) == ["export.xml", "image_001.tif", "image_002.tif"]
    text = (folder / "export.xml").read_text(encoding="utf-8")
    assert "patients" not in text
    assert "runby" not in text
    with tifffile.TiffFile(folder / "image_001.tif") as tif:
        assert {755, 756} <= set(tif.pages[0].tags.keys())
    assert "CellTracks" in read_image(folder / "image_002.tif").remarks[0]


def test_several_frames_become_files_in_their_order(tmp_path):
    stack = np.stack([FRAME + np.uint16(k) for k in range(12)])
    (tmp_path / "images").mkdir()
    metadata = {"axes": "TCYX", "Channel": {"Name": list(ROLES)}}
    tifffile.imwrite(tmp_path / "images" / "s.ome.tif", stack, ome=True, photometric="minisblack", metadata=metadata)
    assert deidentify(tmp_path / "images", tmp_path / "out").files == 12
    again = deidentify(tmp_path / "images", tmp_path / "out")
    assert (again.images, again.files) == (1, 12)
    for copy, frame in zip(frames_of(tmp_path / "out"), stack, strict=True):
        np.testing.assert_array_equal(copy.pixels, frame)


@pytest.mark.parametrize("pixels", [FRAME.astype(np.float32) / 7, (FRAME >> 4).astype(np.uint8), FRAME[:1], FRAME[:3]])
def test_pixels_of_every_type_come_back(pixels, tmp_path):
    names = ('D"<&>é\n', "CK", "", "HER2")[: len(pixels)]
    image = Image(
        pixels, names, 0.1 + 0.2, "a", position_um=(1e-7, -1 / 3), exposure_ms=(0.1, None, 3.0, 1e4)[: len(pixels)]
    )
    (tmp_path / "a.ome.tif").write_bytes(clean_bytes(image))
    back = read_image(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(back.pixels, pixels)
    assert {name: getattr(back, name) for name in FACTS} == {name: getattr(image, name) for name in FACTS}
    assert clean_bytes(image) == clean_bytes(image.named("b"))


def test_a_text_of_the_source_that_is_left_is_found(tmp_path):
    """Negative control: of what :func:`check_no_text` is there to refuse, each is refused."""
    write_ome(tmp_path / "source.tif", FRAME)
    texts = texts_of(ImageFile("source.tif", (tmp_path / "source.tif",)))
    assert {f"{NAME}_artist", f"{NAME}_xmp", f"{NAME}_exif", f"{NAME}_original_metadata", BORN} <= texts
    image = read_image(tmp_path / "source.tif")
    path = tmp_path / "copy.tif"
    path.write_bytes(clean_bytes(image))
    check_no_text(path, image, texts)
    more = {"ome": False, "metadata": None, "photometric": "minisblack", "software": "cher2 deidentify"}
    for description, tags in (
        (clean_xml(image).replace("</OME>", f"<!--{NAME}_artist--></OME>"), ()),
        (clean_xml(image), [(315, "s", 0, f"{NAME}_artist", True)]),
        (clean_xml(image), [(315, "s", 0, "of nobody's source", True)]),
        (clean_xml(image), [(65000, "B", 40, f"{NAME}_artist".ljust(20).encode("utf-16-le"), True)]),
    ):
        tifffile.imwrite(path, FRAME, description=description, extratags=tags, **more)
        with pytest.raises(ImageError, match="texts of the source are still in the copy"):
            check_no_text(path, image, texts)


def test_offsets_of_many_strips_are_no_text(tmp_path):
    """A frame of a cartridge: its offsets and lengths, one behind the other, must not pass for words."""
    (tmp_path / "images" / "A").mkdir(parents=True)
    write_ome(
        tmp_path / "images" / "A" / "a.ome.tif", np.random.default_rng(1).poisson(99, (4, 1036, 1384)).astype("u2")
    )
    assert deidentify(tmp_path / "images", tmp_path / "out").files == 1


def test_a_copy_that_fails_its_check_is_not_there(tmp_path, monkeypatch):
    def altered(image):
        pixels = image.pixels.copy()
        pixels[0, 0, 0] ^= 1
        return clean_bytes(Image(pixels, image.channels, image.pixel_size_um))

    ome_folder(tmp_path / "images", ["A"], 1)
    monkeypatch.setattr(clean_copies, "clean_bytes", altered)
    done = deidentify(tmp_path / "images", tmp_path / "out")
    assert "the copy is not as its source is: pixels, bits, position_um, exposure_ms" in done.failed["message"][0]
    assert not [path for path in tmp_path.rglob("out/**/*") if path.is_file()]


def test_names_by_number_by_sheet_and_at_random(tmp_path, monkeypatch):
    images = {"Zoe": ["Zoe/b 10.tif", "Zoe/b 2.tif"], "Ann": ["Ann/x.tif"]}
    plain = new_names(images, others=["Bea"])
    assert plain.patients == {"Ann": "P001", "Bea": "P002", "Zoe": "P003"}
    assert plain.images["Zoe/b 2.tif"] == "P003/image_001"
    sheet = tmp_path / "names.csv"
    sheet.write_text("old;new\nZoe;K7\nAnn;K1\nZoe/b 2.tif;K7/first\n", encoding="utf-8")
    given = new_names(images, sheet=sheet)
    assert given.images == {"Zoe/b 2.tif": "K7/first", "Zoe/b 10.tif": "K7/image_002", "Ann/x.tif": "K1/image_001"}
    many = {f"patient {number}": [f"{number}.tif"] for number in range(40)}
    orders = {tuple(new_names(many, random=True).patients.items()) for _ in range(4)}
    assert len(orders) == 4
    assert {tuple(sorted(new for _, new in order)) for order in orders} == {tuple(f"P{n:03d}" for n in range(1, 41))}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("old,new\nA,K1\n", "gives no new name to 1 of 2 patients"),
        ("a,b\nA,K1\n", "no columns old and new"),
        ("old,new\nA,K1\nB,k1\n", "two patients get the same new name"),
        ("old,new\nA,../K1\nB,K2\n", "is no new name"),
        ("old,new\nA,K1\nB,K2/\n", "is no new name"),
        ("old,new\nA,K1\nB,=K2\n", "is no new name"),
        ("old,new\nA,K1\nA,K2\n", "names something twice"),
        ("old,new\nA,K1\nB,K2\n1.tif,x\n2.tif,X\n", "two images get the same new name"),
    ],
)
def test_sheets_that_are_refused(text, what, tmp_path):
    (tmp_path / "names.csv").write_text(text, encoding="utf-8")
    with pytest.raises(SampleSheetError, match=what):
        new_names({"A": ["1.tif"], "B": ["2.tif"]}, sheet=tmp_path / "names.csv")


def test_the_key_is_written_where_asked_and_taken_again(tmp_path):
    ome_folder(tmp_path / "images")
    deidentify(tmp_path / "images", tmp_path / "out", random=True, key=tmp_path / "key.csv")
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "key.csv").stat().st_mode) == 0o600
    key = pd.read_csv(tmp_path / "key.csv", dtype=str).set_index("old")["new"]
    assert set(key.index) >= {"Doe, Jane", "Ahn, Kim", "Doe, Jane/Doe, Jane 0.ome.tif"}
    copy = tmp_path / "out" / f"{key['Doe, Jane/Doe, Jane 1.ome.tif']}.ome.tif"
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("out/*/*")}
    copy.unlink()
    deidentify(tmp_path / "images", tmp_path / "out", random=True, key=tmp_path / "key.csv")
    assert {p: p.stat().st_mtime_ns for p in before if p != copy} == {p: t for p, t in before.items() if p != copy}
    np.testing.assert_array_equal(read_image(copy).pixels, FRAME + np.uint16(1))
    assert leaks(tmp_path / "out", ["Doe", "Jane", "Ahn", "Kim"]) == {}


def test_nothing_is_overwritten(tmp_path):
    images = ome_folder(tmp_path / "images", ["A"], 1)
    before = {path: path.read_bytes() for path in images.rglob("*.tif")}
    for out, key in (
        (images, None),
        (images / "below", None),
        (tmp_path, None),
        (tmp_path / "out", tmp_path / "out" / "key.csv"),
        (tmp_path / "out", images / "key.csv"),
    ):
        with pytest.raises(StudyError, match="must"):
            deidentify(images, out, key=key)
    deidentify(images, tmp_path / "out", key=tmp_path / "key.csv")
    with pytest.raises(StudyError, match="the key is there already"):
        deidentify(images, tmp_path / "out", key=tmp_path / "key.csv", names=tmp_path / "key.csv")
    with pytest.raises(StudyError, match="random order cannot be gone on with"):
        deidentify(images, tmp_path / "out", random=True)
    write_ome(next(tmp_path.rglob("out/P001/*.tif")), FRAME[:, ::-1].copy())
    with pytest.raises(StudyError, match="another file, or a copy of another image"):
        deidentify(images, tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(StudyError, match=r"holds another file, notes\.txt"):
        deidentify(images, tmp_path / "out")
    assert {path: path.read_bytes() for path in images.rglob("*.tif")} == before


def test_what_was_killed_is_swept_and_interrupts_leave_nothing_half(tmp_path, monkeypatch):
    images = ome_folder(tmp_path / "images", ["A"], 3)
    left = tmp_path / "out" / "P001" / ".image_001.ome.tif.partial-1"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    done = []

    def stop(count, total):
        done.append((count, total))
        if count == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deidentify(images, tmp_path / "out", progress=stop)
    assert done == [(1, 3), (2, 3)]
    assert sorted(path.name for path in left.parent.iterdir()) == ["image_001.ome.tif", "image_002.ome.tif"]
    assert deidentify(images, tmp_path / "out").files == 3


def test_images_that_fail_are_listed_by_new_names_without_a_word_of_theirs(tmp_path, command):
    write_bad(tmp_path / "images" / "P8", FRAME)
    ran = command("deidentify", tmp_path / "images", "-o", tmp_path / "out")
    assert ran.code == 1
    assert "text.tif" in ran.err
    assert NAME not in ran.err
    errors = pd.read_csv(tmp_path / "out" / "errors.csv")
    assert len(errors) == 5
    assert errors["image"].str.fullmatch(r"P001/image_00\d").all()
    assert leaks(tmp_path / "out", [*NEEDLES, str(tmp_path), "text.tif", "cut.ome"]) == {}


def test_tables_get_new_patients_and_lose_names_and_dates(tmp_path):
    images = ome_folder(tmp_path / "images")
    names = [path.relative_to(tmp_path).as_posix() for path in sorted(images.rglob("*.tif"))]
    sheet = pd.DataFrame({"image": names, "patient_id": ["Ahn"] * 2 + ["Doe"] * 2})
    sheet = sheet.assign(
        sample_id=["late", "early", "s", "s"], drawn_on=["2021-03-31", "2021-03-01", "", ""], ward="7b"
    )
    sheet.to_csv(tmp_path / "samples.csv", index=False)
    clinical = pd.DataFrame({"patient_id": ["Doe", "Ahn", "Eve"], "liver": ["1", "0", ""], "surname": ["D", "D", "E"]})
    clinical = clinical.assign(os_months="3", os_event="1", subtype=["a", "b", "a"], seen=["2021-03-01"] * 3)
    deidentify(images, tmp_path / "out", samples=tmp_path / "samples.csv", clinical=clinical)
    samples = pd.read_csv(tmp_path / "out" / "samples.csv", dtype=str, keep_default_na=False)
    assert samples.to_dict("list") == {
        "image": [f"P00{p}/image_00{n}.ome.tif" for p, n in ((1, 1), (1, 2), (2, 1), (2, 2))],
        "patient_id": ["P001", "P001", "P002", "P002"],
        "sample_id": ["P001_1", "P001_2", "P002_1", "P002_1"],
        # Thirty days apart, as they were.
        "drawn_on": ["2000-01-31", "2000-01-01", "", ""],
        "blood_ml": [""] * 4,
    }
    table = pd.read_csv(tmp_path / "out" / "clinical.csv", dtype=str, keep_default_na=False)
    assert table.columns.tolist() == ["patient_id", "liver", "os_months", "os_event", "subtype"]
    assert table["patient_id"].tolist() == ["P001", "P002", "P003"]
    assert table["liver"].tolist() == ["0", "1", ""]


def test_the_command_says_what_stays_and_refuses_in_one_line(tmp_path, command, refused):
    ome_folder(tmp_path / "images", ["A"], 1)
    ran = command("deidentify", tmp_path / "images", "-o", tmp_path / "out", "--key", tmp_path / "key.csv")
    assert ran.code == 0
    assert "Channels, as they are called in the copies: DAPI, CK, CD45, HER2." in ran.out
    assert "look at the pictures" in ran.out
    refused("deidentify", tmp_path / "images", "-o", tmp_path / "images", says=["must not lie one in the other"])
    refused("deidentify", tmp_path / "none", "-o", tmp_path / "x", says=["there is no such folder"])
    refused("deidentify", "s3://bucket/a", "-o", tmp_path / "x", says=["cannot be a URL"])


def test_a_full_disk_ends_it_and_leaves_no_half(tmp_path, monkeypatch):
    ome_folder(tmp_path / "images", ["A"], 1)

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cher2.study.tables.os.fsync", full)
    with pytest.raises(Cher2Error, match="No space left"):
        deidentify(tmp_path / "images", tmp_path / "out")
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
