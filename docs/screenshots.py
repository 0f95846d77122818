"""Make the screenshots of these pages from the real program: a synthetic study, simulated, scored and reviewed.

Run ``xvfb-run -a -s "-screen 0 1920x1200x24" python docs/screenshots.py``; it writes ``docs/images/*.png``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import napari
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from cher2.batch.run import run_study
from cher2.napari.cohort_widget import CohortWidget
from cher2.napari.review_keys import main_window
from cher2.napari.review_widget import ReviewWidget
from cher2.review.open_log import open_log
from cher2.review.session import ReviewSession
from cher2.simulate.settings import StudySettings
from cher2.simulate.study import simulate_study
from cher2.study.folder import Study

IMAGES = Path(__file__).parent / "images"
SIZES = {"review_1280": (1280, 800), "review_1920": (1920, 1200)}
PATIENCE_S = 60.0


def make_study(folder: Path) -> Study:
    """Simulate and score a small study, and let a first reader read some of it."""
    settings = StudySettings(patients=12, frames_per_patient=1, frame_shape=(720, 960), ctcs_per_patient=24, seed=3036)
    simulate_study(folder / "synthetic", settings)
    run_study(folder / "synthetic" / "images", folder / "synthetic_study", workers=1)
    study = Study(folder / "synthetic_study")
    with closing(ReviewSession(study, open_log(study), "reader B", "patient")) as session:
        for number in range(60):
            seen = session.standing(session.current).grade
            # A second reader who is one grade lower at every seventh cell.
            session.grade(max((seen or 0) - (number % 7 == 0), 0))
    return study


def live(until: Callable[[], bool], seconds: float = 0.0) -> None:
    """Let the window live until something is so, and a moment longer."""
    end = time.monotonic() + PATIENCE_S
    while not until():
        QApplication.processEvents()
        if time.monotonic() > end:
            raise SystemExit("the window does not come to rest")
    rest = time.monotonic() + seconds
    while time.monotonic() < rest:
        QApplication.processEvents()


def show(study: Study, name: str) -> None:
    """Review the study in a window of a size, and take its pictures."""
    viewer = napari.Viewer(title="cher2: review of a synthetic study", show=True)
    viewer.window.resize(*SIZES[name])
    widget = ReviewWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Review", area="right")
    widget.open_study(study.path, f"reader A {name}", "patient")
    panel, window = widget.panel, main_window(widget)
    window.move(0, 0)
    window.activateWindow()
    follower = panel.follower
    live(lambda: follower.layers is not None and follower.layers.shown is not None, 2)
    for key in "2311033210312213322":
        QTest.keyClick(window, key)
        live(lambda: True, 0.05)
    live(lambda: True, 3)
    grab(name)
    if name == "review_1280":
        QTest.keyClick(window, Qt.Key.Key_K)
        live(lambda: panel.agreement.table.rowCount() > 0, 1)
        grab("review_agreement")
        QTest.keyClick(window, Qt.Key.Key_K)
        QTest.keyClick(window, Qt.Key.Key_E)
        live(lambda: panel.outlines.is_open, 1)
        grab("review_outlines")
        QTest.keyClick(window, Qt.Key.Key_E)
        panel.session.set_queue("sample")
        live(lambda: True, 3)
        grab("review_blind")
    widget.close_study()
    viewer.close()


def show_cohorts(folder: Path) -> None:
    """Compare the cohorts of a synthetic study of more patients, and take the pictures of the table and of a figure."""
    settings = StudySettings(patients=40, frames_per_patient=1, frame_shape=(360, 480), ctcs_per_patient=14, seed=3036)
    simulate_study(folder / "synthetic_cohort", settings)
    run_study(folder / "synthetic_cohort" / "images", folder / "cohort_study", workers=1)
    viewer = napari.Viewer(title="cher2: cohorts of a synthetic study", show=True)
    viewer.window.resize(*SIZES["review_1280"])
    widget = CohortWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Compare cohorts", area="right")
    window = main_window(widget)
    window.move(0, 0)
    window.activateWindow()
    widget.form.study.setText(str(folder / "cohort_study"))
    widget.form.clinical.setText(str(folder / "synthetic_cohort" / "clinical.csv"))
    widget.form.reader.setText("reader A")
    widget.read()
    live(lambda: widget.view is not None and widget.form.isEnabled(), 2)
    for name, page in (("cohorts", widget.comparison), ("cohorts_survival", widget.survival)):
        widget.tabs.setCurrentWidget(page)
        live(lambda: True, 2)
        grab(name)
    viewer.close()


def grab(name: str) -> None:
    """Save what is on the screen."""
    screen = QApplication.primaryScreen()
    width, height = SIZES.get(name, SIZES["review_1280"])
    screen.grabWindow(0, 0, 0, width, height).save(str(IMAGES / f"{name}.png"))


def main() -> int:
    """Make all screenshots."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        study = make_study(Path(scratch))
        for name in SIZES:
            show(study, name)
        show_cohorts(Path(scratch))
    return 0


if __name__ == "__main__":
    sys.exit(main())
