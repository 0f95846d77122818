"""A reviewed study where nothing may be written: it opens, and says that nothing can be stored."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest
from appending import asked, decision

from cher2.errors import ReviewError
from cher2.review.log import Bookmark
from cher2.review.sqlite_log import SqliteLog
from cher2.review.sqlite_read_only import ReadOnlyLog, may_only_be_read

NOBODY = 65534


def read_as(user, path, answer) -> None:
    """Read as another user and send what was found: root may write everywhere."""
    if user is not None:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    log = ReadOnlyLog(path, "study")
    try:
        log.append([decision(99)])
        said = ""
    except ReviewError as error:
        said = str(error)
    log.set_bookmark("Eva", Bookmark("patient", "a", 1))
    names = sorted(file.name for file in Path(path).parent.iterdir())
    answer.send((may_only_be_read(Path(path)), len(log.entries()), log.bookmark("Eva"), said, log.note, names))


@pytest.fixture
def folder():
    """A folder that any user can reach, and write to only where a test lets him."""
    made = Path(tempfile.mkdtemp(prefix="cher2-public-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    made.chmod(0o755)
    shutil.rmtree(made)


@pytest.mark.parametrize("state", ["closed", "open", "killed", "rollback journal", "never reviewed"])
def test_decisions_are_read_and_none_is_stored(folder, state):
    path, there = folder / "reviews.sqlite", 20
    with contextlib.ExitStack() as stack:
        if state == "never reviewed":
            there = 0
        else:
            log = stack.enter_context(contextlib.closing(SqliteLog(path, "study")))
            log.append([decision(number) for number in range(there)])
        if state == "killed":
            kept = {name: (folder / name).read_bytes() for name in ("reviews.sqlite", "reviews.sqlite-wal")}
            log.close()
            for name, content in kept.items():
                (folder / name).write_bytes(content)
        elif state in ("closed", "rollback journal"):
            log.close()
        if state == "rollback journal":
            with contextlib.closing(sqlite3.connect(path)) as plain:
                plain.execute("PRAGMA journal_mode=DELETE")
        for file in folder.iterdir():
            file.chmod(0o444)
        folder.chmod(0o555)
        before = sorted(file.name for file in folder.iterdir())
        user = NOBODY if os.getuid() == 0 else None
        only_read, count, bookmark, said, note, after = asked(read_as, user, str(path))
        folder.chmod(0o755)
    assert only_read
    assert (count, bookmark) == (there, None)
    assert "open for reading only" in said
    assert note.startswith("Read only")
    assert after == before


def test_a_folder_that_may_be_written_to_is_not_read_only(tmp_path):
    assert not may_only_be_read(tmp_path / "reviews.sqlite")


def test_what_is_gone_or_damaged_is_told(tmp_path):
    path = tmp_path / "reviews.sqlite"
    path.write_bytes(b"no database" * 500)
    with pytest.raises(ReviewError, match="is no SQLite database, or is damaged"):
        ReadOnlyLog(path, "study")
    path.unlink()
    path.with_name("reviews.sqlite-wal").write_bytes(b"decisions")
    with pytest.raises(ReviewError, match="removed, renamed or replaced"):
        ReadOnlyLog(path, "study")
