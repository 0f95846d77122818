"""In which order cells are read: by hand, and by brute force where the hand tires."""

from __future__ import annotations

import time
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from reading import a_decision, cells_of

from cher2.errors import ReviewError
from cher2.protocol import Protocol
from cher2.review.queues import QUEUES, QueueInput, effect_on_group, queue_named, shuffled, uncertainty
from cher2.review.state import CellHistory

RULES = Protocol().patient


def order_of(name, cells, **more):
    """Return the cells of a queue as texts."""
    rows = QUEUES[name].order(QueueInput(cells, RULES, **more))
    assert len(set(rows.tolist())) == len(rows)
    return [f"{image} {number}" for image, number in cells.iloc[rows][["image", "object_id"]].to_numpy()]


def read_by(*readers, **fields):
    return CellHistory([a_decision(grade=grade, reader=name, **fields) for grade, name in enumerate(readers)])


def test_patients_and_frames_come_as_a_person_sorts_them_whatever_the_table_s_order():
    cells = cells_of({"P10": [1, 2], "P2": [1], "P1": [3]})
    cells["image"] = ["P10/f10", "P10/f9", "P2/f1", "P1/f1"]
    expected = ["P1/f1 1", "P2/f1 1", "P10/f9 2", "P10/f10 1"]
    assert order_of("patient", cells) == expected
    assert order_of("patient", cells.iloc[[2, 0, 3, 1]].reset_index(drop=True)) == expected


def test_the_least_certain_comes_first_and_no_grade_before_all():
    cells = cells_of({"P2": [1, 1, 1], "P1": [1, None]})
    cells[["p0", "p1", "p2", "p3"]] = [
        [0.0, 0.9, 0.1, 0.0],
        [0.45, 0.55, 0.0, 0.0],
        [0.0, 0.9, 0.1, 0.0],
        [0.1, 0.9, 0.0, 0.0],
        [np.nan] * 4,
    ]
    np.testing.assert_allclose(uncertainty(cells), [0.1, 0.45, 0.1, 0.1, 1.0])
    assert order_of("uncertain", cells) == ["P1/a.tif 2", "P2/a.tif 2", "P1/a.tif 1", "P2/a.tif 1", "P2/a.tif 3"]


EVEN = (0.25, 0.25, 0.25, 0.25)
"""Probabilities with which each grade that changes the group adds a quarter to the chance."""


@pytest.mark.parametrize(
    ("grades", "quarters", "needed"),
    [
        # 3 of 4: exactly 0.75, low, and 5 CTCs, the minimum: one cell fewer and the patient is left out.
        # 0 -> 2+ or 3+ gives 4 of 5; 1+ -> 0 gives 3 of 3, 1+ -> 2+ or 3+ gives 4 of 4; a 2+ that changes stays low.
        ([0, 1, 2, 2, 2], [2, 3, 0, 0, 0], [1, 1, 1, 1, 1]),
        # 15 of 20, exactly 0.75: as above, but no cell is needed for the minimum.
        ([1] * 5 + [2] * 15, [3] * 5 + [0] * 15, [1] * 5 + [2] * 15),
        # 16 of 20 is high; a 2+ graded 1+ makes it 15 of 20; graded 0, it is 15 of 19, which is still high.
        ([1] * 4 + [2] * 16, [0] * 4 + [1] * 16, [2] * 4 + [1] * 16),
        # No HER2+ CTC: 0/0; any that is graded 1+ or more makes a ratio.
        ([0] * 6, [3] * 6, [1] * 6),
        # 4 CTCs are too few, whatever their grades are.
        ([3, 3, 3, 3], [0] * 4, [4] * 4),
        # 10 of 10: three 3+ graded 1+ make 7 of 10; two make 8 of 10. 20 of 20 would need five.
        ([3] * 10, [0] * 10, [3] * 10),
        ([3] * 20, [0] * 20, [4] * 20),
        # 7 of 7: two make 5 of 7.
        ([3] * 7, [0] * 7, [2] * 7),
    ],
)
def test_what_can_change_a_group_by_hand(grades, quarters, needed):
    cells = cells_of({"P1": grades})
    cells[["p0", "p1", "p2", "p3"]] = EVEN
    chance, cells_needed = effect_on_group(cells, RULES)
    np.testing.assert_allclose(chance, np.array(quarters) / 4)
    assert cells_needed.tolist() == needed


def test_an_object_that_is_no_ctc_can_fill_the_minimum():
    cells = cells_of({"P1": [3, 3, 3, 3, None]})
    cells.loc[4, "kind_final"] = "other"
    chance, needed = effect_on_group(cells, RULES)
    assert needed.tolist() == [2, 2, 2, 2, 1]
    assert chance.tolist() == [0] * 5


def group_by_hand(things):
    """Return the group by the abstract's rules, in fractions; a thing is a grade, None for none, "no" for no CTC."""
    ctcs = [thing for thing in things if thing != "no"]
    positive = [grade for grade in ctcs if grade in (1, 2, 3)]
    if len(ctcs) < 5:
        return "excluded"
    if not positive:
        return "undefined"
    return "high" if Fraction(sum(grade >= 2 for grade in positive), len(positive)) > Fraction(3, 4) else "low"


def test_what_can_change_a_group_by_brute_force():
    rng = np.random.default_rng(8)
    for _ in range(60):
        things = rng.choice(np.array([0, 1, 2, 3, 3, None, "no"], dtype=object), rng.integers(1, 12)).tolist()
        cells = cells_of({"P1": [None if thing == "no" else thing for thing in things]})
        cells["kind_final"] = ["other" if thing == "no" else "ctc" for thing in things]
        likely = rng.dirichlet(np.ones(4), len(things))
        cells[["p0", "p1", "p2", "p3"]] = likely
        chance, needed = effect_on_group(cells, RULES)
        now = group_by_hand(things)
        for at, thing in enumerate(things):
            changing = [
                new
                for new in (0, 1, 2, 3, "no")
                if new != thing and group_by_hand([*things[:at], new, *things[at + 1 :]]) != now
            ]
            assert (needed[at] == 1) == bool(changing), (things, at)
            assert chance[at] == pytest.approx(sum(likely[at, new] for new in changing if new != "no")), (things, at)


def test_the_likeliest_change_comes_first_then_the_patients_nearest_to_one():
    cells = cells_of({"far": [3] * 20, "near": [3] * 7, "edge": [1] * 5 + [2] * 15})
    edge = cells["patient_id"] == "edge"
    cells.loc[edge, "p1"] = np.where(cells.loc[edge, "grade"] == 1, 0.9, 0.0)
    # Of the five 1+ cells of the patient on the threshold, the fourth is the least certain.
    cells.loc[cells.index[edge][3], ["p0", "p1", "p2", "p3"]] = [0.2, 0.5, 0.3, 0.0]
    order = order_of("decisive", cells)
    assert order[0] == "edge/a.tif 4"
    assert sorted(order[:5]) == [f"edge/a.tif {number}" for number in range(1, 6)]
    assert {name.split("/")[0] for name in order[5:27]} == {"edge", "near"}
    assert {name.split("/")[0] for name in order[27:]} == {"far"}


def test_what_readers_said_counts_for_the_effect():
    # The machine's grades say high, the readers' 15 of 20.
    cells = cells_of({"P1": [3] * 20}).assign(grade=pd.array([1] * 5 + [3] * 15, dtype="Int8"))
    assert effect_on_group(cells, RULES)[1].tolist() == [1] * 5 + [2] * 15


def test_the_same_seed_gives_the_same_sample_and_another_another():
    cells = cells_of({f"P{patient}": [0, 1, 2, 3] * 5 for patient in range(10)})
    first = order_of("sample", cells, seed=1, sample_size=30)
    assert len(first) == 30
    assert order_of("sample", cells, seed=1, sample_size=30) == first
    other = order_of("sample", cells, seed=2, sample_size=30)
    assert other != first
    assert set(other) != set(first)
    assert order_of("sample", cells, seed=1, sample_size=10) == first[:10]
    assert len(order_of("sample", cells, seed=1)) == 200
    # Neither the table's order nor what is decided meanwhile changes it.
    assert order_of("sample", cells.iloc[::-1].reset_index(drop=True), seed=1, sample_size=30) == first
    assert order_of("sample", cells.assign(grade=pd.NA, kind_final="other"), seed=1, sample_size=30) == first


def test_the_sample_is_of_the_machines_ctcs_and_stays_when_objects_are_added():
    cells = cells_of({"P1": [1] * 40})
    first = order_of("sample", cells, seed=5, sample_size=10)
    more = cells_of({"P0": [None] * 30}).assign(kind="leukocyte", kind_final="ctc")
    more[["p0", "p1", "p2", "p3"]] = 0.0
    assert order_of("sample", pd.concat([more, cells], ignore_index=True), seed=5, sample_size=10) == first


def test_every_cell_is_as_likely_to_be_sampled_and_to_come_first():
    cells = cells_of({"P1": [1] * 10, "P2": [2] * 10})
    orders = [order_of("sample", cells, seed=seed, sample_size=5) for seed in range(400)]
    sampled = pd.Series(name for order in orders for name in order).value_counts()
    # Binomial of 400 with 1/4: 100, standard deviation 8.7; of first places 20, standard deviation 4.4.
    assert len(sampled) == 20
    assert sampled.between(65, 135).all()
    assert pd.Series(order[0] for order in orders).value_counts().between(3, 40).all()


def test_the_second_reading_is_of_what_others_read():
    cells = cells_of({"P1": [1] * 6})
    histories = {
        0: read_by("Bo"),
        1: read_by("Eva"),
        2: read_by("Eva", "Bo"),
        3: CellHistory([a_decision("note", reader="Bo", reason="x"), a_decision("skip", reader="Bo")]),
        4: read_by("Bo", reading="consensus"),
    }
    found = order_of("second", cells, reader="Eva", histories=histories)
    assert sorted(found) == ["P1/a.tif 1", "P1/a.tif 3"]
    # Read again, as they would come from a table in another order: the order stays.
    assert order_of("second", cells, reader="Eva", histories=dict(reversed(histories.items()))) == found
    assert order_of("second", cells, reader="Eva") == []


def test_disagreements_come_by_patient():
    cells = cells_of({"P10": [1, 1], "P2": [1, 1]})
    histories = {0: read_by("Eva", "Bo"), 1: read_by("Eva"), 3: read_by("Bo", "Cy")}
    assert order_of("disagreements", cells, histories=histories) == ["P2/a.tif 2", "P10/a.tif 1"]
    assert order_of("disagreements", cells) == []


def test_shuffled_rows_are_the_same_rows():
    cells = cells_of({"P1": [1] * 50})
    rows = shuffled(cells, np.arange(10, 40), 3)
    assert sorted(rows.tolist()) == list(range(10, 40))
    assert rows.tolist() != list(range(10, 40))
    # A hidden order must not tell the order that it was made from.
    assert shuffled(cells, np.arange(10, 40)[::-1], 3).tolist() == rows.tolist()


@pytest.mark.parametrize("name", QUEUES)
def test_no_cells_and_one_cell(name):
    assert order_of(name, cells_of({})) == []
    one = order_of(name, cells_of({"P1": [2]}))
    assert one == ([] if name in ("second", "disagreements") else ["P1/a.tif 1"])


def test_a_wrong_name_is_told_with_the_right_ones():
    with pytest.raises(ReviewError, match="no queue 'hardest'") as refused:
        queue_named("hardest")
    assert all(name in str(refused.value) for name in QUEUES)


def test_which_queues_are_blind_and_which_settle():
    assert [name for name, queue in QUEUES.items() if queue.blind] == ["sample", "second"]
    assert [name for name, queue in QUEUES.items() if queue.consensus] == ["disagreements"]


def test_ten_thousand_cells_are_ordered_within_a_second():
    rng = np.random.default_rng(0)
    cells = cells_of({f"P{patient}": rng.integers(0, 4, 100).tolist() for patient in range(100)})
    cells[["p0", "p1", "p2", "p3"]] = rng.dirichlet(np.ones(4), len(cells))
    histories = {row: read_by("Eva", "Bo") for row in range(len(cells))}
    for name in QUEUES:
        began = time.perf_counter()
        order = QUEUES[name].order(QueueInput(cells, RULES, "Eva", histories))
        assert time.perf_counter() - began < 1, name
        assert len(order) == (200 if name == "sample" else 10_000)
