"""What other programs do to a log; they are forked from a small server, so that each starts at once."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import time

from cher2.errors import ReviewError
from cher2.review.decisions import Decision
from cher2.review.log import DecisionLog
from cher2.review.postgres_log import PostgresLog
from cher2.review.sqlite_log import SqliteLog

CONTEXT = multiprocessing.get_context("forkserver")
# Installed modules only: the server does not look into the folder of the tests.
CONTEXT.set_forkserver_preload(
    ["cher2.review.sqlite_log", "cher2.review.postgres_log", "psycopg", "sqlalchemy.dialects.postgresql.psycopg"]
)


def decision(number: int = 1, reader: str = "Eva", **fields: object) -> Decision:
    values = {"y_px": 10.25, "x_px": 20.5, "radius_px": 9.0, "action": "grade", "kind_before": "ctc"}
    values |= {"study": "study", "image": "P01/frame_01.ome.tif", "grade_before": None, "kind": "ctc", "grade": 2}
    return Decision(**(values | {"object_id": number, "reader": reader} | fields))


def open_at(place: str, study: str, **settings: float) -> DecisionLog:
    """Open a log by URL or path."""
    return (PostgresLog if place.startswith("postgresql") else SqliteLog)(place, study, **settings)


def append_many(place, study, reader, count, printed, barrier=None) -> None:
    """Append decisions one by one; write each one's identity into a file once append has returned."""
    if barrier is not None:
        barrier.wait()
    told = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    log = open_at(place, study)
    for number in range(count):
        (stored,) = log.append([decision(number, reader, study=study)])
        os.write(told, f"{stored.decision_id}\n".encode())
    log.close()


def hold(path, held, done) -> None:
    """Hold a SQLite file as a program does that was stopped in the midst of writing."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    held.set()
    done.wait(30)
    connection.close()


def try_as(user, path, study, answer) -> None:
    """Append as another user and send what happened: root may write everywhere."""
    if user is not None:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    try:
        log = SqliteLog(path, study)
        log.append([decision(study=study)])
        answer.send("stored")
    except ReviewError as error:
        answer.send(str(error))


def append_under_limit(path, study, limit, answer) -> None:
    """Append until the system refuses to let files grow, then lift the limit and append the same again."""
    import resource

    log = SqliteLog(path, study)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    stored, said = [], ""
    while not said:
        new = decision(len(stored), study=study)
        try:
            stored += log.append([new])
        except ReviewError as error:
            said = str(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    (again,) = log.append([new])
    answer.send((len(stored), said, again.entry))


def append_without_handles(path, study, answer) -> None:
    """Append when no file can be opened any more, then once it can be again."""
    import resource

    log = SqliteLog(path, study)
    log.append([decision(1, study=study)])
    log.close()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
    try:
        log.append([decision(2, study=study)])
        said = "nothing was said"
    except ReviewError as error:
        said = str(error)
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    log.append([decision(3, study=study)])
    answer.send((said, [entry.object_id for entry in log.entries()]))


def start(target, *arguments):
    """Start another program, and return it."""
    process = CONTEXT.Process(target=target, args=arguments)
    process.start()
    return process


def asked(target, *arguments):
    """Return what another program answers."""
    here, there = CONTEXT.Pipe()
    process = start(target, *arguments, there)
    there.close()
    answer = here.recv()
    process.join(30)
    here.close()
    return answer


def kill_at_random(place, study, printed, chance) -> None:
    """Start a program that appends without end; kill it while it starts, or while it appends."""
    size = printed.stat().st_size if printed.exists() else 0
    process = start(append_many, place, study, "Eva", 10**9, printed)
    if chance.random() < 0.7:
        while not printed.exists() or printed.stat().st_size == size:
            time.sleep(0.001)
    time.sleep(chance.uniform(0.0, 0.05))
    process.kill()
    process.join(30)
    process.close()
