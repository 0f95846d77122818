"""What befalls a server: it is lost, restarted, refuses, or is held by somebody else; and no password is shown."""

from __future__ import annotations

import contextlib
import sys
import threading
import traceback

import pytest
from appending import decision
from private_postgres import IN_URL, PASSWORD
from sqlalchemy import event

from cher2.errors import ReviewError
from cher2.review import sql_log
from cher2.review.postgres_log import PostgresLog


def refused(call) -> str:
    """Return what the error says; no form of the password may stand in it, nor in what a crash would print."""
    with pytest.raises(ReviewError) as caught:
        call()
    shown = "".join(traceback.format_exception(caught.value))
    for secret in (PASSWORD, IN_URL, "s3cret"):
        assert secret not in shown
    assert caught.value.remedy
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_where_names_the_database_without_its_password(postgres_place, postgres):
    log = postgres_place.open()
    assert log.where == f"PostgreSQL database postgres on 127.0.0.1:{postgres.port}"
    assert "s3cret" not in repr(log) + repr(log._engine)


def test_a_socket_and_a_password_from_the_environment(postgres, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with contextlib.closing(
        PostgresLog(f"postgresql://cher2@:{postgres.port}/postgres?host={postgres.folder}", "s")
    ) as log:
        assert log.where == f"PostgreSQL database postgres on {postgres.folder}:{postgres.port}"
        assert log.append([decision(1, study="s")])[0].entry >= 1


def test_a_server_that_comes_back(postgres_place, postgres):
    log = postgres_place.open()
    log.append([decision(1, study=postgres_place.study)])
    new = [decision(2, study=postgres_place.study), decision(3, study=postgres_place.study)]
    postgres.stop(crash=True)
    try:
        said = refused(lambda: log.append(new))
        assert said.startswith(f"{log.where}: ")
        assert "Look whether" in said
        refused(log.entries)
    finally:
        postgres.start()
    stored = log.append(new)
    assert [entry.entry for entry in stored] == [2, 3]
    assert len(log.entries()) == 3


def test_a_server_restarted_between_two_decisions_is_not_noticed(postgres_place, postgres):
    log = postgres_place.open()
    log.append([decision(1, study=postgres_place.study)])
    postgres.stop()
    postgres.start()
    assert log.append([decision(2, study=postgres_place.study)])[0].entry == 2


@pytest.mark.parametrize("moment", ["before_cursor_execute", "commit"])
def test_a_connection_lost_in_the_midst_of_an_append_stores_once(postgres_place, postgres, moment):
    log = postgres_place.open()
    log.append([decision(1, study=postgres_place.study)])
    breaks = iter([True])

    def break_off(*arguments):
        if next(breaks, False):
            postgres.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND application_name = '' AND backend_type = 'client backend'"
            )

    event.listen(log._engine, moment, break_off)
    assert log.append([decision(2, study=postgres_place.study)])[0].entry == 2
    assert [entry.entry for entry in log.entries()] == [1, 2]


def test_a_log_that_somebody_holds(postgres_place, postgres):
    holder, log = postgres_place.open(), postgres_place.open(timeout_s=0.2)
    new = decision(1, study=postgres_place.study)
    with holder._engine.begin() as connection:
        holder._lock(connection)
        assert "another program holds the log" in refused(lambda: log.append([new]))
        # Another study is free.
        with contextlib.closing(PostgresLog(postgres.url(), "another", timeout_s=0.2)) as other:
            assert other.append([decision(1, study="another")])[0].entry >= 1
    assert log.append([new])[0].entry == 1


def test_threads_of_one_program_append_in_turn(postgres_place):
    log = postgres_place.open()
    new = [[decision(10 * part + number, study=postgres_place.study) for number in range(10)] for part in range(4)]
    threads = [threading.Thread(target=lambda some=some: [log.append([one]) for one in some]) for some in new]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [entry.entry for entry in log.entries()] == list(range(1, 41))
    assert log.broken_entries() == []


def test_commits_wait_for_the_disk_whatever_the_server_is_set_to(postgres_place, postgres):
    log = postgres_place.open()
    with log._engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL synchronous_commit TO off")
        log._lock(connection)
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


def test_a_wrong_password(postgres):
    wrong = IN_URL + "-but-wrong"
    said = refused(lambda: PostgresLog(postgres.url(password=wrong), "study"))
    assert "password authentication failed" in said


def test_a_database_that_is_not_there(postgres):
    assert 'database "nowhere" does not exist' in refused(lambda: PostgresLog(postgres.url("nowhere"), "study"))


def test_a_server_that_is_not_there():
    url = f"postgresql://cher2:{IN_URL}@127.0.0.1:1/cher2"
    assert "on 127.0.0.1:1: the server does not answer" in refused(lambda: PostgresLog(url, "study"))


def test_a_password_among_the_parameters_is_not_shown_either(postgres):
    url = f"postgresql://127.0.0.1:{postgres.port}/postgres?user=cher2&password={IN_URL}&sslmode=require"
    assert "SSL" in refused(lambda: PostgresLog(url, "study"))


@pytest.mark.parametrize("rest", ["host:port/x", "[::1/x", "@@:s3cret", "u:p@ss/w@h:x/d"])
def test_a_url_that_makes_no_sense(rest):
    said = refused(lambda: PostgresLog(f"postgresql://cher2:{IN_URL}@{rest}", "study"))
    assert "postgresql://user@host" in said or "Look whether" in said


def test_a_reader_needs_few_rights(postgres):
    """What docs/review_database.md grants is enough, and takes altering and deleting away."""
    postgres.execute("CREATE DATABASE shared", "CREATE ROLE reader LOGIN PASSWORD 'r'")
    with contextlib.closing(PostgresLog(postgres.url("shared"), "study")):
        pass
    as_reader = postgres.url("shared", "reader", "r")
    assert "Grant the rights" in refused(lambda: PostgresLog(as_reader, "study"))
    postgres.execute(
        "GRANT SELECT ON review_schema TO reader",
        "GRANT SELECT, INSERT ON decisions TO reader",
        "GRANT SELECT, INSERT, UPDATE ON bookmarks TO reader",
        database="shared",
    )
    with contextlib.closing(PostgresLog(as_reader, "study")) as log:
        log.append([decision(1)])
        with pytest.raises(Exception, match="permission denied"), log._engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM decisions")


def test_without_the_driver(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    said = refused(lambda: PostgresLog(f"postgresql://cher2:{IN_URL}@127.0.0.1/cher2", "study"))
    assert 'pip install "cher2[postgres]"' in said


def test_a_decision_asks_the_server_three_times_and_a_reading_once(postgres_place):
    """Others wait while a decision is stored: the lock, one question, the row."""
    log, other = postgres_place.open(), postgres_place.open()
    asked: list[str] = []
    event.listen(log._engine, "before_cursor_execute", lambda *given: asked.append(given[2].split()[0]))
    (first,) = log.append([decision(1, study=postgres_place.study)])
    assert asked == ["SELECT", "SELECT", "INSERT"]
    (second,) = other.append([decision(2, "Zoë", study=postgres_place.study)])
    asked.clear()
    assert log.entries(first.entry) == [second]
    assert log.entries(second.entry) == []
    assert log.entries() == [first, second]
    assert asked == ["SELECT"] * 3


def test_questions_of_the_log_use_its_indexes(postgres_place, postgres):
    log = postgres_place.open()
    log.append([decision(number, study=postgres_place.study) for number in range(3000)])
    given = {"study": postgres_place.study, "seen": 3000, "ids": ["a" * 32, "b" * 32]}
    known = sql_log._KNOWN.params(given).compile(log._engine, compile_kwargs={"literal_binds": True})
    newer = f"SELECT * FROM decisions WHERE study = '{postgres_place.study}' AND entry >= 2990 ORDER BY entry"
    for question in (str(known), newer):
        plan = "\n".join(str(line) for (line,) in postgres.execute("ANALYZE decisions", f"EXPLAIN {question}"))
        assert "Seq Scan" not in plan
        assert "decisions_pkey" in plan
