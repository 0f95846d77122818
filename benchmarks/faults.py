"""Every fault that cher2 is tried with, as one table: faults tried, decisions lost, wrong results, unclear messages.

Run ``python benchmarks/faults.py`` (``--times 200`` kills of each command, ``--only run,report`` for some rows, by
words of their names). Commands are killed and stopped at random moments, disks fill, files and folders are closed,
moved and changed, two commands meet in one study, workers and schedulers die; the readers' decisions have programs of
their own, ``review_kills.py`` and ``review_faults.py``, which are run too. It exits non-zero where anything but a fault
is counted. Linux; as root, for disks that fill and folders that are closed. It takes hours; docs/faults.md has the
figures.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from command_faults import refusals
from command_kills import Ground, kills, of_a_worker, of_all, of_parent, prepare, stops, trials
from fault_rows import HEAD, Row
from worker_faults import worker_rows

SIMULATE = """
from pathlib import Path
from cher2.simulate.settings import StudySettings
from cher2.simulate.study import simulate_study
few = {"leukocytes_per_frame": 8, "specks_per_frame": 3, "debris_per_frame": 1, "ctcs_per_patient": 6}
simulate_study(Path(PLACE), StudySettings(patients=4, frames_per_patient=2, frame_shape=(140, 160), seed=3, **few))
"""
"""In a process of its own: this one is to have used no library when it forks."""

REVIEW = (
    ("review_kills.py", "readers' decisions, a session killed"),
    ("review_faults.py", "readers' decisions, databases"),
)


def killed_rows(ground: Ground, times: int) -> Iterator[tuple[str, Callable[[], Row]]]:
    """Yield the rows of killed and stopped commands, by name."""
    all_trials = trials(ground)
    for name, trial in all_trials.items():
        if name != "run, workers":
            yield f"SIGKILL: {trial.name}", lambda trial=trial: kills(trial, times, of_all)
    workers = all_trials["run, workers"]
    for who, send in (("all", of_all), ("only the parent", of_parent), ("one worker", of_a_worker)):
        yield f"SIGKILL of {who}: {workers.name}", lambda send=send: kills(workers, times, send)
    for number, few in ((signal.SIGINT, 4), (signal.SIGTERM, 4), (signal.SIGHUP, 8)):
        for name in ("run", "run, workers", "report"):
            trial = all_trials[name]
            label = f"{signal.Signals(number).name}: {trial.name}"
            yield label, lambda trial=trial, number=number, few=few: stops(trial, max(1, times // few), number)


def review_rows(times: int) -> Iterator[tuple[str, Callable[[], Row]]]:
    """Yield the rows of the programs for readers' decisions, as they end."""
    for program, name in REVIEW:
        yield name, lambda program=program, name=name: _review(program, name, times)


def _review(program: str, name: str, times: int) -> Row:
    words = [sys.executable, str(Path(__file__).with_name(program)), "--kills", str(times)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    print(ended.stdout, flush=True)
    row = Row(name, tried=times)
    if ended.returncode:
        row.lost += 1
        row.told.append(f"{program} ended with {ended.returncode}: {(ended.stdout + ended.stderr)[-1500:]}")
    return row


def main() -> int:
    """Try every fault, print a row each; return 1 where anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=200, help="kills of each command")
    parser.add_argument("--only", default="", help="words of rows' names, separated by commas")
    options = parser.parse_args()
    wanted, rows = [word.strip() for word in options.only.split(",")], []
    print(HEAD)
    with tempfile.TemporaryDirectory(prefix="cher2-faults-") as scratch:
        home = Path(scratch)
        subprocess.run([sys.executable, "-c", SIMULATE.replace("PLACE", repr(str(home / "synthetic")))], check=True)
        ground = prepare(home, home / "synthetic")
        groups = (killed_rows(ground, options.times), refusals(ground), worker_rows(home), review_rows(options.times))
        for name, call in (one for group in groups for one in group):
            if any(word in name for word in wanted):
                row = call()
                row.fault = name
                rows.append(row)
                print(row, *row.told[:5], sep="\n    ", flush=True)
    total = Row("all", *(sum(getattr(row, name) for row in rows) for name in ("tried", "lost", "wrong", "unclear")))
    print(total)
    return int(any(row.failed for row in rows))


if __name__ == "__main__":
    sys.exit(main())
