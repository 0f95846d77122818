"""How a cell is stained: nucleus, cytokeratin, CD45 and HER2, as light on a small supersampled grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cher2.simulate.cells import Cell
from cher2.simulate.shapes import (
    Body,
    Plane,
    ball,
    filaments,
    lay,
    rough_outline,
    shell,
    smooth_noise,
    to_mean,
)

DROPLETS = 0.12
"""Fraction of cells whose cytokeratin has fallen into droplets, as in apoptosis."""


@dataclass(frozen=True)
class Gains:
    """A patient's staining: factors on the levels of CK, CD45 and HER2."""

    ck: float = 1.0
    cd45: float = 1.0
    her2: float = 1.0


@dataclass(frozen=True, eq=False)
class Stain:
    """A drawn cell.

    Parameters
    ----------
    light : ndarray, shape (4, Y, X)
        DAPI, CK, CD45 and HER2 in counts.
    coverage : ndarray, shape (Y, X)
        Fraction of each point inside the cell's body.
    top, left : int
        Where the grid's first point lies, in points from the frame's corner.
    """

    light: NDArray[np.float32]
    coverage: Plane
    top: int
    left: int


def stain_cell(
    cell: Cell, rng: np.random.Generator, step_um: float, points_per_px: int, gains: Gains | None = None
) -> Stain:
    """Draw a cell as light.

    Parameters
    ----------
    cell : Cell
    rng : numpy.random.Generator
    step_um : float
        Distance of the grid's points.
    points_per_px : int
        Points per pixel and direction.
    gains : Gains, optional

    Returns
    -------
    Stain
        The mean of each channel over the body (of DAPI over the nucleus) is the cell's level times the gain.
    """
    gains = gains or Gains()
    outline = rough_outline(rng, cell.diameter_um, *_form(cell, rng))
    half = int(np.ceil(outline.reach_um / step_um)) + 2
    centre = np.array([cell.y_px + 0.5, cell.x_px + 0.5]) * points_per_px - 0.5
    corner = np.floor(centre).astype(int) - half
    inside = (float(centre[0] - corner[0]), float(centre[1] - corner[1]))
    body = lay(outline, (2 * half + 2, 2 * half + 2), inside, step_um)
    nucleus, nucleus_area = _nucleus(cell, body, inside, rng, step_um)
    ck = _cytokeratin(cell, body, nucleus_area, rng, step_um)
    cd45 = _membrane(body, rng, step_um, 0.92, cell.diameter_um)
    her2 = _membrane(body, rng, step_um, 0.9 if cell.kind == "ctc" else 0.4, cell.diameter_um)
    light = np.stack(
        [
            to_mean(nucleus, nucleus_area, cell.dapi),
            to_mean(ck, body.coverage, cell.ck * gains.ck),
            to_mean(cd45, body.coverage, cell.cd45 * gains.cd45),
            to_mean(her2, body.coverage, cell.her2 * gains.her2),
        ]
    )
    return Stain(light, body.coverage, int(corner[0]), int(corner[1]))


def _form(cell: Cell, rng: np.random.Generator) -> tuple[float, float]:
    """Return elongation and roughness of a cell's outline."""
    if cell.kind == "leukocyte":
        return 1 + abs(rng.normal(0, 0.08)), 0.03
    if cell.what == "debris":
        return rng.uniform(1, 2.2), 0.2
    return 1 + abs(rng.normal(0, 0.22)), 0.055


def _nucleus(
    cell: Cell, body: Body, centre: tuple[float, float], rng: np.random.Generator, step_um: float
) -> tuple[Plane, Plane]:
    """Return the light of a cell's nucleus and the area that it covers."""
    if cell.what == "debris":
        return body.coverage, body.coverage
    if cell.kind == "leukocyte":
        lobes = _leukocyte_lobes(cell.diameter_um, rng)
    else:
        share = rng.uniform(0.5, 0.8)
        shift = (1 - share) * cell.diameter_um / 2 * 0.7 * np.sqrt(rng.random())
        lobes = [(share * cell.diameter_um, shift, rng.uniform(0, 2 * np.pi), 1 + abs(rng.normal(0, 0.25)))]
    thick = np.zeros_like(body.coverage)
    area = np.zeros_like(body.coverage)
    for diameter, shift, direction, elongation in lobes:
        at = (
            centre[0] + shift / step_um * np.sin(direction),
            centre[1] + shift / step_um * np.cos(direction),
        )
        lobe = lay(rough_outline(rng, diameter, elongation, 0.06), thick.shape, at, step_um)
        # Lobes are joined, so where two overlap the nucleus is little thicker than the thicker one.
        light = ball(lobe, 0.7) * np.float32(diameter)
        thick = np.maximum(thick, light) + np.float32(0.35) * np.minimum(thick, light)
        area = np.maximum(area, lobe.coverage)
    chromatin = np.exp(0.22 * smooth_noise(rng, thick.shape, 0.5 / step_um))
    area = np.minimum(area, body.coverage)
    return (thick * chromatin * area).astype(np.float32), area


def _leukocyte_lobes(diameter_um: float, rng: np.random.Generator) -> list[tuple[float, float, float, float]]:
    """Return the lobes of a leukocyte's nucleus: diameter, shift from the centre, direction, elongation."""
    lobes = int(rng.choice([1, 2, 3, 4], p=[0.35, 0.25, 0.28, 0.12]))
    if lobes == 1:
        share = rng.uniform(0.66, 0.88)
        shift = (1 - share) * diameter_um / 2 * rng.random()
        return [(share * diameter_um, shift, rng.uniform(0, 2 * np.pi), 1 + abs(rng.normal(0, 0.12)))]
    start = rng.uniform(0, 2 * np.pi)
    # Lobes lie on an arc, as a horseshoe: three of them leave a gap, four nearly close the ring.
    step = {2: np.pi * rng.uniform(0.7, 1.0), 3: rng.uniform(1.5, 2.1), 4: rng.uniform(1.25, 1.55)}[lobes]
    size = {2: 0.58, 3: 0.49, 4: 0.43}[lobes]
    arc = []
    for k in range(lobes):
        lobe = size * diameter_um * rng.uniform(0.88, 1.12)
        shift = (diameter_um - lobe) / 2 * rng.uniform(0.72, 0.9)
        arc.append((lobe, shift, start + k * step + rng.normal(0, 0.12), rng.uniform(1.0, 1.3)))
    return arc


def _cytokeratin(cell: Cell, body: Body, nucleus_area: Plane, rng: np.random.Generator, step_um: float) -> Plane:
    """Return cytokeratin: a web of filaments, dense around the nucleus, thin above it, or droplets."""
    shape = body.coverage.shape
    if cell.kind == "leukocyte":
        # Antibody that sticks unspecifically: an even film with a few grains.
        grains = np.exp(0.6 * smooth_noise(rng, shape, 0.4 / step_um))
        film: Plane = (ball(body) * grains).astype(np.float32)
        return film
    if rng.random() < DROPLETS:
        web = np.exp(1.3 * smooth_noise(rng, shape, 0.8 / step_um))
    else:
        web = 0.35 + filaments(rng, shape, 0.7 / step_um)
    clumps = np.exp(0.3 * smooth_noise(rng, shape, 1.5 / step_um))
    side = 1 + rng.uniform(0, 0.9) * np.cos(body.angle - rng.uniform(0, 2 * np.pi)) * body.distance
    ring = 1 + 0.5 * np.exp(-(((body.distance - 0.65) / 0.2) ** 2))
    above_nucleus = 1 - rng.uniform(0.0, 0.6) * nucleus_area
    stain: Plane = (ball(body, 0.8) * web * clumps * side * ring * above_nucleus).astype(np.float32)
    return np.maximum(stain, 0)


def _membrane(body: Body, rng: np.random.Generator, step_um: float, share: float, diameter_um: float) -> Plane:
    """Return a stain of the membrane, patchy along it, `share` of its light; the rest fills the cell."""
    shape = body.coverage.shape
    patches = np.exp(0.35 * smooth_noise(rng, shape, 0.9 / step_um))
    rim = shell(body, min(1.0 / (diameter_um / 2), 0.5)) * patches
    filling = ball(body) * np.exp(0.2 * smooth_noise(rng, shape, 0.6 / step_um))
    stain: Plane = (share * rim / rim.sum() + (1 - share) * filling / filling.sum()).astype(np.float32)
    return stain
