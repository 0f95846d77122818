"""How fast one frame is scored, step by step, beside a notebook's pipeline and beside the memory's own speed.

Run ``python benchmarks/speed.py``: a synthetic frame of 1036 x 1384 pixels, four channels and about 200 cells, from
file to graded table on one core; frames of 50 to 3,000 cells; the pipeline of ``notebook_pipeline.py`` on the same
frame in the same run. A whole cartridge is timed by ``scale.py``. Medians over repeats; exits non-zero where a mark
is missed.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from marks import Figure, print_figures
from notebook_pipeline import grade_frame
from synthetic_frame import write_frame

import cher2
from cher2.study.folder import Study

STEPS = (
    ("background", "cher2.cells.background", "estimate_background"),
    ("compensation", "cher2.cells.compensation", "compensate"),
    ("flat field", "cher2.cells.flat_field", "flattened"),
    ("stains: blur, thresholds", "cher2.cells.bodies", "prepare_stain"),
    ("stains: where they are", "cher2.cells.bodies", "where_present"),
    ("nuclei", "cher2.cells.nuclei", "find_nuclei"),
    ("bodies", "cher2.cells.bodies", "find_bodies"),
    ("segmentation, the rest", "cher2.cells.segmentation", "segment"),
    ("measurement", "cher2.cells.measurement", "measure"),
    ("identification and grading", "cher2.cells.score", "grade_sample"),
)
"""The steps of scoring: title, module and function. One that is called by another is not counted in it, and one
that this version of cher2 does not have is left out."""

MOST_MS, MOST_READ_MS, MOST_WRITE_MS = 45.0, 3.0, 25.0
LEAST_TIMES_FASTER = 25.0
MOST_BENT = 1.5
"""Time per extra cell from 800 to 3,000 cells, over that from 200 to 800: 1 is a straight line."""

CELLS = (50, 200, 800, 3000)
THE_FRAME = 200
WARM_UP = 3
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}

Seconds = dict[str, list[float]]


def on_one_core() -> None:
    """Keep this process to one core and one thread; libraries read their part of it when they are loaded."""
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):
        sys.exit(subprocess.call([sys.executable, *sys.argv], env=os.environ | ONE_THREAD))
    cv2.setNumThreads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def steps_there() -> list[tuple[str, str, Callable[..., Any]]]:
    """Return title, name and function of the steps that this version of cher2 has."""
    found = []
    for title, home, name in STEPS:
        there = importlib.util.find_spec(home) is not None
        function = getattr(importlib.import_module(home), name, None) if there else None
        if function is not None:
            found.append((title, name, function))
    return found


@contextmanager
def timed_steps() -> Iterator[dict[str, float]]:
    """Time the functions of `STEPS` wherever cher2 calls them; yield the seconds by title, which then add up."""
    seconds: dict[str, float] = defaultdict(float)
    within, replaced = [0.0], []
    for title, name, function in steps_there():
        timed = _timed(function, title, seconds, within)
        for module in [module for key, module in sys.modules.items() if key.startswith("cher2.")]:
            if vars(module).get(name) is function:
                replaced.append((module, name, function))
                setattr(module, name, timed)
    try:
        yield seconds
    finally:
        for module, name, function in replaced:
            setattr(module, name, function)


def _timed(
    function: Callable[..., Any], title: str, seconds: dict[str, float], within: list[float]
) -> Callable[..., Any]:
    """Return a function that adds its time, without that of timed functions within it, to a title's."""

    @functools.wraps(function)
    def timed(*arguments: Any, **named: Any) -> Any:
        within.append(0.0)
        started = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            took = time.perf_counter() - started
            seconds[title] += took - within.pop()
            within[-1] += took

    return timed


def score_once(path: Path, study: Study | None = None) -> dict[str, float]:
    """Score a frame from its file, and write it where a study is given; return the seconds of each step."""
    with timed_steps() as steps:
        started = time.perf_counter()
        image = cher2.read_image(path)
        read = time.perf_counter()
        scored = cher2.score_image(image)
        done = time.perf_counter()
    seconds = {"read": read - started, **steps, "file to graded table": done - started}
    seconds["what is between the steps"] = done - read - sum(steps.values())
    if study is not None:
        study.forget(image.name, measured=False)
        started = time.perf_counter()
        study.write_measured(image.name, scored.labels, scored.objects, {"image": image.name})
        found = study.newest(image.name)
        study.write_graded([found], scored.objects, [len(scored.objects)], [{"image": image.name}])
        seconds["write labels and table"] = time.perf_counter() - started
    return seconds


def repeat(frames: dict[int, Path], repeats: int, study: Study | None = None) -> dict[int, Seconds]:
    """Score several frames in turn, so that a slow minute of the machine slows all of them."""
    times: dict[int, Seconds] = {cells: defaultdict(list) for cells in frames}
    for number in range(WARM_UP + repeats):
        for cells, path in frames.items():
            once = score_once(path, study)
            if number >= WARM_UP:
                for name, seconds in once.items():
                    times[cells][name].append(1000 * seconds)
    return times


def the_frame(path: Path, repeats: int, study: Study) -> list[Figure]:
    """Time one frame, step by step."""
    times = repeat({THE_FRAME: path}, repeats, study)[THE_FRAME]
    total, between = "file to graded table", "what is between the steps"
    steps = [title for title, _, _ in STEPS if title in times]
    return [
        Figure("read", "ms", times["read"], most=MOST_READ_MS),
        *(Figure(title, "ms", times[title]) for title in [*steps, between]),
        Figure(total, "ms", times[total], most=MOST_MS),
        Figure("write labels and table, on top", "ms", times["write labels and table"], most=MOST_WRITE_MS),
    ]


def beside_others(path: Path, cher2_ms: float) -> list[Figure]:
    """Time the notebook's pipeline and a copy of the frame on the same frame."""
    fast = [_ms(lambda: grade_frame(path)) for _ in range(3)]
    plain = [_ms(lambda: grade_frame(path, decomposed=False))]
    pixels = cher2.read_image(path).pixels
    copy = [_ms(pixels.copy) for _ in range(31)][1:]
    # The mark is held against the faster of the two notebooks.
    times_faster = float(np.median(fast)) / cher2_ms
    return [
        Figure("notebook pipeline, decomposed disc", "ms", fast),
        Figure("  times as long as cher2", "x", [times_faster], least=LEAST_TIMES_FASTER),
        Figure("notebook pipeline, plain disk(25)", "ms", plain),
        Figure("  times as long as cher2", "x", [plain[0] / cher2_ms], least=LEAST_TIMES_FASTER),
        Figure("one copy of the four planes (new memory)", "ms", copy),
        Figure("  cher2, in such copies", "x", [cher2_ms / float(np.median(copy))]),
    ]


def _ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def linear_in_cells(frames: dict[int, Path], true_cells: dict[int, int], repeats: int) -> list[Figure]:
    """Time frames with few and many cells."""
    times = {cells: found["file to graded table"] for cells, found in repeat(frames, repeats).items()}
    figures = [Figure(f"{true_cells[cells]} cells", "ms", times[cells]) for cells in frames]
    each = []
    for few, many in pairwise(CELLS):
        extra = float(np.median(times[many]) - np.median(times[few])) / (true_cells[many] - true_cells[few])
        each.append(1000 * extra)
        figures.append(Figure(f"each cell more, from {true_cells[few]} to {true_cells[many]}", "us", [each[-1]]))
    return [*figures, Figure("  the last over the one before", "x", [each[-1] / each[-2]], most=MOST_BENT)]


def main() -> int:
    """Print the tables; return 1 where a mark is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=21, help="of the one frame; a third of it for the others")
    parser.add_argument("--without-notebook", action="store_true", help="leave the slow comparison out")
    arguments = parser.parse_args()
    on_one_core()
    with tempfile.TemporaryDirectory() as scratch:
        frames = {cells: Path(scratch) / f"{cells}_cells.ome.tif" for cells in CELLS}
        true_cells = {cells: write_frame(path, cells) for cells, path in frames.items()}
        study = Study(Path(scratch) / "study")
        (study.path / "images").mkdir(parents=True)
        figures = the_frame(frames[THE_FRAME], arguments.repeats, study)
        missed = print_figures(f"One frame of {true_cells[THE_FRAME]} cells on one core", figures)
        if not arguments.without_notebook:
            cher2_ms = next(figure.median for figure in figures if figure.name == "file to graded table")
            missed |= print_figures("The same frame by others, in the same run", beside_others(frames[200], cher2_ms))
        figures = linear_in_cells(frames, true_cells, max(5, arguments.repeats // 3))
        missed |= print_figures("Frames of few and of many cells", figures)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
