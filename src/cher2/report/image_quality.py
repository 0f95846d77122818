"""The quality of a study's images, read from what measuring and grading have stored of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from cher2.cells.quality import FrameQuality
from cher2.images.files import natural_key
from cher2.patients.quality import IMAGE_COLUMNS, MEASURES, StudyQuality, study_quality
from cher2.protocol import ROLES
from cher2.study.folder import Study
from cher2.study.score_file import DAMAGED

QUALITY = "quality.csv"

_MEASURED = IMAGE_COLUMNS[:-4]
"""What is read of an image; the last columns follow from all of them."""

_STAINING = ["patient_id", "sample_id", "her2", "n_her2"]
_COUNTS = ("n_objects", "n_ctcs", "n_leukocytes", "n_duplicates")

_AT_ONCE = 1000
"""Images whose measures are Python's numbers, ten times as large as a table's, at the same time."""


def quality_of_study(study: Study, images: Iterable[str]) -> StudyQuality:
    """Judge the quality of a study's images by its protocol.

    Parameters
    ----------
    study : Study
    images : iterable of str
        Those of its images that were scored.

    Returns
    -------
    StudyQuality
        What an earlier cher2 did not measure is not known, and said to be.
    """
    table = study.samples
    samples = dict(zip(table["image"], zip(table["patient_id"], table["sample_id"], strict=True), strict=True))
    tables, rows, staining = [], list[dict[str, Any]](), {}
    # The order of a sheet changes no table.
    for image in sorted(images, key=natural_key):
        score = study.score_of(image) or {}
        patient_id, sample_id = samples[image]
        rows.append({"patient_id": patient_id, "sample_id": sample_id, "image": image} | _of_image(score))
        staining[patient_id, sample_id] = _staining(score)
        if len(rows) == _AT_ONCE:
            tables.append(_table(rows))
            rows = []
    measures = pd.concat([*tables, _table(rows)], ignore_index=True)
    levels = pd.DataFrame([(*sample, *level) for sample, level in staining.items()], columns=_STAINING)
    levels = levels.astype({"patient_id": "str", "sample_id": "str", "her2": "float64", "n_her2": "float64"})
    return study_quality(measures, levels, study.protocol.quality)


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    types = dict.fromkeys(_MEASURED[:3], "str") | dict.fromkeys(_MEASURED[3:], "float64") | {"measured": "bool"}
    return pd.DataFrame(rows, columns=[*_MEASURED, "measured"]).astype(types)


def _of_image(score: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row's measures; None where the score does not tell them."""
    counts = {name: score.get(name) for name in _COUNTS}
    try:
        quality = FrameQuality.from_dict(score["quality"])
    except DAMAGED:
        return {**counts, "measured": False}
    row: dict[str, Any] = {**counts, "measured": True, "edge_um": quality.edge_um}
    for role in ROLES:
        if role in quality.background:
            low, level, high = quality.background[role]
            measures = (quality.saturated[role], level, low, high, quality.noise[role])
            row |= {f"{measure}_{role}": value for measure, value in zip(MEASURES, measures, strict=True)}
    return row


def _staining(score: Mapping[str, Any]) -> tuple[float | None, int]:
    found = score.get("leukocytes_her2")
    if not isinstance(found, dict):
        return None, 0
    return found.get("median"), int(found.get("n", 0))
