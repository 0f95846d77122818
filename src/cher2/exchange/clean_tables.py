"""The sample sheet and the clinical table of a study with new names, and without what tells who a patient is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import pandas as pd

from cher2.cohorts.variables import OUTCOMES, further_columns, identifying_columns
from cher2.exchange.new_names import NewNames
from cher2.images.files import natural_key
from cher2.protocol import CohortRules

FIRST_DAY = date(2000, 1, 1)
"""The day of each patient's first draw in a clean sheet: how far draws lie apart is kept, and no date."""


def clean_samples(samples: pd.DataFrame, names: NewNames, copies: Mapping[str, list[str]]) -> pd.DataFrame:
    """Return a sample sheet of the copies.

    Parameters
    ----------
    samples : DataFrame
        As of :func:`cher2.study.samples.assign_samples`.
    names : NewNames
    copies : mapping of str to list of str
        The files of each image's copy, below the folder of copies; images without one are left out.

    Returns
    -------
    DataFrame
        The same columns: draws are numbered within their patient in the order of the old sheet, and dated from
        :data:`FIRST_DAY` on. Rows are in the order of the new names.
    """
    rows = samples[samples["image"].isin(copies)]
    place = {
        (patient, draw): number
        for patient, of_patient in samples.groupby("patient_id", sort=False)["sample_id"]
        for number, draw in enumerate(of_patient.unique(), 1)
    }
    draws = {pair: f"{names.patients[str(pair[0])]}_{number}" for pair, number in place.items()}
    table = pd.DataFrame(
        {
            "image": rows["image"].map(copies),
            "patient_id": rows["patient_id"].map(names.patients),
            "sample_id": [draws[pair] for pair in zip(rows["patient_id"], rows["sample_id"], strict=True)],
            "drawn_on": _days(samples).loc[rows.index],
            "blood_ml": rows["blood_ml"],
            # Where no draw is dated, the first in the sheet is the first.
            "place": [place[pair] for pair in zip(rows["patient_id"], rows["sample_id"], strict=True)],
        }
    ).explode("image", ignore_index=True)
    keys = zip(table["patient_id"].map(natural_key), table["place"], table["image"].map(natural_key), strict=True)
    order = [row for _, row in sorted(zip(keys, range(len(table)), strict=True))]
    return table.drop(columns="place").iloc[order].reset_index(drop=True)


def _days(samples: pd.DataFrame) -> pd.Series[str]:
    """Return each draw's date as if its patient's first had been on :data:`FIRST_DAY`; empty where there is none."""
    dates = samples["drawn_on"].map(lambda text: date.fromisoformat(text) if text else None)
    of_patient = dates.groupby(samples["patient_id"])
    first = {patient: min((day for day in days if day), default=None) for patient, days in of_patient}

    def moved(day: date | None, patient: str) -> str:
        start = first[patient]
        return "" if day is None or start is None else str(FIRST_DAY + timedelta((day - start).days))

    return pd.Series([moved(*pair) for pair in zip(dates, samples["patient_id"], strict=True)], index=samples.index)


def clean_clinical(clinical: pd.DataFrame, names: NewNames, rules: CohortRules) -> pd.DataFrame:
    """Return a clinical table with new patients and only the columns that are compared.

    Parameters
    ----------
    clinical : DataFrame
        As of :func:`cher2.report.derive.read_clinical`.
    names : NewNames
        With all patients of the table.
    rules : CohortRules
        The protocol's, which say what is compared.

    Returns
    -------
    DataFrame
        ``patient_id``, sites, outcomes and the further columns that have a kind; rows in the order of new patients.
    """
    refused = identifying_columns(clinical, rules)
    kept = {"patient_id", *OUTCOMES, *(site.column for site in rules.sites)}
    kept |= {column.name for column in further_columns(clinical, rules)[0] if column.name not in refused}
    table = clinical.loc[:, [name in kept for name in clinical]]
    table = table.assign(patient_id=table["patient_id"].str.strip().map(names.patients))
    return table.sort_values("patient_id", key=lambda column: column.map(natural_key), ignore_index=True)
