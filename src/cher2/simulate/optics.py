"""The microscope: objective, illumination, haze and camera.

A 10x objective of aperture 0.45, as the CellSearch instrument has it, on a 12-bit camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cher2.simulate.shapes import Plane

CHANNELS = ("DAPI", "CK", "CD45", "HER2")
"""The channels of a synthetic frame, in their order."""

SUPERSAMPLING = 2
"""Points of the scene per pixel and direction; a PSF of 0.67 points is still well sampled."""

MARGIN_PX = 24
"""The scene reaches this far beyond the frame: light of cells outside falls into it."""

BITS = 12
APERTURE = 0.45
EMISSION_UM = {"DAPI": 0.460, "CK": 0.520, "CD45": 0.660, "HER2": 0.575}
"""Emission maxima of DAPI, FITC (CK), APC (CD45) and PE (HER2)."""

HALO_SIGMA_UM = 5.0
HALO_FRACTION = 0.04
"""Light that wide field spreads widely: scattered, and from the out-of-focus parts of a cell."""


FLATNESS = 0.6
"""Height over width of a cell that has settled on the glass."""


@dataclass(frozen=True)
class Camera:
    """A camera: counts = offset + electrons / gain, with shot noise and read noise.

    Parameters
    ----------
    offset : float
        Counts in the dark.
    gain : float
        Electrons per count.
    read_noise : float
        Standard deviation in electrons.
    """

    offset: float = 100.0
    gain: float = 4.0
    read_noise: float = 8.0


def psf_sigma_um(channel: str) -> float:
    """Return the standard deviation of the Gaussian nearest to a channel's in-focus PSF, 0.21 lambda / NA.

    References
    ----------
    Zhang, Zerubia, Olivo-Marin: Gaussian approximations of fluorescence microscope point-spread function
    models. Applied Optics 46, 1819 (2007), for the paraxial wide-field microscope.
    """
    return 0.21 * EMISSION_UM[channel] / APERTURE


def through_depth(light: NDArray[np.float32], diameter_um: float, z_um: float, step_um: float) -> NDArray[np.float32]:
    """Blur a cell's light (4, Y, X) for its own depth: a cell is thicker than the depth of field.

    A point z out of focus is a disc of radius z tan(asin NA), whose standard deviation is half its radius.
    The cell's middle lies `z_um` out of focus, its light above and below.

    Parameters
    ----------
    light : ndarray, shape (4, Y, X)
        With room around the cell for the blur: see :func:`depth_sigma_um`.
    diameter_um, z_um : float
    step_um : float
        Distance of the grid's points.
    """
    sigma = depth_sigma_um(diameter_um, z_um) / step_um
    return np.stack([cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT) for plane in light])


def depth_sigma_um(diameter_um: float, z_um: float) -> float:
    """Return the standard deviation of a cell's blur by its depth, in micrometres."""
    spread = APERTURE / np.sqrt(1 - APERTURE**2) / 2
    # The light of a ball of diameter d has the standard deviation d / sqrt(20) along z.
    return float(spread * np.hypot(FLATNESS * diameter_um / np.sqrt(20), z_um))


def through_objective(scene: NDArray[np.float32], pixel_size_um: float, defocus_px: float = 0.0) -> NDArray[np.float32]:
    """Blur a scene by the objective and gather it in the camera's pixels.

    Parameters
    ----------
    scene : ndarray, shape (4, S (Y + 2 M), S (X + 2 M))
        Light in counts, `SUPERSAMPLING` points per pixel, with `MARGIN_PX` pixels around the frame.
    pixel_size_um : float
    defocus_px : float
        Standard deviation of the extra blur, in pixels.

    Returns
    -------
    ndarray, shape (4, Y, X)
        Expected counts above the offset under even illumination.
    """
    planes = []
    for channel, plane in zip(CHANNELS, scene, strict=True):
        sigma = np.hypot(psf_sigma_um(channel) / pixel_size_um, defocus_px) * SUPERSAMPLING
        sharp = cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
        size = (plane.shape[1] // SUPERSAMPLING, plane.shape[0] // SUPERSAMPLING)
        pixels = cv2.resize(sharp, size, interpolation=cv2.INTER_AREA)
        pixels = (1 - HALO_FRACTION) * pixels + HALO_FRACTION * _halo(pixels, pixel_size_um)
        planes.append(pixels[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX])
    return np.stack(planes)


def _halo(pixels: Plane, pixel_size_um: float) -> Plane:
    sigma = HALO_SIGMA_UM / pixel_size_um
    halo: Plane = cv2.GaussianBlur(pixels, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
    return halo


def illumination(rng: np.random.Generator, shape: tuple[int, int], falloff: float) -> NDArray[np.float32]:
    """Draw an instrument's illumination: a parabola per channel, its top off the centre.

    Each channel loses 60 to 100 % of `falloff` at its darkest corner relative to its top; the mean over the
    frame is 1, so that a flat-field correction changes no average.

    Returns
    -------
    ndarray, shape (4, Y, X)
    """
    rows = np.linspace(-1, 1, shape[0])[:, None]
    columns = np.linspace(-1, 1, shape[1])[None, :]
    fields = []
    for _ in CHANNELS:
        top = rng.uniform(-0.25, 0.25, 2)
        squared = (rows - top[0]) ** 2 + (columns - top[1]) ** 2
        field = 1 - falloff * rng.uniform(0.6, 1.0) * squared / squared.max()
        fields.append(field / field.mean())
    return np.stack(fields).astype(np.float32)


def haze(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Draw a frame's background (4, Y, X): 20 to 60 counts per channel, tilted by up to 10 % to an edge."""
    rows = np.linspace(-1, 1, shape[0])[:, None]
    columns = np.linspace(-1, 1, shape[1])[None, :]
    planes = []
    for _ in CHANNELS:
        level = rng.uniform(20, 60)
        tilt = rng.uniform(-0.1, 0.1, 2)
        planes.append(level * (1 + tilt[0] * rows + tilt[1] * columns))
    return np.stack(planes).astype(np.float32)


def with_spill(light: NDArray[np.float32], spill: float) -> NDArray[np.float32]:
    """Return the light (4, Y, X) with a fraction of CK added to HER2, and of HER2 to CK."""
    if spill == 0:
        return light
    ck, her2 = CHANNELS.index("CK"), CHANNELS.index("HER2")
    mixed = light.copy()
    mixed[ck] += spill * light[her2]
    mixed[her2] += spill * light[ck]
    return mixed


def expose(rng: np.random.Generator, expected: NDArray[np.float32], camera: Camera | None = None) -> NDArray[np.uint16]:
    """Take a picture: shot noise, read noise, offset, rounding and saturation.

    Parameters
    ----------
    rng : numpy.random.Generator
    expected : ndarray
        Expected counts above the offset.
    camera : Camera, optional

    Returns
    -------
    ndarray of uint16, shape of `expected`
        Counts from 0 to 4095.
    """
    camera = camera or Camera()
    electrons = rng.poisson(expected * np.float32(camera.gain)).astype(np.float32)
    electrons += rng.standard_normal(expected.shape, dtype=np.float32) * np.float32(camera.read_noise)
    counts = np.clip(np.rint(electrons / camera.gain + camera.offset), 0, 2**BITS - 1)
    picture: NDArray[np.uint16] = counts.astype(np.uint16)
    return picture
