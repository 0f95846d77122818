"""What a decision may say."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from reading import a_decision

from cher2.errors import ReviewError
from cher2.review.decisions import (
    ACTIONS,
    COLUMNS,
    MOST_TEXT,
    READINGS,
    Decision,
    decisions_table,
    times_set_back,
    utc_now,
)
from cher2.review.schema import decision_of


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"action": "shrug"}, "action is 'shrug'"),
        ({"reading": "drunk"}, "reading is 'drunk'"),
        ({"kind": "ghost"}, "kind is 'ghost'"),
        ({"kind_before": ""}, "kind_before is ''"),
        ({"grade": 4}, "grade is 4.* none, 0, 1, 2, 3"),
        ({"grade": -1}, "grade is -1"),
        ({"grade_before": "2+"}, "grade_before is '2\\+'"),
        ({"reader": ""}, "name of its reader"),
        ({"reader": " \t"}, "name of its reader"),
        ({"reader": "E" * (MOST_TEXT + 1)}, "longer than 2000"),
        ({"reason": "e" * (MOST_TEXT + 1)}, "longer than 2000"),
        ({"reason": "a\x00b"}, "character"),
        ({"reason": "a\ud800b"}, "character"),
        ({"action": "undo"}, "undo names no earlier decision"),
        ({"action": "redo", "refers_to": ""}, "redo names no earlier decision"),
        ({"action": "grade", "refers_to": "abc"}, "grade names an earlier decision"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, says):
    with pytest.raises(ReviewError, match=says) as refused:
        a_decision(**({"action": "grade", "grade": 2} | fields))
    assert refused.value.remedy


def test_the_longest_text_and_every_word_of_the_field_are_taken():
    assert a_decision("note", reason="ß" * MOST_TEXT).reason == "ß" * MOST_TEXT
    for action in ACTIONS:
        a_decision(action, refers_to="abc" if action in ("undo", "redo") else "")
    for reading in READINGS:
        a_decision(reading=reading)


def test_each_has_an_identity_of_its_own_and_the_time_in_utc():
    first, second = a_decision(), a_decision()
    assert first.decision_id != second.decision_id
    assert first.entry == 0
    when = datetime.fromisoformat(first.decided_at)
    assert when.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - when) < timedelta(minutes=1)
    assert len(utc_now()) == len("2026-11-22T15:20:03.000000+00:00")


def test_a_table_of_decisions_gives_them_back():
    decisions = [a_decision("grade", 3, reason='says "so",\nand more'), a_decision("not_ctc"), a_decision("skip")]
    table = decisions_table(decisions)
    assert tuple(table.columns) == COLUMNS
    assert table["grade"].dtype == "Int8"
    assert table["grade"].isna().tolist() == [False, True, True]
    back = [
        Decision(**{name: None if pd.isna(value) else value for name, value in row.items()})
        for row in table.astype(object).to_dict("records")
    ]
    assert [asdict(decision) for decision in back] == [asdict(decision) for decision in decisions]


def test_no_decisions_are_an_empty_table_with_its_columns():
    table = decisions_table([])
    assert (tuple(table.columns), len(table), str(table["y_px"].dtype)) == (COLUMNS, 0, "float64")


def test_times_that_go_back_are_found_for_each_reader_and_computer():
    times = [("Eva", "a", "10"), ("Eva", "a", "09"), ("Ben", "a", "08"), ("Eva", "b", "07"), ("Eva", "a", "11")]
    made = [a_decision(reader=who, machine=where, decided_at=f"2026-11-22T{when}") for who, where, when in times]
    assert times_set_back(made) == [made[1]]
    assert times_set_back([]) == []


@pytest.mark.parametrize(
    "change", [{"image": b"a.tif"}, {"reader": 3}, {"entry": "1"}, {"y_px": "far"}, {"grade": 2.0}, {"reason": None}]
)
def test_a_stored_row_with_a_value_of_another_kind_was_altered(change):
    """Found by benchmarks/fuzz.py: a text stored as bytes ended in a TypeError when readers were sorted."""
    row = asdict(a_decision("grade", 2, entry=1))
    assert decision_of(row, "log").grade == 2
    with pytest.raises(ReviewError, match="is no decision: it was altered"):
        decision_of(row | change, "log")
