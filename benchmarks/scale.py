"""What a study costs as it grows: a cartridge, two workers against one, 10 to 10,000 frames, a second run, new grades.

Run ``python benchmarks/scale.py``: a few synthetic frames under many names (hard links), in samples of 175 frames as a
cartridge has. ``--only cartridge again`` leaves the other parts out, ``--frames 10000`` adds a size to those that are
compared. Prints a table a part, and the constants of ``docs/scaling.md``; exits non-zero where a mark is missed. The
second run and the new grades are measured on frames of 256 x 256 pixels, where what a frame costs by itself shows.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from marks import Figure, print_figures
from synthetic_frame import write_frame
from watched_run import Watched, run

from cher2.batch.engine import Task, open_engine

CARTRIDGE = 175
"""Frames of a sample, as CellSearch usually takes them."""

CELLS, SMALL_CELLS, SMALL = 200, 12, (256, 256)
DIFFERENT_FRAMES = 5
WORKERS = 2
SIZES = (10, 100, 1000)
SKIPPED = 8
"""Frames at the start of a run, while workers are still being started, that count for no rate."""

MOST_CARTRIDGE_S, MOST_MEMORY_MB = 12.0, 400.0
LEAST_EFFICIENCY = 0.90
MOST_OVERHEAD_MS, EMPTY_TASKS = 3.0, 1000
MOST_SPREAD = 0.10
MOST_AGAIN_S, MOST_REGRADE_S = 2.0, 5.0
REPEATS = 3
NEEDED_MB = 3000

COMMAND = "from cher2.cli import main; main()"
LIBRARY = """
import sys
from pathlib import Path
from cher2.batch.run import run_study
images, study, *protocol = map(Path, sys.argv[1:])
run_study(images, study, protocol=protocol[0] if protocol else None, workers=1)
"""
RATE = """
import json, sys, time
from cher2.batch.run import run_study
times = []
run_study(sys.argv[1], sys.argv[2], workers=int(sys.argv[3]), progress=lambda state: times.append(time.perf_counter()))
print(json.dumps([times, time.perf_counter()]))
"""


def write_images(folder: Path, count: int, cells: int, shape: tuple[int, int] | None = None) -> None:
    """Write a few frames and link them until there are so many, in folders of one cartridge each."""
    source = folder.with_name(f"frames_of_{cells}")
    if not source.is_dir():
        source.mkdir(parents=True)
        for number in range(DIFFERENT_FRAMES):
            write_frame(source / f"{number}.ome.tif", cells, seed=20280 + number, shape=shape)
    for number in range(count):
        patient = folder / f"P{number // CARTRIDGE + 1:03d}"
        patient.mkdir(parents=True, exist_ok=True)
        path = patient / f"frame_{number % CARTRIDGE + 1:03d}.ome.tif"
        path.hardlink_to(source / f"{number % DIFFERENT_FRAMES}.ome.tif")


def cartridge(home: Path) -> bool:
    """Time a full cartridge by the command, with start-up and report; say what it leaves on the disk."""
    images, study = home / "images", home / "study"
    write_images(images, CARTRIDGE, CELLS)
    whole = run(COMMAND, "run", images, "-o", study, "--workers", WORKERS)
    figures = [
        Figure("cher2 run, with start-up and report", "s", [whole.seconds], most=MOST_CARTRIDGE_S),
        Figure("processor time of all of it", "s", [whole.cpu_seconds]),
        Figure("peak memory of the largest worker", "MB", [whole.worker_mb], most=MOST_MEMORY_MB),
        Figure("peak memory of the command itself", "MB", [whole.own_mb]),
    ]
    title = f"A cartridge: {CARTRIDGE} frames of about {CELLS} cells, {WORKERS} workers"
    return print_figures(title, figures + _left_on_disk(study, images))


def _left_on_disk(study: Path, images: Path) -> list[Figure]:
    sizes: dict[str, int] = {}
    entries = 0
    for folder, _, names in os.walk(study / "images"):
        entries += 1 + len(names)
        for name in names:
            sizes[name] = sizes.get(name, 0) + (Path(folder) / name).stat().st_size
    pixels = sum(path.stat().st_size for path in images.rglob("*.tif"))
    shares = [Figure(f"a frame's {name}", "kB", [size / CARTRIDGE / 1000]) for name, size in sorted(sizes.items())]
    return [
        *shares,
        Figure("a frame's results", "kB", [sum(sizes.values()) / CARTRIDGE / 1000]),
        Figure("the frame's own file", "kB", [pixels / CARTRIDGE / 1000]),
        Figure("files and folders (inodes) a frame", "", [entries / CARTRIDGE]),
    ]


def workers(home: Path) -> bool:
    """Compare the rate of two workers with that of one, and time tasks that do nothing."""
    images = home / "images"
    write_images(images, CARTRIDGE, CELLS)
    rates = [_rate(run(RATE, images, home / f"study{count}", count)) for count in (1, WORKERS)]
    figures = [
        Figure("one process", "/s", rates[:1]),
        Figure(f"{WORKERS} workers", "/s", rates[1:]),
        Figure("of the ideal", "", [rates[1] / rates[0] / WORKERS], least=LEAST_EFFICIENCY),
        Figure("the engine's own time a task", "ms", [_empty_task_ms() for _ in range(REPEATS)], most=MOST_OVERHEAD_MS),
    ]
    return print_figures(f"Frames measured a second, once started ({WORKERS} workers against 1)", figures)


def _rate(watched: Watched) -> float:
    times, _ = watched.last_line()
    return float((len(times) - 1 - SKIPPED) / (times[-1] - times[SKIPPED]))


def _empty_task_ms() -> float:
    with open_engine(WORKERS) as engine:
        deque(engine(deque(Task(abs, (-1,)) for _ in range(WORKERS * SKIPPED))), maxlen=0)
        started = time.perf_counter()
        deque(engine(deque(Task(abs, (-1,)) for _ in range(EMPTY_TASKS))), maxlen=0)
        return (time.perf_counter() - started) / EMPTY_TASKS * 1000


def growth(home: Path, sizes: tuple[int, ...]) -> bool:
    """Run studies of more and more frames: what a frame takes and what the parent holds stay as they are."""
    per_frame, memory, figures = [], [], []
    for count in sizes:
        images, study = home / f"images{count}", home / f"study{count}"
        write_images(images, count, CELLS)
        watched = run(RATE, images, study, WORKERS)
        times, ended = watched.last_line()
        skipped = min(SKIPPED, count // 2)
        # Grading and the tables are part of what a frame costs.
        per_frame.append((ended - times[skipped]) / (count - skipped) * 1000)
        memory.append(watched.own_mb)
        shutil.rmtree(study)
        figures += [
            Figure(f"{count:,} frames: a frame", "ms", per_frame[-1:]),
            Figure(f"{count:,} frames: the parent's peak memory", "MB", memory[-1:]),
            Figure(f"{count:,} frames: the largest worker's", "MB", [watched.worker_mb]),
        ]
    figures.append(Figure("spread of the time a frame", "", [_spread(per_frame)], most=MOST_SPREAD))
    figures.append(Figure("spread of the parent's memory", "", [_spread(memory)], most=MOST_SPREAD))
    return print_figures(f"Growth, {WORKERS} workers, frames of about {CELLS} cells", figures)


def _spread(values: list[float]) -> float:
    return max(values) / min(values) - 1


def again(home: Path) -> bool:
    """Run a finished study of 1,000 small frames again, and with other cut-offs."""
    count = SIZES[-1]
    images, study, protocol = home / "images", home / "study", home / "protocol.toml"
    write_images(images, count, SMALL_CELLS, SMALL)
    run(COMMAND, "run", images, "-o", study, "--workers", WORKERS)
    seconds: dict[str, list[float]] = {}

    def measure(name: str, program: str, *words: object) -> None:
        watched = run(program, *words)
        seconds.setdefault(name, []).append(watched.seconds)
        seconds.setdefault(f"{name}, processor time", []).append(watched.cpu_seconds)

    for turn in range(REPEATS):
        # The regrading by the library has left the page as it was: it is not the second run's work.
        run(COMMAND, "run", images, "-o", study)
        measure("second run", COMMAND, "run", images, "-o", study)
        measure("second run, no report", LIBRARY, images, study)
        protocol.write_text(f"[grade]\ncutoffs = [{20 + turn}, 110, 340]\n", encoding="utf-8")
        measure("new cut-off", COMMAND, "run", images, "-o", study, "--protocol", protocol)
        protocol.write_text(f"[grade]\ncutoffs = [{40 + turn}, 110, 340]\n", encoding="utf-8")
        measure("new cut-off, no report", LIBRARY, images, study, protocol)
    marks = {"second run": MOST_AGAIN_S, "new cut-off": MOST_REGRADE_S}
    figures = [Figure(name, "s", values, most=marks.get(name)) for name, values in seconds.items()]
    return print_figures(f"{count:,} finished frames of 256 x 256 pixels, with start-up", figures)


def main() -> int:
    """Do the parts that are asked for; return 1 where a mark is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = ("cartridge", "workers", "growth", "again")
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="some of the parts")
    parser.add_argument("--frames", type=int, action="append", default=[], help="a further size of 'growth'")
    arguments = parser.parse_args()
    sizes = tuple(sorted({*SIZES, *arguments.frames}))
    parts: dict[str, Callable[[Path], bool]] = {
        "cartridge": cartridge,
        "workers": workers,
        "growth": lambda home: growth(home, sizes),
        "again": again,
    }
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {cores} cores{load}")
    missed = False
    for name in arguments.only:
        with tempfile.TemporaryDirectory() as scratch:
            free_mb = shutil.disk_usage(scratch).free / 2**20
            if free_mb < NEEDED_MB:
                raise SystemExit(f"{free_mb:,.0f} MB free in {scratch}: set TMPDIR to a disk with {NEEDED_MB:,} MB")
            missed |= parts[name](Path(scratch))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
