"""Whether a study folder is whole by itself: what is in it, and whether its provenance tells of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from cher2.batch.findings import Finding, Level
from cher2.cells.score import ALGORITHM
from cher2.cells.segmenters.registry import segmenter_versions
from cher2.protocol import Protocol
from cher2.review.backups import BACKUPS
from cher2.review.open_log import REVIEWS
from cher2.review.outline_log import EDITS
from cher2.review.results import LOST
from cher2.study.fault_file import FAULTS
from cher2.study.fingerprints import digest_of
from cher2.study.folder import Study, image_id
from cher2.study.identity import IDENTITY
from cher2.study.machine import describe_machine
from cher2.study.provenance import digest_of_images, runs_of, software
from cher2.study.trail import TRAIL

KNOWN = {
    *("protocol.toml", "samples.csv", "clinical.csv", "provenance.json", IDENTITY, "images", ".measured", EDITS, TRAIL),
    BACKUPS,
    *("cells.csv", "patients.csv", "quality.csv", "errors.csv", "comparison.csv", "survival.csv", "report.html", LOST),
    *("agreement.csv", "protocol_calibrated.toml", "celltracks.csv", "celltracks_cells.csv", FAULTS),
    *(f"{REVIEWS}{suffix}" for suffix in ("", "-wal", "-shm", "-journal")),
}
"""What cher2 writes into a study folder."""


def check_structure(study: Study) -> Iterator[Finding]:
    """Check that every image is scored or told to have failed, and that nothing is there that nobody knows."""

    def finding(level: Level, what: str, where: str = "") -> Finding:
        return Finding("structure", level, what, where)

    images, failed = study.samples["image"].tolist(), set(study.failed["image"])
    folders = {image_id(image) for image in images}
    room = study.path / "images"
    there = {path.name for path in room.iterdir()} if room.is_dir() else set()
    for image, rows in Counter(images).items():
        scored = image_id(image) in there
        if rows > 1:
            yield finding("differs", "samples.csv names the image twice", image)
        if not scored and image not in failed:
            yield finding("differs", "the image is neither scored nor in errors.csv", image)
        if scored and image in failed:
            yield finding("differs", "the image is scored, and in errors.csv as well", image)
    for image in sorted(failed - set(images)):
        yield finding("differs", "errors.csv names an image that samples.csv does not", image)
    for name in sorted(there - folders):
        yield finding("differs", "a folder of results whose image samples.csv does not name", f"images/{name}")
    waiting = study.path / ".measured"
    for path in sorted(waiting.iterdir()) if waiting.is_dir() else ():
        yield finding("differs", "an image waits to be graded: a run was broken off", f".measured/{path.name}")
    edits = study.path / EDITS
    for path in sorted(edits.iterdir()) if edits.is_dir() else ():
        if path.name not in folders:
            what = "corrected outlines of an image that samples.csv does not name"
            yield finding("differs", what, f"{EDITS}/{path.name}")
    for path in sorted(study.path.iterdir()):
        if path.name not in KNOWN:
            yield finding("note", "nothing that cher2 writes; it was not looked at", path.name)


def check_provenance(study: Study, record: Mapping[str, Any]) -> Iterator[Finding]:
    """Check that ``provenance.json`` is there and tells of this protocol, these samples and these images."""

    def finding(level: Level, what: str, where: str = "provenance.json") -> Finding:
        return Finding("provenance", level, what, where)

    if not record:
        yield finding("differs", "it is not there or cannot be read")
        return
    told = record.get("protocol")
    if not isinstance(told, dict) or told.get("fingerprint") != study.protocol.fingerprint():
        yield finding("differs", "the protocol is not the one of the last run", "protocol.toml")
    files = record.get("files")
    if not isinstance(files, dict):
        yield finding("note", "an earlier cher2 wrote it: it tells neither files nor inputs by their digests")
        return
    for name, digest in files.items():
        path = study.path / name
        if not path.is_file() or digest_of(path) != digest:
            yield finding("differs", "the file is not as the last run wrote it", name)
    inputs = record.get("inputs")
    if not isinstance(inputs, dict) or inputs.get("images") != digest_of_images(study):
        yield finding("differs", "the images of the last run are not those of the stored results")
    runs = record.get("runs")
    newest = runs[-1] if isinstance(runs, list) and runs else {}
    if any(newest.get(key) != record.get(key) for key in ("started", "ended", "protocol", "inputs", "files")):
        yield finding("differs", "its newest run is not the one that it tells of")


def other_versions(protocol: Protocol, record: Mapping[str, Any]) -> str:
    """Say in words which version of the algorithm or of the segmenter a study was computed with, if not with this one.

    Returns
    -------
    str
        Empty where they are the same, or where the study does not say.

    Raises
    ------
    SegmenterError
        The protocol's segmenter is not installed.
    """
    installed = {"algorithm": ALGORITHM, **segmenter_versions(protocol.segmentation)}
    told = record.get("software")
    told = told if isinstance(told, dict) else {}
    others = [f"{name} {told[name]}, not {now}" for name, now in installed.items() if told.get(name, now) != now]
    return "; ".join(others)


def same_machine(record: Mapping[str, Any]) -> bool:
    """Say whether every run of a study had the libraries and the processor that are here: any may have measured it."""
    processor, versions, runs = _processor(describe_machine()), software(), runs_of(record)
    return bool(runs) and all(
        isinstance(run.get("machine"), dict)
        and isinstance(run.get("software"), dict)
        and _processor(run["machine"]) == processor
        and versions.items() <= run["software"].items()
        for run in runs
    )


def _processor(machine: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what of a machine decides a sum's last digits; limits of threads, which Dask changes here, do not."""
    arithmetic = machine.get("arithmetic")
    arithmetic = arithmetic if isinstance(arithmetic, dict) else {}
    told = {**machine, **arithmetic}
    return tuple(told.get(key) for key in ("system", "architecture", "blas", "vector_instructions"))
