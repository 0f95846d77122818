"""Decisions read out of a SQLite file that SQLite itself refuses, page by page.

A leaf of a table holds whole rows, and every row of the log carries the hash of itself and of the one before it: a row
whose hash fits is the one that was stored, wherever it was found, and a row whose hash does not fit is left alone.
The format is SQLite's own [1]_, of which only leaves, overflow pages and the frames of a write-ahead log are needed.

References
----------
.. [1] https://www.sqlite.org/fileformat2.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cher2.review.chain import hash_of
from cher2.review.schema import decisions

TABLE_LEAF, INDEX_LEAF, INDEX_INTERIOR = 13, 10, 2
_KINDS = {TABLE_LEAF, INDEX_LEAF, INDEX_INTERIOR, 5}
_USUAL_PAGE = 4096
_WAL_HEADER, _FRAME_HEADER = 32, 24
_LEAST_ROW = 250
"""Bytes that a decision takes at least: two hashes, two identities and a time alone are 224."""

_NAMES = tuple(column.name for column in decisions.columns)
_REAL = ("y_px", "x_px", "radius_px")


@dataclass
class Salvaged:
    """What a damaged file still holds.

    Parameters
    ----------
    rows : dict
        The decisions whose hash fits, as :meth:`cher2.review.sql_log.SqlLog.rows` gives them, by ``decision_id``.
    last_entry : int
        The newest entry that is named anywhere in the file, whether its row is readable or not.
    unreadable : int or None
        How many decisions the unreadable and the missing pages can have held at most; None where the file does not
        tell its size, and there may have been any number.
    """

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    last_entry: int = 0
    unreadable: int | None = None


class _UnreadableError(Exception):
    """A cell that is no cell; never leaves this module."""


class _Pages:
    """The pages of a file and of its write-ahead log."""

    def __init__(self, main: bytes, wal: bytes) -> None:
        self.has_header = main.startswith(b"SQLite format 3\x00")
        told = int.from_bytes(main[16:18], "big") if self.has_header else 0
        told = 65536 if told == 1 else told
        self.size = told if told >= 512 and told & (told - 1) == 0 else _USUAL_PAGE
        self.main = {1 + at // self.size: main[at : at + self.size] for at in range(0, len(main), self.size)}
        step = _FRAME_HEADER + self.size
        self.frames = [
            (int.from_bytes(wal[at : at + 4], "big"), wal[at + _FRAME_HEADER : at + step])
            for at in range(_WAL_HEADER, len(wal) - step + 1, step)
        ]
        self.newest = self.main | dict(self.frames)

    def all(self) -> Iterator[bytes]:
        """Give every version of every page but the first, which holds no row of the log."""
        yield from (page for number, page in self.main.items() if number > 1)
        yield from (page for number, page in self.frames if number > 1)

    def unreadable(self) -> int | None:
        """Return how many pages are missing at the file's end or make no sense; None where nobody can tell."""
        if not self.has_header:
            return None
        told = int.from_bytes(self.main[1][28:32], "big")
        missing = sum(1 for number in range(2, min(told, 2**24) + 1) if number not in self.newest)
        return missing + sum(not self._makes_sense(page) for number, page in self.newest.items() if number > 1)

    def _makes_sense(self, page: bytes) -> bool:
        if len(page) < self.size or not any(page):
            return False
        if page[0] not in _KINDS:  # Of an overflow or a free page the first four bytes name another one.
            return int.from_bytes(page[:4], "big") <= max(self.newest)
        return page[0] == 5 or all(cell is not None for cell in self.cells(page))

    def cells(self, page: bytes) -> Iterator[list[Any] | None]:
        """Give the records of a leaf or of an index's page; None for each that cannot be read."""
        if len(page) < self.size or page[0] not in (TABLE_LEAF, INDEX_LEAF, INDEX_INTERIOR):
            return
        count = int.from_bytes(page[3:5], "big")
        first = 12 if page[0] == INDEX_INTERIOR else 8
        for at in range(first, min(first + 2 * count, self.size - 1), 2):
            try:
                yield _record(self._payload(page, int.from_bytes(page[at : at + 2], "big")))
            except (_UnreadableError, UnicodeDecodeError):
                yield None

    def _payload(self, page: bytes, at: int) -> bytes:
        at += 4 if page[0] == INDEX_INTERIOR else 0
        length, at = _varint(page, at)
        if page[0] == TABLE_LEAF:
            _, at = _varint(page, at)
        most = self.size - 35 if page[0] == TABLE_LEAF else (self.size - 12) * 64 // 255 - 23
        if length <= most:
            return page[at : at + length]
        least = (self.size - 12) * 32 // 255 - 23
        here = least + (length - least) % (self.size - 4)
        here = here if here <= most else least
        found, following = page[at : at + here], int.from_bytes(page[at + here : at + here + 4], "big")
        for _ in range(length // (self.size - 4) + 1):
            if len(found) >= length or following not in self.newest:
                break
            over = self.newest[following]
            found, following = found + over[4:], int.from_bytes(over[:4], "big")
        return found[:length]


def salvage(main: bytes, wal: bytes, study: str) -> Salvaged:
    """Read what is left of a log's file.

    Parameters
    ----------
    main, wal : bytes
        The file and its write-ahead log, whatever they hold; empty where there is none.
    study : str
        The study's identity.

    Returns
    -------
    Salvaged
    """
    pages, found = _Pages(main, wal), Salvaged()
    for page in pages.all():
        for record in pages.cells(page):
            if record is None:
                continue
            if len(record) == len(_NAMES):
                row = _row(record)
                if row is not None and row["study"] == study and row["decision_id"] not in found.rows:
                    found.rows[row["decision_id"]] = row
            elif len(record) == 3 and record[0] == study and isinstance(record[1], int):
                # The index by study and entry; its rows carry no hash, so they only tell what may be missing.
                found.last_entry = max(found.last_entry, record[1])
    found.last_entry = max([found.last_entry, *(row["entry"] for row in found.rows.values())])
    unreadable = pages.unreadable()
    found.unreadable = None if unreadable is None else unreadable * (pages.size // _LEAST_ROW)
    return found


def _row(record: list[Any]) -> dict[str, Any] | None:
    """Return a record as a row of the log, if its hash says that it is one as it was stored."""
    row = dict(zip(_NAMES, record, strict=True))
    if not isinstance(row["previous_hash"], str) or not isinstance(row["entry"], int):
        return None
    # SQLite stores a real number without a fraction as an integer.
    row |= {name: float(row[name]) for name in _REAL if isinstance(row[name], int)}
    try:
        fits = hash_of(row["previous_hash"], row) == row["hash"]
    except (TypeError, ValueError):  # Bytes or an infinite number: no decision holds them.
        return None
    return row if fits else None


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(9):
        if at + place >= len(content):
            raise _UnreadableError
        byte = content[at + place]
        if place == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + place + 1
    raise _UnreadableError


def _record(payload: bytes) -> list[Any]:
    """Return the values of a record."""
    end, at = _varint(payload, 0)
    kinds = []
    while at < end:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    values = []
    for kind in kinds:
        value, at = _value(payload, at, kind)
        values.append(value)
    return values


def _value(payload: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (0, 8, 9):
        return (None, 0, 1)[(0, 8, 9).index(kind)], at
    if kind in (10, 11):
        raise _UnreadableError
    length = (1, 2, 3, 4, 6, 8, 8)[kind - 1] if kind < 8 else (kind - 12) // 2
    content = payload[at : at + length]
    if len(content) < length:
        raise _UnreadableError
    if kind == 7:
        return struct.unpack(">d", content)[0], at + length
    if kind < 8:
        return int.from_bytes(content, "big", signed=True), at + length
    return (content.decode() if kind % 2 else content), at + length
