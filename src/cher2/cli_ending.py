"""How a command ends: in words and with an exit code, whatever ended it.

0, 1 and 2 are the command's own (:mod:`cher2.cli`). 130, 143 and 129: stopped by Ctrl-C, by SIGTERM or because the
terminal was closed (SIGHUP), as shells count. 141: who read the output has gone, as ``| head`` does.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from rich.console import Console

from cher2.errors import Cher2Error, SystemRefusalError

INTERRUPTED, TERMINATED, HUNG_UP, UNHEARD = 130, 143, 129, 141

STOPPED = (INTERRUPTED, TERMINATED, HUNG_UP)

_REMEDIES = {
    (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)): "Make room on the disk",
    (errno.EMFILE, errno.ENFILE): "Let it open more files, such as with 'ulimit -n 4096'",
    (errno.EACCES, errno.EPERM, errno.EROFS): "Allow reading and writing there, or name another place",
    (errno.ENOENT, errno.ENOTDIR): "Look whether it is still there",
    (errno.ENOMEM, errno.EAGAIN): "Close other programs, or use fewer --workers",
}
"""What to do about an error of the system, by its number."""

_OTHERWISE = "Look whether the disk, or the network that it is reached by, works"


def run_to_its_end(command: Callable[[], object]) -> None:
    """Call a command; what breaks it off becomes a line and an exit code.

    Parameters
    ----------
    command : callable
        Raises SystemExit with its own exit code, as Click's commands do.
    """
    listen()
    try:
        command()
    except Cher2Error as error:
        _end(f"Error: {error}", "bold red", 2)
    except BrokenPipeError:
        _end_unheard()
    except (OSError, MemoryError) as error:
        _end(f"Error: {refusal(error)}", "bold red", 2)
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end.__context__, BrokenPipeError):
            # Typer's way to end then, with the exit code of images that failed.
            _end_unheard()
        if isinstance(end, SystemExit) and end.code not in STOPPED:
            _check_heard()
            raise
        code = end.code if isinstance(end, SystemExit) and isinstance(end.code, int) else INTERRUPTED
        _end("Stopped. The same command goes on where it stopped.", "yellow", code)


def refusal(error: OSError | MemoryError) -> Cher2Error:
    """Return an error of the system as one of cher2's: what is refused, where, and what to do."""
    number = error.errno if isinstance(error, OSError) else errno.ENOMEM
    remedy = next((remedy for numbers, remedy in _REMEDIES.items() if number in numbers), _OTHERWISE)
    words = os.strerror(number) if number else str(error) or type(error).__name__
    place = getattr(error, "filename", None)
    where = os.fsdecode(place) if isinstance(place, (str, bytes)) else "this computer"
    again = f"{remedy}, and give the same command again"
    return SystemRefusalError(f"the system refuses what cher2 needs ({words})", where=where, remedy=again)


def listen() -> None:
    """Let SIGTERM and SIGHUP stop a command as Ctrl-C does; what whoever started it has told to ignore stays so."""
    for name, code in (("SIGTERM", TERMINATED), ("SIGHUP", HUNG_UP)):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _stopping(code))


def _stopping(code: int) -> Callable[[int, FrameType | None], NoReturn]:
    def stop(number: int, frame: FrameType | None) -> NoReturn:
        # Told twice, it must not be broken off where it cleans up.
        signal.signal(number, signal.SIG_IGN)
        raise SystemExit(code)

    return stop


def _check_heard() -> None:
    """Write out what is left; where nobody reads it, say so by the exit code."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _end_unheard()


def _end_unheard() -> NoReturn:
    """End without a word: there is nobody to hear it. What Python itself still writes goes nowhere."""
    for stream in (sys.stdout, sys.stderr):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(UNHEARD)


def _end(words: str, style: str, code: int) -> NoReturn:
    try:
        Console(stderr=True).print(words, style=style, markup=False, highlight=False, soft_wrap=True)
    except BrokenPipeError:
        _end_unheard()
    sys.exit(code)
