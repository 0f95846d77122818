"""Readers killed in the middle of a review: every decision that was shown as taken must be there afterwards.

Run ``python benchmarks/review_kills.py``: a scripted reader grades, skips, notes and takes back in a session on a
synthetic study, and tells each decision that the session calls stored; it is killed (SIGKILL) at 200 random moments
(``--kills`` for fewer). Prints how many decisions were told and how many are missing, doubled or in another order;
exits non-zero where any is, or where the log's chain is broken. Linux and macOS.
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
from pathlib import Path

from cher2.batch.run import run_study
from cher2.review.background_log import BackgroundLog
from cher2.review.open_log import REVIEWS, open_log
from cher2.review.session import ReviewSession
from cher2.review.sqlite_log import SqliteLog
from cher2.simulate.settings import StudySettings
from cher2.simulate.study import simulate_study
from cher2.study.folder import Study

SETTINGS = StudySettings(patients=4, frames_per_patient=1, frame_shape=(480, 640), ctcs_per_patient=20, seed=5)


def review(study: Study, reader: str, told: int, seed: int) -> None:
    """Review until killed; write a line for each decision that is shown as taken."""
    chance = random.Random(seed)
    session = ReviewSession(study, BackgroundLog(open_log(study)), reader, "patient")
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


def main() -> int:
    """Run the benchmark; return 1 where a decision is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    kills, chance = parser.parse_args().kills, random.Random(0)
    with tempfile.TemporaryDirectory() as scratch:
        simulate_study(Path(scratch) / "synthetic", SETTINGS)
        run_study(Path(scratch) / "synthetic" / "images", Path(scratch) / "study", workers=1)
        study = Study(Path(scratch) / "study")
        counts = [kill_one(study, number, chance) for number in range(kills)]
        with closing(SqliteLog(study.path / REVIEWS, study.identity)) as log:
            broken = len(log.broken_entries())
    told, lost = (sum(column) for column in zip(*counts, strict=True))
    print(f"{kills} kills, {told} decisions shown as taken, {lost} missing or out of order, {broken} broken links")
    return int(bool(lost or broken or told < kills))


if __name__ == "__main__":
    sys.exit(main())
