"""Decisions as a CSV file: every column, in the order of the log, harmless in a spreadsheet.

A spreadsheet runs a text that begins with ``=`` or one of a few other signs as a formula. Such a text gets an
apostrophe before it, which a spreadsheet does not show; reading takes it off again.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from cher2.review.decisions import Decision, decisions_table
from cher2.study.tables import quoted_csv

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# A text's own apostrophe is doubled, so that each text comes back as it was.
_GUARDED = ("'", *_FORMULA)


def guarded(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula.

    Examples
    --------
    >>> guarded("=1+1"), guarded("faint")
    ("'=1+1", 'faint')
    """
    return f"'{text}" if text.startswith(_GUARDED) else text


def unguarded(text: str) -> str:
    """Return the text that :func:`guarded` was given.

    Examples
    --------
    >>> unguarded("'=1+1"), unguarded("'tis faint")
    ('=1+1', "'tis faint")
    """
    return text[1:] if text.startswith("'") and text[1:].startswith(_GUARDED) else text


def guarded_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with all its texts harmless; numbers stay as they are."""
    texts = {
        name: table[name].map(lambda value: guarded(value) if isinstance(value, str) else value)
        for name in table.columns
        if not pd.api.types.is_numeric_dtype(table[name])
    }
    return table.assign(**texts)


def decisions_csv(decisions: Iterable[Decision]) -> str:
    """Return decisions as CSV, one line each in the order given; numbers with all their digits."""
    return quoted_csv(guarded_columns(decisions_table(decisions)))
