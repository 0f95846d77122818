"""Files that belong together: all old, all new, or for a moment some missing; never some old and some new.

Each file is written beside its place first and made safe. Only when all are, the old ones go, and then the new ones
take their places. Who is killed in between leaves a set with files missing, and the next command makes them again.
Tables of different readings side by side, each right by itself, would be the worse fault: nobody would see it.
"""

from __future__ import annotations

import filecmp
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from cher2.errors import StudyError
from cher2.study.tables import partial_of


class FileSet:
    """Files to be put into a folder together; see :func:`replaced_together`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.partial: dict[str, Path] = {}

    @contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        """Give one of the files, to be written piece by piece."""
        self.partial[name] = partial_of(self.folder / name)
        with self.partial[name].open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())

    def write(self, name: str, content: bytes) -> None:
        """Write one of the files."""
        with self.opened(name) as file:
            file.write(content)

    def place(self, names: Sequence[str], made_from_them: Sequence[str]) -> None:
        """Put the files in their places, unless the old ones are the same."""
        if self._as_before(names):
            return
        remove(self.folder, (*made_from_them, *names))
        for name, partial in self.partial.items():
            partial.replace(self.folder / name)

    def _as_before(self, names: Sequence[str]) -> bool:
        there = {name for name in names if (self.folder / name).exists()}
        if there - set(self.partial):
            return False
        return all(
            (self.folder / name).is_file() and filecmp.cmp(partial, self.folder / name, shallow=False)
            for name, partial in self.partial.items()
        )


@contextmanager
def replaced_together(folder: Path, names: Sequence[str], made_from_them: Sequence[str] = ()) -> Iterator[FileSet]:
    """Replace files of a folder together when the block ends well.

    Parameters
    ----------
    folder : Path
    names : sequence of str
        All files of the set: those that are not written go. A file that is written and not among them takes its old
        one's place in one step, and is never missing.
    made_from_them : sequence of str
        Files that show what the set holds: they go when it changes.

    Raises
    ------
    StudyError
        The disk is full or the folder cannot be written to; before the first file is in its place, all is as it was.
    """
    files = FileSet(folder)
    try:
        yield files
        files.place(names, made_from_them)
    except OSError as error:
        raise StudyError(
            f"the tables cannot be written ({error.strerror})",
            where=str(folder),
            remedy="Make room on the disk, or allow writing to the folder",
        ) from error
    finally:
        for partial in files.partial.values():
            partial.unlink(missing_ok=True)


def remove(folder: Path, names: Sequence[str]) -> None:
    """Remove files from a folder, those that are there."""
    for name in names:
        (folder / name).unlink(missing_ok=True)
