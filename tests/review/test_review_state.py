"""What a log of decisions comes to, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from reading import a_decision, undo_of

from cher2.review.state import CellHistory, histories, in_force, match_cells, match_numbers


def test_an_undo_takes_back_and_a_redo_puts_in_force_again():
    first, second = a_decision(grade=1), a_decision(grade=2)
    back = undo_of(second)
    assert in_force([first, second]) == [first, second]
    assert in_force([first, second, back]) == [first]
    assert in_force([first, second, back, undo_of(second, "redo")]) == [first, second]
    assert in_force([first, second, back, undo_of(second)]) == [first]


def test_nobody_takes_back_what_is_anothers():
    hers = a_decision(grade=1, reader="Eva")
    assert in_force([hers, undo_of(hers, reader="Bo")]) == [hers]


def test_an_undo_of_what_nobody_knows_does_nothing():
    hers = a_decision(grade=1)
    assert in_force([undo_of(a_decision()), hers]) == [hers]
    # Before the decision itself, an undo has nothing to take back.
    assert in_force([undo_of(hers), hers]) == [hers]
    assert in_force([]) == []


def deciding(*decisions, reader=None):
    found = CellHistory(list(decisions)).deciding(reader)
    return None if found is None else (found.reader, found.grade)


def test_the_newest_decision_of_anyone_holds_and_a_readers_own_for_him():
    eva, bo = a_decision(grade=1, reader="Eva"), a_decision(grade=2, reader="Bo")
    assert deciding(eva, bo) == ("Bo", 2)
    assert deciding(bo, eva) == ("Eva", 1)
    assert deciding(bo, eva, reader="Bo") == ("Bo", 2)
    assert deciding(eva, reader="Bo") is None
    assert deciding() is None


def test_a_consensus_wins_over_what_is_decided_later_and_the_newest_consensus_over_it():
    consensus = a_decision(grade=3, reader="Eva", reading="consensus")
    later = a_decision(grade=0, reader="Bo")
    again = a_decision(grade=2, reader="Bo", reading="consensus")
    assert deciding(consensus, later) == ("Eva", 3)
    assert deciding(consensus, again, later) == ("Bo", 2)


def test_notes_and_skips_decide_nothing():
    note, skip = a_decision("note", 1, reason="blurred"), a_decision("skip", 1)
    assert deciding(note, skip) is None
    history = CellHistory([a_decision(grade=2, reader="Bo"), note, skip])
    assert history.deciding().grade == 2
    assert set(history.readings()) == {"Bo"}
    assert not history.disagreement
    assert history.notes_of() == ("Eva: blurred",)
    assert history.notes_of("Bo") == ()


def test_skipped_is_what_a_reader_did_last_but_for_notes():
    skip, grade, note = a_decision("skip"), a_decision(grade=1), a_decision("note", reason="x")
    assert CellHistory([grade, skip, note]).skipped_by("Eva")
    assert not CellHistory([skip, grade]).skipped_by("Eva")
    assert not CellHistory([skip]).skipped_by("Bo")
    assert not CellHistory([]).skipped_by("Eva")


def test_readers_disagree_until_it_is_settled():
    eva, bo = a_decision(grade=1, reader="Eva"), a_decision(grade=2, reader="Bo")
    same = a_decision(grade=1, reader="Bo")
    none = a_decision("not_ctc", reader="Bo")
    settled = a_decision(grade=1, reader="Bo", reading="consensus")
    assert CellHistory([eva, bo]).disagreement
    assert CellHistory([eva, none]).disagreement
    assert not CellHistory([eva, same]).disagreement
    # Only what each says in the end counts.
    assert not CellHistory([eva, bo, same]).disagreement
    assert not CellHistory([eva, bo, settled]).disagreement
    # Whoever differs from a consensus later has not unsettled it.
    assert not CellHistory([eva, bo, settled, bo]).disagreement


def test_histories_leave_out_what_has_no_cell():
    first, gone, second = a_decision(grade=1), a_decision(grade=2), a_decision(grade=3)
    found = histories([first, gone, second], np.array([4, -1, 4]))
    assert {row: history.decisions for row, history in found.items()} == {4: [first, second]}


def matched(decisions, places, *, radius=5.0, score="new", image="a.tif", numbers=None):
    numbers = range(1, len(places) + 1) if numbers is None else numbers
    cells = pd.DataFrame({"image": image, "object_id": list(numbers)})
    cells[["y_px", "x_px"]] = np.array(places, dtype=float).reshape(-1, 2)
    prints = np.full(len(cells), score, dtype=object)
    return match_cells(decisions, cells, prints, np.full(len(cells), radius)).tolist()


def test_of_the_same_results_only_the_number_counts():
    # The number says cell 2, the place cell 1.
    assert matched([a_decision(object_id=2, at=(0, 0), score="new")], [(0, 0), (50, 50)]) == [1]
    # The results are the same and there is no such object: no neighbour takes its place.
    assert matched([a_decision(object_id=7, at=(0, 0), score="new")], [(0, 0)]) == [-1]


def test_of_other_results_only_the_place_counts():
    assert matched([a_decision(object_id=2, at=(1, 1))], [(0, 0), (50, 50)]) == [0]


@pytest.mark.parametrize(("far", "row"), [(0, 0), (5, 0), (5.01, -1)])
def test_no_farther_than_a_radius(far, row):
    assert matched([a_decision(at=(0, far))], [(0, 0)]) == [row]


def test_the_larger_of_the_old_radius_and_the_new_one_counts():
    assert matched([a_decision(at=(0, 8), radius_px=8.0)], [(0, 0)], radius=3) == [0]
    assert matched([a_decision(at=(0, 8), radius_px=3.0)], [(0, 0)], radius=8) == [0]
    assert matched([a_decision(at=(0, 8), radius_px=3.0)], [(0, 0)], radius=3) == [-1]


def test_a_large_cell_far_off_lends_no_other_its_reach():
    # Nearest to the centroid is a small cell that may not reach it; the large one may, and gets it.
    small = a_decision(object_id=1, at=(0, 12), radius_px=5.0)
    large = a_decision(object_id=2, at=(0, -15), radius_px=20.0)
    assert matched([small, large], [(0, 0)]) == [-1, 0]


def test_cells_that_one_set_of_results_told_apart_stay_apart():
    # All lie nearest to the first cell; the second goes to the other one, and the third to none.
    near, farther, none = (a_decision(object_id=n, at=(0, x), radius_px=9.0) for n, x in enumerate((1, 2, -3)))
    assert matched([near, farther, none], [(0, 0), (0, 10)], radius=9.0) == [0, 1, -1]


def test_all_decisions_on_a_cell_go_together():
    first, second = (a_decision(object_id=1, at=(0, 1), grade=grade) for grade in (1, 2))
    other = a_decision(object_id=2, at=(0, 2))
    assert matched([first, other, second], [(0, 0), (0, 6)]) == [0, 1, 0]


def test_cells_of_different_results_may_be_the_same_one():
    old, older = a_decision(object_id=1, at=(0, 1)), a_decision(object_id=9, at=(0, 2), score="older")
    now = a_decision(object_id=1, score="new")
    assert matched([old, older, now], [(0, 0)]) == [0, 0, 0]


def test_another_image_and_no_cells_at_all():
    assert matched([a_decision(image="b.tif", at=(0, 0))], [(0, 0)]) == [-1]
    assert matched([a_decision(at=(0, 0))], []) == [-1]
    assert matched([], [(0, 0)]) == []


def test_numbers_alone_leave_what_was_scored_anew():
    cells = pd.DataFrame({"image": "a.tif", "object_id": [1, 2], "y_px": 0.0, "x_px": 0.0})
    prints = np.array(["new", "new"], dtype=object)
    found = match_numbers([a_decision(object_id=2, score="new"), a_decision(object_id=2)], cells, prints)
    assert found.tolist() == [1, -1]
