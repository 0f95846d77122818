"""What a segmenter is, and the check of what it gives.

A segmenter is foreign code: its label image is looked at before anything is measured in it, and whatever it raises
is told as its own fault, by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from cher2.errors import Cher2Error, SegmenterError
from cher2.protocol import BUILT_IN, ROLES, Role

Finds = Literal["nuclei", "cells"]
"""What the labels of a segmenter are."""

MAX_LABEL = np.iinfo(np.int32).max
"""The largest number that a label may have."""


class Segmenter(Protocol):
    """A callable that finds the nuclei or the cells of one frame.

    Parameters
    ----------
    planes : mapping of ndarray, shape (Y, X)
        The four channels by role (``dapi``, ``ck``, ``cd45``, ``her2``): counts as they stand in the file, not
        compensated, with their background; for reading only.
    pixel_size_um : float
        Side of a pixel in micrometres.

    Returns
    -------
    ndarray of whole numbers, shape (Y, X)
        0 is background; every other number is one nucleus or one cell.
    """

    finds: Finds
    """Whether the labels are nuclei, around which cher2 grows the bodies, or whole cells."""

    def __call__(self, planes: Mapping[Role, NDArray[Any]], pixel_size_um: float) -> NDArray[Any]:
        """Return the label image of a frame."""
        ...


@dataclass(frozen=True, eq=False)
class CheckedSegmenter:
    """A segmenter with its name, whose labels are looked at before cher2 uses them.

    Parameters
    ----------
    name : str
        Its name in the protocol, for errors.
    segmenter : Segmenter

    Raises
    ------
    SegmenterError
        It cannot be called, or does not say what it finds.
    """

    name: str
    segmenter: Segmenter

    def __post_init__(self) -> None:
        finds = getattr(self.segmenter, "finds", None)
        if not callable(self.segmenter) or finds not in get_args(Finds):
            raise SegmenterError(
                f"{type(self.segmenter).__name__} with finds = {finds!r} is no segmenter",
                where=self._where,
                remedy='A segmenter can be called, and its attribute finds is "nuclei" or "cells"',
            )

    @property
    def finds(self) -> Finds:
        """What the labels are."""
        return self.segmenter.finds

    def __call__(self, planes: Mapping[Role, NDArray[Any]], pixel_size_um: float) -> NDArray[np.int32]:
        """Return the labels that the segmenter gives for a frame, checked and in order.

        Parameters
        ----------
        planes : mapping of ndarray, shape (Y, X)
            The four channels in raw counts, by role.
        pixel_size_um : float
            Side of a pixel in micrometres.

        Returns
        -------
        ndarray of int32, shape (Y, X)
            Labels 1 to n in the order of their first pixels, row by row. Each is one piece: of a label in several
            pieces, which do not touch even at a corner, the largest is kept.

        Raises
        ------
        SegmenterError
            The segmenter fails, or what it gives is no label image of this frame.
        """
        views = MappingProxyType({role: _for_reading(planes[role]) for role in ROLES})
        try:
            given = self.segmenter(views, pixel_size_um)
        except Cher2Error:
            raise
        except Exception as error:  # Foreign code raises what it likes; it is its fault, not cher2's.
            raise SegmenterError(
                f"it fails on this frame ({type(error).__name__}: {error})",
                where=self._where,
                remedy=f'Report it to those who made it, or choose segmenter = "{BUILT_IN}"',
            ) from error
        return _in_order(_checked(given, planes["dapi"].shape, self._where))

    @property
    def _where(self) -> str:
        return f"segmenter {self.name}"


def _for_reading(plane: NDArray[Any]) -> NDArray[Any]:
    view = plane.view()
    view.flags.writeable = False
    return view


def _checked(given: object, shape: tuple[int, ...], where: str) -> NDArray[np.int32]:
    """Return a label image as int32, or say why it is none."""
    if not isinstance(given, np.ndarray):
        raise _no_label_image(f"it gives {type(given).__name__}, not an array", where)
    if given.shape != shape:
        raise _no_label_image(f"its labels have the shape {given.shape}, the frame {shape}", where)
    if given.dtype.kind not in "iuf":
        raise _no_label_image(f"its labels are of type {given.dtype}, not whole numbers", where)
    if given.dtype.kind == "f" and not (np.isfinite(given).all() and (given == np.floor(given)).all()):
        raise _no_label_image("its labels are not all whole numbers", where)
    if given.min(initial=0) < 0 or given.max(initial=0) > MAX_LABEL:
        raise _no_label_image(f"its labels are not all between 0 and {MAX_LABEL}", where)
    return given.astype(np.int32)


def _no_label_image(what: str, where: str) -> SegmenterError:
    return SegmenterError(
        what,
        where=where,
        remedy="A segmenter gives a label image: whole numbers of the frame's shape, 0 for the background",
    )


def _in_order(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Keep the largest piece of each label, and number the labels in the order of their first pixels."""
    # Pieces come numbered in the order of their first pixels.
    from skimage.measure import label

    pieces = label(labels, background=0, connectivity=2)
    areas = np.bincount(pieces.ravel())
    owners = np.zeros(len(areas), np.int32)
    owners[pieces.ravel()] = labels.ravel()
    by_size = np.lexsort((np.arange(len(areas)), -areas, owners))
    # Of each owner the first is its largest piece, the uppermost of several as large.
    largest = by_size[np.flatnonzero(np.diff(owners[by_size], prepend=-1))]
    kept = np.sort(largest[owners[largest] > 0])
    numbers = np.zeros(len(areas), np.int32)
    numbers[kept] = np.arange(1, len(kept) + 1)
    in_order: NDArray[np.int32] = numbers[pieces]
    return in_order
