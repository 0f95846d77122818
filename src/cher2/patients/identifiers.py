"""Patients' identifiers: compared as text, and sorted as a person would sort them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_NUMBER = re.compile("[0-9]+")


def text_values(column: pd.Series[Any]) -> NDArray[np.object_]:
    """Return a column as stripped text, an empty string where there is no value.

    A table read by pandas holds the patient 101 as ``"101"``, ``101`` or, beside an empty cell, ``101.0``:
    all three become ``"101"``.

    Parameters
    ----------
    column : Series, length N

    Returns
    -------
    ndarray of str, shape (N,)
    """
    codes, names = text_codes(column)
    return names[codes]


def text_codes(column: pd.Series[Any]) -> tuple[NDArray[np.intp], NDArray[np.object_]]:
    """Return a column as numbers of its few texts; see :func:`text_values`.

    Parameters
    ----------
    column : Series, length N
        One of categories costs least.

    Returns
    -------
    codes : ndarray of int, shape (N,)
        The number of each value's text.
    names : ndarray of str
        The texts; two may be the same, and the last is empty.
    """
    codes, distinct = pd.factorize(column)
    names = np.array([*map(_text, distinct), ""], dtype=object)
    # An empty value has the code -1.
    return np.where(codes < 0, len(names) - 1, codes), names


def _text(value: object) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def natural_order(names: Iterable[str]) -> list[str]:
    """Return the names sorted with their numbers as numbers: P2 before P10.

    Examples
    --------
    >>> natural_order(["P10", "P2", "A", "P2b"])
    ['A', 'P2', 'P2b', 'P10']
    """
    # Sorted by name first: P2 and P02 have one key, and a stable sort leaves them in that order.
    return sorted(sorted(names), key=_natural_key)


def _natural_key(name: str) -> str:
    return _NUMBER.sub(_sortable_number, name)


def _sortable_number(match: re.Match[str]) -> str:
    # Of two numbers without leading zeros the longer is the larger: the length goes first, as a character.
    # int() would refuse a number of more than 4300 digits.
    digits = match[0].lstrip("0")
    return chr(min(len(digits), sys.maxunicode)) + digits
