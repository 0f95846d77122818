"""Programs killed in the middle of a review, or of an export: every decision shown as taken must be there afterwards.

Run ``python benchmarks/review_kills.py``: a scripted reader grades, skips, notes and takes back in a session on a
synthetic study, and tells each decision that the session calls stored; it is killed (SIGKILL) at 200 random moments
(``--kills`` for fewer), backup copies being made as in a window. Then exports of all decisions are killed as often: the
file must be whole or the one before. Prints how many decisions were told and how many are missing, doubled or in
another order; exits non-zero where any is, or where the log's chain is broken. Linux and macOS.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from cher2.batch.run import run_study
from cher2.exchange.export import export
from cher2.review.background_log import BackgroundLog
from cher2.review.decisions_csv import decisions_csv
from cher2.review.open_log import REVIEWS, open_log, open_to_write, stored_decisions
from cher2.review.session import ReviewSession
from cher2.review.sqlite_log import SqliteLog
from cher2.simulate.settings import StudySettings
from cher2.simulate.study import simulate_study
from cher2.study.folder import Study

SETTINGS = StudySettings(patients=4, frames_per_patient=1, frame_shape=(480, 640), ctcs_per_patient=20, seed=5)


def review(study: Study, reader: str, told: int, seed: int) -> None:
    """Review until killed; write a line for each decision that is shown as taken."""
    chance = random.Random(seed)
    session = ReviewSession(study, BackgroundLog(open_to_write(study)[0]), reader, "patient")
    while True:
        row = session.current
        action = chance.choice(["grade"] * 6 + ["not_ctc", "skip", "undo", "note"])
        stored = {
            "grade": lambda: session.grade(chance.randrange(4)),
            "not_ctc": session.not_ctc,
            "skip": session.skip,
            "undo": session.undo,
            "note": lambda: session.note("seen"),
        }[action]()
        while session.unsaved:
            # On a busy computer the window's patience may end first: what waits is stored and told before what follows.
            stored = session.retry()
        if stored:
            os.write(told, f"{action} {row}\n".encode())
        if row == int(session.order[-1]):
            session.go_to(int(session.order[0]))


def kill_one(study: Study, number: int, chance: random.Random) -> tuple[int, int]:
    """Let one reader begin and kill it; return how many decisions it told, and how many of them are not there."""
    reader, (hears, tells) = f"reader {number}", os.pipe()
    child = os.fork()
    if not child:
        os.close(hears)
        review(study, reader, tells, number)
    os.close(tells)
    first = os.read(hears, 1)
    time.sleep(chance.uniform(0, 0.3))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(hears, "rb") as stream:
        told = [
            line.split()[0]
            for line in (first + stream.read()).decode().splitlines()
            if line.endswith(tuple("0123456789"))
        ]
    with closing(open_log(study)) as log:
        there = [entry.action for entry in log.entries() if entry.reader == reader]
    # One more may be there than was told: stored, and killed before it was shown.
    lost = 0 if there[: len(told)] == told and len(there) <= len(told) + 1 else max(len(told) - len(there), 1)
    return len(told), lost


def kill_export(study: Study, out: Path, chance: random.Random) -> bool:
    """Let one program export decisions again and again, and kill it; return whether the file is a damaged one."""
    hears, tells = os.pipe()
    child = os.fork()
    if not child:
        os.write(tells, b".")
        while True:
            export(study, "decisions", out, force=True)
    os.read(hears, 1)
    time.sleep(chance.uniform(0, 0.3))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    for end in (hears, tells):
        os.close(end)
    return out.exists() and out.read_text(encoding="utf-8") != decisions_csv(stored_decisions(study))


@dataclass(frozen=True)
class KillRow:
    """What came of killing programs.

    Parameters
    ----------
    fault : str
    tried, lost, wrong : int
        Kills; decisions that were shown as taken and are missing, or stand in another order; damaged files and broken
        links of the chain.
    told : int
        Decisions that were shown as taken.
    """

    fault: str
    tried: int
    lost: int
    wrong: int
    told: int


def kill_rows(kills: int = 200) -> list[KillRow]:
    """Kill reviews and exports of a synthetic study at random moments; return a row of each."""
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as scratch:
        simulate_study(Path(scratch) / "synthetic", SETTINGS)
        run_study(Path(scratch) / "synthetic" / "images", Path(scratch) / "study", workers=1)
        study = Study(Path(scratch) / "study")
        counts = [kill_one(study, number, chance) for number in range(kills)]
        with closing(SqliteLog(study.path / REVIEWS, study.identity)) as log:
            broken, before = len(log.broken_entries()), len(log.entries())
        damaged = sum(kill_export(study, Path(scratch) / "decisions.csv", chance) for _ in range(kills))
        missing = before - len(stored_decisions(study))
    told, lost = (sum(column) for column in zip(*counts, strict=True))
    return [
        KillRow("a review is killed", kills, lost, broken, told),
        KillRow("an export of decisions is killed", kills, missing, damaged, before),
    ]


def main() -> int:
    """Run the benchmark; return 1 where a decision is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    rows = kill_rows(parser.parse_args().kills)
    for row in rows:
        print(
            f"{row.fault}: {row.tried} kills, {row.told} decisions shown as taken, {row.lost} missing or out of order, "
            f"{row.wrong} broken links or damaged files"
        )
    return int(any(row.lost or row.wrong or row.told < row.tried for row in rows))


if __name__ == "__main__":
    sys.exit(main())
