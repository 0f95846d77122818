"""What befalls a file: it fills up, is locked, damaged, removed, read-only or on a network's disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path

import psutil
import pytest
from appending import CONTEXT, append_under_limit, append_without_handles, asked, decision, hold, start, try_as
from sqlalchemy import event

from cher2.errors import ReviewError
from cher2.review import sqlite_file
from cher2.review.network_disk import network_type
from cher2.review.sqlite_log import SqliteLog

NOBODY = 65534


def pragma(path, name):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]


@pytest.fixture
def log(tmp_path):
    with contextlib.closing(SqliteLog(tmp_path / "reviews.sqlite", "study", timeout_s=0.2)) as opened:
        yield opened


@pytest.fixture
def public_folder():
    """Return a folder that any user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="cher2-public-", dir="/tmp"))
    folder.chmod(0o777)
    yield folder
    folder.chmod(0o777)
    shutil.rmtree(folder)


def refused_then_stored(log, mend, says):
    """Append what is refused while a fault lasts, and stored by the same call on the same log afterwards."""
    new = [decision(10), decision(11)]
    with pytest.raises(ReviewError, match=says) as caught:
        log.append(new)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy
    assert str(log.path) in str(caught.value)
    mend()
    stored = log.append(new)
    assert [entry.object_id for entry in log.entries()][-2:] == [10, 11]
    assert stored == log.entries()[-2:]
    assert log.broken_entries() == []


def test_it_writes_ahead_and_every_commit_is_on_the_disk(log):
    assert pragma(log.path, "journal_mode") == "wal"
    with log._engine.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
    assert log.note == ""
    log.append([decision(1)])
    log.close()
    assert [path.name for path in log.path.parent.iterdir()] == ["reviews.sqlite"]


def test_a_full_disk(log, request):
    """A small real one where the system lets us mount it; else the greatest size that SQLite is told."""
    folder = log.path.parent / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", folder]
    if os.getuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0:
        request.addfinalizer(lambda: subprocess.run(["umount", folder], check=True))
        small = SqliteLog(folder / "reviews.sqlite", "study")
        request.addfinalizer(small.close)
        filler = folder / "filler"
        filler.write_bytes(b"\0" * 4096)
        with contextlib.suppress(OSError), filler.open("ab") as file:
            while True:
                file.write(b"\0" * 4096)
                file.flush()
        refused_then_stored(small, filler.unlink, "the disk is full")
        return
    limits = iter([True, False])

    @event.listens_for(log._engine, "begin")
    def limit(connection):
        pages = 12 if next(limits, False) else 2**30
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    many = [decision(number) for number in range(2000)]
    with pytest.raises(ReviewError, match="the disk is full"):
        log.append(many)
    assert log.entries() == []
    assert len(log.append(many)) == 2000


def test_a_limit_on_the_size_of_files(tmp_path):
    stored, said, again = asked(append_under_limit, str(tmp_path / "reviews.sqlite"), "study", 300_000)
    assert stored > 10
    assert again == stored + 1
    assert "reviews.sqlite: the disk" in said
    with contextlib.closing(SqliteLog(tmp_path / "reviews.sqlite", "study")) as log:
        assert log.broken_entries() == []


def test_no_file_can_be_opened_any_more(tmp_path):
    said, there = asked(append_without_handles, str(tmp_path / "reviews.sqlite"), "study")
    assert "lets this program open no more files. Close other programs, or raise the limit (ulimit -n)" in said
    assert there == [1, 3]


def test_a_file_that_another_program_holds(log):
    log.append([decision(1)])
    held, done = CONTEXT.Event(), CONTEXT.Event()
    holder = start(hold, str(log.path), held, done)
    assert held.wait(30)
    # Reading goes on.
    assert len(log.entries()) == 1

    def let_go():
        done.set()
        holder.join(30)

    refused_then_stored(log, let_go, "another program holds")


@pytest.mark.parametrize("part", ["folder", "file"])
def test_a_read_only_study(public_folder, part):
    """Root may write everywhere, so another user tries."""
    user = NOBODY if os.getuid() == 0 else None
    path = public_folder / "reviews.sqlite"
    if part == "file":
        SqliteLog(path, "study").close()
        path.chmod(0o444)
    else:
        public_folder.chmod(0o555)
    said = asked(try_as, user, str(path), "study")
    assert said.startswith(f"{path}: the decisions' file or its folder cannot be written to. Allow writing")
    public_folder.chmod(0o777)
    for left in public_folder.iterdir():
        left.chmod(0o666)
    assert asked(try_as, user, str(path), "study") == "stored"


def test_a_reviewed_study_in_a_read_only_folder(public_folder):
    user = NOBODY if os.getuid() == 0 else None
    path = public_folder / "reviews.sqlite"
    SqliteLog(path, "study").close()
    public_folder.chmod(0o555)
    assert "cannot be written to" in asked(try_as, user, str(path), "study")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"no database at all" * 300, "is no SQLite database, or is damaged"),
        (None, "is damaged"),
    ],
)
def test_a_damaged_file(log, content, says):
    log.append([decision(number) for number in range(300)])
    log.close()
    whole = log.path.read_bytes()
    log.path.write_bytes(content or whole[:4096] + b"\x55" * (len(whole) - 4096))
    with pytest.raises(ReviewError, match=says):
        SqliteLog(log.path, "study").entries()
    refused_then_stored(log, lambda: log.path.write_bytes(whole), says)
    assert len(log.entries()) == 302


def test_a_file_that_was_moved_away(log):
    log.append([decision(1)])
    aside = log.path.with_name("aside")
    log.path.rename(aside)
    refused_then_stored(log, lambda: aside.rename(log.path), "removed, renamed or replaced")
    assert len(log.entries()) == 3


def test_a_file_that_was_deleted_is_not_made_anew_in_silence(log):
    log.append([decision(1)])
    log.path.unlink()
    with pytest.raises(ReviewError, match="removed, renamed or replaced"):
        log.entries()
    assert not log.path.exists()


def test_a_file_that_disappears_in_the_midst_of_an_append_is_not_called_stored(log):
    log.append([decision(1)])

    @event.listens_for(log._engine, "commit", once=True)
    def remove(connection):
        log.path.unlink()

    with pytest.raises(ReviewError, match="removed, renamed or replaced"):
        log.append([decision(2)])


def test_an_older_copy_in_the_files_place_is_noticed(log):
    log.append([decision(1)])
    log.close()
    older = log.path.with_name("older")
    shutil.copyfile(log.path, older)
    log.append([decision(2)])
    newest = log.path.with_name("newest")
    log.close()
    shutil.copyfile(log.path, newest)
    older.replace(log.path)
    refused_then_stored(log, lambda: newest.replace(log.path), "entry 2 was stored and is gone")


def test_a_write_ahead_log_without_its_file_is_not_overwritten(tmp_path):
    (tmp_path / "reviews.sqlite-wal").write_bytes(b"decisions")
    with pytest.raises(ReviewError, match="removed, renamed or replaced"):
        SqliteLog(tmp_path / "reviews.sqlite", "study")
    assert [path.name for path in tmp_path.iterdir()] == ["reviews.sqlite-wal"]


def test_a_link_to_the_file(log):
    link = log.path.with_name("link.sqlite")
    link.symlink_to(log.path)
    with contextlib.closing(SqliteLog(link, "study")) as linked:
        linked.append([decision(1)])
        assert len(log.entries()) == 1


def test_a_write_ahead_log_that_was_deleted_is_noticed(log):
    log.append([decision(1)])
    log.path.with_name("reviews.sqlite-wal").unlink()
    with pytest.raises(ReviewError, match="removed, renamed or replaced"):
        log.append([decision(2)])


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ReviewError, match="cannot be opened or made"):
        SqliteLog(tmp_path / "no" / "reviews.sqlite", "study")


def without_wal(monkeypatch):
    """Open files as on a disk without shared memory: SQLite's own VFS that locks by a file has none."""

    def connect(path, timeout_s):
        name = f"file:{path}?vfs=unix-dotfile"
        return sqlite3.connect(name, uri=True, timeout=timeout_s, isolation_level=None, check_same_thread=False)

    monkeypatch.setattr(sqlite_file, "connect", connect)


def as_network(monkeypatch, folder):
    """Let the system say that a folder is on NFS."""
    disks = psutil.disk_partitions(all=True)
    disk = disks[0]._replace(mountpoint=str(folder), fstype="nfs4", opts="rw")
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: [*disks, disk])


def without_links(monkeypatch, folder):
    def refuse(self, target):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)


@pytest.mark.parametrize("kind", ["without_wal", "network", "without_links"])
def test_a_disk_on_which_writing_ahead_does_not_work(tmp_path, monkeypatch, kind):
    if kind == "without_wal":
        without_wal(monkeypatch)
    else:
        {"network": as_network, "without_links": without_links}[kind](monkeypatch, tmp_path)
    with contextlib.closing(SqliteLog(tmp_path / "reviews.sqlite", "study")) as log:
        assert "rollback journal" in log.note
        log.append([decision(1)])
        with log._engine.begin() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "delete"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() >= 2
    assert [path.name for path in tmp_path.iterdir()] == ["reviews.sqlite"]


def test_a_study_that_moved_to_a_network_stops_writing_ahead(log, monkeypatch):
    log.append([decision(1)])
    log.close()
    as_network(monkeypatch, log.path.parent)
    with contextlib.closing(SqliteLog(log.path, "study")) as moved:
        assert "rollback journal" in moved.note
        assert len(moved.entries()) == 1
    assert pragma(log.path, "journal_mode") == "delete"


def test_a_disk_of_this_computer_is_no_network(tmp_path):
    assert not network_type(tmp_path / "reviews.sqlite")


def test_a_backup_made_during_a_review_is_whole(log):
    """As docs/review_database.md says; it keeps the mode, so that it can take the file's place."""
    log.append([decision(number) for number in range(20)])
    copy = log.path.with_name("reviews_backup.sqlite")
    with contextlib.closing(sqlite3.connect(log.path)) as source, contextlib.closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    with contextlib.closing(SqliteLog(copy, "study")) as restored:
        assert restored.entries() == log.entries()
        assert restored.head() == log.head()
        assert restored.note == ""
