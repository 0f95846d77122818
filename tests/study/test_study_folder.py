"""The study folder: every image's results whole or absent, readable names, nothing shared between images."""

from __future__ import annotations

import json
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from cher2.cells.objects import COLUMNS, empty_objects
from cher2.errors import StudyError
from cher2.protocol import Protocol
from cher2.study.folder import Study, file_of, image_id
from cher2.study.samples import COLUMNS as SAMPLE_COLUMNS

SAMPLES = pd.DataFrame([["a.tif", "P1", "P1", "", ""]], columns=SAMPLE_COLUMNS)


@pytest.fixture
def study(tmp_path):
    made = Study(tmp_path / "study")
    made.create(Protocol(), SAMPLES)
    return made


def objects_with(number):
    return pd.concat([empty_objects(), pd.DataFrame({"object_id": range(1, number + 1)})])[["object_id"]]


def write(study, image="a.tif", number=2, measured=False, labels=None):
    labels = np.arange(12, dtype=np.int32).reshape(3, 4) if labels is None else labels
    study.write_measured(image, labels, objects_with(number), {"image": image})
    if not measured:
        grade(study, image, number)


def grade(study, image="a.tif", number=2, grade_auto=1):
    objects = objects_with(number).assign(grade_auto=grade_auto)
    study.write_graded([study.newest(image)], objects, [number], [{"image": image}])


@pytest.mark.parametrize(
    ("name", "folder"),
    [("P01/frame_01.ome.tif", "P01__frame_01.ome.tif"), ("a.tif", "a.tif"), ("P1/x/y-2.tif", "P1__x__y-2.tif")],
)
def test_a_plain_name_stays_readable(name, folder):
    assert image_id(name) == folder


@pytest.mark.parametrize("name", ["CON.tif", "nul.ome.tif", "Com1", "lpt9.a b.tif"])
def test_no_folder_is_called_as_a_device_of_windows(name):
    assert image_id(name).startswith("_")
    assert image_id(f"P1/{name}").startswith("P1__")


names = st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=300)


@given(names)
def test_an_images_folder_is_one_safe_name(name):
    folder = image_id(name)
    assert 0 < len(folder) <= 112
    assert set(folder) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
    assert not folder.startswith(".")
    assert not folder.endswith(".")


@given(st.lists(names, min_size=2, max_size=2, unique=True))
def test_two_images_have_two_folders(pair):
    assert image_id(pair[0]) != image_id(pair[1])


@pytest.mark.parametrize(
    "pair",
    [
        ("a/b.tif", "a__b.tif"),
        ("a b.tif", "a_b.tif"),
        ("ä.tif", "ö.tif"),
        ("a/b__c.tif", "a__b/c.tif"),
        ("s.tif#1", "s.tif_1"),
    ],
)
def test_names_that_look_alike_have_two_folders(pair):
    assert image_id(pair[0]) != image_id(pair[1])


@pytest.mark.parametrize(
    ("image", "file"),
    [
        ("stack.tif#3", "stack.tif"),
        ("a.tif", "a.tif"),
        ("a#b.tif", "a#b.tif"),
        ("a#1/b.tif", "a#1/b.tif"),
        ("s#2.tif#12", "s#2.tif"),
    ],
)
def test_a_frame_belongs_to_its_file(image, file):
    assert file_of(image) == file


def test_a_folder_is_a_study_once_it_is_made(tmp_path):
    study = Study(tmp_path / "deep" / "study")
    assert not study.exists()
    with pytest.raises(StudyError, match="this is no study folder"):
        Study.open(study.path)
    protocol = Protocol.from_dict({"name": "ours"})
    study.create(protocol, SAMPLES)
    assert Study.open(study.path).protocol == protocol
    assert study.samples.equals(SAMPLES)
    assert not study.has_results()


def test_a_list_of_samples_without_its_columns_is_refused(study):
    (study.path / "samples.csv").write_text("image,patient_id\na.tif,P1\n", encoding="utf-8")
    with pytest.raises(StudyError, match="has no column sample_id"):
        _ = study.samples


def test_an_image_is_written_and_read(study):
    labels = np.zeros((5, 6), np.int32)
    labels[1:3, 2:4] = 7
    write(study, labels=labels, number=3)
    folder = study.folder_of("a.tif")
    assert sorted(path.name for path in folder.iterdir()) == [
        "labels.tif",
        "measured.parquet",
        "objects.parquet",
        "score.json",
    ]
    stored = tifffile.imread(folder / "labels.tif")
    assert stored.dtype == np.uint16
    assert np.array_equal(stored, labels)
    assert study.objects_of("a.tif")["object_id"].tolist() == [1, 2, 3]
    assert study.objects_of("a.tif", columns=["object_id"]).columns.tolist() == ["object_id"]
    score = study.score_of("a.tif")
    assert set(score.pop("files")) == {path.name for path in folder.iterdir()}
    assert score == {"image": "a.tif"}
    assert study.has_results()


def test_more_labels_than_sixteen_bits_hold(study):
    write(study, labels=np.array([[70_000, 0]], np.int32))
    stored = tifffile.imread(study.folder_of("a.tif") / "labels.tif")
    assert stored.dtype == np.uint32
    assert stored.max() == 70_000


def test_what_was_measured_is_carried_over_without_a_copy(study):
    write(study, measured=True)
    waiting, final = study.folder_of("a.tif", measured=True), study.folder_of("a.tif")
    assert sorted(path.name for path in waiting.iterdir()) == ["labels.tif", "measured.parquet", "score.json"]
    inodes = {name: (waiting / name).stat().st_ino for name in ("labels.tif", "measured.parquet")}
    for _ in range(2):  # Graded, and graded again from what is finished.
        grade(study, grade_auto=3)
        assert {name: (final / name).stat().st_ino for name in inodes} == inodes
        assert not waiting.exists()
    assert study.score_of("a.tif", measured=True) is None
    assert tifffile.imread(final / "labels.tif").shape == (3, 4)
    assert study.objects_of("a.tif").columns.tolist() == ["object_id", "grade_auto"]
    assert study.measured_of("a.tif").columns.tolist() == ["object_id"]


def test_the_newest_measurement_is_what_is_graded(study):
    write(study, number=2)
    write(study, number=5, measured=True)
    assert len(study.measured_of("a.tif")) == 5
    assert len(study.objects_of("a.tif")) == 2
    grade(study, number=5)
    assert len(study.measured_of("a.tif")) == 5


def test_a_disk_without_links_gets_copies(study, monkeypatch):
    def refuse(path, target):
        raise OSError(1, "Operation not permitted")

    write(study, measured=True)
    monkeypatch.setattr(type(study.path), "hardlink_to", refuse)
    grade(study)
    assert len(study.measured_of("a.tif")) == 2
    assert tifffile.imread(study.folder_of("a.tif") / "labels.tif").shape == (3, 4)


def test_a_measurement_is_there_or_not(study):
    assert study.newest("a.tif") is None
    write(study, measured=True)
    assert study.newest("a.tif").waiting
    grade(study)
    assert not study.newest("a.tif").waiting
    (study.folder_of("a.tif") / "measured.parquet").unlink()
    assert study.newest("a.tif") is None


def test_an_image_is_replaced_whole(study):
    write(study, number=2)
    write(study, number=5)
    assert len(study.objects_of("a.tif")) == 5
    assert [path.name for path in (study.path / ".measured").iterdir()] == []


@contextmanager
def no_file_above(size):
    """Let the system refuse files above a size: as on a full disk, the write fails half-way."""
    import resource  # Not on Windows.

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="the system sets no limit to files")
def test_a_disk_that_takes_no_more_leaves_what_was_there(study):
    for image in ("a.tif", "b.tif", "c.tif"):
        write(study, image, number=2)
    found = [study.newest(image) for image in ("a.tif", "b.tif", "c.tif")]
    rng = np.random.default_rng(1)
    large = pd.DataFrame({"object_id": rng.integers(2**31, size=9002)})
    labels = rng.integers(2**15, size=(300, 300))
    with no_file_above(8000):
        with pytest.raises(StudyError, match=r"the results of b\.tif cannot be written \(.*File too large"):
            study.write_graded(found, large, [1, 9000, 1], [{}, {}, {}])
        with pytest.raises(StudyError, match=r"the results of d\.tif cannot be written \(.*File too large"):
            study.write_measured("d.tif", labels, objects_with(2), {})
    # Each image by itself is the old one or the new one; the one that did not fit is the old one.
    assert len(study.objects_of("b.tif")) == 2
    for image in ("a.tif", "c.tif"):
        assert len(study.objects_of(image)) in (1, 2)
        assert len(list(study.folder_of(image).iterdir())) == 4
    assert study.newest("d.tif") is None
    assert not list((study.path / ".measured").iterdir())


def test_a_sample_is_cut_into_its_images(study):
    names = [f"{k}.tif" for k in range(20)]
    n_rows = [k % 4 for k in range(20)]
    for name, number in zip(names, n_rows, strict=True):
        write(study, name, number, measured=True)
    found = [study.newest(name) for name in names]
    table, counts = study.read_measured(found)
    assert counts == n_rows
    assert table["object_id"].tolist() == [i + 1 for number in n_rows for i in range(number)]
    graded = table.assign(image=np.repeat(names, n_rows), kind=["ctc", "other"] * (len(table) // 2))
    study.write_graded(found, graded, counts, [{"image": name} for name in names])
    for name, number in zip(names, n_rows, strict=True):
        assert study.objects_of(name)["image"].tolist() == [name] * number
        assert (study.score_of(name) or {})["image"] == name
    pd.testing.assert_frame_equal(study.read_objects(names), graded)
    ctcs = graded[graded["kind"] == "ctc"].reset_index(drop=True)
    pd.testing.assert_frame_equal(study.read_objects(names, kinds=["ctc"]), ctcs)
    assert study.read_objects(names, kinds=["leukocyte"]).empty


def test_what_a_broken_off_run_left_is_swept_away(study):
    partial = study.path / ".measured" / ".partial-a.tif-123"
    partial.mkdir()
    (partial / "labels.tif").write_bytes(b"half")
    write(study, "b.tif", measured=True)
    study.sweep()
    assert not partial.exists()
    assert study.score_of("b.tif", measured=True)


def test_only_the_images_of_the_study_are_kept(study):
    for image in ("a.tif", "s.tif#1", "s.tif#2"):
        write(study, image)
    write(study, "half.tif", measured=True)
    (study.path / "images" / "my notes").mkdir()
    study.keep_only(["a.tif", "s.tif#1"])
    assert study.under_way
    study.finish()
    assert not study.under_way
    assert study.score_of("a.tif")
    assert study.score_of("s.tif#1")
    assert study.score_of("s.tif#2") is None
    assert sorted(path.name for path in study.path.iterdir()) == ["images", "protocol.toml", "samples.csv", "study_id"]
    assert (study.path / "images" / "my notes").is_dir()


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"\xff\xfe", b"null"])
def test_a_damaged_score_counts_as_absent(study, content):
    write(study)
    (study.folder_of("a.tif") / "score.json").write_bytes(content)
    assert study.score_of("a.tif") is None


@pytest.mark.parametrize("content", [b"", b"PAR1 no table PAR1", b"\0" * 100])
def test_a_damaged_table_of_objects_names_itself_and_the_remedy(study, content):
    write(study)
    path = study.folder_of("a.tif") / "objects.parquet"
    path.write_bytes(content)
    with pytest.raises(StudyError, match="the table of objects cannot be read") as caught:
        study.objects_of("a.tif")
    assert caught.value.where == str(path)
    assert "run 'cher2 run' again" in caught.value.remedy


def test_no_image_gives_an_empty_table_with_every_column(study):
    assert list(study.read_objects([])) == [column.name for column in COLUMNS]
    assert study.read_objects([]).empty


def test_a_score_is_json_that_a_person_can_read(study):
    write(study)
    text = (study.folder_of("a.tif") / "score.json").read_text(encoding="utf-8")
    score = json.loads(text)
    assert set(score) == {"files", "image"}
    assert score["image"] == "a.tif"
    assert text.endswith("}\n")


def test_a_study_keeps_its_identity_wherever_it_is_copied(study, tmp_path):
    first = study.identity
    assert len(first) == 32
    study.create(study.protocol, study.samples)
    assert study.identity == first
    shutil.copytree(study.path, tmp_path / "copy")
    assert Study(tmp_path / "copy").identity == first


def test_two_studies_are_never_the_same(study, tmp_path):
    other = Study(tmp_path / "other")
    other.create(study.protocol, study.samples)
    assert other.identity != study.identity


def test_a_study_of_an_older_version_gets_an_identity_when_it_is_asked_for(study):
    (study.path / "study_id").unlink()
    assert study.identity == study.identity


def test_programs_that_ask_at_the_same_moment_get_one_identity(study):
    (study.path / "study_id").unlink()
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: Study(study.path).identity, range(64)))
    assert len(set(found)) == 1
    assert [path.name for path in study.path.glob(".study_id*")] == []


@pytest.mark.parametrize(
    "change",
    [
        {"patient_id": []},
        {"n_ctcs": "many"},
        {"n_ctcs": -1},
        {"pixel_size_um": 0},
        {"pixel_size_um": float("nan")},
        {"gates": 3},
        {"leukocytes_her2": [1]},
        {"leukocytes_her2": {"median": "high", "n": 3}},
    ],
)
def test_a_score_with_values_of_another_kind_is_none(study, change):
    """Found by benchmarks/fuzz.py: they ended in a TypeError or ValueError far from the file."""
    folder = study.folder_of("a.tif")
    folder.mkdir(parents=True)
    sound = {"image": "a.tif", "patient_id": "P1", "n_ctcs": 1, "pixel_size_um": 0.5, "leukocytes_her2": None}
    (folder / "score.json").write_text(json.dumps(sound), encoding="utf-8")
    assert study.score_of("a.tif") == sound
    (folder / "score.json").write_text(json.dumps(sound | change), encoding="utf-8")
    assert study.score_of("a.tif") is None
    (folder / "score.json").write_text("[" * 100_000, encoding="utf-8")
    assert study.score_of("a.tif") is None
