"""Background and noise on frames whose background and noise are known."""

import numpy as np
import pytest

from cher2.cells.background import estimate_background, noise_of


def frame(rng: np.random.Generator, level: float | np.ndarray = 140.0, noise: float = 5.0, shape=(400, 500)):
    return np.clip(np.round(rng.normal(level, noise, shape)), 0, 4095).astype(np.uint16)


def add_cells(plane: np.ndarray, rng: np.random.Generator, count: int, radius: int = 8, height: int = 800):
    rows, columns = np.ogrid[: plane.shape[0], : plane.shape[1]]
    covered = np.zeros(plane.shape, bool)
    for y, x in zip(rng.uniform(0, plane.shape[0], count), rng.uniform(0, plane.shape[1], count), strict=True):
        covered |= (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
    return np.where(covered, plane + height, plane).astype(np.uint16), covered


def test_flat_frame_is_recovered_without_bias():
    background = estimate_background(frame(np.random.default_rng(0)), 0.64)
    assert abs(float(background.plane.mean()) - 140) < 0.5
    assert background.noise == pytest.approx(5, rel=0.1)


def test_uneven_illumination_is_followed():
    rows, columns = np.mgrid[:600, :800] / np.array([[[600]], [[800]]])
    truth = 100 + 60 * (1 - 0.8 * ((rows - 0.5) ** 2 + (columns - 0.5) ** 2))
    background = estimate_background(frame(np.random.default_rng(1), truth, shape=(600, 800)), 0.64)
    assert np.abs(background.plane - truth).max() < 3


def test_crowd_of_cells_does_not_lift_it():
    rng = np.random.default_rng(2)
    plane, covered = add_cells(frame(rng), rng, 450)
    assert covered.mean() > 0.3
    assert np.abs(estimate_background(plane, 0.64).plane - 140).max() < 12


def test_huge_bright_artefact_does_not_lift_the_rest():
    plane = frame(np.random.default_rng(3), shape=(800, 1000))
    plane[300:420, 400:540] = 4095
    background = estimate_background(plane, 0.64).plane
    assert np.abs(background[:200] - 140).max() < 3
    assert background[360, 470] < 400


@pytest.mark.parametrize("value", [0, 7, 4095])
def test_constant_frame_is_its_own_background(value):
    background = estimate_background(np.full((300, 300), value, np.uint16), 0.64)
    assert np.abs(background.plane - value).max() < 0.3
    assert background.noise > 0


@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (400, 3), (17, 23)])
def test_tiny_frames(shape):
    background = estimate_background(np.full(shape, 50, np.uint8), 0.64)
    assert background.plane.shape == shape
    assert np.allclose(background.plane, 50, atol=0.3)


def test_noise_is_not_moved_by_cells_and_scales_with_the_counts():
    rng = np.random.default_rng(4)
    plane, _ = add_cells(frame(rng), rng, 80)
    assert noise_of(plane) == pytest.approx(5, rel=0.15)
    assert noise_of(plane.astype(np.float32) * 10) == pytest.approx(10 * noise_of(plane), rel=0.02)
