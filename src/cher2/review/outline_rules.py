"""The rules by which the sample of an image was graded, read back from the study."""

from __future__ import annotations

from typing import Any

import pandas as pd

from cher2.cells.flat_field import FlatField, flattened
from cher2.cells.frames import FrameFacts, shape_of_all
from cher2.cells.grading import intensity_reference
from cher2.cells.identification import Gates
from cher2.cells.sample_rules import SampleRules
from cher2.errors import StudyError
from cher2.protocol import Protocol
from cher2.study.folder import Study
from cher2.study.score_file import DAMAGED

_NEEDED = {"gates", "patient_id", "sample_id", "pixel_size_um"}
_REFERENCE = ["kind", "touches_border", "duplicate_of", "not_measurable", "her2_mean"]


def score_of(study: Study, image: str) -> dict[str, Any]:
    """Return what ``score.json`` says of a graded image.

    Raises
    ------
    StudyError
        The image is not scored, or its results are damaged.
    """
    score = study.score_of(image)
    if score is None or not score.keys() >= _NEEDED:
        raise StudyError(f"there are no results of {image}", where=str(study.path), remedy="Run 'cher2 run' again")
    return score


def sample_rules(study: Study, image: str, protocol: Protocol | None = None) -> SampleRules:
    """Return the rules by which the sample of an image was graded.

    Gates and flat field are what ``score.json`` tells; a study that was scored before the flat field was written
    there gives the same one from its measured objects. A unit of leukocytes needs all objects of the sample.

    Parameters
    ----------
    study : Study
        With the image's sample graded.
    image : str
    protocol : Protocol, optional
        The study's; read where it is left out.

    Returns
    -------
    SampleRules

    Raises
    ------
    StudyError
        The image is not scored, or its results are damaged.
    """
    protocol = protocol or study.protocol
    score = score_of(study, image)
    try:
        gates = Gates.from_dict(score["gates"])
        light = FlatField.from_dict(score["light"]) if "light" in score else None
    except DAMAGED as error:
        raise _damaged(study, image, "how its sample was graded") from error
    light = light or _light(study, score, protocol)
    reference = 0.0, 1.0, ""
    if protocol.grade.unit != "counts":
        tables = [study.objects_of(frame, columns=_REFERENCE) for frame in _frames(study, score)]
        reference = intensity_reference(pd.concat(tables, ignore_index=True), protocol.grade.unit)
    return SampleRules(gates, light, reference)


def _frames(study: Study, score: dict[str, Any]) -> list[str]:
    """Return the finished frames of the sample that an image belongs to."""
    samples = study.samples
    own = samples[(samples["patient_id"] == score["patient_id"]) & (samples["sample_id"] == score["sample_id"])]
    return [frame for frame in own["image"] if study.folder_of(frame).is_dir()]


def _light(study: Study, score: dict[str, Any], protocol: Protocol) -> FlatField:
    """Find the sample's flat field again, as grading found it."""
    frames = _frames(study, score)
    tables = [
        study.measured_of(frame).assign(
            duplicate_of=study.objects_of(frame, columns=["duplicate_of"])["duplicate_of"].to_numpy()
        )
        for frame in frames
    ]
    facts = [_facts(study, frame) for frame in frames]
    return flattened(pd.concat(tables, ignore_index=True), shape_of_all(facts), protocol)[1]


def _facts(study: Study, frame: str) -> FrameFacts:
    try:
        return FrameFacts.from_dict(score_of(study, frame)["frame"])
    except DAMAGED as error:
        raise _damaged(study, frame, "the facts of the frame") from error


def _damaged(study: Study, image: str, what: str) -> StudyError:
    return StudyError(
        f"the results of {image} are damaged: score.json does not tell {what}",
        where=str(study.path),
        remedy="Run 'cher2 run' again with --force",
    )
