"""What SQLite's and the system's errors on a log's file mean to a reader."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from cher2.errors import ReviewError

if TYPE_CHECKING:
    from sqlalchemy.exc import SQLAlchemyError


class DamagedLogError(ReviewError):
    """The log's file is damaged, or was altered: nothing may be stored in it any more."""


RESTORE = "Restore it: cher2 review STUDY --restore; the damaged file is kept"

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
    ("SQLITE_NOTADB", "the decisions' file is no SQLite database, or is damaged", RESTORE),
    ("SQLITE_CORRUPT", "the decisions' file is damaged", RESTORE),
    (
        "SQLITE_IOERR",
        "the disk does not read or write ({})",
        "Look whether it is full, or a limit on files' sizes is reached, or its connection is lost, and try again",
    ),
)


def explained(error: SQLAlchemyError | sqlite3.Error, path: Path) -> ReviewError:
    """Return what an error on a log's file means, with its remedy."""
    # SQLAlchemy wraps the database's own error; it is not imported where nobody reviewed.
    cause = getattr(error, "orig", None) or error
    name = getattr(cause, "sqlite_errorname", type(cause).__name__)
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_IOERR")):
        if no_file_can_be_opened():
            return too_many_files(path)
        if path.exists() and not os.access(path, os.R_OK):
            name = "SQLITE_PERM"
        elif path.parent.is_dir() and not os.access(path.parent, os.W_OK):
            name = "SQLITE_READONLY"
    for code, what, remedy in _CAUSES:
        if name.startswith(code):
            kind = DamagedLogError if remedy == RESTORE else ReviewError
            return kind(what.format(name), where=str(path), remedy=remedy)
    return ReviewError(f"SQLite reports {name}: {cause}", where=str(path), remedy=RESTORE)


def unreachable(error: OSError, path: Path) -> ReviewError:
    """Return what the system's error on a log's file means, with its remedy."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return too_many_files(path)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ReviewError("the disk is full", where=str(path), remedy="Make room on the disk, and try again")
    return ReviewError(
        f"the decisions' file cannot be reached ({error.strerror})",
        where=str(path),
        remedy="See that the study folder is there and may be written to",
    )


def too_many_files(path: Path) -> ReviewError:
    """Return the error for a program that has opened as many files as the system allows."""
    return ReviewError(
        "the system lets this program open no more files",
        where=str(path),
        remedy="Close other programs, or raise the limit (ulimit -n), and try again",
    )


def no_file_can_be_opened() -> bool:
    """Say whether this program has opened as many files as it may: SQLite does not tell that from other causes."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False


def gone(path: Path) -> ReviewError:
    """Return the error for a file that is not where it was."""
    return ReviewError(
        "the decisions' file was removed, renamed or replaced",
        where=str(path),
        remedy=f"Put {path.name} back, or open the study where it is now; then try again",
    )
