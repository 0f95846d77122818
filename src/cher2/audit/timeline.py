"""The audit of a study: everything that was done to it in one time line, and whether that is as it was stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cher2.audit.decision_lines import decision_lines
from cher2.audit.lines import AuditLine, in_time, moment
from cher2.audit.study_lines import event_lines, outline_lines
from cher2.batch.verify_trail import check_expected, check_trail, kept_hashes
from cher2.errors import ReviewError
from cher2.review.chain import Head, broken_entries
from cher2.review.log_copy import reading_log
from cher2.review.log_state import noted_heads
from cher2.study.folder import Study
from cher2.study.identity import IDENTITY
from cher2.study.provenance import read_provenance, runs_of
from cher2.study.trail import read_trail

NAMED = 10
"""Names that an error lists at most."""


@dataclass(frozen=True)
class Wanted:
    """Which lines of an audit are wanted; all, where nothing is given.

    Parameters
    ----------
    reader, patient : str
        Only what this reader did, or what was done on this patient's cells.
    since, until : str
        Times or days in UTC, such as ``2026-11-22`` or ``2026-11-22T15:00``; a day is meant whole.
    """

    reader: str = ""
    patient: str = ""
    since: str = ""
    until: str = ""

    def __str__(self) -> str:
        told = {"reader": self.reader, "patient": self.patient, "since": self.since, "until": self.until}
        return ", ".join(f"{name} {value}" for name, value in told.items() if value)


@dataclass(frozen=True)
class Audit:
    """The audit of a study.

    Parameters
    ----------
    study, identity : str
        The folder's name, and what names the study wherever it is copied.
    protocol : str
        Name and fingerprint of the protocol.
    lines : tuple of AuditLine
        What is wanted, in the order of time.
    n_all : int
        Lines of the whole audit.
    wanted : Wanted
    log, trail : Head
        The newest entries of the log of decisions and of the study's trail.
    faults : tuple of str
        What is not as it was stored, as sentences without their full stops.
    """

    study: str
    identity: str
    protocol: str
    lines: tuple[AuditLine, ...]
    n_all: int
    wanted: Wanted
    log: Head
    trail: Head
    faults: tuple[str, ...]

    def heads(self) -> list[str]:
        """Say in words which are the newest entries: what is to be kept elsewhere."""
        return [
            f"Decisions: {self.log.entry} entries, newest hash {self.log.hash}",
            f"Trail: {self.trail.entry} events, newest hash {self.trail.hash}",
        ]


def audit_study(
    study: str | Path, wanted: Wanted | None = None, reviews: str = "", expect: tuple[str, ...] = ()
) -> Audit:
    """Return who changed what in a study, when and why; nothing is written, and nothing locked.

    Parameters
    ----------
    study : str or Path
        The study folder, which may lie on a disk that cannot be written to.
    wanted : Wanted, optional
        Which lines; all where it is left out.
    reviews : str
        The database of readers' decisions, as of :func:`cher2.review.open_log.open_log`.
    expect : tuple of str
        Hashes that were kept elsewhere: each must still be there.

    Returns
    -------
    Audit

    Raises
    ------
    StudyError
        The folder is no study, its trail cannot be read, or what is expected is no hash.
    ReviewError
        The log cannot be read, or nothing of the reader or patient that is wanted is there.
    """
    home, wanted = Study.open(study), wanted or Wanted()
    chosen, kept = _choice(wanted), kept_hashes(expect)
    trail, record = read_trail(home.path), read_provenance(home.path)
    patients = dict(zip(home.samples["image"], home.samples["patient_id"], strict=True))
    with reading_log(home, reviews) as log:
        rows = [] if log is None else log.rows()
    broken = broken_entries(rows, *noted_heads(trail.events))
    outlines, unreadable = outline_lines(home, patients, trail.events)
    lines = in_time(
        [
            decision_lines(rows, patients, trail.events, broken),
            *outlines,
            event_lines(trail.events, runs_of(record)),
        ]
    )
    _check_names(wanted, lines, set(patients.values()))
    faults = [f"decisions, entry {fault.entry}: {fault.what}" for fault in broken] + unreadable
    found = [*check_trail(home, trail, record), *check_expected(kept, [str(row["hash"]) for row in rows], trail)]
    faults += [str(finding) for finding in found if finding.level != "note"]
    told = record.get("protocol")
    if isinstance(told, dict) and told.get("fingerprint") != home.protocol.fingerprint():
        faults.append("protocol.toml: the protocol is not the one of the last run")
    identity = home.path / IDENTITY
    return Audit(
        study=home.path.absolute().name,
        identity=home.identity if identity.exists() else "",
        protocol=f"{home.protocol.name} ({home.protocol.fingerprint()})",
        lines=tuple(line for line in lines if chosen(line)),
        n_all=len(lines),
        wanted=wanted,
        log=Head(rows[-1]["entry"], rows[-1]["hash"]) if rows else Head(),
        trail=Head(*trail.head),
        faults=tuple(faults),
    )


def _choice(wanted: Wanted) -> Callable[[AuditLine], bool]:
    """Return what says of a line whether it is wanted; a time that cannot be read is never outside."""
    since, until = _time(wanted.since, "--since", last=False), _time(wanted.until, "--until", last=True)

    def chosen(line: AuditLine) -> bool:
        at = moment(line.at)
        inside = at is None or ((since is None or at >= since) and (until is None or at <= until))
        mine = not wanted.reader or line.who == wanted.reader
        return inside and mine and (not wanted.patient or line.patient_id == wanted.patient)

    return chosen


def _time(text: str, option: str, *, last: bool) -> datetime | None:
    if not text:
        return None
    found = moment(text.strip())
    if found is None:
        raise ReviewError(f"{text!r} is no time", where=option, remedy="Write 2026-11-22 or 2026-11-22T15:00, in UTC")
    whole_day = last and len(text.strip()) <= len("2026-11-22")
    return found + timedelta(days=1, microseconds=-1) if whole_day else found


def _check_names(wanted: Wanted, lines: list[AuditLine], patients: set[str]) -> None:
    """Refuse a reader or a patient of whom nothing is known: an empty audit would look like one without changes."""
    readers = {line.who for line in lines if line.source != "trail" or line.what.startswith("review")}
    for name, known, what in ((wanted.reader, readers, "reader"), (wanted.patient, patients, "patient")):
        if name and name not in known:
            there = ", ".join(_some(sorted(known))) or "none"
            raise ReviewError(f"the study knows no {what} {name!r}; there are {there}", remedy="Look at the spelling")


def _some(names: list[str]) -> Iterator[str]:
    yield from names[:NAMED]
    if len(names) > NAMED:
        yield f"and {len(names) - NAMED} more"
