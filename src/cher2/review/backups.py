"""Backup copies of a log's file, in ``STUDY/backups``: one before a session that will write, one after it.

Each is made by SQLite itself while others may read and write, looked through (SQLite's own check, and the chain of
hashes), and appears under its name only then. Nothing is copied where nothing has changed since the newest copy.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import time
import uuid
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from cher2.errors import ReviewError
from cher2.review.chain import Head, broken_entries
from cher2.review.decisions import utc_now
from cher2.review.sqlite_faults import RESTORE, DamagedLogError, explained, unreachable
from cher2.review.sqlite_file import connect, write_folder_through

BACKUPS = "backups"
"""The folder beside the log's file."""

NEWEST, DAYS = 10, 30
"""How many copies are kept: the newest ones, and of as many earlier days the last one of each."""

_NAME = re.compile(r"(?P<number>\d{5,})-(?P<day>\d{4}-\d\d-\d\d)-entry-(?P<entry>\d+)-(?P<hash>[0-9a-f]{12})\.sqlite")
_OLD_S = 86_400.0


@dataclass(frozen=True)
class Backup:
    """A backup copy.

    Parameters
    ----------
    path : Path
    number : int
        Its place among the copies; a clock may be set back, a number is not.
    day : str
        The day on which it was made (UTC).
    entry : int
        The newest entry in it.
    hash : str
        The beginning of that entry's hash.
    """

    path: Path
    number: int
    day: str
    entry: int
    hash: str

    def __str__(self) -> str:
        return f"{BACKUPS}/{self.path.name}"


def backups_of(path: Path) -> list[Backup]:
    """Return the backup copies of a log's file, the oldest first; none where there is no folder of them.

    Raises
    ------
    ReviewError
        The folder cannot be read.
    """
    start, found = f"{path.stem}-", []
    try:
        for copy in (path.parent / BACKUPS).iterdir():
            named = _NAME.fullmatch(copy.name.removeprefix(start)) if copy.name.startswith(start) else None
            if named:
                found.append(
                    Backup(copy, int(named["number"]), named["day"], int(named["entry"]), named["hash"]),
                )
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ReviewError(
            f"the backup copies of the decisions cannot be read ({error.strerror})",
            where=str(path.parent / BACKUPS),
            remedy="Allow reading the folder",
        ) from error
    return sorted(found, key=lambda backup: (backup.number, backup.entry))


def back_up(path: Path, study: str, timeout_s: float) -> Backup | None:
    """Copy a log's file, if it holds decisions and has changed since the newest copy.

    Parameters
    ----------
    path : Path
        The log's file; others may be using it.
    study : str
        The study's identity.
    timeout_s : float
        Seconds to wait for another program that holds the file.

    Returns
    -------
    Backup or None
        The new copy.

    Raises
    ------
    DamagedLogError
        The file is damaged or was altered: the earlier copies are as they were.
    ReviewError
        The copy could not be made.
    """
    copies = backups_of(path)
    folder = path.parent / BACKUPS
    partial = folder / f".{path.stem}-{uuid.uuid4().hex}.partial"
    try:
        with closing(connect(path, timeout_s)) as source:
            if is_kept(copies, _head_of(source, study)):
                return None
            folder.mkdir(exist_ok=True)
            head = _copy(source, partial, study, str(path))
        number = copies[-1].number + 1 if copies else 1
        backup = _named(path, number, head)
        partial.replace(backup.path)
        write_folder_through(folder)
        prune([*copies, backup], folder, path.stem)
    except sqlite3.Error as error:
        raise _not_made(explained(error, path)) from error
    except OSError as error:
        raise _not_made(unreachable(error, folder)) from error
    finally:
        for left in (partial, partial.with_name(f"{partial.name}-journal")):
            if left.exists():
                left.unlink()
    return backup


def is_kept(copies: Sequence[Backup], head: Head) -> bool:
    """Say whether a log that ends with an entry is in a copy already, or empty."""
    newest = copies[-1] if copies else None
    return head.entry == 0 or (newest is not None and (newest.entry, newest.hash) == (head.entry, head.hash[:12]))


def check_whole(connection: sqlite3.Connection, study: str, where: str) -> Head:
    """Look a log's file through, all of it.

    Returns
    -------
    Head
        Its newest entry.

    Raises
    ------
    DamagedLogError
        SQLite finds it damaged, or its chain does not hold.
    sqlite3.Error
        It cannot be read at all, or holds no log.
    """
    faults = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(1)")]
    if faults != ["ok"]:
        why = " ".join(faults[0].replace("*** in database main ***", "").split())
        raise DamagedLogError(f"the decisions' file is damaged ({why})", where=where, remedy=RESTORE)
    cursor = connection.execute("SELECT * FROM decisions WHERE study = ? ORDER BY entry", (study,))
    names = [column[0] for column in cursor.description]
    rows = [dict(zip(names, row, strict=True)) for row in cursor]
    broken = broken_entries(rows)
    if broken:
        raise DamagedLogError(
            f"the decisions were altered outside of cher2: entry {broken[0].entry}: {broken[0].what}",
            where=where,
            remedy=f"See all with 'cher2 verify STUDY'. {RESTORE}",
        )
    return Head(rows[-1]["entry"], rows[-1]["hash"]) if rows else Head()


def prune(copies: Sequence[Backup], folder: Path, stem: str) -> None:
    """Remove the copies that are too many, and what killed programs left of theirs."""
    last_of_day = {backup.day: backup for backup in copies}
    kept = {backup.path for backup in (*copies[-NEWEST:], *list(last_of_day.values())[-DAYS:])}
    for backup in copies:
        if backup.path not in kept:
            backup.path.unlink(missing_ok=True)
    for left in folder.glob(f".{stem}-*.partial*"):
        if abs(time.time() - left.stat().st_mtime) > _OLD_S:
            left.unlink(missing_ok=True)


def keep_damaged(path: Path) -> Path:
    """Copy a log's file as it is, with all that SQLite keeps beside it, into a folder of its own; it is never removed.

    Returns
    -------
    Path
        The folder.
    """
    stamp = re.sub(r"\D", "", utc_now()[:19])
    folder = path.parent / BACKUPS / f"damaged-{stamp}-{uuid.uuid4().hex[:6]}"
    folder.mkdir(parents=True)
    for suffix in ("", "-wal", "-shm", "-journal"):
        file = path.with_name(f"{path.name}{suffix}")
        if file.exists():
            shutil.copy2(file, folder / file.name)
    write_folder_through(folder)
    return folder


def _copy(source: sqlite3.Connection, partial: Path, study: str, where: str) -> Head:
    # Without a transaction of its own, Python's copying would wait for ever for another program.
    source.execute("BEGIN")
    source.execute("SELECT count(*) FROM sqlite_master").fetchone()
    with closing(connect(partial, 0.0)) as target:
        source.backup(target)
        # One file, to be read from anywhere; whoever puts it back by hand has a log with a rollback journal.
        target.execute("PRAGMA journal_mode=DELETE")
        head = check_whole(target, study, where)
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    return head


def _head_of(connection: sqlite3.Connection, study: str) -> Head:
    newest = "SELECT entry, hash FROM decisions WHERE study = ? ORDER BY entry DESC LIMIT 1"
    row = connection.execute(newest, (study,)).fetchone()
    return Head() if row is None else Head(*row)


def _named(path: Path, number: int, head: Head) -> Backup:
    day = utc_now()[:10]
    name = f"{path.stem}-{number:05d}-{day}-entry-{head.entry}-{head.hash[:12]}.sqlite"
    return Backup(path.parent / BACKUPS / name, number, day, head.entry, head.hash[:12])


def _not_made(error: ReviewError) -> ReviewError:
    if isinstance(error, DamagedLogError):
        return error
    return ReviewError(
        f"no backup copy of the decisions could be made: {error.what}", where=error.where, remedy=error.remedy
    )
