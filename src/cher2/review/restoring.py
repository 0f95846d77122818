"""Putting a log's file back: from its newest backup copy that is whole, and from what the damaged file still holds.

The damaged file is copied to ``STUDY/backups`` first and stays there. The new one is made beside it, looked through,
and only then takes its place; until that moment nothing has changed, and a second try finds all that the first found.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cher2.errors import ReviewError
from cher2.review.backups import BACKUPS, Backup, backups_of, check_whole, keep_damaged
from cher2.review.decisions import Decision
from cher2.review.network_disk import network_type
from cher2.review.salvage import Salvaged, salvage
from cher2.review.schema import decision_of
from cher2.review.sqlite_faults import explained, unreachable
from cher2.review.sqlite_file import connect, make_file, write_folder_through
from cher2.review.sqlite_log import TIMEOUT_S, SqliteLog

BESIDE = ("-wal", "-shm", "-journal")


@dataclass(frozen=True)
class Restored:
    """What came of putting a log back.

    Parameters
    ----------
    fault : str
        What was wrong with the file.
    backup : str
        The copy that it was restored from; empty where there was none.
    from_backup, from_files : int
        Entries out of that copy; further ones read from the damaged file, or from what was kept earlier.
    moved : int
        How many of the latter have another number now, because entries before them are lost.
    lost : int or None
        How many entries are missing at most; None where nobody can tell.
    kept : str
        The folder that keeps the damaged file; empty where there was no file.
    """

    fault: str
    backup: str
    from_backup: int
    from_files: int
    moved: int
    lost: int | None
    kept: str

    def __str__(self) -> str:
        total = self.from_backup + self.from_files
        source = f"{self.from_backup} from {self.backup}" if self.backup else "no backup copy is whole"
        words = [f"{self.fault}.", f"Restored: {total} decisions ({source}, {self.from_files} from damaged files)."]
        if self.moved:
            words.append(f"{self.moved} of them have a new entry number: entries before them could not be read.")
        if self.lost is None:
            words.append(f"Lost: what was stored after entry {total}, if anything; nobody can tell how many.")
        else:
            words.append(f"Lost: at most {self.lost} decisions." if self.lost else "Nothing is lost.")
        if self.kept:
            words.append(f"The damaged file is kept: {self.kept}")
        return " ".join(words)


def restore(path: Path, study: str) -> Restored:
    """Put a log's file back.

    Parameters
    ----------
    path : Path
        The file; damaged, missing, or an older copy than the newest backup. Nobody should have it open.
    study : str
        The study's identity.

    Returns
    -------
    Restored

    Raises
    ------
    ReviewError
        The file is whole, or nothing can be read from anywhere, or the disk refuses: all is as it was.
    """
    path = path.resolve()
    try:
        fault, copies = fault_of(path, study), backups_of(path)
        found, rows = _salvaged(path, study, copies)
        base = next((copy for copy in reversed(copies) if not fault_of(copy.path, study)), None)
        if not fault and rows.keys() <= found.rows.keys():
            raise ReviewError("the decisions' file is whole: there is nothing to restore", where=str(path))
        if not rows and base is None:
            what = f"nothing can be restored: {fault or 'no decision was ever stored'}, and there is no backup copy"
            remedy = "Look for a copy of the study elsewhere; only if nothing was ever decided, remove the file"
            raise ReviewError(what, where=str(path), remedy=remedy)
        return _rebuild(path, study, fault, base, found, rows)
    except sqlite3.Error as error:
        raise explained(error, path) from error
    except OSError as error:
        raise unreachable(error, path) from error


def fault_of(path: Path, study: str) -> str:
    """Say what is wrong with a log's file, in words; empty where it is whole."""
    if not path.exists():
        return "the decisions' file is missing"
    if path.stat().st_size == 0:
        return "the decisions' file is empty"
    try:
        # To open a file may change it, and what is damaged must stay as it is.
        with tempfile.TemporaryDirectory(prefix="cher2-look-") as folder:
            copy = Path(folder) / path.name
            for suffix in ("", "-wal", "-journal"):
                if (file := path.with_name(f"{path.name}{suffix}")).exists():
                    shutil.copyfile(file, f"{copy}{suffix}")
            with closing(connect(copy, TIMEOUT_S)) as connection:
                check_whole(connection, study, str(path))
    except ReviewError as error:
        return error.what
    except sqlite3.Error as error:
        return explained(error, path).what if "no such table" not in str(error) else "it is another program's database"
    return ""


def _salvaged(path: Path, study: str, copies: list[Backup]) -> tuple[Salvaged, dict[str, dict[str, Any]]]:
    """Return what the file holds, and all rows that are found in it, in copies and in what was kept of earlier ones."""
    found = salvage(_bytes(path), _bytes(path.with_name(f"{path.name}-wal")), study)
    rows: dict[str, dict[str, Any]] = dict(found.rows)
    for file in (*(copy.path for copy in reversed(copies)), *_kept_earlier(path)):
        rows = salvage(_bytes(file), _bytes(file.with_name(f"{file.name}-wal")), study).rows | rows
    return found, rows


def _kept_earlier(path: Path) -> Iterator[Path]:
    yield from sorted((path.parent / BACKUPS).glob(f"damaged-*/{path.name}"))


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _rebuild(
    path: Path, study: str, fault: str, base: Backup | None, found: Salvaged, rows: dict[str, dict[str, Any]]
) -> Restored:
    partial = path.with_name(f".{path.stem}-restoring-{uuid.uuid4().hex}.sqlite")
    try:
        if base is None:
            make_file(partial, TIMEOUT_S)
        else:
            shutil.copyfile(base.path, partial)
            if not network_type(path):
                with closing(connect(partial, TIMEOUT_S)) as connection:
                    connection.execute("PRAGMA journal_mode=WAL").fetchone()
        with closing(SqliteLog(partial, study)) as log:
            there = {row["decision_id"] for row in log.rows()}
            before, last = len(there), max([found.last_entry, *(row["entry"] for row in rows.values())])
            more = sorted((row for name, row in rows.items() if name not in there), key=_by_entry)
            new: list[Decision] = [decision_of(row | {"entry": 0}, str(path)) for row in more]
            stored = log.append(new)
        with closing(connect(partial, TIMEOUT_S)) as connection:
            check_whole(connection, study, str(path))
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        kept = _take_place(partial, path)
    finally:
        for left in (partial, *(partial.with_name(f"{partial.name}{suffix}") for suffix in BESIDE)):
            left.unlink(missing_ok=True)
    gaps = max(0, last - before - len(stored))
    # Of a file that is not there any more, or never was a log, nobody knows what it held.
    unknown = not fault or found.unreadable is None or found.last_entry == 0
    lost = None if unknown else max(gaps, found.unreadable or 0)
    moved = sum(entry.entry != row["entry"] for entry, row in zip(stored, more, strict=True))
    whole = fault or "the decisions' file was whole, and lacked decisions that its backup copies hold"
    return Restored(f"{path.name}: {whole}", "" if base is None else str(base), before, len(stored), moved, lost, kept)


def _take_place(partial: Path, path: Path) -> str:
    """Keep the old file, and put the new one in its place, without anything that belonged to the old one."""
    kept = f"{keep_damaged(path)}" if path.exists() else ""
    for suffix in BESIDE:
        # A write-ahead log that stayed would be written into the new file.
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)
    partial.replace(path)
    write_folder_through(path.parent)
    return kept


def _by_entry(row: dict[str, Any]) -> tuple[int, str]:
    return int(row["entry"]), str(row["decided_at"])
