"""The readers' grades that cut-offs are fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cher2.cells.calibration import MIN_CELLS
from cher2.cells.objects import GRADES
from cher2.errors import GradingError
from cher2.review.ledger import Ledger
from cher2.review.open_log import stored_decisions
from cher2.review.readings import readings_of
from cher2.study.folder import Study


@dataclass(frozen=True, eq=False)
class ReviewedGrades:
    """Grades of readers, one a cell.

    Parameters
    ----------
    table : DataFrame
        ``image, object_id, grade``: what :func:`cher2.study.graded.match_graded` takes.
    words : str
        Which readings they are from, in words.
    """

    table: pd.DataFrame
    words: str


def reviewed_grades(study: Study, reviews: str = "") -> ReviewedGrades:
    """Return the readers' grades of the cells of a study, as :func:`grades_for_calibration` chooses them.

    Parameters
    ----------
    study : Study
        With its images scored.
    reviews : str
        The database of readers' decisions, as of :func:`cher2.review.open_log.open_log`.

    Raises
    ------
    GradingError
        No reader has graded a cell.
    ReviewError
        Readers' decisions cannot be read.
    """
    return grades_for_calibration(Ledger(study, stored_decisions(study, reviews)))


def grades_for_calibration(ledger: Ledger) -> ReviewedGrades:
    """Return the readers' grades of the cells of a study.

    Blind readings are preferred: a reader who sees the automatic grade tends to leave it, which draws the cut-offs to
    where they were. The grade of a cell is that on which all its blind readings agree; where they do not, that of the
    consensus, and without one the cell is left out. Only where this gives a grade of :data:`MIN_CELLS` cells for each
    of the four do open readings stay out; else they grade the cells that were not read blind.

    Parameters
    ----------
    ledger : Ledger

    Returns
    -------
    ReviewedGrades

    Raises
    ------
    GradingError
        No reader has graded a cell.
    """
    readings = readings_of(ledger)
    read = readings[readings["reading"] != "consensus"]
    settled = readings[readings["reading"] == "consensus"].set_index("row")["grade"]
    blind, unsettled = _agreed(read[read["reading"] == "blind"], settled)
    counts = np.bincount(blind.astype(int), minlength=len(GRADES))
    if (counts >= MIN_CELLS).all():
        words = f"Grades of {len(blind)} cells that were read blind"
        return ReviewedGrades(_table(ledger, blind), words + _left_out(unsettled))
    open_rows = read[(read["reading"] == "open") & ~read["row"].isin(read.loc[read["reading"] == "blind", "row"])]
    opened, also_unsettled = _agreed(open_rows, settled)
    # What was only settled, and read by nobody alone, is a grade too.
    only_settled = settled[~settled.index.isin(read["row"])].dropna()
    grades = pd.concat([blind, opened, only_settled])
    if grades.empty:
        raise GradingError(
            "no reader has graded a cell of this study",
            where=str(ledger.study.path),
            remedy="Review it, or give --graded F for cut-offs; --spill or --controls ROLE=FOLDER for spill",
        )
    words = (
        f"Grades of {len(grades)} cells, {len(blind)} of them read blind and {len(grades) - len(blind)} with the "
        "automatic grade in view, which draws the cut-offs towards those in force"
    )
    return ReviewedGrades(_table(ledger, grades), words + _left_out(unsettled + also_unsettled))


def _agreed(readings: pd.DataFrame, settled: pd.Series) -> tuple[pd.Series, int]:
    """Return the grades that readers agree on, or have settled, by row; and how many cells have none for that."""
    graded = readings[readings["grade"].notna()]
    by_row = graded.groupby("row")["grade"]
    several = by_row.nunique() > 1
    # One reader's grade beside another's "no CTC" is a disagreement as well.
    refused = readings.loc[readings["kind"] != "ctc", "row"]
    doubtful = several.index[several | several.index.isin(refused)]
    alone = by_row.first().drop(index=doubtful)
    found = settled.reindex(doubtful).dropna()
    return pd.concat([alone, found]), int((~doubtful.isin(settled.index)).sum())


def _table(ledger: Ledger, grades: pd.Series) -> pd.DataFrame:
    cells = ledger.cells.iloc[grades.index.to_numpy(np.intp)]
    table = cells[["image", "object_id"]].reset_index(drop=True).assign(grade=grades.to_numpy(int))
    return table.astype({"object_id": "int64"})


def _left_out(cells: int) -> str:
    return f"; {cells} are left out, because readers disagree on them and have not settled it" if cells else ""
