"""How a command ends: in words and with an exit code, whatever ended it.

0, 1 and 2 are the command's own (:mod:`cher2.cli`). 130, 143 and 129: stopped by Ctrl-C, by SIGTERM or because the
terminal was closed (SIGHUP), as shells count. 141: who read the output has gone, as ``| head`` does.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn, TextIO

from rich.console import Console

from cher2.errors import TOO_MANY_FILES, Cher2Error, refusal

INTERRUPTED, TERMINATED, HUNG_UP, UNHEARD = 130, 143, 129, 141

STOPPED = (INTERRUPTED, TERMINATED, HUNG_UP)


def run_to_its_end(command: Callable[[], object]) -> None:
    """Call a command; what breaks it off becomes a line and an exit code.

    Parameters
    ----------
    command : callable
        Raises SystemExit with its own exit code, as Click's commands do.
    """
    try:
        with listening():
            command()
    except Cher2Error as error:
        _end(f"Error: {error}", "bold red", 2)
    except BrokenPipeError:
        _end_unheard()
    except (OSError, MemoryError) as error:
        _end(f"Error: {refusal(error)}", "bold red", 2)
    except ImportError as error:
        # A library cannot be loaded, and says only in words why not.
        if os.strerror(TOO_MANY_FILES) not in str(error):
            raise
        _end(f"Error: {refusal(OSError(TOO_MANY_FILES, ''))}", "bold red", 2)
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end.__context__, BrokenPipeError):
            # Typer's way to end then, with the exit code of images that failed.
            _end_unheard()
        if isinstance(end, SystemExit) and end.code not in STOPPED:
            _check_heard()
            raise
        code = end.code if isinstance(end, SystemExit) and isinstance(end.code, int) else INTERRUPTED
        _end("Stopped. The same command goes on where it stopped.", "yellow", code)


@contextmanager
def listening() -> Iterator[None]:
    """Let SIGTERM and SIGHUP stop the block as Ctrl-C does; what whoever started it has told to ignore stays so."""
    before: dict[int, Any] = {}
    try:
        for name, code in (("SIGTERM", TERMINATED), ("SIGHUP", HUNG_UP)):
            number = getattr(signal, name, None)
            # Only a process's main thread may listen.
            here = threading.current_thread() is threading.main_thread()
            if number is not None and here and signal.getsignal(number) == signal.SIG_DFL:
                before[number] = signal.signal(number, _stopping(code))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stopping(code: int) -> Callable[[int, FrameType | None], NoReturn]:
    def stop(number: int, frame: FrameType | None) -> NoReturn:
        # Told twice, it must not be broken off where it cleans up.
        signal.signal(number, signal.SIG_IGN)
        raise SystemExit(code)

    return stop


def _check_heard() -> None:
    """Write out what is left; where nobody reads it, or it cannot be written, say so by the exit code."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _end_unheard()
    except OSError as error:
        _silence(sys.stdout)
        _end(f"Error: {refusal(error)}", "bold red", 2)


def _end_unheard() -> NoReturn:
    """End without a word: there is nobody to hear it."""
    for stream in (sys.stdout, sys.stderr):
        _silence(stream)
    sys.exit(UNHEARD)


def _silence(stream: TextIO) -> None:
    """Let what Python itself still writes, when it ends, go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _end(words: str, style: str, code: int) -> NoReturn:
    try:
        Console(stderr=True).print(words, style=style, markup=False, highlight=False, soft_wrap=True)
    except BrokenPipeError:
        _end_unheard()
    except OSError:
        # Rich loads parts of itself now, and may not be let.
        print(words, file=sys.stderr)
    sys.exit(code)
