"""Workers and schedulers that die, and files that vanish, while ``cher2 run`` goes on. Part of ``faults.py``."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "batch"))

import numpy as np
import psutil
import tifffile
from dask_processes import scheduler, worker
from fault_rows import Row

PROGRAM = "from cher2.cli import main; main()"
SIMULATE = """
from pathlib import Path
from cher2.simulate.settings import StudySettings
from cher2.simulate.study import simulate_study
simulate_study(Path(PLACE), StudySettings(patients=8, frames_per_patient=3, frame_shape=(240, 320), seed=1))
"""
PATIENCE_S = 180
LEAVE_S = 5.0
MEMORY_BYTES = 1 << 30
LARGE = (4, 4000, 4000)
KEPT = (".parquet", ".tif", ".csv")


class Fault:
    """One run with something done to it: where it works, and how it ended."""

    def __init__(self, home: Path, images: Path, wanted: dict[str, str]) -> None:
        self.home, self.wanted = home, wanted
        self.images, self.study = home / "images", home / "study"
        shutil.copytree(images, self.images, copy_function=os.link)
        self.said, self.code, self.seconds = "", 0, 0.0

    @contextmanager
    def running(self, *words: object, until: str | float = "[1/", **options: object) -> Iterator[subprocess.Popen]:
        """Run the command until it has said something, or for some seconds; the block does something to it."""
        words = words or ("--workers", "2")
        command = [sys.executable, "-c", PROGRAM, "run", self.images, "-o", self.study, *words]
        log = self.home / "log.txt"
        with log.open("w") as stream:
            run = subprocess.Popen(
                list(map(str, command)), stdout=stream, stderr=stream, start_new_session=True, **options
            )
        began = time.monotonic()
        while run.poll() is None and time.monotonic() < began + PATIENCE_S:
            if time.monotonic() > began + until if isinstance(until, float) else until in log.read_text():
                break
            time.sleep(0.02)
        family = [psutil.Process(run.pid), *psutil.Process(run.pid).children(recursive=True)]
        yield run
        began = time.monotonic()
        self.code = run.wait(PATIENCE_S)
        self.seconds, self.said = time.monotonic() - began, log.read_text()
        _, left = psutil.wait_procs(family, timeout=LEAVE_S)
        assert not left, f"still there: {left}"
        assert "Traceback" not in self.said, self.said[-2000:]

    def ended(self, code: int, word: str = "") -> None:
        """Check how the run ended."""
        assert self.code == code, (self.code, self.said[-2000:])
        assert word in self.said, self.said[-2000:]

    def again(self, *words: object) -> None:
        """Check that the same command brings what was missing."""
        with self.running(*words, until=""):
            pass
        self.ended(0)
        assert digests(self.study) == self.wanted, "other results"

    def errors(self) -> str:
        """Return the list of images that failed."""
        return (self.study / "errors.csv").read_text(encoding="utf-8")


def digests(study: Path) -> dict[str, str]:
    """Return a hash of every table and label image of a study."""
    files = [path for path in sorted(study.rglob("*")) if path.is_file() and path.suffix in KEPT]
    return {str(path.relative_to(study)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def children_that_work(run: subprocess.Popen) -> list[psutil.Process]:
    """Return a run's worker processes: those without children of their own, but for the resource tracker."""
    family = psutil.Process(run.pid).children(recursive=True)
    return [one for one in family if not one.children() and "resource_tracker" not in " ".join(one.cmdline())]


def worker_killed(fault: Fault) -> None:
    """Kill a worker with SIGKILL."""
    with fault.running() as run:
        children_that_work(run)[0].kill()
    fault.ended(0)
    assert digests(fault.study) == fault.wanted


def out_of_memory(fault: Fault) -> None:
    """Give it an image that needs more memory than a worker has."""
    path = fault.images / "P01" / "large.ome.tif"
    tifffile.imwrite(path, np.zeros(LARGE, np.uint16), metadata={"axes": "CYX"}, compression="zlib")
    limit = lambda: resource.setrlimit(resource.RLIMIT_RSS, (MEMORY_BYTES, MEMORY_BYTES))  # noqa: E731
    with fault.running(preexec_fn=limit):
        pass
    fault.ended(1, "the worker process died each time")
    assert fault.errors().count("WorkerDiedError") == 1, fault.errors()
    path.unlink()
    shutil.rmtree(fault.study)
    fault.again()


def scheduler_goes(fault: Fault) -> None:
    """Kill the scheduler and start it again."""
    with scheduler(fault.home) as (address, own), worker(address, fault.home):
        with fault.running("--scheduler", address):
            own.kill()
        fault.ended(2, "the Dask scheduler has gone")
    port = int(address.rpartition(":")[2])
    with scheduler(fault.home, port) as (address, _), worker(address, fault.home):
        fault.again("--scheduler", address)


def file_vanishes(fault: Fault) -> None:
    """Remove an image after it was listed."""
    path = sorted(fault.images.rglob("*.tif"))[-1]
    kept = path.read_bytes()
    with fault.running():
        path.unlink()
    fault.ended(1, "cannot be read")
    assert path.name in fault.errors()
    path.write_bytes(kept)
    fault.again()


def worker_rows(home: Path) -> Iterator[tuple[str, Callable[[], Row]]]:
    """Yield the rows, by name."""
    for fault in (worker_killed, out_of_memory, scheduler_goes, file_vanishes):
        yield f"workers: {fault.__doc__}", lambda fault=fault: _row(fault, home / fault.__name__)


def _row(fault: Callable[[Fault], None], home: Path) -> Row:
    """Carry out a fault and count what came of it."""
    row = Row("", tried=1)
    images, wanted = _ground(home.parent / "for_workers")
    home.mkdir()
    one = Fault(home, images, wanted)
    try:
        fault(one)
    except (AssertionError, subprocess.SubprocessError) as error:
        row.note_wrong(str(error))
    row.judge(one.code, one.said)
    return row


def _ground(home: Path) -> tuple[Path, dict[str, str]]:
    """Return synthetic images and what one process makes of them; made once."""
    images, study = home / "synthetic" / "images", home / "wanted"
    if not study.is_dir():
        program = SIMULATE.replace("PLACE", repr(str(home / "synthetic")))
        subprocess.run([sys.executable, "-c", program], check=True)
        words = [sys.executable, "-c", PROGRAM, "run", str(images), "-o", str(study), "--workers", "1"]
        subprocess.run(words, check=True, capture_output=True)
    return images, digests(study)
