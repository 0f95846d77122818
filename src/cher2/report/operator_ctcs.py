"""A study beside the CTCs that CellTracks' operator selected: who saw what, sample by sample.

What an export's operator selected is kept in ``score.json`` when a frame is measured: the images need not be there
any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from cher2.cells.selected import COLUMNS, match_selected
from cher2.errors import StudyError
from cher2.report.cell_table import CellTable
from cher2.study.folder import Study, file_of

SAMPLES_FILE, CELLS_FILE = "celltracks.csv", "celltracks_cells.csv"

BOX = ["event", "y0", "x0", "y1", "x1"]


@dataclass(frozen=True, eq=False)
class OperatorComparison:
    """The operator's CTCs beside the study's.

    Parameters
    ----------
    samples : DataFrame
        One row a sample of which the operator's CTCs are known: ``patient_id, sample_id, n_frames,
        n_frames_unknown`` (of those, without the operator's CTCs: not scored, or from elsewhere), ``n_selected,
        n_found, n_matched, n_missed, n_extra``.
    cells : DataFrame
        One row a cell: ``patient_id, sample_id`` and the columns of :func:`~cher2.cells.selected.match_selected`.
    """

    samples: pd.DataFrame
    cells: pd.DataFrame

    def __str__(self) -> str:
        selected, found, matched, missed, extra, unknown = (
            int(self.samples[name].sum())
            for name in ("n_selected", "n_found", "n_matched", "n_missed", "n_extra", "n_frames_unknown")
        )
        left = f"; {unknown} frames without a word of the operator are left out" if unknown else ""
        return (
            f"CellTracks' operator selected {selected} CTCs, the study has {found} in the same frames: {matched} are "
            f"the same cell, {missed} were selected only, {extra} found only ({SAMPLES_FILE}, {CELLS_FILE}){left}"
        )


def compare_with_operator(study: Study, cells: CellTable) -> OperatorComparison | None:
    """Compare a study's CTCs with those that CellTracks' operator selected.

    Parameters
    ----------
    study : Study
        With its images scored.
    cells : CellTable
        Its cells with their final kinds.

    Returns
    -------
    OperatorComparison or None
        None where no image says what an operator selected.
    """
    frames = study.samples[["image", "patient_id", "sample_id"]]
    known = _known(study, frames["image"])
    if not known:
        return None
    boxes = [{"image": image} | dict(zip(BOX, box, strict=True)) for image, of in known.items() for box in of]
    selected = pd.DataFrame(boxes, columns=["image", *BOX]).astype({"image": "str", "event": "str"})
    there = cells.of_images(known)
    ctcs = there[there["kind_final"] == "ctc"]
    rows = match_selected(selected.astype(dict.fromkeys(BOX[1:], "float64")), ctcs)
    rows = frames.merge(rows, on="image")[["patient_id", "sample_id", *COLUMNS]]
    samples = _by_sample(frames.assign(unknown=~frames["image"].isin(list(known))), rows)
    return OperatorComparison(samples, rows)


def tables_of(comparison: OperatorComparison | None) -> dict[str, pd.DataFrame]:
    """Return both tables by their files' names; none without a comparison."""
    return {} if comparison is None else {SAMPLES_FILE: comparison.samples, CELLS_FILE: comparison.cells}


def _known(study: Study, images: Iterable[str]) -> dict[str, list[list[Any]]]:
    """Return the operator's boxes of each image that has a word of the operator."""
    found, others = dict[str, list[list[Any]]](), set[tuple[str, str]]()
    for image in images:
        path = PurePosixPath(file_of(image))
        kind = (str(path.parent), path.suffix)
        # All TIFFs of a folder are frames of an export, or none is: a study of other files is not read through.
        score = None if kind in others else study.score_of(image)
        if score is None:
            continue
        if "remarks" not in score:
            others.add(kind)
        elif (boxes := score.get("selected")) is not None:
            found[image] = _checked(boxes, image)
    return found


def _checked(boxes: Any, image: str) -> list[list[Any]]:
    if isinstance(boxes, list) and all(isinstance(box, list) and len(box) == len(BOX) for box in boxes):
        return boxes
    raise StudyError(
        f"the results of {image} are damaged: score.json does not hold the operator's cells",
        remedy="Run 'cher2 run' again with --force",
    )


def _by_sample(frames: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the samples that have at least one frame with the operator's word."""
    keys = ["patient_id", "sample_id"]
    table = frames.groupby(keys, sort=False)["unknown"].agg(n_frames="size", n_frames_unknown="sum").reset_index()
    table = table[table["n_frames_unknown"] < table["n_frames"]]
    for outcome in ("matched", "missed", "extra"):
        count = rows[rows["outcome"] == outcome].groupby(keys).size().rename(f"n_{outcome}").reset_index()
        table = table.merge(count, on=keys, how="left").fillna({f"n_{outcome}": 0}).astype({f"n_{outcome}": int})
    table = table.assign(
        n_selected=table["n_matched"] + table["n_missed"], n_found=table["n_matched"] + table["n_extra"]
    )
    counts = ["n_frames", "n_frames_unknown", "n_selected", "n_found", "n_matched", "n_missed", "n_extra"]
    return table[[*keys, *counts]].reset_index(drop=True)
