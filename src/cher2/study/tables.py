"""Tables as CSV files: read as text, written whole or not at all."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import pandas as pd
import psutil

from cher2.errors import Cher2Error, StudyError

WORKBOOK = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How .xlsx and .xls begin."""


def read_csv(path: Path, kind: type[Cher2Error], what: str) -> pd.DataFrame:
    """Read a CSV file with every value as text and empty values as empty text.

    Nothing is interpreted here: a patient called "NA" or "007" keeps the name.

    Parameters
    ----------
    path : Path
        The file: UTF-8, with or without a byte order mark, separated by commas, semicolons or tabs.
    kind : type of Cher2Error
        The error to raise.
    what : str
        What the table is, for the error: "the sample sheet".

    Raises
    ------
    Cher2Error
        Of `kind`: the file is not there, is no table, has a row of another length, or names a column twice.
    """
    try:
        content = Path(path).read_bytes()
        if content.startswith(WORKBOOK):
            raise kind(f"{what} is an Excel workbook", where=str(path), remedy="In Excel, save it as CSV UTF-8")
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        remedy = "Name a file that is saved as CSV UTF-8"
        raise kind(f"{what} cannot be read ({reason})", where=str(path), remedy=remedy) from error
    try:
        names, rows = _split(text)
    except (csv.Error, ValueError) as error:
        raise kind(
            f"{what} is no table ({error})", where=str(path), remedy="Save it as CSV with one header row"
        ) from error
    twice = sorted({name for name in names if names.count(name) > 1 and name})
    if twice:
        raise kind(f"{what} has the column {twice[0]} twice", where=str(path), remedy="Keep one of them")
    return pd.DataFrame(rows, columns=names, dtype=str)


def _split(text: str) -> tuple[list[str], list[list[str]]]:
    """Return header and rows; pandas would fill up short rows in silence, as if they had been left empty."""
    if "\0" in text:
        raise ValueError("it is binary")
    header = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    # A line of nothing but blanks is no row.
    numbered = [(reader.line_num, row) for row in reader if len(row) > 1 or "".join(row).strip()]
    if not numbered:
        raise ValueError("it is empty")
    (_, names), *rows = numbered
    for line, row in rows:
        if len(row) != len(names):
            raise ValueError(f"line {line} has {len(row)} values, the header {len(names)}")
    return [name.strip() for name in names], [row for _, row in rows]


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table as UTF-8 CSV with six significant digits, in place of an older one only when it is whole."""
    write_whole(path, csv_text(table).encode())


def csv_text(table: pd.DataFrame, *, header: bool = True) -> str:
    """Return a table as CSV with six significant digits, or its rows alone."""
    return quoted_csv(table, header=header, float_format="%.6g")


def quoted_csv(table: pd.DataFrame, *, header: bool = True, float_format: str | None = None) -> str:
    """Return a table as CSV that is read as it was: where a text holds a carriage return, all texts have quotes.

    Python's writer quotes only its own end of line, and its reader takes either for one.
    """
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC):
        text: str = table.to_csv(
            index=False, header=header, float_format=float_format, lineterminator="\n", quoting=quoting
        )
        if "\r" not in text:
            break
    return text


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole, on the disk, or as it was before.

    Raises
    ------
    StudyError
        The disk is full or the folder cannot be written to.
    """
    with replaced_whole(path) as file:
        file.write(content)


@contextmanager
def replaced_whole(path: Path) -> Iterator[BinaryIO]:
    """Give a file to be written piece by piece, which takes the place of an older one when the block ends well.

    Raises
    ------
    StudyError
        The disk is full or the folder cannot be written to; the older file is as it was.
    """
    partial = partial_of(path)
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise StudyError(
            f"the file cannot be written ({error.strerror})",
            where=str(path),
            remedy="Make room on the disk, or name a folder that you may write to",
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def partial_of(path: Path) -> Path:
    """Return the name under which this process writes a file until it is whole."""
    return path.with_name(f".{path.name}.partial-{os.getpid()}")


def sweep_partials(folder: Path) -> None:
    """Remove the half-written files that processes have left in a folder which were killed while they wrote them.

    One whose process number is in use stays, unless the process that has it now began after the file was written.
    """
    for path in folder.glob(".*.partial-*"):
        number = path.name.rpartition("-")[2]
        with suppress(OSError):
            if number.isdecimal() and path.is_file() and not _writes(int(number), path.stat().st_mtime):
                path.unlink()


def _writes(process: int, written: float) -> bool:
    """Say whether a process may be the one that wrote a file at some time."""
    try:
        return process == os.getpid() or psutil.Process(process).create_time() <= written + 1
    except psutil.AccessDenied:
        return True
    except psutil.NoSuchProcess:
        return False
