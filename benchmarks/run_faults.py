"""Faults in the middle of ``cher2 run``: it goes on or stops in words, and the same command brings what was missing.

Run ``python benchmarks/run_faults.py`` (``--frames`` for more, ``--only WORD`` for some): workers are killed or run out
of memory, a scheduler goes, a file vanishes, a disk fills, the study folder goes, Ctrl-C comes at every stage. It
prints a row a fault and exits non-zero where a run ended otherwise than it should. A disk is made to fill as root only.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "batch"))

import numpy as np
import psutil
import tifffile
from dask_processes import scheduler, worker

from cher2.simulate.settings import StudySettings
from cher2.simulate.study import simulate_study

PROGRAM = "from cher2.cli import main; main()"
PATIENCE_S = 180
STOP_S = 2.0
LEAVE_S = 5.0
MEMORY_BYTES = 1 << 30
LARGE = (4, 7000, 7000)
STUDY_MB = (2, 200)
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


def disk_fills(fault: Fault) -> None:
    """Fill the disk of the study."""
    fault.study.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o"]
    subprocess.run([*mount, f"size={STUDY_MB[0]}m", "none", fault.study], check=True, capture_output=True)
    try:
        with fault.running():
            pass
        fault.ended(2, "No space left")
        subprocess.run([*mount, f"remount,size={STUDY_MB[1]}m", "none", fault.study], check=True, capture_output=True)
        fault.again()
    finally:
        subprocess.run(["umount", fault.study], check=True)


def study_goes(fault: Fault) -> None:
    """Take the study folder away."""
    with fault.running():
        fault.study.rename(fault.home / "moved")
    fault.ended(2, "Error: ")
    shutil.rmtree(fault.study, ignore_errors=True)
    fault.again()


def interrupted(stage: str, until: str | float) -> Callable[[Fault], None]:
    """Return the fault of Ctrl-C at a stage."""

    def stop(fault: Fault) -> None:
        with fault.running(until=until) as run:
            # A terminal sends it to the whole group, workers included.
            os.killpg(run.pid, signal.SIGINT)
        fault.ended(130, "Stopped.")
        seconds = fault.seconds
        fault.again()
        fault.seconds = seconds
        assert seconds <= STOP_S, f"{seconds:.1f} s"

    stop.__doc__ = f"Press Ctrl-C {stage}."
    return stop


def faults(frames: int) -> list[Callable[[Fault], None]]:
    """Return every fault; Ctrl-C at moments from the start to the report."""
    started = [interrupted(f"{moment:g} s after the start", moment) for moment in (0.4, 1.0, 1.6, 2.2)]
    measuring = [interrupted(f"at image {number}", f"[{number}/") for number in (1, frames // 2, frames - 1)]
    after = [interrupted("while the last samples are graded and tables derived", f"[{frames}/{frames}]")]
    others = [worker_killed, out_of_memory, scheduler_goes, file_vanishes, disk_fills, study_goes]
    return [*others, *started, *measuring, *after]


def main() -> int:
    """Carry out every fault and print a row each; return 1 where one ended otherwise than it should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=24, help="images of the study")
    parser.add_argument("--only", default="", help="a word of the fault")
    options = parser.parse_args()
    missed = 0
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        settings = StudySettings(patients=options.frames // 3, frames_per_patient=3, frame_shape=(240, 320), seed=1)
        simulate_study(home / "synthetic", settings)
        images = home / "synthetic" / "images"
        words = [sys.executable, "-c", PROGRAM, "run", str(images), "-o", str(home / "wanted"), "--workers", "1"]
        subprocess.run(words, check=True, capture_output=True)
        wanted = digests(home / "wanted")
        for number, fault in enumerate(faults(options.frames)):
            if options.only not in str(fault.__doc__):
                continue
            place = home / f"fault_{number}"
            place.mkdir()
            one = Fault(place, images, wanted)
            try:
                fault(one)
                verdict = "as it should"
            except (AssertionError, subprocess.SubprocessError) as error:
                missed, verdict = 1, f"MISSED: {error}"
            print(f"{fault.__doc__!s:<76}{one.seconds:>7.1f} s  {verdict}", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main())
