"""What a reading library raises and logs at damaged bytes, turned into one error and kept off the terminal."""

from __future__ import annotations

import logging
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from xml.etree import ElementTree

import numpy as np

from cher2.errors import ImageError

LIBRARY_FAULTS: tuple[type[Exception], ...] = (
    struct.error, zlib.error, ElementTree.ParseError, ValueError, TypeError, AttributeError, NameError, LookupError,
    ArithmeticError, AssertionError, EOFError, RuntimeError, MemoryError, OSError, ImportError,
)  # fmt: skip
"""What the libraries for makers' formats raise at bytes that make no sense. They promise no common class."""

_LOGGERS = ("tifffile", "imagecodecs", "nd2", "liffile", "czifile")

# What a library quotes is the file's own text, or where the file lies: either may name a person.
_QUOTED = re.compile(r"(['\"]).*?\1|(?:[A-Za-z]:)?[\\/]\S*[\\/]\S*", re.DOTALL)

_reading: ContextVar[bool] = ContextVar("reading", default=False)


def _not_while_reading(record: logging.LogRecord) -> bool:
    """Keep the libraries' log lines off the user's terminal while cher2 reads: what matters becomes an error."""
    return not _reading.get()


for _name in _LOGGERS:
    logging.getLogger(_name).addFilter(_not_while_reading)


@contextmanager
def library_faults(what: str, where: str, remedy: str, faults: tuple[type[Exception], ...]) -> Iterator[None]:
    """Turn whatever a library raises into an ImageError, and keep its log lines back.

    Parameters
    ----------
    what, where, remedy : str
        Of the error; the library's own words follow ``what`` in brackets, as of :func:`in_own_words`.
    faults : tuple of exception types
        What is turned into an ImageError.
    """
    token = _reading.set(True)
    try:
        # tifffile calculates with a tag's numbers before anybody has looked at them.
        with np.errstate(all="ignore"):
            yield
    except faults as error:
        raise ImageError(f"{what} ({in_own_words(error)})", where=where, remedy=remedy) from error
    finally:
        _reading.reset(token)


def figures(value: object) -> str:
    """Return what a field that should hold figures says, shortened; words in it, which may be a name, are not told.

    Examples
    --------
    >>> figures("-1"), figures("Jane Doe")
    ('-1', '...')
    """
    text = str(value)[:60]
    return text if re.fullmatch(r"[-+0-9.,:()\[\]{} eE]*", text) else "..."


def in_own_words(error: Exception) -> str:
    """Return what a library says is wrong, in one short line, without what it quotes from the file and without paths.

    Examples
    --------
    >>> in_own_words(ValueError("could not convert string to float: 'Jane Doe'"))
    'could not convert string to float: ...'
    """
    return _QUOTED.sub("...", " ".join(str(error).split()))[:120] or type(error).__name__
