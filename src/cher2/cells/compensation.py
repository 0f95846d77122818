"""Spill: light of one stain that is seen in the channel of another, how to take it away and how to estimate it.

What is measured is a fixed mixture of the stains' true signals, measured = S true, with ones on the diagonal of S
and the protocol's fractions beside it; so the true signals are S^-1 measured, as in flow cytometry [1]_.

References
----------
.. [1] Bagwell, Adams. Fluorescence spectral overlap compensation for any number of flow cytometry parameters.
   Annals of the New York Academy of Sciences 677 (1993) 167-184.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cher2.errors import ProtocolError
from cher2.protocol import ROLES, Role

Plane = NDArray[np.float32]

MAX_CONDITION = 10.0
"""Condition of the mixture from which it is refused: errors of its fractions and noise would grow as much."""


def unmixing(compensation: Mapping[str, float]) -> NDArray[np.float64]:
    """Return the weights that take the spill out, the inverse of the mixture.

    Parameters
    ----------
    compensation : dict of float
        As for :func:`compensate`.

    Returns
    -------
    ndarray, shape (4, 4)
        Rows: the true signals; columns: the measured ones; both in the order of :data:`cher2.protocol.ROLES`.

    Raises
    ------
    ProtocolError
        The fractions cannot be told apart: the mixture is singular or nearly so.
    """
    mixture = np.eye(len(ROLES))
    for pair, fraction in compensation.items():
        source, _, target = pair.partition("->")
        mixture[_row(target, pair), _row(source, pair)] = fraction
    condition = float(np.linalg.cond(mixture)) if np.isfinite(mixture).all() else float("inf")
    if not condition <= MAX_CONDITION:
        raise ProtocolError(
            f"these fractions of spill cannot be taken back: the channels are nearly the same "
            f"(condition {condition:.3g}, at most {MAX_CONDITION:g})",
            where="compensation",
            remedy="Look for a fraction that is too large; real ones are a few hundredths",
        )
    unmixing: NDArray[np.float64] = np.linalg.inv(mixture).astype(np.float64)
    return unmixing


def compensate(signals: Mapping[Role, Plane], compensation: Mapping[str, float]) -> dict[Role, Plane]:
    """Take the spill out of the channels of a frame.

    Parameters
    ----------
    signals : dict of ndarray of float32, shape (Y, X)
        The four channels by role, without their background.
    compensation : dict of float
        The protocol's fractions: ``{"ck->her2": 0.03}`` where 3 % of the CK signal are seen in HER2.

    Returns
    -------
    dict of ndarray of float32, shape (Y, X)
        The channels without spill. One that receives none is the same array as before.

    Raises
    ------
    ProtocolError
        The fractions cannot be told apart: the mixture is singular or nearly so.
    """
    weights = unmixing(compensation)
    return {role: _weighted_sum(signals, role, weights[row]) for row, role in enumerate(ROLES)}


def compensated_noise(noise: Mapping[Role, float], compensation: Mapping[str, float]) -> dict[Role, float]:
    """Return the noise of a background pixel after compensation.

    A compensated channel takes on part of the noise of the channels that are subtracted from it; as the channels'
    noise is independent, the parts add in squares. The shot noise of the spilled light itself stays in the pixels
    of bright cells, and is not in this figure.

    Parameters
    ----------
    noise : dict of float
        Standard deviation of a background pixel by role, in counts.
    compensation : dict of float
        As for :func:`compensate`.

    Returns
    -------
    dict of float
    """
    spread = np.hypot.reduce(unmixing(compensation) * np.array([noise[role] for role in ROLES]), axis=1)
    return {role: float(spread[row]) for row, role in enumerate(ROLES)}


def _row(role: str, pair: str) -> int:
    named: tuple[Any, ...] = ROLES
    if role.strip() not in named:
        raise ProtocolError(f'"{pair}" must be two of {", ".join(ROLES)}', where="compensation")
    return named.index(role.strip())


def _weighted_sum(signals: Mapping[Role, Plane], role: Role, weights: NDArray[np.float64]) -> Plane:
    own = ROLES.index(role)
    others = [k for k in np.flatnonzero(weights) if k != own]
    if not others:
        return signals[role]
    total: Plane = cv2.addWeighted(
        signals[role], float(weights[own]), signals[ROLES[others[0]]], float(weights[others[0]]), 0.0
    )
    for k in others[1:]:
        cv2.addWeighted(total, 1.0, signals[ROLES[k]], float(weights[k]), 0.0, dst=total)
    return total
