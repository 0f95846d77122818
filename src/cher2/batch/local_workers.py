"""Worker processes on this machine: started in a fifth of a second once what they need is loaded, ended at once.

Linux forks the workers from a process that has loaded what they need (Python's fork server): it loads once, not in
every worker, and at the same time as the command. Elsewhere each worker is a fresh process. Dask's nanny stays: it
puts another worker in the place of one that died.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from typing import Any

from cher2.batch.engine import Engine
from cher2.errors import StudyError

WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
}

LOADED_ONCE = "cher2.batch.fork_server"
"""What the workers' common parent loads."""

CLOSE_S = 1.0
"""How long what is left of a cluster may take to close, when it is broken off."""

METHOD = "forkserver" if sys.platform == "linux" else "spawn"
"""How worker processes are started. macOS has fork servers too, but its own libraries do not survive a fork."""


def load_ahead() -> None:
    """Begin to load what worker processes need, in a process of its own: it goes on while this one loads, too."""
    if METHOD != "forkserver":
        return
    from multiprocessing import forkserver

    multiprocessing.get_context(METHOD).set_forkserver_preload([LOADED_ONCE])
    with _deaf_to_interrupts(), _worker_environment():
        forkserver.ensure_running()


@contextmanager
def local_workers(workers: int) -> Iterator[Engine]:
    """Start worker processes on this machine and end them with the block, at once where it ends by an error.

    Parameters
    ----------
    workers : int
        Their number.

    Raises
    ------
    StudyError
        The processes cannot be started.
    """
    import dask
    from distributed import Client

    from cher2.batch.dispatch import quiet_dask, run_on

    settings = {
        "distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT,
        "distributed.worker.multiprocessing-method": METHOD,
        "distributed.scheduler.allowed-failures": 1,
        # Dask watches itself, a hundred times a second: that took a tenth of a core.
        "distributed.worker.profile.enabled": False,
        "distributed.admin.tick.interval": "500ms",
        "distributed.admin.system-monitor.interval": "5s",
    }
    quiet_dask()
    load_ahead()
    with dask.config.set(settings), _local_cluster(workers) as cluster, Client(cluster, set_as_default=False) as client:
        yield lambda tasks: run_on(client, tasks, threads=workers)
        # Closing while a dead worker is being replaced breaks inside Dask: its successor is awaited first.
        with suppress(TimeoutError):
            client.wait_for_workers(workers, timeout=10)


@contextmanager
def _local_cluster(workers: int) -> Iterator[Any]:
    """Start a cluster on this machine and close it: in order at the end, at once after an error or Ctrl-C."""
    cluster = None
    try:
        with _deaf_to_interrupts():
            cluster = _cluster_without_workers()
        _start(cluster, workers)
        yield cluster
        cluster.close()
    except BaseException:
        if cluster is not None:
            _kill(cluster)
        raise


def _cluster_without_workers() -> Any:
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=0,
        threads_per_worker=1,
        # Even without a dashboard the scheduler serves HTTP: at the fixed port 8787 a second run would warn.
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
        silence_logs=logging.CRITICAL,
    )


def _start(cluster: Any, workers: int) -> None:
    """Start the workers, by the cluster's own thread, and wait until they are there: Ctrl-C may come meanwhile."""

    async def started() -> None:
        await cluster

    try:
        cluster.scale(workers)
        cluster.sync(started)
    except (OSError, RuntimeError) as error:
        raise StudyError(
            f"the worker processes cannot be started ({error})",
            remedy="Run with --workers 1, which needs none; on Linux, look whether /dev/shm can be written to",
        ) from error


def _kill(cluster: Any) -> None:
    """End the workers in the middle of their work: what they write is whole or absent, and nobody waits for it."""
    import psutil

    for nanny in list(cluster.workers.values()):
        pid = nanny.pid
        # So that no other worker is started in its place.
        nanny.close_gracefully()
        if pid is not None:
            with suppress(psutil.NoSuchProcess):
                psutil.Process(pid).kill()
    # What is only half started cannot be closed, and would be waited for when Python ends. It ends with this process.
    cluster.shutdown_on_close = False
    with suppress(TimeoutError, AssertionError):
        cluster.close(timeout=CLOSE_S)


@contextmanager
def _worker_environment() -> Iterator[None]:
    """Set the workers' environment, but for what the user has set; this process has its own again afterwards."""
    added = {name: value for name, value in WORKER_ENVIRONMENT.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


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
