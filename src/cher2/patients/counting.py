"""Counting a patient's CTCs by grade, and the images that they were found in.

A reader's word wins over the machine's, and a cell seen in two frames counts once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.cells.objects import GRADE_NAMES, GRADES, KINDS
from cher2.errors import GradingError
from cher2.patients.chances import are_probabilities
from cher2.patients.identifiers import text_codes, text_values

UNGRADED = len(GRADES)
"""What stands for no grade among the grades."""


@dataclass(frozen=True, eq=False)
class CountedCells:
    """The CTCs of a table that are counted: neither copies in another frame nor of a draw that is left out.

    Parameters
    ----------
    rows : ndarray of int, shape (M,)
        Their rows in the table.
    grades : ndarray of int, shape (M,)
        0 to 3, or :data:`UNGRADED`.
    """

    rows: NDArray[np.intp]
    grades: NDArray[np.int64]


def counted_cells(cells: pd.DataFrame, used: NDArray[np.bool_]) -> CountedCells:
    """Find the CTCs that are counted.

    Parameters
    ----------
    cells : DataFrame
        As in :func:`cher2.patients.summary.summarise_patients`.
    used : ndarray of bool, shape (N,)
        Whether the row's draw is counted.

    Raises
    ------
    GradingError
        A kind is unknown, or a grade is none of 0 to 3.
    """
    counted = _are_ctcs(cells) & used
    if "duplicate_of" in cells:
        codes, copies = text_codes(cells["duplicate_of"])
        counted &= (copies == "")[codes]
    rows = np.flatnonzero(counted)
    return CountedCells(rows, _grades(cells)[rows])


def count_grades(counted: CountedCells, patient: NDArray[np.intp], n_patients: int) -> NDArray[np.int64]:
    """Count each patient's CTCs by grade.

    Parameters
    ----------
    counted : CountedCells
    patient : ndarray of int, shape (N,)
        The patient of each row of the table, by number.
    n_patients : int

    Returns
    -------
    ndarray of int, shape (n_patients, 5)
        CTCs of grade 0, 1+, 2+, 3+, and those without a grade.
    """
    cell = patient[counted.rows] * (UNGRADED + 1) + counted.grades
    return np.bincount(cell, minlength=n_patients * (UNGRADED + 1)).reshape(-1, UNGRADED + 1).astype(np.int64)


def reasons_without_grade(
    cells: pd.DataFrame, counted: CountedCells, patient: NDArray[np.intp]
) -> list[tuple[int, str]]:
    """Return the patient's number and the reason, of the column ``not_graded``, of each CTC without a grade.

    Parameters
    ----------
    cells, counted, patient
        The table, those counted, and the patient of each row of the table.
    """
    rows = counted.rows[counted.grades == UNGRADED]
    if "not_graded" not in cells or not len(rows):
        return []
    reasons = text_values(cells["not_graded"].iloc[rows])
    return [(number, why) for number, why in zip(patient[rows].tolist(), reasons, strict=True) if why]


def grade_probabilities(cells: pd.DataFrame, counted: CountedCells) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return how probable the grades of the graded CTCs are.

    Parameters
    ----------
    cells, counted
        The table and those counted; the machine's probabilities are those of the columns ``p0`` to ``p3``.

    Returns
    -------
    probabilities : ndarray of float, shape (M, 4)
        A row a counted CTC with a grade. A reader's grade is certain; so is one without probabilities. A grade is a
        reader's where the cell names a ``reader``, where it differs from the machine's, and in a table that has
        no column ``reader``.
    rows : ndarray of int, shape (M,)
        Their rows in the table.

    Raises
    ------
    GradingError
        Probabilities are no numbers, do not sum to 1, or exclude the machine's own grade.
    """
    graded = counted.grades != UNGRADED
    rows, grades = counted.rows[graded], counted.grades[graded]
    probabilities = np.eye(len(GRADES))[grades]
    columns = [f"p{grade}" for grade in GRADES]
    if not all(name in cells for name in columns):
        return probabilities, rows
    try:
        machine = np.column_stack(
            [pd.to_numeric(cells[name]).to_numpy(np.float64, na_value=np.nan)[rows] for name in columns]
        )
    except (TypeError, ValueError) as error:
        raise GradingError(f"a probability is no number ({error})", where="cells, columns p0 to p3") from None
    unknown = np.logical_or.reduce([np.isnan(column) for column in machine.T])
    known = ~unknown & ~_read(cells, rows, grades)
    _check_probabilities(machine[known], grades[known], rows[known])
    probabilities[known] = machine[known]
    return probabilities, rows


def _read(cells: pd.DataFrame, rows: NDArray[np.intp], grades: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say whose grade is a reader's."""
    if "grade" not in cells:
        return np.zeros(len(rows), np.bool_)
    given = _grade_column(cells, "grade")[rows] != UNGRADED
    if "reader" not in cells:
        return np.asarray(given)
    codes, readers = text_codes(cells["reader"])
    named = (readers != "")[codes][rows]
    return np.asarray(given & (named | (grades != _grade_column(cells, "grade_auto")[rows])))


def _check_probabilities(p: NDArray[np.float64], grades: NDArray[np.int64], rows: NDArray[np.intp]) -> None:
    sensible = are_probabilities(p)
    possible = p[np.arange(len(p)), grades] > 0
    if not (sensible & possible).all():
        at = int(np.argmin(sensible & possible))
        shown = ", ".join(f"{value:g}" for value in p[at])
        name = GRADE_NAMES[grades[at]]
        wrong = f"but the grade is {name}" if sensible[at] else "which do not sum to 1"
        raise GradingError(
            f"the probabilities of the grades are {shown}, {wrong}",
            where=f"cells, columns p0 to p3, row {rows[at] + 1}",
            remedy="Score the images again, or leave the four columns out",
        )


def _are_ctcs(cells: pd.DataFrame) -> NDArray[np.bool_]:
    codes, names = text_codes(cells["kind"])
    known, ctc = np.isin(names, KINDS)[codes], np.asarray(names == "ctc")[codes]
    if "kind_final" not in cells:
        _check_kinds(known, cells, "kind")
        return np.asarray(ctc)
    final_codes, final = text_codes(cells["kind_final"])
    empty = (final == "")[final_codes]
    _check_kinds(known | ~empty, cells, "kind")
    _check_kinds(np.isin(final, KINDS)[final_codes] | empty, cells, "kind_final")
    return np.asarray(np.where(empty, ctc, (final == "ctc")[final_codes]))


def _check_kinds(known: NDArray[np.bool_], cells: pd.DataFrame, name: str) -> None:
    if not known.all():
        at = int(np.argmin(known))
        raise GradingError(
            f"{text_values(cells[name].iloc[at : at + 1])[0]!r} is no kind of cell",
            where=f"cells, column {name}, row {at + 1}",
            remedy=f"It must be one of {', '.join(KINDS)}",
        )


def _grades(cells: pd.DataFrame) -> NDArray[np.int64]:
    grades = _grade_column(cells, "grade_auto")
    if "grade" in cells:
        read = _grade_column(cells, "grade")
        grades = np.where(read == UNGRADED, grades, read)
    return grades


def _grade_column(cells: pd.DataFrame, name: str) -> NDArray[np.int64]:
    codes, distinct = pd.factorize(cells[name])
    known = {**{str(grade): grade for grade in GRADES}, **{f"{grade}.0": grade for grade in GRADES}}
    known[""] = UNGRADED
    # An empty grade has the code -1, which is the last of the numbers.
    numbers = np.array([*(known.get(str(value).strip(), -1) for value in distinct), UNGRADED], dtype=np.int64)
    grades = numbers[codes]
    if (grades < 0).any():
        at = int(np.argmax(grades < 0))
        raise GradingError(
            f"{str(cells[name].iloc[at])!r} is no grade",
            where=f"cells, column {name}, row {at + 1}",
            remedy="It must be 0, 1, 2 or 3, or empty for a cell that could not be graded",
        )
    return grades


def count_images(
    table: pd.DataFrame, patient: NDArray[np.intp], used: NDArray[np.bool_], n_patients: int
) -> tuple[NDArray[np.int64] | None, NDArray[np.int64]]:
    """Count each patient's images.

    Parameters
    ----------
    table : DataFrame
        ``image`` names the image of each row; it is empty for an image that could not be read.
    patient : ndarray of int, shape (N,)
        The patient of each row, by number.
    used : ndarray of bool, shape (N,)
        Whether the row's draw is counted.
    n_patients : int

    Returns
    -------
    read : ndarray of int, shape (n_patients,), or None
        Images that were read, each once; None where the table has no column ``image``.
    unread : ndarray of int, shape (n_patients,)
        Rows without an image.
    """
    if "image" not in table:
        return None, np.zeros(n_patients, np.int64)
    names = text_values(table["image"])
    read = used & (names != "")
    pairs = pd.DataFrame({"patient": patient[read], "image": names[read]}).drop_duplicates()
    n_read = np.bincount(pairs["patient"].to_numpy(), minlength=n_patients)
    n_unread = np.bincount(patient[used & (names == "")], minlength=n_patients)
    return n_read.astype(np.int64), n_unread.astype(np.int64)
