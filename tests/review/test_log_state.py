"""Somebody with the file, or with every right in the database, tries to change the log unnoticed."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pandas as pd
import pytest
from appending import decision

from cher2.audit.timeline import audit_study
from cher2.errors import ReviewError
from cher2.protocol import Protocol
from cher2.review.chain import hash_of
from cher2.review.decisions import COLUMNS
from cher2.review.log_state import log_state, note_review
from cher2.review.open_log import REVIEWS, open_log
from cher2.study.folder import Study

ENTRIES = 6


class Attacked:
    """A study with six decisions, whose review was closed, and a way around cher2 to its table of decisions."""

    def __init__(self, folder, url, execute):
        self.url, self._execute = url, execute
        self.study = Study(folder)
        sheet = {"image": "P1/a.tif", "patient_id": "P1", "sample_id": "1", "drawn_on": "", "blood_ml": ""}
        self.study.create(Protocol(), pd.DataFrame([sheet]))
        with closing(open_log(self.study, url)) as log:
            log.append([decision(number, "Eva", study=self.study.identity) for number in range(ENTRIES)])
        note_review(self.study, "review_closed", "Eva", url, blind=False, queue="patient")

    def sql(self, statement):
        return self._execute(statement.replace("{mine}", f"study = '{self.study.identity}'"))

    def rebuild(self, start, change):
        """Change the entries from one on and compute all later hashes anew, as somebody who read the source would."""
        with closing(open_log(self.study, self.url)) as log:
            rows = log.rows()
        previous = rows[start - 2]["hash"] if start > 1 else "0" * 64
        for row in rows[start - 1 :]:
            change(row)
            row["previous_hash"], row["hash"] = previous, hash_of(previous, {name: row[name] for name in COLUMNS})
            self.sql(
                f"UPDATE decisions SET reason = '{row['reason']}', previous_hash = '{previous}', "
                f"hash = '{row['hash']}' WHERE {{mine}} AND entry = {row['entry']}"
            )
            previous = row["hash"]

    @property
    def broken(self):
        found = log_state(self.study, self.url).broken
        faults = audit_study(self.study.path, reviews=self.url).faults
        assert [f"decisions, entry {one.entry}: {one.what}" for one in found] == list(faults)
        return [(one.entry, one.what) for one in found]


@pytest.fixture(params=["sqlite", "postgres"])
def attacked(request, tmp_path):
    if request.param == "postgres":
        server = request.getfixturevalue("postgres")
        return Attacked(tmp_path / "study", server.url(), server.execute)

    def execute(statement):
        with closing(sqlite3.connect(tmp_path / "study" / REVIEWS)) as connection, connection:
            return connection.execute(statement).fetchall()

    return Attacked(tmp_path / "study", "", execute)


def test_an_untouched_log_is_whole(attacked):
    assert attacked.broken == []
    assert audit_study(attacked.study.path, reviews=attacked.url).log.entry == ENTRIES


def test_whatever_is_altered_is_named(attacked):
    changes = ("grade = 0", "grade_before = 3", "reason = 'clear'", "reader = 'Bob'", "machine = 'another'")
    changes += ("decided_at = '2026-01-01T00:00:00.000000+00:00'",)
    for entry, change in enumerate(changes, start=1):
        attacked.sql(f"UPDATE decisions SET {change} WHERE {{mine}} AND entry = {entry}")
        assert attacked.broken == [(number, "it was altered after it was stored") for number in range(1, entry + 1)]


def test_what_is_removed_is_named_in_the_middle_and_at_the_end(attacked):
    attacked.sql("DELETE FROM decisions WHERE {mine} AND entry IN (2, 3)")
    assert attacked.broken == [(4, "the entries from 2 to 3 were removed")]
    attacked.sql("DELETE FROM decisions WHERE {mine} AND entry > 4")
    assert attacked.broken[-1] == (5, "the entries from here to 6 were removed")
    attacked.sql("DELETE FROM decisions WHERE {mine}")
    assert attacked.broken == [(1, "the entries from here to 6 were removed")]


def test_exchanged_entries_and_an_inserted_one_are_named(attacked):
    for statement in ("entry = 99 WHERE {mine} AND entry = 3", "entry = 3 WHERE {mine} AND entry = 4"):
        attacked.sql(f"UPDATE decisions SET {statement}")
    attacked.sql("UPDATE decisions SET entry = 4 WHERE {mine} AND entry = 99")
    assert {entry for entry, _ in attacked.broken} >= {3, 4}


def test_a_chain_computed_anew_shows_by_what_the_trail_noted(attacked):
    kept = audit_study(attacked.study.path, reviews=attacked.url).log.hash
    attacked.rebuild(5, lambda row: row.update(reason="clear" if row["entry"] == 5 else row["reason"]))
    assert attacked.broken == [(6, "it is not the entry that was noted earlier")]
    # With the whole trail gone, only a hash that was kept elsewhere shows it.
    for path in (attacked.study.path / "trail").iterdir():
        path.unlink()
    assert attacked.broken == []
    (fault,) = audit_study(attacked.study.path, reviews=attacked.url, expect=(kept,)).faults
    assert fault.startswith(f"the hash {kept[:16]} that was kept elsewhere is gone")


def test_a_number_that_is_none_and_a_lost_identity_are_told(tmp_path):
    def execute(statement):
        with closing(sqlite3.connect(tmp_path / "study" / REVIEWS)) as connection, connection:
            return connection.execute(statement).fetchall()

    attacked = Attacked(tmp_path / "study", "", execute)
    attacked.sql("UPDATE decisions SET entry = 'x' WHERE {mine} AND entry = 6")
    assert attacked.broken == [
        (6, "its number was altered"),
        (6, "the entries from here to 6 were removed"),
    ]
    (attacked.study.path / "study_id").unlink()
    with pytest.raises(ReviewError, match="identity is gone"):
        log_state(attacked.study)
    assert not (attacked.study.path / "study_id").exists()
