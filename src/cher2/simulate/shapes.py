"""Shapes of cells: rough outlines, the light of balls and shells seen through, textures.

A cell in wide field is seen through as a whole: a stain of the cytoplasm is as bright as the cell is thick
(the chord of a ball), a stain of the membrane as bright as its shell is thick there. Both are analytic, so an
image needs little supersampling.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]

ANGLES = 256


@dataclass(frozen=True, eq=False)
class Outline:
    """A closed outline around the origin: its radius at equal steps of angle, in micrometres."""

    radii_um: NDArray[np.float64]

    @property
    def reach_um(self) -> float:
        """The outline's largest radius."""
        return float(self.radii_um.max())


@dataclass(frozen=True, eq=False)
class Body:
    """An outline laid on a grid.

    Parameters
    ----------
    coverage : ndarray, shape (Y, X)
        Fraction of each point's area inside the outline.
    distance : ndarray, shape (Y, X)
        Distance from the centre as a fraction of the outline's radius in that direction.
    depth_um : ndarray, shape (Y, X)
        Distance inward from the outline along the radius; negative outside.
    angle : ndarray, shape (Y, X)
        Direction from the centre in radians.
    """

    coverage: Plane
    distance: Plane
    depth_um: Plane
    angle: Plane


def rough_outline(
    rng: np.random.Generator, diameter_um: float, elongation: float = 1.0, roughness: float = 0.03
) -> Outline:
    """Draw an ellipse with a smooth random perturbation, of the area of a disc of the given diameter.

    Parameters
    ----------
    rng : numpy.random.Generator
    diameter_um : float
    elongation : float
        Long axis over short axis.
    roughness : float
        Standard deviation of the perturbation's first harmonic, as a fraction of the radius.
    """
    angle = np.linspace(0, 2 * np.pi, ANGLES, endpoint=False)
    turned = angle + rng.uniform(0, np.pi)
    radii = 1 / np.hypot(np.cos(turned) / np.sqrt(elongation), np.sin(turned) * np.sqrt(elongation))
    order = np.arange(2, 10)
    size = roughness * 2 / order * rng.standard_normal(len(order))
    phase = rng.uniform(0, 2 * np.pi, len(order))
    radii *= np.clip(1 + (size * np.cos(np.outer(angle, order) + phase)).sum(1), 0.3, 2.0)
    return Outline(radii * diameter_um / 2 / np.sqrt(np.mean(radii**2)))


def lay(outline: Outline, shape: tuple[int, int], centre: tuple[float, float], step_um: float) -> Body:
    """Lay an outline on a grid of points `step_um` apart, its origin at `centre` (row, column)."""
    rows = (np.arange(shape[0], dtype=np.float32) - np.float32(centre[0]))[:, None]
    columns = (np.arange(shape[1], dtype=np.float32) - np.float32(centre[1]))[None, :]
    rho = np.hypot(rows, columns) * np.float32(step_um)
    angle = np.arctan2(rows, columns)
    place = angle * np.float32(ANGLES / (2 * np.pi))
    below = np.floor(place).astype(np.int32)
    share = place - below
    table = outline.radii_um.astype(np.float32)
    radius = (1 - share) * table[below % ANGLES] + share * table[(below + 1) % ANGLES]
    depth = radius - rho
    # A point on the edge counts with the part of its area that lies inside.
    coverage = np.clip(depth / np.float32(step_um) + np.float32(0.5), 0, 1)
    return Body(coverage, rho / radius, depth, angle)


def ball(body: Body, flatness: float = 1.0) -> Plane:
    """Return the thickness of a ball of that outline; `flatness` below 1 flattens it towards a pancake."""
    squared = np.clip(1 - body.distance**2, 0, 1)
    thick: Plane = (squared ** np.float32(flatness / 2) * body.coverage).astype(np.float32)
    return thick


def shell(body: Body, thickness: float) -> Plane:
    """Return the thickness, along the line of sight, of a shell that is `thickness` of the radius thick."""
    outer = np.sqrt(np.clip(1 - body.distance**2, 0, 1))
    inner = np.sqrt(np.clip((1 - thickness) ** 2 - body.distance**2, 0, 1))
    seen: Plane = ((outer - inner) * body.coverage).astype(np.float32)
    return seen


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], sigma: float) -> Plane:
    """Draw Gaussian noise of mean 0 and standard deviation 1, smooth over `sigma` points."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), max(sigma, 0.3), borderType=cv2.BORDER_REFLECT)
    scaled: Plane = (smooth - smooth.mean()) / max(float(smooth.std()), 1e-6)
    return scaled


def filaments(rng: np.random.Generator, shape: tuple[int, int], sigma: float) -> Plane:
    """Draw a web of filaments, 0 to 1: the lines where smooth noise crosses zero, as ridges."""
    web: Plane = np.exp(-2 * np.abs(smooth_noise(rng, shape, sigma))).astype(np.float32)
    return web


def to_mean(plane: Plane, coverage: Plane, mean: float) -> Plane:
    """Scale light so that its sum over the area of a body is the mean that is asked for; dark stays dark."""
    total = float(plane.sum())
    if total <= 0:
        return np.zeros_like(plane)
    scaled: Plane = plane * np.float32(mean * float(coverage.sum()) / total)
    return scaled
