"""The tables that decisions are kept in, the same in every database, and a decision's way into them and back."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Double, Integer, MetaData, SmallInteger, Table, Text, select
from sqlalchemy import inspect as inspect_database

from cher2.errors import ReviewError
from cher2.review.decisions import COLUMNS, Decision

VERSION = 1
"""The version of the tables; a database made by a later cher2 has a greater one and is left alone."""

_TYPES = (
    dict.fromkeys(("y_px", "x_px", "radius_px"), Double)
    | dict.fromkeys(("grade", "grade_before"), SmallInteger)
    | {"object_id": BigInteger}
)

_REPEATED = [n for n in COLUMNS if n not in (*_TYPES, "entry", "refers_to", "decision_id", "decided_at")]
"""Fields whose texts many entries share."""

_KINDS: dict[str, tuple[type, ...]] = (
    dict.fromkeys(COLUMNS, (str,))
    | dict.fromkeys(("y_px", "x_px", "radius_px"), (float,))
    | dict.fromkeys(("grade", "grade_before"), (int, type(None)))
    | dict.fromkeys(("object_id", "entry"), (int,))
)

metadata = MetaData()

decisions = Table(
    "decisions",
    metadata,
    # The primary key is the index by which a study's newer entries are found.
    Column("study", Text, primary_key=True),
    Column("entry", BigInteger, primary_key=True, autoincrement=False),
    Column("decision_id", Text, nullable=False, unique=True),
    *(
        Column(name, _TYPES.get(name, Text), nullable=name in ("grade", "grade_before"))
        for name in COLUMNS
        if name not in ("study", "entry", "decision_id")
    ),
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

bookmarks = Table(
    "bookmarks",
    metadata,
    Column("study", Text, primary_key=True),
    Column("reader", Text, primary_key=True),
    Column("queue", Text, nullable=False),
    Column("image", Text, nullable=False),
    Column("object_id", BigInteger, nullable=False),
)

schema = Table("review_schema", metadata, Column("version", Integer, primary_key=True, autoincrement=False))


def is_ready(connection: Connection, where: str) -> bool:
    """Say whether a database holds the tables.

    Raises
    ------
    ReviewError
        It holds those of another version of cher2, or a table of the same name that is not cher2's.
    """
    # One question, and not one a table: another program may be making them.
    there = metadata.tables.keys() & set(inspect_database(connection).get_table_names())
    if not there:
        return False
    versions = list(connection.scalars(select(schema.c.version))) if schema.name in there else []
    if len(there) < len(metadata.tables) or len(versions) != 1:
        raise ReviewError(
            "the database holds other tables than cher2's, or only some of them",
            where=where,
            remedy="Give cher2 a database of its own, or restore this one from its backup",
        )
    if versions[0] != VERSION:
        raise ReviewError(
            f"the decisions are kept in version {versions[0]} of the tables, and this cher2 knows version {VERSION}",
            where=where,
            remedy="Install the newest cher2",
        )
    return True


def create_tables(connection: Connection, where: str) -> None:
    """Make the tables where they are not; the caller's transaction keeps others from doing so at the same time."""
    if not is_ready(connection, where):
        metadata.create_all(connection)
        connection.execute(schema.insert().values(version=VERSION))


def storable(decision: Decision, study: str) -> Decision:
    """Return a decision as a database gives it back: plain Python values, no entry yet.

    Raises
    ------
    ReviewError
        It is on another study, or holds a value that no database keeps.
    """
    if decision.study != study:
        raise ReviewError("a decision on another study", where=decision.study, remedy="Open that study's own log")
    try:
        plain = replace(
            decision,
            # SQLite drops the sign of -0.0, and the hash must be the same after reading.
            y_px=float(decision.y_px) + 0.0,
            x_px=float(decision.x_px) + 0.0,
            radius_px=float(decision.radius_px) + 0.0,
            grade=_whole(decision.grade),
            grade_before=_whole(decision.grade_before),
            object_id=int(decision.object_id),
            entry=0,
        )
    except (TypeError, ValueError) as error:
        raise _not_storable(decision, "a number is none") from error
    if not all(map(math.isfinite, (plain.y_px, plain.x_px, plain.radius_px))):
        raise _not_storable(decision, "its position is not finite")
    if not 0 <= plain.object_id < 2**63:
        raise _not_storable(decision, "its object's number is negative or too great")
    for name in COLUMNS:
        value = getattr(plain, name)
        if isinstance(value, str):
            storable_text(value, name)
    return plain


def storable_text(text: str, name: str) -> str:
    """Return a text that every database can keep.

    Raises
    ------
    ReviewError
        It holds the character NUL or half a character, as a file's name that is no Unicode does.
    """
    if "\x00" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
        raise ReviewError(
            f"a decision's {name} holds a character that cannot be stored", where=ascii(text[:80]), remedy="Rename it"
        )
    return text


def row_of(decision: Decision) -> dict[str, Any]:
    """Return a decision's fields by their columns."""
    return asdict(decision)


def decision_of(row: Mapping[str, Any], where: str) -> Decision:
    """Return the decision of a row.

    Raises
    ------
    ReviewError
        The row holds what no decision can: it was altered.
    """
    try:
        if wrong := [name for name, kinds in _KINDS.items() if not isinstance(row[name], kinds)]:
            raise TypeError(f"{wrong[0]} is {row[wrong[0]]!r}")
        values = {name: row[name] for name in COLUMNS}
        # A log of 200,000 entries holds few different texts: each is kept once.
        return Decision(**values | {name: sys.intern(values[name]) for name in _REPEATED})
    except ReviewError as error:
        raise error.within(f"{where}, entry {row['entry']}") from error
    except (TypeError, AttributeError) as error:
        raise ReviewError(
            f"entry {row['entry']} is no decision: it was altered", where=where, remedy="Restore the log from a backup"
        ) from error


def _whole(grade: int | None) -> int | None:
    return None if grade is None else int(grade)


def _not_storable(decision: Decision, why: str) -> ReviewError:
    return ReviewError(
        f"a decision on object {decision.object_id} cannot be stored: {why}",
        where=decision.image,
        remedy="Score the image again: 'cher2 run'",
    )
