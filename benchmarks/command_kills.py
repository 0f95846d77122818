"""Commands killed and stopped at random moments; what they leave, and what the same command makes of it.

A row a command. After each kill, the study must hold no table and no folder but whole ones, all of before or all of
after; after a few, the same command must bring the bytes of an undisturbed one, and leave nothing else behind.
Part of ``faults.py``.
"""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from fault_rows import Row
from forked_commands import Command, carried_out, contents, difference, family_of, start, start_fresh

from cher2.report.derive import PAGE, TABLES

KILLS_A_STUDY = 4
"""Kills before a command is let to its end."""

STOP_S, LEAVE_S = 2.0, 5.0
IN_AN_IMAGE = {"labels.tif", "measured.parquet", "objects.parquet", "score.json"}
NEW_CUTOFFS = "[grade]\ncutoffs = [20.0, 90.0, 300.0]\n"
FORMS = ("qupath", "labels", "mcmicro", "cellprofiler", "decisions", "anndata")
ONE_FILE = {"decisions": "decisions.csv", "anndata": "cells.h5ad"}
INDEX = {"cellprofiler": "Image.csv"}


@dataclass
class Trial:
    """A command, from where it begins, and what it is to give.

    Parameters
    ----------
    name : str
    words : list
        Of the command; STUDY and OUT stand for its places.
    home : Path
        An empty folder for it.
    before : dict of Path
        What is there at first, by the name that it gets.
    fresh : bool
        In a Python of its own, with worker processes.
    """

    name: str
    words: list[object]
    home: Path
    before: dict[str, Path] = field(default_factory=dict)
    fresh: bool = False
    old: dict[str, str] = field(default_factory=dict)
    new: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def place(self) -> Path:
        """Where it works."""
        return self.home / "work"

    def reset(self) -> None:
        """Bring back what was there at first."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(parents=True)
        for name, source in self.before.items():
            shutil.copytree(source, self.place / name)

    def begin(self, prepare: Callable[[], object] | None = None, log: str = "log.txt") -> Command:
        """Start the command; what prepares its process is called there first."""
        words = [str(word).replace("STUDY", str(self.place / "study")) for word in self.words]
        words = [word.replace("OUT", str(self.place / "out")) for word in words]
        if self.fresh:
            return start_fresh(words, self.home / log)
        return start(words, self.home / log, prepare or (lambda: None))

    def to_its_end(self) -> tuple[int, str]:
        """Carry the command out undisturbed."""
        command = self.begin()
        return command.wait(), command.said

    def learn(self) -> None:
        """Find out, once, what it gives undisturbed, and how long it takes."""
        took: list[float] = []
        if self.new:
            return
        for _ in range(2):
            self.reset()
            self.old, began = contents(self.place), time.monotonic()
            code, said = self.to_its_end()
            took.append(time.monotonic() - began)
            if code:
                raise SystemExit(f"{self.name}: {said}")
        self.new, self.seconds = contents(self.place), statistics.median(took)


def kills(trial: Trial, times: int, send: Callable[[Command, random.Random], bool], seed: int = 36) -> Row:
    """Kill a command at random moments of its whole time."""
    row, chance = Row(trial.name), random.Random(seed)
    trial.learn()
    trial.reset()
    since, decisions = 0, decisions_in(trial.place)
    for _ in range(3 * times):
        if row.tried >= times:
            break
        command = trial.begin()
        time.sleep(chance.uniform(0, trial.seconds))
        family = family_of(command.process)
        hit = send(command, chance)
        code = command.wait()
        row.tried += hit
        since += 1
        row.lost += abs(decisions - decisions_in(trial.place))
        if hit and code != -signal.SIGKILL:
            row.judge(code, command.said)
        _, left = psutil.wait_procs([one for one in family if one.pid != command.process], timeout=LEAVE_S)
        if left:
            row.note_wrong(f"still there after {LEAVE_S} s: {left}")
        for what in mixtures(trial):
            row.note_wrong(what)
        if since >= KILLS_A_STUDY or not hit:
            since = 0
            code, said = trial.to_its_end()
            wrong = f"exit {code}: {said[-300:]}" if code else difference(contents(trial.place), trial.new)
            if wrong:
                row.note_wrong(f"after {KILLS_A_STUDY} kills, the same command gave {wrong}")
            trial.reset()
    return row


def mixtures(trial: Trial) -> list[str]:
    """Return what a killed command has left that looks like a result and is none, or two results side by side."""
    found, wrong = contents(trial.place), []
    tables = [f"study/{name}" for name in (*TABLES, PAGE)]
    if not all_of(found, trial.old, tables) and not all_of(found, trial.new, tables):
        wrong.append(f"tables of two states: {difference(found, trial.new)}")
    for folder in (trial.place / "study" / "images").glob("*"):
        files = {path.name for path in folder.iterdir()}
        if files != IN_AN_IMAGE:
            wrong.append(f"{folder.name} holds {sorted(files)}")
    exported = {name for name in found | trial.old | trial.new if name.startswith("out/")}
    listed = any(name in found for name in ("out/images.csv", "out/Image.csv"))
    whole = [
        {name: found.get(name) for name in exported} == {name: one.get(name) for name in exported}
        for one in (trial.old, trial.new)
    ]
    shown = {name: found[name] for name in exported if name in found and "/." not in name}
    if (
        listed
        and shown not in ({name: one[name] for name in exported if name in one} for one in (trial.old, trial.new))
        and not any(whole)
    ):
        wrong.append(f"an export that looks whole is not: {difference(found, trial.new)}")
    for name in shown:
        if shown[name] not in (trial.old.get(name), trial.new.get(name)):
            wrong.append(f"{name} is neither the old nor the new one")
    return wrong


def decisions_in(place: Path) -> int:
    """Return how many decisions a study holds."""
    path = place / "study" / "reviews.sqlite"
    if not path.is_file():
        return 0
    with closing(sqlite3.connect(path)) as log:
        return int(log.execute("select count(*) from decisions").fetchone()[0])


def all_of(found: dict[str, str], wanted: dict[str, str], names: Sequence[str]) -> bool:
    """Say whether those of some files that are there are the wanted ones."""
    return all(found[name] == wanted.get(name) for name in names if name in found)


def of_all(command: Command, chance: random.Random) -> bool:
    """Kill a command with all that it has started."""
    return command.send(signal.SIGKILL)


def of_parent(command: Command, chance: random.Random) -> bool:
    """Kill only the command itself: its workers must end by themselves."""
    return command.send(signal.SIGKILL, group=False)


def of_a_worker(command: Command, chance: random.Random) -> bool:
    """Kill one worker process, where there is one, and let the command go on."""
    family = family_of(command.process)
    servers = [one for one in family if "forkserver" in " ".join(_words(one))]
    workers = [child for one in servers for child in one.children()]
    if not workers:
        return False
    chance.choice(workers).kill()
    return True


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def stopped_by(number: int) -> Callable[[Command, random.Random], bool]:
    """Return what sends a signal as a terminal or a batch system does: to the whole group."""

    def send(command: Command, chance: random.Random) -> bool:
        return command.send(number)

    return send


def stops(trial: Trial, times: int, number: int, seed: int = 8) -> Row:
    """Stop a command by a signal: it must say so and end, with all that it has started, in two seconds."""
    row, chance, slowest = Row(trial.name), random.Random(seed), 0.0
    trial.learn()
    for _ in range(times):
        trial.reset()
        command = trial.begin()
        time.sleep(chance.uniform(0.1 if not trial.fresh else 0.5, trial.seconds))
        family, began = family_of(command.process), time.monotonic()
        hit = command.send(number)
        code = command.wait()
        took = time.monotonic() - began
        if code == 0:
            continue
        row.tried += hit
        slowest = max(slowest, took)
        row.judge(code, command.said)
        if took > STOP_S:
            row.note_wrong(f"it took {took:.1f} s to stop")
        _, left = psutil.wait_procs([one for one in family if one.pid != command.process], timeout=LEAVE_S)
        for what in [*mixtures(trial), *([f"still there: {left}"] if left else [])]:
            row.note_wrong(what)
    code, said = trial.to_its_end()
    wrong = f"exit {code}: {said[-300:]}" if code else difference(contents(trial.place), trial.new)
    if wrong:
        row.note_wrong(f"the same command gave {wrong}")
    row.slowest_s = slowest
    return row


@dataclass(frozen=True)
class Ground:
    """What the trials begin from: synthetic images, a study of them, the same with decisions, a protocol."""

    home: Path
    images: Path
    clinical: Path
    protocol: Path
    scored: Path
    reviewed: Path


def prepare(home: Path, synthetic: Path) -> Ground:
    """Score a synthetic study, and put decisions into a copy of it."""
    ground = Ground(
        home,
        synthetic / "images",
        synthetic / "clinical.csv",
        home / "protocol.toml",
        home / "scored",
        home / "reviewed",
    )
    ground.protocol.write_text(NEW_CUTOFFS)
    log = home / "log.txt"
    words = ["run", ground.images, "-o", ground.scored, "--workers", 1, "--clinical", ground.clinical]
    _must(carried_out(words, log))
    shutil.copytree(ground.scored, ground.reviewed)
    rows = (ground.scored / "cells.csv").read_text().splitlines()
    column = rows[0].split(",").index
    image, number = column("image"), column("object_id")
    graded = [f"{cells[image]},{cells[number]},{k % 4}" for k, cells in enumerate(row.split(",") for row in rows[1:])]
    (home / "decisions.csv").write_text("\n".join(["image,object_id,grade", *graded]) + "\n")
    _must(carried_out(["import", ground.reviewed, home / "decisions.csv", "--reader", "A"], log))
    return ground


def _must(ended: tuple[int, str]) -> None:
    if ended[0]:
        raise SystemExit(ended[1])


def trials(ground: Ground) -> dict[str, Trial]:
    """Return the commands that are killed, by name."""
    run = ["run", ground.images, "-o", "STUDY", "--workers", 1]
    two = [*run[:-1], 2]
    regrade = [*run, "--protocol", ground.protocol]
    scored, reviewed = {"study": ground.scored}, {"study": ground.reviewed}
    exports = ground.home / "exports"
    found = {
        "run": Trial("run", run, ground.home / "run"),
        "run, workers": Trial("run, two workers", two, ground.home / "workers", fresh=True),
        "regrade": Trial("run, new cut-offs", regrade, ground.home / "regrade", scored),
        "report": Trial("report, by new decisions", ["report", "STUDY"], ground.home / "report", reviewed),
        "compare": Trial(
            "compare", ["compare", "STUDY", "--clinical", ground.clinical], ground.home / "compare", reviewed
        ),
    }
    for form in FORMS:
        out = f"OUT/{ONE_FILE.get(form, '')}".rstrip("/")
        older = exports / form
        if form != "decisions":
            older.mkdir(parents=True, exist_ok=True)
            place = older / ONE_FILE.get(form, "")
            _must(carried_out(["export", ground.scored, "--as", form, "-o", place, "--force"], ground.home / "log.txt"))
        before = {"study": ground.reviewed} | ({"out": older} if form != "decisions" else {})
        words = ["export", "STUDY", "--as", form, "-o", out, "--force"]
        found[f"export {form}"] = Trial(f"export --as {form}, over an older one", words, ground.home / form, before)
    return found
