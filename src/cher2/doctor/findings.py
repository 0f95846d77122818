"""What a look at the computer found: one thing a finding, in words, with a remedy where something is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["ok", "optional", "missing"]
"""There; not there, which the base does without; not there, which the base needs."""

COLUMN = 24


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    Parameters
    ----------
    section : str
        What it belongs to: software, libraries, extras, window or computer.
    what : str
        The thing.
    found : str
        What was found, in words.
    state : {"ok", "optional", "missing"}
        Whether it is there, and whether the base needs it.
    remedy : str
        What to do about it; empty where nothing need be done.
    """

    section: str
    what: str
    found: str
    state: State = "ok"
    remedy: str = ""

    def __str__(self) -> str:
        mark = {"ok": " ", "optional": "-", "missing": "!"}[self.state]
        return f" {mark} {self.what:<{COLUMN}} {self.found}"


@dataclass(frozen=True)
class Diagnosis:
    """All findings, in the order in which they are told."""

    findings: tuple[Finding, ...]

    @property
    def missing(self) -> tuple[Finding, ...]:
        """What the base needs and has not."""
        return tuple(finding for finding in self.findings if finding.state == "missing")

    @property
    def exit_code(self) -> int:
        """0 where the base has all that it needs, else 1."""
        return 1 if self.missing else 0

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold: ``ok``, and the ``findings``."""
        return {"ok": not self.missing, "findings": [asdict(finding) for finding in self.findings]}

    def __str__(self) -> str:
        lines: list[str] = []
        for section in dict.fromkeys(finding.section for finding in self.findings):
            lines += ["", section.capitalize()]
            lines += [str(finding) for finding in self.findings if finding.section == section]
        optional = [finding for finding in self.findings if finding.state == "optional"]
        lines += ["", *_remedies("To do", self.missing), *_remedies("If you want what is marked -", optional)]
        return "\n".join([*lines[1:], self._verdict()])

    def _verdict(self) -> str:
        if not self.missing:
            return "cher2 has everything that it needs; what is marked - is optional."
        return f"cher2 lacks what is marked !: {', '.join(finding.what for finding in self.missing)}."


def _remedies(title: str, findings: Sequence[Finding]) -> list[str]:
    """Return each remedy once, under a title."""
    remedies = dict.fromkeys(f"   {finding.what}: {finding.remedy}" for finding in findings if finding.remedy)
    return [title, *remedies, ""] if remedies else []
