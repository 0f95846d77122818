"""The log of decisions in a SQLite file, ``STUDY/reviews.sqlite``: what a study has by default."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from cher2.errors import ReviewError
from cher2.review.schema import create_tables, is_ready
from cher2.review.sql_log import WRITES, SqlLog
from cher2.review.sqlite_file import connect, make_file, on_network, open_engine

TIMEOUT_S = 3.0
"""Seconds to wait for another program that holds the file; a commit of its takes milliseconds."""

_Identity = tuple[int, int]

# SQLite's result codes by the beginning of their names, the first that fits; {} is the system's own word for it.
_CAUSES = (
    ("SQLITE_FULL", "the disk is full", "Make room on the disk, and try again"),
    ("SQLITE_BUSY", "another program holds the decisions' file", "Close it, or wait until it is done, and try again"),
    ("SQLITE_LOCKED", "another program holds the decisions' file", "Close it, or wait until it is done, and try again"),
    (
        "SQLITE_READONLY",
        "the decisions' file or its folder cannot be written to",
        "Allow writing to the study folder and the files reviews.sqlite*",
    ),
    (
        "SQLITE_CANTOPEN",
        "the decisions' file cannot be opened or made",
        "See that the study folder is there and may be written to",
    ),
    ("SQLITE_PERM", "the decisions' file may not be opened", "Allow reading and writing it"),
    ("SQLITE_AUTH", "the decisions' file may not be opened", "Allow reading and writing it"),
    (
        "SQLITE_NOTADB",
        "the decisions' file is no SQLite database, or is damaged",
        "Restore it from a backup; the damaged file is left as it is",
    ),
    (
        "SQLITE_CORRUPT",
        "the decisions' file is damaged",
        "Restore it from a backup; the damaged file is left as it is",
    ),
    (
        "SQLITE_IOERR",
        "the disk does not read or write ({})",
        "Look whether it is full, or a limit on files' sizes is reached, or its connection is lost, and try again",
    ),
)


class SqliteLog(SqlLog):
    """A log of decisions in a SQLite file, which is made where it is not there.

    Parameters
    ----------
    path : str or Path
        The file.
    study : str
        The study's identity.
    timeout_s : float
        Seconds to wait for another program that holds the file.

    Raises
    ------
    ReviewError
        The file cannot be opened or made, is damaged, or comes from a later cher2.
    """

    def __init__(self, path: str | Path, study: str, *, timeout_s: float = TIMEOUT_S) -> None:
        # SQLite keeps the write-ahead log beside the file itself, and not beside a link to it.
        self.path = Path(path).resolve()
        self._timeout_s = timeout_s
        super().__init__(open_engine(self.path, timeout_s, WRITES), study, str(self.path))
        # A write-ahead log appears after its file does: one without a file was left behind.
        if self._wal.exists() and not self.path.exists():
            raise self._gone()
        try:
            make_file(self.path, timeout_s)
            self._identity = self._open()
        except ReviewError:
            self._engine.dispose()
            raise
        except (sqlite3.Error, SQLAlchemyError) as error:
            self._engine.dispose()
            raise self._explain(error) from error
        except OSError as error:
            raise self._unreadable(error) from error

    @property
    def note(self) -> str:
        """What a reader should know about how decisions are stored here; empty where all is as it should be."""
        if self._writes_ahead:
            return ""
        network = "it is on a network's disk, where a write-ahead log does not work"
        other = "its disk cannot do with a write-ahead log, or it was restored from a copy that has none"
        return (
            f"{self.path.name} is kept with a rollback journal, as {network if on_network(self.path) else other}: this "
            "is as safe, but slower, and readers and writers wait for each other"
        )

    @property
    def _wal(self) -> Path:
        return self.path.with_name(f"{self.path.name}-wal")

    def _open(self) -> _Identity:
        """Open the file, make its tables where it has none, and return which file it is."""
        with closing(connect(self.path, self._timeout_s)) as connection:
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
            if mode == "wal" and on_network(self.path):
                # The study was moved to a network's disk since. This waits for whoever holds the file.
                (mode,) = connection.execute("PRAGMA journal_mode=DELETE").fetchone()
        self._writes_ahead = mode == "wal"
        with self._engine.begin() as reading:
            ready = is_ready(reading, self.where)
        if not ready:
            with self._engine.execution_options(**{WRITES: True}).begin() as writing:
                create_tables(writing, self.where)
        return self._identity_now()

    def _identity_now(self) -> _Identity:
        found = self.path.stat()
        return found.st_dev, found.st_ino

    def _lock(self, connection: Connection) -> None:
        """Do nothing: a transaction that writes has taken the file's lock when it began."""

    def _before(self) -> None:
        # SQLite would go on writing to a file that was deleted, and nobody would ever read it.
        try:
            if self._identity_now() != self._identity:
                self._engine.dispose()
                self._identity = self._open()
        except FileNotFoundError:
            self._engine.dispose()
            raise self._gone() from None
        except OSError as error:
            raise self._unreadable(error) from error
        except (sqlite3.Error, SQLAlchemyError) as error:
            self._engine.dispose()
            raise self._explain(error) from error

    def _after(self) -> None:
        try:
            same = self._identity_now() == self._identity and (not self._writes_ahead or self._wal.exists())
        except OSError:
            same = False
        if not same:
            self._engine.dispose()
            raise self._gone()

    def _gone(self) -> ReviewError:
        return ReviewError(
            "the decisions' file was removed, renamed or replaced",
            where=self.where,
            remedy=f"Put {self.path.name} back, or open the study where it is now; then try again",
        )

    def _unreadable(self, error: OSError) -> ReviewError:
        return ReviewError(
            f"the decisions' file cannot be reached ({error.strerror})",
            where=self.where,
            remedy="See that the study folder is there and may be written to",
        )

    def _explain(self, error: SQLAlchemyError | sqlite3.Error) -> ReviewError:
        cause = error.orig if isinstance(error, DBAPIError) else error
        name = getattr(cause, "sqlite_errorname", type(cause).__name__)
        folder = self.path.parent
        if name.startswith(("SQLITE_CANTOPEN", "SQLITE_IOERR")) and folder.is_dir() and not os.access(folder, os.W_OK):
            name = "SQLITE_READONLY"
        for code, what, remedy in _CAUSES:
            if name.startswith(code):
                return ReviewError(what.format(name), where=self.where, remedy=remedy)
        return ReviewError(
            f"SQLite reports {name}: {cause}", where=self.where, remedy="Restore the file from a backup, or report this"
        )
