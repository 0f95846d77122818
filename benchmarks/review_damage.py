"""Damaged files, small disks, wrong clocks, refused rights: rows for ``review_faults.py``; no benchmark itself.

Each function does one fault to a log of its own and counts what was lost without a word, what came back wrong, and
which message did not say what is wrong, where, and what to do.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "review"))

import numpy as np
from appending import CONTEXT, append_many, append_without_handles, asked, decision, start
from private_postgres import IN_URL, PrivatePostgres
from review_fault import Row, small_disk

from cher2.batch.run import run_study
from cher2.errors import ReviewError
from cher2.review.background_log import BackgroundLog
from cher2.review.decisions import times_set_back
from cher2.review.open_log import open_log, open_to_write
from cher2.review.postgres_log import PostgresLog
from cher2.review.restoring import restore
from cher2.review.session import ReviewSession
from cher2.review.sqlite_file import stop_writing_ahead
from cher2.review.sqlite_log import SqliteLog
from cher2.review.sqlite_read_only import ReadOnlyLog
from cher2.simulate.settings import StudySettings
from cher2.simulate.study import simulate_study
from cher2.study.folder import Study

NOBODY = 65534
BEFORE, AFTER = 300, 100
SETTINGS = StudySettings(patients=1, frames_per_patient=1, frame_shape=(480, 640), ctcs_per_patient=20, seed=5)

_NOISE = np.random.default_rng(1)


def _overwritten(whole: bytes, start: int, count: int) -> bytes:
    return whole[:start] + _NOISE.bytes(count) + whole[start + count :]


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "its header is overwritten": lambda whole: _overwritten(whole, 0, 100),
    "its first page is overwritten": lambda whole: _overwritten(whole, 0, 4096),
    "a page at random is overwritten": lambda whole: _overwritten(
        whole, 4096 * int(_NOISE.integers(len(whole) // 4096)), 4096
    ),
    "bytes at random are overwritten": lambda whole: _overwritten(whole, int(_NOISE.integers(len(whole) - 64)), 64),
    "it is cut off at random": lambda whole: whole[: int(_NOISE.integers(1, len(whole)))],
    "it is empty": lambda whole: b"",
    "it is a text": lambda whole: b"nothing like it\n" * 2000,
    "it is gone": lambda whole: None,
}


def damaged_and_restored(row: Row, folder: Path, damage: Callable[[bytes], bytes | None], times: int) -> None:
    """Damage a closed file and restore it: what is there must be what was stored, and what is not must be told."""
    for number in range(times):
        path = folder / f"{row.fault.replace(' ', '_').replace(':', '')}_{number}" / "reviews.sqlite"
        path.parent.mkdir()
        with closing(SqliteLog(path, "study")) as log:
            log.append([decision(number) for number in range(BEFORE)])
            log.back_up()
            log.append([decision(number) for number in range(BEFORE, BEFORE + AFTER)])
            entries = log.entries()
        content = damage(path.read_bytes())
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        row.tried, row.taken = row.tried + 1, row.taken + len(entries)
        told = 0
        try:
            with closing(SqliteLog(path, "study", timeout_s=0.1)) as log:
                seen = log.entries()
                log.back_up()
            row.wrong += seen != entries  # Bytes that no decision is in.
        except ReviewError as error:
            row.judge(str(error), "reviews.sqlite", "estore")
            try:
                lost = restore(path, "study").lost
                told = len(entries) if lost is None else lost
            except ReviewError as refused:  # Only an index was hit, and looking at it mends nothing.
                row.judge(str(refused), "restore")
        with closing(SqliteLog(path, "study")) as log:
            found = log.entries()
            # What lies behind a gap has another number, which is told; all else is as it was stored, and in its order.
            names = {entry.decision_id for entry in found}
            kept = [replace(entry, entry=0) for entry in entries if entry.decision_id in names]
            row.wrong += [replace(entry, entry=0) for entry in found] != kept or bool(log.broken_entries())
        row.lost += max(0, len(entries) - len(found) - told)
        row.gone += len(entries) - len(found)
        shutil.rmtree(path.parent)


def session_on_full_disk(row: Row, folder: Path) -> None:
    """Review until a small disk is full, go on, make room: each decision is stored or told not to be."""
    simulate_study(folder / "synthetic", SETTINGS)
    run_study(folder / "synthetic" / "images", folder / "session", workers=1)
    with small_disk(folder, "4m") as disk:
        if disk is None:
            return
        home = Study(Path(shutil.copytree(folder / "session", disk / "study")))
        opened, _ = open_to_write(home)
        session, said, shown = ReviewSession(home, BackgroundLog(opened), "Eva", "patient"), [], []
        session.failed.connect(said.append)
        session.grade(1)
        fill(disk / "filler")
        row.tried += 1
        for _ in range(200):
            shown.append(session.grade(2))
            if not shown[-1] and len(session.unsaved) > 3:
                break
        waiting = [entry.decision_id for entry in session.unsaved]
        row.wrong += not waiting
        for message in said[:1]:
            row.judge(message, "the disk is full", "Make room")
        (disk / "filler").unlink()
        row.lost += not session.retry()
        session.close()
        with closing(open_log(home)) as log:
            stored = log.entries()
            row.compare(waiting, log)
            row.taken += shown.count(True) + 1
            row.lost += max(0, shown.count(True) + 1 + len(waiting) - len(stored))


def fill(path: Path) -> None:
    """Fill a disk to the last page."""
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            return


def reads_only(path: str, user: int | None, answer) -> None:
    """Read as another user, and send how many decisions were seen and what an append says."""
    if user is not None:
        os.setgid(user)
        os.setuid(user)
    log = ReadOnlyLog(path, "study")
    try:
        log.append([decision(1)])
        answer.send((len(log.entries()), "nothing was said"))
    except ReviewError as error:
        answer.send((len(log.entries()), str(error)))


def reviewed_and_read_only(row: Row, folder: Path) -> None:
    """Read a reviewed study that nobody may write to."""
    study = folder / "reviewed_read_only"
    study.mkdir()
    with closing(SqliteLog(study / "reviews.sqlite", "study")) as log:
        row.taken += len(log.append([decision(number) for number in range(50)]))
    study.chmod(0o555)
    seen, said = asked(reads_only, str(study / "reviews.sqlite"), NOBODY if os.getuid() == 0 else None)
    study.chmod(0o755)
    row.tried, row.wrong = row.tried + 1, row.wrong + (seen != 50)
    row.judge(said, "reading only", "Allow writing")


def out_of_handles(row: Row, path: Path) -> None:
    """Append when the program has as many files open as it may."""
    said, there = asked(append_without_handles, str(path), "study")
    row.tried, row.taken, row.lost = 1, 2, int(there != [1, 3])
    row.judge(said, "open no more files", "ulimit")


def clock_set_back(row: Row, path: Path) -> None:
    """Decide at times that go back: the order is that of the entries, and the times are told."""
    times = ["2026-11-22T10:00:00", "2026-11-22T09:00:00", "2020-01-01T00:00:00", "2026-11-22T11:00:00"]
    with closing(SqliteLog(path, "study")) as log:
        row.taken = len(log.append([replace(decision(1, grade=n), decided_at=t) for n, t in enumerate(times)]))
        found = log.entries()
        row.wrong += [entry.grade for entry in found] != [0, 1, 2, 3]
        row.wrong += [entry.entry for entry in times_set_back(found)] != [2, 3]
    row.tried = 1


def many_writers(row: Row, path: Path, *, ahead: bool, count: int = 40) -> None:
    """Append from four programs at once, with either journal."""
    SqliteLog(path, "study").close()
    if not ahead:
        stop_writing_ahead(path, 1.0)
    barrier, told = CONTEXT.Barrier(4), [path.with_name(f"{path.name}.{number}.txt") for number in range(4)]
    programs = [
        start(append_many, str(path), "study", f"reader {number}", count, str(file), barrier)
        for number, file in enumerate(told)
    ]
    for program in programs:
        program.join(300)
    with closing(SqliteLog(path, "study")) as log:
        row.tried = 1
        row.compare([name for file in told if file.exists() for name in file.read_text().split()], log)


def refused_by_server(row: Row, server: PrivatePostgres) -> None:
    """Open with a wrong password, and a database that is not there."""
    for url, words in (
        (server.url(password=f"{IN_URL}-wrong"), ("password", "Look")),
        (server.url("nowhere"), ("nowhere", "Look")),
    ):
        row.tried += 1
        try:
            PostgresLog(url, "study").close()
            row.unclear.append("nothing was said")
        except ReviewError as error:
            row.judge(str(error), *words)


def cut_connection(row: Row, server: PrivatePostgres, times: int) -> None:
    """Cut all connections between two decisions: the log connects anew by itself."""
    with closing(PostgresLog(server.url(), "cut")) as log:
        taken = []
        for number in range(times):
            row.tried += 1
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            taken += [entry.decision_id for entry in log.append([decision(number, study="cut")])]
        row.compare(taken, log)


def dropped_database(row: Row, server: PrivatePostgres) -> None:
    """Drop the database in the middle of a review; a new one is not taken for it in silence."""
    server.execute("CREATE DATABASE dropped")
    with closing(PostgresLog(server.url("dropped"), "study")) as log:
        log.append([decision(1)])
        server.execute("DROP DATABASE dropped WITH (FORCE)")
        for words in (("dropped", "Look"), ("CREATE", "")):
            row.tried += 1
            try:
                log.append([decision(2)])
                row.unclear.append("nothing was said")
            except ReviewError as error:
                row.judge(str(error), *(words if words[1] else ("",)))
            server.execute("DROP DATABASE IF EXISTS dropped WITH (FORCE)", "CREATE DATABASE dropped")
