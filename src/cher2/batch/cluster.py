"""Workers elsewhere, by the address of a Dask scheduler: whether they are fit is asked before hours of work.

Their software must be the command's: ``provenance.json`` names the versions of one machine for all numbers of a study.
They must see the same images and the same study folder, under the same paths. docs/cluster.md says how to arrange it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import cher2
from cher2.batch.common_ground import Common, check_worker, common_ground, other_software
from cher2.batch.engine import Engine, Shared
from cher2.errors import Cher2Error, StudyError

SCHEMES = ("tcp", "tls", "ws", "wss", "ucx")
"""The kinds of address that a Dask scheduler has."""

CONNECT_TIMEOUT = "20s"
"""How long a scheduler or worker may take to answer."""

FIRST_WORKER_S = 60.0
"""How long the first worker may take to come."""

VERSION = "__import__('cher2').__version__"
"""Sent to the scheduler and the workers as text: a function could not even be unpacked where cher2 is missing."""


@contextmanager
def connected(scheduler: str, shared: Shared | None = None) -> Iterator[Engine]:
    """Connect to a scheduler whose workers are fit, and part from it at the end; it goes on without the command.

    Parameters
    ----------
    scheduler : str
        Its address.
    shared : Shared, optional
        What the workers must see.

    Raises
    ------
    StudyError
        No scheduler answers, no worker comes, or a worker has other software or does not see what it must.
    """
    import dask
    import distributed  # noqa: F401  Its settings must be there before one of them is changed.

    from cher2.batch.dispatch import quiet_dask, run_on

    quiet_dask()
    common = common_ground(shared)
    with dask.config.set({"distributed.comm.timeouts.connect": CONNECT_TIMEOUT}), _client(scheduler) as client:
        check = partial(_check, client, scheduler, common)
        check()
        yield lambda tasks: run_on(client, tasks, common=common, look_again=check)


def fault_of_worker(common: Common) -> str:
    """Return what makes this process unfit for the command's tasks, in words; empty where it is fit."""
    try:
        check_worker(common)
    except Cher2Error as error:
        return error.what
    return ""


def _client(scheduler: str) -> Any:
    from distributed import Client
    from distributed.versions import VersionMismatchWarning

    # An address of no known kind is refused here: Dask would leave a client behind that is only half made.
    scheme, separator, _ = scheduler.partition("://")
    try:
        if not separator or scheme not in SCHEMES:
            raise ValueError(f"an address begins with {SCHEMES[0]}:// or {SCHEMES[1]}://")
        with warnings.catch_warnings():
            # Versions that matter are compared below, and differences are errors.
            warnings.simplefilter("ignore", VersionMismatchWarning)
            return Client(scheduler, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise StudyError(
            f"no Dask scheduler answers ({error})",
            where=scheduler,
            remedy="Give the address that 'dask scheduler' prints, or leave --scheduler out",
        ) from error


def _check(client: Any, scheduler: str, common: Common) -> None:
    try:
        client.wait_for_workers(1, timeout=FIRST_WORKER_S)
    except TimeoutError as error:
        raise StudyError(
            f"the Dask scheduler has no worker, nor got one within {FIRST_WORKER_S:g} seconds",
            where=scheduler,
            remedy=f"Start workers with 'dask worker {scheduler}' and run the same command again",
        ) from error
    # The scheduler unpacks tasks, too, to find what depends on what.
    try:
        _check_version("the scheduler", client.run_on_scheduler(eval, VERSION))
    except (ImportError, AttributeError, SyntaxError) as error:
        _check_version("the scheduler", error)
    for worker, found in client.run(eval, VERSION, on_error="return").items():
        _check_version(f"worker {worker}", found)
    for worker, fault in client.run(fault_of_worker, common).items():
        if fault:
            remedy = "docs/cluster.md says what workers and command must share"
            raise StudyError(fault, where=f"worker {worker}", remedy=remedy)


def _check_version(where: str, found: Any) -> None:
    """Refuse a version of cher2 that is not the command's, or what was raised when it was asked for."""
    if found != cher2.__version__:
        what = f"no cher2 that can be loaded ({found})" if isinstance(found, Exception) else f"cher2 {found}"
        raise other_software(f"{what} and not cher2 {cher2.__version__}").within(where)
