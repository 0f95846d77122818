"""Where cells lie in a frame: apart, stuck together, in clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from cher2.simulate.settings import StudySettings

TRIES = 60
BEYOND_UM = 8.0
"""Cells other than CTCs may have their centre this far beyond the frame."""

INSIDE_UM = 0.5
"""Centres of CTCs lie this far inside it, so that no rough outline moves a centroid out."""

STICKING = 0.75
"""Fraction of the cells that stick to another at a crowding of 1."""

TOUCHING = 1.05
"""Two cells touch where their distance is below this multiple of the sum of their radii."""


@dataclass(frozen=True)
class Site:
    """Where a cell lies, and the number of the group that it touches (0: none)."""

    y_px: float
    x_px: float
    cluster_id: int


class _Field:
    """The cells placed so far, in micrometres."""

    def __init__(self, settings: StudySettings, count: int, rng: np.random.Generator) -> None:
        self.size = np.array(settings.frame_shape) * settings.pixel_size_um
        self.apart = 1.15 - 0.6 * settings.crowding
        self.overlap = 0.45 * settings.crowding
        self.centres = np.empty((count, 2))
        self.radii = np.empty(count)
        self.placed = 0
        self.rng = rng

    def add(self, centre: NDArray[np.float64], radius: float) -> None:
        self.centres[self.placed] = centre
        self.radii[self.placed] = radius
        self.placed += 1

    def closeness(self, centre: NDArray[np.float64], radius: float) -> float:
        """Return the smallest distance to a placed cell, as a multiple of the sum of the radii."""
        if self.placed == 0:
            return float("inf")
        apart = np.hypot(*(self.centres[: self.placed] - centre).T)
        return float((apart / (self.radii[: self.placed] + radius)).min())

    def free(self, radius: float, beyond: float) -> NDArray[np.float64]:
        """Return a place far enough from all others; the least bad one tried, where there is none."""
        best, farthest = np.zeros(2), -1.0
        for _ in range(TRIES):
            centre: NDArray[np.float64] = self.rng.uniform(-beyond, self.size + beyond)
            closeness = self.closeness(centre, radius)
            if closeness >= self.apart:
                return centre
            if closeness > farthest:
                best, farthest = centre, closeness
        return best

    def beside(self, host: int, radius: float, inside: bool, nearest: float) -> NDArray[np.float64] | None:
        """Return a place that touches a host and overlaps no cell more than allowed, or None."""
        for _ in range(TRIES):
            direction = self.rng.uniform(0, 2 * np.pi)
            reach = (self.radii[host] + radius) * self.rng.uniform(nearest, 1.0)
            step = reach * np.array([np.sin(direction), np.cos(direction)])
            centre: NDArray[np.float64] = self.centres[host] + step
            out = np.any(centre < INSIDE_UM) or np.any(centre > self.size - INSIDE_UM)
            if self.closeness(centre, radius) >= nearest - 1e-9 and not (inside and out):
                return centre
        return None


def place_cells(
    settings: StudySettings, diameters_um: Sequence[float], ctcs: int, rng: np.random.Generator
) -> list[Site]:
    """Place cells: the first `ctcs` of them are CTCs, some in tight clusters; others stick to what is there.

    Parameters
    ----------
    settings : StudySettings
    diameters_um : sequence of float
    ctcs : int
    rng : numpy.random.Generator

    Returns
    -------
    list of Site
        As many as diameters, in their order.
    """
    field = _Field(settings, len(diameters_um), rng)
    hosts = _cluster_hosts(ctcs, settings.clustered_fraction, rng)
    sticky = rng.random(len(diameters_um)) < STICKING * settings.crowding
    sticky[:ctcs] = False
    # Cells that stick come last: placed as they come, they would gather around the first few.
    order = np.argsort(sticky, kind="stable")
    for number in order:
        radius = diameters_um[number] / 2
        centre, host = None, hosts[number] if number < ctcs else None
        if host is not None:
            centre = field.beside(host, radius, True, 0.85)
        elif sticky[number] and field.placed:
            centre = field.beside(int(rng.integers(field.placed)), radius, False, 0.98 - field.overlap)
        if centre is None:
            centre = field.free(radius, -INSIDE_UM if number < ctcs else BEYOND_UM)
        field.add(centre, radius)
    place = np.argsort(order)
    groups = _groups(field.centres, field.radii)[place]
    pixels = field.centres[place] / settings.pixel_size_um - 0.5
    return [Site(float(y), float(x), int(g)) for (y, x), g in zip(pixels, groups, strict=True)]


def _cluster_hosts(ctcs: int, fraction: float, rng: np.random.Generator) -> list[int | None]:
    """Return for each CTC the earlier one that it sticks to, in clusters of two to four, or None."""
    hosts: list[int | None] = []
    while len(hosts) < ctcs:
        # A cluster has three cells on average, so it must begin a third as often as cells are clustered.
        size = int(rng.integers(2, 5)) if rng.random() < fraction / (3 - 2 * fraction) else 1
        first = len(hosts)
        hosts.append(None)
        hosts += [int(rng.integers(first, first + k)) for k in range(1, size)]
    return hosts[:ctcs]


def _groups(centres: NDArray[np.float64], radii: NDArray[np.float64]) -> NDArray[np.int64]:
    if len(radii) == 0:
        return np.zeros(0, dtype=np.int64)
    apart = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1))
    touching = apart < TOUCHING * (radii[:, None] + radii[None])
    _, label = connected_components(csr_array(touching), directed=False)
    shared = np.flatnonzero(np.bincount(label) > 1)
    number = np.zeros(label.max() + 1, dtype=np.int64)
    number[shared] = np.arange(1, len(shared) + 1)
    groups: NDArray[np.int64] = number[label]
    return groups
