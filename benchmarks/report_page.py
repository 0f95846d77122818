"""How large the page of a large study is, and how long a browser takes to open it.

Run ``python benchmarks/report_page.py``: 500 synthetic patients with 10,000 cells, each cut out of a synthetic frame
and given noise of its own, so that no two pictures are alike; the whole page with its figures, opened in a headless
Chromium. Exits non-zero where a mark is missed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from marks import Figure, print_figures
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from synthetic_frame import write_frame

import cher2
from cher2.cohorts.comparison import compare_cohorts
from cher2.cohorts.group_survival import survival_by_group
from cher2.images.image import Image
from cher2.patients.flow import exclusion_flow
from cher2.patients.summary import summarise_patients
from cher2.protocol import Protocol
from cher2.report.cell_pictures import CellPlace
from cher2.report.intensity_figure import count_intensities, intensity_figure
from cher2.report.page import PageContent, render_page
from cher2.report.patient_sheets import choose_cells, patient_sheets
from cher2.report.sections import Sections
from cher2.report.survival_figure import survival_figure
from cher2.report.thumbnails import CellThumbnail, cell_thumbnail
from cher2.simulate.clinical import clinical_table
from cher2.simulate.patients import plan_patients
from cher2.simulate.settings import StudySettings

MOST_MB, MOST_OPEN_S = 25.0, 2.0
WHITE = {"dapi": 600.0, "ck": 1200.0, "cd45": 600.0, "her2": 510.0}
OPENED = "return performance.getEntriesByType('navigation')[0].loadEventEnd"


class Frames:
    """A frame's cells, each time with other noise."""

    def __init__(self, image: Image) -> None:
        self._planes = image.planes(Protocol().channels)
        self._rng = np.random.default_rng(1)

    def thumbnail(self, place: CellPlace) -> CellThumbnail:
        """Cut a cell out."""
        cut = cell_thumbnail(self._planes, place.y_px, place.x_px, 0.64)
        noisy = {role: crop + self._rng.normal(0, 8, crop.shape).astype(np.float32) for role, crop in cut.crops.items()}
        return replace(cut, crops=noisy)


def study_of(patients: int, cells: int, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, Frames]:
    """Return the cells of a synthetic study, its clinical table, and where the cells' pictures come from."""
    write_frame(folder / "frame.ome.tif", 200)
    image = cher2.read_image(folder / "frame.ome.tif")
    there = cher2.score_image(image).objects[["y_px", "x_px"]].to_numpy()
    rng = np.random.default_rng(2)
    place = there[rng.integers(len(there), size=cells)]
    grades = rng.integers(4, size=cells)
    table = pd.DataFrame(
        {
            "patient_id": np.repeat([f"P{number:03d}" for number in range(patients)], cells // patients),
            "image": "frame.ome.tif",
            "object_id": np.arange(cells),
            "y_px": place[:, 0],
            "x_px": place[:, 1],
            "kind": "ctc",
            "kind_final": "ctc",
            "duplicate_of": "",
            "grade": grades,
            "grade_auto": grades,
            "her2_intensity": np.array([12.0, 60.0, 190.0, 550.0])[grades] * rng.lognormal(0, 0.3, cells),
        }
    )
    settings = StudySettings(patients=patients)
    clinical = clinical_table(settings, plan_patients(settings))
    return table, clinical.assign(patient_id=table["patient_id"].unique()), Frames(image)


def main() -> int:
    """Print the table; return 1 where a mark is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=500)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--keep", type=Path, help="write the page here, to look at")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        cells, clinical, frames = study_of(arguments.patients, arguments.cells, Path(scratch))
        started = time.perf_counter()
        page = render_page(content_of(cells, clinical, frames)).encode()
        rendered = time.perf_counter() - started
        path = arguments.keep or Path(scratch) / "report.html"
        path.write_bytes(page)
        opened = [open_page(path) for _ in range(3)]
    figures = [
        Figure("the page", "MB", [len(page) / 1e6], most=MOST_MB),
        Figure("opened in Chromium, all loaded", "s", opened, most=MOST_OPEN_S),
        Figure("made, pictures and figures", "s", [rendered]),
    ]
    return int(print_figures(f"{arguments.patients} patients, {arguments.cells} cells", figures))


def content_of(cells: pd.DataFrame, clinical: pd.DataFrame, frames: Frames) -> PageContent:
    """Return the page's content with all that a large study has."""
    protocol = Protocol()
    patients = summarise_patients(cells)
    chosen = choose_cells(cells)
    sheets, _ = patient_sheets(frames, chosen, cells["patient_id"].value_counts().to_dict(), WHITE)
    counts = count_intensities(cells["her2_intensity"], cells["grade"], [], protocol.grade.cutoffs)
    survival = survival_by_group(patients, clinical).endpoints.values()
    sections = Sections(
        intensities=intensity_figure(counts, protocol.grade.cutoffs, "counts above background"),
        survival=tuple(survival_figure(endpoint) for endpoint in survival),
        sheets=tuple(sheets),
    )
    return PageContent(
        title="A large synthetic study",
        synthetic=True,
        protocol=protocol,
        patients=patients,
        comparison=compare_cohorts(patients, clinical),
        examples={},
        images_failed=pd.DataFrame(columns=["image", "error", "message"]),
        n_images=len(patients),
        software={"cher2": cher2.__version__},
        flow=exclusion_flow(patients, protocol.patient, clinical["patient_id"]),
        sections=sections,
    )


def open_page(path: Path) -> float:
    """Return the seconds from the navigation to the end of loading, in a browser of its own."""
    options = Options()
    options.binary_location = shutil.which("chromium") or ""
    for word in ("--headless=new", "--no-sandbox", "--window-size=1280,900"):
        options.add_argument(word)
    browser = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        browser.get(path.absolute().as_uri())
        return float(browser.execute_script(OPENED)) / 1000
    finally:
        browser.quit()


if __name__ == "__main__":
    sys.exit(main())
