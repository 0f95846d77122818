"""Cells beside what was decided on them, of a study that was really scored."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from reading import CTCS, change_objects, score_anew, undo_of

from cher2.errors import StudyError
from cher2.review.ledger import Ledger
from cher2.study.folder import Study

FRAME = "P03/frame_01.ome.tif"


@pytest.fixture
def study(study_copy):
    return Study.open(study_copy)


def rows_of(ledger, image=FRAME):
    return np.flatnonzero((ledger.cells["image"] == image).to_numpy()).tolist()


def graded(ledger, row, grade, reader="Eva", **fields):
    return ledger.decision_on(row, "grade", reader, ledger.machine(row), ("ctc", grade), **fields)


def numbered(entries, after=0):
    """Return entries as a log gives them."""
    return [replace(entry, entry=at) for at, entry in enumerate(entries, start=after + 1)]


def test_a_decision_says_all_that_finds_its_cell_again(study):
    ledger = Ledger(study)
    row = rows_of(ledger)[2]
    cell = ledger.cells.iloc[row]
    decision = graded(ledger, row, 2, reason="dim", reading="blind")
    assert (decision.study, decision.image, decision.object_id) == (study.identity, FRAME, cell["object_id"])
    assert (decision.y_px, decision.x_px) == (cell["y_px"], cell["x_px"])
    assert decision.radius_px == pytest.approx(cell["diameter_um"] / 2 / 0.64)
    assert (decision.kind_before, decision.grade_before) == ("ctc", cell["grade_auto"])
    assert (decision.kind, decision.grade, decision.reason, decision.reading) == ("ctc", 2, "dim", "blind")
    assert decision.protocol == study.protocol.fingerprint()
    assert decision.score == ledger.fingerprints[row]
    assert ledger.row_of(FRAME, decision.object_id) == row
    assert ledger.object_of(row) == (FRAME, decision.object_id)
    assert ledger.row_of(FRAME, 9999) is None


def test_what_is_followed_stands(study):
    ledger = Ledger(study)
    row, other = rows_of(ledger)[:2]
    first, second = numbered([graded(ledger, row, 0), graded(ledger, row, 3, "Bo")])
    assert ledger.follow([first]).tolist() == [row]
    assert ledger.follow([first, second]).tolist() == [row]
    assert ledger.last_entry == 2
    assert ledger.knows(first)
    assert not ledger.knows(graded(ledger, row, 1))
    assert ledger.entries_of(row) == [first, second]
    assert ledger.standing(row).grade == 3
    assert ledger.standing(row, "Eva", blind=True).grade == 0
    assert ledger.standing(other).grade == ledger.machine(other)[1]
    assert ledger.histories().keys() == {row}
    assert ledger.follow([]).tolist() == []
    assert ledger.lost == ()


def test_an_undo_leaves_what_another_decided_later(study):
    ledger = Ledger(study)
    row = rows_of(ledger)[0]
    evas, bos = graded(ledger, row, 0), graded(ledger, row, 1, "Bo")
    ledger.follow(numbered([evas, bos, undo_of(evas, score=evas.score)]))
    assert ledger.standing(row).grade == 1
    assert ledger.standing(row).reader == "Bo"
    assert not ledger.standing(row, "Eva", blind=True).reviewed


def test_the_final_table(study):
    ledger = Ledger(study)
    first, second, third = rows_of(ledger)[:3]
    no_ctc = ledger.decision_on(second, "not_ctc", "Bo", ledger.machine(second), ("other", None))
    ledger.follow(numbered([graded(ledger, first, 0), no_ctc]))
    table = ledger.final_cells()
    assert len(table) == CTCS
    assert table["kind_final"].iloc[[first, second, third]].tolist() == ["ctc", "other", "ctc"]
    assert table["grade"].iloc[first] == 0
    assert table["grade"].isna().sum() == 1
    assert table["reader"].iloc[[first, second, third]].tolist() == ["Eva", "Bo", ""]
    assert table["reviewed_at"].iloc[second] == no_ctc.decided_at
    assert (table["grade"] == table["grade_auto"]).drop(index=[first, second]).all()
    some = ledger.final_cells(np.array([third, first]))
    assert some["reader"].tolist() == ["", "Eva"]
    assert some["object_id"].tolist() == ledger.cells["object_id"].iloc[[third, first]].tolist()


def test_a_rejected_object_that_somebody_judges_appears(study):
    ledger, other = Ledger(study), Ledger(study)
    new = other.add_objects(FRAME)
    assert len(new) == len(study.objects_of(FRAME)) - 9
    assert len(other.add_objects(FRAME)) == 0
    row = int(new[0])
    assert other.machine(row)[0] != "ctc"
    (decision,) = numbered([other.decision_on(row, "ctc", "Bo", other.machine(row), ("ctc", None))])
    for found in (ledger, Ledger(study, [decision])):
        changed = found.follow([decision])
        at = found.row_of(FRAME, decision.object_id)
        assert len(found) == CTCS + 1
        assert changed.tolist() == ([at] if found is ledger else [])
        assert found.standing(at).kind == "ctc"
        assert found.machine(at)[0] != "ctc"
    with pytest.raises(StudyError):
        ledger.add_objects("P99/no.tif")


@pytest.mark.parametrize("action", ["note", "skip"])
def test_notes_and_skips_leave_the_machine_s_word(study, action):
    ledger = Ledger(study)
    row = rows_of(ledger)[0]
    ledger.follow(numbered([ledger.decision_on(row, action, "Eva", ("ctc", 0), ("ctc", 0), reason="x")]))
    standing = ledger.standing(row, "Eva")
    assert (standing.grade, standing.reviewed, standing.reader) == (ledger.machine(row)[1], False, "")


def test_an_image_scored_anew_keeps_its_decisions_cell_by_cell(study):
    before = Ledger(study)
    rows = rows_of(before)
    entries = numbered([graded(before, row, at % 4) for at, row in enumerate(rows)])
    places = before.cells[["y_px", "x_px"]].to_numpy()[rows]
    score_anew(study, FRAME, by=(3, -2))
    after = Ledger(study, entries)
    assert after.lost == ()
    found = [after.row_of_entry(entry) for entry in entries]
    assert len(set(found)) == 9
    np.testing.assert_allclose(after.cells[["y_px", "x_px"]].to_numpy()[found], places + np.array([3, -2]))
    assert [after.standing(row).grade for row in found] == [at % 4 for at in range(9)]
    assert len(after) == CTCS


def test_a_number_that_is_another_cells_now_does_not_mislead(study):
    before = Ledger(study)
    one, other = (before.object_of(row)[1] for row in rows_of(before)[:2])
    (entry,) = numbered([graded(before, rows_of(before)[0], 0)])
    change_objects(study, FRAME, lambda objects: objects.replace({"object_id": {one: other, other: one}}), "anew")
    after = Ledger(study, [entry])
    assert after.object_of(after.row_of_entry(entry)) == (FRAME, other)


def test_a_decision_on_what_is_a_copy_now_is_listed(study):
    before = Ledger(study)
    number = before.object_of(rows_of(before)[0])[1]
    (entry,) = numbered([graded(before, rows_of(before)[0], 0)])

    def change(objects):
        copy = objects["object_id"] == number
        return objects.assign(duplicate_of=objects["duplicate_of"].mask(copy, "P03/other.tif 7"))

    change_objects(study, FRAME, change)
    after = Ledger(study, [entry])
    assert (after.lost, len(after)) == ((entry,), CTCS - 1)


def test_what_moved_farther_than_a_cell_is_lost_and_listed(study):
    before = Ledger(study)
    rows = rows_of(before)
    entries = numbered([graded(before, row, 2) for row in rows[:2]])
    gone, kept = (before.object_of(row)[1] for row in rows[:2])
    score_anew(study, FRAME, by=(0, 0), without=[gone])
    after = Ledger(study, entries)
    assert after.lost == (entries[0],)
    assert after.row_of_entry(entries[0]) is None
    assert after.row_of_entry(entries[1]) is not None
    assert kept != gone
    # What was taken back is not missed.
    assert Ledger(study, [*entries, undo_of(entries[0], entry=3)]).lost == ()


def test_decisions_on_an_image_that_is_gone_are_listed(study):
    before = Ledger(study)
    (entry,) = numbered([graded(before, rows_of(before)[0], 2)])
    shutil.rmtree(study.folder_of(FRAME))
    assert Ledger(study, [entry]).lost == (entry,)
    (study.path / "samples.csv").write_text(
        "\n".join(line for line in (study.path / "samples.csv").read_text().splitlines() if FRAME not in line) + "\n"
    )
    assert Ledger(study, [entry]).lost == (entry,)


def test_an_undo_goes_with_its_decision_though_it_was_made_on_other_results(study):
    first = Ledger(study)
    row = rows_of(first)[0]
    (decision,) = numbered([graded(first, row, 0)])
    score_anew(study, FRAME, by=(4, 0))
    second = Ledger(study, [decision])
    there = second.row_of_entry(decision)
    undo = second.decision_on(there, "undo", "Eva", ("ctc", 0), second.machine(there), refers_to=decision.decision_id)
    # Scored once more, the place of the decision is a cell's, and that of the undo is none's.
    score_anew(study, FRAME, by=(-12, 0))
    for entries in ([decision, undo], [decision]):
        third = Ledger(study, numbered(entries))
        third.follow(numbered([decision, undo]))
        assert third.row_of_entry(decision) is not None
        assert not third.standing(third.row_of_entry(decision)).reviewed
        assert third.lost == ()


def test_entries_taken_in_one_by_one_come_to_what_a_new_beginning_comes_to(study):
    before = Ledger(study)
    rows = rows_of(before)

    def change(objects):
        # Two cells side by side, which the new results took for one in between.
        first = objects["object_id"] == before.object_of(rows[0])[1]
        second = objects["object_id"] == before.object_of(rows[1])[1]
        at = objects.loc[first, ["y_px", "x_px"]].iloc[0]
        return objects.assign(
            y_px=objects["y_px"].mask(second, at["y_px"]), x_px=objects["x_px"].mask(second, at["x_px"] + 6.0)
        )

    change_objects(study, FRAME, change)
    before = Ledger(study)
    farther, nearer = (graded(before, row, grade) for row, grade in zip(rows[:2], (0, 3), strict=True))

    def merge(objects):
        first = objects["object_id"] == before.object_of(rows[0])[1]
        second = objects["object_id"] == before.object_of(rows[1])[1]
        return objects.assign(x_px=objects["x_px"].mask(first, objects["x_px"] + 4.0))[~second]

    change_objects(study, FRAME, merge, "anew")
    entries = numbered([farther, nearer])
    at_once = Ledger(study, entries)
    one_by_one = Ledger(study, entries[:1])
    row = one_by_one.row_of_entry(farther)
    assert row is not None
    assert one_by_one.follow(entries[1:]).tolist() == [row]
    for ledger in (at_once, one_by_one):
        assert ledger.lost == (entries[0],)
        assert ledger.standing(row).grade == 3


def test_an_empty_study(study):
    for image in study.samples["image"]:
        change_objects(study, image, lambda objects: objects.iloc[:0])
    ledger = Ledger(study)
    assert (len(ledger), ledger.histories(), ledger.lost, len(ledger.final_cells())) == (0, {}, (), 0)
