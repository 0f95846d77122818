"""The file of a SQLite log: how it comes to be, how it is opened, and how it writes.

A write-ahead log (WAL) makes a commit one sequential write, and lets others read meanwhile. It needs shared memory
between all programs that open the file, so it does not work on a network's disk: there, the rollback journal (DELETE)
takes its place. Which of the two is written in the file when it is made; a change later needs the file for oneself.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from cher2.review.network_disk import network_type

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


def connect(path: Path, timeout_s: float) -> sqlite3.Connection:
    """Open a SQLite file without transactions of Python's own making; it is made where it is not."""
    return sqlite3.connect(path, timeout=timeout_s, isolation_level=None, check_same_thread=False)


def make_file(path: Path, timeout_s: float) -> None:
    """Make a file that writes ahead, where there is none and the disk can do it.

    The mode is set in a file of another name, which then appears under its own: nobody ever sees a file whose mode
    is about to change, and of two programs that make it at once one wins. A disk without links or without WAL gets
    no file here; opening it makes one with a rollback journal.

    Raises
    ------
    sqlite3.Error
        The folder cannot be written to.
    """
    if path.exists() or network_type(path):
        return
    partial = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        connection = connect(partial, timeout_s)
        try:
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        finally:
            connection.close()
        if mode == "wal":
            _publish(partial, path)
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(f"{partial}{suffix}").unlink(missing_ok=True)


def _publish(partial: Path, path: Path) -> None:
    try:
        path.hardlink_to(partial)
    except FileExistsError:
        return  # Another program was faster.
    except OSError:
        return  # A disk without links: exFAT, some of a network's.
    write_folder_through(path.parent)


def write_folder_through(folder: Path) -> None:
    """Bring a folder's own list of files to the disk, where the system knows that."""
    if os.name == "posix":
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def writes_ahead(path: Path, timeout_s: float) -> bool:
    """Say whether a file writes ahead; it is made where it is not.

    SQLite is asked: whoever opens the file by other means and closes it lets go of all locks of his program on it.

    Raises
    ------
    sqlite3.Error
        It cannot be opened.
    """
    with closing(connect(path, timeout_s)) as connection:
        return bool(connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal")


def stop_writing_ahead(path: Path, timeout_s: float) -> bool:
    """Turn a file that writes ahead into one with a rollback journal, on a disk where the first does not work.

    Returns
    -------
    bool
        Whether it still writes ahead.

    Raises
    ------
    sqlite3.Error
        Another program has the file open, on whatever computer, or it cannot be written to.
    """
    with closing(connect(path, timeout_s)) as connection:
        # In this mode SQLite asks for no shared memory, and for the whole file at once: so it is alone.
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        return bool(connection.execute("PRAGMA journal_mode=DELETE").fetchone()[0] == "wal")


def open_engine(path: Path, timeout_s: float, writes: str) -> Engine:
    """Return an engine on a SQLite file whose commits are on the disk when they return.

    Parameters
    ----------
    path : Path
        The file.
    timeout_s : float
        Seconds to wait for another program that writes.
    writes : str
        The execution option of transactions that write: they take the file's lock at their start, because one that
        asks for it later, after it has read, can be refused without waiting.
    """
    # Not above: every run looks whether there is a file, and most studies have none.
    from sqlalchemy import URL, create_engine, event

    address = URL.create("sqlite", database=str(path))
    engine = create_engine(address, creator=lambda: _connect_safely(path, timeout_s), hide_parameters=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get(writes, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _connect_safely(path: Path, timeout_s: float) -> sqlite3.Connection:
    connection = connect(path, timeout_s)
    try:
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        # With a rollback journal, FULL leaves a moment in which a loss of power takes a commit back; EXTRA does not.
        connection.execute(f"PRAGMA synchronous={'FULL' if mode == 'wal' else 'EXTRA'}")
        connection.execute("PRAGMA fullfsync=1")  # macOS: through the drive's own cache.
    except sqlite3.Error:
        connection.close()
        raise
    return connection
