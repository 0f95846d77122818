"""A look into a fresh Python: what crashes there, or waits for ever, does so without this process.

A probe prints JSON objects, one a line, as it gets on: what it found before it crashed is kept.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

TIMEOUT_S = 60.0

_FOLDERS = re.compile(r"(?:[A-Za-z]:)?(?:[\\/][^\\/\s:'\"(),]+)+[\\/]")


@dataclass(frozen=True)
class Told:
    """What a probe told.

    Parameters
    ----------
    facts : dict
        Its JSON objects, put together.
    fault : str
        Why it ended before its time, in one line without folders; empty where all went well.
    """

    facts: dict[str, Any]
    fault: str


def look(*arguments: str, timeout_s: float = TIMEOUT_S) -> Told:
    """Run this Python with arguments, such as ``-c CODE`` or ``-m MODULE``, and return what it told.

    Parameters
    ----------
    *arguments : str
        What comes behind the name of Python; the current folder is not looked into for modules.
    timeout_s : float
        When it is ended.
    """
    command = [sys.executable, "-P", "-W", "ignore", *arguments]
    # Bytes: where a probe is ended because it hangs, what it told so far comes as bytes whatever was asked for.
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as late:
        return Told(_facts(late.stdout or b""), f"no answer in {timeout_s:g} s")
    return Told(_facts(done.stdout), _fault(done.returncode, done.stderr))


def without_folders(words: str) -> str:
    """Return words with only the last part of every path: folders can name a person."""
    return _FOLDERS.sub("", words)


def _facts(out: bytes) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for line in out.decode(errors="replace").splitlines():
        # Libraries print what they like between the lines of a probe.
        if line.startswith("{"):
            facts |= json.loads(line)
    return facts


def _fault(code: int, err: bytes) -> str:
    if code == 0:
        return ""
    said: Sequence[str] = [line.strip() for line in err.decode(errors="replace").splitlines() if line.strip()]
    if code > 0:
        return without_folders(said[-1]) if said else f"it ended with exit code {code}"
    by = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    # Of a crash the first line says why (Qt), the last ones are advice or a list of threads.
    return without_folders(f"it crashed ({by})" + (f": {said[0]}" if said else ""))
