"""A Dask scheduler and workers as processes of their own, as a cluster has them, and tasks that they can load."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE_S = 30


@contextmanager
def process(
    program: str,
    *words: object,
    folder: Path,
    says: str,
    through: Sequence[str] = (),
    before: Path | None = None,
    **environment: str,
) -> Iterator[subprocess.Popen]:
    """Start a program of Dask's in a folder, wait for what it says, and end it with the block.

    ``through`` are the words that start it, ``before`` a folder whose modules it loads before all others.
    """
    places = [*([str(before)] if before else []), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(places)
    log = folder / f"{program}-{time.monotonic_ns()}.log"
    command = [*through, sys.executable, "-m", f"distributed.cli.dask_{program}", *map(str, words)]
    with log.open("w") as stream:
        started = subprocess.Popen(command, stdout=stream, stderr=stream, cwd=folder, env=os.environ | environment)
    try:
        until = time.monotonic() + PATIENCE_S
        while says not in log.read_text(errors="replace"):
            assert started.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        yield started
    finally:
        started.send_signal(signal.SIGCONT)
        started.kill()
        started.wait()


@contextmanager
def scheduler(
    folder: Path, port: int = 0, protocol: str = "tcp", **environment: str
) -> Iterator[tuple[str, subprocess.Popen]]:
    """Start a scheduler; yields its address and its process."""
    file = folder / f"scheduler-{time.monotonic_ns()}.json"
    words = ("--host", f"{protocol}://127.0.0.1", "--port", port, "--no-dashboard", "--scheduler-file", file)
    with process("scheduler", *words, folder=folder, says="Scheduler at", **environment) as own:
        # It is there before it is written.
        until = time.monotonic() + 20
        while not file.read_text().endswith("}") and time.monotonic() < until:
            time.sleep(0.02)
        yield json.loads(file.read_text())["address"], own


def worker(address: str, folder: Path, *words: object, **more: Any):
    """Start a worker in one process."""
    words = (address, "--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", folder, *words)
    return process("worker", *words, folder=folder, says="Registered to", **more)


def page_faults():
    """Return how many pages the system had to map for ten arrays of 6 MB, one after the other."""
    import resource

    import numpy

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        numpy.ones(1_500_000, numpy.float32)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def process_id():
    time.sleep(0.03)
    return os.getpid()
