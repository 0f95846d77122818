"""One at a time: the lock of a study, held by whatever writes its results or tables while it writes.

The lock is the system's own (``flock``; on Windows a locked byte) on the file ``STUDY/.lock``. It ends with the process
that holds it, however that one dies: a lock of a dead process is never in the way, and a process id that another
program has got by now misleads nobody. What the file says is there to name the holder: computer, process and since
when; no user. It goes when the lock is let go.

A shared file system may not tell one computer of another's locks. So a file that another computer has left is believed:
a run there may go on. Only a person can know, and the error says what to do.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import psutil

from cher2.errors import StudyError

LOCK = ".lock"

LOOKS, LOOK_EVERY_S = 20, 0.01
"""How often the lock is tried for, or its holder's name, which is written just after the lock is taken."""

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_FAR = 1 << 30
"""The byte that Windows locks: beyond what the file says, so that others may read it."""


@dataclass(frozen=True)
class Holder:
    """Who holds a study.

    Parameters
    ----------
    what : str
        What is done to it, such as ``run``.
    host : str
        The computer's name.
    boot : str
        What names the computer's running system, also among containers; empty where it has no such name.
    process : int
        The process's number.
    began : str
        When the process began: another process of the same number began at another time.
    since : str
        When the study was taken, in UTC.
    """

    what: str
    host: str
    boot: str
    process: int
    began: str
    since: str

    @classmethod
    def this_process(cls, what: str) -> Holder:
        """Return this process as a holder."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(what, socket.gethostname(), _boot(), os.getpid(), _began(os.getpid()), now)

    @property
    def here(self) -> bool:
        """Whether it is a process of this computer, whose locks this process sees."""
        return (bool(self.boot) and self.boot == _boot()) or self.host == socket.gethostname()

    @property
    def lives(self) -> bool:
        """Whether the process, of this computer, is still there."""
        return bool(self.began) and _began(self.process) == self.began

    def __str__(self) -> str:
        return f"'cher2 {self.what}' on the computer {self.host}, process {self.process}, since {self.since}"


class StudyLock:
    """The lock of one study; whoever holds it may take it again.

    Parameters
    ----------
    study : Path
        The study folder.
    """

    def __init__(self, study: Path) -> None:
        self._study = study
        self._times = 0

    @contextmanager
    def held(self, what: str) -> Iterator[None]:
        """Hold the study while the block lasts.

        Parameters
        ----------
        what : str
            What is done to it: the command's name.

        Raises
        ------
        StudyError
            Another process holds it, or may hold it, and is named; or the folder cannot be written to.
        """
        file = self._take(what) if not self._times else None
        self._times += 1
        try:
            yield
        finally:
            self._times -= 1
            if file is not None:
                _let_go(file, self._study / LOCK)

    def _take(self, what: str) -> BinaryIO:
        path = self._study / LOCK
        try:
            for _ in range(LOOKS):
                file = _opened(path)
                try:
                    if _is_taken(file, path, what):
                        return file
                except BaseException:
                    file.close()
                    raise
                # It was let go, and its file removed, between the two steps.
                file.close()
        except OSError as error:
            raise StudyError(
                f"the study folder cannot be written to ({error.strerror})",
                where=str(self._study),
                remedy="Make room on the disk, or allow writing to the folder",
            ) from error
        raise _in_use(path, None)


def holder_of(study: Path) -> Holder | None:
    """Return who holds a study, or held it and died; None where nobody does, or has not said so yet."""
    try:
        said = json.loads((study / LOCK).read_bytes())
        return Holder(**{field.name: said[field.name] for field in fields(Holder)})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _opened(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "r+b", buffering=0)


def _is_taken(file: BinaryIO, path: Path, what: str) -> bool:
    """Lock the file and write the holder into it; False where it is no longer the study's lock.

    Raises
    ------
    StudyError
        Somebody else holds it.
    """
    locked = _locked(file)
    if locked is False:
        raise _in_use(path, _named(path))
    if not _is_at(file, path):
        return False
    before = holder_of(path.parent)
    if before is not None and not before.here:
        raise _elsewhere(path, before)
    if locked is None and before is not None and before.lives and before.process != os.getpid():
        raise _in_use(path, before)
    file.truncate(0)
    file.seek(0)
    file.write(json.dumps(asdict(Holder.this_process(what))).encode())
    return True


def _named(path: Path) -> Holder | None:
    """Return who holds a study; who has just taken it is given the moment that it needs to write its name."""
    for _ in range(LOOKS):
        found = holder_of(path.parent)
        if found is not None and (found.lives or not found.here):
            return found
        time.sleep(LOOK_EVERY_S)
    return None


def _is_at(file: BinaryIO, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False


def _let_go(file: BinaryIO, path: Path) -> None:
    """Remove the file, then the lock: who waits on the file's lock sees that it is no longer the study's."""
    if sys.platform == "win32":
        # A file that is open cannot be removed there; an empty one names nobody.
        file.truncate(0)
        file.close()
        with suppress(OSError):
            path.unlink()
        return
    if _is_at(file, path):
        with suppress(OSError):
            path.unlink()
    file.close()


def _in_use(path: Path, holder: Holder | None) -> StudyError:
    who = "another process, which has just begun" if holder is None else str(holder)
    return StudyError(
        f"the study is being written by {who}",
        where=str(path.parent),
        remedy="Wait until that has ended, or end it, and give the same command again",
    )


def _elsewhere(path: Path, holder: Holder) -> StudyError:
    return StudyError(
        f"the study was taken by {holder}, and this computer cannot see whether that still goes on",
        where=str(path.parent),
        remedy=f"Look there. If it has ended, remove the study's file {path.name} and give the same command again",
    )


def _began(process: int) -> str:
    """Return when a process began; empty where there is none. Linux counts from its start: no clock is asked."""
    try:
        if sys.platform == "linux":
            return Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
        return str(psutil.Process(process).create_time())
    except (OSError, psutil.Error):
        return ""


def _boot() -> str:
    with suppress(OSError):
        return _BOOT.read_text(encoding="ascii").strip()
    return ""


if sys.platform == "win32":
    import msvcrt

    def _locked(file: BinaryIO) -> bool | None:
        """Lock a file; False where another process has done so."""
        file.seek(_FAR)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import errno
    import fcntl

    _WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)

    def _locked(file: BinaryIO) -> bool | None:
        """Lock a file; False where another process has done so, None where the disk knows no locks."""
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                raise
            return None
        return True
