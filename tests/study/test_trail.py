"""The trail of a study is written by several at once, and altered in every way that somebody with the folder can."""

from __future__ import annotations

import json
import multiprocessing
import shutil

import pytest

from cher2.errors import StudyError
from cher2.study.trail import TRAIL, add_event, event_hash, read_trail, sha256_of


@pytest.fixture
def study(tmp_path):
    for number in range(4):
        assert add_event(tmp_path, "imported", "Eva", file=f"{number}.csv", entries=[1, 2]) == number + 2
    return tmp_path


def path_of(study, number):
    return study / TRAIL / f"{number:06d}.json"


def edit(study, number, **values):
    record = json.loads(path_of(study, number).read_text()) | values
    path_of(study, number).write_text(json.dumps(record))


def faults(study):
    return [(fault.number, fault.what) for fault in read_trail(study).faults]


def test_events_come_back_in_order_and_the_first_tells_what_outlines_were_there(tmp_path):
    edits = tmp_path / "edits" / "a"
    edits.mkdir(parents=True)
    (edits / "0001-abc.json").write_text("{}")
    add_event(tmp_path, "run", digest="d")
    begun, run = read_trail(tmp_path).events
    assert (begun.what, run.what, run.number) == ("begun", "run", 2)
    assert begun.fact("outlines") == {"edits/a/0001-abc.json": sha256_of(edits / "0001-abc.json")}
    assert run.previous_hash == begun.hash
    assert read_trail(tmp_path).head == (2, run.hash)
    record = json.loads(path_of(tmp_path, 2).read_text())
    assert event_hash(record) == record["hash"] == run.hash


def test_an_altered_removed_inserted_or_exchanged_event_is_named(study, tmp_path_factory):
    assert faults(study) == []

    def copy():
        other = tmp_path_factory.mktemp("copy") / "study"
        shutil.copytree(study, other)
        return other

    altered = copy()
    edit(altered, 3, who="Bob")
    assert faults(altered) == [(3, "it was altered after it was stored")]
    removed = copy()
    path_of(removed, 2).unlink()
    path_of(removed, 3).unlink()
    assert faults(removed) == [(4, "before it, 2 to 3 of the trail was removed")]
    broken = copy()
    path_of(broken, 3).write_text("[" * 100_000)
    assert faults(broken) == [(3, "it cannot be read as an event")]
    # What cannot be read does not end the trail: the next event goes on.
    path_of(broken, 5).write_text("")
    assert add_event(broken, "derived") == 6
    exchanged = copy()
    shutil.copy(path_of(study, 4), path_of(exchanged, 3))
    assert (3, "it is event 4 under another name") in faults(exchanged)
    anew = copy()
    edit(anew, 3, who="Bob", hash="")
    edit(anew, 3, hash=event_hash(json.loads(path_of(anew, 3).read_text())))
    assert faults(anew) == [(4, "it does not follow the event before it: one of the two was exchanged")]


def add_many(folder, number):
    for count in range(number):
        add_event(folder, "derived", decisions={"entry": count, "hash": "0" * 64})


def test_programs_at_once_get_a_number_each(tmp_path):
    (tmp_path / "study_id").write_text("s\n")
    context = multiprocessing.get_context("fork")
    programs = [context.Process(target=add_many, args=(tmp_path, 10)) for _ in range(3)]
    for program in programs:
        program.start()
    for program in programs:
        program.join()
        assert program.exitcode == 0
    trail = read_trail(tmp_path)
    assert trail.faults == ()
    assert [event.number for event in trail.events] == list(range(1, 32))


def test_a_folder_that_is_a_file_is_an_error_in_words(tmp_path):
    (tmp_path / TRAIL).write_text("")
    with pytest.raises(StudyError, match="trail cannot be written"):
        add_event(tmp_path, "derived")
