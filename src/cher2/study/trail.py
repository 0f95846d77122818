"""The trail of a study: what was done with it as a whole, one file an event, each chained by hash to the one before.

``STUDY/trail/000001.json``. It tells of runs, of reviews that were opened and closed, of saved outlines, of imports,
and, with each, which entry was the newest of the log of decisions: so the newest entries of that log cannot be cut
off unnoticed, nor a file of outlines changed. Nothing here is secret: somebody who writes the whole trail anew shows
only against a hash that was kept elsewhere.

The number is taken by making the file, which of two programs only one can do: the chain never forks, without a lock.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from cher2.errors import StudyError
from cher2.study.identity import identity_of
from cher2.study.tables import write_whole

TRAIL = "trail"
EDITS = "edits"
"""The folder of corrected outlines, whose files the trail knows by their digests."""

FORMAT = 1
NO_HASH = "0" * 64
MOST_BYTES = 1 << 24
"""A file of more is no event."""

What = Literal["begun", "run", "derived", "review_opened", "review_closed", "outline", "imported"]
WHATS: tuple[What, ...] = get_args(What)

_NAME = re.compile(r"(\d{6,})\.json")


@dataclass(frozen=True)
class Event:
    """One event of a study's trail.

    Parameters
    ----------
    number : int
        Its place, from 1 without gaps.
    study : str
        The study's identity.
    what : str
        One of :data:`What`.
    at : str
        Time in UTC.
    who : str
        The reader; empty where it is the program.
    facts : mapping
        What else is to be known, as JSON holds it.
    previous_hash, hash : str
        SHA-256 of the event before it, and its own (:func:`event_hash`).
    """

    number: int
    study: str
    what: What
    at: str
    who: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    previous_hash: str = NO_HASH
    hash: str = ""

    def fact(self, name: str) -> dict[str, Any]:
        """Return a fact that is a mapping; empty where it is not there or none."""
        found = self.facts.get(name)
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class TrailFault:
    """A place where a trail does not hold.

    Parameters
    ----------
    number : int
        The event at which it shows.
    what : str
        What is wrong with it, as a sentence without its full stop.
    """

    number: int
    what: str


@dataclass(frozen=True)
class Trail:
    """A study's trail as it lies on the disk.

    Parameters
    ----------
    events : tuple of Event
        Those that can be read, in order.
    faults : tuple of TrailFault
        Where it was altered, in order; none where it is as it was written.
    """

    events: tuple[Event, ...] = ()
    faults: tuple[TrailFault, ...] = ()

    @property
    def head(self) -> tuple[int, str]:
        """Number and hash of the newest event; 0 and zeros where there is none."""
        return (self.events[-1].number, self.events[-1].hash) if self.events else (0, NO_HASH)


def event_hash(record: Mapping[str, Any]) -> str:
    """Return the hash of an event: SHA-256 of its record but for ``hash``, as JSON sorted by names, without blanks.

    Raises
    ------
    ValueError, TypeError
        It holds what JSON cannot.
    """
    said = {name: value for name, value in record.items() if name != "hash"}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def add_event(study: Path, what: What, who: str = "", **facts: Any) -> int:
    """Add an event to a study's trail; on the disk when this returns.

    Parameters
    ----------
    study : Path
        The study folder.
    what, who, **facts
        As in :class:`Event`.

    Returns
    -------
    int
        Its number.

    Raises
    ------
    StudyError
        It could not be written.
    """
    folder, identity = study / TRAIL, identity_of(study)
    try:
        folder.mkdir(exist_ok=True)
        while True:
            number, previous = _newest(folder)
            if number == 0 and what != "begun":
                # Outlines that an earlier cher2 saved are known from here on.
                _add(folder, 1, previous, identity, "begun", "", {"outlines": dict(outline_digests(study))})
                continue
            if _add(folder, number + 1, previous, identity, what, who, facts):
                return number + 1
    except OSError as error:
        raise StudyError(
            f"the study's trail cannot be written ({error.strerror})",
            where=str(folder),
            remedy="Make room on the disk, or allow writing to the study folder",
        ) from error


def _add(folder: Path, number: int, previous: str, study: str, what: What, who: str, facts: Mapping[str, Any]) -> bool:
    """Write an event under its number; False where another program was faster."""
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    record = {"cher2_trail": FORMAT, "number": number, "study": study, "what": what, "at": at, "who": who}
    record |= {"facts": dict(facts), "previous_hash": previous}
    record["hash"] = event_hash(record)
    text = (json.dumps(record, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
    path = folder / f"{number:06d}.json"
    partial = folder / f".{path.name}-{uuid.uuid4().hex}"
    write_whole(partial, text)
    try:
        path.hardlink_to(partial)
    except FileExistsError:
        return False
    except OSError:  # A disk without links: exFAT, some of a network's.
        return _make(path, text)
    finally:
        partial.unlink()
    return True


def _make(path: Path, text: bytes) -> bool:
    try:
        with path.open("xb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        return False
    return True


def _newest(folder: Path) -> tuple[int, str]:
    """Return number and hash of the newest event; of one that cannot be read, the hash of its bytes."""
    number, path = max(_files(folder), default=(0, folder))
    if not number:
        return 0, NO_HASH
    event = _read(path)
    return number, event.hash if isinstance(event, Event) else hashlib.sha256(path.read_bytes()).hexdigest()


def _files(folder: Path) -> Iterator[tuple[int, Path]]:
    try:
        for path in folder.iterdir():
            if match := _NAME.fullmatch(path.name):
                yield int(match[1]), path
    except FileNotFoundError:
        return


def read_trail(study: Path) -> Trail:
    """Read a study's trail and check its chain; empty where there is none.

    An event that was altered, removed from the middle or inserted shows. That the newest were removed, or that all
    were written anew, does not show by the trail alone.

    Raises
    ------
    StudyError
        The folder cannot be read.
    """
    try:
        files = sorted(_files(study / TRAIL))
    except OSError as error:
        raise StudyError(
            f"the study's trail cannot be read ({error.strerror})", where=str(study / TRAIL), remedy="Make it readable"
        ) from error
    events, faults, last = list[Event](), list[TrailFault](), (0, NO_HASH)
    for number, path in files:
        event = _read(path)
        if number > last[0] + 1:
            gone = f"{last[0] + 1}" if number == last[0] + 2 else f"{last[0] + 1} to {number - 1}"
            faults.append(TrailFault(number, f"before it, {gone} of the trail was removed"))
        if isinstance(event, str):
            faults.append(TrailFault(number, event))
            last = (number, "")
            continue
        if number == last[0] + 1 and last[1] and event.previous_hash != last[1]:
            faults.append(TrailFault(number, "it does not follow the event before it: one of the two was exchanged"))
        if event.number != number:
            faults.append(TrailFault(number, f"it is event {event.number} under another name"))
        if _altered(path):
            faults.append(TrailFault(number, "it was altered after it was stored"))
        events.append(event)
        last = (number, event.hash)
    return Trail(tuple(events), tuple(faults))


def _read(path: Path) -> Event | str:
    """Return the event of a file, or in words why it is none."""
    try:
        record = _record(path)
        if record.pop("cher2_trail") != FORMAT:
            return "it is of a later cher2, or altered"
        event = Event(**record)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "it cannot be read as an event"
    texts = (event.study, event.at, event.who, event.previous_hash, event.hash)
    sound = event.what in WHATS and isinstance(event.facts, dict) and all(isinstance(text, str) for text in texts)
    return event if sound and isinstance(event.number, int) else "it cannot be read as an event"


def _record(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MOST_BYTES:
        raise ValueError("too large")
    record = json.loads(path.read_bytes())
    if not isinstance(record, dict):
        raise TypeError("no event")
    return record


def _altered(path: Path) -> bool:
    record = _record(path)
    try:
        return bool(event_hash(record) != record["hash"])
    except ValueError:
        return True


def outline_digests(study: Path) -> Iterator[tuple[str, str]]:
    """Yield the files of corrected outlines as seen from the study, each with its digest.

    Raises
    ------
    OSError
        One cannot be read.
    """
    for path in sorted((study / EDITS).glob("*/*.json")):
        yield path.relative_to(study).as_posix(), sha256_of(path)


def sha256_of(path: Path) -> str:
    """Return the digest by which the trail knows a file: what the program ``sha256sum`` prints.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
