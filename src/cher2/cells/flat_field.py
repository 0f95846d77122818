"""The evenness of the light: each channel's illumination over the frame, found from a sample's leukocytes.

Illumination is smooth and belongs to the instrument, so that it is the same in every frame of a sample. A sample's
leukocytes are alike but for chance, wherever they lie: where in the frame they look brighter, there is more light.
Segmentation is local and does not need to know; what was measured of the cells is divided by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.cells.identification import leukocyte_like
from cher2.cells.robust_fit import robust_fit
from cher2.protocol import ROLES, Identify, Protocol, Role

Values = NDArray[np.float64]

MIN_CELLS, MIN_FRAMES = 100, 4
"""Fewer leukocytes tell no surface of six coefficients; in fewer frames, what is one frame's own passes for light."""

WELL_KNOWN = 0.03
"""The largest error (rms over the frame) with which an illumination may be applied."""

CLEARLY = 2.0
"""The unevenness that is found must be so many times its error. Even light passes with a chance of 1 in 1,000: the
square of their quotient is then chi-squared with 5 degrees of freedom, over 5, and must exceed 4."""

BRIGHT_ENOUGH = 5.0
"""Standard errors of a mean that the leukocytes' median must reach: below, their logarithms are those of noise."""

N_SURFACES = 5
"""Of :func:`_surfaces`."""

LOWEST = 0.05
"""A part of their median that holds the few values at or below 0 off it: they are outliers, of a bounded pull."""

COLUMNS: dict[Role, tuple[str, ...]] = {
    "dapi": ("dapi_mean",),
    "ck": ("ck_mean", "ck_gate"),
    "cd45": ("cd45_mean", "cd45_gate"),
    "her2": ("her2_mean", "her2_se", "her2_p90", "her2_membrane"),
}
"""The intensities that are light of the cell. ``her2_background`` is not: it holds the camera's offset."""

NAMES: dict[Role, str] = {"dapi": "DAPI", "ck": "CK", "cd45": "CD45", "her2": "HER2"}


@dataclass(frozen=True)
class Illumination:
    """The illumination of one channel.

    Parameters
    ----------
    coefficients : tuple of float
        Of the logarithm of the light, in the five surfaces of :func:`_surfaces`. Empty where it is not applied.
    mean : float
        Mean of their exponential over the frame, which the light is divided by: its mean is 1.
    unevenness : float
        What was found: rms over the frame of the light's logarithm, so nearly of the light around its mean.
    error : float
        Expected error of that logarithm, rms over the frame. Both are NaN where nothing could be fitted.
    reason : str
        Why it is not applied; empty where it is.
    """

    coefficients: tuple[float, ...] = ()
    mean: float = 1.0
    unevenness: float = np.nan
    error: float = np.nan
    reason: str = ""


@dataclass(frozen=True)
class FlatField:
    """The illumination of a sample's frames.

    Parameters
    ----------
    shape : tuple of int, or None
        Rows and columns of every frame.
    illumination : dict of Illumination
        By role; empty where there is none for any.
    cells, frames : int
        The leukocytes that it rests on, and the frames that they lie in.
    reason : str
        Why there is none for any role; empty where some were looked at.
    """

    shape: tuple[int, int] | None
    illumination: dict[Role, Illumination]
    cells: int
    frames: int
    reason: str = ""

    def at(self, role: Role, y_px: Values, x_px: Values) -> Values:
        """Return the relative light of a channel at places of the frame; 1 where it is not applied."""
        found = self.illumination.get(role)
        if found is None or found.reason or self.shape is None:
            return np.ones(len(y_px))
        u, v = (2 * y_px + 1) / self.shape[0] - 1, (2 * x_px + 1) / self.shape[1] - 1
        return np.asarray(np.exp(_surfaces(u, v) @ np.array(found.coefficients)) / found.mean)

    def reason_of(self, role: Role) -> str:
        """Return why a channel is not corrected; empty where it is."""
        return self.reason or self.illumination[role].reason

    def as_dict(self) -> dict[str, Any]:
        """Return the flat field as JSON can hold it; :meth:`from_dict` gives the same back."""
        record = asdict(self)
        for found in record["illumination"].values():
            found |= {name: None for name in ("unevenness", "error") if np.isnan(found[name])}
        return record

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Return the flat field that :meth:`as_dict` wrote.

        Raises
        ------
        LookupError, TypeError, ValueError, ArithmeticError
            `record` is not that of a flat field.
        """
        shape = record["shape"]
        return cls(
            shape=None if shape is None else (int(shape[0]), int(shape[1])),
            illumination={role: _illumination_from(found) for role, found in dict(record["illumination"]).items()},
            cells=int(record["cells"]),
            frames=int(record["frames"]),
            reason=str(record["reason"]),
        )

    def __str__(self) -> str:
        if self.reason:
            return f"No flat field: {self.reason}"
        applied = {role: found for role, found in self.illumination.items() if not found.reason}
        words = [
            f"{NAMES[role]} by {found.unevenness:.1%}, known to {found.error:.1%}" for role, found in applied.items()
        ]
        kept = [f"{NAMES[role]}: {found.reason}" for role, found in self.illumination.items() if found.reason]
        text = f"Flat field from {self.cells} leukocytes in {self.frames} frames: "
        text += f"corrected {'; '.join(words)} (rms over the frame)" if words else "nothing corrected"
        return text + (f". Not corrected: {'; '.join(kept)}" if kept else "")


def flattened(
    objects: pd.DataFrame, shape: tuple[int, int] | None, protocol: Protocol
) -> tuple[pd.DataFrame, FlatField]:
    """Correct the measured intensities of a sample for uneven illumination, as far as the protocol wants it.

    Parameters
    ----------
    objects : DataFrame
        All measured objects of one sample, as they were measured.
    shape : tuple of int, or None
        Rows and columns of every frame; None where they differ or are not known.
    protocol : Protocol
        Its key ``image.flat_field``, and what it calls a nucleated cell.

    Returns
    -------
    objects : DataFrame
        With corrected intensities, or as they were.
    field : FlatField
        What was corrected, and why not what was not; `str` says it in a sentence.
    """
    if protocol.image.flat_field == "none":
        field = FlatField(shape, {}, 0, 0, 'switched off by the protocol (image.flat_field = "none")')
    else:
        field = estimate_flat_field(objects, shape, protocol.identify)
    return apply_flat_field(objects, field), field


def estimate_flat_field(
    objects: pd.DataFrame, shape: tuple[int, int] | None, settings: Identify | None = None
) -> FlatField:
    """Estimate the illumination of each channel from a sample's leukocyte-like cells.

    The logarithm of a cell's intensity is that of its own brightness, which varies by chance, and that of the
    light: a quadratic in y and x, fitted robustly, each cell weighed by its spread and, in HER2, by its standard
    error. A channel's illumination is applied only where it is known to 3 % and is at least twice its error.

    Parameters
    ----------
    objects : DataFrame
        All measured objects of one sample, as they were measured.
    shape : tuple of int, or None
        Rows and columns of every frame; None where they differ or are not known.
    settings : Identify, optional
        What is a nucleated cell.

    Returns
    -------
    FlatField

    References
    ----------
    Singh, Bray, Jones, Carpenter: Pipeline for illumination correction of images for high-throughput microscopy.
    Journal of Microscopy 256, 231 (2014), for one field per channel from all images of a batch.
    """
    if shape is None:
        return FlatField(None, {}, 0, 0, "the frames have no one known shape")
    cells = objects[leukocyte_like(objects, settings or Identify()) & _whole(objects)]
    frames = int(cells["image"].nunique()) if "image" in cells else min(len(cells), 1)
    if len(cells) < MIN_CELLS or frames < MIN_FRAMES:
        found = f"{_many(len(cells), 'leukocyte')} in {_many(frames, 'frame')}"
        reason = f"{found}: not enough to know the illumination ({MIN_CELLS} in {MIN_FRAMES} frames may be)"
        return FlatField(shape, {}, len(cells), frames, reason)
    y, x = cells["y_px"].to_numpy(float), cells["x_px"].to_numpy(float)
    surfaces = _surfaces((2 * y + 1) / shape[0] - 1, (2 * x + 1) / shape[1] - 1)
    illumination = {
        role: _illumination(cells[f"{role}_mean"].to_numpy(float), _standard_error(cells, role), surfaces)
        for role in ROLES
    }
    return FlatField(shape, illumination, len(cells), frames)


def apply_flat_field(objects: pd.DataFrame, field: FlatField) -> pd.DataFrame:
    """Divide the intensities of objects by the relative light at their centroids.

    Parameters
    ----------
    objects : DataFrame
        Measured objects; every column of :data:`COLUMNS` that is there is corrected.
    field : FlatField

    Returns
    -------
    DataFrame
        A new table; the one given is left as it is.
    """
    y, x = objects["y_px"].to_numpy(float), objects["x_px"].to_numpy(float)
    corrected: dict[str, pd.Series[float]] = {}
    for role, found in field.illumination.items():
        if not found.reason:
            light = field.at(role, y, x)
            corrected |= {name: objects[name] / light for name in COLUMNS[role] if name in objects}
    return objects.assign(**corrected)


def _illumination_from(record: Mapping[str, Any]) -> Illumination:
    known = {name: np.nan if record[name] is None else float(record[name]) for name in ("unevenness", "error")}
    coefficients = tuple(float(number) for number in record["coefficients"])
    if len(coefficients) not in (0, N_SURFACES) or (not coefficients and not record["reason"]):
        raise ValueError(f"{len(coefficients)} coefficients")
    return Illumination(coefficients, float(record["mean"]), reason=str(record["reason"]), **known)


def _whole(objects: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which objects are whole cells, seen once and not saturated."""
    whole = ~objects["touches_border"].to_numpy(bool) & (objects["saturated_fraction"].to_numpy(float) == 0)
    if "duplicate_of" in objects:
        whole &= objects["duplicate_of"].to_numpy(object) == ""
    return np.asarray(whole)


def _surfaces(u: Values, v: Values) -> Values:
    """Return the quadratics of y and x (u, v from -1 to 1) without a constant, shape (n, 5).

    Legendre polynomials, orthonormal over the frame: the rms of a sum over the frame is the root of the summed
    squares of its coefficients, and that of its error the root of the trace of their covariance.
    """
    bent = [np.sqrt(5) * (3 * w**2 - 1) / 2 for w in (u, v)]
    return np.stack([np.sqrt(3) * u, np.sqrt(3) * v, *bent, 3 * u * v], axis=1)


def _standard_error(cells: pd.DataFrame, role: Role) -> Values:
    """Return the standard errors of the cells' means; 0 for the channels whose errors are not measured."""
    return cells["her2_se"].to_numpy(float) if role == "her2" else np.zeros(len(cells))


def _illumination(values: Values, error: Values, surfaces: Values) -> Illumination:
    """Find one channel's illumination from the intensities of leukocytes (n,), and whether to apply it."""
    measured = np.isfinite(values) & np.isfinite(error)
    if np.sum(measured) < MIN_CELLS:
        return Illumination(reason=f"measured in {_many(int(np.sum(measured)), 'leukocyte')} only")
    values, error, surfaces = values[measured], error[measured], surfaces[measured]
    median = float(np.median(values))
    if median <= BRIGHT_ENOUGH * float(np.median(error)):
        return Illumination(reason="the leukocytes are too dim to show it")
    design = np.column_stack([np.ones(len(values)), surfaces])
    logarithms = np.log(np.maximum(values / median, LOWEST))
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return Illumination(reason="the leukocytes do not lie all over the frame")
    fitted, covariance = robust_fit(logarithms, error / median, design)
    coefficients = fitted[1:]
    unevenness, wrong = float(np.linalg.norm(coefficients)), float(np.sqrt(np.trace(covariance[1:, 1:])))
    reason = _why_not(unevenness, wrong)
    if reason:
        return Illumination(unevenness=unevenness, error=wrong, reason=reason)
    return Illumination(tuple(coefficients.tolist()), _mean_light(coefficients), unevenness, wrong)


def _mean_light(coefficients: Values) -> float:
    """Return the mean over the frame of the exponential, by Gauss and Legendre's quadrature."""
    places, weights = np.polynomial.legendre.leggauss(12)
    u, v = (grid.ravel() for grid in np.meshgrid(places, places))
    return float(np.outer(weights, weights).ravel() / 4 @ np.exp(_surfaces(u, v) @ coefficients))


def _why_not(unevenness: float, error: float) -> str:
    """Return why an illumination is not to be applied; empty where it is."""
    if error > WELL_KNOWN:
        return f"known to {error:.1%} only, where {WELL_KNOWN:.0%} are needed"
    if unevenness <= CLEARLY * error:
        return f"not clearly uneven ({unevenness:.1%} found, with an error of {error:.1%})"
    return ""


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
