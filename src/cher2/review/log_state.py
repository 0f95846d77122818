"""Whether a study's log of decisions is as it was written: its chain, and the heads that the study's trail noted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cher2.review.chain import BrokenEntry, Head, broken_entries
from cher2.review.log_copy import reading_log
from cher2.study.folder import Study
from cher2.study.trail import Event, What, add_event, read_trail


@dataclass(frozen=True)
class LogState:
    """The newest entry of a log, and where the log was altered.

    Parameters
    ----------
    head : Head
    broken : tuple of BrokenEntry
        In order; none where the log is as it was written, as far as chain and trail tell.
    """

    head: Head = field(default_factory=Head)
    broken: tuple[BrokenEntry, ...] = ()

    def note(self) -> str:
        """Return what must not be overlooked, in words; empty where nothing was altered."""
        if not self.broken:
            return ""
        first = self.broken[0]
        more = f", and {len(self.broken) - 1} more" if len(self.broken) > 1 else ""
        return (
            f"The log of readers' decisions was altered: entry {first.entry}: {first.what}{more}. Do not use these "
            "numbers before 'cher2 verify' has shown what happened"
        )


def head_fact(head: Head) -> dict[str, Any]:
    """Return a head as an event of the trail keeps it."""
    return {"entry": head.entry, "hash": head.hash}


def noted_heads(events: Iterable[Event]) -> list[Head]:
    """Return the newest entries that a trail has noted, each once, in order."""
    facts = (event.fact("decisions") for event in events)
    found = (Head(fact["entry"], fact["hash"]) for fact in facts if _is_head(fact))
    return list(dict.fromkeys(head for head in found if head.entry))


def _is_head(fact: dict[str, Any]) -> bool:
    return isinstance(fact.get("entry"), int) and isinstance(fact.get("hash"), str)


def note_review(study: Study, what: What, reader: str, url: str = "", **facts: Any) -> None:
    """Let the trail note that a review was opened or closed, by whom, and the newest entry of the log then.

    Raises
    ------
    ReviewError
        The log cannot be read.
    StudyError
        The trail cannot be written.
    """
    with reading_log(study, url) as log:
        head = Head() if log is None else log.head()
    add_event(study.path, what, reader.strip(), decisions=head_fact(head), **facts)


def log_state(study: Study, url: str = "") -> LogState:
    """Return the state of a study's log of decisions; nothing is written.

    Parameters
    ----------
    study : Study
    url : str
        As of :func:`cher2.review.open_log.open_log`.

    Raises
    ------
    ReviewError
        The log cannot be read.
    StudyError
        The trail cannot be read.
    """
    heads = noted_heads(read_trail(study.path).events)
    with reading_log(study, url) as log:
        if log is None:
            return LogState(Head(), tuple(broken_entries([], *heads)))
        # The entries are looked at one by one: of a long log, not all are held.
        return LogState(log.head(), tuple(log.broken_entries(*heads)))
