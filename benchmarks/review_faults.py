"""Faults while decisions are stored: every one that was taken must be there afterwards.

Run ``python benchmarks/review_faults.py``: programs that append one decision after another are killed at 200 random
moments on each database (``--kills`` for fewer), disks fill up, folders become read-only, files are locked, servers
are stopped. It prints a row a fault, and how long a commit takes; it exits non-zero where a decision was lost or
stored twice, where a message was unclear, or where a commit takes more than 10 ms (95th percentile).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "review"))

import numpy as np
import review_damage as more
from appending import CONTEXT, append_under_limit, asked, decision, hold, kill_at_random, open_at, start, try_as
from private_postgres import PrivatePostgres
from review_fault import Row, refused, small_disk

from cher2.errors import ReviewError
from cher2.review.sqlite_log import SqliteLog

MARK_MS = 10.0
NOBODY = 65534


def killed(row: Row, places: list[str], kills: int, folder: Path) -> None:
    """Kill appending programs at random moments; a few times on each place."""
    chance = random.Random(2036)
    for place in places:
        study, told = uuid.uuid4().hex, folder / uuid.uuid4().hex
        for _ in range(kills // len(places)):
            kill_at_random(place, study, told, chance)
            row.tried += 1
        with contextlib.closing(open_at(place, study)) as log:
            row.compare(told.read_text().split() if told.exists() else [], log)


def full_disk(row: Row, folder: Path) -> None:
    """Append until a small disk is full; then make room."""
    with small_disk(folder) as disk:
        if disk is None:
            stored, said, again = asked(append_under_limit, str(folder / "limited.sqlite"), "study", 1_000_000)
            row.tried, row.taken, row.lost = 1, stored + 1, int(again != stored + 1)
            row.judge(said, "the disk", "try again")
            return
        (disk / "filler").write_bytes(b"\0" * 400_000)
        with contextlib.closing(SqliteLog(disk / "reviews.sqlite", "study")) as log:
            taken, said = [], ""
            while not said:
                new = decision(len(taken))
                try:
                    taken += [entry.decision_id for entry in log.append([new])]
                except ReviewError as error:
                    said = str(error)
            row.tried += 1
            row.judge(said, "the disk is full", "Make room")
            (disk / "filler").unlink()
            row.compare(taken + [entry.decision_id for entry in log.append([new])], log)


def read_only(row: Row, folder: Path) -> None:
    """Append to a study folder that may only be read; as another user where we are root."""
    folder.chmod(0o755)
    study = folder / "read_only"
    study.mkdir()
    study.chmod(0o555)
    user = NOBODY if os.getuid() == 0 else None
    row.tried += 1
    row.judge(asked(try_as, user, str(study / "reviews.sqlite"), "study"), "cannot be written to", "Allow writing")
    study.chmod(0o777)
    row.lost += asked(try_as, user, str(study / "reviews.sqlite"), "study") != "stored"


def locked(row: Row, path: Path) -> None:
    """Append while another program holds the file."""
    with contextlib.closing(SqliteLog(path, "study", timeout_s=0.5)) as log:
        log.append([decision(0)])
        held, done = CONTEXT.Event(), CONTEXT.Event()
        holder = start(hold, str(path), held, done)
        held.wait(30)

        def let_go() -> None:
            done.set()
            holder.join(30)

        row.taken = 1
        refused(row, log, let_go, "another program holds", "try again")


def moved(row: Row, path: Path) -> None:
    """Append while the file is elsewhere."""
    with contextlib.closing(SqliteLog(path, "study")) as log:
        row.taken = len(log.append([decision(0)]))
        path.rename(path.with_name("elsewhere"))
        refused(row, log, lambda: path.with_name("elsewhere").rename(path), "removed, renamed or replaced", "back")


def damaged(row: Row, path: Path) -> None:
    """Append to a file of which half is overwritten."""
    with contextlib.closing(SqliteLog(path, "study")) as log:
        row.taken = len(log.append([decision(number) for number in range(500)]))
        log.close()
        whole = path.read_bytes()
        path.write_bytes(whole[:4096] + os.urandom(len(whole) - 4096))
        refused(row, log, lambda: path.write_bytes(whole), "damaged", "--restore")


def lost_server(row: Row, server: PrivatePostgres, times: int) -> None:
    """Append while the server is down; it crashes and comes back."""
    with contextlib.closing(open_at(server.url(), "study")) as log:
        for _ in range(times):
            row.taken += len(log.append([decision(0)]))
            server.stop(crash=True)
            refused(row, log, server.start, "the server", "Look whether")


def restarted_server(row: Row, server: PrivatePostgres, times: int) -> None:
    """Append, restart the server, append: the log connects again by itself."""
    with contextlib.closing(open_at(server.url(), "again")) as log:
        taken = []
        for number in range(times):
            row.tried += 1
            server.stop()
            server.start()
            taken += [entry.decision_id for entry in log.append([decision(number, study="again")])]
        row.compare(taken, log)


def bare_writes(path: Path, count: int = 300) -> None:
    """Print what the disk alone takes to write and synchronise a page: a commit cannot be quicker."""
    took = []
    with path.open("ab", buffering=0) as file:
        for _ in range(count):
            started = time.perf_counter()
            file.write(b"\0" * 4096)
            os.fsync(file.fileno())
            took.append(1000 * (time.perf_counter() - started))
    median, high = np.percentile(took, [50, 95])
    print(f"a page, disk only       median {median:6.2f} ms, 95th percentile {high:6.2f} ms")


def commits(place: str, count: int = 1000) -> bool:
    """Print the median and the 95th percentile of a commit in ms; return whether the mark is missed."""
    took = []
    with contextlib.closing(open_at(place, "commits")) as log:
        for number in range(count):
            new = [decision(number, study="commits")]
            started = time.perf_counter()
            log.append(new)
            took.append(1000 * (time.perf_counter() - started))
    median, high = np.percentile(took, [50, 95])
    missed = bool(high > MARK_MS)
    name = "PostgreSQL" if place.startswith("postgresql") else "SQLite"
    print(f"a commit, {name:<12} median {median:6.2f} ms, 95th percentile {high:6.2f} ms, mark {MARK_MS:g} ms", end="")
    print("  MISSED" if missed else "  reached")
    return missed


def fault_rows(kills: int = 200, tell: Callable[[Row], object] = print) -> list[Row]:
    """Try every fault; return a row of each.

    Parameters
    ----------
    kills : int
        Kills on each database.
    tell : callable
        Called with each row as soon as it is there.
    """
    rows: list[Row] = []

    def fault(name: str, call: Callable[..., None], *arguments: object) -> None:
        rows.append(Row(name))
        call(rows[-1], *arguments)
        tell(rows[-1])

    folder = Path(tempfile.mkdtemp(prefix="cher2-faults-"))
    server = PrivatePostgres(fsync=True)
    try:
        server.start()
        files = [str(folder / f"killed_{number}.sqlite") for number in range(10)]
        fault("SQLite: a program is killed", killed, files, kills, folder)
        rollback = [str(folder / f"rollback_{number}.sqlite") for number in range(10)]
        for file in rollback:
            SqliteLog(file, "made").close()
            more.stop_writing_ahead(Path(file), 1.0)
        fault("SQLite, as on a network: a program is killed", killed, rollback, kills, folder)
        for ahead in (True, False):
            name = f"SQLite{'' if ahead else ', as on a network'}: four programs write at once"
            fault(name, partial(more.many_writers, ahead=ahead), folder / f"many_{ahead}.sqlite")
        fault("SQLite: the disk is full", full_disk, folder)
        fault("SQLite: the disk is full in a session", more.session_on_full_disk, folder)
        fault("SQLite: the folder is read-only", read_only, folder)
        fault("SQLite: a reviewed study is read-only", more.reviewed_and_read_only, folder)
        fault("SQLite: no file can be opened any more", more.out_of_handles, folder / "handles.sqlite")
        fault("SQLite: the clock is set back", more.clock_set_back, folder / "clock.sqlite")
        fault("SQLite: another program holds the file", locked, folder / "locked.sqlite")
        fault("SQLite: the file is moved away", moved, folder / "moved.sqlite")
        fault("SQLite: the file is damaged, and put back", damaged, folder / "damaged.sqlite")
        for name, damage in more.DAMAGES.items():
            fault(f"SQLite: {name}, and restored", more.damaged_and_restored, folder, damage, max(1, kills // 20))
        fault("PostgreSQL: a program is killed", killed, [server.url()], kills, folder)
        fault("PostgreSQL: the server crashes and comes back", lost_server, server, 5)
        fault("PostgreSQL: the server restarts between decisions", restarted_server, server, 5)
        fault("PostgreSQL: connections are cut", more.cut_connection, server, 5)
        fault("PostgreSQL: wrong password, no such database", more.refused_by_server, server)
        fault("PostgreSQL: the database is dropped", more.dropped_database, server)
    finally:
        server.remove()
        shutil.rmtree(folder)
    return rows


def commit_times() -> bool:
    """Print what a commit takes on each database; return whether the mark is missed."""
    folder = Path(tempfile.mkdtemp(prefix="cher2-faults-"))
    server = PrivatePostgres(fsync=True)
    try:
        server.start()
        bare_writes(folder / "page")
        return sum(commits(place) for place in (str(folder / "commits.sqlite"), server.url())) > 0
    finally:
        server.remove()
        shutil.rmtree(folder)


def main() -> int:
    """Try every fault, print a row each; return 1 where anything went wrong."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--kills", type=int, default=200, help="kills on each database (default 200)")
    kills = options.parse_args().kills
    print(f"{'fault':<58}{'tried':>9}{'taken':>9}{'lost':>9}{'wrong':>9}{'unclear':>9}")
    rows = fault_rows(kills, lambda row: print(row, flush=True))
    for message in (message for row in rows for message in row.unclear):
        print(f"unclear: {message}")
    print()
    missed = commit_times()
    return int(any(row.failed for row in rows) or missed)


if __name__ == "__main__":
    raise SystemExit(main())
