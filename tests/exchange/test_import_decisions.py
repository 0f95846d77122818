"""Decisions from elsewhere: every row checked, all or nothing, and twice is once."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import decisions, examples

from cher2.errors import ReviewError
from cher2.exchange.decision_rows import read_rows
from cher2.exchange.import_decisions import import_decisions
from cher2.report.derive import derive
from cher2.review.decisions_csv import decisions_csv, guarded, unguarded
from cher2.review.ledger import Ledger
from cher2.review.open_log import open_log, stored_decisions
from cher2.study.folder import Study
from cher2.study.identity import IDENTITY


@pytest.fixture
def study(study_copy):
    return Study(study_copy)


@pytest.fixture
def write(tmp_path):
    def to_file(rows, name="given.csv"):
        path = tmp_path / name
        (rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows)).to_csv(path, index=False)
        return path

    return to_file


def bring(study, path, reader=""):
    with closing(open_log(study)) as log:
        return import_decisions(study, log, path, reader)


def without_entry(entries):
    return [replace(entry, entry=0) for entry in entries]


HOSTILE = ["=1+1", "+", "-x", "@a", "'", "''=", "'quoted'", "a,b", 'say "so"', "line\nbreak", "\ttab", "＝1", " =1", ""]


@given(st.text())
def test_a_guarded_text_is_no_formula_and_comes_back(text):
    assert unguarded(guarded(text)) == text
    assert not guarded(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


def test_what_was_exported_comes_back_word_for_word(study, judge, tmp_path):
    for number, text in enumerate(HOSTILE):
        judge(study, [number % 5], [number % 4], f"R{text}" if not text.strip() else text, reason=text)
    judge(study, [6], ["not"], "Bob", "blind")
    entries = stored_decisions(study)
    path = tmp_path / "decisions.csv"
    path.write_text(decisions_csv(entries), encoding="utf-8", newline="")
    assert str(bring(study, path)) == f"0 decisions imported, {len(entries)} were there already"
    for old in study.path.glob("reviews.sqlite*"):
        old.unlink()
    assert bring(study, path).stored == len(entries)
    assert without_entry(stored_decisions(study)) == without_entry(entries)
    assert bring(study, path).stored == 0


def test_another_study_of_the_same_images_takes_them_as_its_own(study, judge, tmp_path):
    (first,) = judge(study, [0], [1])
    with closing(open_log(study)) as log:
        undo = replace(first, action="undo", refers_to=first.decision_id, decision_id="b" * 32, entry=0)
        log.append([undo])
    path = tmp_path / "decisions.csv"
    path.write_text(decisions_csv(stored_decisions(study)), encoding="utf-8")
    (study.path / IDENTITY).write_text("another\n", encoding="ascii")
    assert stored_decisions(study) == []
    assert bring(study, path).stored == 2
    copied, back = stored_decisions(study)
    assert {copied.study, back.study} == {"another"}
    assert back.refers_to == copied.decision_id != first.decision_id
    assert bring(study, path).stored == 0


def test_a_plain_table_by_number_or_by_place(study, write):
    cells = Ledger(study).cells
    picked = cells.iloc[[0, 4, 9]]
    rows = pd.DataFrame(
        {
            "image": picked["image"],
            "object_id": ["", picked["object_id"].iloc[1], f"{picked['object_id'].iloc[2]}.0"],
            "y_px": [picked["y_px"].iloc[0] + 2, "", picked["y_px"].iloc[2]],
            "x_px": [picked["x_px"].iloc[0] - 2, "", picked["x_px"].iloc[2]],
            "grade": ["3+", "not a CTC", "0"],
            "reader": ["Ada", "", "Bob"],
            "reason": ["bright", "", ""],
        }
    )
    path = write(rows)
    assert bring(study, path, "Carl").stored == 3
    stored = stored_decisions(study)
    assert [entry.object_id for entry in stored] == picked["object_id"].tolist()
    said = [(entry.action, entry.kind, entry.grade, entry.reader, entry.reason, entry.reading) for entry in stored]
    assert said == [
        ("grade", "ctc", 3, "Ada", "bright", "open"),
        ("not_ctc", "other", None, "Carl", "", "open"),
        ("grade", "ctc", 0, "Bob", "", "open"),
    ]
    assert [entry.grade_before for entry in stored] == picked["grade_auto"].tolist()
    assert bring(study, path, "Carl").stored == 0
    cells = derive(study).cells
    assert (cells["reader"] != "").sum() == 3


def test_times_are_taken_to_utc_and_a_later_word_follows_an_earlier(study, write):
    cell = Ledger(study).cells.iloc[0]
    row = {"image": cell["image"], "object_id": cell["object_id"], "reader": "Ada", "reading": "blind"}
    times = ["2026-01-02T10:00:00+02:00", "2026-01-03 09:30", "2026-01-04"]
    rows = [row | {"grade": grade, "decided_at": time} for grade, time in zip((0, 1, 2), times, strict=True)]
    assert bring(study, write(rows)).stored == 3
    stored = stored_decisions(study)
    assert [entry.decided_at[:19] for entry in stored] == [
        "2026-01-02T08:00:00",
        "2026-01-03T09:30:00",
        "2026-01-04T00:00:00",
    ]
    assert [entry.grade_before for entry in stored][1:] == [0, 1]
    assert {entry.reading for entry in stored} == {"blind"}


def test_every_bad_row_is_named_and_nothing_is_stored(study, write, refused):
    cells = Ledger(study).cells
    good = {"image": cells["image"].iloc[0], "object_id": str(cells["object_id"].iloc[0]), "grade": "1", "reader": "A"}
    good |= {"y_px": "", "x_px": "", "decided_at": "", "reading": ""}
    last = cells.iloc[-1]
    faults = [
        ({"image": "P99/no.tif"}, "'P99/no.tif' is no scored image"),
        ({"object_id": "99999"}, "there is no object 99999"),
        ({"object_id": "one"}, "object_id = 'one' is no whole number"),
        ({"object_id": "-1"}, "object_id = '-1' is no whole number"),
        ({"object_id": ""}, "neither object_id nor y_px and x_px"),
        ({"object_id": "", "y_px": "1e9", "x_px": "3"}, "no object lies at row 1e"),
        ({"object_id": "", "y_px": "nan", "x_px": "3"}, "y_px = 'nan' is no number"),
        ({"y_px": "100000", "x_px": "3"}, "does not lie at row 100000"),
        ({"grade": "4"}, "grade = '4' is none of 0, 1+, 2+, 3+"),
        ({"grade": ""}, "grade = '' is none"),
        ({"reader": ""}, "no reader is named"),
        ({"reader": "x" * 3000}, "longer than 2000"),
        ({"decided_at": "yesterday"}, "decided_at = 'yesterday' is no time"),
        ({"decided_at": "2999-01-01"}, "lies in the future"),
        ({"reading": "peeking"}, "reading = 'peeking' is none of open, blind, consensus"),
    ]
    rows = [
        good,
        *(good | {"image": last["image"], "object_id": str(last["object_id"])} | change for change, _ in faults),
    ]
    rows += [good, good | {"grade": "2"}]
    path = write(rows)
    with pytest.raises(ReviewError) as caught:
        bring(study, path)
    text = str(caught.value)
    assert f"{len(faults) + 2} of {len(rows)} rows cannot be imported, so nothing was" in text
    for number, (_, why) in enumerate(faults, start=3):
        assert f"row {number}: " in text
        assert why in text.split(f"row {number}: ")[1].split("; row ")[0], (number, why)
    assert "it repeats row 2" in text
    assert "it is on the same cell as row 2; decided_at must say which is later" in text
    assert stored_decisions(study) == []
    refused("import", study.path, path, says=["row 3", "given.csv"])


def test_no_more_than_twenty_rows_are_named(study, write):
    path = write([{"image": "none", "object_id": 1, "grade": 1, "reader": f"R{number}"} for number in range(30)])
    with pytest.raises(ReviewError, match=r"30 of 30 rows .* row 21: .*; and 10 more\. Mend"):
        bring(study, path)


def test_what_is_no_table_of_decisions_is_refused(study, write, refused, tmp_path):
    with closing(open_log(study)):
        pass
    refused("import", study.path, tmp_path / "none.csv", says=["cannot be read"])
    refused("import", study.path, write([{"grade": 1}]), says=["no column image"])
    refused("import", study.path, write([{"image": "a", "grade": 1, "y_px": 3}]), says=["no column x_px"])
    assert stored_decisions(study) == []


def test_rows_of_cher2s_own_file_are_checked_too(study, judge, tmp_path):
    judge(study, [0, 1], [1, 2])
    table = pd.read_csv(write_own(study, tmp_path / "own.csv"), keep_default_na=False, dtype=str)
    fresh = table.assign(decision_id=["c" * 32, "d" * 32])
    changes = [
        ({"image": "none"}, "is no scored image"),
        ({"y_px": "99999", "score": "old"}, "no object lies"),
        ({"kind": "blob"}, "kind is 'blob'"),
        ({"grade": "7"}, "grade = '7' is none"),
        ({"action": "undo"}, "names no earlier decision"),
        ({"action": "undo", "refers_to": "e" * 32}, "refers_to names no earlier decision"),
        ({"decided_at": ""}, "decided_at is empty"),
        ({"decision_id": ""}, "decision_id is empty"),
        ({"radius_px": "inf"}, "radius_px = 'inf' is no number"),
        ({"decision_id": "c" * 32}, "the file has its decision_id twice"),
        ({"decision_id": table["decision_id"].iloc[0], "grade": "3"}, "and says something else"),
    ]
    for change, why in changes:
        spoilt = fresh.copy()
        spoilt.loc[1, list(change)] = list(change.values())
        path = tmp_path / "spoilt.csv"
        spoilt.to_csv(path, index=False)
        with pytest.raises(ReviewError, match="1 of 2 rows cannot be imported") as caught:
            bring(study, path)
        assert "row 3: " in str(caught.value)
        assert why in str(caught.value), change
    assert len(stored_decisions(study)) == 2


def write_own(study, path):
    path.write_text(decisions_csv(stored_decisions(study)), encoding="utf-8")
    return path


def test_own_rows_find_their_cell_by_its_place_where_it_was_scored_anew(study, judge, tmp_path):
    (entry,) = judge(study, [0], [1])
    path = write_own(study, tmp_path / "own.csv")
    for old in study.path.glob("reviews.sqlite*"):
        old.unlink()
    score = study.folder_of(entry.image) / "score.json"
    score.write_text(json.dumps(json.loads(score.read_text()) | {"measuring": "anew"}), encoding="utf-8")
    assert bring(study, path).stored == 1
    assert len(derive(study).review.lost) == 0


def test_a_word_on_a_copy_is_taken_for_the_cell_that_counts(study, write):
    cells = Ledger(study).cells
    here = np.flatnonzero(cells["patient_id"] == "P03")[:2]
    copy, kept = (cells.iloc[row] for row in here)
    path = study.folder_of(copy["image"]) / "objects.parquet"
    objects = pd.read_parquet(path)
    objects.loc[objects["object_id"] == copy["object_id"], "duplicate_of"] = f"{kept['image']} {kept['object_id']}"
    objects.to_parquet(path, index=False)
    row = {"image": copy["image"], "y_px": copy["y_px"], "x_px": copy["x_px"], "grade": 2, "reader": "Ada"}
    imported = bring(study, write([row]))
    assert (imported.stored, imported.on_copies) == (1, 1)
    assert stored_decisions(study)[0].object_id == kept["object_id"]


def test_a_leukocyte_can_be_made_a_ctc_from_outside(study, write, command):
    image = study.samples["image"].iloc[1]
    objects = study.objects_of(image)
    leukocyte = objects[objects["kind"] == "leukocyte"].iloc[0]
    path = write([{"image": image, "object_id": leukocyte["object_id"], "grade": "2+"}])
    ran = command("import", study.path, path, "--reader", "Ada")
    assert ran.code == 0, ran.err
    assert "1 decisions imported." in ran.out
    cells = derive(study).cells
    row = cells[(cells["image"] == image) & (cells["object_id"] == leukocyte["object_id"])]
    assert row[["kind", "kind_final", "grade", "reader"]].to_numpy().tolist() == [["leukocyte", "ctc", 2, "Ada"]]


@given(st.lists(decisions, max_size=4))
@settings(max_examples=examples(30))
def test_any_decisions_come_back_from_their_csv(tmp_path_factory, made):
    path = tmp_path_factory.getbasetemp() / "any_decisions.csv"
    path.write_text(decisions_csv(made), encoding="utf-8", newline="")
    rows, own = read_rows(path)
    assert own
    assert rows == made
