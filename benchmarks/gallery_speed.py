"""How smoothly the gallery of napari's window scrolls through 10,000 cells, how soon it shows the next, and its memory.

Run ``xvfb-run -a python benchmarks/gallery_speed.py``: synthetic frames under 40 times as many names (hard links),
scored, then looked through in a napari window; ``--study FOLDER`` takes one that is there. Each figure stands for
cells in the tables' order, where neighbours share a frame, and shuffled, as a queue by uncertainty may be, where
nearly every picture is another frame's. Exits non-zero where a mark is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import napari
import numpy as np
import pandas as pd
import psutil
from marks import Figure, print_figures
from qtpy.QtCore import QEvent, QObject, QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QWidget
from review_study import make_study

from cher2.napari.gallery import CellState, Gallery
from cher2.napari.picture_loader import PictureLoader
from cher2.report.cell_pictures import StudyFrames, cell_places
from cher2.study.folder import Study

CELLS = 10_000
STEPS, JUMPS = 400, 40
LEAST_FRAMES_A_SECOND, MOST_NEXT_MS, MOST_MEMORY_MB = 30.0, 50.0, 1024.0
WINDOW = (1280, 800)
PATIENCE_S = 30.0


def cells_of(study: Study) -> pd.DataFrame:
    """Return 10,000 CTCs; again from the first where there are fewer."""
    ctcs = study.read_objects(study.samples["image"], ["ctc"])
    return ctcs.iloc[np.arange(CELLS) % len(ctcs)].reset_index(drop=True)


class PaintCount(QObject):
    """Counts how often a widget is painted."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self.count = 0
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """See an event pass."""
        self.count += event.type() == QEvent.Type.Paint
        return False


class Bench:
    """A gallery in a napari window, driven as a user would."""

    def __init__(self, study: Study, cells: pd.DataFrame) -> None:
        self.viewer = napari.Viewer(show=True)
        self.viewer.window.resize(*WINDOW)
        self.app = QApplication.instance()
        self.app.processEvents()
        self.napari_mb = psutil.Process().memory_info().rss / 2**20
        self.places = cell_places(cells)
        self.loader = PictureLoader(StudyFrames(study), cells)
        self.gallery = Gallery(self.loader)
        self.viewer.window.add_dock_widget(self.gallery, area="right", name="Gallery")
        self.app.processEvents()
        self.view = self.gallery.view
        self.paints = PaintCount(self.view.canvas)
        started = time.perf_counter()
        self.gallery.set_cells(cells)
        grades = [None if pd.isna(grade) else int(grade) for grade in cells["grade_auto"]]
        states = [CellState("ctc", grade, bool(row % 3), row % 97 == 0) for row, grade in enumerate(grades)]
        self.gallery.set_states(range(len(states)), states)
        self.until_shown()
        self.open_s = time.perf_counter() - started

    def close(self) -> None:
        """End the threads and the window."""
        self.loader.close()
        self.viewer.close()

    def until(self, is_so: Callable[[], bool]) -> None:
        """Let the window live until something is so."""
        end = time.perf_counter() + PATIENCE_S
        while not is_so():
            self.app.processEvents()
            if time.perf_counter() > end:
                raise SystemExit(f"nothing came within {PATIENCE_S:g} s")

    def until_painted(self) -> None:
        """Let the window live until the cells are painted once more."""
        before = self.paints.count
        self.view.canvas.update()
        self.until(lambda: self.paints.count > before)

    def shown_rows(self) -> Iterator[int]:
        """Yield the rows in sight."""
        model = self.view.model()
        first, last = self.view.shown_positions()
        return (model.row(at) for at in range(first, last))

    def until_shown(self) -> None:
        """Wait until every cell in sight has its picture, and paint them."""
        self.until(lambda: all(self.loader.picture(self.places[row]) for row in self.shown_rows()))
        self.until_painted()

    def scroll_by_wheel(self) -> tuple[list[float], float, float]:
        """Turn the wheel from first to last.

        Returns
        -------
        times : list of float
            Milliseconds from each turn until it is painted.
        there : float
            Part of the cells that had a picture then.
        own : float
            Milliseconds a step in which the window's thread was at work; the rest is the screen's and other threads'.
        """
        bar, times, there, worked = self.view.bar, [], [], time.thread_time()
        bar.setValue(0)
        middle = QPointF(self.view.canvas.rect().center())
        while bar.value() < bar.maximum():
            started = time.perf_counter()
            turn = QWheelEvent(
                middle, middle, QPoint(), QPoint(0, -120), Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier,
                Qt.ScrollPhase.NoScrollPhase, False,
            )  # fmt: skip
            QApplication.sendEvent(self.view.canvas, turn)
            self.until_painted()
            times.append(1000 * (time.perf_counter() - started))
            there += [self.loader.picture(self.places[row]) is not None for row in self.shown_rows()]
        return times, float(np.mean(there)), 1000 * (time.thread_time() - worked) / len(times)

    def scroll_by_bar(self) -> list[float]:
        """Drag the bar over the whole gallery; return the milliseconds a step."""
        times = []
        for value in np.linspace(0, self.view.bar.maximum(), 200).round():
            started = time.perf_counter()
            self.view.bar.setValue(int(value))
            self.until_painted()
            times.append(1000 * (time.perf_counter() - started))
        return times

    def jump(self) -> list[float]:
        """Jump to and fro; return the milliseconds until every cell in sight has its picture."""
        times = []
        for part in np.random.default_rng(1).random(JUMPS):
            started = time.perf_counter()
            self.view.bar.setValue(int(part * self.view.bar.maximum()))
            self.until_shown()
            times.append(1000 * (time.perf_counter() - started))
        return times

    def step(self, order: np.ndarray) -> list[float]:
        """Go from cell to cell; return the milliseconds until the next is marked, in sight, and has its picture."""
        times = []
        for at in range(STEPS):
            row = int(order[at])
            started = time.perf_counter()
            self.gallery.set_current(row)
            self.until(lambda row=row: self.loader.picture(self.places[row]) is not None)
            self.until_painted()
            times.append(1000 * (time.perf_counter() - started))
            self.loader.expect([self.places[next_row] for next_row in order[at + 1 : at + 9]])
            self.app.processEvents()
        return times


def figures_of(bench: Bench, name: str, order: np.ndarray) -> list[Figure]:
    """Measure one order of the cells."""
    bench.gallery.set_order(order)
    bench.until_shown()
    stepped = bench.step(order)
    wheel, there, own = bench.scroll_by_wheel()
    dragged, jumped = bench.scroll_by_bar(), bench.jump()
    return [
        Figure(f"{name}: frames a second by wheel", "1/s", [1000 / np.mean(wheel)], least=LEAST_FRAMES_A_SECOND),
        Figure(f"{name}: work of the window's own thread", "ms", [own]),
        Figure(f"{name}: slowest of 100 (99th percentile)", "ms", [float(np.percentile(wheel, 99))]),
        Figure(f"{name}: frames a second by bar", "1/s", [1000 / np.mean(dragged)], least=LEAST_FRAMES_A_SECOND),
        Figure(f"{name}: cells with picture at full speed", "%", [100 * there]),
        Figure(f"{name}: jump until all pictures are there", "ms", jumped),
        Figure(f"{name}: next cell, 95th percentile", "ms", [float(np.percentile(stepped, 95))], most=MOST_NEXT_MS),
    ]


def peak_memory_mb() -> float:
    """Return the peak of this process's memory where Linux tells it, else what it holds now."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return float(psutil.Process().memory_info().rss) / 2**20


def main() -> int:
    """Measure and print; return 1 where a mark is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, help="a scored study; a synthetic one is made where none is given")
    study_path = parser.parse_args().study
    with tempfile.TemporaryDirectory() as scratch:
        study = Study.open(study_path) if study_path else make_study(Path(scratch))
        cells = cells_of(study)
        bench = Bench(study, cells)
        figures = [Figure("open until the first cells are shown", "s", [bench.open_s], most=2.0)]
        figures += figures_of(bench, "in order", np.arange(CELLS))
        figures += figures_of(bench, "shuffled", np.random.default_rng(0).permutation(CELLS))
        figures += [
            Figure("memory of napari's empty window", "MB", [bench.napari_mb]),
            Figure("peak memory, napari's window included", "MB", [peak_memory_mb()], most=MOST_MEMORY_MB),
        ]
        bench.close()
        images = cells["image"].nunique()
    return int(print_figures(f"{CELLS:,} cells of {images} images in a window of {WINDOW[0]} x {WINDOW[1]}", figures))


if __name__ == "__main__":
    sys.exit(main())
