"""The microscope and the camera against their own physics."""

from __future__ import annotations

import numpy as np
import pytest

from cher2.simulate import optics
from cher2.simulate.optics import MARGIN_PX, SUPERSAMPLING, Camera


def point_scene(side=65):
    """One point in the middle of the middle pixel's first quarter, of one count times one pixel's area."""
    points = SUPERSAMPLING * (side + 2 * MARGIN_PX)
    scene = np.zeros((4, points, points), np.float32)
    at = SUPERSAMPLING * (side // 2 + MARGIN_PX)
    scene[:, at, at] = 1e4 * SUPERSAMPLING**2
    return scene


def width(plane):
    """Standard deviation along x of the light near its brightest pixel, in pixels."""
    y, x = np.unravel_index(plane.argmax(), plane.shape)
    reach = 6
    profile = plane[y - reach : y + reach + 1, x - reach : x + reach + 1].sum(0)
    profile = profile - profile[[0, -1]].mean()
    place = np.arange(len(profile))
    mean = (profile * place).sum() / profile.sum()
    return np.sqrt((profile * (place - mean) ** 2).sum() / profile.sum())


@pytest.mark.parametrize(("number", "wavelength_um"), [(0, 0.460), (1, 0.520), (2, 0.660), (3, 0.575)])
def test_a_point_is_as_wide_as_the_aperture_and_the_pixel_make_it(number, wavelength_um):
    """Sigma of 0.21 lambda / NA, after Zhang et al., Applied Optics 46, 1819 (2007)."""
    image = optics.through_objective(point_scene(), 0.3)
    sigma_px = 0.21 * wavelength_um / 0.45 / 0.3
    # Gathering two points in a pixel samples a box of two points: its variance is 1/16 px^2.
    expected = np.sqrt(sigma_px**2 + 1 / 16)
    assert width(image[number]) == pytest.approx(expected, rel=0.04)


def test_defocus_adds_in_squares():
    sharp, blurred = (optics.through_objective(point_scene(), 0.64, blur)[1] for blur in (0.0, 1.5))
    assert width(blurred) ** 2 - width(sharp) ** 2 == pytest.approx(1.5**2, rel=0.08)


def test_the_objective_loses_no_light_and_spreads_a_few_percent_widely():
    image = optics.through_objective(point_scene(), 0.64)[1]
    assert image.sum() == pytest.approx(1e4, rel=0.01)
    y, x = np.unravel_index(image.argmax(), image.shape)
    core = image[y - 4 : y + 5, x - 4 : x + 5].sum() / image.sum()
    assert 0.94 < core < 0.98


def test_light_from_beyond_the_frame_falls_into_it():
    scene = point_scene()
    outside = np.roll(scene, -SUPERSAMPLING * (65 // 2 + 1), axis=1)
    assert optics.through_objective(outside, 0.64)[1, 0].max() > 100


def test_illumination_falls_off_at_the_corners_and_averages_one():
    field = optics.illumination(np.random.default_rng(3), (300, 400), 0.25)
    assert field.shape == (4, 300, 400)
    np.testing.assert_allclose(field.mean((1, 2)), 1, rtol=1e-5)
    corners = field[:, [0, 0, -1, -1], [0, -1, 0, -1]].min(1)
    loss = 1 - corners / field.max((1, 2))
    assert np.all((loss > 0.14) & (loss <= 0.2501))
    assert len(set(np.round(loss, 4))) == 4
    tops = {tuple(np.unravel_index(plane.argmax(), plane.shape)) for plane in field}
    assert (150, 200) not in tops
    assert len(tops) == 4
    np.testing.assert_allclose(optics.illumination(np.random.default_rng(3), (30, 40), 0.0), 1, rtol=1e-6)


def test_haze_is_20_to_60_counts():
    for seed in range(20):
        level = optics.haze(np.random.default_rng(seed), (60, 80))
        assert np.all((level.mean((1, 2)) >= 20) & (level.mean((1, 2)) <= 60))
        assert np.all(level > 15)


def test_the_camera_follows_the_photon_transfer_curve():
    """Variance = mean / gain + (read noise / gain)^2 (Janesick, Photon Transfer, 2007) + 1/12 (rounding)."""
    camera = Camera(offset=100, gain=4, read_noise=8)
    levels = np.array([20, 60, 200, 600, 1500, 3000])
    rng = np.random.default_rng(0)
    pictures = [optics.expose(rng, np.full((400, 400), level, np.float32), camera) for level in levels]
    means = np.array([picture.mean() for picture in pictures]) - 100
    variances = np.array([picture.var() for picture in pictures])
    np.testing.assert_allclose(means, levels, rtol=0.01)
    slope, intercept = np.polyfit(means, variances, 1, w=1 / variances)
    assert slope == pytest.approx(1 / 4, rel=0.02)
    assert intercept == pytest.approx((8 / 4) ** 2 + 1 / 12, rel=0.15)


def test_the_camera_saturates_and_never_goes_below_zero():
    rng = np.random.default_rng(0)
    bright = optics.expose(rng, np.full((50, 50), 5e4, np.float32))
    assert bright.dtype == np.uint16
    assert np.all(bright == 4095)
    dark = optics.expose(rng, np.zeros((50, 50), np.float32), Camera(offset=0))
    assert dark.min() == 0
    assert dark.max() < 20


def test_spill_goes_both_ways_and_touches_no_other_channel():
    light = np.zeros((4, 2, 2), np.float32)
    light[1], light[3] = 1000, 100
    mixed = optics.with_spill(light, 0.03)
    np.testing.assert_allclose(mixed[:, 0, 0], [0, 1003, 0, 130], rtol=1e-6)
    assert optics.with_spill(light, 0) is light


def test_a_thicker_cell_and_one_out_of_focus_are_blurred_more_and_lose_no_light():
    """A point z out of focus is a disc of radius z tan(asin 0.45) = 0.504 z: half of it is sigma."""
    assert optics.depth_sigma_um(0, 4) == pytest.approx(4 * 0.504 / 2, rel=1e-3)
    assert optics.depth_sigma_um(20, 0) > optics.depth_sigma_um(9, 0) > 0
    assert optics.depth_sigma_um(9, 2) > optics.depth_sigma_um(9, 0)
    light = np.zeros((4, 61, 61), np.float32)
    light[:, 30, 30] = 1000
    blurred = optics.through_depth(light, 12, 1, 0.32)
    np.testing.assert_allclose(blurred.sum((1, 2)), 1000, rtol=1e-3)
    assert width(blurred[0]) == pytest.approx(optics.depth_sigma_um(12, 1) / 0.32, rel=0.06)
