"""Where a reader is in a list."""

from __future__ import annotations

import pytest

from cher2.errors import ReviewError
from cher2.review.place import Place


def place_at(rows, current=None):
    place = Place()
    place.set_rows(rows, current)
    return place


def test_steps_end_at_the_ends():
    place = place_at([7, 3, 5])
    assert (place.current, len(place)) == (7, 3)
    assert place.step(1)
    assert place.current == 3
    assert place.step(5)
    assert place.current == 5
    assert not place.step(1)
    assert place.step(-9)
    assert place.current == 7
    assert not place.step(-1)


def test_the_current_row_stays_where_it_is_in_the_new_list():
    place = place_at([7, 3, 5])
    place.go_to(5)
    place.set_rows([1, 5, 7], place.current)
    assert place.current == 5
    place.set_rows([1, 7], place.current)
    assert place.current == 1
    place.set_rows([7, 0], 0)
    assert place.current == 0


def test_only_rows_of_the_list_can_be_gone_to():
    place = place_at([7, 3])
    assert place.go_to(3)
    assert not place.go_to(3)
    assert 3 in place
    assert 5 not in place
    with pytest.raises(ReviewError, match="not in the queue"):
        place.go_to(5)
    assert place.current == 3


def test_what_follows_goes_round_and_ends_with_the_current_row():
    place = place_at([7, 3, 5], 3)
    asked = []
    assert place.following(lambda row: asked.append(row)) is None
    assert asked == [5, 7, 3]
    assert place.following(lambda row: row == 7) == 7
    assert place.following(lambda row: row == 3) == 3


def test_an_empty_list_has_no_current_row():
    for place in (Place(), place_at([], 3)):
        assert place.current is None
        assert len(place) == 0
        assert not place.step(1)
        assert not place.step(-1)
        assert place.following(lambda row: True) is None


def test_a_row_is_put_behind_the_current_one():
    place = Place()
    place.insert(7)
    assert place.current == 7
    place.set_rows([4, 5, 6], 5)
    place.insert(9)
    assert place.rows.tolist() == [4, 5, 9, 6]
    assert place.current == 5
    assert place.go_to(9)
