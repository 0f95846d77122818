"""The log in both databases: nothing lost, nothing doubled, nothing changed unseen."""

from __future__ import annotations

import random
import uuid
from dataclasses import replace

import numpy as np
import pytest
from appending import CONTEXT, append_many, decision, kill_at_random, start
from sqlalchemy import delete, text, update

from cher2.errors import ReviewError
from cher2.review.chain import Head
from cher2.review.log import Bookmark, DecisionLog
from cher2.review.schema import decisions, schema


def told(path) -> list[str]:
    """Return the identities that a program wrote down, each after append had returned."""
    return [line for line in path.read_text().split("\n")[:-1] if line] if path.exists() else []


@pytest.fixture
def own_place(place, postgres):
    """A database that no other test uses."""
    if place.name.startswith("postgresql"):
        name = f"own_{place.study}"
        postgres.execute(f"CREATE DATABASE {name}")
        place.name = postgres.url(name)
    return place


def test_what_is_stored_comes_back(place):
    log = place.open()
    assert isinstance(log, DecisionLog)
    assert log.entries() == []
    assert log.head() == Head()
    full = decision(
        2**40, "Zoë", study=place.study, reason="dim;\n\t'\"—猫🧬", image="P 1/ü.tif", protocol="a", score="b",
        y_px=0.1 + 0.2, x_px=1e-300, radius_px=1e300, grade_before=0, reading="blind",
    )  # fmt: skip
    undone = decision(7, action="undo", refers_to=full.decision_id, grade=None, study=place.study)
    assert log.append([full, undone]) == [replace(full, entry=1), replace(undone, entry=2)]
    assert place.open().entries() == [replace(full, entry=1), replace(undone, entry=2)]
    assert log.append([]) == []


def test_numbers_of_numpy_are_stored_as_numbers(place):
    """sqlite3 stores a NumPy integer as bytes, and drops the sign of -0.0."""
    log = place.open()
    given = decision(np.int64(3), y_px=np.float32(1.5), x_px=-0.0, grade=np.int8(1), study=place.study)
    assert log.append([given])[0] == place.open().entries()[0]
    assert log.entries()[0].object_id == 3
    assert log.entries()[0].grade == 1
    assert log.broken_entries() == []


def test_a_repeated_append_stores_once(place):
    log, other = place.open(), place.open()
    first, second = decision(1, study=place.study), decision(2, study=place.study)
    (stored,) = log.append([first])
    assert other.append([first, second, second]) == [stored, replace(second, entry=2), replace(second, entry=2)]
    # As it came back, with its entry, it is the same decision.
    assert log.append([stored]) == [stored]
    assert len(log.entries()) == 2


def test_one_identity_with_two_meanings_stores_nothing(place):
    log = place.open()
    first = decision(1, study=place.study)
    log.append([first])
    with pytest.raises(ReviewError, match="says something else"):
        log.append([decision(2, study=place.study), replace(first, grade=3)])
    assert len(log.entries()) == 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"study": "another"}, "another study"),
        ({"y_px": float("nan")}, "not finite"),
        ({"radius_px": float("inf")}, "not finite"),
        ({"object_id": -1}, "negative"),
        ({"object_id": 2**63}, "too great"),
        ({"y_px": "left"}, "a number is none"),
        ({"reason": "a\0b"}, "cannot be stored"),
        ({"image": "caf\udce9.tif"}, "image holds a character that cannot be stored"),
    ],
)
def test_what_no_database_keeps_is_refused_whole(place, fields, says):
    log = place.open()
    with pytest.raises(ReviewError, match=says):
        log.append([decision(1, study=place.study), decision(**({"study": place.study} | fields))])
    assert log.entries() == []


def test_two_logs_see_each_other(place):
    one, two = place.open(), place.open()
    one.append([decision(1, "Eva", study=place.study)])
    assert [found.reader for found in two.entries()] == ["Eva"]
    two.append([decision(2, "Ada", study=place.study), decision(3, "Ada", study=place.study)])
    assert [(found.entry, found.reader) for found in one.entries(after=1)] == [(2, "Ada"), (3, "Ada")]
    assert one.entries(after=3) == []


def test_studies_in_one_database_are_apart(place):
    log = place.open()
    log.append([decision(1, study=place.study)])
    place.study = uuid.uuid4().hex
    other = place.open()
    assert other.entries() == []
    assert other.append([decision(1, study=place.study)])[0].entry == 1
    assert other.broken_entries() == log.broken_entries() == []


def test_a_bookmark_is_the_last_one_set(place):
    log = place.open()
    assert log.bookmark("Eva") is None
    log.set_bookmark("Eva", Bookmark("unsure first", "P01/a.tif", 3))
    log.set_bookmark("Ada", Bookmark("by patient", "P02/b.tif", 1))
    log.set_bookmark("Eva", Bookmark("unsure first", "P01/c.tif", np.int64(9)))
    assert place.open().bookmark("Eva") == Bookmark("unsure first", "P01/c.tif", 9)
    assert place.open().bookmark("Ada") == Bookmark("by patient", "P02/b.tif", 1)


def test_four_programs_at_once_lose_and_double_nothing(own_place, tmp_path):
    """They make the tables at the same moment too."""
    place = own_place
    barrier = CONTEXT.Barrier(4)
    files = [tmp_path / f"{number}.txt" for number in range(4)]
    programs = [
        start(append_many, place.name, place.study, f"reader {number}", 100, file, barrier)
        for number, file in enumerate(files)
    ]
    for program in programs:
        program.join(60)
        assert program.exitcode == 0
    log = place.open()
    found = log.entries()
    assert [entry.entry for entry in found] == list(range(1, 401))
    assert {entry.decision_id for entry in found} == {identity for file in files for identity in told(file)}
    for number in range(4):
        assert [entry.object_id for entry in found if entry.reader == f"reader {number}"] == list(range(100))
    assert log.broken_entries() == []


def test_killed_programs_lose_no_decision_that_was_taken(place, tmp_path):
    chance = random.Random(5)
    printed = tmp_path / "told.txt"
    for _ in range(20):
        kill_at_random(place.name, place.study, printed, chance)
        stored = [entry.decision_id for entry in place.open().entries()]
        assert len(stored) == len(set(stored))
        assert set(told(printed)) <= set(stored)
    assert len(told(printed)) > 20
    assert place.open().broken_entries() == []


def filled(place, count=6):
    log = place.open()
    log.append([decision(number, study=place.study, reason=f"cell {number}") for number in range(count)])
    return log


def tamper(log, statement):
    with log._engine.begin() as connection:
        connection.execute(statement)


@pytest.mark.parametrize("column", [column.name for column in decisions.c if column.name not in ("study", "entry")])
def test_an_altered_field_shows(place, column):
    log = filled(place)
    mine = (decisions.c.study == place.study) & (decisions.c.entry == 3)
    new = 1 if column in ("grade", "object_id", "grade_before", "y_px", "x_px", "radius_px") else uuid.uuid4().hex
    tamper(log, update(decisions).where(mine).values({column: new}))
    assert log.broken_entries()[0].entry in ((3, 4) if column == "hash" else (3,))
    assert {broken.entry for broken in log.broken_entries()} <= {3, 4}


def test_a_removed_entry_shows(place):
    log = filled(place)
    tamper(log, delete(decisions).where(decisions.c.study == place.study, decisions.c.entry.in_([3, 4])))
    (broken,) = log.broken_entries()
    assert (broken.entry, broken.what) == (5, "the entries from 3 to 4 were removed")


def test_a_removed_entry_whose_followers_were_renumbered_shows(place):
    log = filled(place)
    mine = decisions.c.study == place.study
    tamper(log, delete(decisions).where(mine, decisions.c.entry == 3))
    for entry in (4, 5, 6):
        tamper(log, update(decisions).where(mine, decisions.c.entry == entry).values(entry=entry - 1))
    assert log.broken_entries()[0].entry == 3


def test_an_inserted_entry_shows(place):
    log = filled(place)
    mine = decisions.c.study == place.study
    for entry in (6, 5, 4):
        tamper(log, update(decisions).where(mine, decisions.c.entry == entry).values(entry=entry + 1))
    row = log.rows()[2] | {"entry": 4, "decision_id": uuid.uuid4().hex, "reason": "slipped in"}
    tamper(log, decisions.insert().values(row))
    assert log.broken_entries()[0].entry == 4


def test_a_log_cut_off_shows_against_an_earlier_head_only(place):
    log = filled(place)
    head = log.head()
    assert head.entry == 6
    assert log.broken_entries(head) == []
    tamper(log, delete(decisions).where(decisions.c.study == place.study, decisions.c.entry > 4))
    fresh = place.open()
    assert fresh.broken_entries() == []
    assert [(broken.entry, broken.what) for broken in fresh.broken_entries(head)] == [
        (5, "the entries from here to 6 were removed")
    ]


def test_an_open_log_sees_that_its_newest_entry_is_gone(place):
    log = filled(place)
    tamper(log, delete(decisions).where(decisions.c.study == place.study, decisions.c.entry > 4))
    new = decision(9, study=place.study)
    for use in (log.entries, lambda: log.append([new])):
        with pytest.raises(ReviewError, match="entry 6 was stored and is gone"):
            use()
    assert place.open().append([new])[0].entry == 5


def test_an_entry_that_is_no_decision_is_named(place):
    log = filled(place)
    mine = (decisions.c.study == place.study) & (decisions.c.entry == 3)
    tamper(log, update(decisions).where(mine).values(kind="martian"))
    with pytest.raises(ReviewError, match="entry 3: a decision's kind is 'martian'"):
        log.entries()


def test_thousands_of_decisions_of_one_import(place):
    log = place.open()
    many = [decision(number, study=place.study) for number in range(3000)]
    log.append(many[:3])
    stored = log.append(many)
    assert [entry.entry for entry in stored] == list(range(1, 3001))
    assert len(log.entries()) == 3000


def test_a_closed_log_may_be_closed_again(place):
    log = filled(place)
    log.close()
    log.close()


def test_tables_of_a_later_version_are_left_alone(own_place):
    log = filled(own_place)
    tamper(log, update(schema).values(version=2))
    with pytest.raises(ReviewError, match=r"version 2 of the tables.*Install the newest cher2"):
        own_place.open()


def test_somebody_elses_table_is_left_alone(own_place):
    log = own_place.open()
    for table in ("bookmarks", "review_schema", "decisions"):
        tamper(log, text(f"DROP TABLE {table}"))
    tamper(log, text("CREATE TABLE decisions (meal TEXT)"))
    with pytest.raises(ReviewError, match="other tables than cher2's"):
        own_place.open()
