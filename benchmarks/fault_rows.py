"""What came of a fault, as a row of a table; and the rule by which a message is clear. No benchmark itself."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

ERROR = re.compile(r"^Error: (?P<place>.+?): (?P<cause>.+?)\. (?P<remedy>[A-Z'\"].+)\.$")
"""One line: the place, what is wrong, what to do."""

CODES = {0, 1, 2, 129, 130, 141, 143}
"""Exit codes that docs/faults.md explains."""

NEVER = ("Traceback", "Exception ignored", "Warning:", "warnings.warn", "this is a fault of cher2")
LONGEST = 600


def unclear(code: int, said: str) -> str:
    """Return why what a command said is unclear; empty where it is clear.

    Parameters
    ----------
    code : int
        Its exit code.
    said : str
        Everything that it said.
    """
    if code not in CODES:
        return f"exit code {code}: {said[-300:]}"
    found = next((word for word in NEVER if word in said), "")
    if found:
        return f"{found!r} in: {said[max(0, said.index(found) - 200) :][:1500]}"
    errors = [line for line in said.splitlines() if line.startswith("Error: ")]
    if code == 2 and (len(errors) != 1 or not ERROR.match(errors[0]) or len(errors[0]) > LONGEST):
        return f"no place, cause and remedy in one line: {errors or said[-300:]}"
    if code in (129, 130, 143) and "Stopped." not in said:
        return f"stopped without a word: {said[-300:]}"
    return ""


@dataclass
class Row:
    """What came of one fault.

    Parameters
    ----------
    fault : str
        What was done.
    tried : int
        How often.
    lost, wrong : int
        Decisions lost, and results that are not those of an undisturbed command.
    unclear : int
        Messages that do not say what is wrong, where and what to do.
    told : list of str
        What was wrong or unclear.
    slowest_s : float
        The longest that it took, where that counts.
    """

    fault: str
    tried: int = 0
    lost: int = 0
    wrong: int = 0
    unclear: int = 0
    told: list[str] = field(default_factory=list)
    slowest_s: float = 0.0

    def note_wrong(self, what: str) -> None:
        """Count a wrong result."""
        self.wrong += 1
        self.told.append(f"wrong: {what}")

    def judge(self, code: int, said: str) -> None:
        """Count what a command said where it is unclear."""
        why = unclear(code, said)
        if why:
            self.unclear += 1
            self.told.append(f"unclear: {why}")

    @property
    def failed(self) -> bool:
        """Whether anything went wrong."""
        return bool(self.lost or self.wrong or self.unclear or not self.tried)

    def __str__(self) -> str:
        numbers = (self.tried, self.lost, self.wrong, self.unclear)
        slowest = f"{self.slowest_s:>9.1f} s" if self.slowest_s else ""
        return f"{self.fault:<66}" + "".join(f"{number:>8}" for number in numbers) + slowest


HEAD = f"{'fault':<66}{'tried':>8}{'lost':>8}{'wrong':>8}{'unclear':>8}{'slowest':>11}"
