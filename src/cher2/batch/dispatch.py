"""Hands tasks to Dask's workers, several at once, and brings each one's outcome back by itself.

A task of a small frame is over in a twentieth of a second, and a message to a worker and back costs some milliseconds
of this process: short tasks travel together. The worker's process is made fit where the tasks arrive, not when the
workers are registered: a cluster's workers come and go, and what is left behind in a scheduler that others use too, as
a plugin of Dask's would be, outlives the run.
"""

from __future__ import annotations

import ctypes
import logging
import platform
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from queue import Empty, SimpleQueue
from typing import Any

from cher2.batch.common_ground import Common, check_worker
from cher2.batch.engine import Task, WorkerDiedError, limit_threads
from cher2.errors import StudyError

BATCH_S = 0.5
"""Tasks that travel together take about this long: the bar still moves, and little is done twice when a worker dies."""

LONGEST_S = 2.0
"""A batch that took longer hands back what it has not begun: one large image must not keep small ones waiting."""

MOST_TASKS = 16
"""Tasks that travel together at most."""

BATCHES_PER_WORKER = 2
"""Batches handed out at once, a worker: one to work on and one to go on with."""

LOOK_EVERY_S = 5.0
"""How often the workers are counted: a cluster's come and go."""

WITHOUT_WORKERS_S = 600.0
"""How long a run waits for a worker when the last one has gone."""

TRIM_THRESHOLD = 128 * 2**20
MMAP_THRESHOLD = 32 * 2**20
"""Memory below these goes back to the worker and not to the system. Dask's own threshold of 64 KiB makes every image
array a fresh mapping, whose pages are cleared one by one: a frame takes four times as long."""


def quiet_dask() -> None:
    """Keep Dask's own messages from the terminal: what a user must know comes as an error, in words."""
    for name in ("distributed", "distributed.client", "tornado"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def run_batch(tasks: Sequence[Task], common: Common | None = None) -> tuple[list[Any], float]:
    """Run tasks one after another: what a worker does.

    Parameters
    ----------
    tasks : sequence of Task
    common : Common, optional
        What this process must have in common with the command.

    Returns
    -------
    tuple of list and float
        The outcomes of the first tasks, at least one, and the seconds that they took.
    """
    make_fit()
    if common is not None:
        _checked(common)
    started, outcomes = time.monotonic(), list[Any]()
    for task in tasks:
        outcomes.append(task.function(*task.arguments))
        if time.monotonic() - started > LONGEST_S:
            break
    return outcomes, time.monotonic() - started


@cache
def make_fit() -> None:
    """Keep this process to one thread, and let it keep the memory of an image for the next one."""
    limit_threads()
    if platform.libc_ver()[0] == "glibc":
        trim, mmap = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
        libc = ctypes.CDLL(None)
        libc.mallopt(trim, TRIM_THRESHOLD)
        libc.mallopt(mmap, MMAP_THRESHOLD)


@cache
def _checked(common: Common) -> None:
    check_worker(common)


def run_on(
    client: Any,
    tasks: deque[Task],
    *,
    threads: int = 1,
    common: Common | None = None,
    look_again: Callable[[], None] | None = None,
) -> Iterator[tuple[Task, Any]]:
    """Run the tasks on the client's workers.

    When a worker dies, whatever it held is suspected. A task that was suspected twice is tried once more alone at
    the end, so that it answers for its own deaths only.

    Parameters
    ----------
    client : distributed.Client
    tasks : deque of Task
        More may be added meanwhile.
    threads : int
        Threads of workers that are expected at least.
    common : Common, optional
        What each worker process must have in common with the command.
    look_again : callable, optional
        Called when a batch broke: raises a StudyError that says why, where a worker is the reason.

    Yields
    ------
    tuple of Task and its outcome
        In the order in which they end.
    """
    batches, suspects = _Batches(client, threads, common, look_again), deque[Task]()
    while tasks or batches.running or suspects:
        alone = not tasks and not batches.running
        if alone:
            batches.submit([suspects.popleft()])
        while tasks and batches.wanted():
            batches.submit(batches.next_of(tasks))
        batch, outcomes = batches.next_done()
        if isinstance(outcomes, WorkerDiedError):
            if alone:
                yield batch[0], outcomes
            else:
                suspects.extend(batch)
            continue
        tasks.extendleft(reversed(batch[len(outcomes) :]))
        yield from zip(batch, outcomes, strict=False)


class _Batches:
    """The batches that are under way, and how many tasks make one."""

    def __init__(self, client: Any, threads: int, common: Common | None, look_again: Callable[[], None] | None) -> None:
        self._client = client
        self._common = common
        self._look_again = look_again
        self._done: SimpleQueue[Any] = SimpleQueue()
        self._seconds: dict[Callable[..., Any], float] = {}
        self._threads = self._expected = threads
        self._seen = self._looked = 0.0
        self.running: dict[Any, list[Task]] = {}
        self._look()

    def wanted(self) -> bool:
        """Say whether the workers can take another batch."""
        if time.monotonic() - self._looked > LOOK_EVERY_S:
            self._look()
        return len(self.running) < BATCHES_PER_WORKER * self._threads

    def next_of(self, tasks: deque[Task]) -> list[Task]:
        """Take the next batch from the tasks: of one function, as its size is by the time that the function takes."""
        function = tasks[0].function
        # The last tasks are shared out evenly: no worker ends with a batch while another has nothing left.
        share = len(tasks) // (BATCHES_PER_WORKER * self._threads)
        took = self._seconds.get(function, BATCH_S)
        most = max(1, min(MOST_TASKS, share, int(BATCH_S / max(took, BATCH_S / MOST_TASKS))))
        batch = [tasks.popleft()]
        while tasks and len(batch) < most and tasks[0].function == function:
            batch.append(tasks.popleft())
        return batch

    def submit(self, batch: list[Task]) -> None:
        """Hand a batch to whichever worker is free."""
        future = self._client.submit(run_batch, batch, self._common, pure=False)
        self.running[future] = batch
        future.add_done_callback(self._done.put)

    def next_done(self) -> tuple[list[Task], list[Any] | WorkerDiedError]:
        """Wait for the next batch that ends, as ``as_completed`` does, but look after the workers meanwhile."""
        while True:
            try:
                future = self._done.get(timeout=LOOK_EVERY_S)
            except Empty:
                self._look()
                continue
            batch = self.running.pop(future)
            return batch, self._outcomes(future, batch[0].function)

    def _outcomes(self, future: Any, function: Callable[..., Any]) -> list[Any] | WorkerDiedError:
        """Return the outcomes of a batch; one whose worker died again and again gives its error instead."""
        from distributed import CancelledError, KilledWorker
        from distributed.comm.core import CommClosedError

        try:
            broken = future.exception() is not None
            if broken and self._look_again is not None:
                self._look_again()
            outcomes, seconds = future.result()
        except KilledWorker:
            return WorkerDiedError(
                "the worker process died each time that it was tried",
                remedy="Look at the memory of the machine; fewer --workers need less",
            )
        except (CancelledError, CommClosedError) as error:
            # It goes between two looks, or in the midst of telling a batch's outcome.
            raise _scheduler_has_gone() from error
        took = seconds / len(outcomes)
        self._seconds[function] = (took + self._seconds.get(function, took)) / 2
        return list(outcomes)

    def _look(self) -> None:
        """Count the workers' threads."""
        try:
            threads = sum(self._client.nthreads().values())
        except (OSError, RuntimeError) as error:
            raise _scheduler_has_gone() from error
        self._looked = time.monotonic()
        if threads:
            self._threads, self._seen = max(threads, self._expected), self._looked
        elif self._seen and self._looked - self._seen > WITHOUT_WORKERS_S:
            raise StudyError(
                f"the Dask scheduler has had no worker for {WITHOUT_WORKERS_S / 60:g} minutes",
                remedy="Start workers and run the same command: it goes on where it stopped",
            )


def _scheduler_has_gone() -> StudyError:
    return StudyError(
        "the Dask scheduler has gone",
        remedy="Start it again and run the same command: it goes on where it stopped",
    )
