"""What kind of values a column of the clinical table holds: binary, categorical, ordinal or continuous.

The rules look at the values that differ, not at their frequency, and guess nothing: a column that is neither
numbers nor words is of no kind, and says why.

1. Only 0 and 1, or only the words of one of the pairs in :data:`WORDS`: binary.
2. Whole numbers from 0 to 10: ordinal. Other numbers: continuous.
3. Words, at most 20 different ones, that are not all different and not all dates: categorical.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from cher2.patients.identifiers import natural_order

KindName = Literal["binary", "categorical", "ordinal", "continuous"]

WORDS = (
    ("no", "yes"),
    ("n", "y"),
    ("false", "true"),
    ("negative", "positive"),
    ("neg", "pos"),
    ("-", "+"),
    ("absent", "present"),
)
"""Pairs of words, absent before present, whatever their case."""

MOST_LEVELS = 20
"""A column of words with more different ones is no category: names, notes or dates."""

FEWEST_TO_DIFFER = 6
"""From so many patients on, words that all differ are no categories, but name each patient."""

HIGHEST_LEVEL = 10
"""Whole numbers up to this are levels, such as lines of therapy; beyond, they are measurements, such as years."""

PERHAPS_MISSING = frozenset(
    ("na", "n/a", "n.a.", "nan", "none", "null", "nil", "unknown", "missing", "not assessed", "not known", "?", "??")
)
"""Words that may stand for a missing value; they count as levels, with a note."""

_NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf(inity)?)", re.ASCII | re.IGNORECASE)
_DATE = re.compile(r"\d{4}[-./]\d{1,2}[-./]\d{1,2}([T ].*)?|\d{1,2}[-./]\d{1,2}[-./](\d{2}|\d{4})", re.ASCII)
# What a spreadsheet would run as a formula when it opens the table of results.
_FORMULA = re.compile(r"[=@\t\r]|[+-].*[(!|]", re.DOTALL)


@dataclass(frozen=True)
class Kind:
    """A column's kind.

    Parameters
    ----------
    name : {"binary", "categorical", "ordinal", "continuous"} or None
        None where the column cannot be compared.
    levels : tuple of str
        The values that differ, in order: absent before present, low before high; empty for continuous.
    reason : str
        Why it cannot be compared; empty where it can.
    identifies : bool
        By its values it may tell who a patient is: names, notes or dates.
    """

    name: KindName | None
    levels: tuple[str, ...] = ()
    reason: str = ""
    identifies: bool = False


def canonical(text: str) -> str:
    """Return a number in one spelling, whatever its own, and other text as it is.

    Examples
    --------
    >>> canonical("2.0"), canonical("+2"), canonical("2.50"), canonical("2+")
    ('2', '2', '2.5', '2+')
    """
    return spelt(text, number_in(text))


def spelt(text: str, number: float) -> str:
    """Return a text, whose number is known, in one spelling; see :func:`canonical`."""
    if math.isnan(number):
        return text
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def number_in(text: str) -> float:
    """Return the number that a text is: NaN where it is none, infinity for one that is beyond all floats.

    Examples
    --------
    >>> number_in("1e3"), number_in("inf"), number_in("1,5"), number_in("nan")
    (1000.0, inf, nan, nan)
    """
    return float(text) if _NUMBER.fullmatch(text) else math.nan


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet would take the text for a formula."""
    return _FORMULA.match(text) is not None and _NUMBER.fullmatch(text) is None


def quoted(text: str) -> str:
    """Return a value in quotes, shortened: a cell may hold a whole letter."""
    return repr(text if len(text) <= 40 else f"{text[:39]}…")


def infer_kind(distinct: Mapping[str, float], patients: int) -> Kind:
    """Tell a column's kind from the values that differ, by the rules of the module.

    Parameters
    ----------
    distinct : mapping of str to float
        The values, each once, stripped and by :func:`canonical`, with their numbers by :func:`number_in`; none is
        empty.
    patients : int
        How many patients have a value.

    Returns
    -------
    Kind
    """
    if not distinct:
        return Kind(None, reason="it is empty")
    formula = next((text for text in distinct if is_formula(text)), None)
    if formula is not None:
        return Kind(None, reason=f"{quoted(formula)} looks like a formula of a spreadsheet")
    words = [text for text, number in distinct.items() if math.isnan(number)]
    if not words:
        return _kind_of_numbers(distinct)
    if len(words) < len(distinct):
        return Kind(None, reason=f"it mixes numbers with text such as {quoted(words[0])}")
    if FEWEST_TO_DIFFER <= len(distinct) == patients:
        reason = f"all {patients} patients have different values: identifiers, notes or dates"
        return Kind(None, reason=reason, identifies=True)
    if all(map(_DATE.fullmatch, words)):
        return Kind(None, reason="its values are dates", identifies=True)
    return _pair_of_words(distinct) or categories(distinct)


def _kind_of_numbers(numbers: Mapping[str, float]) -> Kind:
    values = numbers.values()
    if not all(map(math.isfinite, values)):
        return Kind(None, reason="it holds an infinite number")
    if set(values) <= {0.0, 1.0}:
        return Kind("binary", ("0", "1"))
    if all(value.is_integer() and 0 <= value <= HIGHEST_LEVEL for value in values):
        return Kind("ordinal", tuple(sorted(numbers, key=float)))
    return Kind("continuous")


def categories(distinct: Collection[str]) -> Kind:
    """Take values for categories, in natural order; too many are none."""
    if len(distinct) > MOST_LEVELS:
        reason = f"{len(distinct)} different values are too many for categories: identifiers, notes or dates"
        return Kind(None, reason=reason, identifies=True)
    return Kind("categorical", tuple(natural_order(distinct)))


def _pair_of_words(distinct: Collection[str]) -> Kind | None:
    """Return the kind of values that are one of the pairs, as the table writes them; None for others."""
    written = {text.casefold(): text for text in distinct}
    if len(written) < len(distinct):
        return None
    for absent, present in WORDS:
        if set(written) <= {absent, present}:
            return Kind("binary", (written.get(absent, absent), written.get(present, present)))
    return None
