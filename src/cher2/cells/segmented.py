"""A frame cut into cells and ready to be measured: the bodies that were found, or those that a reader drew.

Finding the cells is the costly half of measuring a frame, and what a reader corrects does not change it: the
backgrounds, the signals and the nuclei stay. So a frame is segmented once and measured as often as its outlines are
corrected, by the same functions that measured the machine's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.cells.measurement import measure, without_her2
from cher2.cells.object_guards import check_measured
from cher2.cells.segmentation import Segmentation, segment
from cher2.cells.segmenters.registry import load_segmenter
from cher2.errors import ImageError
from cher2.images.image import Image
from cher2.protocol import Protocol, Role


@dataclass(frozen=True, eq=False)
class SegmentedImage:
    """A frame with the machine's segmentation, and what measuring it needs besides.

    Parameters
    ----------
    name : str
        The frame's name.
    segmentation : Segmentation
    planes : dict of ndarray, shape (Y, X)
        The channels in raw counts, by role.
    pixel_size_um : float
        Side of a pixel in micrometres.
    saturation : float
        The count at which the camera saturates.
    has_her2 : bool
        Whether the protocol has a HER2 channel.
    """

    name: str
    segmentation: Segmentation
    planes: Mapping[Role, NDArray[Any]]
    pixel_size_um: float
    saturation: float
    has_her2: bool


def segment_image(image: Image, protocol: Protocol) -> SegmentedImage:
    """Segment one frame as the protocol says.

    Parameters
    ----------
    image : Image
    protocol : Protocol
        Only its sections :data:`cher2.cells.score.MEASURING_SECTIONS` matter here.

    Returns
    -------
    SegmentedImage

    Raises
    ------
    ChannelError
        The image lacks a channel that the protocol names, or has it twice.
    ProtocolError
        The protocol's compensation cannot be carried out.
    SegmenterError
        The protocol's segmenter is not installed, cannot be loaded, or fails.
    """
    pixel_size_um = image.pixel_size_um or protocol.image.pixel_size_um
    planes = image.planes(protocol.channels)
    segmentation = segment(planes, pixel_size_um, protocol.compensation, load_segmenter(protocol.segmentation))
    return SegmentedImage(image.name, segmentation, planes, pixel_size_um, image.saturation, protocol.channels.has_her2)


def measure_bodies(segmented: SegmentedImage, labels: NDArray[np.int32] | None = None) -> pd.DataFrame:
    """Measure the machine's bodies of a frame, or others in their place.

    The nucleus of a body is what of the machine's nuclei lies in it. So an object whose body and whose neighbours
    are as the machine found them gives the machine's row, to the last digit.

    Parameters
    ----------
    segmented : SegmentedImage
    labels : ndarray of int, shape (Y, X), optional
        The bodies, in numbers above 0 that need not follow one another; the machine's where it is left out.

    Returns
    -------
    DataFrame
        One row an object in the order of their numbers: ``image``, and the measured columns of
        :data:`cher2.cells.objects.COLUMNS`.

    Raises
    ------
    ImageError
        The labels are not of the frame's shape.
    Cher2FaultError
        The objects are not those of the labels.
    """
    segmentation, numbers = segmented.segmentation, None
    if labels is not None:
        numbers, compact = _numbered_on(labels, segmentation.labels.shape, segmented.name)
        nuclei = np.where(segmentation.nuclei > 0, compact, 0).astype(np.int32)
        segmentation = replace(segmentation, labels=compact, nuclei=nuclei)
    objects = measure(segmentation, segmented.planes, segmented.pixel_size_um, segmented.saturation)
    if numbers is not None:
        objects["object_id"] = numbers
    if not segmented.has_her2:
        objects = without_her2(objects)
    objects.insert(0, "image", segmented.name)
    check_measured(
        objects,
        segmentation.labels if labels is None else labels,
        segmented.pixel_size_um,
        name=segmented.name,
        has_her2=segmented.has_her2,
        numbered=labels is None,
    )
    return objects


def _numbered_on(
    labels: NDArray[Any], shape: tuple[int, ...], name: str
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the numbers that occur, and the labels numbered 1 to n in their order."""
    if labels.shape != shape:
        raise ImageError(
            f"the outlines have the shape {labels.shape}, the frame {shape}",
            where=name,
            remedy="Outlines are measured in the frame that they were drawn on",
        )
    there = np.flatnonzero(np.bincount(labels.ravel()))
    numbers: NDArray[np.int32] = there[there > 0].astype(np.int32)
    compact = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
    compact[numbers] = np.arange(1, len(numbers) + 1)
    bodies: NDArray[np.int32] = compact[labels]
    return numbers, bodies
