"""A log in a SQLite file on a disk, or in a folder, that may only be read: its decisions are seen, none can be stored.

SQLite makes files beside the one that it reads. Where it cannot, the file is read in one of three ways: as any other,
where it has a rollback journal or somebody has made those files; as one that nobody changes, where it was closed whole;
or as a copy in a temporary folder, where a program was killed and its write-ahead log is still to be taken in.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from cher2.errors import ReviewError
from cher2.review.backups import backups_of
from cher2.review.decisions import Decision
from cher2.review.log import Bookmark
from cher2.review.schema import is_ready
from cher2.review.sql_log import SqlLog
from cher2.review.sqlite_faults import RESTORE, explained, gone, unreachable

TIMEOUT_S = 3.0


def may_only_be_read(path: Path) -> bool:
    """Say whether a log's file, or the folder that it is in, can be read and not be written to."""
    if not os.access(path.parent, os.R_OK | os.X_OK):
        return False
    return not os.access(path.parent, os.W_OK) or (os.access(path, os.R_OK) and not os.access(path, os.W_OK))


class ReadOnlyLog(SqlLog):
    """A log of decisions in a SQLite file that may only be read.

    Parameters
    ----------
    path : str or Path
        The file; where there is none, and never was, the log is empty.
    study : str
        The study's identity.

    Raises
    ------
    ReviewError
        The file cannot be read, is damaged, or comes from a later cher2.
    """

    _restoring = RESTORE

    def __init__(self, path: str | Path, study: str) -> None:
        self.path = Path(path).resolve()
        engine = create_engine(
            # A connection a transaction: how the file can be read may change when its writer comes or goes.
            URL.create("sqlite", database=str(self.path)),
            creator=self._connect,
            poolclass=NullPool,
            hide_parameters=True,
        )
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        super().__init__(engine, study, str(self.path))
        there = self.path.exists()
        if not there and (self._wal.exists() or backups_of(self.path)):
            raise gone(self.path)
        if there and not self._run(lambda connection: is_ready(connection, self.where), writes=False):
            raise ReviewError("the decisions' file holds no decisions of cher2", where=self.where, remedy=RESTORE)
        self._made = there

    @property
    def note(self) -> str:
        """That nothing can be stored."""
        return f"Read only: {self.path.name} or its folder may not be written to, so no decision can be stored."

    @property
    def read_only(self) -> bool:
        """True."""
        return True

    def append(self, decisions: Sequence[Decision]) -> list[Decision]:
        """Refuse: nothing can be stored.

        Raises
        ------
        ReviewError
            Always, but where there is nothing to store.
        """
        return self._refuse() if decisions else []

    def back_up(self) -> None:
        """Do nothing: nothing is changed."""

    def set_bookmark(self, reader: str, bookmark: Bookmark) -> None:
        """Do nothing: a place is no decision, and need not be remembered."""

    def entries(self, after: int = 0) -> list[Decision]:
        """Return the stored decisions; see :meth:`cher2.review.log.DecisionLog.entries`."""
        return super().entries(after) if self._made or self.path.exists() else []

    def bookmark(self, reader: str) -> Bookmark | None:
        """Return where a reader was; None where nobody knows."""
        return super().bookmark(reader) if self._made or self.path.exists() else None

    @property
    def _wal(self) -> Path:
        return self.path.with_name(f"{self.path.name}-wal")

    def _refuse(self) -> NoReturn:
        raise ReviewError(
            "the decisions' file or its folder cannot be written to: this study is open for reading only",
            where=self.where,
            remedy="Allow writing to the study folder and the files reviews.sqlite*, and open the review again",
        )

    def _connect(self) -> sqlite3.Connection:
        try:
            return self._connect_by("mode=ro")
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")):
                raise
        try:
            return self._connect_to_copy() if self._wal_is_filled() else self._connect_by("mode=ro&immutable=1")
        except OSError as error:
            raise unreachable(error, self.path) from error

    def _connect_by(self, how: str) -> sqlite3.Connection:
        address = f"file:{quote(str(self.path))}?{how}"
        opened = sqlite3.connect(address, uri=True, timeout=TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            opened.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error:
            opened.close()
            raise
        return opened

    def _wal_is_filled(self) -> bool:
        return self._wal.exists() and self._wal.stat().st_size > 0

    def _connect_to_copy(self) -> sqlite3.Connection:
        memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        with tempfile.TemporaryDirectory(prefix="cher2-decisions-") as folder:
            copy = Path(folder) / self.path.name
            shutil.copyfile(self.path, copy)
            shutil.copyfile(self._wal, f"{copy}-wal")
            with closing(sqlite3.connect(copy)) as whole:
                whole.backup(memory)
        return memory

    def _lock(self, connection: Connection) -> None:
        """Do nothing: nothing is written."""

    def _before(self) -> None:
        if not self.path.exists():
            raise gone(self.path)

    def _after(self) -> None:
        """Do nothing: nothing was written."""

    def _explain(self, error: SQLAlchemyError | sqlite3.Error) -> ReviewError:
        return explained(error, self.path)
