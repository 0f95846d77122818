"""Whatever a user gets wrong: one line that says what, where and the remedy, exit 2, and nothing written.

Where only some images suffer, the others are scored, errors.csv names the rest, and the exit code is 1.
"""

from __future__ import annotations

import os
import shutil
import sys

import numpy as np
import pandas as pd
import pytest
import tifffile

import cher2

FRAME = "frame_01.ome.tif"


@pytest.fixture
def run(refused, images, tmp_path):
    """Return a function that runs ``cher2 run`` on the three patients and must be refused."""

    def refuse(*words, says=(), folder=images, home=tmp_path / "study"):
        return refused("run", folder, "-o", home, "--workers", 1, *words, says=says)

    return refuse


def write_frame(path, pixels, names=("DAPI", "CK", "CD45", "HER2"), size=0.64, **how):
    axes = how.pop("axes", "CYX")
    metadata = {"axes": axes, "Channel": {"Name": list(names)}, "PhysicalSizeX": size, "PhysicalSizeXUnit": "µm"}
    metadata |= {"PhysicalSizeY": size, "PhysicalSizeYUnit": "µm"}
    tifffile.imwrite(path, pixels, ome=True, photometric="minisblack", metadata=metadata, **how)


def pixels_of(images, patient):
    return cher2.read_image(images / patient / FRAME).pixels


def errors_of(study):
    return pd.read_csv(study / "errors.csv", dtype=str, keep_default_na=False)


# --- The whole input ---------------------------------------------------------------------------------------


def test_no_such_folder(run, tmp_path):
    run(folder=tmp_path / "none", says=["there is no such folder", tmp_path / "none"])


def test_no_image_in_the_folder(run, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    run(folder=empty, says=["there is no image", "it is empty"])
    (empty / "notes.txt").write_text("nothing", encoding="utf-8")
    run(folder=empty, says=["there is no image", "notes.txt"])


def test_a_file_instead_of_a_folder(run, images):
    run(folder=images / "P02" / FRAME, says=["it is a file, not a folder"])


def test_only_a_file_that_is_no_image(run, tmp_path):
    folder = tmp_path / "scans" / "P1"
    folder.mkdir(parents=True)
    (folder / "a.tif").write_bytes(b"this is no image")
    run(folder=folder.parent, says=["not one of the 1 images could be scored", "it is no TIFF, PNG or JPEG"])


def test_only_frames_without_one_of_the_channels(run, tmp_path, images):
    protocol = tmp_path / "p.toml"
    protocol.write_text('[channels]\nher2 = "PE"\n', encoding="utf-8")
    run(
        "--protocol", protocol, says=['no channel "PE" for the role her2; it has DAPI, CK, CD45, HER2', "channels.her2"]
    )


def test_an_image_beside_the_patients_folders(run, images):
    shutil.copyfile(images / "P02" / FRAME, images / "stray.tif")
    run(says=["stray.tif", "in no patient's folder"])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has names that are no text")
def test_a_name_that_is_no_text_is_scored_under_its_escaped_name(command, images, tmp_path):
    (images / "P02" / FRAME).rename(images / "P02" / os.fsdecode(b"fr\xe4me.tif"))
    ran = command("run", images, "-o", tmp_path / "study", "--workers", 1)
    assert ran.code == 0, ran
    cells = pd.read_csv(tmp_path / "study" / "cells.csv", dtype=str)
    assert r"P02/fr\xe4me.tif" in set(cells["image"])


# --- The sample sheet --------------------------------------------------------------------------------------

HEAD = "image,patient_id\n"
ROWS = [f"images/{patient}/{FRAME},{patient}\n" for patient in ("P02", "P03", "P08")]
BAD_TABLES = [
    (bytes(range(256)), "it is not UTF-8 text"),
    (b"", "it is empty"),
    (b"a,b\n1,2,3\n", "line 2 has 3 values, the header 2"),
    (b"patient_id,image,patient_id\nP02,a,P02\n", "the column patient_id twice"),
]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEAD, "3 images have no row in the sheet"),
        (HEAD + ROWS[0] + ROWS[1], "1 images have no row in the sheet, so no patient: 'P08/frame_01.ome.tif'"),
        (HEAD + "".join(ROWS) + "images/P09/x.tif,P09\n", "not in the image folder: 'images/P09/x.tif' in row 5"),
        (HEAD + ROWS[0] + ROWS[1] + f"images/P08/{FRAME},\n", f"row 4 gives no patient for 'images/P08/{FRAME}'"),
        (HEAD + "".join(ROWS) + ROWS[0].replace(",P02", ",P03"), "stands twice in the sheet"),
        ("image;patient\nx;y\n", "there is no column patient_id; there are image, patient"),
    ],
)
def test_a_sample_sheet_that_does_not_fit(run, tmp_path, text, says):
    sheet = tmp_path / "samples.csv"
    sheet.write_text(text, encoding="utf-8")
    run("--samples", sheet, says=[says, sheet])


@pytest.mark.parametrize(("content", "says"), BAD_TABLES)
@pytest.mark.parametrize("option", ["--samples", "--clinical"])
def test_a_table_that_is_none(run, tmp_path, option, content, says):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    run(option, path, says=[says, path])
    run(option, tmp_path / "none.csv", says=["cannot be read (No such file or directory)", "none.csv"])


# --- The clinical table ------------------------------------------------------------------------------------

SITES = "patient_id,liver,lung,cns,bone,lymph_nodes,skin_soft_tissue,serosa\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (SITES.replace("patient_id", "id") + "P02,1,0,0,0,0,0,0\n", ["there is no column patient_id", "id, liver"]),
        (SITES + "P02,1,0,0,0,0,0,0\nP03,0,1,0,0,0,0,0\nP02,1,0,0,0,0,0,0\n", ["patient P02 is there twice"]),
        (SITES + "P02,1,0,yes,0,0,0,0\n", ["'yes' is no value for a site", "patient P02, column cns"]),
        (SITES + "P02,2,0,0,0,0,0,0\n", ["'2' is no value for a site", "patient P02, column liver"]),
        (SITES + ",1,0,0,0,0,0,0\n", ["patient_id is empty"]),
        (SITES + "P02,0,0,0,0,0,0,0\n", ["1 patient has no metastatic site: P02", "cohort.no_site"]),
        ("patient_id,leber\nP02,1\n", ["there is no column for any site", "patient_id, leber"]),
    ],
)
def test_a_clinical_table_that_cannot_be_used(run, command, scored, tmp_path, text, says):
    clinical = tmp_path / "clinical.csv"
    clinical.write_text(text, encoding="utf-8")
    run("--clinical", clinical, says=[*says, clinical])
    before = (scored.path / "comparison.csv").read_bytes()
    ran = command("compare", scored.path, "--clinical", clinical)
    assert ran.code == 2
    assert str(clinical) in ran.err
    assert (scored.path / "comparison.csv").read_bytes() == before


def test_a_clinical_table_of_other_patients_is_no_fault_of_the_run(command, images, tmp_path):
    clinical = tmp_path / "clinical.csv"
    clinical.write_text(SITES + "X1,1,0,0,0,0,0,0\n", encoding="utf-8")
    ran = command("run", images, "-o", tmp_path / "study", "--clinical", clinical, "--workers", 1)
    assert ran.code == 0
    assert "no patient is in both tables" in ran.out
    assert not (tmp_path / "study" / "comparison.csv").exists()


# --- The protocol ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[grade]\ncutofs = [1, 2, 3]\n", ["unknown key grade.cutofs", "Did you mean cutoffs"]),
        ("[grade]\ncutoffs = [340, 110, 30]\n", ["grade.cutoffs", "must ascend"]),
        ("cutoffs = = 3", ["this is not TOML"]),
        ("[image]\nfile_pattern = '{frame}_{channel}.png'\n", ["there is no image that fits", "image.file_pattern"]),
    ],
)
def test_a_protocol_that_cannot_be_used(run, tmp_path, text, says):
    protocol = tmp_path / "p.toml"
    protocol.write_text(text, encoding="utf-8")
    run("--protocol", protocol, says=says)


def test_a_protocol_that_is_not_there(run, tmp_path):
    run("--protocol", tmp_path / "none.toml", says=["the protocol cannot be read (No such file", "none.toml"])
    run("--protocol", tmp_path, says=["the protocol cannot be read (Is a directory)"])


# --- The study folder --------------------------------------------------------------------------------------


@pytest.fixture
def images_beside_study(study_copy):
    return study_copy.parent / "images"


def test_a_study_with_other_names(refused, study_copy, images_beside_study):
    for patient in ("P01", "P04", "P05", "P06", "P07"):
        shutil.rmtree(images_beside_study / patient)
    says = ["the folder holds another study: 5 of its 8 images", "--force"]
    refused("run", images_beside_study, "-o", study_copy, says=says)


def test_a_study_with_the_same_names_but_other_pixels(refused, study_copy, images_beside_study):
    for path in images_beside_study.rglob("*.tif"):
        path.write_bytes(path.read_bytes() + b"\0")
    says = ["the folder holds another study: its images have the same names but other pixels", "--force"]
    refused("run", images_beside_study, "-o", study_copy, says=says)


def test_a_folder_that_holds_other_files(run, tmp_path):
    home = tmp_path / "documents"
    home.mkdir()
    (home / "thesis.txt").write_text("dear", encoding="utf-8")
    run(home=home, says=["the folder holds other files and no study", home])
    run("--force", home=home, says=["the folder holds other files and no study"])


def test_a_file_in_the_way(run, tmp_path):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    run(home=tmp_path / "file", says=["this is a file", "Name a folder with -o"])
    # A folder below a file cannot be made by anybody, root included.
    run(home=tmp_path / "file" / "study", says=["the study folder cannot be made", "that you may write to"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to(run, tmp_path):
    parent = tmp_path / "locked"
    parent.mkdir(mode=0o555)
    run(home=parent / "study", says=["the study folder cannot be made (Permission denied)"])


def test_study_and_images_one_in_the_other(run, images, tmp_path):
    says = ["the study and the images must not lie one in the other"]
    run(home=images, says=says)
    run(home=images / "study", says=says)
    run(folder=images, home=tmp_path, says=says)
    (tmp_path / "link").symlink_to(images)
    run(home=tmp_path / "link" / "study", says=says)


def test_a_damaged_study(refused, study_copy, images_beside_study):
    (study_copy / "protocol.toml").write_text("[grade]\ncutofs = 1\n", encoding="utf-8")
    refused("run", images_beside_study, "-o", study_copy, says=["unknown key grade.cutofs", study_copy])
    refused("report", study_copy, says=["unknown key grade.cutofs"])


@pytest.mark.parametrize("words", [("report",), ("compare", "--clinical", "c.csv")])
def test_a_folder_that_is_no_study(refused, tmp_path, words):
    refused(*words[:1], tmp_path, *words[1:], says=["this is no study folder", "'cher2 run' has written"])
    refused(*words[:1], tmp_path / "none", *words[1:], says=["this is no study folder"])


# --- Only some images --------------------------------------------------------------------------------------


def without_a_channel(images):
    write_frame(images / "P08" / FRAME, pixels_of(images, "P08")[:3], ("DAPI", "CK", "CD45"))


def with_two_channels_of_a_name(images):
    write_frame(images / "P08" / FRAME, pixels_of(images, "P08"), ("DAPI", "CK", "HER2", "HER2"))


def truncated(images):
    path = images / "P08" / FRAME
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def no_image(images):
    (images / "P08" / FRAME).write_bytes(b"this is no image\n")


def empty(images):
    (images / "P08" / FRAME).write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "kind", "says"),
    [
        (without_a_channel, "ChannelError", 'no channel "HER2" for the role her2; it has DAPI, CK, CD45'),
        (with_two_channels_of_a_name, "ChannelError", 'no channel "CD45" for the role cd45'),
        (truncated, "ImageError", ""),
        (no_image, "ImageError", "it is no TIFF, PNG or JPEG"),
        (empty, "ImageError", "the file is empty"),
    ],
)
def test_an_image_that_fails_never_stops_the_others(command, images, tmp_path, spoil, kind, says):
    spoil(images)
    home = tmp_path / "study"
    ran = command("run", images, "-o", home, "--workers", 1)
    assert ran.code == 1, ran
    assert "Traceback" not in ran.err
    assert "1 image failed" in ran.err
    errors = errors_of(home)
    assert list(errors) == ["image", "error", "message"]
    assert errors["image"].tolist() == [f"P08/{FRAME}"]
    assert errors["error"].tolist() == [kind]
    message = errors["message"][0]
    assert says in message
    assert "P08" in message
    assert "fault of cher2" not in message
    patients = pd.read_csv(home / "patients.csv", dtype=str, keep_default_na=False).set_index("patient_id")
    assert patients["n_images"].to_dict() == {"P02": "1", "P03": "1", "P08": "0"}
    assert int(patients["n_ctcs"]["P03"]) >= 5
    assert patients["group"]["P08"] == "excluded"
    assert "not read" in patients["reason"]["P08"] or "read" in patients["reason"]["P08"]
    again = command("run", images, "-o", home, "--workers", 1)
    assert again.code == 1


def test_two_channels_of_a_name_are_told_apart_by_their_number(command, images, tmp_path):
    write_frame(
        images / "P08" / FRAME, pixels_of(images, "P08")[[0, 1, 2, 3, 3]], ("DAPI", "CK", "CD45", "HER2", "HER2")
    )
    ran = command("run", images, "-o", tmp_path / "study", "--workers", 1)
    assert ran.code == 1
    assert 'two channels are named "HER2" (numbers 3 and 4)' in errors_of(tmp_path / "study")["message"][0]
    (tmp_path / "p.toml").write_text("[channels]\nher2 = 3\n", encoding="utf-8")
    ran = command("run", images, "-o", tmp_path / "study", "--workers", 1, "--protocol", tmp_path / "p.toml")
    assert ran.code == 0
    assert errors_of(tmp_path / "study").empty


@pytest.fixture
def damaged_stack(images):
    """Put a file of two frames among the images, the second of which cannot be decoded."""
    path = images / "P08" / "stack.ome.tif"
    pixels = pixels_of(images, "P08")
    write_frame(path, np.stack([pixels, pixels]), axes="TCYX", compression="zlib")
    with tifffile.TiffFile(path) as file:
        offset = file.pages[4].dataoffsets[0]
    data = bytearray(path.read_bytes())
    data[offset : offset + 100] = bytes(100)
    path.write_bytes(data)
    return path


def test_a_stack_whose_second_frame_is_damaged_counts_for_nothing(command, images, damaged_stack, tmp_path):
    ran = command("run", images, "-o", tmp_path / "study", "--workers", 1)
    assert ran.code == 1, ran
    assert errors_of(tmp_path / "study")["image"].tolist() == ["P08/stack.ome.tif"]
    assert sorted(path.name for path in (tmp_path / "study" / "images").iterdir()) == [
        f"{patient}__{FRAME}" for patient in ("P02", "P03", "P08")
    ]


def test_a_damaged_stack_alone_leaves_no_half_behind(run, images, damaged_stack):
    for path in images.rglob(FRAME):
        path.unlink()
    run(says=["not one of the 1 images could be scored"])
