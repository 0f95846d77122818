"""The clinical table: checked, and given its types.

A site that was not imaged is missing, not negative. A patient whose sites are not all assessed may still be
known to be oligometastatic, or not to be. Follow-up is a time and an event; a patient may lack either.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.cohorts.follow_up import parsed
from cher2.errors import ClinicalTableError
from cher2.patients.identifiers import text_values
from cher2.protocol import CohortRules, Protocol, as_protocol

ENDPOINTS = {"os": "Overall survival", "pfs": "Progression-free survival"}
"""Endpoints by the first part of their columns, ``os_months`` and ``os_event``, and what they are called in print."""

_ZERO_ONE = {"1": 1, "1.0": 1, "True": 1, "0": 0, "0.0": 0, "False": 0}
_MISSING = -1
_SHOWN = 5


def check_clinical(clinical: pd.DataFrame, protocol: Protocol | None = None) -> pd.DataFrame:
    """Check a clinical table and give it its types.

    Parameters
    ----------
    clinical : DataFrame
        As read from a file, text or numbers: ``patient_id``, and the protocol's sites with 1, 0 or nothing
        (not assessed). A site that has no column counts as not assessed in any patient. Each endpoint of
        :data:`ENDPOINTS` has both of its columns or neither: ``os_months``, a number that is not negative, and
        ``os_event``, 1 or 0, or nothing where not known. Further columns stay as they are.
    protocol : Protocol, optional
        Its section ``cohort`` decides; the defaults without it.

    Returns
    -------
    DataFrame
        ``patient_id`` (text), every site of the protocol (Int8), then ``n_sites`` (Int8; empty unless every
        site is assessed), ``oligometastatic`` (boolean; empty where the sites not assessed could change it),
        then the further columns, of which the endpoints' are numbers (float64, Int8). Rows are in the table's
        order, numbered from 0.

    Raises
    ------
    ClinicalTableError
        ``patient_id`` or every site's column is missing, a patient is empty or there twice, a site's value is
        none of 1, 0 and empty, or a patient has no site and the protocol rejects that; one of an endpoint's two
        columns is missing, a time is no number or negative, or an event's value is none of 1, 0 and empty. Rows
        are counted from 1, below the header.

    Notes
    -----
    Where sites are missing, ``oligometastatic`` is missing more often in patients close to the limit than in
    those far from it. Patients whose sites were all assessed have no such bias.
    """
    rules = as_protocol(protocol).cohort
    _check_columns(clinical, rules)
    patients = _patients(clinical)
    columns = [site.column for site in rules.sites]
    sites = np.column_stack([_site(clinical, column, patients) for column in columns])
    positive, missing = (sites == 1).sum(axis=1), (sites == _MISSING).sum(axis=1)
    if rules.no_site == "reject":
        _refuse_no_site(patients[(positive == 0) & (missing == 0)])
    most = rules.oligometastatic_max_sites
    # Known for sure where the sites that were not assessed could not change it, whatever they are.
    open_question = (positive <= most) & (positive + missing > most)
    checked = {
        "patient_id": pd.Series(patients, dtype=object),
        **{column: _masked(sites[:, i], sites[:, i] == _MISSING) for i, column in enumerate(columns)},
        "n_sites": _masked(positive, missing > 0),
        "oligometastatic": _masked(positive <= most, open_question).astype("boolean"),
    }
    further = clinical.loc[:, [name not in checked for name in clinical]].reset_index(drop=True)
    return pd.concat([pd.DataFrame(checked), further.assign(**_follow_up(clinical, patients))], axis=1)


def _masked(values: NDArray[Any], missing: NDArray[np.bool_]) -> pd.Series[Any]:
    return pd.Series(pd.arrays.IntegerArray(values.astype(np.int8), missing.copy()))


def _check_columns(clinical: pd.DataFrame, rules: CohortRules) -> None:
    columns = [site.column for site in rules.sites]
    pairs = [(f"{endpoint}_months", f"{endpoint}_event") for endpoint in ENDPOINTS]
    # A column without a name may be there twice: spreadsheets leave such behind, and nobody can refer to them.
    twice = [name for name in clinical.columns[clinical.columns.duplicated()] if name != ""]
    if twice:
        raise ClinicalTableError(f"the column {twice[0]} is there twice", remedy="Keep one of them")
    if "patient_id" not in clinical:
        raise ClinicalTableError(
            "there is no column patient_id",
            remedy=f"The table has {_some(clinical.columns)}; rename one of them to patient_id, in the first line",
        )
    if not any(column in clinical for column in columns):
        raise ClinicalTableError(
            f"there is no column for any site; looked for {', '.join(columns)}",
            remedy=f"The table has {_some(clinical.columns)}; rename them, or name the sites in cohort.sites",
        )
    for pair in pairs:
        present = [name for name in pair if name in clinical]
        if len(present) == 1:
            absent = pair[0] if present[0] == pair[1] else pair[1]
            raise ClinicalTableError(
                f"there is a column {present[0]}, but no column {absent}", remedy="Give both, or neither"
            )


def _follow_up(clinical: pd.DataFrame, patients: NDArray[np.object_]) -> dict[str, pd.Series[Any]]:
    """Return the columns of the endpoints that the table has, as numbers."""
    columns: dict[str, pd.Series[Any]] = {}
    for endpoint in ENDPOINTS:
        if f"{endpoint}_months" in clinical:
            columns[f"{endpoint}_months"] = _months(clinical, f"{endpoint}_months", patients)
            events = _zero_one(clinical, f"{endpoint}_event", patients, "an event", "where that is not known")
            columns[f"{endpoint}_event"] = _masked(events, events == _MISSING)
    return columns


def _months(clinical: pd.DataFrame, column: str, patients: NDArray[np.object_]) -> pd.Series[float]:
    text = text_values(clinical[column])
    months = parsed(text)
    wrong = (text != "") & ~(np.isfinite(months) & (months >= 0))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ClinicalTableError(
            f"{clinical[column].iloc[at]!r} is no time",
            where=f"patient {patients[at]}, column {column}, row {at + 1}",
            remedy="Write the months as 17.8, with a point and not negative, or nothing where they are not known",
        )
    return pd.Series(months)


def _patients(clinical: pd.DataFrame) -> NDArray[np.object_]:
    patients = text_values(clinical["patient_id"])
    empty = np.flatnonzero(patients == "")
    if len(empty):
        raise ClinicalTableError(
            "patient_id is empty", where=f"row {empty[0] + 1}", remedy="Fill it in, or delete the row"
        )
    again = np.flatnonzero(pd.Series(patients).duplicated().to_numpy())
    if len(again):
        name = patients[again[0]]
        first = int(np.argmax(patients == name))
        raise ClinicalTableError(
            f"patient {name} is there twice",
            where=f"rows {first + 1} and {again[0] + 1}",
            remedy="Keep one row a patient",
        )
    return patients


def _site(clinical: pd.DataFrame, column: str, patients: NDArray[np.object_]) -> NDArray[np.int8]:
    """Return a site as 1, 0 or -1 (not assessed)."""
    if column not in clinical:
        return np.full(len(clinical), _MISSING, np.int8)
    return _zero_one(clinical, column, patients, "a site", "where the site was not assessed")


def _zero_one(
    clinical: pd.DataFrame, column: str, patients: NDArray[np.object_], what: str, empty: str
) -> NDArray[np.int8]:
    """Return a column as 1, 0 or -1 (no value)."""
    codes, distinct = pd.factorize(clinical[column])
    numbers = [_number(value) for value in distinct]
    # An empty value has the code -1, which is the last of the numbers.
    values = np.array([*(2 if number is None else number for number in numbers), _MISSING], np.int8)[codes]
    if (values == 2).any():
        at = int(np.argmax(values == 2))
        raise ClinicalTableError(
            f"{clinical[column].iloc[at]!r} is no value for {what}",
            where=f"patient {patients[at]}, column {column}, row {at + 1}",
            remedy=f"Write 1, 0, or nothing {empty}",
        )
    return values


def _number(value: object) -> int | None:
    text = str(value).strip()
    return _MISSING if text == "" else _ZERO_ONE.get(text)


def _refuse_no_site(patients: NDArray[np.object_]) -> None:
    if len(patients):
        raise ClinicalTableError(
            f"{len(patients)} patient{'s have' if len(patients) > 1 else ' has'} no metastatic site: {_some(patients)}",
            remedy='Leave sites that were not assessed empty, or set cohort.no_site = "oligometastatic"',
        )


def _some(values: Any) -> str:
    shown = ", ".join(str(value) for value in values[:_SHOWN])
    return f"{shown} and {len(values) - _SHOWN} more" if len(values) > _SHOWN else shown
