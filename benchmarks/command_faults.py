"""Commands that the system refuses something, and commands that meet: each says what is wrong, and nothing is broken.

A row a fault. What a command said must be clear (``fault_rows``); what it left must hold no table but of one state
(``command_kills``); and when the fault is over, the same command must bring what it brings undisturbed. Part of
``faults.py``.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

from command_kills import Ground, Trial, decisions_in, mixtures, trials
from fault_rows import Row
from forked_commands import PROGRAM, contents, difference

FAKE_TIME = "libfaketime.so.1"
DISK_KB = (40, 80, 120, 160, 240, 320, 400, 500, 600, 700, 800, 900, 1000, 1200, 1400)
FILE_BYTES = (0, 100, 1000, 4000, 16_000, 64_000)
HANDLES = (3, 4, 5, 6, 8, 10, 16, 24)
ROOT_OVERRIDES = (1, 2)
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH of linux/capability.h: without them, root is refused like anybody."""

TOGETHER = 10
COMMANDS = ("run", "regrade", "report", "compare", "export qupath", "export cellprofiler")

Prepare = Callable[[], object]


def as_anybody() -> None:
    """Give up root's right to files that are closed."""

    class Header(ctypes.Structure):
        _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))

    libc, head, sets = ctypes.CDLL(None, use_errno=True), Header(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert not libc.capget(ctypes.byref(head), ctypes.byref(sets))
    for capability in ROOT_OVERRIDES:
        sets[0] &= ~(1 << capability)
    assert not libc.capset(ctypes.byref(head), ctypes.byref(sets))


def limited(what: int, most: int) -> Prepare:
    """Return what sets a limit of the system."""
    return lambda: resource.setrlimit(what, (most, most))


def tried(row: Row, trial: Trial, prepare: Prepare, mend: Prepare = lambda: None, *, may_succeed: bool = True) -> None:
    """Carry out a command under a fault, and again when it is over."""
    row.tried += 1
    before = decisions_in(trial.place)
    command = trial.begin(prepare)
    code, said = command.wait(), command.said
    row.judge(code, said)
    if not may_succeed and code == 0:
        row.note_wrong(f"nothing was said: {said[-200:]}")
    wrong = difference(contents(trial.place), trial.new)
    if code == 0 and wrong:
        row.note_wrong(f"it says that all is done: {wrong}")
    for what in mixtures(trial):
        row.note_wrong(what)
    mend()
    code, said = trial.to_its_end()
    wrong = f"exit {code}: {said[-300:]}" if code else difference(contents(trial.place), trial.new)
    if wrong:
        row.note_wrong(f"when it is over, the same command gives {wrong}")
    row.lost += abs(before - decisions_in(trial.place))


def under_limits(trial: Trial, what: int, levels: Sequence[int]) -> Row:
    """Carry a command out under each of some limits."""
    row = Row("")
    trial.learn()
    for level in levels:
        trial.reset()
        tried(row, trial, limited(what, level))
    return row


def on_full_disks(trial: Trial) -> Row:
    """Carry a command out on disks of many sizes, until it fits."""
    row = Row("")
    trial.learn()
    own = {
        name: sum(path.stat().st_blocks * 512 for path in source.rglob("*")) for name, source in trial.before.items()
    }
    for room_kb in DISK_KB:
        shutil.rmtree(trial.place, ignore_errors=True)
        trial.place.mkdir(parents=True)
        size = sum(own.values()) // 1024 + room_kb
        mount = ["mount", "-t", "tmpfs", "-o"]
        subprocess.run([*mount, f"size={size}k", "none", trial.place], check=True)
        try:
            for name, source in trial.before.items():
                shutil.copytree(source, trial.place / name)
            more = [*mount, "remount,size=100m", "none", trial.place]
            tried(row, trial, lambda: None, lambda more=more: subprocess.run(more, check=True))
        finally:
            subprocess.run(["umount", trial.place], check=True)
    return row


def closed(trial: Trial, which: str, mode: int) -> Row:
    """Close a file or folder of a command, and open it again."""
    row = Row("")
    trial.learn()
    trial.reset()
    path = (trial.place / which).resolve()
    was = path.stat().st_mode
    path.chmod(mode)
    tried(row, trial, as_anybody, lambda: path.chmod(was))
    return row


def closed_image(ground: Ground) -> Row:
    """Close an image: it is named in errors.csv, and the others are scored."""
    trial, path = trials_of(ground)["run"], next(iter(sorted(ground.images.rglob("*.tif"))))
    row = Row("", tried=1)
    trial.learn()
    trial.reset()
    path.chmod(0)
    try:
        command = trial.begin(as_anybody)
        code = command.wait()
    finally:
        path.chmod(0o644)
    row.judge(code, command.said)
    errors = (trial.place / "study" / "errors.csv").read_text()
    if code != 1 or path.name not in errors or errors.count("\n") != 2:
        row.note_wrong(f"exit {code}: {errors}")
    if trial.to_its_end()[0] or difference(contents(trial.place), trial.new):
        row.note_wrong(f"then {difference(contents(trial.place), trial.new)}")
    return row


def at_once(trial: Trial) -> Row:
    """Start two of a command in the same instant: one is done, the other refused, or done after it."""
    row = Row("")
    trial.learn()
    for _ in range(TOGETHER):
        trial.reset()
        row.tried += 1
        pair = [trial.begin(log=f"log_{k}.txt") for k in range(2)]
        codes = [command.wait() for command in pair]
        for command, code, other in zip(pair, codes, reversed(pair), strict=True):
            row.judge(code, command.said)
            host, number = socket.gethostname(), f"process {other.process},"
            named = host in command.said and number in command.said
            if code == 2 and not named and "another program has written" not in command.said:
                row.note_wrong(f"it names nobody: {command.said[-300:]}")
        wrong = difference(contents(trial.place), trial.new)
        if 0 not in codes or wrong:
            row.note_wrong(f"{codes}: {wrong}")
    return row


def during_a_run(ground: Ground, words: Sequence[object]) -> Row:
    """Give a command while a run is under way and held still: it is refused and names the run, or only reads."""
    from forked_commands import carried_out

    row, run = Row("", tried=1), trials_of(ground)["regrade"]
    run.learn()
    run.reset()
    command = run.begin()
    while not (run.place / "study" / ".measured").is_dir():
        time.sleep(0.002)
    command.send(signal.SIGSTOP)
    given = [str(word).replace("STUDY", str(run.place / "study")) for word in words]
    code, said = carried_out(given, run.home / "other.txt")
    row.judge(code, said)
    if code != 2 or not (f"process {command.process}," in said or "still going on" in said):
        row.note_wrong(f"exit {code}: {said[-300:]}")
    command.send(signal.SIGCONT)
    code, wrong = command.wait(), difference(contents(run.place), run.new)
    if code or wrong:
        row.note_wrong(f"the run gave {code}, {wrong}")
    return row


def locks_left(ground: Ground) -> Row:
    """Leave locks of a dead process, of a number that another program has now, of another computer, and half a lock."""
    row, trial = Row(""), trials_of(ground)["regrade"]
    trial.learn()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    own = {
        "what": "run",
        "host": socket.gethostname(),
        "boot": boot,
        "process": 4_000_000,
        "began": "1",
        "since": "2026",
    }
    for left, refused in (
        (json.dumps(own), False),
        (json.dumps(own | {"process": 1}), False),
        (json.dumps(own | {"boot": "another"}), False),
        (json.dumps(own)[:30], False),
        ("", False),
        (json.dumps(own | {"boot": "another", "host": "elsewhere"}), True),
    ):
        trial.reset()
        lock = trial.place / "study" / ".lock"
        lock.write_text(left)
        if refused:
            tried(row, trial, lambda: None, lock.unlink, may_succeed=False)
        else:
            tried(row, trial, lambda: None)
    return row


def goes_away(trial: Trial, moved: bool, times: int = 12) -> Row:
    """Take the study away at many moments."""
    row = Row("")
    trial.learn()
    for k in range(times):
        trial.reset()
        row.tried += 1
        command = trial.begin()
        time.sleep(trial.seconds * (k + 0.5) / times)
        study = trial.place / "study"
        with suppress(FileNotFoundError):
            study.rename(trial.home / "moved") if moved else shutil.rmtree(study, ignore_errors=True)
        code = command.wait()
        row.judge(code, command.said)
        shutil.rmtree(trial.home / "moved", ignore_errors=True)
        trial.reset()
        code, said = trial.to_its_end()
        wrong = difference(contents(trial.place), trial.new)
        if code or wrong:
            row.note_wrong(f"then exit {code}: {wrong} {said[-200:]}")
    return row


def images_change(ground: Ground, times: int = 12) -> Row:
    """Exchange images of the same size and time while they are measured; the next run must find out."""
    row, home = Row(""), ground.home / "changing"
    shutil.copytree(ground.images, home / "images")
    files = sorted((home / "images").rglob("*.tif"))
    trial = Trial("run", ["run", home / "images", "-o", "STUDY", "--workers", 1], home / "trial")
    first = [path.read_bytes() for path in files]
    exchange(files)
    trial.learn()
    for k in range(times):
        trial.reset()
        for path, content in zip(files, first, strict=True):
            path.write_bytes(content)
        row.tried += 1
        command = trial.begin()
        time.sleep(trial.seconds * (k + 0.5) / times)
        exchange(files)
        row.judge(command.wait(), command.said)
        code, said = trial.to_its_end()
        wrong = difference(contents(trial.place), trial.new)
        if code or wrong:
            row.note_wrong(f"at {k}/{times}, then exit {code}: {wrong} {said[-200:]}")
    return row


def exchange(files: Sequence[Path]) -> None:
    """Exchange the bytes of some files in pairs, and give each the time that it had.

    Not of all: a folder of the same names and wholly other bytes is refused as another study's, and rightly.
    """
    files = files[: len(files) // 4 * 2]
    for one, other in zip(files[::2], files[1::2], strict=True):
        times = [(path.stat().st_atime_ns, path.stat().st_mtime_ns) for path in (one, other)]
        contents_of = [path.read_bytes() for path in (one, other)]
        for path, content, time_ns in zip((one, other), reversed(contents_of), times, strict=True):
            path.write_bytes(content)
            os.utime(path, ns=time_ns)


def clock_back(ground: Ground) -> Row:
    """Set the clock back by days between two runs, and exchange images in between."""
    row, home = Row(""), ground.home / "clock"
    shutil.copytree(ground.images, home / "images")
    files = sorted((home / "images").rglob("*.tif"))
    trial = Trial("run", ["run", home / "images", "-o", "STUDY", "--workers", 1], home / "trial")
    trial.learn()
    library = next(
        (
            str(path)
            for root in ("/usr/lib", os.environ.get("FAKETIME", "/usr/lib"))
            for path in Path(root).rglob(FAKE_TIME)
        ),
        "",
    )
    for days in ("-2d", "-3650d", "+1d"):
        row.tried += 1
        trial.reset()
        trial.to_its_end()
        exchange(files)
        words = [str(word).replace("STUDY", str(trial.place / "study")) for word in trial.words]
        environment = os.environ | ({"LD_PRELOAD": library, "FAKETIME": days} if library else {})
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM, *words], env=environment, capture_output=True, text=True, check=False
        )
        row.judge(ended.returncode, ended.stdout + ended.stderr)
        after = contents(trial.place)
        trial.reset()
        trial.to_its_end()
        wrong = difference(after, contents(trial.place))
        if ended.returncode or wrong:
            row.note_wrong(f"{days}: exit {ended.returncode}, {wrong}")
    return row


def unheard(trial: Trial, lines: int) -> Row:
    """Let whoever reads the output go after some lines, as ``| head`` does."""
    row = Row("", tried=1)
    trial.learn()
    trial.reset()
    words = [
        str(word).replace("STUDY", str(trial.place / "study")).replace("OUT", str(trial.place / "out"))
        for word in trial.words
    ]
    log = trial.home / "log.txt"
    with log.open("w") as errors:
        own = subprocess.Popen([sys.executable, "-c", PROGRAM, *words], stdout=subprocess.PIPE, stderr=errors)
    with closing(own.stdout):
        for _ in range(lines):
            own.stdout.readline()
    row.judge(own.wait(), log.read_text())
    for what in mixtures(trial):
        row.note_wrong(what)
    if trial.to_its_end()[0] or difference(contents(trial.place), trial.new):
        row.note_wrong(f"then {difference(contents(trial.place), trial.new)}")
    return row


_MADE: dict[Path, dict[str, Trial]] = {}


def trials_of(ground: Ground) -> dict[str, Trial]:
    """Return the commands, made once."""
    return _MADE.setdefault(ground.home, trials(ground))


def refusals(ground: Ground) -> Iterator[tuple[str, Callable[[], Row]]]:
    """Yield the rows, by name."""
    for name in COMMANDS:
        of = lambda name=name: trials_of(ground)[name]  # noqa: E731
        if os.geteuid() == 0:
            yield f"disk full at {len(DISK_KB)} levels: {name}", lambda of=of: on_full_disks(of())
        yield (
            f"files end at {len(FILE_BYTES)} sizes: {name}",
            lambda of=of: under_limits(of(), resource.RLIMIT_FSIZE, FILE_BYTES),
        )
        yield (
            f"out of file handles at {len(HANDLES)} levels: {name}",
            lambda of=of: under_limits(of(), resource.RLIMIT_NOFILE, HANDLES),
        )
    for name in ("regrade", "report", "compare", "export qupath"):
        of = lambda name=name: trials_of(ground)[name]  # noqa: E731
        for which, mode in (("study", 0o555), ("study", 0), ("study/images", 0o555), ("study/images", 0)):
            yield f"closed {which} {mode:o}: {name}", lambda of=of, which=which, mode=mode: closed(of(), which, mode)
    yield "closed parent: run", lambda: closed(trials_of(ground)["run"], ".", 0o555)
    yield "closed place: export qupath", lambda: closed(trials_of(ground)["export qupath"], "out", 0o555)
    yield "closed image: run", lambda: closed_image(ground)
    for name in ("run", "regrade", "report"):
        yield f"two at once: {name}", lambda name=name: at_once(trials_of(ground)[name])
    for words in (
        ["report", "STUDY"],
        ["compare", "STUDY", "--clinical", ground.clinical],
        ["run", ground.images, "-o", "STUDY", "--workers", 1],
        ["export", "STUDY", "--as", "mcmicro", "-o", ground.home / "during"],
    ):
        yield f"during a run: {words[0]}", lambda words=words: during_a_run(ground, words)
    yield "locks left behind", lambda: locks_left(ground)
    for name in ("run", "report"):
        for moved in (False, True):
            what = "moved" if moved else "deleted"
            yield (
                f"study {what} in the middle: {name}",
                lambda name=name, moved=moved: goes_away(trials_of(ground)[name], moved),
            )
    yield "images exchanged in the middle: run", lambda: images_change(ground)
    yield "clock set between two runs", lambda: clock_back(ground)
    for name in ("run", "report", "export qupath"):
        for lines in (0, 1):
            yield (
                f"output closed after {lines} lines: {name}",
                lambda name=name, lines=lines: unheard(trials_of(ground)[name], lines),
            )
