"""What a verification found: one finding a fault, and all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Check = Literal["structure", "inputs", "files", "measured", "graded", "derived", "decisions", "trail", "provenance"]
"""What was compared: the folder, the images' bytes, the fingerprints of results, measured objects and labels, grades,
the derived tables, readers' decisions and outlines, the study's trail, ``provenance.json``."""

Level = Literal["differs", "unverified", "note"]
"""``differs``: something is not what it was or should be. ``unverified``: it could not be looked at. ``note``: good to
know, and no fault."""


@dataclass(frozen=True)
class Finding:
    """One thing that a verification found.

    Parameters
    ----------
    check : str
        What was compared; one of :data:`Check`.
    level : str
        One of :data:`Level`.
    what : str
        What is wrong, as a sentence without its full stop.
    where : str
        The image as tables call it, or the file of the study; empty for the study as a whole.
    column : str
        The column that differs, where it is one.
    rows : int
        Rows (of a label image: pixels) that differ; 0 where that says nothing.
    largest : float or None
        The largest difference of two numbers, where they are numbers.
    """

    check: Check
    level: Level
    what: str
    where: str = ""
    column: str = ""
    rows: int = 0
    largest: float | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


@dataclass(frozen=True)
class Verification:
    """What a verification looked at, and what it found.

    Parameters
    ----------
    findings : tuple of Finding
        In the order of the checks.
    n_images : int
        Frames in the study's list of samples.
    n_inputs : int
        Image files whose bytes are those that were scored.
    seed : int
        What the random choice was made with.
    recomputed : tuple of str
        Frames that were segmented and measured again.
    regraded : int
        Samples (draws) that were graded again.
    tables : tuple of str
        Derived tables that were made again and compared.
    n_decisions : int
        Decisions in the log.
    """

    findings: tuple[Finding, ...]
    n_images: int
    n_inputs: int = 0
    seed: int = 0
    recomputed: tuple[str, ...] = ()
    regraded: int = 0
    tables: tuple[str, ...] = ()
    n_decisions: int = 0

    @property
    def exit_code(self) -> int:
        """0: all is the same. 1: something differs. 2: nothing differs, but something could not be verified."""
        levels = {finding.level for finding in self.findings}
        return 1 if "differs" in levels else 2 if "unverified" in levels else 0

    def of_level(self, level: Level) -> tuple[Finding, ...]:
        """Return the findings of one level."""
        return tuple(finding for finding in self.findings if finding.level == level)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return asdict(self) | {"exit_code": self.exit_code, "verdict": self.verdict}

    @property
    def verdict(self) -> str:
        """The outcome in one line."""
        differs, unverified = len(self.of_level("differs")), len(self.of_level("unverified"))
        if differs:
            return f"{_counted(differs, 'difference', 'differences')} found."
        if unverified:
            return "Nothing differs, but not everything could be verified."
        return "Everything that was compared is the same."

    def __str__(self) -> str:
        lines = [
            f"{_counted(self.n_images, 'frame', 'frames')}; bytes of {_counted(self.n_inputs, 'image file', 'files')} "
            "are those that were scored.",
            f"Measured again (seed {self.seed}): {_named(self.recomputed)}.",
            f"Graded again: {_counted(self.regraded, 'sample', 'samples')}. "
            f"Derived again: {', '.join(self.tables) or 'nothing'}. "
            f"Decisions in the log: {self.n_decisions}.",
        ]
        return "\n".join([*lines, *_table(condensed(self.findings)), self.verdict])


def _counted(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def _named(names: Sequence[str], most: int = 10) -> str:
    if not names:
        return "nothing"
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{rest}"


def condensed(findings: Sequence[Finding], most: int = 5) -> list[Finding]:
    """Return findings with those that many places share put into one line: what, where first, and how many more."""
    alike: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        alike.setdefault((finding.check, finding.level, finding.what, finding.column), []).append(finding)
    short: list[Finding] = []
    for group in alike.values():
        if len(group) <= most:
            short += group
            continue
        sizes = [finding.largest for finding in group if finding.largest is not None]
        where = f"{group[0].where} and {len(group) - 1} more"
        rows = sum(finding.rows for finding in group)
        short.append(replace(group[0], where=where, rows=rows, largest=max(sizes, default=None)))
    return short


def _table(findings: Sequence[Finding]) -> list[str]:
    """Return the findings as lines of a table; nothing where there are none."""
    if not findings:
        return []
    head = ("", "check", "where", "column", "rows", "largest", "what")
    rows = [
        (
            f.level,
            f.check,
            f.where,
            f.column,
            str(f.rows or ""),
            "" if f.largest is None else f"{f.largest:.3g}",
            f.what,
        )
        for f in findings
    ]
    # A file's name may hold a line break, which must not look like a second finding.
    cells = [[" ".join(text.split()) for text in row] for row in (head, *rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(head))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in cells]
    return ["", *(line.rstrip() for line in lines), ""]
