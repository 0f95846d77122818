"""What each reader says of each cell, to be compared with the others and with the machine."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from cher2.review.decisions import Decision, Reading
from cher2.review.ledger import Ledger
from cher2.review.state import DECIDING, CellHistory

AUTOMATIC = "(automatic)"
"""The machine, among the names of readers."""

CONSENSUS = "(consensus)"
"""What readers have settled together, among their names."""

COLUMNS = ("row", "patient_id", "image", "object_id", "reader", "kind", "grade", "reading")


def readings_of(ledger: Ledger) -> pd.DataFrame:
    """Return what readers say of the cells of a study, one word a reader and cell.

    A reader's word is the last one before the reader saw the machine's grade: the newest blind decision before any
    open one, reading ``blind``. Where the first decision was an open one it is the newest, reading ``open``: that
    reader knew what the machine says, and may have known what others say. What was decided for consensus stands
    apart, as the reader :data:`CONSENSUS`.

    Parameters
    ----------
    ledger : Ledger

    Returns
    -------
    DataFrame
        ``row`` (of the ledger's table of cells), ``patient_id, image, object_id, reader, kind, grade`` (empty for
        what is no CTC, and for a CTC that the reader gave none) and ``reading`` (open, blind, consensus), by row and
        reader. Copies in another frame, which do not count, and cells that are gone are left out.
    """
    rows = []
    # Columns at once: looking one cell up in a table takes longer than all that is done with it.
    cells = ledger.cells[["patient_id", "image", "object_id", "duplicate_of"]].to_numpy(object)
    for row, history in sorted(ledger.histories().items()):
        patient, image, number, copy_of = cells[row]
        if copy_of or row in ledger.gone:
            continue
        for reader, decisions, reading in _words(history):
            kind, grade = decisions[-1].kind, _grade(decisions)
            rows.append((row, str(patient), str(image), int(number), reader, kind, grade, reading))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"row": "int64", "object_id": "int64", "grade": "Int8"})


def _words(history: CellHistory) -> list[tuple[str, list[Decision], Reading]]:
    """Return each reader's decisions that make the reader's word, the last one holding."""
    alone: dict[str, list[Decision]] = {}
    together: list[Decision] = []
    for decision in history.decisions:
        if decision.action in DECIDING:
            of = together if decision.reading == "consensus" else alone.setdefault(decision.reader, [])
            of.append(decision)
    words: list[tuple[str, list[Decision], Reading]] = []
    for reader, own in sorted(alone.items()):
        first_open = next((at for at, decision in enumerate(own) if decision.reading == "open"), len(own))
        words.append((reader, own[:first_open], "blind") if first_open else (reader, own, "open"))
    return [*words, (CONSENSUS, together, "consensus")] if together else words


def _grade(decisions: Sequence[Decision]) -> int | None:
    """Return the grade that a reader gave: to say that a cell is a CTC, with the machine's grade, gives none."""
    if decisions[-1].kind != "ctc":
        return None
    given = [decision.grade for decision in decisions if decision.action == "grade"]
    return given[-1] if given else None
