"""A study as one reader sees it: queue, filter, place, and the patient's numbers."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from reading import CTCS, change_objects

from cher2.errors import ReviewError
from cher2.patients.summary import summarise_patients
from cher2.review.ledger import Ledger
from cher2.review.queues import QUEUES
from cher2.review.reader_view import ReaderView
from cher2.review.standing import CellFilter
from cher2.study.folder import Study


@pytest.fixture
def study(study_copy):
    return Study.open(study_copy)


def seen(study, queue="patient", decided=(), **more):
    """Return a view of a study on which (row, reader, grade) were decided."""
    ledger = Ledger(study)
    entries = [ledger.decision_on(row, "grade", who, ("ctc", 0), ("ctc", grade)) for row, who, grade in decided]
    ledger.follow([replace(entry, entry=at) for at, entry in enumerate(entries, start=1)])
    return ReaderView(ledger, "Eva", queue, **more)


def cells_in_order(view):
    return [view.ledger.object_of(row) for row in view.order.tolist()]


def test_next_and_previous_go_through_the_queue_and_tell_only_of_moves(study):
    view = seen(study)
    told = []
    view.current_changed.connect(told.append)
    assert view.current == view.order[0]
    view.go_previous()
    view.go_next()
    view.go_next()
    view.go_previous()
    view.go_to(int(view.order[-1]))
    view.go_next()
    assert told == [*view.order[[1, 2, 1, -1]]]


def test_another_queue_keeps_the_current_cell_where_it_is_in_it(study):
    view = seen(study)
    view.go_to(int(view.order[40]))
    row = view.current
    for name in ("uncertain", "decisive", "sample", "patient"):
        view.set_queue(name)
        assert view.current == row
        assert sorted(view.order.tolist()) == list(range(CTCS))
    view.set_queue("second")
    assert (view.current, len(view.order)) == (None, 0)
    with pytest.raises(ReviewError, match="no queue"):
        view.set_queue("hardest")
    assert view.queue.name == "second"
    view.set_queue("patient")
    assert view.current == view.order[0]


def test_a_filter_keeps_the_current_cell_where_it_lets_it_through(study):
    view = seen(study, decided=[(3, "Bo", 3)])
    orders = []
    view.order_changed.connect(lambda: orders.append(len(view.order)))
    view.go_to(20)
    view.set_filter(CellFilter(patient="P03"))
    assert {image for image, _ in cells_in_order(view)} == {"P03/frame_01.ome.tif"}
    assert view.current == 20
    with pytest.raises(ReviewError, match="not in the queue"):
        view.go_to(0)
    view.set_filter(CellFilter(unreviewed=True))
    assert 3 not in view.order
    assert view.current == 20
    view.set_filter(CellFilter(grades=frozenset({3}), patient="P01"))
    assert view.order.tolist() == [3]
    assert view.current == 3
    view.set_filter(CellFilter(patient="nobody"))
    assert view.current is None
    view.go_next()
    assert not view.go_next_unreviewed()
    view.set_filter(CellFilter(rows=frozenset({5, 9})))
    assert view.order.tolist() == [5, 9]
    assert orders == [9, CTCS - 1, 1, 0, 2]


def test_the_next_unreviewed_is_sought_beyond_the_end(study):
    view = seen(study, decided=[(row, "Bo", 1) for row in range(CTCS - 2)])
    view.go_to(CTCS - 2)
    assert view.go_next_unreviewed()
    assert view.current == CTCS - 1
    assert view.go_next_unreviewed()
    assert view.current == CTCS - 2
    done = seen(study, decided=[(row, "Bo", 1) for row in range(CTCS)])
    assert not done.go_next_unreviewed()
    assert done.current == 0


def test_a_blind_view_hides_what_others_say(study):
    view = seen(study, blind=True, decided=[(0, "Bo", 3), (1, "Eva", 3)])
    assert view.blind
    assert view.standing(0).hidden
    assert not view.standing(0).reviewed
    assert not view.standing(1).hidden
    # Hidden grades are no reason to leave a cell out: that would tell them.
    view.set_filter(CellFilter(grades=frozenset({3}), kinds=frozenset({"ctc"})))
    assert len(view.order) == CTCS


def test_going_from_an_open_queue_to_a_blind_one_hides_and_back_shows(study):
    view = seen(study, decided=[(0, "Bo", 3)])
    changed = []
    view.standings_changed.connect(lambda rows: changed.append(len(rows)))
    assert (view.standing(0).grade, view.standing(0).hidden) == (3, False)
    view.set_queue("sample")
    assert (view.standing(0).hidden, view.standing(0).reader) == (True, "")
    view.set_queue("second")
    view.set_queue("uncertain")
    assert (view.standing(0).hidden, view.standing(0).reader) == (False, "Bo")
    assert changed == [CTCS, CTCS]


@pytest.mark.parametrize("queue", ["patient", "uncertain", "decisive", "sample"])
def test_a_blind_order_tells_nothing_of_the_grades(study, queue):
    before = cells_in_order(seen(study, queue, blind=True, seed=4))
    assert cells_in_order(seen(study, queue, blind=True, seed=5)) != before
    for image in study.samples["image"]:
        change_objects(study, image, lambda objects: objects.assign(p0=0.1, p1=0.2, p2=0.3, p3=0.4))
    assert cells_in_order(seen(study, queue, blind=True, seed=4)) == before
    assert cells_in_order(seen(study, queue, blind=True, seed=4, decided=[(5, "Bo", 0), (9, "Bo", 3)])) == before


def test_the_second_reading_and_the_disagreements(study):
    decided = [(0, "Bo", 3), (1, "Bo", 2), (1, "Eva", 1), (2, "Eva", 1)]
    view = seen(study, "second", decided=decided)
    assert sorted(view.order.tolist()) == [0, 1]
    assert view.standing(0).hidden
    view.set_queue("disagreements")
    assert view.order.tolist() == [1]
    assert view.standing(1).disagreement
    assert not view.blind


def test_a_patient_is_what_the_table_of_patients_says(study):
    # P03 by the run: 9 CTCs, 0 0 0 1+ 1 2+ 7 3+ as test_review_cells counts them; 8 of 9 are 2+ or 3+: high.
    view = seen(study)
    found = view.patient("P03")
    assert (found["n_ctcs"], found["n_grade_1"], found["n_grade_2"], found["n_grade_3"]) == (9, 1, 1, 7)
    assert (found["n_images"], found["group"]) == (1, "high")
    rows = np.flatnonzero(view.cells["patient_id"] == "P03").tolist()
    # Two of the 3+ are graded 1+: 6 of 9 are left, which is low.
    strong = [row for row in rows if view.standing(row).grade == 3][:2]
    changed = seen(study, decided=[(row, "Bo", 1) for row in strong])
    found = changed.patient("P03")
    assert (found["n_grade_1"], found["n_grade_3"], found["group"]) == (3, 5, "low")
    assert found["cher2_ratio"] == pytest.approx(6 / 9)
    by_hand = changed.cells.iloc[rows].assign(kind_final="ctc", grade=changed.cells["grade_auto"], reader="")
    by_hand.loc[strong, ["grade", "reader"]] = (1, "Bo")
    expected = summarise_patients(by_hand, study.protocol, study.samples.query("patient_id == 'P03'")).iloc[0]
    assert found.to_dict() == expected.to_dict()


def test_a_patient_without_ctcs_without_results_and_nobody(study):
    change_objects(study, "P07/frame_01.ome.tif", lambda objects: objects.assign(kind="other"))
    shutil.rmtree(study.folder_of("P08/frame_01.ome.tif"))
    view = seen(study)
    assert view.patient("P07")[["n_images", "n_ctcs", "group"]].tolist() == [1, 0, "excluded"]
    # An image that could not be read was not read.
    assert view.patient("P08")[["n_images", "n_ctcs", "group"]].tolist() == [0, 0, "excluded"]
    with pytest.raises(ReviewError, match="no patient 'P99'"):
        view.patient("P99")


@pytest.mark.parametrize("queue", QUEUES)
@pytest.mark.parametrize("blind", [False, True])
def test_a_study_without_ctcs(study, queue, blind):
    for image in study.samples["image"]:
        change_objects(study, image, lambda objects: objects.assign(kind="other"))
    view = seen(study, queue, blind=blind)
    assert (len(view.order), view.current) == (0, None)
    view.go_next()
    view.go_previous()
    view.set_filter(CellFilter(patient="P01", unreviewed=True))
    assert not view.go_next_unreviewed()
