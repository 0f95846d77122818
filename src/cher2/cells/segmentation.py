"""From the channels of one frame to labelled nuclei and cell bodies.

The built-in segmentation has three steps, each in a room of its own: the background is taken away
(:mod:`~cher2.cells.background`), nuclei are found in DAPI (:mod:`~cher2.cells.nuclei`), and bodies around them
in cytokeratin and CD45 (:mod:`~cher2.cells.bodies`). Nothing in it is random, and no threshold is an absolute
count: a frame read as 8 bits, 16 bits or float gives the same objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cher2.cells.background import Background, estimate_background
from cher2.cells.bodies import find_bodies, prepare_stain, where_present
from cher2.cells.compensation import compensate, compensated_noise
from cher2.cells.nuclei import find_nuclei
from cher2.cells.segmenters.assembly import objects_by
from cher2.cells.segmenters.interface import CheckedSegmenter
from cher2.protocol import ROLES, Role


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The objects of a frame as label images, with the backgrounds that were found on the way.

    Parameters
    ----------
    labels : ndarray of int32, shape (Y, X)
        Cell bodies, 1 to n; 0 is background.
    nuclei : ndarray of int32, shape (Y, X)
        The nucleus of body k has the label k; an object without a nucleus has none.
    signals : dict of ndarray of float32, shape (Y, X)
        Each channel, by role, without its background and without the spill of the others.
    backgrounds : dict of Background
        Each channel's background, by role; its noise is that of `signals`.
    overlaid : ndarray of bool, shape (Y, X)
        Where a leukocyte lies over an epithelial cell: its CD45 is not that cell's.
    """

    labels: NDArray[np.int32]
    nuclei: NDArray[np.int32]
    signals: Mapping[Role, NDArray[np.float32]]
    backgrounds: Mapping[Role, Background]
    overlaid: NDArray[np.bool_]


def segment(
    planes: Mapping[Role, NDArray[Any]],
    pixel_size_um: float,
    compensation: Mapping[str, float] | None = None,
    segmenter: CheckedSegmenter | None = None,
) -> Segmentation:
    """Find the objects of a frame.

    Parameters
    ----------
    planes : dict of ndarray, shape (Y, X)
        The four channels in raw counts, by role.
    pixel_size_um : float
        Side of a pixel in micrometres.
    compensation : dict of float, optional
        The protocol's fractions of spill, taken out before anything is looked for; see
        :mod:`cher2.cells.compensation`.
    segmenter : CheckedSegmenter, optional
        What finds the nuclei or the cells in place of the built-in steps, from the raw planes.

    Returns
    -------
    Segmentation

    Raises
    ------
    ProtocolError
        The spill cannot be taken out.
    SegmenterError
        The segmenter fails, or gives no label image.
    """
    backgrounds = {role: estimate_background(planes[role], pixel_size_um) for role in ROLES}
    signals = _without_backgrounds(planes, backgrounds)
    if compensation:
        signals = compensate(signals, compensation)
        noise = compensated_noise({role: backgrounds[role].noise for role in ROLES}, compensation)
        backgrounds = {role: replace(backgrounds[role], noise=noise[role]) for role in ROLES}
    ck, cd45 = (prepare_stain(signals[role], backgrounds[role].noise, pixel_size_um) for role in ("ck", "cd45"))
    epithelial = where_present(ck, pixel_size_um)
    leukocytes = where_present(cd45, pixel_size_um) & ~epithelial
    own_nuclei = partial(find_nuclei, signals["dapi"], backgrounds["dapi"].noise, pixel_size_um, leukocytes, epithelial)
    bodies_around = partial(find_bodies, ck=ck, cd45=cd45, leukocytes=leukocytes, pixel_size_um=pixel_size_um)
    if segmenter is None:
        nuclei = own_nuclei()
        bodies = bodies_around(nuclei)
    else:
        nuclei, bodies = objects_by(segmenter, planes, pixel_size_um, own_nuclei, bodies_around)
    return Segmentation(bodies.labels, nuclei, signals, backgrounds, bodies.overlaid)


def _without_backgrounds(
    planes: Mapping[Role, NDArray[Any]], backgrounds: Mapping[Role, Background]
) -> dict[Role, NDArray[np.float32]]:
    """Return the channels without their backgrounds."""
    # One block for all: the C library learns from the largest block that is freed how much memory to keep at hand
    # for the next frame. With a block a plane it gives all back, and getting it anew costs a fifth of the time.
    block = np.empty((len(ROLES), *planes[ROLES[0]].shape), np.float32)
    return {role: backgrounds[role].taken_from(planes[role], out) for role, out in zip(ROLES, block, strict=True)}


def segment_nuclei(dapi: NDArray[Any], pixel_size_um: float) -> NDArray[np.int32]:
    """Find the nuclei alone, in one channel of raw counts (Y, X); see :func:`segment`."""
    background = estimate_background(dapi, pixel_size_um)
    return find_nuclei(background.taken_from(dapi), background.noise, pixel_size_um)
