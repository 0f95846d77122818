"""Tasks in batches: as many as take half a second together, and few under way at once."""

from __future__ import annotations

import os
import time
from collections import deque
from itertools import pairwise

from cher2.batch import dispatch
from cher2.batch.dispatch import MOST_TASKS, run_batch
from cher2.batch.engine import Task, open_engine


def test_a_batch_that_takes_long_hands_back_what_it_has_not_begun(monkeypatch):
    monkeypatch.setattr(dispatch, "LONGEST_S", 0.02)
    outcomes, seconds = run_batch([Task(pow, (2, 3)), Task(time.sleep, (0.03,)), Task(pow, (2, 4))])
    assert outcomes == [8, None]
    assert 0.03 <= seconds < 1


def test_short_tasks_travel_together_and_few_are_under_way():
    tasks = deque(Task(process_and_number, (k,)) for k in range(2000))
    tasks.extend(Task(time.sleep, (0.2,)) for _ in range(4))
    with open_engine(2) as engine:
        first = next(run := engine(tasks))
        assert len(tasks) >= 2000 - 4
        seen, left = [first[1]], len(tasks)
        for task, outcome in run:
            if task.function is process_and_number:
                seen.append(outcome)
            assert left - len(tasks) <= 4 * MOST_TASKS
            left = len(tasks)
    assert sorted(number for _, number in seen) == list(range(2000))
    assert len({process for process, _ in seen}) == 2
    # What ends together is one process's, in its order: far fewer journeys than tasks.
    together = [number for _, number in seen]
    assert sum(after == before + 1 for before, after in pairwise(together)) > 1500


def process_and_number(number):
    return os.getpid(), number
