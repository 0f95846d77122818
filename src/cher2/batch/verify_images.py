"""What a worker verifies: the bytes and results of one image file, and the grades of one sample.

Paths go to the workers and findings come back, as in :mod:`cher2.batch.tasks`.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cher2.batch.findings import Check, Finding, Level
from cher2.batch.table_differences import compare_labels, compare_objects
from cher2.batch.tasks import grading_fingerprint
from cher2.cells.frames import FrameFacts
from cher2.cells.objects import COLUMNS, GRADED
from cher2.cells.score import grade_sample, measure_image
from cher2.errors import Cher2Error, StudyError
from cher2.images.files import ImageFile
from cher2.images.reader import frame_name, open_frames
from cher2.protocol import Protocol
from cher2.review.outline_frame import machine_labels
from cher2.study.fingerprints import altered_files
from cher2.study.folder import LABELS, MEASURED, OBJECTS, SCORE, Study
from cher2.study.provenance import file_digest
from cher2.study.score_file import DAMAGED

PARTS = (OBJECTS, MEASURED, LABELS, SCORE)
"""The files of an image's results."""


@dataclass(frozen=True)
class FileCheck:
    """What came of verifying one image file and the results of its frames.

    Parameters
    ----------
    findings : tuple of Finding
    as_scored : bool
        Its bytes are those that were scored.
    recomputed : tuple of str
        Frames that were measured again.
    unsigned : tuple of str
        Frames whose results carry no fingerprints: an earlier cher2 wrote them.
    otherwise : tuple of str
        Frames that another protocol, or another version, has measured.
    suspects : tuple of str
        Frames with a file that was altered: their samples are graded again.
    """

    findings: tuple[Finding, ...] = ()
    as_scored: bool = False
    recomputed: tuple[str, ...] = ()
    unsigned: tuple[str, ...] = ()
    otherwise: tuple[str, ...] = ()
    suspects: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rules:
    """What verifying needs to know besides a file: the same for every task.

    Parameters
    ----------
    study : Path
        The study folder.
    protocol : Protocol
        The study's.
    measuring : str
        The fingerprint that measured frames should have; empty where frames are not measured again.
    same_machine : bool
        Libraries and processor are those that the study was computed with.
    """

    study: Path
    protocol: Protocol
    measuring: str
    same_machine: bool


def check_file(name: str, file: ImageFile | None, rows: pd.DataFrame, chosen: Sequence[str], rules: Rules) -> FileCheck:
    """Verify one image file: its bytes, the stored results of its frames, and the chosen frames measured again.

    Parameters
    ----------
    name : str
        The file's name.
    file : ImageFile, optional
        The file; None where it was not found.
    rows : DataFrame
        The rows of the study's samples for its frames.
    chosen : sequence of str
        The frames to be measured again; those whose results were altered are measured as well.
    rules : Rules
    """
    study = Study(rules.study)
    found: list[Finding] = []
    unsigned, suspects, scores = [], [], {}
    for row in rows.to_dict("records"):
        image = str(row["image"])
        score = scores[image] = study.score_of(image) or {}
        altered = altered_files(score, study.folder_of(image)) if score else []
        if altered is None:
            unsigned.append(image)
        elif altered:
            suspects.append(image)
            found += [
                Finding("files", "differs", f"{part} was changed after it was written", image) for part in altered
            ]
        found += check_stored(study, row, score)
    inputs = [] if file is None else list(_check_bytes(file, scores))
    found += inputs
    as_scored = file is not None and not inputs
    otherwise = [image for image in scores if rules.measuring and scores[image].get("measuring") != rules.measuring]
    recomputed: list[str] = []
    if file is not None and as_scored and rules.measuring:
        again = [image for image in scores if image in {*chosen, *suspects} and image not in otherwise]
        for image, more in _measure_again(file, again, scores, rules):
            recomputed.append(image)
            found += more
    return FileCheck(tuple(found), as_scored, tuple(recomputed), tuple(unsigned), tuple(otherwise), tuple(suspects))


def check_stored(study: Study, row: Mapping[Hashable, Any], score: Mapping[str, Any]) -> list[Finding]:
    """Check that a frame's stored results are there, can be read and fit together; `row` is its row of samples."""
    image = str(row["image"])

    def fault(what: str, check: Check = "structure") -> Finding:
        return Finding(check, "differs", what, image)

    folder = study.folder_of(image)
    there = {path.name for path in folder.iterdir()}
    found = [fault(f"{part} is missing") for part in PARTS if part not in there]
    found += [fault(f"{part!r} does not belong into the folder of an image") for part in sorted(there - {*PARTS})]
    if SCORE in there and not score:
        found.append(fault("score.json cannot be read"))
    if found and not there >= {*PARTS}:
        return found
    try:
        objects, measured = study.objects_of(image), study.measured_of(image)
        labels = machine_labels(study, image)
    except StudyError as error:
        return [*found, fault(error.what + f" ({Path(error.where).name})")]
    for table, part, absent in ((objects, OBJECTS, ()), (measured, MEASURED, GRADED)):
        found += [fault(f"{part}: {words}") for words in table_faults(table, absent)]
    if found:
        return found
    if objects["object_id"].tolist() != measured["object_id"].tolist():
        found.append(fault("objects.parquet and measured.parquet hold different objects"))
    if set(np.unique(labels).tolist()) - {0} != set(measured["object_id"].tolist()):
        found.append(fault("labels.tif and measured.parquet hold different objects"))
    for column in ("image", "patient_id", "sample_id"):
        others = sorted(set(objects[column].tolist()) - {row[column]})
        if others:
            found.append(fault(f"{column} is {others[0]!r} in objects.parquet and {row[column]!r} in samples.csv"))
    if score and score.get("n_objects") != len(measured):
        found.append(
            fault(f"score.json tells of {score.get('n_objects')} objects, measured.parquet holds {len(measured)}")
        )
    return found


def table_faults(table: pd.DataFrame, absent: Sequence[str] = ()) -> list[str]:
    """Say which columns of a table of objects are missing or of another kind; `absent` need not be there."""
    faults = []
    for column in COLUMNS:
        if column.name in absent:
            continue
        if column.name not in table:
            faults.append(f"the column {column.name} is missing")
        elif column.dtype not in ("str", "bool") and not pd.api.types.is_numeric_dtype(table[column.name]):
            faults.append(f"the column {column.name} does not hold numbers")
    return faults


def _check_bytes(file: ImageFile, scores: dict[str, dict[str, Any]]) -> Iterator[Finding]:
    """Compare an image file's bytes with those that its frames were scored from."""
    try:
        digest = file_digest(file)
    except Cher2Error as error:
        yield Finding("inputs", "unverified", error.what, file.name)
        return
    for image, score in scores.items():
        source = score.get("source")
        stored = source.get("digest") if isinstance(source, dict) else None
        if stored is None:
            yield Finding("inputs", "unverified", "score.json does not say which bytes were scored", image)
        elif stored != digest:
            yield Finding("inputs", "differs", "the image's bytes are not those that were scored", image)


def _measure_again(
    file: ImageFile, images: Sequence[str], scores: dict[str, dict[str, Any]], rules: Rules
) -> Iterator[tuple[str, list[Finding]]]:
    """Measure frames of a file again and compare each with what is stored of it."""
    if not images:
        return
    try:
        with open_frames(file, rules.protocol) as opened:
            numbers = {frame_name(file.name, k, len(opened)): k for k in range(len(opened))}
            for image in images:
                if image in numbers:
                    again = measure_image(opened.read(numbers[image], image), rules.protocol)
                    found = _compare_measured(Study(rules.study), image, again.objects, again.labels, rules)
                    facts = again.frame.as_dict()
                    found += [_of_facts(key, image) for key in _other_facts(facts, scores[image])]
                    found += _other_quality("quality", again.quality.as_dict(), scores[image], image, rules)
                    yield image, found
                else:
                    what = f"the file has {len(opened)} frames, and this is none of them"
                    yield image, [Finding("measured", "differs", what, image)]
    except Cher2Error as error:
        yield images[0], [Finding("measured", "unverified", f"it cannot be measured again: {error.what}", file.name)]


def _compare_measured(study: Study, image: str, objects: pd.DataFrame, labels: Any, rules: Rules) -> list[Finding]:
    try:
        stored_labels, stored = machine_labels(study, image), study.measured_of(image)
    except StudyError:
        return []  # Told by check_stored.
    if "object_id" not in stored:
        return []
    found = compare_labels(stored_labels, labels, image)
    return found + compare_objects(stored, objects, "measured", image, same_machine=rules.same_machine)


def _other_facts(facts: dict[str, Any], score: dict[str, Any]) -> list[str]:
    stored = score.get("frame")
    stored = stored if isinstance(stored, dict) else {}
    return [key for key in facts if not _same(facts[key], stored.get(key))]


def _same(value: Any, stored: Any) -> bool:
    """Say whether a value is what JSON made of it: a tuple is a list there, and a NaN equals itself."""
    return json.dumps(value, sort_keys=True) == json.dumps(stored, sort_keys=True)


def _of_facts(key: str, image: str) -> Finding:
    return Finding("measured", "differs", f"score.json says another {key} than the image", image, f"frame.{key}")


def _other_quality(key: str, measured: Any, score: dict[str, Any], image: str, rules: Rules) -> list[Finding]:
    """Compare measures of quality with the stored ones; results of an earlier cher2 have none."""
    if not rules.same_machine or key not in score or _same(measured, score[key]):
        return []
    return [Finding("measured", "differs", "score.json says another quality than the image has", image, key)]


def check_sample(patient_id: str, sample_id: str, images: Sequence[str], rules: Rules) -> tuple[Finding, ...]:
    """Grade a sample again from its stored measured objects, and compare with its stored grades.

    Parameters
    ----------
    patient_id, sample_id : str
        The sample.
    images : sequence of str
        Its scored frames, in the order of the study's list of samples.
    rules : Rules
    """
    study = Study(rules.study)
    where = f"{patient_id} {sample_id}" if sample_id != patient_id else patient_id

    def finding(what: str, level: Level = "differs") -> tuple[Finding, ...]:
        return (Finding("graded", level, what, where),)

    try:
        measured = [study.measured_of(image) for image in images]
        stored = [study.objects_of(image) for image in images]
        scores = [study.score_of(image) or {} for image in images]
        facts = [FrameFacts.from_dict(score["frame"]) for score in scores]
    except (Cher2Error, *DAMAGED):
        return finding("the sample cannot be graded again: results of its frames are damaged", "unverified")
    if any(table_faults(table, GRADED) for table in measured) or any("object_id" not in table for table in stored):
        return finding("the sample cannot be graded again: results of its frames are damaged", "unverified")
    wanted = grading_fingerprint(rules.protocol, patient_id, sample_id, images)
    if any(score.get("grading") != wanted for score in scores):
        return finding("the sample was graded by another protocol than protocol.toml, or of other frames")
    table = pd.concat(measured, ignore_index=True).assign(patient_id=patient_id, sample_id=sample_id)
    objects, gates, _ = grade_sample(table, rules.protocol, facts)
    found: list[Finding] = []
    start = 0
    for image, before, own, score in zip(images, stored, measured, scores, strict=True):
        rows = objects.iloc[start : start + len(own)].reset_index(drop=True)
        start += len(own)
        found += compare_objects(before, rows, "graded", image, same_machine=rules.same_machine)
        if rules.same_machine and not _same(asdict(gates), score.get("gates")):
            found.append(Finding("graded", "differs", "score.json tells of other gates than the sample has", image))
    return tuple(found)
