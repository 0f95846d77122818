"""What a frame shows of its own quality: against shapes whose blur is known, and the simulator's frames."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from cher2 import Image, Protocol
from cher2.cells.quality import (
    FrameQuality,
    background_range,
    edge_width_um,
    frame_quality,
    leukocytes_her2,
    saturated_share,
)
from cher2.cells.score import measure_image
from cher2.cells.segmented import segment_image
from cher2.simulate import optics
from cher2.simulate.cells import populate_frame
from cher2.simulate.frame import draw_scene, simulate_frame
from cher2.simulate.settings import StudySettings

CHANNELS = optics.CHANNELS
LIMIT_UM = Protocol().quality.edge_um_max


def discs(sigma_px, brightness=1000.0, radius=12, noise=0.0):
    """Twenty-five discs, blurred, and their labels: at half height, as the disc was."""
    yx = np.indices((300, 300))
    labels = np.zeros((300, 300), np.int32)
    for k in range(25):
        centre = np.array([30 + 60 * (k // 5) + 0.37 * k, 30 + 60 * (k % 5) + 0.21 * k])
        labels[np.hypot(*(yx - centre[:, None, None])) <= radius] = k + 1
    light = gaussian_filter(np.where(labels > 0, brightness, 0.0), sigma_px)
    light += noise * np.random.default_rng(0).standard_normal(light.shape)
    return labels, light.astype(np.float32)


@pytest.mark.parametrize("sigma", [2.0, 3.0])
@pytest.mark.parametrize("pixel_um", [0.32, 1.0])
def test_width_of_a_blurred_edge_is_the_gaussians(sigma, pixel_um):
    # The steepest slope of a step of height 1 blurred by a Gaussian is 1 / (sigma sqrt(2 pi)).
    labels, light = discs(sigma)
    mean_within = light[labels > 0].mean() / 1000
    width, n = edge_width_um(labels, light, pixel_um)
    assert n == 25
    assert width == pytest.approx(mean_within * sigma * np.sqrt(2 * np.pi) * pixel_um, rel=0.06)


def test_width_depends_neither_on_brightness_nor_on_noise():
    width, _ = edge_width_um(*discs(2.0), 0.64)
    assert edge_width_um(*discs(2.0, brightness=7.0), 0.64)[0] == pytest.approx(width, rel=1e-3)
    assert edge_width_um(*discs(2.0, noise=50.0), 0.64)[0] == pytest.approx(width, rel=0.05)


def test_focus_is_not_told_from_a_few_nuclei_nor_without_light():
    labels, light = discs(2.0)
    assert edge_width_um(np.where(labels < 8, labels, 0), light, 1.0) == (None, 7)
    assert edge_width_um(np.zeros_like(labels), light, 1.0) == (None, 0)
    assert edge_width_um(labels, np.zeros_like(light), 1.0) == (None, 0)
    # Light that falls towards the inside is no edge of a nucleus.
    assert edge_width_um(labels, 2000 - light, 1.0)[0] is None


def test_a_nucleus_at_both_ends_of_a_row_has_no_edge_there():
    labels = np.zeros((96, 40), np.int32)
    for k in range(16):
        labels[6 * k, :4], labels[6 * k, 36:] = 2 * k + 1, 2 * k + 2
    light = gaussian_filter((labels > 0) * 100.0, (0, 1)).astype(np.float32)
    whole, n = edge_width_um(labels, light, 1.0)
    inner = [light[0, 3] - light[0, 4], light[0, 35] - light[0, 36]]
    mean = [light[0, :4].mean(), light[0, 36:].mean()]
    assert n == 32
    assert whole == pytest.approx(np.pi / 4 / np.median(np.abs(inner) / mean), rel=1e-3)


def test_shares_of_saturated_pixels_and_levels_of_the_background():
    plane = np.zeros((60, 50), np.uint16)
    plane[:30] = 4095
    assert saturated_share(plane, 4095) == 0.5
    assert saturated_share(plane, float("inf")) == 0
    ramp = np.tile(np.linspace(100, 200, 401, dtype=np.float32), (40, 1))
    assert background_range(ramp) == pytest.approx((102, 150, 198), abs=0.6)
    assert background_range(np.full((1, 1), 7, np.float32)) == (7, 7, 7)


def measured(image):
    return frame_quality(segment_image(image, Protocol()))


@pytest.fixture(scope="module", params=[20, 60, 180], ids="{} leukocytes".format)
def scene(request):
    """A synthetic scene, few to many cells in it."""
    settings = StudySettings(frame_shape=(360, 480), leukocytes_per_frame=request.param, crowding=0.5)
    rng = np.random.default_rng(5)
    return draw_scene(settings, populate_frame(settings, (2, 2, 2, 2), rng), rng)[0]


def exposed(scene, defocus_px):
    rng = np.random.default_rng(6)
    light = optics.through_objective(scene, 0.64, defocus_px)
    return Image(optics.expose(rng, light + optics.haze(rng, light.shape[1:])), CHANNELS, 0.64, bits=12)


def test_two_pixels_of_blur_are_told_from_a_sharp_frame_whatever_the_number_of_cells(scene):
    sharp, blurred = (measured(exposed(scene, sigma)).edge_um for sigma in (0.0, 2.0))
    assert 1.2 < sharp < 1.9 < LIMIT_UM < 2.5 < blurred


def test_a_sharp_frame_blurred_afterwards_is_out_of_focus(scene):
    image = exposed(scene, 0.0)
    blurred = np.stack([cv2.GaussianBlur(plane, (0, 0), 2) for plane in image.pixels])
    assert measured(replace(image, pixels=blurred)).edge_um > LIMIT_UM


def test_a_frame_tells_saturation_and_uneven_light_of_each_channel():
    settings = StudySettings(frame_shape=(360, 480), leukocytes_per_frame=40)
    rng = np.random.default_rng(1)
    even = simulate_frame(settings, populate_frame(settings, (0, 0, 2, 2), rng), rng)
    pixels = even.pixels.copy()
    pixels[1, :36] = 4095  # a tenth of the frame
    pixels[3] += np.linspace(0, 100, 480).astype(np.uint16)
    quality = measured(Image(pixels, CHANNELS, 0.64, bits=12))
    assert quality.saturated == {"dapi": 0, "ck": pytest.approx(0.1, abs=0.005), "cd45": 0, "her2": 0}
    for role, steps in (("dapi", 0), ("cd45", 0), ("her2", 96)):
        low, middle, high = quality.background[role]
        assert low < middle < high
        assert high - low == pytest.approx(steps, abs=22)


@pytest.mark.parametrize("value", [0, 140, 4095])
def test_a_frame_without_anything_has_no_focus(value):
    quality = measured(Image(np.full((4, 64, 80), value, np.uint16), CHANNELS, bits=12))
    assert (quality.edge_um, quality.nuclei) == (None, 0)
    assert quality.background["ck"] == pytest.approx((value,) * 3, abs=0.05)
    assert quality.saturated["her2"] == (value == 4095)


def test_measures_go_through_json_unchanged_and_without_her2_there_is_none():
    light = discs(2.0)[1]
    pixels = np.stack([light + 100] * 4).astype(np.uint16)
    image = Image(pixels, CHANNELS, 0.64)
    quality = measure_image(image, Protocol.from_dict({"channels": {"her2": "none"}})).quality
    assert set(quality.background) == set(quality.saturated) == set(quality.noise) == {"dapi", "ck", "cd45"}
    assert FrameQuality.from_dict(json.loads(json.dumps(quality.as_dict()))) == quality
    damaged = quality.as_dict() | {"background": {"dapi": [1, 2]}}
    for record in ({}, damaged, {"edge_um": None, "background": None}):
        with pytest.raises((KeyError, ValueError, TypeError)):
            FrameQuality.from_dict(record)


def test_it_costs_next_to_nothing_beside_cutting_the_frame_into_cells():
    rng = np.random.default_rng(2)
    settings = StudySettings()
    image = Image(simulate_frame(settings, populate_frame(settings, (2, 2, 2, 2), rng), rng).pixels, CHANNELS, 0.64)
    # Half a millisecond on an idle core; by a clock alone the test would be one of the machine's other work.
    cut = min(_seconds(lambda: segment_image(image, Protocol())) for _ in range(3))
    segmented = segment_image(image, Protocol())
    assert min(_seconds(lambda: frame_quality(segmented)) for _ in range(30)) < 0.03 * cut


def _seconds(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def test_level_of_the_leukocytes_is_of_whole_measured_ones_seen_once():
    table = pd.DataFrame(
        {
            "kind": ["leukocyte"] * 6 + ["ctc"],
            "touches_border": [False, False, False, True, False, False, False],
            "duplicate_of": ["", "", "", "", "a 1", "", ""],
            "not_measurable": ["", "", "", "", "", "HER2 saturated", ""],
            "her2_mean": [10.0, 12.0, 17.0, 900.0, 900.0, 900.0, 900.0],
        }
    )
    assert leukocytes_her2(table) == {"median": 12.0, "n": 3}
    assert leukocytes_her2(table[3:]) == {"median": None, "n": 0}
