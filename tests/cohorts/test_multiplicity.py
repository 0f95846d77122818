"""Correction of p-values, worked out by hand."""

import gc

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from cher2.cohorts.multiplicity import adjust_p_values


@pytest.mark.parametrize(
    ("correction", "expected"),
    [
        # From the definitions. Holm: 4 x 0.01, 3 x 0.02, 2 x 0.03, 1 x 0.04, never below the one before.
        # Benjamini and Hochberg: 4/1 x 0.01, 4/2 x 0.02, 4/3 x 0.03, 4/4 x 0.04, never above the one after.
        ("holm", [0.04, 0.06, 0.06, 0.06]),
        ("fdr_bh", [0.04, 0.04, 0.04, 0.04]),
        ("none", [0.01, 0.02, 0.03, 0.04]),
    ],
)
def test_by_hand(correction, expected):
    np.testing.assert_allclose(adjust_p_values([0.01, 0.02, 0.03, 0.04], correction), expected)


@pytest.mark.parametrize("correction", ["holm", "fdr_bh", "none"])
def test_tests_that_were_not_made_do_not_count(correction):
    nan = float("nan")
    with_gaps = adjust_p_values([nan, 0.04, 0.01, nan, 0.3], correction)
    np.testing.assert_array_equal(with_gaps[[1, 2, 4]], adjust_p_values([0.04, 0.01, 0.3], correction))
    assert np.isnan(with_gaps[[0, 3]]).all()
    assert np.isnan(adjust_p_values([nan, nan], correction)).all()
    assert adjust_p_values([], correction).shape == (0,)


def test_a_family_of_sites_with_one_that_was_not_assessed():
    """R 4.2.2, whose p.adjust leaves out missing p; statsmodels counts them and gives 0.0072 for the smallest.

    > p.adjust(c(0.0012, 0.04, NA, 0.2, 0.8, 0.013), "holm")
    0.006 0.120 NA 0.400 0.800 0.052
    > p.adjust(c(0.0012, 0.04, NA, 0.2, 0.8, 0.013), "BH")
    0.00600000 0.06666667 NA 0.25000000 0.80000000 0.03250000
    """
    family = [0.0012, 0.04, float("nan"), 0.2, 0.8, 0.013]
    np.testing.assert_allclose(adjust_p_values(family, "holm"), [0.006, 0.12, np.nan, 0.4, 0.8, 0.052])
    expected = [0.006, 0.2 / 3, np.nan, 0.25, 0.8, 0.0325]
    np.testing.assert_allclose(adjust_p_values(family, "fdr_bh"), expected)


@pytest.mark.parametrize("correction", ["holm", "fdr_bh"])
def test_statsmodels_gives_the_same_for_any_family(correction):
    rng = np.random.default_rng(1)
    for members in (1, 2, 7, 40):
        # Rounded, so that there are ties, zeros and ones.
        family = rng.uniform(0, 1, members).round(1) ** 2
        expected = multipletests(family, method=correction)[1]
        np.testing.assert_allclose(adjust_p_values(family, correction), expected, rtol=1e-14)


def test_the_p_values_are_left_as_they_were():
    p_values = np.array([0.01, 0.02])
    adjust_p_values(p_values, "holm")
    assert p_values.tolist() == [0.01, 0.02]


def test_holm_is_that_of_statsmodels_to_the_bit_and_collects_no_garbage():
    from statsmodels.stats.multitest import multipletests

    collected = []
    rng = np.random.default_rng(7)
    for number in (1, 2, 9, 200):
        p_values = np.round(rng.uniform(0, 1, number) ** 3, 3)  # with ties
        gc.callbacks.append(lambda phase, info: collected.append(info["generation"]))
        gc.disable()
        try:
            adjusted = adjust_p_values(p_values, "holm")
        finally:
            gc.enable()
            gc.callbacks.pop()
        np.testing.assert_array_equal(adjusted, multipletests(p_values, method="holm")[1])
    assert collected == []
