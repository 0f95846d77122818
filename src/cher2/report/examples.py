"""The examples of a study of any size: chosen as :func:`cher2.report.thumbnails.choose_examples` does, from batches."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cher2.cells.objects import GRADES
from cher2.report.cell_table import CellTable
from cher2.report.thumbnails import even_ranks, shown_cells

_NEEDED = ("image", "object_id", "touches_border", "duplicate_of", "kind", "her2_intensity", "grade_auto")
_FEW = np.dtype([("shown_as", np.int8), ("her2_intensity", np.float64), ("image", np.int32), ("object_id", np.int32)])


def examples_of(cells: CellTable, per_grade: int) -> pd.DataFrame:
    """Choose the cells of a study to be shown.

    Parameters
    ----------
    cells : CellTable
    per_grade : int
        Most cells of a grade.

    Returns
    -------
    DataFrame
        Rows of ``cells.csv`` with their ``shown_as``, by grade and intensity. Of a cell that may be chosen, 17 bytes
        are held.
    """
    names: dict[str, int] = {}
    parts = [np.empty(0, _FEW)]
    for batch in cells.batches(_NEEDED):
        shown = shown_cells(batch)
        codes, images = pd.factorize(shown["image"])
        few = np.empty(len(shown), _FEW)
        few["image"] = np.array([names.setdefault(image, len(names)) for image in images], dtype=np.int32)[codes]
        for name in ("shown_as", "her2_intensity", "object_id"):
            few[name] = shown[name].to_numpy(_FEW[name])
        parts.append(few)
    every = np.concatenate(parts)
    chosen = pd.DataFrame(_evenly(every, names, per_grade)).assign(place=lambda table: table.index)
    chosen["image"] = np.array([*names], dtype=object)[chosen["image"].to_numpy()]
    rows = cells.of_images(chosen["image"].unique())
    keys = ["image", "object_id"]
    found = rows.merge(chosen[[*keys, "shown_as", "place"]], on=keys)
    return found.sort_values("place", ignore_index=True).drop(columns="place")


def _evenly(cells: np.ndarray, names: dict[str, int], per_grade: int) -> np.ndarray:
    """Choose by rank among the intensities of each grade; cells of one intensity by image and number."""
    by_name = np.empty(len(names), np.int32)
    by_name[[names[name] for name in sorted(names)]] = np.arange(len(names))
    chosen = []
    for grade in GRADES:
        rows = np.flatnonzero(cells["shown_as"] == grade)
        own = cells[rows]
        order = np.lexsort((own["object_id"], by_name[own["image"]], own["her2_intensity"]))
        chosen.append(own[order[even_ranks(len(rows), per_grade)]])
    return np.concatenate(chosen)
