"""A Python program as a process of its own, with its time, its processor time and the peak memory of its family."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

LOOK_EVERY_S = 0.1
LAST_WORDS = 2000
"""Characters of a failed program's output that are shown."""


@dataclass(frozen=True)
class Watched:
    """What a program took.

    Parameters
    ----------
    seconds : float
        From its start to its end, by the clock.
    cpu_seconds : float
        Processor time of it and all its children: on a busy machine this, and not the clock, can be compared.
    own_mb, worker_mb : float
        Peak memory of the program and of its largest child, as Linux counts it; 0 without a child.
    said : str
        What it printed.
    """

    seconds: float
    cpu_seconds: float
    own_mb: float
    worker_mb: float
    said: str

    def last_line(self) -> Any:
        """Return its last line of output, read as JSON."""
        return json.loads(self.said.splitlines()[-1])


def run(program: str, *words: object) -> Watched:
    """Run a Python program with words as its arguments and watch it."""
    peaks: dict[int, float] = {}
    command = [sys.executable, "-c", program, *map(str, words)]
    before = os.times()
    started = time.perf_counter()
    with tempfile.TemporaryFile() as said, subprocess.Popen(command, stdout=said, stderr=said) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            for one in _family(watched):
                peaks[one.pid] = max(peaks.get(one.pid, 0.0), _memory_mb(one))
            time.sleep(LOOK_EVERY_S)
        seconds = time.perf_counter() - started
        said.seek(0)
        text = said.read().decode(errors="replace")
        if process.returncode:
            raise SystemExit(f"the run failed: {text[-LAST_WORDS:]}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    own = peaks.pop(process.pid)
    return Watched(seconds, cpu, own, max(peaks.values(), default=0.0), text)


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _memory_mb(process: psutil.Process) -> float:
    """Return the peak of a process's resident memory where Linux tells it, else what it holds now."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        peaks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
        return int(peaks[0]) / 1024 if peaks else 0.0
    except (FileNotFoundError, ProcessLookupError):
        try:
            return float(process.memory_info().rss) / 2**20
        except psutil.NoSuchProcess:
            return 0.0
