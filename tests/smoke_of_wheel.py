"""Shows that an installed cher2 works: `smoke_of_wheel.py base` scores a study, `... window` opens it in napari.

A program of its own (`nox -s smoke`), not a test of pytest: the environment holds nothing but cher2's wheel.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib.metadata import distributions
from pathlib import Path

WINDOW = """
import sys
import napari
import npe2
from qtpy import API_NAME
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication
from cher2.napari.review_window import open_review
from cher2.study.folder import Study
plugins = npe2.PluginManager.instance()
plugins.discover()
assert plugins.get_manifest("cher2").contributions.widgets
application = QApplication([])  # a timer needs one
QTimer.singleShot(3000, lambda: napari.current_viewer().close())
open_review(Study.open(sys.argv[1]), reader="smoke")
print(f"the window opened and closed with {API_NAME}")
"""


def cher2(*words: str | Path, code: int = 0) -> str:
    """Run the installed command and return what it printed."""
    command = [str(Path(sys.executable).with_name("cher2")), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, f"{words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def scored_study(folder: Path) -> Path:
    """Simulate a small study and score it."""
    cher2("simulate", folder / "sim", "--patients", "3", "--frames", "1", "--height", "256", "--width", "256")
    study = folder / "study"
    rules = ("--protocol", folder / "sim" / "protocol.toml", "--clinical", folder / "sim" / "clinical.csv")
    cher2("run", folder / "sim" / "images", "-o", study, *rules)
    return study


def base(folder: Path) -> None:
    """Score a study without Qt, and look that the tables and the report are there."""
    # By distribution: this program's own folder has one that is called napari.
    there = {each.name.casefold() for each in distributions()} & {"napari", "qtpy", "pyqt6", "pyside6"}
    assert not there, f"the base must not bring {there}"
    study = scored_study(folder)
    for name in ("cells.csv", "patients.csv", "report.html", "provenance.json"):
        assert (study / name).stat().st_size, name
    cher2("verify", study)
    told = json.loads(cher2("doctor", "--json"))
    assert told["ok"], told
    assert "napari" in cher2("doctor")


def window(folder: Path) -> None:
    """Open the review of a study and close it again."""
    subprocess.run([sys.executable, "-c", WINDOW, str(scored_study(folder))], timeout=300, check=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        {"base": base, "window": window}[sys.argv[1]](Path(scratch))
    print(f"smoke test {sys.argv[1]}: all well")
