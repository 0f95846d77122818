"""Where tasks run: in this process, on the cores of this machine, or on a cluster.

Dask Distributed serves one machine and many, and survives the death of a worker. Two of its defaults are mended
here: its nanny makes every image array a fresh memory mapping (half the speed of two processes), and OpenCV's own
threads would compete with the other workers'.
"""

from __future__ import annotations

import logging
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Any

from cher2.errors import Cher2Error, StudyError

IN_FLIGHT_PER_WORKER = 4
"""Tasks handed out at once, a worker: enough to keep it busy, few enough for a short memory."""

FILES_PER_WORKER = 4
"""A worker process costs a second or two to start: fewer files are done before it is there."""

WORKER_ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": str(128 * 2**20),
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
}

SCHEMES = ("tcp", "tls", "ws", "wss", "ucx")
"""The kinds of address that a Dask scheduler has."""

CONNECT_TIMEOUT = "20s"
"""How long a scheduler or worker may take to answer."""


@dataclass(frozen=True)
class Task:
    """A function and its arguments."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


Engine = Callable[[deque[Task]], Iterator[tuple[Task, Any]]]
"""Runs the tasks of a queue and yields each with its outcome, or its exception; more may be added meanwhile."""


class WorkerDiedError(Cher2Error):
    """A task ended its worker process, as the system does when memory runs out."""


def default_workers(n_files: int) -> int:
    """Return how many worker processes are worth their start for a number of files."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, n_files // FILES_PER_WORKER))


@contextmanager
def open_engine(workers: int, scheduler: str | None = None) -> Iterator[Engine]:
    """Start an engine and close it at the end.

    Parameters
    ----------
    workers : int
        Worker processes; 1 runs in this process.
    scheduler : str, optional
        The address of a Dask scheduler, such as ``tcp://host:8786``; its workers are used instead.
    """
    if scheduler is None and workers == 1:
        limit_threads()
        yield run_here
        return
    with _dask_client(workers, scheduler) as client:
        yield lambda tasks: _run_on(client, tasks)


def run_here(tasks: deque[Task]) -> Iterator[tuple[Task, Any]]:
    """Run the tasks one by one in this process."""
    while tasks:
        task = tasks.popleft()
        yield task, task.function(*task.arguments)


def limit_threads() -> None:
    """Keep OpenCV to one thread, as every worker process is one of several."""
    import cv2

    cv2.setNumThreads(1)


@contextmanager
def _dask_client(workers: int, scheduler: str | None) -> Iterator[Any]:
    import dask
    from distributed import Client

    settings = {
        "distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT,
        "distributed.comm.timeouts.connect": CONNECT_TIMEOUT,
        "distributed.scheduler.allowed-failures": 1,
    }
    for name in ("distributed", "tornado"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with dask.config.set(settings):
        if scheduler is not None:
            with _connected(scheduler) as client:
                client.run(limit_threads)
                yield client
            return
        with _local_cluster(workers) as cluster, Client(cluster, set_as_default=False) as client:
            yield client
            # Closing while a dead worker is being replaced breaks inside Dask: its successor is awaited first.
            with suppress(TimeoutError):
                client.wait_for_workers(workers, timeout=10)


def _connected(scheduler: str) -> Any:
    """Return a client of a scheduler elsewhere."""
    from distributed import Client

    # An address of no known kind is refused here: Dask would leave a client behind that is only half made.
    scheme, separator, _ = scheduler.partition("://")
    try:
        if not separator or scheme not in SCHEMES:
            raise ValueError(f"an address begins with {SCHEMES[0]}:// or {SCHEMES[1]}://")
        return Client(scheduler, set_as_default=False)
    except (OSError, ValueError) as error:
        raise StudyError(
            f"no Dask scheduler answers ({error})",
            where=scheduler,
            remedy="Give the address that 'dask scheduler' prints, or leave --scheduler out",
        ) from error


def _local_cluster(workers: int) -> Any:
    """Start worker processes on this machine."""
    from distributed import LocalCluster

    try:
        with _deaf_to_interrupts():
            return LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                # Even without a dashboard the scheduler serves HTTP: at the fixed port 8787 a second run would warn.
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False},
                silence_logs=logging.CRITICAL,
            )
    except (OSError, RuntimeError) as error:
        raise StudyError(
            f"the worker processes cannot be started ({error})",
            remedy="Run with --workers 1, which needs none; on Linux, look whether /dev/shm can be written to",
        ) from error


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Start what is started here without Ctrl-C: threads and processes inherit the block, this thread loses it again.

    A terminal sends Ctrl-C to the workers as well; it is for this process to end them, in order.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Started later, it would lift the block from the thread that starts the workers.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run_on(client: Any, tasks: deque[Task]) -> Iterator[tuple[Task, Any]]:
    """Run the tasks on the client's workers.

    When a worker dies, whatever it held is suspected. A task that was suspected twice is tried once more alone at
    the end, so that it answers for its own deaths only.
    """
    from distributed import as_completed

    limit = IN_FLIGHT_PER_WORKER * max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
    running: dict[str, Task] = {}
    suspects: deque[Task] = deque()
    completed = as_completed(loop=client.loop)
    while tasks or running or suspects:
        alone = not tasks and not running
        waiting, most = (suspects, 1) if alone else (tasks, limit)
        while waiting and len(running) < most:
            task = waiting.popleft()
            future = client.submit(task.function, *task.arguments, pure=False)
            running[future.key] = task
            completed.add(future)
        future = next(completed)
        task = running.pop(future.key)
        outcome = _outcome(future)
        if isinstance(outcome, WorkerDiedError) and not alone:
            suspects.append(task)
        else:
            yield task, outcome


def _outcome(future: Any) -> Any:
    """Return a future's result; a task whose worker died again and again gives its error as the result."""
    from distributed import CancelledError, KilledWorker

    try:
        return future.result()
    except KilledWorker:
        return WorkerDiedError(
            "the worker process died each time that it was tried",
            remedy="Look at the memory of the machine; fewer --workers need less",
        )
    except CancelledError as error:
        raise StudyError(
            "the Dask scheduler has gone",
            remedy="Start it again and run the same command: it goes on where it stopped",
        ) from error
