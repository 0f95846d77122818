"""Cells as light, and frames with their truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from cher2.simulate import optics
from cher2.simulate.cells import Cell, populate_frame
from cher2.simulate.frame import TRUTH_COLUMNS, draw_scene, simulate_frame
from cher2.simulate.settings import StudySettings
from cher2.simulate.shapes import rough_outline, to_mean
from cher2.simulate.stains import Gains, stain_cell

BARE = {
    "frame_shape": (96, 128),
    "leukocytes_per_frame": 0,
    "ctcs_per_patient": 1,
    "specks_per_frame": 0,
    "fibres_per_frame": 0,
    "debris_per_frame": 0,
    "blobs_per_frame": 0,
    "doubles_per_frame": 0,
    "bare_ck_per_frame": 0,
    "defocus_px": 0,
}
"""A frame with nothing but the cells given."""


def ctc(**changes):
    values = {"y_px": 40.3, "x_px": 61.7, "diameter_um": 12.4, "dapi": 260.0, "ck": 400.0, "cd45": 5.0}
    return Cell(**{"what": "ctc", "her2": 193.0, "grade": 2, **values, **changes})


@pytest.mark.parametrize("diameter", [8.0, 12.4, 20.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_her2_is_recovered_from_a_single_cell_without_noise_and_blur(diameter, seed):
    stain = stain_cell(ctc(diameter_um=diameter), np.random.default_rng(seed), 0.32, 2)
    body = stain.coverage > 0.5
    dapi, ck, cd45, her2 = (stain.light[k][body].sum() / stain.coverage.sum() for k in range(4))
    assert her2 == pytest.approx(193, rel=0.03)
    assert ck == pytest.approx(400, rel=0.03)
    assert cd45 == pytest.approx(5, rel=0.03)
    nucleus = stain.light[0] > 0
    assert stain.light[0][nucleus].mean() == pytest.approx(260, rel=0.1)
    assert 0.2 < nucleus.sum() / body.sum() < 0.75
    assert dapi < 260


@pytest.mark.parametrize("diameter", [8.0, 12.4, 20.0])
def test_a_cell_has_the_area_of_its_diameter(diameter):
    stain = stain_cell(ctc(diameter_um=diameter), np.random.default_rng(4), 0.1, 2)
    assert stain.coverage.sum() * 0.1**2 == pytest.approx(np.pi / 4 * diameter**2, rel=0.01)


def test_an_outline_has_the_area_of_its_disc_and_is_rough():
    outline = rough_outline(np.random.default_rng(0), 12.0, 1.3, 0.1)
    assert np.mean(outline.radii_um**2) == pytest.approx(36)
    assert outline.radii_um.max() / outline.radii_um.min() > 1.25
    smooth = rough_outline(np.random.default_rng(0), 12.0, 1.0, 0.0)
    np.testing.assert_allclose(smooth.radii_um, 6.0)


def test_dark_light_stays_dark():
    assert not to_mean(np.zeros((3, 3), np.float32), np.ones((3, 3), np.float32), 100).any()


def test_her2_is_a_ring_about_a_micrometre_wide_over_a_weaker_inside():
    profiles = []
    steps = np.arange(0, 5, 0.2)
    for seed in range(12):
        stain = stain_cell(ctc(diameter_um=14), np.random.default_rng(seed), 0.1, 2)
        depth = distance_transform_edt(stain.coverage > 0.5) * 0.1
        rings = [(depth > step) & (depth <= step + 0.2) for step in steps]
        profiles.append([stain.light[3][ring].mean() for ring in rings])
    profile = np.mean(profiles, axis=0)
    inside = profile[steps > 3].mean()
    ring = steps[profile > (profile.max() + inside) / 2]
    assert profile.max() / inside > 2
    assert inside > 0.3 * 193
    assert 0.5 <= ring[-1] - ring[0] + 0.2 <= 1.5
    assert ring[-1] < 2


def test_gain_scales_the_stains_but_not_dapi_nor_the_truth():
    cells = [ctc(), Cell("leukocyte", 70, 30, 9.4, 400, 9, 150, 15)]
    settings = StudySettings(**BARE)
    plain, truth = draw_scene(settings, cells, np.random.default_rng(1))
    gained, same = draw_scene(settings, cells, np.random.default_rng(1), Gains(ck=2, cd45=0.5, her2=1.5))
    np.testing.assert_allclose(gained.sum((1, 2)) / plain.sum((1, 2)), [1, 2, 0.5, 1.5], rtol=1e-4)
    assert truth.equals(same)


def test_the_truth_lists_centres_kinds_and_borders():
    cells = [
        ctc(),
        ctc(y_px=3.0, x_px=50.0, grade=3),
        Cell("leukocyte", 50, -6, 9.4, 400, 9, 150, 15),
        Cell("double", 90, 100, 11, 300, 200, 150, 40, cluster_id=2),
    ]
    frame = simulate_frame(StudySettings(**BARE), cells, np.random.default_rng(2))
    truth = frame.truth
    assert list(truth) == list(TRUTH_COLUMNS)
    # The leukocyte beyond the left border is drawn, not listed.
    assert truth["what"].tolist() == ["ctc", "ctc", "double"]
    assert truth["kind"].tolist() == ["ctc", "ctc", "other"]
    assert truth["touches_border"].tolist() == [False, True, True]
    assert truth["grade"].tolist()[:2] == [2, 3]
    assert truth["grade"].isna().tolist() == [False, False, True]
    assert truth["cluster_id"].tolist() == [0, 0, 2]
    np.testing.assert_allclose(truth[["y_px", "x_px"]].iloc[0], [40.3, 61.7], atol=0.5)
    left = frame.pixels[2, 46:55, 0].mean()
    assert left > frame.pixels[2, :20, 100:].mean() + 8


def test_the_centroid_of_the_truth_is_the_centroid_of_the_light():
    settings = StudySettings(**BARE)
    scene, truth = draw_scene(settings, [ctc(ck=4000.0)], np.random.default_rng(5))
    light = optics.through_objective(scene, settings.pixel_size_um)[3]
    rows, columns = np.indices(light.shape)
    centre = [(light * place).sum() / light.sum() for place in (rows, columns)]
    np.testing.assert_allclose(truth[["y_px", "x_px"]].iloc[0], centre, atol=0.5)


def test_a_frame_is_12_bits_of_four_channels():
    settings = StudySettings.for_scenario("hard", frame_shape=(300, 300), leukocytes_per_frame=40)
    rng = np.random.default_rng(0)
    frame = simulate_frame(settings, populate_frame(settings, [0, 1, 2, 3], rng), rng)
    assert frame.pixels.shape == (4, 300, 300)
    assert frame.pixels.dtype == np.uint16
    assert frame.pixels.max() <= 4095
    assert frame.pixels.min() > 50


def test_an_empty_frame_has_an_empty_truth_with_types():
    frame = simulate_frame(StudySettings(**BARE), [], np.random.default_rng(0))
    assert len(frame.truth) == 0
    assert frame.truth.dtypes.astype(str)["grade"] == "Int64"
    assert 110 < np.median(frame.pixels) < 170


@pytest.mark.parametrize(
    ("setting", "channel"),
    [("specks_per_frame", 1), ("fibres_per_frame", 0), ("fibres_per_frame", 1), ("debris_per_frame", 3)],
)
def test_clutter_is_light_where_it_says(setting, channel):
    settings = StudySettings(**{**BARE, setting: 100})
    rng = np.random.default_rng(0)
    frame = simulate_frame(settings, populate_frame(settings, [], rng), rng)
    plane = frame.pixels[channel].astype(float)
    assert np.percentile(plane, 99.5) > np.median(plane) + 60


def test_specks_are_one_to_two_pixels_wide():
    settings = StudySettings(**{**BARE, "specks_per_frame": 12, "frame_shape": (400, 400)})
    frame = simulate_frame(settings, [], np.random.default_rng(3))
    plane = frame.pixels[1].astype(float) - np.median(frame.pixels[1])
    y, x = np.unravel_index(plane.argmax(), plane.shape)
    bright = (plane[y - 5 : y + 6, x - 5 : x + 6] > plane.max() / 2).sum()
    assert 1 <= bright <= 8
    assert len(frame.truth) == 0


def test_uneven_illumination_spill_and_defocus_reach_the_picture():
    cells = [ctc(ck=2000.0, her2=10.0, y_px=48.0, x_px=64.0)]
    field = optics.illumination(np.random.default_rng(0), (96, 128), 0.25)
    even, uneven, spilt, blurred = (
        simulate_frame(
            StudySettings(**{**BARE, **changes}), cells, np.random.default_rng(3), None, light
        ).pixels.astype(float)
        - 100
        for changes, light in (({}, None), ({}, field), ({"spill": 0.05}, None), ({"defocus_px": 8}, None))
    )
    corner, middle = (slice(0, 4), slice(0, 12), slice(0, 16)), (slice(0, 4), slice(40, 56), slice(20, 40))
    expected = field[corner].mean((1, 2)) / field[middle].mean((1, 2))
    dimmed = (uneven[corner].mean((1, 2)) / uneven[middle].mean((1, 2))) / (
        even[corner].mean((1, 2)) / even[middle].mean((1, 2))
    )
    np.testing.assert_allclose(dimmed, expected, atol=0.06)
    body = (slice(40, 56), slice(56, 72))
    gain = spilt[3][body].mean() - even[3][body].mean()
    assert gain == pytest.approx(0.05 * (even[1][body].mean() - np.median(even[1])), abs=5)
    assert blurred[1].max() < 0.9 * even[1].max()
