"""The way from a frame to graded cells, in its two halves.

:func:`measure_image` needs one frame; :func:`grade_sample` needs all measured objects of a sample (a blood
draw), because automatic gates and leukocyte units are the sample's. :func:`score_image` is both, for a sample of
one frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.cells.duplicates import find_duplicates
from cher2.cells.flat_field import FlatField, flattened
from cher2.cells.frames import FrameFacts, frame_facts, largest_count_steps, shape_of_all
from cher2.cells.grading import grade_objects
from cher2.cells.identification import Gates, find_gates, identify
from cher2.cells.object_guards import check_graded
from cher2.cells.objects import GRADE_NAMES, with_types
from cher2.cells.quality import FrameQuality, frame_quality
from cher2.cells.segmented import measure_bodies, segment_image
from cher2.errors import ImageError
from cher2.images.image import Image
from cher2.protocol import Protocol, as_protocol

ALGORITHM = "4"
"""Version of the algorithm: whatever changes a number in the table of objects changes it."""

MEASURING_SECTIONS = ("channels", "image", "compensation", "segmentation")
"""The protocol's sections that the measured half depends on; the others change only the grading half."""


@dataclass(frozen=True, eq=False)
class MeasuredImage:
    """A frame's objects, measured but not yet identified.

    Parameters
    ----------
    labels : ndarray of int32, shape (Y, X)
        The cell bodies.
    objects : DataFrame
        One row an object.
    frame : FrameFacts
        What grading needs to know of the frame besides.
    quality : FrameQuality
        How sharp, saturated and evenly lit the frame is; nothing depends on it.
    """

    labels: NDArray[np.int32]
    objects: pd.DataFrame
    frame: FrameFacts
    quality: FrameQuality


class GradedSample(NamedTuple):
    """The graded cells of a sample.

    Parameters
    ----------
    objects : DataFrame
        The sample's rows with every column of :data:`cher2.cells.objects.COLUMNS`.
    gates : Gates
        The gates that were in force.
    flat_field : FlatField
        The uneven illumination that was taken out, or why none was.
    """

    objects: pd.DataFrame
    gates: Gates
    flat_field: FlatField


@dataclass(frozen=True, eq=False)
class ScoredImage:
    """A frame's graded cells.

    Parameters
    ----------
    labels : ndarray of int32, shape (Y, X)
        The cell bodies; ``object_id`` in the table is the label.
    objects : DataFrame
        One row an object, as in :data:`cher2.cells.objects.COLUMNS`.
    gates : Gates
        The gates that were in force.
    """

    labels: NDArray[np.int32]
    objects: pd.DataFrame
    gates: Gates

    @property
    def ctcs(self) -> pd.DataFrame:
        """The rows that are CTCs."""
        return self.objects[self.objects["kind"] == "ctc"]

    def __str__(self) -> str:
        ctcs = self.ctcs
        counts = [int((ctcs["grade_auto"] == grade).sum()) for grade in range(4)]
        grades = ", ".join(f"{n} graded {name}" for n, name in zip(counts, GRADE_NAMES, strict=True))
        positive = sum(counts[1:])
        ratio = f"{(counts[2] + counts[3]) / positive:.2f}" if positive else "undefined (no HER2+ CTC)"
        leukocytes = int((self.objects["kind"] == "leukocyte").sum())
        return f"{len(ctcs)} CTCs ({grades}), {leukocytes} leukocytes; cHER2 ratio {ratio}"


def score_image(image: Image, protocol: Protocol | str | None = None) -> ScoredImage:
    """Find, identify and grade the cells of one frame.

    Parameters
    ----------
    image : Image
        The frame; see :func:`cher2.read_image`.
    protocol : Protocol or str, optional
        The laboratory's decisions, or the file that holds them; the defaults where it is left out.

    Returns
    -------
    ScoredImage

    Raises
    ------
    ChannelError
        The image lacks a channel that the protocol names, or has it twice.
    """
    protocol = as_protocol(protocol)
    if not isinstance(image, Image):
        raise ImageError(
            f"a frame is scored from an Image, not from {type(image).__name__}",
            remedy="Read it with cher2.read_image, or make it with cher2.Image(pixels, channels)",
        )
    measured = measure_image(image, protocol)
    # A frame by itself is a sample of a patient of its own, called as it is.
    sample = measured.objects.assign(patient_id=image.name, sample_id=image.name)
    graded = grade_sample(sample, protocol, (measured.frame,))
    return ScoredImage(measured.labels, graded.objects, graded.gates)


def measure_image(image: Image, protocol: Protocol) -> MeasuredImage:
    """Segment one frame and measure its objects.

    Parameters
    ----------
    image : Image
        The frame.
    protocol : Protocol
        Only its sections :data:`MEASURING_SECTIONS` matter here.

    Returns
    -------
    MeasuredImage

    Raises
    ------
    ChannelError
        The image lacks a channel that the protocol names, or has it twice.
    ProtocolError
        The protocol's compensation cannot be carried out.
    SegmenterError
        The protocol's segmenter is not installed, cannot be loaded, or fails.
    """
    segmented = segment_image(image, protocol)
    facts = frame_facts(image, segmented.planes, segmented.pixel_size_um)
    return MeasuredImage(segmented.segmentation.labels, measure_bodies(segmented), facts, frame_quality(segmented))


def grade_sample(objects: pd.DataFrame, protocol: Protocol, frames: Sequence[FrameFacts] = ()) -> GradedSample:
    """Identify and grade all measured objects of one sample.

    Parameters
    ----------
    objects : DataFrame
        The measured objects of every frame of the sample; ``patient_id`` and ``sample_id`` are filled with an
        empty text where they are not there.
    protocol : Protocol
        Its sections ``identify`` and ``grade`` matter here, ``image.overlap_px`` and ``image.flat_field``.
    frames : sequence of FrameFacts
        The sample's frames. Without them no cell is known to be in two frames, and intensities are not corrected
        for uneven illumination.

    Returns
    -------
    GradedSample
        Rows with ``duplicate_of`` are identified and graded as others are, but neither gates nor units of
        leukocytes come from them.

    Raises
    ------
    Cher2FaultError
        A grade does not follow from its intensity, or a kind from its gates.
    """
    table = objects.assign(
        patient_id=objects.get("patient_id", ""),
        sample_id=objects.get("sample_id", ""),
        duplicate_of=find_duplicates(objects, frames, protocol.image.overlap_px),
    )
    table, flat_field = flattened(table, shape_of_all(frames), protocol)
    unique = table[table["duplicate_of"] == ""]
    gates = find_gates(unique, protocol.identify, largest_count_steps(frames))
    table = pd.concat([table, identify(table, gates, protocol.identify)], axis=1)
    table = with_types(pd.concat([table, grade_objects(table, protocol.grade)], axis=1))
    check_graded(table, objects, protocol.grade)
    return GradedSample(table, gates, flat_field)


def count_ctcs(objects: pd.DataFrame, protocol: Protocol, frame: FrameFacts) -> int:
    """Count the CTCs among a frame's measured objects by its own gates: a running count, at a tenth of a grading."""
    gates = find_gates(objects, protocol.identify, largest_count_steps((frame,)))
    return int((identify(objects, gates, protocol.identify)["kind"] == "ctc").sum())
