"""A scored synthetic study of 10,000 CTCs in many images, for the benchmarks of the review; no benchmark itself."""

from __future__ import annotations

from pathlib import Path

from cher2.batch.run import run_study
from cher2.simulate.settings import StudySettings
from cher2.simulate.study import simulate_study
from cher2.study.folder import Study

COPIES = 40


def make_study(folder: Path) -> Study:
    """Simulate a few frames, link them to many names, and score them all."""
    settings = StudySettings(patients=8, frames_per_patient=1, ctcs_per_patient=32, seed=20281)
    simulate_study(folder / "simulated", settings)
    images = folder / "simulated" / "images"
    for path in sorted(images.rglob("*.tif")):
        for number in range(1, COPIES):
            path.with_name(f"copy_{number:02d}_{path.name}").hardlink_to(path)
    run_study(images, folder / "study", workers=1)
    return Study(folder / "study")
