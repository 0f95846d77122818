"""The chain of hashes, against hashes of texts written by hand."""

from __future__ import annotations

import hashlib

import pytest
from appending import decision

from cher2.review.chain import NO_HASH, BrokenEntry, Head, broken_entries, canonical_json, hash_of
from cher2.review.schema import row_of

TEXT = (
    '{"action":"grade","decided_at":"2026-11-22T15:20:03.000000+00:00","decision_id":"a1","entry":1,"grade":0,'
    '"image":"P01/frame_01.ome.tif","kind":"ctc","kind_before":"ctc","machine":"m","object_id":1,"radius_px":9.0,'
    '"reader":"Zo\\u00eb","reading":"open","study":"study","x_px":20.5,"y_px":0.30000000000000004}'
)


def first_row():
    made = decision(
        1, "Zoë", grade=0, y_px=0.1 + 0.2, machine="m", decision_id="a1", entry=1,
        decided_at="2026-11-22T15:20:03.000000+00:00",
    )  # fmt: skip
    return row_of(made)


def chain(count):
    rows, last = [], NO_HASH
    for entry in range(1, count + 1):
        row = row_of(decision(entry, entry=entry))
        row |= {"previous_hash": last, "hash": hash_of(last, row)}
        rows.append(row)
        last = row["hash"]
    return rows


def test_the_text_and_hash_of_a_decision():
    """The text is written by hand here: it may never change, or every log made before would look altered."""
    assert canonical_json(first_row()) == TEXT
    assert hash_of(NO_HASH, first_row()) == hashlib.sha256(b"0" * 64 + b"\n" + TEXT.encode("ascii")).hexdigest()


def test_columns_that_are_no_field_of_a_decision_are_not_hashed():
    assert canonical_json(first_row() | {"hash": "x", "previous_hash": "y"}) == TEXT


def test_a_whole_chain_has_no_fault():
    assert broken_entries([]) == []
    assert broken_entries(chain(5)) == []
    assert broken_entries(chain(5), Head(5, chain(1)[0]["hash"]))[0].entry == 5


def test_each_fault_is_named_once():
    rows = chain(9)
    rows[1]["grade"] = 3
    del rows[5]
    assert broken_entries(rows) == [
        BrokenEntry(2, "it was altered after it was stored"),
        BrokenEntry(7, "the entries from 6 to 6 were removed"),
    ]


def test_a_chain_computed_anew_shows_against_a_head_only():
    rows = chain(3)
    head = Head(3, rows[2]["hash"])
    forged = chain(3)
    assert broken_entries(forged) == []
    assert broken_entries(forged, head) == [BrokenEntry(3, "it is not the entry that was noted earlier")]
    assert broken_entries([], head) == [BrokenEntry(1, "the entries from here to 3 were removed")]


@pytest.mark.parametrize("value", [b"bytes", float("inf")])
def test_a_value_that_no_decision_holds_is_an_alteration(value):
    rows = chain(3)
    rows[1]["y_px"] = value
    assert [broken.entry for broken in broken_entries(rows)] == [2]
