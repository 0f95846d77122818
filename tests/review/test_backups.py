"""Backup copies: made when something changed, whole, a bounded number; never of a damaged file."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest
from appending import decision

from cher2.errors import ReviewError
from cher2.review.backups import BACKUPS, DAYS, NEWEST, Backup, backups_of, prune
from cher2.review.open_log import REVIEWS, open_to_write
from cher2.review.sqlite_faults import DamagedLogError
from cher2.review.sqlite_log import SqliteLog


@pytest.fixture
def log(tmp_path):
    with contextlib.closing(SqliteLog(tmp_path / REVIEWS, "study", timeout_s=0.2)) as opened:
        yield opened


def test_a_copy_is_made_when_something_changed_and_holds_all_of_it(log):
    log.back_up()
    assert backups_of(log.path) == []  # Nothing is decided yet.
    log.append([decision(number) for number in range(20)])
    log.back_up()
    log.back_up()
    (first,) = backups_of(log.path)
    assert (first.number, first.entry, first.hash) == (1, 20, log.head().hash[:12])
    log.append([decision(20)])
    log.back_up()
    assert [copy.entry for copy in backups_of(log.path)] == [20, 21]
    with contextlib.closing(sqlite3.connect(first.path)) as copy:
        assert copy.execute("SELECT count(*), max(entry) FROM decisions").fetchone() == (20, 20)
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    # One file each, and nothing half made beside them.
    assert len(list((log.path.parent / BACKUPS).iterdir())) == 2


def test_the_newest_copies_are_kept_and_the_last_of_each_day(tmp_path):
    copies = []
    for number in range(1, 101):
        # Three a day; in the middle the clock was set back by a month.
        day = f"2026-{'10' if 40 < number <= 60 else '11'}-{1 + number // 4:02d}"
        path = tmp_path / f"reviews-{number:05d}-{day}-entry-{number}-{'0' * 12}.sqlite"
        path.touch()
        copies.append(Backup(path, number, day, number, "0" * 12))
    prune(copies, tmp_path, "reviews")
    left = [copy for copy in copies if copy.path.exists()]
    assert left[-NEWEST:] == copies[-NEWEST:]
    assert len(left) <= NEWEST + DAYS
    assert {copy.day for copy in left} == {copy.day for copy in copies}


def test_a_damaged_file_is_told_and_its_earlier_copy_stays(log):
    log.append([decision(number) for number in range(50)])
    log.back_up()
    log.append([decision(50)])
    with log._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE decisions SET grade = 0 WHERE entry = 7")
    with pytest.raises(DamagedLogError, match="altered outside of cher2: entry 7"):
        log.back_up()
    assert [copy.entry for copy in backups_of(log.path)] == [50]


def test_a_held_file_is_waited_for_no_longer_than_told(log):
    """Python's own copying would wait for ever."""
    log.append([decision(1)])
    log.close()
    with contextlib.closing(sqlite3.connect(log.path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=DELETE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ReviewError, match="no backup copy of the decisions could be made: another program holds"):
            log.back_up()
    log.back_up()
    assert len(backups_of(log.path)) == 1


class StudyOf:
    """As much of a study as a log needs."""

    def __init__(self, path):
        self.path, self.identity = path, "study"


def test_a_session_goes_on_where_no_copy_can_be_made_and_says_so(log, monkeypatch):
    monkeypatch.delenv("CHER2_REVIEWS", raising=False)
    log.append([decision(1)])
    (log.path.parent / BACKUPS).write_text("a file in the folder's place")
    opened, note = open_to_write(StudyOf(log.path.parent))
    with contextlib.closing(opened):
        assert "no backup copy of the decisions could be made" in note
        assert opened.append([decision(2)])[0].entry == 2


def test_a_session_does_not_begin_on_a_damaged_file(log, monkeypatch):
    monkeypatch.delenv("CHER2_REVIEWS", raising=False)
    log.append([decision(number) for number in range(300)])
    log.close()
    whole = log.path.read_bytes()
    page = len(whole) // 8192 * 4096
    log.path.write_bytes(whole[:page] + b"\x55" * 4096 + whole[page + 4096 :])
    with pytest.raises(DamagedLogError, match=r"damaged.*cher2 review STUDY --restore"):
        open_to_write(StudyOf(log.path.parent))
