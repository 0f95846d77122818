"""A log of decisions in a SQL database: what is the same for SQLite and PostgreSQL."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine, Select, bindparam, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from cher2.errors import ReviewError
from cher2.review.chain import BrokenEntry, Head, broken_entries, hash_of
from cher2.review.decisions import Decision
from cher2.review.log import Bookmark
from cher2.review.schema import bookmarks, decision_of, decisions, row_of, storable, storable_text

WRITES = "cher2_writes"
"""The execution option of a transaction that will write."""

AT_ONCE = 1000
"""Decisions asked for in one statement: databases limit its parameters."""

_OF_STUDY = decisions.c.study == bindparam("study")
_NEWEST = select(func.max(decisions.c.entry)).where(_OF_STUDY).scalar_subquery()
_KNOWN = select(decisions).where(
    or_(
        decisions.c.decision_id.in_(bindparam("ids", expanding=True)),
        _OF_STUDY & (decisions.c.entry == _NEWEST),
        _OF_STUDY & (decisions.c.entry == bindparam("seen")),
    )
)

Result = TypeVar("Result")

_Row = Mapping[str, Any]


class SqlLog(ABC):
    """A log of decisions behind an SQLAlchemy engine.

    Each method is one transaction. Those that write wait for each other, so that the entries of a study have no
    gaps and their chain of hashes never forks (:mod:`cher2.review.chain`). The object may be used from several
    threads.

    Parameters
    ----------
    engine : Engine
        The database.
    study : str
        The study's identity: one database may keep many.
    where : str
        The database in words, without a password.
    """

    _restoring = "Restore them from a backup"

    def __init__(self, engine: Engine, study: str, where: str) -> None:
        self._engine = engine
        self._study = storable_text(study, "study")
        self._where = where
        self._seen = Head()

    @property
    def where(self) -> str:
        """The database in words, without a password."""
        return self._where

    @property
    def note(self) -> str:
        """What a reader should know about how decisions are stored here; empty where all is as it should be."""
        return ""

    @property
    def read_only(self) -> bool:
        """Whether decisions can only be read here."""
        return False

    @property
    def study(self) -> str:
        """The identity of the study whose decisions these are."""
        return self._study

    @abstractmethod
    def _explain(self, error: SQLAlchemyError) -> ReviewError:
        """Return what a database's error means to the reader."""

    @abstractmethod
    def _lock(self, connection: Connection) -> None:
        """Keep others from writing to this study until the transaction ends."""

    @abstractmethod
    def _before(self) -> None:
        """Make sure that the database is the one that was opened, before a transaction."""

    @abstractmethod
    def _after(self) -> None:
        """Make sure that it still is, after one that wrote and before its connection is let go."""

    def _options(self, writes: bool) -> dict[str, Any]:
        """Return what SQLAlchemy is told of a transaction."""
        return {WRITES: writes}

    def append(self, decisions: Sequence[Decision]) -> list[Decision]:
        """Store decisions, all or none; on the disk when this returns.

        Returns
        -------
        list of Decision
            The same with their ``entry``. One that is stored already, by its ``decision_id``, is not stored again.

        Raises
        ------
        ReviewError
            They could not be stored, or nobody knows whether they were: appending the same decisions again is safe.
        """
        wanted = [storable(decision, self._study) for decision in decisions]
        if not wanted:
            return []
        stored, head = self._run(lambda connection: self._append(connection, wanted), writes=True)
        self._remember(head)
        return [stored[decision.decision_id] for decision in wanted]

    def _append(self, connection: Connection, wanted: Sequence[Decision]) -> tuple[dict[str, Decision], Head]:
        self._lock(connection)
        head, stored = self._known(connection, [decision.decision_id for decision in wanted])
        rows = []
        for decision in wanted:
            known = stored.get(decision.decision_id)
            if known is None:
                known = stored[decision.decision_id] = replace(decision, entry=head.entry + 1)
                row = row_of(known)
                row |= {"previous_hash": head.hash, "hash": hash_of(head.hash, row)}
                rows.append(row)
                head = Head(known.entry, row["hash"])
            elif replace(known, entry=0) != decision:
                raise ReviewError(
                    f"entry {known.entry} has the same decision_id as this decision and says something else",
                    where=self.where,
                    remedy="Give every decision an identity of its own",
                )
        if rows:
            connection.execute(decisions.insert(), rows)
        return stored, head

    def _known(self, connection: Connection, identities: Sequence[str]) -> tuple[Head, dict[str, Decision]]:
        """Return the newest entry, and those decisions that are stored already, by their ``decision_id``.

        One question for all that an append must know: others wait while it is asked.
        """
        seen, wanted = self._seen, set(identities)
        heads, found = {Head()}, dict[str, Decision]()
        for start in range(0, len(identities), AT_ONCE):
            given = {"study": self._study, "seen": seen.entry, "ids": identities[start : start + AT_ONCE]}
            for row in _rows(connection, _KNOWN, given):
                if row["decision_id"] in wanted:
                    found[row["decision_id"]] = decision_of(row, self.where)
                if row["study"] == self._study:
                    heads.add(Head(row["entry"], row["hash"]))
        self._check_seen(seen, heads)
        return max(heads, key=lambda head: head.entry), found

    def entries(self, after: int = 0) -> list[Decision]:
        """Return the stored decisions with a greater ``entry`` than `after`, of all readers, in order.

        Raises
        ------
        ReviewError
            The log cannot be read, or its chain does not hold.
        """
        seen = self._seen
        # The newest entry that was ever seen here is read again, to know that it is still there.
        start = min(after + 1, seen.entry or after + 1)
        query = select(decisions).where(decisions.c.study == self._study, decisions.c.entry >= start)
        query = query.order_by(decisions.c.entry)
        found, heads, broken = self._run(lambda connection: self._read(connection, query, seen, after), writes=False)
        self._check_seen(seen, heads)
        self._refuse_altered(broken)
        self._remember(heads[-1])
        return found

    def _read(
        self, connection: Connection, query: Select[Any], seen: Head, after: int
    ) -> tuple[list[Decision], list[Head], list[BrokenEntry]]:
        """Return the decisions after an entry; the one seen last, if it is there, and the newest; where they break."""
        found, heads, newest = list[Decision](), [Head()], Head()

        def rows_after() -> Iterator[_Row]:
            nonlocal newest
            for row in _rows(connection, query):
                newest = Head(row["entry"], row["hash"])
                if newest.entry == seen.entry:
                    heads.append(newest)
                if newest.entry > after:
                    found.append(decision_of(row, self.where))
                    yield row

        # The chain is checked where the entry before is known; its hash is not read for it.
        before = {0: Head(), seen.entry: seen}.get(after)
        broken = broken_entries(rows_after(), after=before)
        return found, [*heads, newest], broken if before is not None else []

    def rows(self) -> list[dict[str, Any]]:
        """Return the entries as they are stored, with ``previous_hash`` and ``hash``: what a check of the log reads.

        Raises
        ------
        ReviewError
            The log cannot be read.
        """
        return self._run(lambda connection: [dict(row) for row in self._all(connection)], writes=False)

    def _all(self, connection: Connection) -> Iterable[_Row]:
        return _rows(connection, select(decisions).where(decisions.c.study == self._study).order_by(decisions.c.entry))

    def head(self) -> Head:
        """Return the newest entry: kept elsewhere, it shows later that nothing was cut off."""
        return self._run(lambda connection: _head(connection, self._study), writes=False)

    def broken_entries(self, *heads: Head) -> list[BrokenEntry]:
        """Return the places where the log was altered (:func:`cher2.review.chain.broken_entries`)."""
        return self._run(lambda connection: broken_entries(self._all(connection), *heads), writes=False)

    def bookmark(self, reader: str) -> Bookmark | None:
        """Return where a reader was; None where nobody knows."""
        table = bookmarks.c
        query = select(table.queue, table.image, table.object_id).where(
            table.study == self._study, table.reader == storable_text(reader, "reader")
        )
        row = self._run(lambda connection: connection.execute(query).first(), writes=False)
        return None if row is None else Bookmark(*row)

    def set_bookmark(self, reader: str, bookmark: Bookmark) -> None:
        """Remember where a reader is; it is no decision, so only the last one stays."""
        texts = {"reader": reader, "queue": bookmark.queue, "image": bookmark.image}
        place = {name: storable_text(text, name) for name, text in texts.items()}
        values: dict[str, Any] = {"study": self._study, "object_id": int(bookmark.object_id), **place}
        insert = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        changed = {name: values[name] for name in ("queue", "image", "object_id")}
        upsert = (
            insert(bookmarks).values(values).on_conflict_do_update(index_elements=["study", "reader"], set_=changed)
        )
        self._run(lambda connection: connection.execute(upsert), writes=True)

    @abstractmethod
    def back_up(self) -> None:
        """Make a backup copy; see :meth:`cher2.review.log.DecisionLog.back_up`."""

    def close(self) -> None:
        """Let go of the database; closing twice is fine, and whatever is asked afterwards opens it again."""
        self._engine.dispose()

    def _run(self, work: Callable[[Connection], Result], *, writes: bool) -> Result:
        """Do something in one transaction; once more where the connection turns out to be lost.

        That is safe also where it was lost in the midst of a commit: whatever is done here can be done twice.
        """
        engine = self._engine.execution_options(**self._options(writes))
        for last in (False, True):
            self._before()
            try:
                with engine.connect() as connection:
                    with connection.begin():
                        result = work(connection)
                    if writes:
                        self._after()
            except SQLAlchemyError as error:
                # What follows a fault starts from a new connection.
                self._engine.dispose()
                if last or not (isinstance(error, DBAPIError) and error.connection_invalidated):
                    raise self._explain(error) from error
            else:
                break
        return result

    def _refuse_altered(self, broken: Sequence[BrokenEntry]) -> None:
        """Make sure that nobody works with decisions that are not as they were stored."""
        if broken:
            raise ReviewError(
                f"the decisions were altered outside of cher2: entry {broken[0].entry}: {broken[0].what}",
                where=self.where,
                remedy=f"See all with 'cher2 verify STUDY'. {self._restoring}",
            )

    def _remember(self, head: Head) -> None:
        if head.entry > self._seen.entry:
            self._seen = head

    def _check_seen(self, seen: Head, there: Collection[Head]) -> None:
        """Refuse a log in which the newest entry that was ever seen here is not there."""
        if seen not in there:
            raise ReviewError(
                f"entry {seen.entry} was stored and is gone: somebody put an older copy of the log in its place",
                where=self.where,
                remedy="Put back the newest copy; or close the review and open it again to go on with this one",
            )


def _rows(connection: Connection, query: Select[Any], given: Mapping[str, Any] | None = None) -> Iterable[_Row]:
    """Give rows one by one: of a long log, only what is made of them is kept."""
    return cast(Iterable[_Row], connection.execute(query, given).mappings())


def _head(connection: Connection, study: str) -> Head:
    newest = select(decisions.c.entry, decisions.c.hash).where(decisions.c.study == study)
    row = connection.execute(newest.order_by(decisions.c.entry.desc()).limit(1)).first()
    return Head() if row is None else Head(*row)
