"""What a computer is, as far as it can change a number or a time; not whose it is, nor how it is called.

The name of the computer is told only where somebody asks for it: in many laboratories it names a person or a room.
"""

from __future__ import annotations

import os
import platform
import socket
import sys
from typing import Any

NAME_HOST = "CHER2_NAME_HOST"
"""The environment variable that asks for the computer's name: 1 or true."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables of the environment that say how many threads a sum is shared among, and so in which order it is taken."""


def describe_machine(*, name_host: bool = False) -> dict[str, Any]:
    """Return a description of this computer that JSON can hold.

    Parameters
    ----------
    name_host : bool
        Whether its name is told; the environment variable ``CHER2_NAME_HOST=1`` asks for it as well.

    Returns
    -------
    dict
        ``system, release, architecture, byte_order, cores, memory_gb``; under ``arithmetic`` the linear algebra
        library that numpy was built with, the vector instructions that it found, and limits of threads.
    """
    import psutil

    machine: dict[str, Any] = {
        "system": platform.system(),
        "release": platform.release(),
        "architecture": platform.machine(),
        "byte_order": sys.byteorder,
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "arithmetic": _arithmetic(),
    }
    if name := socket.gethostname() if name_host else host_if_asked():
        machine["host"] = name
    return machine


def host_if_asked() -> str:
    """Return the computer's name where the environment asks for it; else nothing."""
    asked = os.environ.get(NAME_HOST, "").strip().lower() in ("1", "true", "yes")
    return socket.gethostname() if asked else ""


def _arithmetic() -> dict[str, Any]:
    """Return what decides the last digits of a sum."""
    import numpy as np

    built: Any = np.show_config(mode="dicts") or {}
    blas = built.get("Build Dependencies", {}).get("blas", {})
    simd = built.get("SIMD Extensions", {})
    return {
        "blas": " ".join(str(blas[key]) for key in ("name", "version") if key in blas),
        "vector_instructions": [*simd.get("baseline", ()), *simd.get("found", ())],
        "threads": {name: os.environ[name] for name in THREADS if name in os.environ},
    }
