"""The engines: every task comes back, with its result or with what went wrong, whatever becomes of a worker."""

from __future__ import annotations

import os
from collections import deque

import cv2
import pytest

from cher2.batch import engine
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


def test_a_task_that_kills_its_worker_is_an_error_and_the_others_are_done():
    # Real worker processes: os._exit ends one as the system does when memory runs out.
    tasks = deque([Task(pow, (2, k)) for k in range(12)])
    tasks.insert(3, Task(os._exit, (9,)))
    results = {}
    with open_engine(2) as run:
        for task, result in run(tasks):
            results[task.function, task.arguments] = result
            if task.function is os._exit:
                # Asked of workers that were started in place of dead ones, too.
                tasks.append(Task(cv2.getNumThreads, ()))
    killed = results.pop((os._exit, (9,)))
    assert isinstance(killed, Cher2Error)
    assert "the worker process died each time" in str(killed)
    assert results.pop((cv2.getNumThreads, ())) == 1
    assert results == {(pow, (2, k)): 2**k for k in range(12)}


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense", "foo://bar:1"])
def test_a_scheduler_that_does_not_answer_is_named(monkeypatch, address):
    monkeypatch.setattr(engine, "CONNECT_TIMEOUT", "1s")
    with pytest.raises(StudyError, match="no Dask scheduler answers") as caught, open_engine(1, address):
        pass
    assert caught.value.where == address
