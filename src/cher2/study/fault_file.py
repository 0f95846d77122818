"""The file that is sent when a check of cher2's own numbers has failed: what is wrong, and nobody's name.

``STUDY/faults/<check>-<digest>.json`` holds the check, the rows concerned, the versions and the numbers of the
protocol. Names of patients, samples, images and readers, and every other word that is not cher2's own, are numbers in
it; no path and no pixel is there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cher2.errors import Cher2Error, Cher2FaultError
from cher2.study.folder import Study
from cher2.study.provenance import software
from cher2.study.tables import write_whole

FAULTS = "faults"
"""The folder of the study that they lie in."""

OWN_WORDS = (
    "kind",
    "kind_final",
    "failed_gate",
    "not_measurable",
    "not_graded",
    "group",
    "expected",
    "endpoint",
)
"""Columns whose words are cher2's own."""

_OWN_SETTINGS = ("flat_field", "segmenter", "unit", "count", "draws", "no_site", "correction")

PRIVACY = (
    "Names of patients, samples, images and readers, and all other words that are not cher2's own, are numbers here; "
    "no path is told, and no pixel"
)


@contextmanager
def faults_filed(study: Study) -> Iterator[None]:
    """Write a fault of cher2 that the block meets into the study, and let it say where.

    Raises
    ------
    Cher2FaultError
        The same, with the file to be sent.
    """
    try:
        yield
    except Cher2FaultError as fault:
        if fault.file:
            raise
        raise _filed(fault, study) from fault


def has_faults(study: Study) -> bool:
    """Say whether a study has a file to be sent."""
    return (study.path / FAULTS).is_dir()


def _filed(fault: Cher2FaultError, study: Study) -> Cher2FaultError:
    content = json.dumps(as_sent(fault, study), indent=1, sort_keys=True).encode()
    name = f"{fault.check}-{hashlib.sha256(content).hexdigest()[:8]}.json"
    try:
        (study.path / FAULTS).mkdir(exist_ok=True)
        write_whole(study.path / FAULTS / name, content + b"\n")
    except (OSError, Cher2Error):
        # A full disk must not hide the fault: the message then is what there is to send.
        return fault
    return fault.in_file(f"{FAULTS}/{name}")


def as_sent(fault: Cher2FaultError, study: Study) -> dict[str, Any]:
    """Return what is sent of a fault: no name of the study's, and no path.

    Parameters
    ----------
    fault : Cher2FaultError
    study : Study
        Its protocol's numbers go along, where it can be read.
    """
    try:
        protocol = _numbers(study.protocol.model_dump(mode="json"))
    except Cher2Error:
        protocol = {}
    numbers: dict[tuple[str, str], int] = {}
    return {
        "what": fault.what,
        "check": fault.check,
        "rows": [{key: _nameless(key, value, numbers) for key, value in row.items()} for row in fault.rows],
        "protocol": protocol,
        "software": software(),
        "privacy": PRIVACY,
    }


def _nameless(column: str, value: Any, numbers: dict[tuple[str, str], int]) -> Any:
    """Return a value, with a number in place of a name: the same for the same name."""
    if not isinstance(value, str) or not value or column in OWN_WORDS:
        return value
    first = 1 + sum(1 for known, _ in numbers if known == column)
    return f"{column} {numbers.setdefault((column, value), first)}"


def _numbers(section: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of a section of the protocol, and the words that are cher2's own."""
    kept: dict[str, Any] = {}
    for key, value in section.items():
        if isinstance(value, Mapping):
            kept[key] = _numbers(value)
        elif isinstance(value, str):
            if value == "auto" or key in _OWN_SETTINGS:
                kept[key] = value
        elif isinstance(value, list):
            kept[key] = [number for number in value if isinstance(number, (int, float))]
        else:
            kept[key] = value
    return kept
