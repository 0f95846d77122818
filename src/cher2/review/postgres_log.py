"""The log of decisions in a PostgreSQL database: for readers at several computers."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from typing import Any
from urllib.parse import quote, quote_plus

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from cher2.errors import ReviewError
from cher2.review.schema import create_tables, is_ready
from cher2.review.sql_log import SqlLog

CONNECT_TIMEOUT_S = 5

TIMEOUT_S = 5.0
"""Seconds to wait for another program that writes to the same study; a commit of its takes milliseconds."""

# A cable that was pulled shows after some 10 s, and not after the quarter of an hour that TCP takes by itself.
_KEEP_ALIVE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}

_SCHEMA_KEY = 0x6368657232  # "cher2"

# A server set to synchronous_commit = off would say "stored" before it is; a stricter setting stays.
_LOCK = text(
    "SELECT pg_advisory_xact_lock(:key), "
    "CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', true) END"
)

# PostgreSQL's error codes (SQLSTATE) by their beginnings, the longest first.
_CAUSES = (
    ("28", "the server refuses this user or password", "Look up user and password: in the URL or in ~/.pgpass"),
    ("3D000", "the server has no such database", "Create it: CREATE DATABASE ... (docs/review_database.md)"),
    ("42501", "the user may not do this in the database", "Grant the rights named in docs/review_database.md"),
    ("53100", "the server's disk is full", "Make room on the server, and try again"),
    ("53300", "the server has too many connections", "Close other programs, and try again"),
    ("53", "the server is short of memory or another resource", "Try again, and tell the server's keeper"),
    ("25006", "the server takes no writes", "Name the primary server, not its copy"),
    ("55P03", "another program holds the log", "Close it, or wait until it is done, and try again"),
    ("57014", "the server broke the statement off", "Try again"),
    ("57P", "the server is shutting down or starting", "Wait until it runs, and try again"),
    ("08", "the connection to the server was lost", "Look whether server and network work, and try again"),
    ("22P05", "the database cannot keep every character", "Create it with ENCODING 'UTF8'"),
    ("58", "the server's disk does not read or write", "Tell the server's keeper, and try again"),
    ("XX", "the server's data are damaged", "Tell the server's keeper: restore them from a backup"),
)


class PostgresLog(SqlLog):
    """A log of decisions in a PostgreSQL database; its tables are made where they are not there.

    Parameters
    ----------
    url : str
        ``postgresql://user@host:5432/database``; the password in it, in ``PGPASSWORD`` or, best, in ``~/.pgpass``.
        It is shown nowhere. libpq's parameters may follow: ``?sslmode=require``.
    study : str
        The study's identity.
    timeout_s : float
        Seconds to wait for another program that writes to the same study.

    Raises
    ------
    ReviewError
        The driver is not installed, the URL makes no sense, the server does not answer within 5 s or refuses, or the
        tables come from a later cher2.
    """

    def __init__(self, url: str, study: str, *, timeout_s: float = TIMEOUT_S) -> None:
        address = _parsed(url)
        if find_spec("psycopg") is None:
            raise ReviewError(
                "decisions in PostgreSQL need the library psycopg",
                where=_in_words(address),
                remedy='Install it: pip install "cher2[postgres]"',
            )
        self._secrets = _secrets(address)
        super().__init__(_engine(address, timeout_s), study, _in_words(address))
        try:
            with self._engine.begin() as connection:
                ready = is_ready(connection, self.where)
            if not ready:
                with self._engine.begin() as connection:
                    connection.execute(_LOCK, {"key": _SCHEMA_KEY})
                    create_tables(connection, self.where)
        except ReviewError:
            self._engine.dispose()
            raise
        except SQLAlchemyError as error:
            self._engine.dispose()
            raise self._explain(error) from None

    def _options(self, writes: bool) -> dict[str, Any]:
        # Each reading is one statement: a transaction around it would be two more ways to the server and back.
        return super()._options(writes) | ({} if writes else {"isolation_level": "AUTOCOMMIT"})

    def back_up(self) -> None:
        """Do nothing: the server's keeper sees to its backups."""

    def _lock(self, connection: Connection) -> None:
        digest = hashlib.sha256(self._study.encode()).digest()
        connection.execute(_LOCK, {"key": int.from_bytes(digest[:8], "big", signed=True)})

    def _before(self) -> None:
        """Do nothing: the server sees to its files."""

    def _after(self) -> None:
        """Do nothing: the server has said that it is stored."""

    def _explain(self, error: SQLAlchemyError) -> ReviewError:
        cause = error.orig if isinstance(error, DBAPIError) else error
        state = getattr(cause, "sqlstate", None) or ""
        for code, what, remedy in _CAUSES:
            if state.startswith(code):
                return ReviewError(what, where=self.where, remedy=remedy)
        said = self._without_secrets(str(cause))
        if state:
            return ReviewError(
                f"PostgreSQL reports {state}: {said}", where=self.where, remedy="Tell the server's keeper, or report it"
            )
        return ReviewError(
            f"the server does not answer or refuses ({said})",
            where=self.where,
            remedy="Look whether it runs, whether the network works, and whether user, password and database are right",
        )

    def _without_secrets(self, said: str) -> str:
        """Return the last line of a driver's message, without any form of the password."""
        lines = [line.strip() for line in said.splitlines() if line.strip()] or ["no reason given"]
        last = next((line for line in reversed(lines) if "FATAL" in line), lines[0])
        for secret in self._secrets:
            last = last.replace(secret, "***")
        return last[:300]


def _parsed(url: str) -> URL:
    """Return a URL's parts, with the driver that we use."""
    try:
        address = make_url(url)
        if address.get_backend_name() not in ("postgresql", "postgres"):
            raise ArgumentError("another database")
    except (ArgumentError, ValueError):
        # The cause would show the URL with its password.
        raise ReviewError(
            "the URL of the decisions' database cannot be read",
            remedy="Write postgresql://user@host:5432/database, with @ and / in a password as %40 and %2F",
        ) from None
    return address.set(drivername="postgresql+psycopg")


def _in_words(address: URL) -> str:
    given = address.query.get("host", "")
    host = address.host or (given if isinstance(given, str) else ", ".join(given)) or "this computer"
    port = f":{address.port}" if address.port else ""
    return f"PostgreSQL database {address.database or address.username or ''} on {host}{port}"


def _secrets(address: URL) -> list[str]:
    """Return the forms in which a message could show the password, the longest first."""
    found: set[str] = set()
    for secret in (address.password, address.query.get("password")):
        if isinstance(secret, str) and secret:
            found |= {secret, quote(secret), quote(secret, safe=""), quote_plus(secret)}
    return sorted(found, key=len, reverse=True)


def _engine(address: URL, timeout_s: float) -> Engine:
    settings: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT_S, "client_encoding": "utf8"} | _KEEP_ALIVE
    # SQLAlchemy lets these win over the URL's own.
    settings = {name: value for name, value in settings.items() if name not in address.query}
    engine = create_engine(address, connect_args=settings, isolation_level="READ COMMITTED", hide_parameters=True)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {round(timeout_s * 1000)}")
        connection.commit()

    return engine
