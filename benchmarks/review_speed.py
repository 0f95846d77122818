"""How fast the whole review window is with 10,000 CTCs: opening, a key press until the next cell is shown, a commit.

Run ``xvfb-run -a -s "-screen 0 1600x1200x24" python benchmarks/review_speed.py``: synthetic frames under 40 times as
many names, scored, then reviewed in a napari window with real key events over the image; ``--study FOLDER`` reviews a
copy of one that is there. A cell is shown when its view has been painted. Exits non-zero where a mark is missed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
import psutil
from marks import Figure, print_figures
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from review_study import make_study

from cher2.napari.review_panel import ReviewPanel
from cher2.napari.review_widget import ReviewWidget
from cher2.review.open_log import open_log
from cher2.study.folder import Study

DECISIONS, FAR = 300, 60
PAUSES_S = np.random.default_rng(0).uniform(0.1, 2.0, 60).tolist()
PATIENCE_S = 30.0
MOST_OPEN_S, MOST_NEXT_MS, MOST_COMMIT_MS, MOST_MEMORY_MB = 2.0, 50.0, 10.0, 1024.0
GRADES = (Qt.Key.Key_0, Qt.Key.Key_1, Qt.Key.Key_2, Qt.Key.Key_3, Qt.Key.Key_X)


class Painted(QObject):
    """Counts how often a widget was painted."""

    def __init__(self, widget: QObject) -> None:
        super().__init__()
        self.count = 0
        widget.installEventFilter(self)

    def eventFilter(self, _: QObject | None, event: QEvent | None) -> bool:  # noqa: N802  (Qt's name)
        """Count, and let the event through."""
        self.count += event is not None and event.type() == QEvent.Type.Paint
        return False


class Bench:
    """The review of a study, driven by keys."""

    def __init__(self, study: Path) -> None:
        self.viewer = napari.Viewer(show=True)
        self.viewer.window.resize(1400, 1000)
        self.widget = ReviewWidget(self.viewer)
        self.viewer.window.add_dock_widget(self.widget, name="Review", area="right")
        QApplication.processEvents()
        started = time.perf_counter()
        self.widget.open_study(study, "benchmark")
        self.panel: ReviewPanel = self.widget.panel
        self.painted = Painted(self.panel.view.tiles)
        self.live_until(lambda: self.painted.count > 0)
        self.open_s = time.perf_counter() - started
        self.live_until(lambda: self.panel.follower.layers is not None and self.panel.follower.layers.shown is not None)
        window = self.widget.window()
        window.activateWindow()
        self.live_until(lambda: QApplication.activeWindow() is not None)
        # The image has the focus, as after a click on it: the hardest place for a key.
        self.target = QApplication.focusWidget() or window
        self.live(1.0)

    def live_until(self, is_so: Callable[[], bool]) -> None:
        """Let the window live until something is so."""
        end = time.perf_counter() + PATIENCE_S
        while not is_so():
            QApplication.processEvents()
            if time.perf_counter() > end:
                raise SystemExit(f"nothing came within {PATIENCE_S:g} s")

    def live(self, seconds: float) -> None:
        """Let the window live for a while."""
        end = time.perf_counter() + seconds
        self.live_until(lambda: time.perf_counter() > end)

    def press_after(self, seconds: float, key: Qt.Key) -> float:
        """Press a key after a pause, in which the window does what it has put off."""
        self.live(seconds)
        return self.press(key)

    def press(self, key: Qt.Key) -> float:
        """Press a key; return the milliseconds until the next cell is painted."""
        before, painted = self.panel.session.current, self.painted.count
        started = time.perf_counter()
        QTest.keyClick(self.target, key)
        self.live_until(lambda: self.panel.session.current != before and self.painted.count > painted)
        return 1000 * (time.perf_counter() - started)


def commits(study: Study, count: int) -> list[float]:
    """Return the milliseconds of commits of one decision each, without a window."""
    from cher2.review.session import ReviewSession

    session, times = ReviewSession(study, open_log(study), "committer"), []
    for number in range(count):
        started = time.perf_counter()
        if not session.grade(number % 4):
            raise SystemExit("a decision was not stored")
        times.append(1000 * (time.perf_counter() - started))
    session.close()
    return times


def main() -> int:
    """Run the benchmark; return 1 where a mark is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, help="a scored study beside its images")
    folder = parser.parse_args().study
    with tempfile.TemporaryDirectory() as scratch:
        study = Study(Path(scratch) / "study")
        if folder is None:
            study = make_study(Path(scratch))
        else:
            # Beside the images, as the study says where they are: relative to itself.
            study = Study(folder.with_name(f".{folder.name}-benchmark"))
            shutil.copytree(folder, study.path, copy_function=link)
        try:
            missed = measure(study)
        finally:
            if folder is not None:
                shutil.rmtree(study.path)
    return int(missed)


def link(source: str, target: str) -> None:
    """Link a file: a copy of a study's results need not cost its bytes; the reviews are left out."""
    if not Path(source).name.startswith("reviews.sqlite"):
        Path(target).hardlink_to(source)


def measure(study: Study) -> bool:
    """Measure and print; return whether a mark is missed."""
    bench = Bench(study.path)
    session = bench.panel.session
    # A reader who looks at each cell for a moment, and one who does not.
    paced = [bench.press_after(pause, GRADES[number % len(GRADES)]) for number, pause in enumerate(PAUSES_S)]
    near = [bench.press(GRADES[number % len(GRADES)]) for number in range(DECISIONS)]
    session.set_queue("uncertain")
    bench.live(0.5)
    far = [bench.press(GRADES[number % len(GRADES)]) for number in range(FAR)]
    bench.live(1.5)
    decided, current = session.progress.reviewed, session.current
    memory = psutil.Process().memory_info().rss / 2**20
    bench.widget.close_study()
    bench.widget.open_study(study.path, "benchmark")
    again = bench.widget.panel.session
    same = float(again.current == current and again.queue.name == "uncertain" and again.progress.reviewed == decided)
    cells = len(again.cells)
    bench.widget.close_study()
    bench.viewer.close()
    stored = commits(study, DECISIONS)
    figures = [
        Figure("open the study, first cell shown", "s", [bench.open_s], most=MOST_OPEN_S),
        Figure("key press to next cell, 95th percentile", "ms", [p95(near)], most=MOST_NEXT_MS),
        Figure("the same, median", "ms", near),
        Figure("with 0.1 to 2 s before it, 95th percentile", "ms", [p95(paced)], most=MOST_NEXT_MS),
        Figure("the same, median", "ms", paced),
        Figure("to a cell of another frame, 95th percentile", "ms", [p95(far)], most=MOST_NEXT_MS),
        Figure("the same, median", "ms", far),
        Figure("commit of a decision, 95th percentile", "ms", [p95(stored)], most=MOST_COMMIT_MS),
        Figure("the same, median", "ms", stored),
        Figure("memory of the process", "MB", [memory], most=MOST_MEMORY_MB),
        Figure("reopened at the same cell (1: yes)", "", [same], least=1.0),
    ]
    return print_figures(f"Review of {cells} cells of {len(study.samples)} synthetic images", figures)


def p95(values: list[float]) -> float:
    """Return the 95th percentile."""
    return sorted(values)[int(0.95 * len(values))]


if __name__ == "__main__":
    sys.exit(main())
