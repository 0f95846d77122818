"""A night of hostile input: every reader of cher2 is given files that were changed at random, by the ten thousands.

Run ``python benchmarks/fuzz.py`` (``--inputs``, ``--seed``, ``--reader``, ``--seconds``). Only a ``Cher2Error`` or a
sound result may come out, without a word on the terminal, within 5 s of the processor's time and in bounded memory.
Readers run in processes of their own: what kills one, a codec's crash or a loop without end, is a finding like any
other. A finding is a file with the input, its seed and the traceback; ``--replay FILE`` gives it to its reader again.
The inputs and what is sound of a result are those of ``tests/fuzzing``.
"""

from __future__ import annotations

import argparse
import base64
import faulthandler
import json
import os
import pickle
import queue
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fuzzing"))

import psutil
from fuzzed_readers import READERS, Input, hostile_input, read_hostile
from sound_inputs import Sound, sound_inputs

MOST_S = 5.0
"""Most seconds of the processor's time for an input."""

START_S = 60.0
"""Most seconds of the processor's time until the libraries are loaded."""

PATIENCE_S = 120.0
"""Most seconds by the clock: other work may run on the machine."""

ROOM_BYTES = 2 << 30
"""Address space that a reader may take beyond what it had before its first input."""

MOST_BYTES = 800 << 20
"""Memory that one input may take on top of what was taken before: cher2 reads frames of up to 2**28 pixels."""

ERRORS = "stderr.txt"
"""The file of a reader's standard error."""

EACH = 3
"""Findings of one kind that are kept as files; the others are counted."""


def main() -> int:
    """Run what was asked for, and print a row a reader."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=100_000, help="inputs of all readers together")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same one gives the same inputs")
    parser.add_argument("--reader", action="append", choices=sorted(READERS), help="only this one; may be repeated")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--findings", type=Path, default=Path("fuzz_findings"), help="folder of the findings")
    parser.add_argument("--replay", type=Path, help="give the input of a finding to its reader again")
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return read_in_child(*options.child)
    if options.replay:
        return replay(options.replay)
    names = options.reader or list(READERS)
    shares = sum(READERS[name].share for name in names)
    until, found = time.monotonic() + options.seconds, 0
    print(f"seed {options.seed}; findings in {options.findings}/")
    print(
        f"{'reader':12}{'inputs':>8}{'refused':>9}{'findings':>10}{'kinds':>7}{'ms each':>9}{'slowest s':>11}  peak MB"
    )
    with tempfile.TemporaryDirectory(prefix="cher2-fuzz-") as home:
        with (Path(home) / "sounds").open("wb") as file:
            pickle.dump(sound_inputs(Path(home) / "made"), file)
        for name in names:
            count = max(options.inputs * READERS[name].share // shares, 1)
            night = Night(name, options.seed, count, Path(home), options.findings)
            night.run(until)
            print(night, flush=True)
            found += night.findings.total()
    print(f"{found} findings" if found else "nothing but results and Cher2Errors")
    return 1 if found else 0


class Night:
    """One reader's inputs, read in processes that may die.

    Parameters
    ----------
    reader, seed, count
        Which inputs: of this reader, by this seed, so many.
    home : Path
        A folder for what is being read.
    kept : Path
        The folder of the findings.
    """

    def __init__(self, reader: str, seed: int, count: int, home: Path, kept: Path) -> None:
        self.reader, self.seed, self.count, self.home, self.kept = reader, seed, count, home, kept
        self.findings = Counter[str]()
        self.ready = False
        self.done = self.refused = self.next = 0
        self.seconds = self.slowest = self.peak_mb = 0.0

    def __str__(self) -> str:
        each = 1000 * self.seconds / max(self.done, 1)
        return (
            f"{self.reader:12}{self.done:8}{self.refused:9}{self.findings.total():10}{len(self.findings):7}"
            f"{each:9.1f}{self.slowest:11.2f}{self.peak_mb:9.0f}"
        )

    def run(self, until: float) -> None:
        """Read all inputs, in as many processes as it takes."""
        began = time.monotonic()
        while self.next < self.count and time.monotonic() < until:
            self._one_process(until)
        self.seconds = time.monotonic() - began

    def _one_process(self, until: float) -> None:
        words = (self.home, self.reader, self.seed, self.next, self.count)
        log = self.home / ERRORS
        with log.open("w") as stream:
            child = subprocess.Popen(
                [sys.executable, __file__, "--child", *map(str, words)],
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
            )
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, args=(child, lines), daemon=True).start()
        killed, self.ready = "", False
        while time.monotonic() < until:
            killed, line = self._next_line(child, lines)
            if killed or not line:
                break
            self._take(json.loads(line))
        if killed or child.poll() is None:
            child.kill()
        code = child.wait()
        if self.next < self.count and time.monotonic() < until:
            # The input that was being read ended the process.
            what = killed or (f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}")
            self._keep(what, what, log.read_text(errors="replace")[-6000:])
            self.next += 1

    @staticmethod
    def _listen(child: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
        for line in child.stdout or ():
            lines.put(line)
        lines.put("")

    def _next_line(self, child: subprocess.Popen[str], lines: queue.Queue[str]) -> tuple[str, str]:
        """Return why a process is to be killed, or its next line; an empty one at its end."""
        process, began, used = psutil.Process(child.pid), time.monotonic(), -1.0
        while True:
            try:
                return "", lines.get(timeout=1)
            except queue.Empty:
                pass
            try:
                now = sum(process.cpu_times()[:2])
            except psutil.Error:
                continue
            used = now if used < 0 else used
            most = MOST_S if self.ready else START_S
            if now - used > most or time.monotonic() - began > PATIENCE_S:
                return "no end", ""

    def _take(self, said: dict[str, object]) -> None:
        if not said:
            self.ready = True
            return
        self.next = int(said["number"]) + 1
        self.done += 1
        self.refused += bool(said["refused"])
        self.slowest, self.peak_mb = max(self.slowest, said["seconds"]), max(self.peak_mb, said["peak_mb"])
        if said["kind"]:
            self.next -= 1
            self._keep(str(said["kind"]), str(said["what"]), str(said["traceback"]))
            self.next += 1

    def _keep(self, kind: str, what: str, trace: str) -> None:
        self.findings[kind] += 1
        if self.findings[kind] > EACH:
            return
        self.kept.mkdir(parents=True, exist_ok=True)
        hostile = hostile_input(self.reader, load(self.home)[self.reader], self.seed, self.next)
        files = {**hostile.sound.files, hostile.path: hostile.content}
        record = {
            "reader": self.reader, "seed": self.seed, "number": self.next, "kind": kind, "what": what,
            "sound": hostile.sound.name, "path": hostile.path, "traceback": trace.splitlines(),
            "files": {path: base64.b64encode(content).decode() for path, content in files.items()},
        }  # fmt: skip
        path = self.kept / f"{self.reader}-{self.seed}-{self.next}.json"
        path.write_text(json.dumps(record, indent=1))
        print(f"  {path.name}: {kind}: {what[:120]}", flush=True)


def load(home: Path) -> dict[str, list[Sound]]:
    """Return the sound inputs that the parent process has made."""
    with (home / "sounds").open("rb") as file:
        return pickle.load(file)


def read_in_child(home: str, reader: str, seed: str, first: str, end: str) -> int:
    """Read inputs one after the other, and print a line of JSON after each."""
    faulthandler.enable()
    warnings.simplefilter("error")
    sounds, folder = load(Path(home))[reader], Path(home) / "read"
    taken = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM_BYTES, resource.RLIM_INFINITY))
    print(json.dumps({}), flush=True)
    for number in range(int(first), int(end)):
        hostile = hostile_input(reader, sounds, int(seed), number)
        print(json.dumps({"number": number, **observed(reader, hostile, folder)}), flush=True)
    return 0


def observed(reader: str, hostile: Input, folder: Path) -> dict[str, object]:
    """Read an input and say what came of it: whether it was refused, and what kind of finding it is, if it is one."""
    kind = what = trace = words = ""
    before, printed = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, said_so_far()
    start = time.process_time()
    try:
        words = read_hostile(reader, hostile, folder)
    except Exception as error:
        trace, what = traceback.format_exc()[-6000:], f"{type(error).__name__}: {error}"
        own = [f for f in traceback.extract_tb(error.__traceback__) if f"{os.sep}cher2{os.sep}" in f.filename]
        kind = f"{type(error).__name__} at {Path(own[-1].filename).name}:{own[-1].lineno}" if own else what[:60]
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if not kind and (length := said_so_far() - printed) > 0:
        text = (folder.parent / ERRORS).read_bytes()[-length:].decode(errors="replace")
        kind, what = f"it printed {' '.join(text.split())[:40]}", text[:2000]
    if not kind and seconds > MOST_S:
        kind, what = "too slow", f"{seconds:.1f} s"
    if not kind and (peak - before) * 1024 > MOST_BYTES:
        kind, what = "too much memory", f"{(peak - before) / 1024:.0f} MB"
    return {
        "refused": words, "kind": kind, "what": what, "traceback": trace, "seconds": seconds, "peak_mb": peak / 1024,
    }  # fmt: skip


def said_so_far() -> int:
    """Return how many bytes this process has written to its standard error, where that is a file."""
    sys.stderr.flush()
    return os.fstat(2).st_size


def replay(path: Path) -> int:
    """Read the input of a finding again and say what comes of it."""
    record = json.loads(path.read_text())
    files = {name: base64.b64decode(text) for name, text in record["files"].items()}
    hostile = Input(Sound(record["sound"], files, {}), record["path"], files[record["path"]])
    with tempfile.TemporaryDirectory(prefix="cher2-fuzz-") as home:
        try:
            words = read_hostile(record["reader"], hostile, Path(home, "read"))
        except Exception:
            traceback.print_exc()
            return 1
    print(f"refused: {words}" if words else "read")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
