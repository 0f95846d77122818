"""Comparing cHER2 high with cHER2 low patients: sites, oligometastatic disease and every further column.

Each variable is compared by the test of its kind. A patient without a value is left out of that variable's lines,
not counted as negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.cohorts.clinical import check_clinical
from cher2.cohorts.cohort_guards import check_comparison
from cher2.cohorts.comparison_notes import notes_on_families, notes_on_patients, notes_on_values
from cher2.cohorts.layout import as_html, as_text, many, paper_table, tests_by_name
from cher2.cohorts.lines import lines_of
from cher2.cohorts.multiplicity import adjust_p_values
from cher2.cohorts.variables import Column, further_columns
from cher2.errors import CohortError
from cher2.patients.identifiers import text_values
from cher2.patients.table import GROUPS
from cher2.protocol import CohortRules, Protocol, as_protocol

COLUMNS = {
    "variable": "str",
    "level": "str",
    "high_n": "int64",
    "high_total": "int64",
    "low_n": "int64",
    "low_total": "int64",
    "odds_ratio": "float64",
    "ci_low": "float64",
    "ci_high": "float64",
    "p_value": "float64",
    "p_adjusted": "float64",
    "test": "str",
    "high_missing": "int64",
    "low_missing": "int64",
    "high_summary": "str",
    "low_summary": "str",
    "kind": "str",
    "family": "str",
}
"""Columns of ``comparison.csv`` and their types."""

CHER2 = "cHER2"
"""What the groups are of, where they are those of the cHER2 ratio."""


@dataclass(frozen=True, eq=False)
class CohortComparison:
    """Two cohorts, compared.

    Parameters
    ----------
    table : DataFrame
        One row a line, with the columns of :data:`COLUMNS`: how many have it of those assessed in each group, the
        odds ratio of high against low with its 95 % interval, p, p adjusted over its family, and the test, or
        why there is none (the numbers are empty then).
    high, low : int
        Patients of each group that have a clinical row.
    notes : tuple of str
        Who is left out and why, what each column was taken for, and what p is adjusted for.
    titles : dict of str to str
        What the variables are called in print.
    split : str
        What the groups are of, in print.
    """

    table: pd.DataFrame
    high: int
    low: int
    notes: tuple[str, ...]
    titles: dict[str, str]
    split: str = CHER2

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of the table, to keep or to change."""
        return self.table.copy()

    def __str__(self) -> str:
        return as_text(self._caption(), self._printed(), self._footnotes())

    def _repr_html_(self) -> str:
        return as_html(self._caption(), self._printed(), self._footnotes())

    def _caption(self) -> str:
        return f"{self.split} high ({many(self.high)}) against {self.split} low ({many(self.low)})"

    def _printed(self) -> pd.DataFrame:
        return paper_table(self.table, self.titles)

    def _footnotes(self) -> tuple[str, ...]:
        return (*self.notes, *tests_by_name(self.table, self.titles))


def compare_cohorts(
    patients: pd.DataFrame,
    clinical: pd.DataFrame,
    protocol: Protocol | None = None,
    *,
    group: str = "group",
    split: str = "",
) -> CohortComparison:
    """Compare the cHER2 high with the cHER2 low patients.

    Parameters
    ----------
    patients : DataFrame
        One row a patient: ``patient_id`` and the column `group`, as :func:`cher2.summarise_patients` gives them.
    clinical : DataFrame
        The clinical table, as :func:`cher2.cohorts.clinical.check_clinical` takes it.
    protocol : Protocol, optional
        Its section ``cohort`` decides; the defaults without it.
    group : str
        The column of `patients` that says high, low, excluded or undefined: another split than that by cHER2.
    split : str
        What the groups are of, in print; where it is empty, cHER2 for the column ``group``, and the name of any other.

    Returns
    -------
    CohortComparison
        One row a site, then one for oligometastatic disease: the pre-specified family. Then the number of sites
        and every further column by its kind: exploratory, a family of its own.

    Raises
    ------
    CohortError
        The table of patients lacks a column, has a patient twice or a group that is none, or no patient is in
        both tables.
    ClinicalTableError
        The clinical table cannot be used, or a column holds what the protocol says that it does not.
    """
    rules = as_protocol(protocol).cohort
    groups = patient_groups(patients, group)
    clinical = clinical.set_axis([str(name) for name in clinical], axis=1)
    checked = check_clinical(clinical, protocol)
    names = pd.Index(checked["patient_id"])
    refuse_strangers(groups.index, names)
    compared = groups[groups.isin(["high", "low"]) & groups.index.isin(names)]
    rows = names.get_indexer(compared.index)
    is_high = (compared == "high").to_numpy()
    further, left_out = further_columns(clinical, rules)
    families = {"pre-specified": _sites(checked, rules), "exploratory": [_number_of_sites(checked), *further]}
    columns = [column for members in families.values() for column in members]
    table = _table(families, rows, is_high, rules)
    check_comparison(table, int(is_high.sum()), int((~is_high).sum()))
    titles = {column.name: column.title for column in columns}
    split = split or (CHER2 if group == "group" else group)
    notes = (
        *notes_on_patients(groups, names, clinical, rules, split),
        *notes_on_values(table, checked.iloc[rows], titles, further),
        *left_out,
        *notes_on_families(table, rules.correction),
    )
    return CohortComparison(table, int(is_high.sum()), int((~is_high).sum()), notes, titles, split)


def patient_groups(patients: pd.DataFrame, group: str = "group") -> pd.Series[str]:
    """Return the group of each patient, by patient.

    Raises
    ------
    CohortError
        The table lacks a column, has a patient twice or a group that is none.
    """
    missing = [name for name in ("patient_id", group) if name not in patients]
    if missing:
        raise CohortError(
            f"the table has no column {', '.join(missing)}",
            where="patients",
            remedy="Give the table that summarise_patients returns, or name the column of the groups",
        )
    names, values = text_values(patients["patient_id"]), text_values(patients[group])
    groups = pd.Series(values, index=pd.Index(names, dtype=object), dtype=object)
    wrong = ~groups.isin(GROUPS).to_numpy()
    if wrong.any():
        at = int(np.argmax(wrong))
        raise CohortError(
            f"{values[at]!r} is no group",
            where=f"patients, row {at + 1}",
            remedy=f"It must be one of {', '.join(GROUPS)}",
        )
    again = groups.index.duplicated()
    if again.any():
        raise CohortError(
            f"patient {names[int(np.argmax(again))]!r} is there twice",
            where=f"patients, row {int(np.argmax(again)) + 1}",
            remedy="Keep one row a patient",
        )
    return groups


def refuse_strangers(patients: pd.Index[str], clinical: pd.Index[str]) -> None:
    """Refuse two tables that have no patient in common.

    Raises
    ------
    CohortError
    """
    if patients.isin(clinical).any():
        return
    shown = [", ".join(map(repr, index[:3])) or "none" for index in (patients, clinical)]
    raise CohortError(
        f"no patient is in both tables: the images have {shown[0]}, the clinical table {shown[1]}",
        where="patient_id",
        remedy="Write the patients alike in both",
    )


def _sites(checked: pd.DataFrame, rules: CohortRules) -> list[Column]:
    limit = rules.oligometastatic_max_sites
    sites = [(site.column, site.title, ("absent", "present")) for site in rules.sites]
    sites.append(("oligometastatic", "Oligometastatic", (f"> {limit}", f"<= {limit}")))
    return [
        Column(name, title, "binary", levels, checked[name].to_numpy(dtype=np.float64, na_value=np.nan))
        for name, title, levels in sites
    ]


def _number_of_sites(checked: pd.DataFrame) -> Column:
    numbers = checked["n_sites"].to_numpy(dtype=np.float64, na_value=np.nan)
    found = np.unique(numbers[~np.isnan(numbers)])
    # NaN is beyond all levels, and no level.
    places = np.where(np.isnan(numbers), np.nan, np.searchsorted(found, numbers))
    return Column("n_sites", "Number of sites", "ordinal", tuple(f"{number:g}" for number in found), places)


def _table(
    families: dict[str, list[Column]], rows: NDArray[np.intp], is_high: NDArray[np.bool_], rules: CohortRules
) -> pd.DataFrame:
    parts = []
    for family, columns in families.items():
        lines = [line for column in columns for line in lines_of(column, rows, is_high)]
        part = pd.DataFrame(lines).assign(family=family)
        parts.append(part.assign(p_adjusted=adjust_p_values(part["p_value"], rules.correction)))
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)].astype(COLUMNS)
