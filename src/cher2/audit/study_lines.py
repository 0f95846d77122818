"""Runs, reviews, imports and corrected outlines as lines of the audit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cher2.audit.decision_lines import imported_entries
from cher2.audit.lines import AuditLine, joined
from cher2.errors import ReviewError
from cher2.review.outline_log import Correction, edits_folder, has_corrections, read_corrections
from cher2.study.folder import Study
from cher2.study.provenance import digest_of_run
from cher2.study.trail import Event

SHOWN = 12
"""Digits by which a fingerprint is named."""

_WHAT = {
    "begun": "trail begun",
    "derived": "tables derived",
    "review_opened": "review opened",
    "review_closed": "review closed",
    "imported": "decisions imported",
    "outline": "outlines saved",
    "run": "scored",
}


def event_lines(events: Iterable[Event], runs: Iterable[Mapping[str, Any]]) -> list[AuditLine]:
    """Return a trail's events as lines of the audit, with the runs that ``provenance.json`` tells of.

    Saved outlines are left out: :func:`outline_lines` tells more of them.

    Parameters
    ----------
    events : iterable of Event
    runs : iterable of mapping
        The runs of ``provenance.json``, oldest first; an earlier cher2's come before the trail.
    """
    told = {digest_of_run(run): run for run in runs}
    events = list(events)
    noted = {event.facts.get("digest") for event in events}
    lines, protocol = [], _Protocol()
    for number, (digest, run) in enumerate(told.items()):
        if digest not in noted:
            lines.append(protocol.line(run, None, -number))
    for event in events:
        if event.what == "run":
            lines.append(protocol.line(told.get(str(event.facts.get("digest")), {}), event, event.number))
        elif event.what != "outline":
            lines.append(_line(event))
    return lines


def _line(event: Event) -> AuditLine:
    log = event.fact("decisions")
    details = f"{log.get('entry', 0)} decisions in the log" if log else ""
    if event.what in ("review_opened", "review_closed"):
        details = joined(f"queue {event.facts.get('queue')}", "blind" if event.facts.get("blind") else "", details)
    if event.what == "imported":
        first, last = imported_entries(event)
        details = f"entries {first} to {last} from {event.facts.get('file')}"
    if event.what == "begun":
        details = f"{len(event.fact('outlines'))} files of corrected outlines were there already"
    what = _WHAT[event.what]
    return AuditLine(event.at, "trail", event.number, event.who or "cher2", what, details=details, hash=event.hash)


class _Protocol:
    """The protocol in force while runs are told one after the other."""

    def __init__(self) -> None:
        self._name, self._settings = "", dict[str, Any]()

    def line(self, run: Mapping[str, Any], event: Event | None, number: int) -> AuditLine:
        """Return the line of a run: as ``provenance.json`` tells of it, as the trail does, or both."""
        facts: Mapping[str, Any] = event.facts if event else run
        protocol = facts.get("protocol")
        name = _named(protocol) if isinstance(protocol, dict) else "unknown"
        settings = event.fact("settings") if event else {}
        changed = bool(self._name) and name != self._name
        differences = "; ".join(_differences(self._settings, settings)) if self._settings and settings else ""
        software = run.get("software")
        software = software if isinstance(software, dict) else {}
        command = " ".join(map(str, run.get("command") or []))
        line = AuditLine(
            at=event.at if event else str(facts.get("ended", "")),
            source="trail",
            number=number,
            who=f"cher2 {software.get('cher2', '')}".strip(),
            what="scored, protocol changed" if changed else "scored",
            before=self._name if changed else "",
            after=name,
            details=joined(
                "" if run else "NOT AS STORED: provenance.json does not tell of this run",
                differences,
                f"algorithm {software['algorithm']}" if "algorithm" in software else "",
                f"{run['n_files']} files, {run.get('n_failed', 0)} failed" if "n_files" in run else "",
                command,
            ),
            hash=event.hash if event else "",
        )
        self._name, self._settings = name, settings or self._settings
        return line


def _named(protocol: Mapping[str, Any]) -> str:
    return f"{protocol.get('name', '')} ({str(protocol.get('fingerprint', ''))[:SHOWN]})"


def _differences(before: Mapping[str, Any], after: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Yield the keys of a protocol whose value is another, each with both values."""
    for key in sorted({*before, *after}):
        was, now = before.get(key), after.get(key)
        if isinstance(was, dict) and isinstance(now, dict):
            yield from _differences(was, now, f"{above}{key}.")
        elif was != now:
            yield f"{above}{key} from {_value(was)} to {_value(now)}"


def _value(value: object) -> str:
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def outline_lines(
    study: Study, patients: Mapping[str, str], events: Iterable[Event]
) -> tuple[list[list[AuditLine]], list[str]]:
    """Return corrected outlines as lines of the audit, each image's by themselves in the order of saving.

    Parameters
    ----------
    study : Study
    patients : mapping
        The patient of each image.
    events : iterable of Event
        The study's trail: it names images whose corrections may be gone.

    Returns
    -------
    list of list of AuditLine
    list of str
        What could not be read, in words.
    """
    saved = [event for event in events if event.what == "outline"]
    images = dict.fromkeys([*patients, *(str(event.facts.get("image")) for event in saved)])
    hashes = {str(event.facts.get("file")): str(event.facts.get("sha256")) for event in saved}
    found, faults = [], []
    for image in images:
        if not has_corrections(study, image):
            continue
        try:
            corrections = read_corrections(study, image)
        except ReviewError as error:
            faults.append(str(error))
            continue
        below = edits_folder(study, image).relative_to(study.path).as_posix()
        known = {name.rpartition("-")[2]: digest for name, digest in hashes.items() if name.startswith(f"{below}/")}
        found.append(
            [
                _outline(number, correction, patients, known.get(f"{correction.correction_id[:12]}.json", ""))
                for number, correction in enumerate(corrections, start=1)
            ]
        )
    return found, faults


def _outline(number: int, correction: Correction, patients: Mapping[str, str], digest: str) -> AuditLine:
    what = {"correct": "outlines corrected", "take_back": "outlines taken back", "measure": "outlines measured again"}
    drawn = [outline.object_id for outline in correction.outlines]
    before = [place.object_id for place in correction.removed]
    before += [outline.before.object_id for outline in correction.outlines if outline.before is not None]
    after = ", ".join(f"{outline.object_id} ({outline.area_px} px)" for outline in correction.outlines)
    return AuditLine(
        at=correction.corrected_at,
        source="outline",
        number=number,
        who=correction.reader,
        what=what[correction.action],
        patient_id=patients.get(correction.image, ""),
        image=correction.image,
        object_id=drawn[0] if len(drawn) == 1 else None,
        before=f"objects {', '.join(map(str, sorted(before)))}" if before else "",
        after=f"objects {after}" if after else "removed" if before else "",
        details=f"correction {correction.refers_to[:SHOWN]}" if correction.refers_to else "",
        hash=digest,
    )
