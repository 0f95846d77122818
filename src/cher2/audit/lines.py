"""One line of the audit: what somebody, or the program, did to a study."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import merge
from typing import Literal

Source = Literal["decision", "outline", "trail"]
"""Where it is kept: the log of decisions, the files of corrected outlines, or the study's trail and provenance."""

BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class AuditLine:
    """One line of the audit.

    Parameters
    ----------
    at : str
        Time in UTC, as it was stored.
    source : str
        One of :data:`Source`.
    number : int
        Its place there; of corrected outlines, that among those of their image.
    who : str
        The reader; the program's name and version where it was the program.
    what : str
        What was done, in words.
    patient_id, image : str
        Empty where it concerns the study as a whole.
    object_id : int or None
        The cell.
    before, after : str
        What was in force before and after, in words; empty where nothing was decided.
    reason : str
        Why, as the reader put it.
    details : str
        What else is to be known.
    hash : str
        What it is known by outside: the entry's hash; of outlines the file's SHA-256.
    """

    at: str
    source: Source
    number: int
    who: str
    what: str
    patient_id: str = ""
    image: str = ""
    object_id: int | None = None
    before: str = ""
    after: str = ""
    reason: str = ""
    details: str = ""
    hash: str = ""


def moment(text: str) -> datetime | None:
    """Return a stored time; None where it is none. One without a zone is taken for UTC."""
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def in_time(sources: Iterable[Sequence[AuditLine]]) -> list[AuditLine]:
    """Put the lines of several sources in the order of time, each source's in the order in which it was stored.

    A computer's clock may be wrong, and an imported decision is older than its import: neither changes the order of
    storing, which the chain of hashes holds.
    """
    return [line for _, line in merge(*map(_with_times, sources), key=lambda pair: pair[0])]


def _with_times(lines: Sequence[AuditLine]) -> Iterator[tuple[datetime, AuditLine]]:
    latest = BEGINNING
    for line in lines:
        latest = max(latest, moment(line.at) or latest)
        yield latest, line


def joined(*parts: str) -> str:
    """Return those parts of a text that are not empty, between semicolons."""
    return "; ".join(part for part in parts if part)
