"""Which database keeps a study's decisions: the one named, or a file in the study folder."""

from __future__ import annotations

import os
from contextlib import closing

from cher2.errors import ReviewError
from cher2.review.decisions import Decision
from cher2.review.log import DecisionLog
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

        return SqliteLog(study.path / REVIEWS, study.identity)
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
    path = study.path / REVIEWS
    wal = path.with_name(f"{REVIEWS}-wal")
    if not (url or os.environ.get(VARIABLE) or path.exists() or wal.exists()):
        return []
    with closing(open_log(study, url)) as log:
        return log.entries()
