"""The Jeffreys interval and posterior, against R and against numerical integration."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from cher2.errors import Cher2Error
from cher2.patients.uncertainty import jeffreys_interval, probability_above


def test_interval_against_r():
    """R, package RSurveillance 0.2.1, the manual page of binom.jeffreys.

    > binom.jeffreys(seq(10, 100, 10), 200)
        x   n proportion      lower      upper conf.level   method
    1  10 200       0.05 0.02599340 0.08687509       0.95 jeffreys
    2  20 200       0.10 0.06416642 0.14729862       0.95 jeffreys
    3  30 200       0.15 0.10567714 0.20436243       0.95 jeffreys
    4  40 200       0.20 0.14910087 0.25950769       0.95 jeffreys
    5  50 200       0.25 0.19387268 0.31330266       0.95 jeffreys
    """
    low, high = jeffreys_interval([10, 20, 30, 40, 50], 200)
    np.testing.assert_allclose(low, [0.02599340, 0.06416642, 0.10567714, 0.14910087, 0.19387268], atol=5e-9)
    np.testing.assert_allclose(high, [0.08687509, 0.14729862, 0.20436243, 0.25950769, 0.31330266], atol=5e-9)


def test_limits_at_the_ends():
    low, high = jeffreys_interval([0, 7], 7)
    assert low[0] == 0
    assert high[1] == 1
    np.testing.assert_allclose(high[0], 1 - low[1])
    assert 0 < high[0] < 1


@pytest.mark.parametrize(("successes", "trials", "expected"), [(4, 5, 0.56), (5, 5, 0.92), (38, 50, 0.55)])
def test_posterior_above_three_quarters(successes, trials, expected):
    assert round(float(probability_above(successes, trials, 0.75)), 2) == expected


@pytest.mark.parametrize(("successes", "trials", "threshold"), [(4, 5, 0.75), (2, 9, 0.5), (300, 400, 0.75)])
def test_posterior_against_the_integral_of_the_likelihood(successes, trials, threshold):
    def density(p):
        scale = (successes / trials) ** successes * (1 - successes / trials) ** (trials - successes)
        return p ** (successes - 0.5) * (1 - p) ** (trials - successes - 0.5) / scale

    above, below = quad(density, threshold, 1)[0], quad(density, 0, threshold)[0]
    np.testing.assert_allclose(probability_above(successes, trials, threshold), above / (above + below), rtol=1e-7)


@given(st.integers(1, 500), st.data())
@settings(deadline=None)
def test_mirrored_and_of_its_level(trials, data):
    successes = data.draw(st.integers(0, trials))
    low, high = jeffreys_interval(successes, trials, 0.9)
    other_low, other_high = jeffreys_interval(trials - successes, trials, 0.9)
    np.testing.assert_allclose([low, high], [1 - other_high, 1 - other_low], atol=1e-9)
    assert low <= successes / trials <= high
    if 0 < successes < trials:
        np.testing.assert_allclose(probability_above(successes, trials, float(low)), 0.95, rtol=1e-7)
        np.testing.assert_allclose(probability_above(successes, trials, float(high)), 0.05, rtol=1e-6)


def test_no_trial_gives_nothing():
    assert np.isnan([*jeffreys_interval(0, 0), probability_above(0, 0, 0.75)]).all()
    assert jeffreys_interval([], [])[0].shape == (0,)


@pytest.mark.parametrize(("successes", "trials"), [(6, 5), (-1, 5), (1.5, 5), (np.nan, 5), (1, np.inf), (0, -1)])
def test_counts_that_make_no_sense(successes, trials):
    with pytest.raises(Cher2Error, match="is no count"):
        jeffreys_interval(successes, trials)
    with pytest.raises(Cher2Error, match="is no count"):
        probability_above(successes, trials, 0.75)


def test_level_and_threshold_are_fractions():
    with pytest.raises(Cher2Error, match="level is 95"):
        jeffreys_interval(1, 2, 95)
    with pytest.raises(Cher2Error, match="threshold is 75"):
        probability_above(1, 2, 75)
