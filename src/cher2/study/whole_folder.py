"""A folder that is there whole, or as it was before: filled under another name, made safe, then renamed.

Why that holds: nothing is renamed before each new file and the folder that lists them are on the disk (fsync), and a
rename is one step of the file system. A process that is killed, or a machine that loses its power, therefore leaves
the old folder, the new one, or for the moment between two renames none; what it was filling lies under a name that
nobody reads, and goes with the next run. Several folders may be written side by side: each keeps this by itself.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path


def write_folder(final: Path, scratch: Path, fill: Callable[[Path], None]) -> None:
    """Fill a folder and put it in its place.

    Parameters
    ----------
    final : Path
        Its place; what lies there is replaced.
    scratch : Path
        The folder, on the same disk, in which it is filled under the name ``.partial-...``.
    fill : callable
        Writes its files; those that have a second name already were made safe under their first one.

    Raises
    ------
    OSError
        The disk is full, or one of the folders cannot be written to; what was there is there still.
    """
    partial = scratch / f".partial-{final.name}-{os.getpid()}"
    try:
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir(parents=True)
        fill(partial)
        with os.scandir(partial) as entries:
            new = sorted(entry.path for entry in entries if entry.stat().st_nlink == 1)
        for path in (*new, os.fspath(partial)):
            sync(path)
        _put_in_place(partial, final)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _put_in_place(partial: Path, final: Path) -> None:
    if not final.exists():
        partial.rename(final)
        return
    # A folder cannot replace one that is not empty: for a moment it is absent, never half.
    old = partial.with_name(f"{partial.name}-old")
    final.rename(old)
    partial.rename(final)
    shutil.rmtree(old)


def sync(path: str) -> None:
    """Wait until a file or a folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def link(source: Path, path: Path) -> None:
    """Give a file a second name; a copy, where the disk has no links."""
    try:
        path.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, path)
