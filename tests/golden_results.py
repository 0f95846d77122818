"""The golden results: what cher2 makes of ``sample_images``, kept in ``tests/golden``, and how it is compared.

``python tests/golden_results.py`` renews them, once ``cells.score.ALGORITHM`` was raised; with the numbers as they are
it changes nothing. ``tests/test_golden_results.py`` compares them on every platform.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from cher2.batch.run import run_study
from cher2.cells.objects import KINDS
from cher2.cells.score import ALGORITHM
from cher2.study.folder import Study
from cher2.study.tables import csv_text

ROOT = Path(__file__).parents[1]
SAMPLES, GOLDEN = ROOT / "sample_images", ROOT / "tests" / "golden"
VERSION = "golden.json"

KEYS = {
    "images.csv": ["image"],
    "cells.csv": ["image", "object_id"],
    "patients.csv": ["patient_id"],
    "comparison.csv": ["variable", "level"],
    "survival.csv": ["endpoint", "group"],
}
"""What tells the rows of each table."""


class Tolerance(NamedTuple):
    """By how much a number may differ from the golden one: relative to it, and absolute in its own unit."""

    relative: float
    absolute: float


WRITTEN = 1e-5
"""Two units of the sixth significant digit, to which tables are written."""

TIGHT = Tolerance(1e-4, 1e-3)
"""By how much every number but a few may differ. Libraries and processors differ in the last bits of a blur: numpy 1.26
with scipy 1.12, OpenCV 4.8, scikit-image 0.22 and pandas 2.1 against numpy 2.4, scipy 1.17, OpenCV 5.0, scikit-image
0.26 and pandas 2.3 moved no pixel and no intensity by more than 3e-5 of it."""

FEW = 0.02
"""Part of a table's rows that may differ by more, up to what one pixel does."""

# Where two values lie closer to a border than a last bit, a pixel at the edge of a body goes the other way. A body here
# has 50 to 600 pixels: one of them is up to 2 % of its area, moves its centre by a tenth of a pixel, and its mean, at
# the dim edge, by a percent. An error of the algorithm moves all cells, or one by more.
PIXEL = Tolerance(0.02, 0.0)
TOLERANCES = {
    "y_px": Tolerance(0.0, 0.15),
    "x_px": Tolerance(0.0, 0.15),
    "area_um2": PIXEL,
    "diameter_um": Tolerance(0.01, 0.0),
    "eccentricity": Tolerance(0.0, 0.02),
    "solidity": Tolerance(0.0, 0.02),
    "nucleus_overlap": Tolerance(0.0, 0.02),
    "saturated_fraction": Tolerance(0.0, 0.005),
    **{f"{role}_mean": Tolerance(0.01, 0.3) for role in ("dapi", "ck", "cd45", "her2")},
    # A quantile goes from one pixel's value to the next.
    **dict.fromkeys(("ck_gate", "cd45_gate", "her2_p90", "her2_membrane"), Tolerance(0.02, 0.5)),
    "her2_intensity": Tolerance(0.01, 0.3),
    "her2_background": Tolerance(0.002, 0.0),
    "her2_se": Tolerance(0.02, 0.0),
    # At a cut-off, a percent of the intensity is a tenth of its spread of 10 %, which moves a probability by 0.04.
    **{f"p{grade}": Tolerance(0.0, 0.04) for grade in range(4)},
    "p_high": Tolerance(0.0, 0.02),
}
"""What one pixel does, by column. Columns that are not named are exact where they are whole numbers or words: counts,
pixels, kinds, grades, groups, reasons. Other numbers follow from counts alone, from the clinical table, or from all of
an image's objects: they are held to how they are written, or, the image's medians, to :data:`TIGHT`."""


def sample_results() -> dict[str, pd.DataFrame]:
    """Score ``sample_images`` and return its tables, all text as cher2 writes them."""
    with tempfile.TemporaryDirectory() as folder:
        files = {name: SAMPLES / f"{name}.{end}" for name, end in (("protocol", "toml"), ("clinical", "csv"))}
        study = run_study(SAMPLES / "images", Path(folder) / "study", workers=1, **files).study
        tables = {name: read(study.path / name) for name in KEYS if name != "images.csv"}
        return {"images.csv": _digests(study), **tables}


def _digests(study: Study) -> pd.DataFrame:
    """Return a line an image: how many objects of each kind, and the medians of what was measured of them all."""
    rows = []
    for image in study.samples["image"]:
        objects = study.objects_of(image)
        counts = {f"n_{kind}": int((objects["kind"] == kind).sum()) for kind in KINDS}
        counts["n_ungraded"] = int(objects["grade_auto"].isna().sum())
        counts["label_pixels"] = round(objects["area_um2"].sum() / study.score_of(image)["pixel_size_um"] ** 2)
        medians = {f"median_{name}": objects[f"{name}_mean"].median() for name in ("dapi", "ck", "cd45", "her2")}
        area = {"median_area_um2": objects["area_um2"].median()}
        rows.append({"image": image, "n_objects": len(objects), **counts, **area, **medians})
    return pd.read_csv(io.StringIO(csv_text(pd.DataFrame(rows))), dtype=str, keep_default_na=False)


def read(path: Path) -> pd.DataFrame:
    """Read a table, all text."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def golden_results() -> tuple[str, dict[str, pd.DataFrame]]:
    """Return the version of the algorithm that the golden results are of, and the tables."""
    version = json.loads((GOLDEN / VERSION).read_text(encoding="utf-8"))["algorithm"]
    return version, {name: read(GOLDEN / name) for name in KEYS}


def differences(golden: dict[str, pd.DataFrame], found: dict[str, pd.DataFrame]) -> list[str]:
    """Say in words what is not as in the golden results, within the tolerances; nothing where all is."""
    return [line for name in KEYS for line in _table_differences(name, golden[name], found[name])]


def _table_differences(name: str, golden: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    if list(golden) != list(found):
        return [f"{name}: the columns are {', '.join(sorted({*golden} ^ {*found})) or 'in another order'}"]
    keys = [frame[KEYS[name]].agg(" ".join, axis=1).tolist() for frame in (golden, found)]
    if keys[0] != keys[1]:
        other = [key for key in keys[1] if key not in keys[0]] + [key for key in keys[0] if key not in keys[1]]
        return [f"{name}: {len(found)} rows, not {len(golden)}; only in one: {', '.join(other[:5])}"]
    lines, moved = [], dict[str, str]()
    for column in golden:
        for key, was, now in zip(keys[0], golden[column], found[column], strict=True):
            said = f"{name}, {key}: {column} is {now or 'empty'}, not {was or 'empty'}"
            if not same(column, was, now):
                lines.append(said)
            elif was != now and not _near(was, now, TIGHT):
                moved.setdefault(key, said)
    return lines + ([] if len(moved) <= FEW * len(golden) else [*moved.values()])


def same(column: str, was: str, now: str) -> bool:
    """Say whether a value is the golden one, within what the column allows a single row."""
    if column in TOLERANCES:
        return was == now or _near(was, now, TOLERANCES[column])
    if column.startswith("median_") and column != "median_months":
        return was == now or _near(was, now, TIGHT)
    return was == now or ("." in was + now and _near(was, now, Tolerance(WRITTEN, 0.0)))


def _near(was: str, now: str, tolerance: Tolerance) -> bool:
    """Say whether a number is another within a tolerance; words and empty values are none."""
    try:
        old, new = float(was), float(now)
    except ValueError:
        return False
    return abs(new - old) <= tolerance.absolute + tolerance.relative * abs(old)


def verdict(version: str, now: str, lines: list[str]) -> str:
    """Say what is to be done, by the versions of the golden results and of the algorithm; empty where all is well."""
    shown = "\n".join(lines[:20])
    if version != now:
        return (
            f"ALGORITHM is {now}, but the golden results are those of {version}, with {len(lines)} other numbers: "
            f"look at each, then renew them with 'python tests/golden_results.py'\n{shown}"
        )
    if lines:
        return (
            f"{len(lines)} numbers of sample_images are no longer the golden ones, but ALGORITHM is still {now}: "
            "where that is meant, raise it in src/cher2/cells/score.py, then renew the golden results with "
            f"'python tests/golden_results.py'\n{shown}"
        )
    return ""


def renew() -> str:
    """Write the golden results anew where the algorithm has another version; say what was done.

    Raises
    ------
    SystemExit
        The numbers are others, but the version is the same.
    """
    found = sample_results()
    if (GOLDEN / VERSION).is_file():
        version, golden = golden_results()
        said = verdict(version, ALGORITHM, differences(golden, found))
        if version == ALGORITHM:
            if said:
                sys.exit(said)
            return f"The golden results of algorithm {ALGORITHM} hold: nothing was changed"
    GOLDEN.mkdir(exist_ok=True)
    for name, table in found.items():
        (GOLDEN / name).write_text(table.to_csv(index=False, lineterminator="\n"), encoding="utf-8", newline="")
    (GOLDEN / VERSION).write_text(json.dumps({"algorithm": ALGORITHM}) + "\n", encoding="utf-8")
    return f"The golden results are those of algorithm {ALGORITHM} now"


if __name__ == "__main__":
    print(renew())
