"""Before a run: what is there, what is assumed where nobody gave a protocol, and folders that were meant otherwise."""

import numpy as np
import pandas as pd
import pytest
import tifffile

from cher2.batch.plan import make_plan
from cher2.batch.plan_words import plan_in_words
from cher2.errors import ImageError, StudyError
from cher2.study.folder import Study

NAMES = ("DAPI", "CK", "CD45", "HER2")
PIXELS = np.zeros((4, 8, 9), np.uint16)


def write(path, names=NAMES, size=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"axes": "CYX", "Channel": {"Name": list(names)}}
    metadata |= {"PhysicalSizeX": size, "PhysicalSizeY": size} if size else {}
    tifffile.imwrite(path, PIXELS[: len(names)], ome=True, photometric="minisblack", metadata=metadata)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "images"


def words(folder, protocol=None, samples=None):
    study = Study(folder.with_name("study"))
    return plan_in_words(make_plan(folder, study, protocol=protocol, samples=samples, force=False)).splitlines()


def test_without_a_protocol_everything_assumed_is_said(folder):
    write(folder / "P1" / "a.ome.tif", size=0.325)
    write(folder / "P2" / "b.ome.tif")
    assert words(folder) == [
        "2 images of 2 patients; 0 are measured already.",
        "By the default protocol (CellSearch CXC, HER2-PE): channels dapi = DAPI, ck = CK, cd45 = CD45, her2 = HER2; "
        "HER2 in counts, cut-offs 30, 110, 340.",
        "No protocol was given, so this is assumed:",
        "  - channels: by their names, as in P1/a.ome.tif, where they are dapi 0, ck 1, cd45 2, her2 3 "
        "(counted from 0)",
        "  - pixel size: as each file says, 0.325 um in P1/a.ome.tif; 0.64 um where a file tells none",
        "  - cut-offs: 30, 110, 340 counts of HER2 are not calibrated for this instrument and staining; grades and "
        "ratios are provisional until they are (docs/calibration.md)",
        "  - CTCs: DAPI+ CK+ CD45-, 4 to 40 um across; what is positive is found in each sample by itself",
        "  To change it: cher2 protocol --example > protocol.toml, edit that file, and add --protocol protocol.toml.",
    ]


def test_an_image_without_pixel_size_and_of_other_channels(folder):
    write(folder / "P1" / "a.ome.tif", names=("Hoechst", "CK", "CD45", "ERBB2"))
    said = words(folder)
    assert said[0] == "1 image of 1 patient; 0 are measured already."
    assert said[3] == (
        '  - channels: WRONG for P1/a.ome.tif: no channel "DAPI" for the role dapi; it has Hoechst, CK, CD45, ERBB2; '
        "no channel \"HER2\" for the role her2; it has Hoechst, CK, CD45, ERBB2. 'cher2 info' shows what a file has"
    )
    assert said[4] == "  - pixel size: 0.64 um where a file tells none; P1/a.ome.tif tells none"


@pytest.mark.parametrize("broken", [1, 4])
def test_images_that_cannot_be_read_stop_nothing(folder, broken):
    write(folder / "P1" / "z.ome.tif", size=0.5)
    for number in range(broken):
        (folder / "P1" / f"a{number}.tif").write_bytes(b"no image")
    channels, pixel = words(folder)[3:5]
    if broken == 1:
        assert channels.startswith("  - channels: by their names, as in P1/z.ome.tif")
        assert pixel.startswith("  - pixel size: as each file says, 0.5 um")
    else:
        assert (channels, pixel) == (
            "  - channels: by their names",
            "  - pixel size: 0.64 um where a file tells none",
        )


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["007", "P2", "x"], []),
        (["7", "P2"], ["Look: 1 of 2 patients have no row in the clinical table ('007'), which has others ('7')."]),
        (["P2"], ["Look: 1 of 2 patients have no row in the clinical table ('007')."]),
    ],
)
def test_patients_without_a_row_are_named_before_the_work(folder, rows, said):
    for name in ("007", "P2"):
        write(folder / name / "a.ome.tif")
    plan = make_plan(folder, Study(folder.with_name("study")), protocol=None, samples=None, force=False)
    clinical = pd.DataFrame({"patient_id": rows})
    assert [line for line in plan_in_words(plan, clinical).splitlines() if line.startswith("Look")] == said


def test_with_a_protocol_nothing_is_assumed(folder, tmp_path):
    write(folder / "P1" / "a.ome.tif")
    rules = tmp_path / "mine.toml"
    rules.write_text('name = "mine"')
    assert len(words(folder, rules)) == 2
    assert words(folder, rules)[1].startswith("By the protocol mine.toml (mine): ")


def test_the_folder_above_the_patients_is_one_patient_and_that_is_said(folder, tmp_path):
    for name in "abcd":
        write(folder / "cohort" / name / "1.ome.tif")
    assert (
        "Look: all images count as one patient, 'cohort', the only folder there. If the patients are the folders in it "
        "(a, b, c ...), give that folder instead."
    ) in words(folder)
    sheet = tmp_path / "samples.csv"
    rows = "".join(f"images/cohort/{name}/1.ome.tif,one\n" for name in "abcd")
    sheet.write_text(f"image,patient_id\n{rows}")
    assert not [line for line in words(folder, samples=sheet) if line.startswith("Look")]


@pytest.mark.parametrize("names", [("P1/1", "P1/2"), ("P1/slide/1", "P1/slide/2"), ("1", "2"), ("P1/a/1", "P2/a/1")])
def test_other_folders_are_no_cause_to_look(folder, names):
    for name in names:
        write(folder / f"{name}.ome.tif")
    assert not [line for line in words(folder) if line.startswith("Look")]


def test_one_file_a_channel_is_refused_before_the_work(folder):
    for name in NAMES:
        write(folder / "P1" / f"frame1_{name}.tif", names=[name])
    with pytest.raises(ImageError, match="one channel each"):
        words(folder)


def test_a_study_among_the_images_is_refused(folder):
    write(folder / "P1" / "a.ome.tif")
    write(folder / "old" / "images" / "P1__a" / "labels.tif")
    assert words(folder)[0].startswith("2 images")
    (folder / "old" / "images" / "P1__a" / "score.json").write_text("{}")
    with pytest.raises(StudyError, match="a study that cher2 has written, which is no image"):
        words(folder)
