"""Sessions of readers on a study that was really scored, with the decisions in a real SQLite file."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, contextmanager

import numpy as np
import pytest
from reading import CTCS, change_objects, score_anew

from cher2.errors import ReviewError
from cher2.review.backups import backups_of
from cher2.review.log import DecisionLog
from cher2.review.open_log import REVIEWS
from cher2.review.queues import QUEUES
from cher2.review.session import ReviewSession
from cher2.review.sqlite_log import SqliteLog
from cher2.review.sqlite_read_only import ReadOnlyLog
from cher2.review.standing import CellFilter
from cher2.study.folder import Study

FRAME = "P03/frame_01.ome.tif"


@pytest.fixture
def study(study_copy):
    return Study.open(study_copy)


def log_of(study):
    return SqliteLog(study.path / REVIEWS, study.identity, timeout_s=0.05)


@pytest.fixture
def start(study):
    """Return a function that opens a session on the study; all are closed at the end."""
    sessions = []

    def begin(reader="Eva", queue=None, log=None, **more):
        sessions.append(ReviewSession(study, log or log_of(study), reader, queue, **more))
        return sessions[-1]

    yield begin
    for session in sessions:
        session.log.close()


def stored(study):
    """Return what the log holds, as its next reader finds it."""
    with closing(log_of(study)) as log:
        return log.entries()


def said(study):
    return [(entry.reader, entry.action, entry.grade) for entry in stored(study)]


@contextmanager
def locked(study):
    """Hold the decisions' file, as another program that writes to it does."""
    with closing(sqlite3.connect(study.path / REVIEWS, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


class OverAFaultyLine:
    """A real log behind a line that loses answers."""

    def __init__(self, log: DecisionLog) -> None:
        self._log = log
        self.answers_lost = 0
        self.reads_lost = 0

    def __getattr__(self, name):
        return getattr(self._log, name)

    def append(self, decisions):
        answer = self._log.append(decisions)
        if self.answers_lost:
            self.answers_lost -= 1
            raise ReviewError("the server does not answer", remedy="Wait")
        return answer

    def entries(self, after=0):
        if self.reads_lost:
            self.reads_lost -= 1
            raise ReviewError("the server does not answer", remedy="Wait")
        return self._log.entries(after)


def test_a_grade_is_stored_with_all_that_it_needs_and_goes_on(study, start):
    session = start()
    first, second = session.order[:2].tolist()
    assert session.grade(3)
    assert session.current == second
    (entry,) = stored(study)
    assert (entry.image, entry.object_id) == session.ledger.object_of(first)
    assert (entry.reader, entry.action, entry.kind, entry.grade, entry.reading) == ("Eva", "grade", "ctc", 3, "open")
    assert (entry.kind_before, entry.grade_before) == session.ledger.machine(first)
    standing = session.standing(first)
    assert (standing.grade, standing.reviewed, standing.unsaved, standing.reader) == (3, True, False, "Eva")
    assert str(session.progress) == f"1 of {CTCS} reviewed"


def test_every_decision_says_what_it_should(study, start):
    session = start()
    row = int(session.order[0])
    machine = session.ledger.machine(row)
    assert session.note("  blurred ")
    assert session.current == row
    assert session.skip()
    assert session.not_ctc()
    assert session.is_ctc()
    entries = stored(study)
    assert [entry.action for entry in entries] == ["note", "skip", "not_ctc", "ctc"]
    assert (entries[0].reason, entries[0].kind, entries[0].grade) == ("blurred", *machine)
    assert (entries[2].kind, entries[2].grade) == ("other", None)
    assert (entries[3].kind, entries[3].grade) == session.ledger.machine(int(session.order[2]))
    # Notes and skips decide nothing.
    standing = session.standing(row)
    assert (standing.reviewed, standing.skipped, standing.grade) == (False, True, machine[1])
    assert str(session.progress) == f"2 of {CTCS} reviewed, 1 skipped"
    assert session.progress.total == CTCS
    session.set_filter(CellFilter(unreviewed=True))
    assert session.progress.total == CTCS - 3


def test_undo_and_redo_are_entries_and_go_to_the_cell(study, start):
    session = start()
    first, second, third = session.order[:3].tolist()
    session.grade(3)
    session.not_ctc()
    assert session.undo()
    assert session.current == second
    assert session.standing(second).kind == "ctc"
    assert not session.standing(second).reviewed
    assert session.undo()
    assert session.current == first
    assert not session.undo()
    assert session.progress.reviewed == 0
    assert session.redo()
    assert session.standing(first).grade == 3
    assert session.redo()
    assert (session.current, session.standing(second).kind) == (second, "other")
    assert not session.redo()
    assert session.progress.reviewed == 2
    assert [entry.action for entry in stored(study)] == ["grade", "not_ctc", "undo", "undo", "redo", "redo"]
    back = stored(study)[2]
    assert (back.kind_before, back.kind, back.refers_to) == ("other", "ctc", stored(study)[1].decision_id)
    # A new decision takes the place of what was undone.
    session.undo()
    session.go_to(third)
    session.grade(0)
    assert not session.redo()


def test_undo_and_redo_go_on_after_reopening(study, start):
    session = start()
    first, second = session.order[:2].tolist()
    session.grade(3)
    session.grade(2)
    session.undo()
    session.close()
    session = start()
    assert (session.standing(first).grade, session.standing(second).reviewed) == (3, False)
    assert session.redo()
    assert session.standing(second).grade == 2
    assert session.undo()
    assert session.undo()
    assert session.progress.reviewed == 0
    assert not session.undo()


def test_a_cell_graded_twice_goes_back_step_by_step(start):
    session = start()
    row = session.current
    session.grade(3)
    session.go_to(row)
    session.grade(1)
    session.undo()
    assert (session.standing(row).grade, session.standing(row).reviewed) == (3, True)
    session.undo()
    assert not session.standing(row).reviewed
    session.redo()
    assert session.standing(row).grade == 3


def test_a_reader_takes_back_only_his_own_and_leaves_what_others_decided_later(start):
    eva, bo = start("Eva"), start("Bo")
    row = eva.current
    eva.grade(0)
    bo.refresh()
    assert not bo.undo()
    bo.go_to(row)
    bo.grade(3)
    eva.refresh()
    assert (eva.standing(row).grade, eva.standing(row).reader, eva.standing(row).disagreement) == (3, "Bo", True)
    assert eva.undo()
    standing = eva.standing(row)
    assert (standing.grade, standing.reader, standing.disagreement) == (3, "Bo", False)
    bo.refresh()
    assert bo.undo()
    eva.refresh()
    assert not eva.standing(row).reviewed


def test_two_readers_lose_nothing_and_see_each_other_on_refresh(study, start):
    eva, bo = start("Eva"), start("Bo")
    told = []
    eva.standings_changed.connect(lambda rows: told.append(rows.tolist()))
    rows = eva.order.tolist()
    for at in range(4):
        eva.grade(at % 4)
        bo.go_to(rows[10 + at])
        bo.grade(3 - at % 4)
    # What others stored before comes in with one's own.
    assert bo.refresh() == 0
    told.clear()
    eva.refresh()
    assert told == [[rows[13]]]
    assert eva.refresh() == 0
    for session in (eva, bo, start("Cy")):
        assert [session.standing(rows[at]).grade for at in (0, 1, 2, 3)] == [0, 1, 2, 3]
        assert [session.standing(rows[10 + at]).grade for at in (0, 1, 2, 3)] == [3, 2, 1, 0]
        assert session.progress.reviewed == 8
    assert len(stored(study)) == 8


def test_two_windows_of_one_reader_undo_the_same_list(study, start):
    one, two = start("Eva"), start("Eva")
    first = one.current
    one.grade(3)
    two.refresh()
    two.go_to(5)
    two.grade(2)
    one.refresh()
    # The newest is that of the other window.
    assert one.undo()
    assert (one.current, one.standing(5).reviewed) == (5, False)
    # This one has not heard of that, and takes the same back: once is enough.
    assert two.undo()
    one.refresh()
    assert one.standing(first).reviewed
    assert one.undo()
    two.refresh()
    assert not two.undo()
    for session in (one, two, start("Eva")):
        assert session.progress.reviewed == 0
    assert session.redo()
    assert session.standing(first).grade == 3


def test_a_blind_reader_is_told_nothing_and_tells_nothing_of_the_machine(study, start):
    start("Bo").grade(3)
    session = start(queue="sample", seed=2)
    row = session.current
    assert session.standing(row).hidden
    assert session.is_ctc()
    (_, entry) = stored(study)
    assert (entry.reading, entry.kind, entry.grade) == ("blind", "ctc", None)
    assert not session.standing(row).hidden
    session.set_queue("second")
    assert [session.standing(at).hidden for at in session.order.tolist()] == [row != session.order[0]]
    assert start(queue="patient", blind=True).blind


def test_what_readers_disagree_on_is_settled_by_consensus(study, start):
    eva, bo = start("Eva"), start("Bo")
    row = eva.current
    eva.grade(0)
    bo.grade(3)
    chair = start("Cy", "disagreements")
    assert chair.order.tolist() == [row]
    chair.grade(2)
    assert stored(study)[-1].reading == "consensus"
    bo.refresh()
    bo.go_to(row)
    bo.grade(3)
    for session in (bo, start("Eva")):
        assert (session.standing(row).grade, session.standing(row).disagreement) == (2, False)
    assert chair.refresh() == 1
    chair.undo()
    assert (chair.standing(row).grade, chair.standing(row).disagreement) == (3, True)


def test_a_rejected_object_becomes_a_ctc(study, start):
    session = start()
    new = session.ledger.add_objects(FRAME)
    session.set_filter(CellFilter(rows=frozenset(new.tolist())))
    row = session.current
    assert session.cells["kind"].iloc[row] != "ctc"
    before = session.patient("P03")["n_ctcs"]
    assert session.is_ctc()
    assert session.standing(row).kind == "ctc"
    session.grade(3)
    assert session.patient("P03")["n_ctcs"] == before + 2
    other = start("Bo")
    assert len(other.order) == CTCS + 2
    assert other.patient("P03")["n_ctcs"] == before + 2


def test_a_locked_file_leaves_a_decision_unsaved_and_it_is_stored_once(study, start):
    session = start()
    first, second = session.order[:2].tolist()
    failures, counts = [], []
    session.failed.connect(failures.append)
    session.unsaved_changed.connect(counts.append)
    with locked(study):
        assert not session.grade(3)
        assert session.current == first
        assert (counts, len(failures)) == ([1], 1)
        assert "another program holds" in failures[0]
        standing = session.standing(first)
        assert (standing.grade, standing.unsaved, standing.reviewed) == (3, True, False)
        assert str(session.progress) == f"0 of {CTCS} reviewed, 1 not saved"
        assert session.patient("P01")["n_grade_3"] == 0
        with pytest.raises(ReviewError, match="not saved yet"):
            session.undo()
        # The reader goes on; what is decided now waits behind the other.
        session.go_to(second)
        assert not session.skip()
        assert (session.progress.skipped, session.progress.unsaved) == (0, 2)
        assert session.go_next_unreviewed()
        assert not session.retry()
        assert counts[-1] == 2
    assert stored(study) == []
    assert session.retry()
    assert session.retry()
    assert said(study) == [("Eva", "grade", 3), ("Eva", "skip", session.ledger.machine(second)[1])]
    assert (session.unsaved, counts[-1]) == ((), 0)
    standing = session.standing(first)
    assert (standing.grade, standing.unsaved, standing.reviewed) == (3, False, True)
    assert str(session.progress) == f"1 of {CTCS} reviewed, 1 skipped"
    assert session.patient("P01")["n_grade_3"] == 1
    assert session.undo()
    assert session.undo()
    assert not session.undo()


def test_a_file_that_was_taken_away_is_told_and_tried_again(study, start):
    session = start()
    session.grade(0)
    failures = []
    session.failed.connect(failures.append)
    away = {path: path.with_name(f"away-{path.name}") for path in study.path.glob(f"{REVIEWS}*")}
    for path, elsewhere in away.items():
        path.rename(elsewhere)
    assert not session.grade(1)
    assert "removed, renamed or replaced" in failures[0]
    assert not (study.path / REVIEWS).exists()
    for path, elsewhere in away.items():
        elsewhere.rename(path)
    assert session.retry()
    assert said(study) == [("Eva", "grade", 0), ("Eva", "grade", 1)]


def test_a_decision_whose_answer_was_lost_is_stored_once(study, start):
    line = OverAFaultyLine(log_of(study))
    session = start(log=line)
    row = session.current
    line.answers_lost = 1
    assert not session.grade(3)
    assert session.standing(row).unsaved
    start("Bo").grade(1)
    assert session.retry()
    assert said(study) == [("Eva", "grade", 3), ("Bo", "grade", 1)]
    assert (session.standing(row).grade, session.standing(row).unsaved) == (3, False)
    assert session.refresh() == 1
    assert session.standing(row).grade == 1
    assert session.undo()
    assert not session.undo()
    assert session.refresh() == 0


def test_a_refresh_finds_that_a_decision_was_stored_after_all(study, start):
    line = OverAFaultyLine(log_of(study))
    session = start(log=line)
    row = session.current
    line.answers_lost = 2
    counts = []
    session.unsaved_changed.connect(counts.append)
    assert not session.grade(3)
    assert not session.retry()
    assert session.standing(row).unsaved
    assert session.refresh() == 1
    assert (session.unsaved, counts[-1]) == ((), 0)
    assert (session.standing(row).unsaved, session.standing(row).reviewed) == (False, True)
    assert session.retry()
    assert said(study) == [("Eva", "grade", 3)]
    assert session.undo()
    assert not session.undo()


def test_where_others_cannot_be_read_nothing_is_shown_as_taken(study, start):
    line = OverAFaultyLine(log_of(study))
    session = start(log=line)
    row = session.current
    start("Bo").grade(0)
    line.reads_lost = 2
    failures = []
    session.failed.connect(failures.append)
    assert not session.grade(3)
    assert (len(failures), len(session.unsaved), session.standing(row).unsaved) == (1, 1, True)
    with pytest.raises(ReviewError, match="does not answer"):
        session.refresh()
    assert session.retry()
    assert said(study) == [("Bo", "grade", 0), ("Eva", "grade", 3)]
    assert (session.standing(row).grade, session.unsaved) == (3, ())


def test_closing_tries_once_more_and_says_what_could_not_be_stored(study, start):
    session = start()
    with locked(study):
        session.grade(3)
        with pytest.raises(ReviewError, match="another program holds"):
            session.close()
        assert len(session.unsaved) == 1
    assert stored(study) == []
    session.close()
    session.close()
    assert (said(study), session.unsaved) == ([("Eva", "grade", 3)], ())


def test_a_place_that_cannot_be_remembered_is_told_and_does_no_harm(study, start):
    session = start()
    failures = []
    session.failed.connect(failures.append)
    with locked(study):
        session.close()
    assert len(failures) == 1


def test_reopening_returns_to_the_cell_and_the_queue(study, start):
    session = start(queue="uncertain")
    session.go_to(int(session.order[17]))
    row = session.current
    session.close()
    session = start()
    assert (session.queue.name, session.current) == ("uncertain", row)
    session.go_next()
    session.remember()
    # Another reader begins at the beginning; a queue that is asked for wins, at the same cell.
    assert start("Bo").current == start("Bo").order[0]
    session = start(queue="patient")
    assert session.queue.name == "patient"
    assert session.current == start().current != row


@pytest.mark.parametrize("text", ["", "  \n", "a\x00b", "x" * 2001])
def test_a_note_that_cannot_be_stored_is_refused_and_blocks_nothing(study, start, text):
    session = start()
    with pytest.raises(ReviewError):
        session.note(text)
    assert session.unsaved == ()
    assert session.grade(2)
    assert len(stored(study)) == 1


def test_decisions_stay_with_their_cells_when_the_images_are_scored_anew(study, start):
    session = start(queue="patient")
    for grade in (0, 1, 2, 3):
        session.grade(grade)
    images = [session.ledger.object_of(row)[0] for row in session.order[:4].tolist()]
    places = session.cells[["y_px", "x_px"]].to_numpy()[session.order[:4]]
    (newest,) = [session.ledger.object_of(int(session.order[3]))[1]]
    session.close()
    score_anew(study, images[0], by=(3, -2), without=[newest])
    session = start(queue="patient")
    assert [entry.grade for entry in session.ledger.lost] == [3]
    read = [row for row in session.order.tolist() if session.standing(row).reviewed]
    found = sorted((session.standing(row).grade, *session.cells[["y_px", "x_px"]].to_numpy()[row]) for row in read)
    np.testing.assert_allclose(found, [(grade, *(places[grade] + (3, -2))) for grade in (0, 1, 2)])
    assert session.progress.total == CTCS - 1
    # The newest decision has no cell: the one before is taken back.
    assert session.undo()
    assert sorted(session.standing(row).grade for row in read if session.standing(row).reviewed) == [0, 1]


def test_a_real_run_with_another_protocol_keeps_the_decisions(command, images, tmp_path):
    for patient in ("P02", "P08"):
        shutil.rmtree(images / patient)
    protocol = tmp_path / "other.toml"
    protocol.write_text('[compensation]\n"ck->her2" = 0.01\n', encoding="utf-8")
    kept = []
    for options in ((), ("--protocol", protocol)):
        assert command("run", images, "-o", tmp_path / "study", "--workers", "1", *options).code == 0
        study = Study.open(tmp_path / "study")
        session = ReviewSession(study, log_of(study), "Eva", "patient")
        for grade in () if kept else (3, 2, 1):
            session.grade(grade)
        assert session.ledger.lost == ()
        kept.append(
            [(session.standing(row).grade, *session.ledger.object_of(row)) for row in session.order[:3].tolist()]
        )
        kept.append(set(session.ledger.fingerprints))
        session.close()
    first, prints, second, new_prints = kept
    assert [grade for grade, *_ in first] == [3, 2, 1]
    # Only the intensities changed: the objects are the same ones.
    assert second == first
    assert prints.isdisjoint(new_prints)


@pytest.mark.parametrize("queue", QUEUES)
def test_a_study_without_ctcs(study, start, queue):
    for image in study.samples["image"]:
        change_objects(study, image, lambda objects: objects.iloc[:0])
    session = start(queue=queue)
    assert (session.current, str(session.progress)) == (None, "0 of 0 reviewed")
    acts = (lambda: session.grade(1), session.not_ctc, session.is_ctc, session.skip, lambda: session.note("x"))
    for act in acts:
        with pytest.raises(ReviewError, match="queue is empty"):
            act()
    assert not session.undo()
    assert not session.redo()
    assert session.refresh() == 0
    session.close()
    assert stored(study) == []


def test_one_cell(study, start):
    for image in study.samples["image"]:
        change_objects(study, image, lambda objects: objects.assign(kind="other"))
    change_objects(study, FRAME, lambda objects: objects.assign(kind=["ctc"] + ["other"] * (len(objects) - 1)))
    session = start()
    assert session.order.tolist() == [0]
    for grade in (0, 3):
        session.grade(grade)
        assert session.current == 0
    assert str(session.progress) == "1 of 1 reviewed"
    session.undo()
    assert session.standing(0).grade == 0


@pytest.mark.parametrize("reader", ["", "  "])
def test_a_reader_has_a_name(study, reader):
    with closing(log_of(study)) as log, pytest.raises(ReviewError, match="name of its reader"):
        ReviewSession(study, log, reader)


def test_wrong_queues_and_grades_are_refused(study, start):
    with closing(log_of(study)) as log, pytest.raises(ReviewError, match="no queue 'hardest'"):
        ReviewSession(study, log, "Eva", "hardest")
    session = start(" Eva ")
    assert session.reader == "Eva"
    for wrong in (4, -1):
        with pytest.raises(ReviewError, match="grade is"):
            session.grade(wrong)
    assert session.unsaved == ()


def test_a_session_that_may_only_read_refuses_every_decision(study, start):
    with closing(ReviewSession(study, log_of(study), "Eva", "patient")) as session:
        assert session.grade(2)
    reading = start("Eva", "patient", log=ReadOnlyLog(study.path / REVIEWS, study.identity))
    assert reading.read_only
    assert reading.progress.reviewed == 1
    with pytest.raises(ReviewError, match="open for reading only"):
        reading.grade(3)
    assert reading.unsaved == ()
    first = reading.current
    reading.go_next()
    assert reading.current != first
    reading.close()
    assert said(study) == [("Eva", "grade", 2)]


def test_a_session_makes_a_backup_copy_when_it_ends_and_only_if_it_stored_something(study):
    for grades, copies in (([], []), ([1, 2], [2]), ([], [2]), ([3], [2, 3])):
        with closing(ReviewSession(study, log_of(study), "Eva", "patient")) as session:
            for grade in grades:
                assert session.grade(grade)
        assert [copy.entry for copy in backups_of(study.path / REVIEWS)] == copies
