"""The further columns of the clinical table, each read by its kind.

A column that the protocol does not declare is left out where its kind cannot be told, and a note says why; one that
is declared must hold what was declared.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.cohorts.kinds import (
    MOST_LEVELS,
    PERHAPS_MISSING,
    WORDS,
    Kind,
    KindName,
    canonical,
    categories,
    infer_kind,
    is_formula,
    number_in,
    quoted,
    spelt,
)
from cher2.cohorts.layout import one_line
from cher2.errors import ClinicalTableError
from cher2.patients.identifiers import text_values
from cher2.protocol import RESERVED, CohortRules, Variable

_BY_NAME = "by its name it identifies patients"

OUTCOMES = ("os_months", "os_event", "pfs_months", "pfs_event")
"""Columns of the contract that are outcomes: what follows the grouping is not a property of the patients."""

IDENTIFYING = frozenset((
    "name", "full_name", "first_name", "firstname", "given_name", "last_name", "lastname", "surname", "family_name",
    "maiden_name", "patient", "patient_name", "initials", "birth_date", "birthdate", "date_of_birth", "dob", "born",
    "birthday", "mrn", "medical_record_number", "record_number", "ssn", "social_security_number", "insurance_number",
    "address", "street", "zip", "zip_code", "postcode", "phone", "telephone", "mobile", "email", "e_mail", "nachname",
    "vorname", "geburtsdatum", "nom", "prenom", "nombre", "apellido",
))  # fmt: skip
"""Names of columns that tell who a patient is, in lower case and with "_" between words."""

DECLARE = "cohort.variables of the protocol can say what it is"


@dataclass(frozen=True, eq=False)
class Column:
    """A variable to compare.

    Parameters
    ----------
    name, title : str
        Its column, and what it is called in print.
    kind : {"binary", "categorical", "ordinal", "continuous"}
    levels : tuple of str
        In order: absent before present, low before high; empty for continuous.
    values : ndarray of float64, shape (N,)
        The number itself for continuous, else the level's place among `levels`; NaN where it is missing.
    declared : bool
        Whether the protocol says the kind.
    """

    name: str
    title: str
    kind: KindName
    levels: tuple[str, ...]
    values: NDArray[np.float64]
    declared: bool = False

    @property
    def scores(self) -> tuple[float, ...] | None:
        """The levels as numbers; None where they are words."""
        numbers = tuple(number_in(level) for level in self.levels)
        return None if any(map(math.isnan, numbers)) else numbers


def further_columns(clinical: pd.DataFrame, rules: CohortRules) -> tuple[list[Column], tuple[str, ...]]:
    """Read the columns of a clinical table that are neither patients nor sites.

    Parameters
    ----------
    clinical : DataFrame
        A clinical table whose columns have names of text, none of them twice.
    rules : CohortRules
        The protocol's section, with the sites, and the variables that it declares.

    Returns
    -------
    list of Column
        Those that the protocol declares in its order, then the others in the table's.
    tuple of str
        Notes: what is left out and why, and what a reader must know about the rest.

    Raises
    ------
    ClinicalTableError
        A declared column holds a value that does not fit.
    """
    own = {"patient_id", *(site.column for site in rules.sites)}
    further = [str(name) for name in clinical if name not in own]
    declared = {variable.column: variable for variable in rules.variables}
    order = [name for name in declared if name in further] + [name for name in further if name not in declared]
    columns, notes = [], []
    absent = [name for name in declared if name not in clinical]
    if absent:
        notes.append(f"declared by the protocol, but not in the clinical table: {', '.join(absent)}")
    outcomes = [name for name in order if name in OUTCOMES and name not in declared]
    if outcomes:
        notes.append(f"outcomes, which are not compared as properties of the patients: {', '.join(outcomes)}")
    for name in (name for name in order if name not in outcomes):
        reason = _reason_of_name(name, rules)
        column = None if reason else _read(clinical, name, declared.get(name))
        if isinstance(column, Column):
            columns.append(column)
            notes += _notes_on_levels(column)
        elif reason or column:
            notes.append(f"{_named(name)} left out: {reason or column}")
    return columns, tuple(notes)


def _named(name: str) -> str:
    return f"the column {one_line(name)}" if name.strip() else "a column without a name"


def _reason_of_name(name: str, rules: CohortRules) -> str:
    """Return why a column cannot be compared for its name's sake; empty where it can."""
    if not name.strip():
        return "name it, or delete it"
    if is_formula(name):
        return "its name looks like a formula of a spreadsheet"
    if name in RESERVED:
        return "cher2 counts the sites itself"
    plain = name.strip().casefold()
    own = [*RESERVED, *(site.column for site in rules.sites)]
    alike = next((column for column in own if column.casefold() == plain), None)
    if alike is not None:
        return f"its name is that of {alike} but for its spelling; rename it"
    return _BY_NAME if _is_identifying(name) else ""


def _is_identifying(name: str) -> bool:
    plain = re.sub(r"[\W_]+", "_", name.casefold()).strip("_")
    return plain in IDENTIFYING or plain == "id" or plain.endswith("_id")


def identifying_columns(clinical: pd.DataFrame, rules: CohortRules) -> tuple[str, ...]:
    """Return the further columns that may tell who a patient is, by their name or by their values.

    They are no variables, and no output may hold them. A column whose kind the protocol declares is none of them,
    unless its name says so.
    """
    own = {"patient_id", *RESERVED, *OUTCOMES, *(site.column for site in rules.sites)}
    declared = {variable.column for variable in rules.variables if variable.kind not in ("auto", "ignore")}
    # By place: a spreadsheet may leave several columns without a name.
    further = [(str(name), values) for name, values in clinical.items() if name not in own]
    found = (name for name, of in further if _is_identifying(name) or (name not in declared and _identifies(of)))
    return tuple(dict.fromkeys(found))


def _identifies(values: pd.Series[Any]) -> bool:
    codes, distinct = _distinct(text_values(values))
    return infer_kind(distinct, int((codes >= 0).sum())).identifies


def _read(clinical: pd.DataFrame, name: str, declared: Variable | None) -> Column | str:
    """Return a column by its kind, or why it cannot be compared."""
    said = "auto" if declared is None else declared.kind
    if said == "ignore":
        return "the protocol says so"
    try:
        texts = text_values(clinical[name])
    except TypeError:
        return "its values are lists or the like, neither text nor numbers"
    codes, distinct = _distinct(texts)
    if not distinct:
        return "it is empty"
    if declared is None or said == "auto":
        kind = infer_kind(distinct, int((codes >= 0).sum()))
    else:
        kind = _Declared(clinical, codes, distinct, declared.column, said).kind(declared.levels)
    if kind.name is None:
        return kind.reason if said != "auto" else f"{kind.reason}; {DECLARE}"
    places = {level: float(place) for place, level in enumerate(kind.levels)}
    numbers = distinct.values() if kind.name == "continuous" else map(places.__getitem__, distinct)
    values = np.array([*numbers, np.nan])[codes]
    title = declared.title if declared is not None and declared.title else one_line(name)
    return Column(name, title, kind.name, kind.levels, values, declared is not None and declared.kind != "auto")


def _distinct(texts_of_rows: NDArray[np.object_]) -> tuple[NDArray[np.intp], dict[str, float]]:
    """Return each row's place among the values that differ (-1 where it is empty), and these with their numbers."""
    codes, texts = pd.factorize(texts_of_rows)
    distinct: dict[str, float] = {}
    places, order = np.empty(len(texts), dtype=np.intp), {"": -1}
    for at, text in enumerate(texts):
        number = number_in(text)
        # Two spellings of one number are one value.
        value = spelt(text, number)
        places[at] = order.setdefault(value, len(order) - 1)
        if value:
            distinct[value] = number
    return places[codes], distinct


@dataclass(frozen=True, eq=False)
class _Declared:
    """A column whose kind the protocol declares: its values must fit."""

    clinical: pd.DataFrame
    codes: NDArray[np.intp]
    distinct: dict[str, float]
    column: str
    said: KindName

    def kind(self, levels: Sequence[str]) -> Kind:
        self._refuse_unless(lambda text: not is_formula(text), "It looks like a formula of a spreadsheet")
        if levels:
            known = tuple(map(canonical, levels))
            self._refuse_unless(known.__contains__, f"The protocol's levels are {', '.join(known)}")
            return Kind(self.said, known)
        if self.said == "categorical":
            return categories(self.distinct)
        if self.said == "binary":
            return self._binary()
        remedy = "Write a number, or nothing" + ("; or declare the levels" if self.said == "ordinal" else "")
        self._refuse_unless(lambda text: math.isfinite(self.distinct[text]), remedy)
        if self.said == "continuous":
            return Kind("continuous")
        if len(self.distinct) > MOST_LEVELS:
            return Kind(None, reason=f"{len(self.distinct)} different numbers are no levels; declare it continuous")
        return Kind("ordinal", tuple(sorted(self.distinct, key=float)))

    def _binary(self) -> Kind:
        inferred = infer_kind(self.distinct, len(self.codes))
        if inferred.name == "binary":
            return inferred
        pairs = (("0", "1"), *WORDS)
        remedy = f"Write {', '.join('/'.join(pair) for pair in pairs)}; or declare two levels, the absent first"
        known = {word for pair in pairs for word in pair}
        self._refuse_unless(lambda text: text.casefold() in known, remedy)
        last = next(reversed(self.distinct))
        # Words of two pairs: the last is as strange as the first.
        self._refuse_unless(lambda text: text != last, remedy)
        return inferred

    def _refuse_unless(self, fits: Callable[[str], bool], remedy: str) -> None:
        strange = next((text for text in self.distinct if not fits(text)), None)
        if strange is None:
            return
        at = int(np.argmax(self.codes == list(self.distinct).index(strange)))
        patient = text_values(self.clinical["patient_id"].iloc[[at]])[0]
        raise ClinicalTableError(
            f"{quoted(strange)} is no value of a column that is {self.said}",
            where=f"patient {patient}, column {self.column}, row {at + 1}",
            remedy=remedy,
        )


def _notes_on_levels(column: Column) -> list[str]:
    notes = []
    missing = [level for level in column.levels if level.casefold() in PERHAPS_MISSING]
    if missing and not column.declared:
        shown = ", ".join(map(quoted, missing))
        notes.append(f"{column.title}: {shown} counts as a level; leave it empty where the value is missing")
    spellings = Counter(level.casefold() for level in column.levels)
    alike = [level for level in column.levels if spellings[level.casefold()] > 1]
    if alike:
        notes.append(f"{column.title}: levels that differ in their spelling only: {', '.join(map(quoted, alike))}")
    return notes
