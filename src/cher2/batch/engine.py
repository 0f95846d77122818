"""Where tasks run: in this process, on the cores of this machine, or on a cluster.

Dask Distributed serves one machine and many, and survives the death of a worker: ``local_workers`` starts it here,
``cluster`` connects to one elsewhere, ``dispatch`` hands the tasks out.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cher2.errors import Cher2Error

FILES_PER_WORKER = 4
"""A worker process costs about a second to start: fewer files are done before it is there."""


@dataclass(frozen=True)
class Task:
    """A function and its arguments."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


Engine = Callable[[deque[Task]], Iterator[tuple[Task, Any]]]
"""Runs the tasks of a queue and yields each with its outcome, or its exception; more may be added meanwhile."""


@dataclass(frozen=True)
class Shared:
    """What every worker must see: some of the images, and the study folder.

    Parameters
    ----------
    files : tuple of Path
        Image files.
    study : Path
        The study folder, with its ``study_id``.
    """

    files: tuple[Path, ...]
    study: Path


class WorkerDiedError(Cher2Error):
    """A task ended its worker process, as the system does when memory runs out."""


def default_workers(n_files: int) -> int:
    """Return how many worker processes are worth their start for a number of files."""
    return max(1, min(usable_cores(), n_files // FILES_PER_WORKER))


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def open_engine(workers: int, scheduler: str | None = None, shared: Shared | None = None) -> Iterator[Engine]:
    """Start an engine and close it at the end.

    Parameters
    ----------
    workers : int
        Worker processes; 1 runs in this process.
    scheduler : str, optional
        The address of a Dask scheduler, such as ``tcp://host:8786``; its workers are used instead.
    shared : Shared, optional
        What the workers of a scheduler must see.

    Raises
    ------
    StudyError
        The workers cannot be started, the scheduler does not answer, or its workers are not fit for the tasks.
    """
    if scheduler is None and workers == 1:
        limit_threads()
        yield run_here
        return
    # Both need Dask, which a run in this process does without.
    from cher2.batch.cluster import connected
    from cher2.batch.local_workers import local_workers

    with connected(scheduler, shared) if scheduler is not None else local_workers(workers) as engine:
        yield engine


def run_here(tasks: deque[Task]) -> Iterator[tuple[Task, Any]]:
    """Run the tasks one by one in this process."""
    while tasks:
        task = tasks.popleft()
        yield task, task.function(*task.arguments)


def limit_threads() -> None:
    """Keep OpenCV to one thread, as every worker process is one of several."""
    import cv2

    cv2.setNumThreads(1)
