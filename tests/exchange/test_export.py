"""A study for other programs: QuPath's GeoJSON, label images, decisions."""

from __future__ import annotations

import json
import uuid

import numpy as np
import pandas as pd
import pytest
import tifffile

from cher2.cells.segmented import segment_image
from cher2.errors import StudyError
from cher2.exchange.export import export
from cher2.exchange.qupath import COPY, MEASUREMENTS
from cher2.images.files import find_image_files
from cher2.images.reader import read_frames
from cher2.palette import GRADE_COLOURS
from cher2.report.derive import derive
from cher2.review.decisions import COLUMNS
from cher2.review.ledger import Ledger
from cher2.review.open_log import stored_decisions
from cher2.review.outline_frame import load_outlines
from cher2.review.outline_saving import save_correction
from cher2.study.folder import Study

IMAGE = "P03/frame_01.ome.tif"


@pytest.fixture
def study(study_copy):
    return Study(study_copy)


def features_of(out, image=IMAGE):
    index = pd.read_csv(out / "images.csv").set_index("image")["file"]
    return json.loads((out / index[image]).read_text(encoding="utf-8"), parse_constant=pytest.fail)


def by_object(collection):
    return {int(feature["properties"]["name"].split()[-1]): feature for feature in collection["features"]}


def test_qupath_gets_every_object_with_its_final_class(study, judge, command, tmp_path):
    cells = Ledger(study).cells
    row = int(np.flatnonzero((cells["image"] == IMAGE) & (cells["grade_auto"] == 3))[0])
    number = int(cells["object_id"].iloc[row])
    judge(study, [row], [1])
    out = tmp_path / "qupath"
    ran = command("export", study.path, "--as", "qupath", "-o", out)
    assert ran.code == 0, ran.err
    collection = features_of(out)
    assert collection["type"] == "FeatureCollection"
    features = by_object(collection)
    objects = study.objects_of(IMAGE).set_index("object_id")
    assert set(features) == set(objects.index)
    labels = tifffile.imread(study.folder_of(IMAGE) / "labels.tif")
    for label, feature in features.items():
        uuid.UUID(feature["id"])
        properties = feature["properties"]
        assert properties["objectType"] == "detection"
        assert feature["type"] == "Feature"
        assert feature["geometry"]["type"] in ("Polygon", "MultiPolygon")
        rings = feature["geometry"]["coordinates"]
        outer = rings[0] if feature["geometry"]["type"] == "Polygon" else rings[0][0]
        y, x = np.nonzero(labels == label)
        assert np.min(outer, axis=0).tolist() >= [x.min(), y.min()]
        assert all(set(item) == {"name", "value"} for item in properties["measurements"])
        numbers = {item["name"]: item["value"] for item in properties["measurements"]}
        assert set(numbers) <= set(MEASUREMENTS)
        assert numbers["Diameter um"] == objects.loc[label, "diameter_um"]
        expected = {"leukocyte": "Leukocyte", "other": "Other"}.get(objects.loc[label, "kind"])
        if label == number:
            expected = "CTC HER2 1+"
        elif expected is None:
            expected = f"CTC HER2 {('0', '1+', '2+', '3+')[objects.loc[label, 'grade_auto']]}"
        assert properties["classification"]["name"] == expected
    colour = features[number]["properties"]["classification"]["color"]
    assert "#" + "".join(f"{part:02x}" for part in colour) == GRADE_COLOURS[1]


def test_the_same_study_gives_the_same_bytes_and_nothing_is_replaced_unasked(
    study, command, refused, tmp_path, files_of
):
    for form in ("qupath", "labels"):
        out = tmp_path / form
        assert command("export", study.path, "--as", form, "-o", out).code == 0
        before = files_of(out)
        assert len(before) == len(study.samples) + 1
        refused("export", study.path, "--as", form, "-o", out, says=["there already", "--force"])
        assert command("export", study.path, "--as", form, "-o", out, "--force").code == 0
        if form == "qupath":
            assert files_of(out) == before


def test_a_copy_in_another_frame_has_a_class_of_its_own(study, command, tmp_path):
    path = study.folder_of(IMAGE) / "objects.parquet"
    objects = pd.read_parquet(path)
    first = objects.index[objects["kind"] == "ctc"][0]
    objects.loc[first, "duplicate_of"] = "P03/frame_00.ome.tif 7"
    objects.to_parquet(path, index=False)
    assert command("export", study.path, "--as", "qupath", "-o", tmp_path / "out").code == 0
    feature = by_object(features_of(tmp_path / "out"))[int(objects.loc[first, "object_id"])]
    assert feature["properties"]["classification"]["name"] == COPY


def test_labels_are_the_studys_own_with_the_size_of_a_pixel(study, command, tmp_path):
    ran = command("export", study.path, "--as", "labels", "-o", tmp_path / "labels")
    assert ran.code == 0, ran.err
    index = pd.read_csv(tmp_path / "labels" / "images.csv").set_index("image")["file"]
    assert list(index.index) == study.samples["image"].tolist()
    with tifffile.TiffFile(tmp_path / "labels" / index[IMAGE]) as file:
        assert file.is_ome
        assert 'PhysicalSizeX="0.64"' in file.ome_metadata
        labels = file.asarray()
    own = tifffile.imread(study.folder_of(IMAGE) / "labels.tif")
    np.testing.assert_array_equal(labels, own)
    assert labels.dtype == own.dtype
    assert set(np.unique(labels)) - {0} == set(study.objects_of(IMAGE)["object_id"])


def test_decisions_are_a_table_in_the_order_of_the_log(study, judge, command, refused, tmp_path):
    out = tmp_path / "decisions.csv"
    refused("export", study.path, "--as", "decisions", "-o", out, says=["no decisions"])
    judge(study, [3, 1], [2, "not"], "@Ada", reason="-1+1\nand more")
    judge(study, [0], [0], "Bob", "blind")
    assert command("export", study.path, "--as", "decisions", "-o", out).code == 0
    table = pd.read_csv(out, keep_default_na=False, dtype=str)
    assert tuple(table.columns) == COLUMNS
    assert table["entry"].tolist() == ["1", "2", "3"]
    assert table["grade"].tolist() == ["2", "", "0"]
    assert table["reader"].tolist() == ["'@Ada", "'@Ada", "Bob"]
    assert table["reason"].tolist() == ["'-1+1\nand more"] * 2 + [""]
    places = [(entry.y_px, entry.x_px) for entry in stored_decisions(study)]
    assert list(zip(table["y_px"].astype(float), table["x_px"].astype(float), strict=True)) == places
    refused("export", study.path, "--as", "decisions", "-o", out, says=["there already"])


def test_damaged_labels_are_named(study, command, tmp_path):
    (study.folder_of(IMAGE) / "labels.tif").write_bytes(b"no image")
    ran = command("export", study.path, "--as", "labels", "-o", tmp_path / "labels")
    assert ran.code == 2
    assert "the labels cannot be read" in ran.err
    assert "P03" in ran.err


def test_a_file_in_the_folders_place_is_refused(study, refused, tmp_path):
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    refused("export", study.path, "--as", "qupath", "-o", tmp_path / "out", says=["out"])


def test_a_cell_that_a_correction_took_away_is_in_no_result(study, judge, command, tmp_path):
    (file,) = (file for file in find_image_files(study.path.parent / "images", study.protocol) if file.name == IMAGE)
    segmented = segment_image(next(iter(read_frames(file, study.protocol))), study.protocol)
    cells = Ledger(study).cells
    first, second = np.flatnonzero(cells["image"] == IMAGE)[:2].tolist()
    (lost, _) = judge(study, [first, second], [0, 0])
    frame = load_outlines(study, IMAGE)
    number = int(cells["object_id"].iloc[first])
    save_correction(frame, np.where(frame.labels == number, 0, frame.labels), segmented, "Ada")
    derived = derive(study)
    in_image = derived.cells[derived.cells["image"] == IMAGE]
    assert number not in set(in_image["object_id"])
    assert in_image.loc[in_image["reader"] == "Ada", "object_id"].tolist() == [cells["object_id"].iloc[second]]
    assert [decision.decision_id for decision in derived.review.lost] == [lost.decision_id]
    assert command("export", study.path, "--as", "qupath", "-o", tmp_path / "out").code == 0
    features = by_object(features_of(tmp_path / "out"))
    assert number not in features
    assert features[int(cells["object_id"].iloc[second])]["properties"]["classification"]["name"] == "CTC HER2 0"


@pytest.mark.parametrize("form", ["qupath", "mcmicro", "labels"])
def test_an_export_that_is_broken_off_over_an_older_one_does_not_look_whole(study, tmp_path, form):
    out, done = tmp_path / "out", []
    export(study, form, out)
    whole = {path.name for path in out.iterdir()}

    def killed(number, total):
        done.append(number)
        if number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(study, form, out, force=True, progress=killed)
    assert done == [1, 2]
    assert whole - {path.name for path in out.iterdir()} == {"images.csv"}
    # Half a file of a process that is dead.
    (out / ".images.csv.partial-4000000").touch()
    export(study, form, out, force=True)
    assert {path.name for path in out.iterdir()} == whole


@pytest.mark.parametrize("form", ["qupath", "cellprofiler"])
def test_a_study_that_a_run_changes_is_not_exported(study, tmp_path, form):
    out = tmp_path / "out"
    with pytest.raises(StudyError, match="a run has changed the study while it was exported"):
        export(study, form, out, progress=lambda number, total: (study.path / ".measured").mkdir(exist_ok=True))
    assert not list(out.glob("*.csv"))
    with pytest.raises(StudyError, match="still going on, or was broken off"):
        export(study, form, tmp_path / "other")
    assert not (tmp_path / "other").exists()
