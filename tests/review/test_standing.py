"""How a cell stands for a reader, by hand."""

from __future__ import annotations

import pandas as pd
import pytest
from reading import a_decision, cells_of, undo_of

from cher2.review.standing import (
    CellFilter,
    CellStanding,
    Progress,
    UndoStack,
    machine_words,
    standing_of,
    with_standings,
)

MACHINE = ("ctc", 1)


def standing(*entries, reader="Eva", blind=False, waiting=()):
    return standing_of(MACHINE, entries, reader, blind=blind, waiting=waiting)


def test_where_nobody_decided_the_machine_holds():
    assert standing() == CellStanding("ctc", 1)
    assert standing(a_decision("note", reason="x")) == CellStanding("ctc", 1, notes=("Eva: x",))


def test_anyones_decision_holds_in_an_open_reading():
    bos = a_decision("not_ctc", reader="Bo")
    found = standing(bos)
    assert (found.kind, found.grade, found.reviewed, found.reader) == ("other", None, True, "Bo")
    assert found.decided_at == bos.decided_at
    assert not found.hidden


def test_a_blind_reader_sees_only_his_own():
    bos, evas = a_decision(grade=3, reader="Bo", reason="bright"), a_decision(grade=2, reason="dim")
    assert standing(bos, blind=True) == CellStanding("ctc", 1, hidden=True)
    found = standing(bos, evas, blind=True)
    assert (found.grade, found.reviewed, found.hidden, found.reader) == (2, True, False, "Eva")
    assert found.notes == ("Eva: dim",)
    assert not found.disagreement
    assert standing(evas, bos, blind=True).grade == 2
    assert standing(bos, evas).disagreement
    assert standing(bos, evas).notes == ("Bo: bright", "Eva: dim")


def test_a_blind_reader_who_took_it_back_sees_nothing_again():
    evas = a_decision(grade=2)
    assert standing(evas, undo_of(evas), blind=True) == CellStanding("ctc", 1, hidden=True)


def test_what_waits_is_shown_but_counts_for_nothing():
    waiting = [a_decision(grade=3)]
    found = standing(waiting=waiting)
    assert (found.grade, found.unsaved, found.reviewed) == (3, True, False)
    found = standing(waiting=waiting, blind=True)
    assert (found.grade, found.hidden, found.reviewed) == (3, False, False)
    # Reviewed by what was stored before; what waits does not take that away.
    found = standing(a_decision(grade=0), waiting=waiting)
    assert (found.grade, found.unsaved, found.reviewed) == (3, True, True)


def test_a_skip_and_an_undo_that_wait_count_for_nothing():
    assert not standing(waiting=[a_decision("skip")]).skipped
    assert standing(a_decision("skip")).skipped
    stored = a_decision(grade=3)
    found = standing(stored, waiting=[undo_of(stored)])
    assert (found.grade, found.unsaved, found.reviewed) == (1, True, True)


@pytest.mark.parametrize(
    ("chosen", "kept"),
    [
        (CellFilter(), [0, 1, 2, 3, 4]),
        (CellFilter(patient="P1"), [0, 1, 2, 3, 4]),
        (CellFilter(patient="P2"), []),
        (CellFilter(grades=frozenset({2, 3})), [1, 3]),
        (CellFilter(grades=frozenset({0})), [0, 3]),
        (CellFilter(kinds=frozenset({"other"})), [2, 3]),
        (CellFilter(unreviewed=True), [0, 3]),
        (CellFilter(rows=frozenset({2, 4, 9})), [2, 4]),
        (CellFilter(rows=frozenset()), []),
        (CellFilter(kinds=frozenset({"ctc"}), unreviewed=True, rows=frozenset({0, 1})), [0]),
    ],
)
def test_a_filter_lets_through(chosen, kept):
    standings = [
        CellStanding("ctc", 0, unsaved=True),
        CellStanding("ctc", 2, reviewed=True),
        CellStanding("other", None, reviewed=True),
        CellStanding("ctc", 1, hidden=True),
        CellStanding("ctc", None, skipped=True),
    ]
    assert [row for row, found in enumerate(standings) if chosen.keeps(row, "P1", found)] == kept


def test_progress_in_words():
    assert str(Progress(3, 0, 10, 0)) == "3 of 10 reviewed"
    assert str(Progress(3, 2, 10, 1)) == "3 of 10 reviewed, 2 skipped, 1 not saved"


def followed(*entries):
    stack = UndoStack()
    for entry in entries:
        stack.follow(entry)
    return stack.done, stack.undone


def test_the_stack_is_the_log_replayed():
    first, second, third = a_decision(grade=1), a_decision("skip"), a_decision("note", reason="x")
    assert followed(first, second) == ([first, second], [])
    assert followed(first, second, undo_of(second)) == ([first], [second])
    assert followed(first, second, undo_of(second), undo_of(first)) == ([], [second, first])
    assert followed(first, second, undo_of(second), undo_of(second, "redo")) == ([first, second], [])
    # What is decided after an undo takes the place of what was undone.
    assert followed(first, second, undo_of(second), third) == ([first, third], [])


def test_an_undo_out_of_order_or_twice_moves_only_its_own():
    first, second = a_decision(grade=1), a_decision(grade=2)
    assert followed(first, second, undo_of(first)) == ([second], [first])
    assert followed(first, second, undo_of(first), undo_of(first)) == ([second], [first])
    assert followed(first, undo_of(a_decision())) == ([first], [])


def test_the_machine_has_a_grade_only_for_ctcs():
    cells = cells_of({"P1": [2, None, 3]})
    cells["kind"] = ["ctc", "ctc", "leukocyte"]
    assert machine_words(cells) == [("ctc", 2), ("ctc", None), ("leukocyte", None)]


def test_a_table_with_what_stands():
    cells = cells_of({"P1": [2, 1]}).drop(columns=["kind_final", "grade"])
    table = with_standings(cells, [CellStanding("other", None, reader="Eva", decided_at="now"), CellStanding("ctc", 1)])
    assert table["kind_final"].tolist() == ["other", "ctc"]
    assert table["grade"].isna().tolist() == [True, False]
    assert table["grade"].dtype == pd.Int8Dtype()
    assert table["reader"].tolist() == ["Eva", ""]
    assert table["reviewed_at"].tolist() == ["now", ""]
    assert with_standings(cells.iloc[:0], []).empty
