"""In which order a reader sees the cells.

A queue is an order of rows of a table of cells; every one of them is a pure function of the table and of what is
decided so far. Ties are settled by patient, image and object, so that the same study gives the same queue.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.cells.objects import GRADES
from cher2.errors import ReviewError
from cher2.patients.groups import groups_of_counts
from cher2.patients.identifiers import natural_order
from cher2.protocol import PatientRules
from cher2.review.state import CellHistory

SAMPLE_SIZE = 200
"""Cells of the random sample: a kappa of 0.8 is then known to about 0.07 on either side."""

_NOT_A_CTC = len(GRADES) + 1
_UNGRADED = len(GRADES)

Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class QueueInput:
    """What a queue is made from.

    Parameters
    ----------
    cells : DataFrame
        The table of cells, with ``kind_final`` and ``grade`` as the reader may know them.
    rules : PatientRules
        The protocol's rules for patients.
    reader : str
        Whose queue it is.
    histories : mapping of int to CellHistory
        What was decided on the cells, by row.
    seed : int
        Of the random queues.
    sample_size : int
        Of the random sample.
    """

    cells: pd.DataFrame
    rules: PatientRules
    reader: str = ""
    histories: Mapping[int, CellHistory] = field(default_factory=dict)
    seed: int = 0
    sample_size: int = SAMPLE_SIZE


def by_patient(given: QueueInput) -> Rows:
    """Return patient after patient, frame after frame."""
    return _ordered(given.cells)


def by_uncertainty(given: QueueInput) -> Rows:
    """Return the cells whose automatic grade is least certain first, those without a grade before all."""
    return _ordered(given.cells, -uncertainty(given.cells))


def by_effect(given: QueueInput) -> Rows:
    """Return first the cells that can change a patient's group.

    A cell can, where another grade for it, or its not being a CTC, moves its patient across the threshold or the
    minimum. Such cells come first, the likeliest to be graded otherwise before the others; then those of patients
    that are fewest regraded cells away from another group; within all, the least certain first.
    """
    chance, needed = effect_on_group(given.cells, given.rules)
    return _ordered(given.cells, -(needed == 1).astype(float), -chance, needed, -uncertainty(given.cells))


def random_sample(given: QueueInput) -> Rows:
    """Return a random sample of the machine's CTCs in random order, for validation; the same seed gives the same.

    What readers judge besides is left out, so that the sample stays what it is while they read.
    """
    ctcs = np.flatnonzero((given.cells["kind"] == "ctc").to_numpy())
    return shuffled(given.cells, ctcs, given.seed)[: given.sample_size]


def second_reading(given: QueueInput) -> Rows:
    """Return what another reader has read and this one has not, or has: all that are read twice, in random order."""
    others = [
        row for row, history in given.histories.items() if any(name != given.reader for name in history.readings())
    ]
    return shuffled(given.cells, np.array(others, dtype=np.intp), given.seed)


def disagreements(given: QueueInput) -> Rows:
    """Return what readers disagree on and nobody has settled, by patient."""
    rows = {row for row, history in given.histories.items() if history.disagreement}
    return np.array([row for row in by_patient(given).tolist() if row in rows], dtype=np.intp)


@dataclass(frozen=True)
class Queue:
    """A queue by its name.

    Parameters
    ----------
    name : str
    title : str
        In words, for a menu.
    order : callable
        From :class:`QueueInput` to rows.
    blind : bool
        Whether it is read without the machine's and other readers' grades.
    consensus : bool
        Whether its decisions settle what readers disagree on.
    """

    name: str
    title: str
    order: Callable[[QueueInput], Rows]
    blind: bool = False
    consensus: bool = False


QUEUES = {
    queue.name: queue
    for queue in (
        Queue("patient", "By patient", by_patient),
        Queue("uncertain", "Most uncertain grade first", by_uncertainty),
        Queue("decisive", "What can change a patient's group first", by_effect),
        Queue("sample", "Random blinded sample", random_sample, blind=True),
        Queue("second", "Second reading, grades hidden", second_reading, blind=True),
        Queue("disagreements", "Disagreements, for consensus", disagreements, consensus=True),
    )
}
"""The queues by name, in the order of a menu."""


def queue_named(name: str) -> Queue:
    """Return a queue.

    Raises
    ------
    ReviewError
        There is none of this name.
    """
    if name not in QUEUES:
        raise ReviewError(f"there is no queue {name!r}", remedy=f"Choose one of {', '.join(QUEUES)}")
    return QUEUES[name]


def shuffled(cells: pd.DataFrame, rows: Rows, seed: int) -> Rows:
    """Return rows in a random order: that of a hash of seed, image and number.

    The order tells nothing of the cells, nor of the order that they came in; and a cell that comes in later moves
    no other, also when the study is opened anew.
    """
    named = zip(cells["image"].iloc[rows], cells["object_id"].iloc[rows].tolist(), strict=True)
    texts = [f"{seed} {number} {image}".encode(errors="surrogatepass") for image, number in named]
    keys = [hashlib.sha256(text).digest() for text in texts]
    return rows[sorted(range(len(rows)), key=keys.__getitem__)]


def uncertainty(cells: pd.DataFrame) -> NDArray[np.float64]:
    """Return how uncertain each automatic grade is: 1 minus its probability, shape (n,); 1 where there is none."""
    likeliest = cells[[f"p{grade}" for grade in GRADES]].to_numpy(float).max(axis=1)
    return np.asarray(np.where(np.isnan(likeliest), 1.0, 1.0 - likeliest))


def effect_on_group(cells: pd.DataFrame, rules: PatientRules) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how a regraded cell could change its patient's group.

    Parameters
    ----------
    cells : DataFrame
        With ``patient_id, kind_final, grade, p0`` to ``p3``.
    rules : PatientRules

    Returns
    -------
    chance : ndarray of float, shape (n,)
        The probability, by p0 to p3, of the grades that would change the group; 0 where none would. That the cell is
        no CTC has no probability: where only that would, it is 0 though `needed` is 1.
    needed : ndarray of float, shape (n,)
        1 where this cell alone can change it; else how many cells of the patient must be regraded: 2 or 3; where
        even that changes nothing, 4.
    """
    chance, needed = np.zeros(len(cells)), np.full(len(cells), float(_FAR + 1))
    now = _codes(cells)
    likely = np.nan_to_num(cells[[f"p{grade}" for grade in GRADES]].to_numpy(float))
    for rows in cells.groupby("patient_id", sort=False).indices.values():
        counts = np.bincount(now[rows], minlength=_NOT_A_CTC + 1)
        group = groups_of_counts(counts[None, :_NOT_A_CTC], rules)[0]
        flips = _flips(counts, group, rules)
        # Row: what a cell is now; column: the grade, or no CTC, that it could have.
        chance[rows] = (flips[now[rows], : len(GRADES)] * likely[rows]).sum(axis=1)
        alone = flips[now[rows]].any(axis=1)
        needed[rows] = np.where(alone, 1.0, max(2.0, _changes_needed(counts, group, rules)))
    return chance, needed


_FAR = 3


def _codes(cells: pd.DataFrame) -> NDArray[np.intp]:
    grade = cells["grade"].astype("Float64").to_numpy(float, na_value=_UNGRADED)
    return np.where(cells["kind_final"] == "ctc", grade, _NOT_A_CTC).astype(np.intp)


def _flips(counts: NDArray[np.int64], group: str, rules: PatientRules) -> NDArray[np.bool_]:
    """Return, for each thing that a cell is, which other things would change the group; shape (6, 6)."""
    flips = np.zeros((_NOT_A_CTC + 1, _NOT_A_CTC + 1), dtype=np.bool_)
    there = np.flatnonzero(counts)
    for code in there:
        changed = np.tile(counts, (_NOT_A_CTC + 1, 1))
        changed[:, code] -= 1
        changed[np.arange(_NOT_A_CTC + 1), np.arange(_NOT_A_CTC + 1)] += 1
        flips[code] = groups_of_counts(changed[:, :_NOT_A_CTC], rules) != group
    flips[:, _UNGRADED] = False  # nobody regrades a cell to no grade
    return flips


def _changes_needed(counts: NDArray[np.int64], group: str, rules: PatientRules) -> float:
    """Return how many cells must be regraded at least before the group changes, as far as is worth knowing."""
    for cells, changes in enumerate(_changes(), start=1):
        changed = counts + changes
        changed = changed[(changed >= 0).all(axis=1)]
        if (groups_of_counts(changed[:, :_NOT_A_CTC], rules) != group).any():
            return float(cells)
    return float(_FAR + 1)


@cache
def _changes() -> tuple[NDArray[np.int64], ...]:
    """Return what regrading 1, 2, ... cells can do to the counts: arrays of shape (n, 6), rows summing to 0."""
    things = range(_NOT_A_CTC + 1)
    one = {
        tuple((thing == new) - (thing == old) for thing in things)
        for old in things
        for new in (*GRADES, _NOT_A_CTC)
        if old != new
    }
    found = [one]
    for _ in range(_FAR - 1):
        found.append({tuple(np.add(first, second).tolist()) for first in found[-1] for second in one})
    return tuple(np.array(sorted(changes)) for changes in found)


def _ordered(cells: pd.DataFrame, *keys: NDArray[np.float64]) -> Rows:
    """Sort by keys, smallest first, then by patient and image in natural order, then by number."""
    places = [_natural_places(cells[name]) for name in ("image", "patient_id")]
    return np.asarray(np.lexsort((cells["object_id"].to_numpy(), *places, *reversed(keys))), dtype=np.intp)


def _natural_places(names: pd.Series[Any]) -> NDArray[np.intp]:
    codes, distinct = pd.factorize(names)
    place_of = {name: place for place, name in enumerate(natural_order(distinct))}
    return np.array([place_of[name] for name in distinct], dtype=np.intp)[codes]
