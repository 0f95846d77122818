"""What a worker does: measure the frames of a file, and grade the frames of a sample.

Paths go to the workers and counts come back; pixels never travel.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cher2.cells.duplicates import how_sought
from cher2.cells.frames import FrameFacts
from cher2.cells.quality import leukocytes_her2
from cher2.cells.score import ALGORITHM, MEASURING_SECTIONS, count_ctcs, grade_sample, measure_image
from cher2.cells.segmenters.registry import segmenter_versions
from cher2.errors import TOO_MANY_FILES, Cher2Error, Cher2FaultError, ImageError, StudyError, lacks_handles, refusal
from cher2.images.files import ImageFile, named_by_image
from cher2.images.image import Image
from cher2.images.library_faults import in_own_words
from cher2.images.reader import frame_name, open_frames
from cher2.images.remote import fetched
from cher2.protocol import Protocol
from cher2.study.fault_file import faults_filed
from cher2.study.folder import Measured, Study
from cher2.study.provenance import file_digest, file_stamp
from cher2.study.score_file import DAMAGED


@dataclass(frozen=True)
class FileOutcome:
    """What became of a file.

    Parameters
    ----------
    file : str
        Its name.
    frames : tuple of str
        The names of its frames; empty where it failed.
    ctcs : int
        CTCs found by each frame's own gates: a running count, before the sample's gates decide.
    error, message : str
        What failed, or empty.
    """

    file: str
    frames: tuple[str, ...] = ()
    ctcs: int = 0
    error: str = ""
    message: str = ""


@dataclass(frozen=True)
class SampleOutcome:
    """What became of a sample: its CTCs, or what failed."""

    sample_id: str
    ctcs: int = 0
    error: str = ""
    message: str = ""


def measuring_fingerprint(protocol: Protocol) -> str:
    """Return a hash of what a measured frame depends on besides its own bytes.

    Raises
    ------
    SegmenterError
        The protocol's segmenter, whose version is part of it, is not installed.
    """
    versions = [f"{name} {version}" for name, version in segmenter_versions(protocol.segmentation).items()]
    # Which frames overlap, and how evenly they are lit, is the sample's affair: it changes no frame by itself.
    image = protocol.image.model_copy(update={"overlap_px": 0, "flat_field": "auto"})
    rules = protocol.model_copy(update={"image": image}).fingerprint(*MEASURING_SECTIONS)
    return _hash([ALGORITHM, rules, *versions])


def grading_fingerprint(protocol: Protocol, patient_id: str, sample_id: str, frames: Sequence[str]) -> str:
    """Return a hash of what a sample's grades depend on besides its measured frames."""
    rules = protocol.fingerprint("identify", "grade")
    return _hash(
        [ALGORITHM, rules, str(protocol.image.overlap_px), protocol.image.flat_field, patient_id, sample_id, *frames]
    )


def measure_file(file: ImageFile, study: Path, protocol: Protocol) -> FileOutcome:
    """Measure every frame of a file and write them into the study's waiting room: all, or none."""
    home, frames, ctcs = Study(study), list[str](), 0
    try:
        stamp = file_stamp(file)
        with faults_filed(home), fetched(file) as here, open_frames(here, protocol) as opened:
            source: dict[str, Any] = {}
            for k in range(len(opened)):
                image = opened.read(k, frame_name(file.name, k, len(opened)))
                # Not before a frame was read: a file may claim terabytes.
                source = source or {"stamp": stamp, "digest": file_digest(here), "frames": len(opened)}
                ctcs += _measure_frame(image, home, protocol, source)
                frames.append(image.name)
        _check_as_before(file, stamp)
    except Exception as error:
        if lacks_handles(error):
            return _failed(file, home, frames, StudyError(""), str(refusal(OSError(TOO_MANY_FILES, ""))))
        if isinstance(error, (OSError, MemoryError)):
            error = refusal(error).within(file.name)
        if isinstance(error, Cher2Error):
            # Of the study itself, the user on the screen must know where it lies.
            words = str(error) if isinstance(error, StudyError) else named_by_image(str(error), file)
            return _failed(file, home, frames, error, words)
        # One frame that breaks cher2 must not end a night's run: it is named, with the fault.
        fault = f"{file.name}: this is a fault of cher2 ({in_own_words(error)}). Please report it with the file."
        return _failed(file, home, frames, error, " ".join(fault.split()))
    return FileOutcome(file.name, tuple(frames), ctcs)


def _check_as_before(file: ImageFile, stamp: list[list[Any]]) -> None:
    """Refuse a file that was written to while it was read: its digest and its pixels may be of two files."""
    if file_stamp(file) != stamp:
        raise ImageError(
            "the file has changed while it was read",
            where=file.name,
            remedy="Let nothing write to the images, and run the same command again",
        )


def _failed(file: ImageFile, study: Study, frames: Sequence[str], error: Exception, message: str) -> FileOutcome:
    for frame in frames:
        study.forget(frame, measured=True)
    return FileOutcome(file.name, error=type(error).__name__, message=message)


def _measure_frame(image: Image, study: Study, protocol: Protocol, source: dict[str, Any]) -> int:
    measured = measure_image(image, protocol)
    score = {
        "image": image.name,
        "source": source,
        "measuring": measuring_fingerprint(protocol),
        "pixel_size_um": image.pixel_size_um or protocol.image.pixel_size_um,
        "pixel_size_from": "file" if image.pixel_size_um else "protocol",
        "frame": measured.frame.as_dict(),
        "quality": measured.quality.as_dict(),
        "n_objects": len(measured.objects),
        "synthetic": image.synthetic,
        "most_counts": _most_counts(image),
        "exposure_ms": image.exposures(protocol.channels),
    } | _from_export(image)
    study.write_measured(image.name, measured.labels, measured.objects, score)
    return count_ctcs(measured.objects, protocol, measured.frame)


def _from_export(image: Image) -> dict[str, Any]:
    """Return what a CellTracks export says beside the pixels; nothing of other images."""
    said: dict[str, Any] = {"remarks": list(image.remarks)} if image.remarks else {}
    if image.selected is not None:
        said["selected"] = [[cell.name, *cell.box] for cell in image.selected]
    return said


def _most_counts(image: Image) -> int | None:
    """Return the most that a pixel of an image can be, where that is known: by its type or by the file's word."""
    if image.bits is not None:
        return int(2**image.bits - 1)
    if np.issubdtype(image.pixels.dtype, np.integer):
        return 255 if image.pixels.dtype == np.uint8 else None
    # Floats have no end, but those that somebody scaled to 1.
    return 1 if float(image.pixels.max()) <= 1 else None


def grade_frames(
    study: Path, protocol: Protocol, patient_id: str, sample_id: str, frames: Sequence[str]
) -> SampleOutcome:
    """Grade the measured frames of one sample and write them among the finished ones."""
    try:
        with faults_filed(Study(study)):
            return _grade_frames(Study(study), protocol, patient_id, sample_id, frames)
    except Cher2FaultError:
        # Nothing can be done about it here: it ends the run, in its own words.
        raise
    except Cher2Error as error:
        return SampleOutcome(sample_id, error=type(error).__name__, message=str(error))


def _grade_frames(
    study: Study, protocol: Protocol, patient_id: str, sample_id: str, frames: Sequence[str]
) -> SampleOutcome:
    found = [_newest(study, frame) for frame in frames]
    facts = [_facts(one.score, one.name) for one in found]
    table, n_rows = study.read_measured(found)
    sample = table.assign(patient_id=patient_id, sample_id=sample_id)
    objects, gates, flat_field = grade_sample(sample, protocol, facts)
    of_sample = {
        "patient_id": patient_id,
        "sample_id": sample_id,
        "grading": grading_fingerprint(protocol, patient_id, sample_id, frames),
        "gates": asdict(gates),
        "duplicates": how_sought(facts, protocol.image.overlap_px),
        "flat_field": str(flat_field),
        "light": flat_field.as_dict(),
        "leukocytes_her2": leukocytes_her2(objects),
        "her2_not_evened": flat_field.reason_of("her2"),
    }
    scores = [
        one.score | of_sample | {"n_objects": n} | counts
        for one, n, counts in zip(found, n_rows, _counts(objects, n_rows), strict=True)
    ]
    study.write_graded(found, objects, n_rows, scores)
    return SampleOutcome(sample_id, sum(score["n_ctcs"] for score in scores))


def _newest(study: Study, frame: str) -> Measured:
    found = study.newest(frame)
    if found is None:
        raise StudyError(
            f"what was measured of {frame} is no longer there",
            where=str(study.path),
            remedy="Let nothing else write to the study, and run the same command again",
        )
    return found


def _facts(score: dict[str, Any], frame: str) -> FrameFacts:
    try:
        return FrameFacts.from_dict(score["frame"])
    except DAMAGED as error:
        raise StudyError(
            f"the results of {frame} are damaged: score.json does not describe the frame",
            remedy="Run 'cher2 run' again with --force",
        ) from error


def _counts(objects: pd.DataFrame, n_rows: Sequence[int]) -> list[dict[str, int]]:
    """Count, of each frame, the cells of each kind that are nobody's duplicates, and the duplicates."""
    frame = np.repeat(np.arange(len(n_rows)), n_rows)
    single = (objects["duplicate_of"] == "").to_numpy(bool)
    kind = objects["kind"].to_numpy()
    wanted = {
        "n_ctcs": single & (kind == "ctc"),
        "n_leukocytes": single & (kind == "leukocyte"),
        "n_duplicates": ~single,
    }
    counts = {name: np.bincount(frame[rows], minlength=len(n_rows)).tolist() for name, rows in wanted.items()}
    return [{name: counts[name][number] for name in wanted} for number in range(len(n_rows))]


def _hash(parts: list[str]) -> str:
    return hashlib.sha256(json.dumps(parts).encode(errors="surrogatepass")).hexdigest()[:16]
