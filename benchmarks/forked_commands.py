"""Commands of cher2 in processes that are forked from this one, which has loaded all libraries and used none.

A try costs what the command itself does, without the seconds of its start. No benchmark itself.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import anndata  # noqa: F401
import psutil

import cher2.batch.verify
import cher2.exchange.export
import cher2.report.page
import cher2.report.sections  # noqa: F401
from cher2.cli import main
from cher2.study.trail import TRAIL, read_trail

PROGRAM = "from cher2.cli import main; main()"
PATIENCE_S = 240.0
STAMP = re.compile(rb'"stamp": \[.*?\]\s*\]', re.DOTALL)
"""When an image's file was changed: another time than that of a copy with the same bytes."""
PIPE_BYTES = 1 << 20
VARYING = re.compile(
    rb"20\d\d[-:]\d\d[-:]\d\d[T ]\d\d:\d\d(:\d\d)?(\+00:00|Z| UTC)?|<!-- made from .*-->"
    rb"|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
"""What differs from one time to the next: times, the digest of a page with its times, the UUID of an OME-TIFF."""


@dataclass
class Command:
    """A command under way.

    Parameters
    ----------
    process : int
    log : Path
        Where its output goes.
    pipe : int, optional
        What its output is read from, where it goes through a pipe.
    """

    process: int
    log: Path
    pipe: int | None = None

    def send(self, number: int, *, group: bool = True) -> bool:
        """Send a signal to it, or to all that it has started, too; say whether it was still there."""
        try:
            (os.killpg if group else os.kill)(self.process, number)
        except ProcessLookupError:
            return False
        return True

    def wait(self) -> int:
        """Return its exit code; of a signal, its number below 0."""
        until = time.monotonic() + PATIENCE_S
        while True:
            done, status = os.waitpid(self.process, os.WNOHANG)
            if done:
                if self.pipe is not None:
                    with os.fdopen(self.pipe, "rb") as output:
                        self.log.write_bytes(output.read())
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > until:
                os.killpg(self.process, signal.SIGKILL)
                raise TimeoutError(f"it hangs: {self.said}")
            time.sleep(0.002)

    @property
    def said(self) -> str:
        """What it has said so far."""
        return self.log.read_text(errors="replace")


def start(words: Sequence[object], log: Path, prepare: Callable[[], object] = lambda: None) -> Command:
    """Start a command in a forked process, the first of a group of its own.

    Parameters
    ----------
    words : sequence
        Its words, without ``cher2``.
    log : Path
        Where its output goes.
    prepare : callable
        Called in the process before the command.
    """
    sys.stdout.flush()
    # A file would be under the limits that the process is given.
    reads, writes = os.pipe()
    fcntl.fcntl(writes, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    process = os.fork()
    if process:
        os.close(writes)
        return Command(process, log, reads)
    code = 70
    try:
        os.setsid()
        for number in (1, 2):
            os.dup2(writes, number)
        os.close(writes)
        os.close(reads)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False, buffering=1)
        sys.argv = ["cher2", *map(str, words)]
        prepare()
        code = _called()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _called() -> int:
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except BaseException:
        traceback.print_exc()
        return 71
    return 0


def start_fresh(words: Sequence[object], log: Path) -> Command:
    """Start a command in a Python of its own, as a shell does: it may have worker processes."""
    with log.open("w") as stream:
        command = [sys.executable, "-c", PROGRAM, *map(str, words)]
        return Command(subprocess.Popen(command, stdout=stream, stderr=stream, start_new_session=True).pid, log)


def carried_out(words: Sequence[object], log: Path, prepare: Callable[[], object] = lambda: None) -> tuple[int, str]:
    """Carry out a command to its end; return its exit code and what it said."""
    command = start(words, log, prepare)
    return command.wait(), command.said


def family_of(process: int) -> list[psutil.Process]:
    """Return a process and all that it has started."""
    try:
        own = psutil.Process(process)
        return [own, *own.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def contents(folder: Path, but: Sequence[str] = ("provenance.json", "study_id")) -> dict[str, str]:
    """Return a hash of every file of a folder, times in a page aside; some only by their names.

    The trail tells of every command, also of those that were killed: it differs, and must hold.
    """
    found = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        name = path.relative_to(folder).as_posix()
        if path.name == TRAIL:
            found[f"{name}/"] = str(read_trail(path.parent).faults)
        elif path.parent.name == TRAIL:
            continue
        elif path.is_dir():
            found[f"{name}/"] = ""
        elif path.name in but or name.startswith("reviews.sqlite"):
            found[name] = "there"
        else:
            content = path.read_bytes()
            if path.suffix in (".html", ".tif"):
                content = VARYING.sub(b"", content)
            elif path.name == "score.json":
                content = STAMP.sub(b"", content)
            found[name] = hashlib.sha256(content).hexdigest()
    return found


def difference(found: dict[str, str], wanted: dict[str, str]) -> str:
    """Return what differs between two folders, in words; empty where nothing does."""
    more, less = sorted(found.keys() - wanted.keys()), sorted(wanted.keys() - found.keys())
    other = sorted(name for name in found.keys() & wanted.keys() if found[name] != wanted[name])
    words = [f"{what} {names[:5]}" for what, names in (("more", more), ("missing", less), ("other", other)) if names]
    return ", ".join(words)
