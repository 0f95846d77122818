"""Whether a study's trail is as it was written, and whether outlines, runs and kept hashes are those that it knows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cher2.batch.findings import Finding, Level
from cher2.errors import StudyError
from cher2.study.folder import Study
from cher2.study.identity import IDENTITY
from cher2.study.provenance import digest_of_run, runs_of
from cher2.study.trail import TRAIL, Trail, outline_digests

FEWEST_DIGITS = 16
"""Digits of a hash by which an entry is known: of fewer, another could be found by trying."""

_NEITHER = "it stands neither in the log of decisions nor in the trail"


def check_trail(study: Study, trail: Trail, record: Mapping[str, Any]) -> Iterator[Finding]:
    """Check the chain of a trail, and that outlines, runs and the study's identity are those that it tells of.

    Parameters
    ----------
    study : Study
    trail : Trail
        As it lies on the disk.
    record : mapping
        What ``provenance.json`` says.
    """
    for fault in trail.faults:
        yield _finding("differs", fault.what, f"{TRAIL}/{fault.number:06d}.json")
    runs = runs_of(record)
    kept = [run["trail"] for run in runs if isinstance(run.get("trail"), dict)]
    if not trail.events:
        if kept:
            yield _finding("differs", "it was removed: provenance.json tells of it", TRAIL)
        elif not trail.faults:
            yield _finding("note", "an earlier cher2 wrote the study: it has no trail of events yet", TRAIL)
        return
    identities = {event.study for event in trail.events}
    if not (study.path / IDENTITY).exists():
        yield _finding("differs", "the study's identity is gone: its decisions are kept under it", IDENTITY)
    elif identities != {study.identity}:
        yield _finding("differs", "the study's identity is not the one that its trail tells of", IDENTITY)
    yield from _runs(trail, runs)
    try:
        for name, what in changed_outlines(study, trail):
            yield _finding("differs", what, name)
    except OSError as error:
        yield _finding("unverified", f"corrected outlines cannot be read ({error.strerror})")


def _finding(level: Level, what: str, where: str = "") -> Finding:
    return Finding("trail", level, what, where)


def _runs(trail: Trail, runs: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Compare the runs of ``provenance.json`` with those of a trail; earlier cher2's runs are in no trail."""
    hashes = {event.number: event.hash for event in trail.events}
    own = [run for run in runs if isinstance(run.get("trail"), dict)]
    digests = {digest_of_run(run) for run in own}
    noted = {str(event.facts.get("digest")): event for event in trail.events if event.what == "run"}
    for digest, event in noted.items():
        if digest not in digests:
            what = f"the run of {event.facts.get('ended')} is not as the trail knows it, or is gone"
            yield _finding("differs", what, "provenance.json")
    for run in own:
        number = run["trail"].get("number")
        if digest_of_run(run) not in noted:
            yield _finding("differs", f"the trail does not know the run of {run.get('ended')}", "provenance.json")
        elif number and hashes.get(number) != run["trail"].get("hash"):
            yield _finding("differs", f"event {number} is not the one that the run of {run.get('ended')} saw", TRAIL)


def changed_outlines(study: Study, trail: Trail) -> Iterator[tuple[str, str]]:
    """Yield files of corrected outlines that are not as they were saved, each with what is wrong with it.

    Raises
    ------
    OSError
        A file cannot be read.
    """
    known: dict[str, str] = {}
    for event in trail.events:
        if event.what == "begun":
            known |= {str(name): str(digest) for name, digest in event.fact("outlines").items()}
        elif event.what == "outline":
            known[str(event.facts.get("file"))] = str(event.facts.get("sha256"))
    there = dict(outline_digests(study.path))
    for name in sorted(known.keys() - there.keys()):
        yield name, "corrected outlines that were saved are gone"
    for name, digest in there.items():
        if name not in known:
            yield name, "corrected outlines that the trail does not know: put there by hand, or a crash while saving"
        elif known[name] != digest:
            yield name, "corrected outlines were altered after they were saved"


def kept_hashes(expected: Sequence[str]) -> list[str]:
    """Return hashes that were kept elsewhere as the log has them, in lower case.

    Raises
    ------
    StudyError
        One is no hash, or too short a part of one.
    """
    found = []
    for given in expected:
        kept = given.strip().lower()
        if not re.fullmatch(rf"[0-9a-f]{{{FEWEST_DIGITS},64}}", kept):
            raise StudyError(
                f"{given!r} is no hash",
                where="--expect",
                remedy=f"Give at least {FEWEST_DIGITS} of the 64 digits (0 to 9, a to f) that 'cher2 audit' printed",
            )
        found.append(kept)
    return found


def check_expected(expected: Sequence[str], hashes: Sequence[str], trail: Trail) -> Iterator[Finding]:
    """Look for hashes of :func:`kept_hashes` among those of the log's entries and of the trail's events."""
    there = {*hashes, *(event.hash for event in trail.events)}
    for kept in expected:
        if not any(known.startswith(kept) for known in there):
            yield _finding("differs", f"the hash {kept[:FEWEST_DIGITS]} that was kept elsewhere is gone: {_NEITHER}")
