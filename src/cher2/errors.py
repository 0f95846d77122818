"""The errors of cher2.

Whatever goes wrong for a reason that a user can mend is one of these. Each says what is wrong, where, and
what to do about it, in one line; the command line prints it in red, napari shows it as a notification, and
``errors.csv`` keeps it beside the image that it concerns.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import Any, Self

ISSUES = "https://github.com/cher2/cher2/issues"
"""Where a fault of cher2 is reported, as ``pyproject.toml`` has it."""


class Cher2Error(Exception):
    """Something that the user can mend.

    Parameters
    ----------
    what : str
        What is wrong, as a sentence without its full stop.
    where : str, optional
        The file, column, key or patient that it concerns.
    remedy : str, optional
        What to do about it, as a sentence without its full stop.
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what.rstrip(".")
        self.where = where
        self.remedy = remedy.rstrip(".")

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}." if self.where else f"{self.what}."
        text = f"{text} {self.remedy}." if self.remedy else text
        # One line, whatever a file's name holds: a line break in it must not look like a second message.
        return " ".join(text.split())

    def within(self, place: str) -> Self:
        """Return the same error at a larger place: in the file that a row belongs to."""
        return type(self)(self.what, where=f"{place}, {self.where}" if self.where else place, remedy=self.remedy)

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments would be lost when the error travels back from a worker process.
        return _rebuild, (type(self), self.what, self.where, self.remedy)


def _rebuild(kind: type[Cher2Error], what: str, where: str, remedy: str) -> Cher2Error:
    return kind(what, where=where, remedy=remedy)


class ProtocolError(Cher2Error):
    """The protocol has an unknown key, or a value that makes no sense."""


class ImageError(Cher2Error):
    """A file that should be an image cannot be read as one."""


class ChannelError(ImageError):
    """An image lacks a channel that the protocol names, or names it twice."""


class SegmenterError(Cher2Error):
    """The protocol's segmenter is not there, cannot be loaded, or gives no label image."""


class SampleSheetError(Cher2Error):
    """The sample sheet and the images do not fit together."""


class ClinicalTableError(Cher2Error):
    """The clinical table has a row or a value that cannot be used."""


class StudyError(Cher2Error):
    """The study folder cannot be used for what was asked."""


class GradingError(Cher2Error):
    """A sample's cells cannot be graded in the protocol's unit."""


class CohortError(Cher2Error):
    """The cohorts cannot be compared."""


class ReviewError(Cher2Error):
    """A reader's decision makes no sense, or cannot be stored or read."""


class Cher2FaultError(Cher2Error):
    """A check of cher2's own numbers has failed: no image and no table should be able to bring that about.

    Nothing may be concluded from the numbers, so the work stops. :mod:`cher2.study.fault_file` writes what is to be
    sent, and names the file in `remedy`.

    Parameters
    ----------
    what : str
        What does not fit, as a sentence without its full stop and without a name of a patient or a file.
    where, remedy : str, optional
        The image, sample or table that it concerns, and where to report it.
    check : str
        The check that failed, by name.
    rows : tuple of mapping
        The values concerned, a mapping a row.
    file : str
        The file to be sent, as its place in the study folder; empty where none was written.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        remedy: str = "",
        check: str = "",
        rows: tuple[Mapping[str, Any], ...] = (),
        file: str = "",
    ) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.check, self.rows, self.file = check, rows, file

    def within(self, place: str) -> Self:
        """Return the same fault at a larger place."""
        where = f"{place}, {self.where}" if self.where else place
        return type(self)(self.what, where=where, remedy=self.remedy, check=self.check, rows=self.rows, file=self.file)

    def in_file(self, file: str) -> Cher2FaultError:
        """Return the same fault, with the file that is to be sent."""
        remedy = f"Send {file}, of the study folder, to {ISSUES}: names of patients and files are numbers in it"
        return Cher2FaultError(self.what, where=self.where, remedy=remedy, check=self.check, rows=self.rows, file=file)

    def __reduce__(self) -> tuple[object, ...]:
        return _fault, (self.what, self.where, self.remedy, self.check, self.rows, self.file)


def _fault(
    what: str, where: str, remedy: str, check: str, rows: tuple[Mapping[str, Any], ...], file: str
) -> Cher2FaultError:
    return Cher2FaultError(what, where=where, remedy=remedy, check=check, rows=rows, file=file)


class SystemRefusalError(Cher2Error):
    """The system refuses what cher2 needs: room on a disk, open files, memory, a permission."""


TOO_MANY_FILES = errno.EMFILE

_REMEDIES = {
    (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)): "Make room on the disk",
    (errno.EMFILE, errno.ENFILE): "Let it open more files, such as with 'ulimit -n 4096'",
    (errno.EACCES, errno.EPERM, errno.EROFS): "Allow reading and writing there, or name another place",
    (errno.ENOENT, errno.ENOTDIR): "Look whether it is still there",
    (errno.ENOMEM, errno.EAGAIN): "Close other programs, or use fewer --workers",
}
"""What to do about an error of the system, by its number."""

_OTHERWISE = "Look whether the disk, or the network that it is reached by, works"


def refusal(error: OSError | MemoryError) -> Cher2Error:
    """Return an error of the system as one of cher2's: what is refused, where, and what to do."""
    number = error.errno if isinstance(error, OSError) else errno.ENOMEM
    remedy = next((remedy for numbers, remedy in _REMEDIES.items() if number in numbers), _OTHERWISE)
    words = os.strerror(number) if number else str(error) or type(error).__name__
    place = getattr(error, "filename", None)
    where = os.fsdecode(place) if isinstance(place, (str, bytes)) else "this computer"
    again = f"{remedy}, and give the same command again"
    return SystemRefusalError(f"the system refuses what cher2 needs ({words})", where=where, remedy=again)


def lacks_handles(error: BaseException | None) -> bool:
    """Say whether an error comes from too many open files, however deep down: no single image is to blame."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            return True
        error = error.__cause__ or error.__context__
    return False
