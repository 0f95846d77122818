"""The computer: cores, memory, room for temporary files, and whether worker processes can be started."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cher2.doctor.findings import Finding
from cher2.doctor.probe import Told, look
from cher2.review.network_disk import Disk, network_type

ENOUGH_MEMORY_GB = 4.0
"""A worker with a frame of four channels and its masks takes about 0.5 GB; the window as much again."""

ENOUGH_DISK_GB = 2.0

WORKERS = """
import json, os
from collections import deque
from cher2.batch.engine import Task
from cher2.batch.local_workers import local_workers
with local_workers(1) as engine:
    there = [outcome for _, outcome in engine(deque([Task(os.getpid, ())]))]
print(json.dumps({"another_process": there[0] != os.getpid()}))
"""

SHARED_MEMORY = Path("/dev/shm")


def look_at_workers() -> Told:
    """Start a worker process as ``cher2 run`` does, give it something to do, and end it."""
    return look("-c", WORKERS)


def computer_findings(base: Told, workers: Told) -> list[Finding]:
    """Return what was found of the computer.

    Parameters
    ----------
    base : Told
        As of :func:`cher2.doctor.software.look_at_base`.
    workers : Told
        As of :func:`look_at_workers`.
    """
    machine: dict[str, Any] = base.facts.get("machine", {})
    return [*_processor(machine), _disk(), _decisions(), _workers(workers)]


def _processor(machine: dict[str, Any]) -> list[Finding]:
    if not machine:
        return [Finding("computer", "cores and memory", "not known: cher2 cannot be loaded")]
    arithmetic = machine["arithmetic"]
    memory = machine["memory_gb"]
    small = memory < ENOUGH_MEMORY_GB
    remedy = "with little memory, run with --workers 1" if small else ""
    return [
        Finding("computer", "cores", str(machine["cores"])),
        Finding("computer", "memory", f"{memory:g} GB", "optional" if small else "ok", remedy),
        Finding("computer", "linear algebra", arithmetic["blas"] or "not told by numpy"),
        Finding("computer", "vector instructions", ", ".join(arithmetic["vector_instructions"]) or "none told"),
        *(Finding("computer", name, value) for name, value in arithmetic["threads"].items()),
    ]


def _disk() -> Finding:
    what = "disk for temporary files"
    try:
        # It is where frames of a store and the tables of a large study wait; it asks whether it can be written to.
        free = shutil.disk_usage(tempfile.gettempdir()).free / 2**30
    except OSError:
        return Finding("computer", what, "no folder can be written to", "missing", "set TMPDIR to one that can be")
    if free >= ENOUGH_DISK_GB:
        return Finding("computer", what, f"{free:.0f} GB free")
    return Finding("computer", what, f"{free:.1f} GB free", "optional", "set TMPDIR to a disk with more room")


def _decisions(disks: Iterable[Disk] | None = None) -> Finding:
    """Say how decisions on a study in the folder of this moment would be kept."""
    what = "decisions of a study here"
    try:
        kind = network_type(Path.cwd(), disks)
    except OSError as error:
        return Finding("computer", what, f"not known: {error.strerror}")
    if not kind:
        return Finding("computer", what, "a disk of this computer: written ahead")
    found = f"a network's disk ({kind}): kept with a rollback journal, safe but slower"
    return Finding("computer", what, found, "optional", "keep studies on a local disk, or decisions in PostgreSQL")


def _workers(told: Told) -> Finding:
    if told.facts.get("another_process"):
        return Finding("computer", "worker processes", "can be started" + _shared_memory())
    remedy = "run with --workers 1, which needs none" + (
        "; on Linux, look whether /dev/shm can be written to" if sys.platform == "linux" else ""
    )
    return Finding("computer", "worker processes", f"cannot be started: {told.fault}", "missing", remedy)


def _shared_memory() -> str:
    if not SHARED_MEMORY.is_dir():
        return ""
    return f"; {shutil.disk_usage(SHARED_MEMORY).free / 2**20:.0f} MB free in {SHARED_MEMORY}"
