"""The chain of hashes that makes an altered or removed entry of the log show.

Every entry carries the hash of the one before it, and its own: SHA-256 over that hash and the decision. Nothing here
is secret, so the chain shows a mistake and a clumsy hand, not somebody who computes all later hashes anew; and that
the newest entries were cut off does not show either. Both show against a :class:`Head` that was noted elsewhere: the
study's trail (:mod:`cher2.study.trail`) notes one with every event, and a report or a piece of paper can.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cher2.review.decisions import COLUMNS

NO_HASH = "0" * 64
"""What stands for the hash before the first entry."""


@dataclass(frozen=True)
class Head:
    """The newest entry of a log: whoever knows it, knows that nothing up to it was changed or cut off.

    Parameters
    ----------
    entry : int
        Its place in the log; 0 where the log is empty.
    hash : str
        Its hash.
    """

    entry: int = 0
    hash: str = NO_HASH


@dataclass(frozen=True)
class BrokenEntry:
    """A place where the chain does not hold.

    Parameters
    ----------
    entry : int
        The entry at which it shows.
    what : str
        What is wrong with it, as a sentence without its full stop.
    """

    entry: int
    what: str


def canonical_json(values: Mapping[str, Any]) -> str:
    """Return the one text that stands for a decision in the chain.

    Fields in the order of their names, without blanks, numbers as Python's ``repr`` gives them, everything else than
    ASCII escaped. Empty fields are left out: a field that a later version adds changes no hash made before.

    Examples
    --------
    >>> canonical_json({"reader": "Eva", "grade": 2, "y_px": 1.5, "reason": "", "grade_before": None})
    '{"grade":2,"reader":"Eva","y_px":1.5}'
    """
    filled = {name: values[name] for name in COLUMNS if name in values and values[name] not in ("", None)}
    return json.dumps(filled, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def hash_of(previous_hash: str, values: Mapping[str, Any]) -> str:
    """Return the hash of an entry, as 64 hexadecimal digits.

    Parameters
    ----------
    previous_hash : str
        The hash of the entry before it; :data:`NO_HASH` for the first.
    values : mapping
        The decision's fields, ``entry`` among them.
    """
    return hashlib.sha256(f"{previous_hash}\n{canonical_json(values)}".encode()).hexdigest()


def broken_entries(rows: Iterable[Mapping[str, Any]], *heads: Head, after: Head | None = None) -> list[BrokenEntry]:
    """Return the places where a log was altered, in order; none where it is as it was written.

    An entry that was altered, removed from the middle or inserted shows. That the last entries were removed shows
    only against a `head` that was noted before, and a chain that somebody computed anew throughout does not show
    without one either.

    Parameters
    ----------
    rows : iterable of mapping
        The entries of one study in order, with all fields of a decision, ``previous_hash`` and ``hash``.
    *heads : Head
        The newest entries as they were known at earlier times.
    after : Head, optional
        The entry before the first of `rows`, where they are not those from the beginning.

    Returns
    -------
    list of BrokenEntry
        After each the chain is taken up again from the entry's stored hash, so that one fault is told once.
    """
    broken = []
    noted: dict[int, set[str]] = {}
    for head in heads:
        noted.setdefault(head.entry, set()).add(head.hash)
    last = Head() if after is None else after
    for row in rows:
        entry = row["entry"]
        if not isinstance(entry, int):
            broken.append(BrokenEntry(last.entry + 1, "its number was altered"))
            continue
        broken += [BrokenEntry(entry, what) for what in _faults(row, last)]
        if noted.get(entry, set()) - {row["hash"]}:
            broken.append(BrokenEntry(entry, "it is not the entry that was noted earlier"))
        last = Head(entry, row["hash"])
    newest = max(noted, default=0)
    if last.entry < newest:
        broken.append(BrokenEntry(last.entry + 1, f"the entries from here to {newest} were removed"))
    return broken


def _faults(row: Mapping[str, Any], last: Head) -> list[str]:
    """Return what is wrong with an entry that follows another."""
    faults = []
    if row["entry"] > last.entry + 1:
        faults.append(f"the entries from {last.entry + 1} to {row['entry'] - 1} were removed")
    elif row["entry"] <= last.entry:
        faults.append(f"there is another entry {row['entry']}: one of the two was inserted")
    elif row["previous_hash"] != last.hash:
        faults.append("it does not follow the entry before it: one of the two was inserted or exchanged")
    try:
        altered = hash_of(row["previous_hash"], row) != row["hash"]
    except (TypeError, ValueError):
        altered = True  # A value that a decision never holds: bytes, or an infinite number.
    if altered:
        faults.append("it was altered after it was stored")
    return faults
