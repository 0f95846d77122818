"""Who the patients of a study are: their draws, which of them are counted, and their images."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.errors import Cher2Error, SampleSheetError
from cher2.patients.counting import count_images
from cher2.patients.draws import choose_draws, draw_dates, number_draws
from cher2.patients.identifiers import natural_order, text_codes, text_values
from cher2.protocol import PatientRules


@dataclass(frozen=True, eq=False)
class Roster:
    """The patients, in natural order, and what the list of images says of them.

    Parameters
    ----------
    names : list of str
    draws : dict
        The number of each draw, by the patient's number and the name of the sample.
    used : ndarray of bool, shape (number of draws,)
        Whether a draw is counted.
    notes : dict of int to str
        A word on the draws of a patient who has several.
    n_images : ndarray of int or None
        Images of each patient that were read and are counted; None where that is not known.
    n_unread : ndarray of int
        Those that could not be read.
    """

    names: list[str]
    draws: dict[tuple[int, str], int]
    used: NDArray[np.bool_]
    notes: dict[int, str]
    n_images: NDArray[np.int64] | None
    n_unread: NDArray[np.int64]

    @classmethod
    def of_images(cls, images: pd.DataFrame, rules: PatientRules, cells: pd.DataFrame | None = None) -> Roster:
        """Return the roster of a list of images.

        Parameters
        ----------
        images : DataFrame
            As in :func:`cher2.patients.summary.summarise_patients`.
        rules : PatientRules
        cells : DataFrame, optional
            Name the draws where the list does not.

        Raises
        ------
        SampleSheetError
            A column is missing, a row has no patient, or the first draw cannot be told.
        """
        require(images, ("patient_id", "image"), "images", SampleSheetError)
        if cells is not None and "sample_id" in cells and "sample_id" not in images:
            images = images.assign(sample_id=_draws_of_cells(images, cells))
        return cls._of(images, rules, "images")

    @classmethod
    def of_cells(cls, cells: pd.DataFrame, rules: PatientRules) -> Roster:
        """Return the roster of a table of cells: its images and draws, undated, in the order of its rows."""
        return cls._of(cells[[name for name in ("patient_id", "sample_id", "image") if name in cells]], rules, "cells")

    @classmethod
    def _of(cls, listing: pd.DataFrame, rules: PatientRules, where: str) -> Roster:
        own = _patient_names(listing, where)
        names = natural_order(pd.unique(own))
        patient = pd.Index(names, dtype=object).get_indexer(pd.Index(own, dtype=object))
        sample = _sample_names(listing, own)
        draw, owner = number_draws(patient, sample)
        dates: dict[int, str] = {}
        if "drawn_on" in listing:
            dates = draw_dates(draw, text_values(listing["drawn_on"]), owner, names)
        choice = choose_draws(owner, dates, names, rules.draws)
        _, first = np.unique(draw, return_index=True)
        keys = zip(patient[first].tolist(), sample[first].tolist(), strict=True)
        numbers = {key: number for number, key in enumerate(keys)}
        n_images, n_unread = count_images(listing, patient, choice.used[draw], len(names))
        return cls(names, numbers, choice.used, choice.notes, n_images, n_unread)

    def find(self, cells: pd.DataFrame) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return the number of each cell's patient, and whether its draw is counted.

        Raises
        ------
        SampleSheetError
            A row has no patient, its draw is not on the roster, or cannot be told for want of ``sample_id``.
        """
        codes, names = text_codes(cells["patient_id"])
        _refuse_empty(names, codes, "cells")
        numbers = pd.Index(self.names, dtype=object).get_indexer(pd.Index(names, dtype=object))
        _refuse_strangers(numbers[codes] < 0, names, codes, "is not in the list of images")
        if "sample_id" not in cells:
            draw = self._only_draws(names, numbers, np.unique(codes))[codes]
        else:
            sample_codes, samples = text_codes(cells["sample_id"])
            # Few patients and samples are many cells: each pair is looked up once.
            pairs, distinct = pd.factorize(codes * len(samples) + sample_codes)
            whose, which = np.divmod(distinct, len(samples))
            called = np.where(samples[which] == "", names[whose], samples[which])
            keys = zip(numbers[whose].tolist(), called.tolist(), strict=True)
            draw = np.array([self.draws.get(key, -1) for key in keys], dtype=np.intp)[pairs]
        _refuse_strangers(draw < 0, names, codes, "has cells of a draw that is not in the list of images")
        return numbers[codes], self.used[draw]

    def _only_draws(
        self, names: NDArray[np.object_], numbers: NDArray[np.intp], wanted: NDArray[np.intp]
    ) -> NDArray[np.intp]:
        """Return the draw of each wanted patient who has but one."""
        draws = np.full(len(names), -1, np.intp)
        several: defaultdict[int, list[int]] = defaultdict(list)
        for (patient, _), draw in self.draws.items():
            several[patient].append(draw)
        for code in wanted.tolist():
            own = several[int(numbers[code])]
            if len(own) > 1:
                raise _no_sample_id(names[code], "cells")
            draws[code] = own[0]
        return draws


def require(table: pd.DataFrame, columns: tuple[str, ...], where: str, kind: type[Cher2Error]) -> None:
    """Refuse a table that lacks columns."""
    missing = [name for name in columns if name not in table]
    if missing:
        raise kind(
            f"the table has no column {', '.join(missing)}",
            where=where,
            remedy=f"It needs {', '.join(columns)}",
        )


def _patient_names(table: pd.DataFrame, where: str) -> NDArray[np.object_]:
    codes, names = text_codes(table["patient_id"])
    _refuse_empty(names, codes, where)
    return names[codes]


def _refuse_empty(names: NDArray[np.object_], codes: NDArray[np.intp], where: str) -> None:
    empty = (names == "")[codes]
    if empty.any():
        raise SampleSheetError(
            "patient_id is empty", where=f"{where}, row {np.argmax(empty) + 1}", remedy="Give every row its patient"
        )


def _sample_names(table: pd.DataFrame, patient_names: NDArray[np.object_]) -> NDArray[np.object_]:
    if "sample_id" not in table:
        return patient_names
    sample = text_values(table["sample_id"])
    return np.where(sample == "", patient_names, sample)


def _draws_of_cells(images: pd.DataFrame, cells: pd.DataFrame) -> NDArray[np.object_]:
    """Return the draw of each image's patient by the cells, where the patient has but one there."""
    wanted, patient = _patient_names(images, "images"), _patient_names(cells, "cells")
    pairs = pd.DataFrame({"patient": patient, "sample": _sample_names(cells, patient)}).drop_duplicates()
    known = pairs[pairs["patient"].isin(pd.unique(wanted))]
    several = known.loc[known["patient"].duplicated(), "patient"]
    if len(several):
        raise _no_sample_id(several.iloc[0], "images")
    found = pd.Series(wanted).map(known.set_index("patient")["sample"])
    return found.fillna(pd.Series(wanted)).to_numpy(object)


def _no_sample_id(patient: str, where: str) -> SampleSheetError:
    return SampleSheetError(
        f"patient {patient} has several draws, but the table has no column sample_id",
        where=where,
        remedy="Give the table the column sample_id",
    )


def _refuse_strangers(
    strange: NDArray[np.bool_], names: NDArray[np.object_], codes: NDArray[np.intp], what: str
) -> None:
    if strange.any():
        at = int(np.argmax(strange))
        raise SampleSheetError(
            f"patient {names[codes[at]]} {what}",
            where=f"cells, row {at + 1}",
            remedy="Give both tables the same patient_id and sample_id",
        )
