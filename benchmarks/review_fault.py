"""A row of the table of faults of reviews, and what its makers share; no benchmark itself."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "review"))

from appending import decision

from cher2.errors import ReviewError
from cher2.review.log import DecisionLog


@dataclass
class Row:
    """What came of one fault: how often it was tried, what was taken, lost, doubled or wrong, and what was unclear."""

    fault: str
    tried: int = 0
    taken: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    gone: int = 0
    unclear: list[str] = field(default_factory=list)

    def compare(self, taken: list[str], log: DecisionLog) -> None:
        """Count the decisions that were taken, and those of them that the log does not hold just once."""
        stored = [entry.decision_id for entry in log.entries()]
        self.taken += len(taken)
        self.lost += len(set(taken) - set(stored)) + len(log.broken_entries())
        self.doubled += len(stored) - len(set(stored))

    def judge(self, message: str, *words: str) -> None:
        """Keep a message that does not say what is wrong, where and what to do, in one line."""
        if not all(word in message for word in words) or message.count(". ") < 1 or len(message) > 400:
            self.unclear.append(message)

    @property
    def failed(self) -> bool:
        """Whether anything went wrong."""
        return bool(self.lost or self.doubled or self.wrong or self.unclear)

    def __str__(self) -> str:
        numbers = (self.tried, self.taken, self.lost, self.doubled + self.wrong, len(self.unclear))
        told = f"   ({self.gone} were in what was destroyed, and told)" if self.gone else ""
        return f"{self.fault:<58}" + "".join(f"{number:>9}" for number in numbers) + told


def refused(row: Row, log: DecisionLog, mend: Callable[[], object], *words: str) -> None:
    """Append during a fault, then the same again after it; what had been stored before must still be there."""
    row.tried += 1
    before = [entry.decision_id for entry in log.append([decision(1), decision(2)])] if not row.taken else []
    new = [decision(3), decision(4)]
    try:
        log.append(new)
        row.unclear.append("nothing was said")
    except ReviewError as error:
        row.judge(str(error), *words)
    mend()
    row.compare(before + [entry.decision_id for entry in log.append(new)], log)


@contextlib.contextmanager
def small_disk(folder: Path, size: str = "1m") -> Iterator[Path | None]:
    """Mount a small disk; give None where the system does not let us."""
    disk = folder / f"small_{size}"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk]
    mounted = os.getuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield disk if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", disk], check=True)
