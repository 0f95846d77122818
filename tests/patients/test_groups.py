"""Groups of counts, by hand: abstract 3036 takes ratios above 0.75 as high, and leaves out fewer than 5 CTCs."""

from __future__ import annotations

import numpy as np
import pytest

from cher2.patients.groups import groups_of_counts
from cher2.protocol import Protocol


def group(counts, **rules):
    protocol = Protocol.model_validate({"patient": rules})
    return groups_of_counts(np.array([counts], dtype=np.int64), protocol.patient)[0]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((0, 1, 3, 0, 0), "excluded"),  # 4 CTCs
        ((1, 1, 3, 0, 0), "low"),  # 3 of 4: exactly 0.75
        ((0, 1, 2, 2, 0), "high"),  # 4 of 5: 0.8
        ((0, 25, 75, 0, 0), "low"),  # exactly 0.75 again
        ((0, 25, 0, 76, 0), "high"),  # 76 of 101
        ((5, 0, 0, 0, 0), "undefined"),  # 0/0
        ((4, 0, 0, 0, 0), "excluded"),  # too few comes first
        ((0, 0, 0, 1, 4), "high"),  # CTCs without a grade count for the minimum
        ((0, 0, 0, 0, 5), "undefined"),
        ((0, 0, 0, 0, 0), "excluded"),
    ],
)
def test_groups(counts, expected):
    assert group(counts) == expected


def test_the_minimum_may_count_her2_positive_ctcs():
    assert group((10, 1, 3, 0, 0), count="her2_positive") == "excluded"
    assert group((10, 1, 3, 1, 0), count="her2_positive") == "high"


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.7, 0.55])
def test_exactly_on_any_threshold_is_low(threshold):
    # In floats, 0.1 * 3 > 0.3 and 7 / 10 * 10 is not 7 everywhere: whole numbers decide.
    strong = round(threshold * 1000)
    assert group((0, 1000 - strong, strong, 0, 0), ratio_threshold=threshold) == "low"
    assert group((0, 999 - strong, strong + 1, 0, 0), ratio_threshold=threshold) == "high"


def test_no_patients_have_no_groups():
    assert groups_of_counts(np.zeros((0, 5), np.int64), Protocol().patient).shape == (0,)
