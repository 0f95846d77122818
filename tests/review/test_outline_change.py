"""What changed between two snapshots of labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import label

from cher2.errors import ReviewError
from cher2.review.outline import Outline, outline_of, place_of
from cher2.review.outline_change import CRUMB_PX, changed_objects


def discs(*centres, radius=6, shape=(60, 80)):
    labels = np.zeros(shape, np.int32)
    y, x = np.indices(shape)
    for number, (row, column) in enumerate(centres, start=1):
        labels[(y - row) ** 2 + (x - column) ** 2 <= radius**2] = number
    return labels


@pytest.fixture
def before():
    return discs((15, 15), (15, 45), (45, 15), (45, 60))


def test_nothing_changed(before):
    change = changed_objects(before, before.copy())
    assert not change
    assert change.drawn == ()
    assert np.array_equal(change.labels, before)
    assert not changed_objects(np.zeros((4, 4), np.int32), np.zeros((4, 4), np.uint8))


def test_an_added_a_removed_and_a_changed_object(before):
    after = before.copy()
    after[after == 2] = 0
    after[15, 20:28] = 1
    after[30:36, 30:36] = 77
    change = changed_objects(before, after)
    assert (change.added, change.removed, change.changed) == ((5,), (2,), (1,))
    assert np.array_equal(change.labels == 5, after == 77), "a new object gets the next number"
    assert np.array_equal(change.labels == 1, after == 1)
    assert str(change) == "1 added, 1 changed, 1 removed"


def test_a_number_that_was_ever_used_is_not_given_again(before):
    after = before.copy()
    after[30:36, 30:36] = 5
    assert changed_objects(before, after, first_new=9).added == (9,)


@pytest.mark.parametrize("diagonal", [False, True])
def test_a_line_one_pixel_wide_cuts_a_cell_in_two(diagonal):
    before = discs((20, 20), radius=9)
    after = before.copy()
    steps = np.arange(40)
    after[steps if diagonal else np.full(40, 17), steps] = 0
    change = changed_objects(before, after)
    pieces, count = label(after > 0)
    areas = sorted(np.bincount(pieces.ravel())[1:])
    assert count == 2
    assert (change.added, change.changed) == ((2,), (1,))
    assert change.split_from == {2: 1}
    assert [(change.labels == 2).sum(), (change.labels == 1).sum()] == areas, "the larger piece keeps the number"


def test_crumbs_are_dropped_and_counted(before):
    after = before.copy()
    after[after == 3] = 0
    after[40:50, 10:20] = 3
    after[52:54, 12:15] = 3
    change = changed_objects(before, after)
    assert change.crumbs_px == 6 < CRUMB_PX
    assert change.added == ()
    assert (change.labels == 3).sum() == 100


def test_objects_that_did_not_change_may_be_in_pieces_as_the_machine_left_them():
    before = np.zeros((20, 20), np.int32)
    before[2:5, 2:5] = before[5:8, 5:8] = 1
    after = before.copy()
    after[12:16, 12:16] = 2
    change = changed_objects(before, after)
    assert (change.added, change.changed) == ((2,), ())


def test_two_objects_made_one(before):
    after = before.copy()
    after[15, 21:40] = 1
    after[after == 2] = 1
    change = changed_objects(before, after)
    assert (change.added, change.removed, change.changed) == ((), (2,), (1,))


@pytest.mark.parametrize(
    ("after", "says"),
    [
        (np.full((60, 80), -1), "below 0"),
        (np.zeros((60, 80)), "not whole numbers"),
        (np.zeros((60, 81), np.int32), "shape"),
        (np.zeros((2, 60, 80), np.int32), "shape"),
    ],
)
def test_labels_that_are_none(before, after, says):
    with pytest.raises(ReviewError, match=says):
        changed_objects(before, after)


def test_numbers_as_large_as_napari_allows(before):
    after = before.astype(np.uint64)
    after[30:36, 30:36] = 2**63
    assert changed_objects(before, after).added == (5,)


small_labels = hnp.arrays(np.int32, (9, 11), elements=st.integers(0, 4))


@settings(max_examples=150, deadline=None)
@given(small_labels, small_labels)
def test_changes_of_any_labels(before, after):
    change = changed_objects(before, after)
    labels = change.labels
    old, new = set(np.unique(before)) - {0}, set(np.unique(labels)) - {0}
    assert labels.min() >= 0
    assert set(change.added) == new - old
    assert set(change.removed) == old - new
    assert set(change.changed) == {n for n in old & new if not np.array_equal(before == n, labels == n)}
    assert not new & set(range(1, max(old, default=0) + 1)) - old, "no number within the old ones is given anew"
    for number in change.drawn:
        assert label(labels == number)[1] == 1
    assert change.crumbs_px == np.count_nonzero(after) - np.count_nonzero(labels)
    assert not np.any((labels > 0) & (after == 0)), "no pixel is made up"
    # What is in order stays as it is.
    assert not changed_objects(labels, labels)
    again = changed_objects(before, labels)
    assert np.array_equal(again.labels > 0, labels > 0)


@settings(max_examples=80, deadline=None)
@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_an_outline_comes_back_from_json(mask):
    if not mask.any():
        return
    labels = np.zeros((30, 40), np.int32)
    labels[7 : 7 + mask.shape[0], 11 : 11 + mask.shape[1]][mask] = 3
    outline = outline_of(labels, 3, place_of(labels, 3))
    back = Outline.from_dict(outline.as_dict())
    painted = np.zeros_like(labels)
    painted[back.window][back.mask] = 3
    assert np.array_equal(painted, labels)
    assert back.before == outline.before
    assert back.area_px == mask.sum()


def test_the_place_of_a_disc():
    place = place_of(discs((20, 31), radius=10), 1)
    assert (place.y_px, place.x_px) == (20, 31)
    assert place.radius_px == pytest.approx(10, rel=0.02)


@pytest.mark.parametrize(
    "damage", [{"box": [0, 0, 5, 5]}, {"box": [-1, 0, 3, 3]}, {"mask": "AAA="}, {"mask": "?"}, {"box": [0, 0, 0, 9]}]
)
def test_a_damaged_outline_is_refused(damage):
    outline = Outline(1, 0, 0, np.ones((3, 3), bool))
    with pytest.raises(ValueError):
        Outline.from_dict(outline.as_dict() | damage)
