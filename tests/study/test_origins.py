"""What finished images were made from: the short way of reading gives what the whole file says."""

from __future__ import annotations

import json

import pytest

from cher2.protocol import Protocol
from cher2.study.folder import MEASURED, SCORE, Study
from cher2.study.origins import ENTRIES, Origins, read_entries
from cher2.study.samples import COLUMNS

HOSTILE = {
    "grading": 'a\n "source": {}\\" }',
    "measuring": "ü\u2028",
    "pixel_size_um": 0.64,
    "source": {"stamp": [["a\n.tif", 5, 1700000000000000001]], "digest": "d", "frames": 2, "grading": "inner"},
    "frame": {"source": "inner", "measuring": [1, 2]},
    "zzz": '\n "grading": "late"',
}

HOSTILE_LINES = '{\n "grading": nonsense,\n "measuring": 1,\n "pixel_size_um": 1,\n "source": {}\n}\n'


@pytest.fixture
def study(tmp_path):
    import pandas as pd

    made = Study(tmp_path / "study")
    made.create(Protocol(), pd.DataFrame([["a.tif", "P1", "P1", "", ""]], columns=list(COLUMNS)))
    return made


def write(study, image, text, *, waiting=False):
    folder = study.folder_of(image, measured=waiting)
    folder.mkdir()
    (folder / SCORE).write_text(text, encoding="utf-8")
    (folder / MEASURED).write_bytes(b"")
    return folder


@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_entries_are_those_of_the_whole_file(tmp_path, ensure_ascii):
    path = tmp_path / SCORE
    path.write_text(json.dumps(HOSTILE, indent=1, sort_keys=True, ensure_ascii=ensure_ascii) + "\n", encoding="utf-8")
    assert read_entries(str(path)) == {name: HOSTILE[name] for name in ENTRIES}


@pytest.mark.parametrize("indent", [None, 0, 2])
def test_a_file_in_another_form_is_read_whole(tmp_path, indent):
    path = tmp_path / SCORE
    path.write_text(json.dumps(HOSTILE, indent=indent), encoding="utf-8")
    assert read_entries(str(path)) == HOSTILE


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", '{\n "grading": nonsense,\n "measuring": 1,\n "pixel_size_um": 1,\n "source": {}\n}\n', "\xff"],
)
def test_what_cannot_be_read_is_nothing(tmp_path, text):
    path = tmp_path / SCORE
    path.write_text(text, encoding="latin-1")
    assert read_entries(str(path)) is None
    assert read_entries(str(tmp_path / "absent")) is None
    assert read_entries(str(tmp_path)) is None


def test_a_cut_file_is_nothing(tmp_path):
    whole = json.dumps(HOSTILE, indent=1, sort_keys=True) + "\n"
    for length in range(len(whole) - 1):
        (tmp_path / SCORE).write_text(whole[:length], encoding="utf-8")
        assert read_entries(str(tmp_path / SCORE)) is None


def test_what_waits_goes_before_what_is_finished(study):
    text = json.dumps(HOSTILE, indent=1, sort_keys=True) + "\n"
    write(study, "a.tif", text)
    measured = write(study, "a.tif", json.dumps({"measuring": "new", "source": {}}), waiting=True)
    found = Origins(study).of("a.tif")
    assert (found.waiting, found.said["measuring"]) == (True, "new")
    (measured / MEASURED).unlink()
    found = Origins(study).of("a.tif")
    assert (found.waiting, found.said["grading"]) == (False, HOSTILE["grading"])
    assert Origins(study).of("b.tif") is None
    study.finish()
    assert Origins(study).of("a.tif") == found
