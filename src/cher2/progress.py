"""Progress on the terminal: a live bar, or a plain line an image where there is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cher2.batch.run import Progress as RunProgress

TOLD_AFTER_S = 1.0


@contextmanager
def showing() -> Iterator[Callable[[RunProgress], None]]:
    """Show a run's progress: images done, CTCs found and time left; errors as they come."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _log_line
        return
    with _bar(console, TextColumn("{task.fields[ctcs]} CTCs")) as bar:
        task = bar.add_task("images", total=None, ctcs=0)
        failed = 0

        def update(state: RunProgress) -> None:
            nonlocal failed
            bar.update(task, completed=state.done, total=state.total, ctcs=state.ctcs)
            if state.failed > failed:
                failed = state.failed
                console.print(state.last, style="red", markup=False, highlight=False, soft_wrap=True)

        yield update


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how many of a number of things are done; nothing where there is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: None
        return
    with _bar(console) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def telling(what: str, after_s: float = TOLD_AFTER_S) -> Iterator[None]:
    """Say on a terminal what is being done, where it takes longer than a moment."""
    console = Console(stderr=True)
    timer = Timer(after_s, console.print, [what], {"markup": False, "highlight": False})
    timer.daemon = True
    if console.is_terminal:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _bar(console: Console, *more: TextColumn) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *more,
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )


def _log_line(state: RunProgress) -> None:
    if state.last:
        print(f"[{state.done}/{state.total}] {state.last}", file=sys.stderr, flush=True)
