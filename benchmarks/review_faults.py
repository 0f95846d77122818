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
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "review"))

import numpy as np
from appending import CONTEXT, append_under_limit, asked, decision, hold, kill_at_random, open_at, start, try_as
from private_postgres import PrivatePostgres

from cher2.errors import ReviewError
from cher2.review.log import DecisionLog
from cher2.review.sqlite_log import SqliteLog

MARK_MS = 10.0
NOBODY = 65534


@dataclass
class Row:
    """What came of one fault."""

    fault: str
    tried: int = 0
    taken: int = 0
    lost: int = 0
    doubled: int = 0
    unclear: list[str] = field(default_factory=list)

    def compare(self, taken: list[str], log: DecisionLog) -> None:
        """Count the decisions that were taken, and those of them that the log does not hold just once."""
        stored = [entry.decision_id for entry in log.entries()]
        self.taken += len(taken)
        self.lost += len(set(taken) - set(stored)) + len(log.broken_entries())
        self.doubled += len(stored) - len(set(stored))

    def judge(self, message: str, *words: str) -> None:
        """Keep a message that does not say what is wrong, where and what to do, in one line."""
        if not all(word in message for word in words) or message.count(". ") < 1 or len(message) > 400:
            self.unclear.append(message)

    @property
    def failed(self) -> bool:
        """Whether anything went wrong."""
        return bool(self.lost or self.doubled or self.unclear)

    def __str__(self) -> str:
        numbers = (self.tried, self.taken, self.lost, self.doubled, len(self.unclear))
        return f"{self.fault:<52}" + "".join(f"{number:>9}" for number in numbers)


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


def refused(row: Row, log: DecisionLog, mend: Callable[[], object], *words: str) -> None:
    """Append during a fault, then the same again after it; what had been stored before must still be there."""
    row.tried += 1
    before = [entry.decision_id for entry in log.append([decision(1), decision(2)])] if not row.taken else []
    new = [decision(3), decision(4)]
    try:
        log.append(new)
        row.unclear.append("nothing was said")
    except ReviewError as error:
        row.judge(str(error), *words)
    mend()
    row.compare(before + [entry.decision_id for entry in log.append(new)], log)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """Mount a disk of 1 MB; give None where the system does not let us."""
    disk = folder / "small"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]
    mounted = os.getuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield disk if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", disk], check=True)


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
        refused(row, log, lambda: path.write_bytes(whole), "damaged", "backup")


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


def main() -> int:
    """Try every fault, print a row each; return 1 where anything went wrong."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--kills", type=int, default=200, help="kills on each database (default 200)")
    kills = options.parse_args().kills
    rows: list[Row] = []

    def fault(name: str, call: Callable[..., None], *arguments: object) -> None:
        rows.append(Row(name))
        call(rows[-1], *arguments)
        print(rows[-1], flush=True)

    folder = Path(tempfile.mkdtemp(prefix="cher2-faults-"))
    server = PrivatePostgres(fsync=True)
    try:
        server.start()
        print(f"{'fault':<52}{'tried':>9}{'taken':>9}{'lost':>9}{'doubled':>9}{'unclear':>9}")
        files = [str(folder / f"killed_{number}.sqlite") for number in range(10)]
        fault("SQLite: a program is killed", killed, files, kills, folder)
        fault("SQLite: the disk is full", full_disk, folder)
        fault("SQLite: the folder is read-only", read_only, folder)
        fault("SQLite: another program holds the file", locked, folder / "locked.sqlite")
        fault("SQLite: the file is moved away", moved, folder / "moved.sqlite")
        fault("SQLite: the file is damaged, and restored", damaged, folder / "damaged.sqlite")
        fault("PostgreSQL: a program is killed", killed, [server.url()], kills, folder)
        fault("PostgreSQL: the server crashes and comes back", lost_server, server, 5)
        fault("PostgreSQL: the server restarts between decisions", restarted_server, server, 5)
        print()
        bare_writes(folder / "page")
        missed = [commits(place) for place in (str(folder / "commits.sqlite"), server.url())]
    finally:
        server.remove()
        shutil.rmtree(folder)
    for message in (message for row in rows for message in row.unclear):
        print(f"unclear: {message}")
    return int(any(row.failed for row in rows) or any(missed))


if __name__ == "__main__":
    raise SystemExit(main())
