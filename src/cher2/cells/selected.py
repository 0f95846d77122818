"""The CTCs that an operator selected in another program beside those of a study: which of them are the same cell.

A cell is the one that was selected where its centroid lies in the operator's box. One box stands for one cell and one
cell for one box: as many pairs as can be, and among those the nearest.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

TOLERANCE_PX = 5.0
"""By so much a box is grown on each side: 3.2 um, a third of a leukocyte. Boxes are drawn in whole pixels counted from
0 or from 1, around what the other program's threshold left of the cell."""

COLUMNS = ("image", "event", "object_id", "y_px", "x_px", "distance_px", "outcome")
"""The columns that :func:`match_selected` gives."""


def match_selected(selected: pd.DataFrame, ctcs: pd.DataFrame, tolerance_px: float = TOLERANCE_PX) -> pd.DataFrame:
    """Say which of an operator's cells were found, and which cells are more.

    Parameters
    ----------
    selected : DataFrame
        The operator's cells: ``image``, ``event`` (its name), and the box ``y0, x0, y1, x1`` in pixels of the frame.
    ctcs : DataFrame
        The CTCs: ``image, object_id, y_px, x_px, duplicate_of``. A copy of a cell in another frame helps to find the
        cell; it is not counted itself.
    tolerance_px : float
        By how much the boxes are grown on each side.

    Returns
    -------
    DataFrame
        One row a cell, columns :data:`COLUMNS`. ``outcome`` is matched, missed (selected, not found) or extra (found,
        not selected); ``event`` is empty and ``object_id`` missing where there is none; ``y_px, x_px`` is the centroid
        of the cell, or the centre of the box where there is no cell; ``distance_px`` lies between the two.
    """
    boxes = selected.reset_index(drop=True)
    copies, cells = _cells(ctcs)
    pairs = _pairs(boxes, copies, tolerance_px)
    box, cell, distance = _one_to_one(pairs, len(boxes), len(cells))
    matched = cells.iloc[cell].reset_index(drop=True)
    matched = matched.assign(event=boxes["event"].to_numpy()[box], distance_px=distance, outcome="matched")
    missed = boxes.drop(index=box.tolist())
    missed = missed.assign(y_px=(missed["y0"] + missed["y1"]) / 2, x_px=(missed["x0"] + missed["x1"]) / 2)
    extra = cells.drop(index=cell.tolist()).assign(event="", outcome="extra")
    parts = [matched, missed.assign(outcome="missed"), extra]
    rows = [part.reindex(columns=list(COLUMNS)).astype(_TYPES) for part in parts]
    every: pd.DataFrame = pd.concat(rows, ignore_index=True)
    return every


_TYPES = {
    "image": "str",
    "event": "str",
    "object_id": "Int64",
    "y_px": "float64",
    "x_px": "float64",
    "distance_px": "float64",
    "outcome": "str",
}


def _cells(ctcs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return all copies with the number of their cell, and the cells, one row each."""
    counted = (ctcs["duplicate_of"] == "").to_numpy()
    cells = ctcs.loc[counted].reset_index(drop=True)
    own = ctcs["image"] + " " + ctcs["object_id"].astype(str)
    number = {name: k for k, name in enumerate(own[counted])}
    of_cell = own.where(counted, ctcs["duplicate_of"]).map(number)
    copies = ctcs.assign(cell=of_cell)[of_cell.notna().to_numpy()]
    return copies.astype({"cell": np.intp}), cells


def _pairs(boxes: pd.DataFrame, copies: pd.DataFrame, tolerance_px: float) -> pd.DataFrame:
    """Return each box with each cell that may be the one: ``box, cell, distance``."""
    numbered = boxes.assign(box=np.arange(len(boxes)))
    both = numbered.merge(copies[["image", "cell", "y_px", "x_px"]], on="image")
    inside = both["y_px"].between(both["y0"] - tolerance_px, both["y1"] + tolerance_px)
    inside &= both["x_px"].between(both["x0"] - tolerance_px, both["x1"] + tolerance_px)
    near = both[inside]
    far = np.hypot(near["y_px"] - (near["y0"] + near["y1"]) / 2, near["x_px"] - (near["x0"] + near["x1"]) / 2)
    pairs = near.assign(distance=far)[["box", "cell", "distance"]]
    return pairs.groupby(["box", "cell"], as_index=False).agg(distance=("distance", "min"))


def _one_to_one(
    pairs: pd.DataFrame, n_boxes: int, n_cells: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Choose as many pairs as can be, each box and each cell once; among those, the ones that lie nearest."""
    # A tenth of a second that only studies with an operator's cells are to cost.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    box, cell = pairs["box"].to_numpy(np.intp), pairs["cell"].to_numpy(np.intp)
    distance = pairs["distance"].to_numpy(np.float64)
    size = n_boxes + n_cells
    graph = coo_array((np.ones(len(box)), (box, n_boxes + cell)), shape=(size, size))
    # Only what hangs together competes: a study's boxes and cells at once would need a matrix of all by all.
    group = connected_components(graph, directed=False)[1][box] if size else box
    kept = [np.empty(0, np.intp)]
    for number in np.unique(group):
        rows = np.flatnonzero(group == number)
        kept.append(rows[_nearest(box[rows], cell[rows], distance[rows])])
    chosen = np.concatenate(kept)
    return box[chosen], cell[chosen], distance[chosen]


def _nearest(box: NDArray[np.intp], cell: NDArray[np.intp], distance: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the numbers of the pairs of one group that are chosen."""
    from scipy.optimize import linear_sum_assignment

    (boxes, i), (cells, j) = np.unique(box, return_inverse=True), np.unique(cell, return_inverse=True)
    pair = np.full((len(boxes), len(cells)), -1)
    pair[i, j] = np.arange(len(box))
    # A pair is worth more than any distance that it may cost elsewhere.
    worth = np.zeros(pair.shape)
    worth[i, j] = float(distance.sum()) + 1 - distance
    chosen: NDArray[np.intp] = pair[linear_sum_assignment(worth, maximize=True)]
    return np.asarray(chosen[chosen >= 0])
