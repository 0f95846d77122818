"""What grading a sample needs to know of each frame besides its objects.

Overlaps of frames, the flat field and the depth of the counts are facts of the sample's frames; their pixels are
gone by then, so these few numbers are kept of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cher2.images.image import Image
from cher2.protocol import ROLES, Role

SAMPLED_ROWS = 16
"""Rows of a plane that are looked at for the step of its counts."""

MOST_STEPS = 2**16
"""Counts have at most so many steps from the least to the most: what is finer has no steps, it is a float."""


@dataclass(frozen=True)
class FrameFacts:
    """One frame of a sample, without its pixels.

    Parameters
    ----------
    image : str
        The frame's name, as in the table of objects.
    rows, columns : int
        Its size in pixels.
    pixel_size_um : float
        Side of a pixel: the file's word, or the protocol's where it has none.
    position_um : tuple of float or None
        Stage position (y, x) of its first pixel, where the file tells it.
    count_step : dict of float
        By role, the smallest step of a channel's counts: 1 for a camera's own counts, more for data of fewer bits
        that somebody stretched (16 or 257 for 8 bits in 16), 0 for floats that have no step.
    """

    image: str
    rows: int
    columns: int
    pixel_size_um: float
    position_um: tuple[float, float] | None
    count_step: Mapping[Role, float]

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as JSON can hold them; :meth:`from_dict` gives the same facts back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Self:
        """Return the facts that :meth:`as_dict` wrote.

        Raises
        ------
        LookupError, TypeError, ValueError, ArithmeticError
            `facts` are not those of a frame.
        """
        y_and_x = facts["position_um"]
        return cls(
            image=str(facts["image"]),
            rows=int(facts["rows"]),
            columns=int(facts["columns"]),
            pixel_size_um=float(facts["pixel_size_um"]),
            position_um=None if y_and_x is None else (float(y_and_x[0]), float(y_and_x[1])),
            count_step={role: float(step) for role, step in dict(facts["count_step"]).items()},
        )


def frame_facts(image: Image, planes: Mapping[Role, NDArray[Any]], pixel_size_um: float) -> FrameFacts:
    """Return the facts of a frame.

    Parameters
    ----------
    image : Image
        The frame.
    planes : dict of ndarray, shape (Y, X)
        Its channels in raw counts, by role.
    pixel_size_um : float
        Side of a pixel in micrometres.
    """
    steps = {role: count_step(plane) for role, plane in planes.items()}
    return FrameFacts(image.name, *image.shape, pixel_size_um, image.position_um, steps)


def count_step(plane: NDArray[Any]) -> float:
    """Return the smallest step of a channel's counts, from the pixels of some of its rows.

    Parameters
    ----------
    plane : ndarray, shape (Y, X)
        Raw counts of any real type.

    Returns
    -------
    float
        The smallest difference of two counts that occur; 0 for floats that do not lie on a grid of steps. Whole
        numbers of which fewer than three occur have the step 1: two values tell nothing of those between them.
    """
    every = max(1, len(plane) // SAMPLED_ROWS)
    values = np.unique(plane[every // 2 :: every])
    values = values[np.isfinite(values)].astype(np.float64)
    whole = bool(np.all(values == np.rint(values)))
    if len(values) < 3:
        return 1.0 if whole else 0.0
    steps = np.diff(values)
    smallest = float(steps.min())
    # A stretch to a whole range that is no multiple has steps of two sizes, such as 16 and 17: both are steps.
    if whole:
        return smallest
    multiples = steps / smallest
    on_grid = smallest * MOST_STEPS > values[-1] - values[0] and np.allclose(multiples, np.rint(multiples), atol=0.05)
    return smallest if on_grid else 0.0


def shape_of_all(frames: Sequence[FrameFacts]) -> tuple[int, int] | None:
    """Return rows and columns of a sample's frames; None where there is no frame or they differ."""
    shapes = {(frame.rows, frame.columns) for frame in frames}
    return shapes.pop() if len(shapes) == 1 else None


def largest_count_steps(frames: Sequence[FrameFacts]) -> dict[Role, float]:
    """Return, by role, the coarsest step of the counts in a sample's frames; empty without frames."""
    return {role: max(frame.count_step.get(role, 0.0) for frame in frames) for role in ROLES} if frames else {}
