"""Which database keeps a study's decisions: the one named, or a file in the study folder."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

from cher2.errors import ReviewError
from cher2.review.backups import backups_of
from cher2.review.decisions import Decision
from cher2.review.log import DecisionLog
from cher2.review.sqlite_faults import DamagedLogError
from cher2.study.folder import Study

REVIEWS = "reviews.sqlite"
"""The file in the study folder."""

VARIABLE = "CHER2_REVIEWS"
"""The environment variable that names a laboratory's database."""


def open_log(study: Study, url: str = "") -> DecisionLog:
    """Open the log of a study's decisions; it is made where it is not there.

    Parameters
    ----------
    study : Study
        The study.
    url : str
        ``postgresql://user@host/database``; empty for what the environment variable ``CHER2_REVIEWS`` names, and
        where that is empty too for ``reviews.sqlite`` in the study folder.

    Raises
    ------
    ReviewError
        The URL is not one of PostgreSQL, or the log cannot be opened.
    StudyError
        The study's identity cannot be read or made.
    """
    where = "" if url else VARIABLE
    url = url or os.environ.get(VARIABLE, "")
    if not url:
        from cher2.review.sqlite_log import SqliteLog
        from cher2.review.sqlite_read_only import ReadOnlyLog, may_only_be_read

        path = study.path / REVIEWS
        return (ReadOnlyLog if may_only_be_read(path) else SqliteLog)(path, study.identity)
    scheme, mark, _ = url.partition("://")
    if not mark or scheme not in ("postgresql", "postgres", "postgresql+psycopg"):
        # The URL itself may hold a password, wherever a mistake has put it.
        raise ReviewError(
            "decisions are kept in the study folder or in PostgreSQL, and this URL does not begin with postgresql://",
            where=where,
            remedy="Give postgresql://user@host/database, or no URL for the file in the study folder",
        )
    from cher2.review.postgres_log import PostgresLog

    return PostgresLog(url, study.identity)


def open_to_write(study: Study, url: str = "") -> tuple[DecisionLog, str]:
    """Open the log of a study's decisions for a session that will write, after a backup copy was made of it.

    Parameters and errors are those of :func:`open_log`. On a disk that may only be read the log is opened for reading.

    Returns
    -------
    DecisionLog
    str
        What the reader should know: that the log can only be read, or is kept with a rollback journal, or that no
        backup copy could be made; empty where all is as it should be.
    """
    log, why = open_log(study, url), ""
    try:
        log.back_up()
    except DamagedLogError:
        log.close()
        raise
    except ReviewError as error:
        why = str(error)
    return log, " ".join(words for words in (log.note, why) if words)


def was_reviewed(folder: Path) -> bool:
    """Say whether a study folder holds decisions, or what was left of them when their file was removed."""
    path = folder / REVIEWS
    return path.exists() or path.with_name(f"{REVIEWS}-wal").exists() or bool(backups_of(path))


def stored_decisions(study: Study, url: str = "") -> list[Decision]:
    """Return all decisions on a study, in order; none, and no new file, where nobody ever reviewed it.

    Parameters
    ----------
    study : Study
        The study.
    url : str
        As of :func:`open_log`.

    Raises
    ------
    ReviewError
        The log cannot be read.
    """
    if not (url or os.environ.get(VARIABLE) or was_reviewed(study.path)):
        return []
    with closing(open_log(study, url)) as log:
        return log.entries()
