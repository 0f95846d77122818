"""A damaged file is put back: all that was stored comes back, or how much is missing at most is told."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3

import numpy as np
import pytest
from appending import decision

from cher2.errors import ReviewError
from cher2.review.backups import BACKUPS
from cher2.review.restoring import restore
from cher2.review.salvage import salvage
from cher2.review.sqlite_log import SqliteLog

BEFORE, AFTER = 120, 40


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A log of which the first entries are in a backup copy; with notes that do not fit into one page."""
    path = tmp_path_factory.mktemp("made") / "reviews.sqlite"
    with contextlib.closing(SqliteLog(path, "study")) as log:
        log.append([decision(number) for number in range(BEFORE)])
        log.back_up()
        log.append([decision(number, y_px=float(number), reason="ü" * 1999) for number in range(BEFORE, BEFORE + 5)])
        log.append([decision(number) for number in range(BEFORE + 5, BEFORE + AFTER)])
        entries = log.entries()
    return path, path.read_bytes(), entries


@pytest.fixture
def path(made, tmp_path):
    shutil.copytree(made[0].parent, tmp_path / "study")
    return tmp_path / "study" / "reviews.sqlite"


def noise(count):
    return np.random.default_rng(7).bytes(count)


DAMAGES = {
    "header": lambda whole: noise(100) + whole[100:],
    "first page": lambda whole: noise(4096) + whole[4096:],
    "first half": lambda whole: noise(len(whole) // 2 // 4096 * 4096) + whole[len(whole) // 2 // 4096 * 4096 :],
    "cut off": lambda whole: whole[: len(whole) * 3 // 4 + 11],
    "empty": lambda whole: b"",
    "text": lambda whole: b"no database at all\n" * 300,
    "altered": lambda whole: whole.replace(b"Eva", b"Eve", 1),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_told_and_put_back(made, path, damage):
    _, whole, entries = made
    path.write_bytes(DAMAGES[damage](whole))
    with pytest.raises(ReviewError) as caught, contextlib.closing(SqliteLog(path, "study", timeout_s=0.1)) as log:
        log.entries()
    assert str(path) in str(caught.value)
    assert caught.value.remedy
    damaged = path.read_bytes()
    restored = restore(path, "study")
    with contextlib.closing(SqliteLog(path, "study")) as log:
        found = log.entries()
        assert log.broken_entries() == []
        assert log.note == ""
    # What is there is what was stored, from the first on; and never less than the backup copy.
    assert found == entries[: len(found)]
    assert len(found) >= BEFORE
    if damage in ("header", "first page", "first half", "altered"):
        assert len(found) == len(entries)
    lost = len(entries) - len(found)
    assert restored.lost is None or lost <= restored.lost
    assert (restored.from_backup, restored.from_files) == (BEFORE, len(found) - BEFORE)
    assert "\n" not in str(restored)
    (kept,) = (path.parent / BACKUPS).glob("damaged-*/reviews.sqlite")
    assert kept.read_bytes() == damaged
    assert sorted(file.name for file in path.parent.iterdir()) == [BACKUPS, "reviews.sqlite"]


def test_a_removed_file_is_not_made_anew_but_put_back(made, path):
    path.unlink()
    with pytest.raises(ReviewError, match=rf"was removed, and its backup copies hold {BEFORE} decisions"):
        SqliteLog(path, "study")
    assert not path.exists()
    assert restore(path, "study").lost is None
    with contextlib.closing(SqliteLog(path, "study")) as log:
        assert log.entries() == made[2][:BEFORE]


def test_another_programs_database_is_left_alone(path):
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE bookmarks_of_a_browser (url)")
    with pytest.raises(ReviewError, match="another program's database"):
        SqliteLog(path, "study")
    shutil.rmtree(path.parent / BACKUPS)
    with pytest.raises(ReviewError, match="another program's database"):
        SqliteLog(path, "study")
    with contextlib.closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("bookmarks_of_a_browser",)]
    with pytest.raises(ReviewError, match="nothing can be restored"):
        restore(path, "study")


def test_an_older_or_an_empty_log_in_its_place_is_noticed(made, path):
    path.unlink()
    with contextlib.closing(SqliteLog(path.with_name("new.sqlite"), "study")) as new:
        new.append([decision(900)])
    path.with_name("new.sqlite").rename(path)
    with pytest.raises(ReviewError, match=f"lacks entry {BEFORE} of backups/reviews-00001"):
        SqliteLog(path, "study")
    restored = restore(path, "study")
    assert (restored.from_backup, restored.from_files, restored.moved) == (BEFORE, 1, 1)
    with contextlib.closing(SqliteLog(path, "study")) as log:
        assert [entry.object_id for entry in log.entries()] == [*range(BEFORE), 900]


def test_a_whole_file_is_not_restored(path):
    before = path.read_bytes()
    with pytest.raises(ReviewError, match="nothing to restore"):
        restore(path, "study")
    assert path.read_bytes() == before


def test_what_an_earlier_attempt_kept_is_found_again(made, path):
    """Killed after the damaged file was kept and before the new one took its place."""
    _, whole, entries = made
    kept = path.parent / BACKUPS / "damaged-20260101000000-abcdef"
    kept.mkdir()
    (kept / "reviews.sqlite").write_bytes(noise(100) + whole[100:])
    path.unlink()
    assert restore(path, "study").from_files == AFTER
    with contextlib.closing(SqliteLog(path, "study")) as log:
        assert log.entries() == entries


def test_rows_are_read_from_the_write_ahead_log_too(tmp_path):
    path = tmp_path / "reviews.sqlite"
    with contextlib.closing(SqliteLog(path, "study")) as log:
        stored = log.append([decision(number, y_px=float(number)) for number in range(60)])
        rows = {row["decision_id"]: row for row in log.rows()}
        wal = path.with_name("reviews.sqlite-wal").read_bytes()
    found = salvage(b"", wal, "study")
    assert found.rows == rows
    assert found.last_entry == len(stored)


@pytest.mark.parametrize("content", [b"", b"\0" * 9000, b"SQLite format 3\0" + b"\xff" * 30_000])
def test_what_holds_no_rows_gives_none(content):
    assert salvage(content, content, "study").rows == {}


def test_noise_gives_no_row():
    generator = np.random.default_rng(3)
    for _ in range(20):
        page = bytearray(generator.bytes(4096))
        page[0], page[3:5] = 13, (40).to_bytes(2, "big")
        assert salvage(bytes(4096) + bytes(page), b"", "study").rows == {}
