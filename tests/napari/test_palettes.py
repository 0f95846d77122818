import itertools

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from cher2.napari.palettes import UNGRADED_COLOUR, contrast_limits, outline_colours
from cher2.palette import CHANNEL_COLOURS, GRADE_COLOURS, GROUP_COLOURS, KIND_COLOURS, SAFE_CHANNEL_COLOURS
from cher2.patients.table import GROUPS
from cher2.protocol import ROLES, Protocol

# Machado, Oliveira, Fernandes 2009, the matrices of severity 1.0 for linear RGB.
SIGHTS = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(colour):
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def seen(colour, sight):
    light = np.clip(np.asarray(SIGHTS[sight]) @ linear(colour), 0, 1)
    shown = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return rgb2lab(shown.reshape(1, 1, 3))[0, 0]


def contrast(colour, other):
    low, high = sorted(linear(c) @ [0.2126, 0.7152, 0.0722] for c in (colour, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize(
    "colours", [GRADE_COLOURS, tuple(GROUP_COLOURS.values()), tuple(SAFE_CHANNEL_COLOURS.values())]
)
def test_colours_are_told_apart_by_any_eye(colours, sight):
    for one, other in itertools.combinations(colours, 2):
        assert deltaE_ciede2000(seen(one, sight), seen(other, sight)) >= 15, (one, other)


@pytest.mark.parametrize("colour", [*GRADE_COLOURS, *GROUP_COLOURS.values()])
def test_grades_and_groups_are_seen_on_the_page_and_on_the_image(colour):
    assert contrast(colour, "#000000") >= 2
    assert contrast(colour, "#ffffff") >= 2


def test_each_role_and_group_has_a_colour():
    assert tuple(CHANNEL_COLOURS) == tuple(SAFE_CHANNEL_COLOURS) == ROLES
    assert set(GROUP_COLOURS) == set(GROUPS)


def noisy(background, noise, dtype=np.uint16):
    rng = np.random.default_rng(1)
    return np.clip(rng.normal(background, noise, (200, 200)), 0, 4095).astype(dtype)


def test_contrast_runs_from_the_background_to_the_bright_cells():
    plane = noisy(140, 5)
    plane[50:60, 50:60] = 900
    plane[0, 0] = 4095  # a hot pixel
    low, high = contrast_limits(plane, "ck")
    assert low == pytest.approx(140, abs=1)
    assert high == pytest.approx(900, abs=1)


def test_contrast_does_not_depend_on_how_many_cells_there_are():
    one, many = noisy(140, 5), noisy(140, 5)
    one[50:60, 50:60] = 900
    many[50:130, 50:130] = 900
    assert contrast_limits(one)[1] == pytest.approx(contrast_limits(many)[1], abs=2)


def test_noise_alone_stays_dark():
    plane = noisy(140, 5)
    low, high = contrast_limits(plane, "dapi")
    assert high - low == pytest.approx(20 * 5, rel=0.15)


def test_her2_is_shown_alike_in_every_image():
    empty, bright = noisy(140, 5), noisy(140, 5)
    bright[:50, :50] = 4000
    assert contrast_limits(empty, "her2") == pytest.approx((140, 480), abs=1)
    assert contrast_limits(bright, "her2") == pytest.approx((140, 480), abs=1)


def test_her2_follows_the_protocol():
    protocol = Protocol.from_dict({"grade": {"cutoffs": [10, 20, 50]}})
    assert contrast_limits(noisy(140, 5), "her2", protocol) == pytest.approx((140, 190), abs=1)
    leukocytes = Protocol.from_dict({"grade": {"unit": "leukocyte_sd", "cutoffs": [3, 5, 9]}})
    low, high = contrast_limits(noisy(140, 5), "her2", leukocytes)
    assert high - low == pytest.approx(100, rel=0.15)  # 9 is no number of counts


@pytest.mark.parametrize("value", [0, 7, 255])
@pytest.mark.parametrize("role", [None, "her2"])
def test_constant_planes_have_contrast_within_their_type(value, role):
    low, high = contrast_limits(np.full((8, 8), value, np.uint8), role)
    assert 0 <= low < high <= 255


@pytest.mark.parametrize("value", [0.0, 1e-3, -5.0, 1e6])
def test_constant_float_planes_have_contrast(value):
    low, high = contrast_limits(np.full((8, 8), value, np.float32))
    assert low < high


def test_outlines_are_in_the_grades_colour_for_ctcs_only():
    colours = outline_colours(["ctc", "leukocyte", "ctc", "other"], [3, 3, None, 0])
    assert colours[1] == GRADE_COLOURS[3]
    assert colours[3] == UNGRADED_COLOUR
    assert colours[2].startswith(KIND_COLOURS["leukocyte"])
    assert colours[4].startswith(KIND_COLOURS["other"])
    assert int(colours[2][-2:], 16) < 128
    assert colours[0] == colours[None] == "#00000000"
