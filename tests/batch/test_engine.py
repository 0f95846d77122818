"""The engines: every task comes back, with its result or with what went wrong, whatever becomes of a worker."""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from contextlib import contextmanager, suppress

import cv2
import pytest

from cher2.batch import cluster, engine
from cher2.batch.engine import Task, default_workers, open_engine
from cher2.errors import Cher2Error, StudyError


@pytest.mark.parametrize(("files", "workers"), [(0, 1), (1, 1), (7, 1), (8, 2), (11, 2), (10_000, 3)])
def test_workers_that_are_worth_their_start(monkeypatch, files, workers):
    monkeypatch.setattr(engine.os, "sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
    assert default_workers(files) == workers


def test_here_tasks_run_in_order_and_more_may_join():
    tasks = deque([Task(pow, (2, 3)), Task(max, (4, 5))])
    with open_engine(1) as run:
        seen = []
        for task, result in run(tasks):
            if task.function is pow and len(seen) == 0:
                tasks.append(Task(min, (1, 2)))
            seen.append((task.function, result))
    assert seen == [(pow, 8), (max, 5), (min, 1)]


@contextmanager
def another_user_of_port(number):
    """Occupy the port of Dask's dashboard, as a second run on the same machine might; it may be taken already."""
    with socket.socket() as listener:
        with suppress(OSError):
            listener.bind(("127.0.0.1", number))
            listener.listen()
        yield


def test_a_task_that_kills_its_worker_answers_for_itself_alone():
    # Real worker processes: os._exit ends one as the system does when memory runs out. What waited on the same
    # worker dies with it, again and again, and must come back all the same.
    naps = [Task(time.sleep, (k / 1000,)) for k in range(12)]
    killers = [Task(os._exit, (code,)) for code in (7, 8, 9)]
    tasks = deque(task for trio in (naps[:3], killers[:1], naps[3:6], killers[1:], naps[6:]) for task in trio)
    results = {}
    with another_user_of_port(8787), open_engine(2) as run:
        for task, result in run(tasks):
            results[task.function, task.arguments] = result
            if task is killers[-1]:
                # Asked of a worker that was started in place of a dead one.
                tasks.append(Task(cv2.getNumThreads, ()))
    for killer in killers:
        died = results.pop((os._exit, killer.arguments))
        assert isinstance(died, Cher2Error)
        assert "the worker process died each time" in str(died)
    assert results.pop((cv2.getNumThreads, ())) == 1
    assert results == {(time.sleep, nap.arguments): None for nap in naps}


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense", "foo://bar:1"])
def test_a_scheduler_that_does_not_answer_is_named(monkeypatch, address):
    monkeypatch.setattr(cluster, "CONNECT_TIMEOUT", "1s")
    with pytest.raises(StudyError, match="no Dask scheduler answers") as caught, open_engine(1, address):
        pass
    assert caught.value.where == address
