"""What the log of decisions comes to: which entries are in force, for which cell, and what is final.

The final word on a cell is that of the newest consensus; where there is none, the newest decision of any reader; where
there is none, the machine's. Skipping a cell and noting something decide nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.cells.nearest import nearest_pairs
from cher2.review.decisions import REFERRING, Decision

DECIDING = ("grade", "not_ctc", "ctc")
"""Actions that decide what a cell is."""


def in_force(decisions: Iterable[Decision]) -> list[Decision]:
    """Return the decisions that nobody took back, in the order of the log.

    Parameters
    ----------
    decisions : iterable of Decision
        In the order of the log. A reader can only take back what is his own.

    Returns
    -------
    list of Decision
        Without undos and redos themselves.
    """
    known: dict[str, Decision] = {}
    back: set[str] = set()
    for decision in decisions:
        if decision.action not in REFERRING:
            known[decision.decision_id] = decision
        elif (meant := known.get(decision.refers_to)) is not None and meant.reader == decision.reader:
            (back.add if decision.action == "undo" else back.discard)(decision.refers_to)
    return [decision for key, decision in known.items() if key not in back]


def match_numbers(
    decisions: Sequence[Decision], cells: pd.DataFrame, fingerprints: NDArray[np.object_]
) -> NDArray[np.intp]:
    """Find the cell of each decision by its number, where the image's results are those that the reader saw.

    Parameters and result are those of :func:`match_cells`; -1 also where the image was scored anew.
    """
    keys = zip(cells["image"].tolist(), cells["object_id"].tolist(), fingerprints.tolist(), strict=True)
    row_of = {key: row for row, key in enumerate(keys)}
    return np.array([row_of.get((d.image, d.object_id, d.score), -1) for d in decisions], dtype=np.intp)


def match_cells(
    decisions: Sequence[Decision],
    cells: pd.DataFrame,
    fingerprints: NDArray[np.object_],
    radius_px: NDArray[np.float64],
) -> NDArray[np.intp]:
    """Find the cell of each decision.

    By its number, where the image's results are those that the reader saw; where the image was scored anew, by its
    place: one to one, nearest first, no farther than a cell's radius, the old or the new, whichever is larger.

    Parameters
    ----------
    decisions : sequence of Decision
    cells : DataFrame
        ``image, object_id, y_px, x_px``.
    fingerprints : ndarray of str, shape (n,)
        The fingerprint of the results that each cell comes from.
    radius_px : ndarray of float, shape (n,)
        Radius of a circle of each cell's area.

    Returns
    -------
    ndarray of int, shape (len(decisions),)
        The row of each decision's cell; -1 where the cell is gone.
    """
    rows = match_numbers(decisions, cells, fingerprints)
    current = set(zip(cells["image"].tolist(), fingerprints.tolist(), strict=True))
    moved: dict[tuple[str, str], dict[int, list[int]]] = {}
    for at, decision in enumerate(decisions):
        # What one set of results told apart stays apart; cells of another set may be the same ones.
        if rows[at] < 0 and (decision.image, decision.score) not in current:
            moved.setdefault((decision.image, decision.score), {}).setdefault(decision.object_id, []).append(at)
    if moved:
        of_image = cells.groupby("image", sort=False).indices
        places = cells[["y_px", "x_px"]].to_numpy(float)
        for (image, _), by_object in moved.items():
            here = np.asarray(of_image.get(image, ()), dtype=np.intp)
            for ats, row in _by_place(decisions, list(by_object.values()), here, places, radius_px):
                rows[ats] = row
    return rows


def _by_place(
    decisions: Sequence[Decision],
    groups: list[list[int]],
    here: NDArray[np.intp],
    places: NDArray[np.float64],
    radius_px: NDArray[np.float64],
) -> list[tuple[list[int], int]]:
    """Pair the cells that decisions were about with those that are there now."""
    last = [decisions[ats[-1]] for ats in groups]
    points = np.array([(d.y_px, d.x_px) for d in last], dtype=float).reshape(-1, 2)
    reach = np.array([d.radius_px for d in last], dtype=float)
    found, of = nearest_pairs(points, places[here], radius_px[here], reach)
    return [(groups[group], int(here[column])) for group, column in zip(found, of, strict=True)]


@dataclass
class CellHistory:
    """The decisions in force on one cell, of all readers, oldest first."""

    decisions: list[Decision] = field(default_factory=list)

    def deciding(self, reader: str | None = None) -> Decision | None:
        """Return the decision that holds: of one reader, or of all together; None where nothing is decided."""
        own = [d for d in self.decisions if d.action in DECIDING and (reader is None or d.reader == reader)]
        settled = [d for d in own if d.reading == "consensus"] if reader is None else []
        holding = settled or own
        return holding[-1] if holding else None

    def readings(self) -> dict[str, Decision]:
        """Return each reader's newest decision that was made alone."""
        return {d.reader: d for d in self.decisions if d.action in DECIDING and d.reading != "consensus"}

    @property
    def settled(self) -> bool:
        """Whether there is a consensus."""
        return any(d.action in DECIDING and d.reading == "consensus" for d in self.decisions)

    @property
    def disagreement(self) -> bool:
        """Whether readers differ and nobody has settled it."""
        words = {(d.kind, d.grade) for d in self.readings().values()}
        return len(words) > 1 and not self.settled

    def skipped_by(self, reader: str) -> bool:
        """Whether the last thing that a reader did with the cell was to pass it over."""
        own = [d.action for d in self.decisions if d.reader == reader and d.action != "note"]
        return bool(own) and own[-1] == "skip"

    def notes_of(self, reader: str | None = None) -> tuple[str, ...]:
        """Return what one reader noted, or all, each after its reader's name."""
        noted = [d for d in self.decisions if d.reason and reader in (None, d.reader)]
        return tuple(f"{d.reader}: {d.reason}" for d in noted)


def histories(decisions: Sequence[Decision], rows: NDArray[np.intp]) -> dict[int, CellHistory]:
    """Return what was decided on each cell.

    Parameters
    ----------
    decisions : sequence of Decision
        Those in force.
    rows : ndarray of int
        The row of each one's cell; those below 0 are left out.

    Returns
    -------
    dict of CellHistory
        By the cell's row.
    """
    found: dict[int, CellHistory] = {}
    for decision, row in zip(decisions, rows.tolist(), strict=True):
        if row >= 0:
            found.setdefault(row, CellHistory()).decisions.append(decision)
    return found
