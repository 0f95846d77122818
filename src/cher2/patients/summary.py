"""From graded cells to patients: counts, the cHER2 ratio, how sure it is, and the group.

The cHER2 ratio is the 2+ and 3+ CTCs over all HER2+ CTCs (1+, 2+, 3+); a patient is high where it is strictly
above the protocol's threshold (ASCO 2021 abstract 3036). What the abstract leaves open is the protocol's.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.cells.objects import GRADES
from cher2.errors import GradingError
from cher2.patients.chances import GradeChances
from cher2.patients.counting import count_grades, counted_cells, grade_probabilities, reasons_without_grade
from cher2.patients.groups import groups_of_counts
from cher2.patients.misgrading import probability_above_chances
from cher2.patients.patient_guards import check_patients
from cher2.patients.reasons import Tally, reason
from cher2.patients.roster import Roster, require
from cher2.patients.table import patients_table
from cher2.patients.uncertainty import is_borderline, jeffreys_interval, probability_above, wilson_interval
from cher2.protocol import PatientRules, Protocol, as_protocol

NEEDED = ("patient_id", "kind", "grade_auto")
"""Columns that a table of cells must have to be summed up."""

COUNTED = (*NEEDED, "sample_id", "duplicate_of", "not_graded", "kind_final", "grade", "reader", "p0", "p1", "p2", "p3")
"""All columns of cells that patients depend on."""


def summarise_patients(
    cells: pd.DataFrame, protocol: Protocol | None = None, images: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Sum cells up as patients.

    Parameters
    ----------
    cells : DataFrame
        One row a cell, of any kind: ``patient_id``, ``kind``, ``grade_auto``, and where there are
        ``sample_id``, ``image``, ``duplicate_of``, ``not_graded``. A reader's ``kind_final`` and ``grade``
        win where they are not empty. Duplicates, and cells that are not CTCs, are not counted; their patients
        appear. ``p0`` to ``p3`` of the cells that the machine graded are carried through to ``p_high``.
    protocol : Protocol, optional
        Its section ``patient`` decides; the defaults without it.
    images : DataFrame, optional
        One row an image in the sample sheet's order: ``patient_id``, ``image`` (empty for one that could
        not be read), and where there are ``sample_id``, ``drawn_on`` (ISO date). Without it, images and
        draws are those of `cells`, undated and in the order of its rows.

    Returns
    -------
    DataFrame
        One row a patient in natural order; the columns of :data:`cher2.patients.table.COLUMNS`. Where only
        the first draw is counted, so are only its images.

    Raises
    ------
    GradingError
        A column is missing, a kind is unknown or a grade is none of 0 to 3.
    SampleSheetError
        A row has no patient, a cell's draw is not among the images, or the first draw cannot be told.

    Examples
    --------
    >>> cells = pd.DataFrame({"patient_id": "P1", "image": "a", "kind": "ctc", "grade_auto": [3, 3, 3, 2, 1]})
    >>> summarise_patients(cells)[["cher2_ratio", "group"]].values.tolist()
    [[0.8, 'high']]
    """
    rules = as_protocol(protocol).patient
    require(cells, NEEDED, "cells", GradingError)
    roster = Roster.of_cells(cells, rules) if images is None else Roster.of_images(images, rules, cells)
    sums = PatientSums(roster, rules)
    sums.add(cells)
    return sums.table()


class PatientSums:
    """Patients summed up from batches of cells: what they give does not depend on where a batch ends.

    Parameters
    ----------
    roster : Roster
        The patients, their draws and images.
    rules : PatientRules
        The protocol's section ``patient``.

    Examples
    --------
    >>> images = pd.DataFrame({"patient_id": ["P1", "P1"], "image": ["a", "b"]})
    >>> rules = PatientRules()
    >>> sums = PatientSums(Roster.of_images(images, rules), rules)
    >>> for grades in ([3, 3], [3, 2, 1]):
    ...     sums.add(pd.DataFrame({"patient_id": "P1", "kind": "ctc", "grade_auto": grades}))
    >>> sums.table()[["n_ctcs", "cher2_ratio", "group"]].values.tolist()
    [[5, 0.8, 'high']]
    """

    def __init__(self, roster: Roster, rules: PatientRules) -> None:
        self._roster, self._rules = roster, rules
        self._counts = np.zeros((len(roster.names), len(GRADES) + 1), np.int64)
        self._ungraded: defaultdict[int, Counter[str]] = defaultdict(Counter)
        self._chances = GradeChances(len(roster.names))

    def add(self, cells: pd.DataFrame) -> None:
        """Add cells, as :func:`summarise_patients` takes them; no cell may be added twice.

        Raises
        ------
        GradingError
            A column is missing, a kind is unknown or a grade is none of 0 to 3.
        SampleSheetError
            A row has no patient, or its draw is not among the images.
        """
        require(cells, NEEDED, "cells", GradingError)
        patient, used = self._roster.find(cells)
        counted = counted_cells(cells, used)
        self._counts += count_grades(counted, patient, len(self._counts))
        for number, why in reasons_without_grade(cells, counted, patient):
            self._ungraded[number][why] += 1
        probabilities, rows = grade_probabilities(cells, counted)
        self._chances.add(probabilities, patient[rows])

    def table(self) -> pd.DataFrame:
        """Return the patients, as :func:`summarise_patients` does."""
        above = probability_above_chances(self._chances, self._rules.ratio_threshold)
        return _summary(self._roster, self._counts, above, _in_words(self._ungraded), self._rules)


def _in_words(ungraded: Mapping[int, Counter[str]]) -> dict[int, str]:
    """Say why CTCs of a patient have no grade: the reason, or how many have each, most first."""
    words = {}
    for number, reasons in ungraded.items():
        several = ", ".join(f"{count} {why}" for why, count in reasons.most_common())
        words[number] = next(iter(reasons)) if len(reasons) == 1 else several
    return words


def _summary(
    roster: Roster,
    counts: NDArray[np.int64],
    above: NDArray[np.float64],
    ungraded: dict[int, str],
    rules: PatientRules,
) -> pd.DataFrame:
    names, n_images, n_unread = roster.names, roster.n_images, roster.n_unread
    n_ctcs, positive, strong = counts.sum(axis=1), counts[:, 1:4].sum(axis=1), counts[:, 2:4].sum(axis=1)
    group = groups_of_counts(counts, rules)
    certainty = _certainty(strong, positive, rules.ratio_threshold)
    # By the counts there is no ratio, though a cell may have been graded 0 by mistake.
    p_high = np.where(positive > 0, above, np.nan)
    borderline = is_borderline(p_high, group == "high") & np.isin(group, ["high", "low"])
    shown = [None] * len(names) if n_images is None else n_images.tolist()
    graded = counts[:, : len(GRADES)].sum(axis=1)
    arrays = (n_unread, n_ctcs, graded, positive, strong, group)
    words = ([said.get(i, "") for i in range(len(names))] for said in (roster.notes, ungraded))
    sureness = np.where(borderline, p_high, np.nan)
    tallies = map(Tally, shown, *(array.tolist() for array in arrays), *words, sureness.tolist())
    values: dict[str, object] = {
        "patient_id": names,
        "n_images": pd.array(shown, dtype="Int64"),
        "n_ctcs": n_ctcs,
        **{f"n_grade_{grade}": counts[:, grade] for grade in GRADES},
        "n_her2_positive": positive,
        "cher2_ratio": np.divide(strong, positive, out=np.full(len(names), np.nan), where=positive > 0),
        **certainty,
        "p_high": p_high,
        "group": group,
        "reason": [reason(tally, rules) for tally in tallies],
        "borderline": borderline,
        # Cells tell nothing of the images' quality: a study's is filled in where its images are known.
        "quality": [""] * len(names),
    }
    patients = patients_table(values)
    check_patients(patients, counts[:, len(GRADES)], rules)
    return patients


def _certainty(
    strong: NDArray[np.int64], positive: NDArray[np.int64], threshold: float
) -> dict[str, NDArray[np.float64]]:
    """Return how sure the ratio is by its counts, each distinct pair of counts computed once."""
    codes, pairs = pd.factorize(strong * (positive.max(initial=0) + 1) + positive)
    of, among = np.divmod(pairs, positive.max(initial=0) + 1)
    low, high = jeffreys_interval(of, among)
    wilson_low, wilson_high = wilson_interval(of, among)
    numbers = {
        "ratio_low": low,
        "ratio_high": high,
        "p_high_counts": probability_above(of, among, threshold),
        "wilson_low": wilson_low,
        "wilson_high": wilson_high,
    }
    return {name: values[codes] for name, values in numbers.items()}
