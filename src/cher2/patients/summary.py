"""From graded cells to patients: counts, the cHER2 ratio, how sure it is, and the group.

The cHER2 ratio is the 2+ and 3+ CTCs over all HER2+ CTCs (1+, 2+, 3+); a patient is high where it is strictly
above the protocol's threshold (ASCO 2021 abstract 3036). What the abstract leaves open is the protocol's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.cells.objects import GRADES
from cher2.errors import Cher2Error, GradingError, SampleSheetError
from cher2.patients.counting import count_grades, count_images, grade_probabilities, why_ungraded
from cher2.patients.draws import choose_draws, draw_dates, number_draws
from cher2.patients.groups import groups_of_counts
from cher2.patients.identifiers import natural_order, text_values
from cher2.patients.misgrading import probability_above_misgraded
from cher2.patients.reasons import Tally, reason
from cher2.patients.table import patients_table
from cher2.patients.uncertainty import is_borderline, jeffreys_interval, probability_above, wilson_interval
from cher2.protocol import PatientRules, Protocol, as_protocol


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
    _require(cells, ("patient_id", "kind", "grade_auto"), "cells", GradingError)
    if images is not None:
        _require(images, ("patient_id", "image"), "images", SampleSheetError)
    rows = _match(cells, images)
    choice = choose_draws(rows.owner, rows.dates, rows.names, rules.draws)
    size = len(rows.names)
    counts = count_grades(cells, rows.cell_patient, choice.used[rows.cell_draw], size)
    listing = cells if images is None else images
    n_images, n_unread = count_images(listing, rows.image_patient, choice.used[rows.image_draw], size)
    counted = choice.used[rows.cell_draw]
    ungraded = why_ungraded(cells, rows.cell_patient, counted)
    probabilities, owner = grade_probabilities(cells, rows.cell_patient, counted)
    above = probability_above_misgraded(probabilities, owner, size, rules.ratio_threshold)
    return _summary(rows.names, counts, n_images, n_unread, above, choice.notes, ungraded, rules)


@dataclass(frozen=True, eq=False)
class _Rows:
    """The patient and the draw of every row of the two tables, by number."""

    names: list[str]
    owner: NDArray[np.intp]
    dates: dict[int, str]
    cell_patient: NDArray[np.intp]
    cell_draw: NDArray[np.intp]
    image_patient: NDArray[np.intp]
    image_draw: NDArray[np.intp]


def _match(cells: pd.DataFrame, images: pd.DataFrame | None) -> _Rows:
    cell_names = _patient_names(cells, "cells")
    if images is None:
        names = natural_order(pd.unique(cell_names))
        patient = pd.Index(names, dtype=object).get_indexer(pd.Index(cell_names, dtype=object))
        draw, owner = number_draws(patient, _sample_names(cells, cell_names))
        return _Rows(names, owner, {}, patient, draw, patient, draw)
    image_names = _patient_names(images, "images")
    names = natural_order(pd.unique(image_names))
    index = pd.Index(names, dtype=object)
    cell_patient = index.get_indexer(pd.Index(cell_names, dtype=object))
    image_patient = index.get_indexer(pd.Index(image_names, dtype=object))
    _refuse_strangers(cell_patient < 0, cell_names, "is not in the list of images")
    cell_sample, image_sample = _sample_names(cells, cell_names), _sample_names(images, image_names)
    if "sample_id" not in cells and "sample_id" in images:
        cell_sample = _only_draws(cell_names, image_names, image_sample, "cells")
    if "sample_id" not in images and "sample_id" in cells:
        image_sample = _only_draws(image_names, cell_names, cell_sample, "images")
    # Images come first, so that draws are numbered in the sheet's order.
    draw, owner = number_draws(
        np.concatenate([image_patient, cell_patient]), np.concatenate([image_sample, cell_sample])
    )
    image_draw, cell_draw = draw[: len(images)], draw[len(images) :]
    listed = int(image_draw.max(initial=-1)) + 1
    _refuse_strangers(cell_draw >= listed, cell_names, "has cells of a draw that is not in the list of images")
    dates: dict[int, str] = {}
    if "drawn_on" in images:
        dates = draw_dates(image_draw, text_values(images["drawn_on"]), owner, names)
    return _Rows(names, owner, dates, cell_patient, cell_draw, image_patient, image_draw)


def _require(table: pd.DataFrame, columns: tuple[str, ...], where: str, kind: type[Cher2Error]) -> None:
    missing = [name for name in columns if name not in table]
    if missing:
        raise kind(
            f"the table has no column {', '.join(missing)}",
            where=where,
            remedy=f"It needs {', '.join(columns)}",
        )


def _patient_names(table: pd.DataFrame, where: str) -> NDArray[np.object_]:
    names = text_values(table["patient_id"])
    empty = np.flatnonzero(names == "")
    if len(empty):
        raise SampleSheetError(
            "patient_id is empty", where=f"{where}, row {empty[0] + 1}", remedy="Give every row its patient"
        )
    return names


def _sample_names(table: pd.DataFrame, patient_names: NDArray[np.object_]) -> NDArray[np.object_]:
    if "sample_id" not in table:
        return patient_names
    sample = text_values(table["sample_id"])
    return np.where(sample == "", patient_names, sample)


def _only_draws(
    wanted: NDArray[np.object_], patient: NDArray[np.object_], sample: NDArray[np.object_], where: str
) -> NDArray[np.object_]:
    """Return the draw of each wanted patient from the other table, where the patient has but one there."""
    pairs = pd.DataFrame({"patient": patient, "sample": sample}).drop_duplicates()
    known = pairs[pairs["patient"].isin(pd.unique(wanted))]
    several = known.loc[known["patient"].duplicated(), "patient"]
    if len(several):
        raise SampleSheetError(
            f"patient {several.iloc[0]} has several draws, but the table has no column sample_id",
            where=where,
            remedy="Give the table the column sample_id",
        )
    found = pd.Series(wanted).map(known.set_index("patient")["sample"])
    return found.fillna(pd.Series(wanted)).to_numpy(object)


def _refuse_strangers(strange: NDArray[np.bool_], names: NDArray[np.object_], what: str) -> None:
    if strange.any():
        raise SampleSheetError(
            f"patient {names[int(np.argmax(strange))]} {what}",
            where=f"cells, row {int(np.argmax(strange)) + 1}",
            remedy="Give both tables the same patient_id and sample_id",
        )


def _summary(
    names: list[str],
    counts: NDArray[np.int64],
    n_images: NDArray[np.int64] | None,
    n_unread: NDArray[np.int64],
    above: NDArray[np.float64],
    notes: dict[int, str],
    ungraded: dict[int, str],
    rules: PatientRules,
) -> pd.DataFrame:
    n_ctcs, positive, strong = counts.sum(axis=1), counts[:, 1:4].sum(axis=1), counts[:, 2:4].sum(axis=1)
    group = groups_of_counts(counts, rules)
    certainty = _certainty(strong, positive, rules.ratio_threshold)
    # By the counts there is no ratio, though a cell may have been graded 0 by mistake.
    p_high = np.where(positive > 0, above, np.nan)
    borderline = is_borderline(p_high, group == "high") & np.isin(group, ["high", "low"])
    shown = [None] * len(names) if n_images is None else n_images.tolist()
    graded = counts[:, : len(GRADES)].sum(axis=1)
    arrays = (n_unread, n_ctcs, graded, positive, strong, group)
    words = ([said.get(i, "") for i in range(len(names))] for said in (notes, ungraded))
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
    }
    return patients_table(values)


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
