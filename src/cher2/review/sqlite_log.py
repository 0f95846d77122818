"""The log of decisions in a SQLite file, ``STUDY/reviews.sqlite``: what a study has by default."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from sqlalchemy import Connection, select
from sqlalchemy import inspect as inspect_database
from sqlalchemy.exc import SQLAlchemyError

from cher2.errors import ReviewError
from cher2.review.backups import Backup, back_up, backups_of
from cher2.review.network_disk import network_type
from cher2.review.schema import create_tables, decisions, is_ready, metadata
from cher2.review.sql_log import WRITES, SqlLog
from cher2.review.sqlite_faults import RESTORE, explained, gone, unreachable
from cher2.review.sqlite_file import make_file, open_engine, stop_writing_ahead, writes_ahead

TIMEOUT_S = 5.0
"""Seconds to wait for another program that holds the file: its commit takes milliseconds, but nobody keeps a queue."""

_Identity = tuple[int, int]

_LOOK_EVERY_S = 0.05


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

    _restoring = RESTORE

    def __init__(self, path: str | Path, study: str, *, timeout_s: float = TIMEOUT_S) -> None:
        # SQLite keeps the write-ahead log beside the file itself, and not beside a link to it.
        self.path = Path(path).resolve()
        self._timeout_s = timeout_s
        super().__init__(open_engine(self.path, timeout_s, WRITES), study, str(self.path))
        # A write-ahead log appears after its file does: one without a file was left behind.
        if self._wal.exists() and not self.path.exists():
            raise gone(self.path)
        try:
            self._check_there(backups_of(self.path))
            make_file(self.path, timeout_s)
            self._identity = self._open()
        except ReviewError:
            self._engine.dispose()
            raise
        except (sqlite3.Error, SQLAlchemyError) as error:
            self._engine.dispose()
            raise self._explain(error) from error
        except OSError as error:
            raise unreachable(error, self.path) from error

    @property
    def note(self) -> str:
        """What a reader should know about how decisions are stored here; empty where all is as it should be."""
        if self._writes_ahead:
            return ""
        network = network_type(self.path)
        other = "its disk cannot do with a write-ahead log, or it was restored from a copy that has none"
        shared = f"it is on a network's disk ({network}), where a write-ahead log does not work"
        return (
            f"{self.path.name} is kept with a rollback journal, as {shared if network else other}: this "
            "is as safe, but slower, and readers and writers wait for each other"
        )

    def back_up(self) -> None:
        """Make a backup copy where something has changed since the newest (:func:`cher2.review.backups.back_up`).

        Raises
        ------
        ReviewError
            The copy could not be made, or the file is damaged.
        """
        back_up(self.path, self.study, self._timeout_s)

    @property
    def _wal(self) -> Path:
        return self.path.with_name(f"{self.path.name}-wal")

    def _open(self) -> _Identity:
        """Open the file, make its tables where it has none, and return which file it is."""
        copies = backups_of(self.path)
        self._check_there(copies)
        self._writes_ahead = writes_ahead(self.path, self._timeout_s)
        if self._writes_ahead and network_type(self.path):
            # The study was moved to a network's disk since.
            self._writes_ahead = stop_writing_ahead(self.path, self._timeout_s)
        with self._engine.begin() as reading:
            ready = is_ready(reading, self.where)
            if copies and ready:
                self._check_not_older(reading, copies[-1])
        if not ready:
            with self._engine.execution_options(**{WRITES: True}).begin() as writing:
                self._check_own(writing, copies)
                create_tables(writing, self.where)
        return self._identity_now()

    def _check_there(self, copies: list[Backup]) -> None:
        """Make sure that a file that once held decisions is not made anew in silence."""
        if copies and not self.path.exists():
            raise ReviewError(
                f"the decisions' file was removed, and its backup copies hold {copies[-1].entry} decisions",
                where=self.where,
                remedy=f"Put {self.path.name} back as it was, or restore it: cher2 review STUDY --restore",
            )
        # On a disk without links a file is empty for a moment while another program makes it.
        until = time.monotonic() + self._timeout_s
        while self.path.exists() and self.path.stat().st_size == 0:
            if copies or time.monotonic() > until:
                remedy = RESTORE if copies else "Put back a copy; if no decision was ever stored, remove the file"
                raise ReviewError("the decisions' file is empty", where=self.where, remedy=remedy)
            time.sleep(_LOOK_EVERY_S)

    def _check_own(self, connection: Connection, copies: list[Backup]) -> None:
        """Make sure that a database without cher2's tables is a new one."""
        there = set(inspect_database(connection).get_table_names())
        if copies or (there and not there & metadata.tables.keys()):
            raise ReviewError(
                "the decisions' file is another program's database" if there else "the decisions' file is empty",
                where=self.where,
                remedy=RESTORE if copies else f"Move it away, and put the right {self.path.name} back",
            )

    def _check_not_older(self, connection: Connection, newest: Backup) -> None:
        here = (decisions.c.study == self._study) & (decisions.c.entry == newest.entry)
        found = connection.scalar(select(decisions.c.hash).where(here))
        if found is None or not found.startswith(newest.hash):
            raise ReviewError(
                f"the decisions' file lacks entry {newest.entry} of {newest}: an older copy was put in its place",
                where=self.where,
                remedy="Bring all decisions together again: cher2 review STUDY --restore",
            )

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
            raise gone(self.path) from None
        except OSError as error:
            raise unreachable(error, self.path) from error
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
            raise gone(self.path)

    def _explain(self, error: SQLAlchemyError | sqlite3.Error) -> ReviewError:
        return explained(error, self.path)
