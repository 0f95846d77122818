"""How long patients and cohorts of a large study take, and how much memory: ten million objects by default.

Run ``python benchmarks/large_study.py``: synthetic tables of objects and ``score.json`` are written straight into a
study folder, without images; some gigabytes, in ``TMPDIR``. Each step runs in a
process of its own, whose peak memory the system counts. ``--images 10`` makes few large tables of the same objects,
``--ctcs 1`` a study of nothing but CTCs. Exits non-zero where a mark is missed.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from marks import Figure, print_figures

from cher2.cells.objects import COLUMNS
from cher2.cohorts.comparison import compare_cohorts
from cher2.protocol import SITES, Protocol
from cher2.report.derive import derive, summarise_study
from cher2.study.folder import OBJECTS, SCORE, Study

MOST_SECONDS, MOST_MEMORY_MB = 5.0, 1000.0
IMAGES_A_PATIENT = 10
FEW_IMAGES = 100
DIFFERENT_TABLES = 8
BYTES_AN_OBJECT = 250


def synthetic_objects(rng: np.random.Generator, number: int, ctcs: float) -> pd.DataFrame:
    """Draw a table of objects at random; half of the grades are certain."""
    values: dict[str, object] = {
        column.name: rng.lognormal(3, 1, number) for column in COLUMNS if column.dtype == "float64"
    }
    values |= {column.name: np.full(number, "", dtype=object) for column in COLUMNS if column.dtype == "str"}
    grade, beside = rng.integers(0, 4, number), rng.choice([-1, 1], number)
    doubt = np.where(rng.random(number) < 0.5, 0.0, rng.random(number) / 2)
    p = np.eye(4)[grade] * (1 - doubt)[:, None] + np.eye(4)[np.clip(grade + beside, 0, 3)] * doubt[:, None]
    is_ctc = rng.random(number) < ctcs
    values |= {f"p{column}": p[:, column] for column in range(4)}
    values |= {
        "object_id": np.arange(1, number + 1, dtype=np.int32),
        "touches_border": rng.random(number) < 0.02,
        "kind": np.where(is_ctc, "ctc", "leukocyte").astype(object),
        "failed_gate": np.where(is_ctc, "", "CD45+").astype(object),
        "grade_auto": pd.array(grade, dtype="Int8"),
    }
    return pd.DataFrame({column.name: values[column.name] for column in COLUMNS})


def write_study(folder: Path, objects: int, images: int, ctcs: float) -> None:
    """Write a study of so many objects; few tables are drawn, and written for all images."""
    rng = np.random.default_rng(20280)
    rows = [
        (f"P{n // IMAGES_A_PATIENT + 1:05d}", f"frame_{n % IMAGES_A_PATIENT + 1:02d}.ome.tif") for n in range(images)
    ]
    samples = pd.DataFrame(
        [(f"{patient}/{frame}", patient, patient, "", "") for patient, frame in rows],
        columns=["image", "patient_id", "sample_id", "drawn_on", "blood_ml"],
    )
    study = Study(folder)
    study.create(Protocol(), samples)
    tables = [synthetic_objects(rng, objects // images, ctcs) for _ in range(min(DIFFERENT_TABLES, images))]
    for number, (image, patient) in enumerate(zip(samples["image"], samples["patient_id"], strict=True)):
        home = study.folder_of(image)
        home.mkdir()
        table = tables[number % len(tables)].assign(patient_id=patient, sample_id=patient, image=image)
        table.to_parquet(home / OBJECTS, index=False)
        score = {"patient_id": patient, "sample_id": patient, "pixel_size_um": 0.64, "synthetic": True}
        (home / SCORE).write_text(json.dumps(score), encoding="utf-8")
    clinical = pd.DataFrame({"patient_id": samples["patient_id"].unique()})
    for site in SITES:
        clinical[site.column] = rng.integers(0, 2, len(clinical)).astype(str)
    clinical.loc[clinical[[site.column for site in SITES]].eq("0").all(axis=1), SITES[0].column] = "1"
    clinical.to_csv(folder / "clinical.csv", index=False)
    study.finish()


def patients_and_cohorts(study: Study) -> None:
    """Sum the study up and compare its cohorts; nothing is written."""
    patients, _ = summarise_study(study)
    clinical = pd.read_csv(study.path / "clinical.csv", dtype=str)
    if {"high", "low"} <= set(patients["group"]):
        compare_cohorts(patients, clinical, study.protocol)


def every_table(study: Study) -> None:
    """Derive all tables, ``cells.csv`` among them."""
    derive(study)


STEPS: dict[str, Callable[[Study], None]] = {"patients": patients_and_cohorts, "tables": every_table}


def measured(step: str, folder: Path) -> tuple[float, float]:
    """Return seconds and the peak memory in MB of a step in a process of its own, without the start of Python."""
    command = [sys.executable, __file__, "--step", step, str(folder)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds, memory = said.split()
    return float(seconds), float(memory)


def run_step(step: str, folder: Path) -> None:
    """Run a step in this process, and print its seconds and the peak memory."""
    started = time.perf_counter()
    STEPS[step](Study.open(folder))
    seconds = time.perf_counter() - started
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> int:
    """Print the table; return 1 where a mark is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=10_000_000)
    parser.add_argument("--images", type=int, help="tables that hold them; one for 1,000 objects where left out")
    parser.add_argument("--ctcs", type=float, default=0.01, help="fraction of the objects that are CTCs")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--without-cells", action="store_true", help="leave the step out that writes cells.csv")
    parser.add_argument("--step", nargs=2, metavar=("STEP", "STUDY"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        run_step(given.step[0], Path(given.step[1]))
        return 0
    images = given.images or max(1, given.objects // 1000)
    with tempfile.TemporaryDirectory() as scratch:
        free, needed = shutil.disk_usage(scratch).free, given.objects * BYTES_AN_OBJECT * (1 + 2 * given.ctcs)
        if free < needed:
            raise SystemExit(f"{needed / 1e9:.1f} GB are needed in {scratch}: set TMPDIR to a disk with more")
        folder = Path(scratch) / "study"
        write_study(folder, given.objects, images, given.ctcs)
        runs = [measured("patients", folder) for _ in range(given.repeats)]
        figures = [
            Figure("patients and cohorts", "s", [seconds for seconds, _ in runs], most=MOST_SECONDS),
            Figure("peak memory of that", "MB", [memory for _, memory in runs], most=MOST_MEMORY_MB),
        ]
        if not given.without_cells:
            seconds, memory = measured("tables", folder)
            figures.append(Figure("every table, cells.csv among them", "s", [seconds]))
            figures.append(Figure("peak memory of that", "MB", [memory], most=MOST_MEMORY_MB))
    title = f"{given.objects:,} objects in {images:,} tables, {given.ctcs:.0%} CTCs (synthetic)"
    return int(print_figures(title, figures))


if __name__ == "__main__":
    sys.exit(main())
