"""Many readers at once on one log of decisions: none lost, none doubled, the chain whole, each reader's order kept.

Run ``python benchmarks/load.py``: 20 scripted readers, a process each, grade 10,000 cells each on a PostgreSQL server
of its own (``fsync`` on), through the session that the window uses; before them one reader alone, and after them what
a log of 200,000 decisions costs to read. ``--sqlite`` takes a file and 4 readers; ``--readers``, ``--decisions`` for
fewer. Readers do not pause, which no human does: 20 humans decide some 10 times a second together. More processes than
cores share the cores, so a commit's time here holds much waiting for a core. One more process only looks on and asks
again and again. Exits non-zero where a decision is missing, doubled or out of order, where the chain is broken, or
where a commit takes longer than its mark. Linux and macOS.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "review"))

import numpy as np
from large_study import write_study
from marks import Figure, print_figures
from private_postgres import PrivatePostgres
from watched_run import run

from cher2.review.background_log import BackgroundLog
from cher2.review.decisions import Decision, utc_now
from cher2.review.log import DecisionLog
from cher2.review.open_log import REVIEWS, open_log
from cher2.review.session import ReviewSession
from cher2.study.folder import Study

READERS, SQLITE_READERS, DECISIONS, ALONE = 20, 4, 10_000, 500
CELLS, IMAGES = 10_000, 100
LONG, FILLED_AT_ONCE = 200_000, 20_000
"""Decisions of the log that is read afterwards: where readers made fewer, others are added."""
LOOK_EVERY_S = 0.2
PATIENCE_S = 60.0
MOST_COMMIT_MS = 1000.0
"""95th percentile with all readers at once: what a window waits before it goes on without (``PATIENCE_S`` of
:mod:`cher2.review.background_log`)."""

READ = """
import sys
from cher2.review.open_log import stored_decisions
from cher2.study.folder import Study
stored_decisions(Study(sys.argv[1]), sys.argv[2])
"""
CHAIN = """
import sys
from cher2.review.open_log import open_log
from cher2.study.folder import Study
assert not open_log(Study(sys.argv[1]), sys.argv[2]).broken_entries()
"""
SESSION = """
import sys
from cher2.review.open_log import open_log
from cher2.review.session import ReviewSession
from cher2.study.folder import Study
ReviewSession(Study(sys.argv[1]), open_log(Study(sys.argv[1]), sys.argv[2]), "late")
"""
PATIENTS = """
import sys
from cher2.report.derive import summarise_study
from cher2.study.folder import Study
summarise_study(Study(sys.argv[1]), sys.argv[2])
"""
AFTERWARDS = {
    "the log read": READ,
    "its chain checked": CHAIN,
    "a review opened": SESSION,
    "patients summed up": PATIENTS,
}


@dataclass(frozen=True)
class Told:
    """What a reader was told: the decisions called stored, in order, and the milliseconds each took."""

    reader: str
    decisions: list[str]
    commits_ms: list[float]
    waits_ms: list[float]


class TimedLog:
    """A log that notes how long each append takes, and what it stored."""

    def __init__(self, log: DecisionLog) -> None:
        self._log = log
        self.commits_ms: list[float] = []
        self.stored: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._log, name)

    def append(self, decisions: Sequence[Decision]) -> list[Decision]:
        """Append, and take the time."""
        started = time.perf_counter()
        stored = self._log.append(decisions)
        self.commits_ms.append(1000 * (time.perf_counter() - started))
        self.stored += [decision.decision_id for decision in stored]
        return stored


def read(study: Study, place: str, number: int, count: int, ready: Barrier, tell: Connection) -> None:
    """Grade one cell after the other; tell what was called stored."""
    log = TimedLog(BackgroundLog(open_log(study, place), PATIENCE_S))
    session = ReviewSession(study, log, f"reader {number:02d}")
    cells, waits = session.order.tolist(), []
    # Readers begin at different cells, and all come to all of them.
    session.go_to(cells[number * len(cells) // READERS % len(cells)])
    ready.wait()
    for turn in range(count):
        started, row = time.perf_counter(), session.current
        if not session.grade((turn + number) % 4):
            raise SystemExit("a decision was not stored")
        waits.append(1000 * (time.perf_counter() - started))
        if session.current == row:
            session.go_to(cells[0])
    session.close()
    tell.send(Told(session.reader, log.stored, log.commits_ms, waits))


def look_on(study: Study, place: str, ready: Barrier, over: Event, tell: Connection) -> None:
    """Ask for new decisions again and again; tell how many milliseconds after each was made it was seen."""
    delays: list[float] = []
    with closing(open_log(study, place)) as log:
        ready.wait()
        last = 0
        while not over.wait(LOOK_EVERY_S):
            new = log.entries(last)
            now = time.time()
            delays += [1000 * (now - datetime.fromisoformat(entry.decided_at).timestamp()) for entry in new]
            last = new[-1].entry if new else last
    tell.send(delays)


def read_at_once(study: Study, place: str, readers: int, count: int) -> tuple[list[Told], list[float], float]:
    """Let readers read at once; return what each was told, the delays of the one who looks on, and the seconds."""
    # Forked, so that 20 readers need not import everything 20 times on few cores; no thread runs here yet.
    context = multiprocessing.get_context("fork")
    ready, over = context.Barrier(readers + 2), context.Event()
    pipes = [context.Pipe(duplex=False) for _ in range(readers + 1)]
    work = [(read, (study, place, number, count, ready, pipes[number][1])) for number in range(readers)]
    processes = [context.Process(target=target, args=given) for target, given in work]
    processes.append(context.Process(target=look_on, args=(study, place, ready, over, pipes[-1][1])))
    for process in processes:
        process.start()
    for _, end in pipes:
        # A reader that dies is told by the end of its pipe.
        end.close()
    ready.wait(600)
    started = time.perf_counter()
    told = [hear.recv() for hear, _ in pipes[:-1]]
    seconds = time.perf_counter() - started
    over.set()
    delays = pipes[-1][0].recv()
    for process in processes:
        process.join(PATIENCE_S)
    return told, delays, seconds


def faults(study: Study, place: str, told: Sequence[Told]) -> list[Figure]:
    """Compare what readers were told with what is stored."""
    with closing(open_log(study, place)) as log:
        stored, broken = log.entries(), log.broken_entries()
    of_reader: dict[str, list[str]] = {}
    for entry in stored:
        of_reader.setdefault(entry.reader, []).append(entry.decision_id)
    known = {entry.decision_id for entry in stored}
    out_of_order = sum(of_reader.get(one.reader) != one.decisions for one in told)
    return [
        Figure("decisions told as stored", "", [sum(len(one.decisions) for one in told)]),
        Figure("lost", "", [sum(len(set(one.decisions) - known) for one in told)], most=0),
        Figure("doubled", "", [len(stored) - len(known)], most=0),
        Figure("entries out of their numbers", "", [sum(e.entry != n for n, e in enumerate(stored, 1))], most=0),
        Figure("readers whose order is not kept", "", [out_of_order], most=0),
        Figure("broken places of the chain", "", [len(broken)], most=0),
    ]


def speed(title: str, told: Sequence[Told], seconds: float, most: float | None = None) -> list[Figure]:
    """Return how long commits took; the readers' wait holds what the session does around them."""
    commits = np.concatenate([one.commits_ms for one in told])
    waits = np.concatenate([one.waits_ms for one in told])
    return [
        Figure(f"{title}: commits a second", "/s", [len(commits) / seconds]),
        Figure(f"{title}: a commit, median", "ms", [np.median(commits)]),
        Figure(f"{title}: a commit, 95th percentile", "ms", [np.percentile(commits, 95)], most=most),
        Figure(f"{title}: until the next cell, 95th perc.", "ms", [np.percentile(waits, 95)]),
    ]


def fill(study: Study, place: str, entries: int) -> int:
    """Append further decisions, many at a time, until the log has so many; return how many it has."""
    with closing(open_log(study, place)) as log:
        known = log.entries()
        for start in range(len(known), entries, FILLED_AT_ONCE):
            some = (known[number % len(known)] for number in range(start, min(start + FILLED_AT_ONCE, entries)))
            log.append([replace(one, decision_id=uuid.uuid4().hex, decided_at=utc_now(), entry=0) for one in some])
        return max(len(known), entries)


def load(home: Path, place: str, readers: int, count: int, name: str) -> bool:
    """Print the tables of one database; return whether a mark is missed."""
    study, lone = Study(home / "study"), Study(home / "lone")
    for made in (study, lone):
        write_study(made.path, 2 * CELLS, IMAGES, 0.5)
    alone, _, alone_s = read_at_once(lone, place, 1, min(ALONE, count))
    told, delays, seconds = read_at_once(study, place, readers, count)
    figures = [
        *faults(study, place, told),
        *speed("one reader alone", alone, alone_s),
        *speed("all at once", told, seconds, MOST_COMMIT_MS),
        Figure("another's decision seen after, median", "ms", [np.median(delays)]),
        Figure("the same, 95th percentile", "ms", [np.percentile(delays, 95)]),
    ]
    title = f"{name}: {readers} readers with {count:,} decisions each, without pauses, on {os.cpu_count()} cores"
    missed = print_figures(title, figures)
    entries, after = fill(study, place, LONG), []
    for what, program in AFTERWARDS.items():
        took = run(program, study.path, place)
        after += [Figure(what, "s", [took.seconds]), Figure("  its peak memory", "MB", [took.own_mb])]
    return print_figures(f"A log of {entries:,} decisions, with Python's start", after) or missed


def main() -> int:
    """Run the benchmark; return 1 where a decision is missing or a mark is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sqlite", action="store_true", help="a SQLite file instead of a PostgreSQL server")
    parser.add_argument("--readers", type=int, help=f"{READERS}, with --sqlite {SQLITE_READERS}")
    parser.add_argument("--decisions", type=int, default=DECISIONS, help=f"of each reader; {DECISIONS:,}")
    given = parser.parse_args()
    print(f"{time.strftime('%Y-%m-%d')}, load {os.getloadavg()[0]:.1f} before the start")
    with tempfile.TemporaryDirectory() as scratch:
        if given.sqlite:
            return int(load(Path(scratch), "", given.readers or SQLITE_READERS, given.decisions, REVIEWS))
        server = PrivatePostgres(fsync=True)
        try:
            server.start()
            return int(load(Path(scratch), server.url(), given.readers or READERS, given.decisions, "PostgreSQL"))
        finally:
            server.remove()


if __name__ == "__main__":
    sys.exit(main())
