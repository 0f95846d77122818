"""Reading a log of decisions without a lock, and without writing beside it: of a file, a copy is read.

To open a SQLite file is to write: it makes files beside it, and holds up whoever reviews. A copy can be read while a
review goes on, and from a disk that may not be written to.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cher2.errors import ReviewError
from cher2.review.open_log import REVIEWS, VARIABLE, open_log, was_reviewed
from cher2.study.folder import Study
from cher2.study.identity import IDENTITY

if TYPE_CHECKING:
    from cher2.review.sql_log import SqlLog

_COPIES = 5


@contextmanager
def reading_log(study: Study, url: str = "") -> Iterator[SqlLog | None]:
    """Give the log of a study's decisions to be read; None where nobody ever reviewed it.

    Parameters
    ----------
    study : Study
        The study; nothing is written into it.
    url : str
        As of :func:`cher2.review.open_log.open_log`.

    Raises
    ------
    ReviewError
        The log cannot be read, or decisions are being stored all the time.
    """
    if not (url or os.environ.get(VARIABLE) or was_reviewed(study.path)):
        yield None
    elif url or os.environ.get(VARIABLE) or not (study.path / REVIEWS).exists():
        # A file that is gone and has left backups behind is refused as whoever opens it is.
        with closing(_sql_log(study, url)) as log:
            yield log
    else:
        from cher2.review.sqlite_log import SqliteLog

        if not (study.path / IDENTITY).exists():
            raise ReviewError(
                "the study's identity is gone, under which its decisions are kept",
                where=str(study.path / IDENTITY),
                remedy="Restore the file study_id from a copy of the study",
            )
        with tempfile.TemporaryDirectory(prefix="cher2-log-") as name:
            copy_decisions(study.path, Path(name))
            with closing(SqliteLog(Path(name) / REVIEWS, study.identity)) as log:
                yield log


def _sql_log(study: Study, url: str) -> SqlLog:
    from cher2.review.sql_log import SqlLog

    log = open_log(study, url)
    if not isinstance(log, SqlLog):
        raise ReviewError("this log of decisions has no chain", where=log.where, remedy="Keep it in a database")
    return log


def copy_decisions(source: Path, folder: Path) -> None:
    """Copy the database and its write-ahead log as they were at one moment, while somebody may be reviewing.

    Raises
    ------
    ReviewError
        They changed whenever they were copied, or cannot be read.
    """
    try:
        for _ in range(_COPIES):
            before = stamps(source)
            for name in before:
                shutil.copyfile(source / name, folder / name)
            if stamps(source) == before:
                return
            for name in before:
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise ReviewError(
            f"the decisions cannot be copied to be read ({error.strerror})",
            where=str(source / REVIEWS),
            remedy="Make the file readable, and room for a copy in the folder for temporary files",
        ) from error
    raise ReviewError(
        "decisions are being stored all the time",
        where=str(source / REVIEWS),
        remedy="Verify when the review is closed",
    )


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the files of a folder's database, each with its size and time of change; none where there is none."""
    paths = [folder / f"{REVIEWS}{suffix}" for suffix in ("", "-wal", "-journal")]
    return {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in paths if path.exists()}
