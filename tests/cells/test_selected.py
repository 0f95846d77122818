"""The operator's cells against those found: pairs by hand, against all pairings, and against an exhaustive search."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cher2.cells.selected import COLUMNS, match_selected


def boxes(*rows):
    table = pd.DataFrame(rows, columns=["image", "event", "y0", "x0", "y1", "x1"])
    return table.astype({"image": "str", "event": "str", "y0": float, "x0": float, "y1": float, "x1": float})


def cells(*rows):
    table = pd.DataFrame(rows, columns=["image", "object_id", "y_px", "x_px", "duplicate_of"])
    return table.astype({"image": "str", "object_id": "int32", "y_px": float, "x_px": float, "duplicate_of": "str"})


def outcomes(table):
    """Return what became of each event and each further cell."""
    named = table["event"].where(table["event"] != "", table["object_id"].astype(str))
    return dict(zip(named, zip(table["outcome"], table["object_id"].astype(object), strict=True), strict=True))


def test_by_hand():
    selected = boxes(("a", "1", 10, 10, 20, 20), ("a", "2", 100, 100, 120, 120), ("b", "3", 10, 10, 20, 20))
    found = cells(("a", 5, 15, 18, ""), ("a", 6, 60, 60, ""), ("b", 7, 40, 40, ""))
    table = match_selected(selected, found)
    assert tuple(table.columns) == COLUMNS
    assert table.to_dict("records")[0] == {
        "image": "a",
        "event": "1",
        "object_id": 5,
        "y_px": 15.0,
        "x_px": 18.0,
        "distance_px": 3.0,
        "outcome": "matched",
    }
    rest = table.iloc[1:]
    assert rest["outcome"].tolist() == ["missed", "missed", "extra", "extra"]
    assert rest["event"].tolist() == ["2", "3", "", ""]
    assert rest[["y_px", "x_px"]].to_numpy().tolist() == [[110, 110], [15, 15], [60, 60], [40, 40]]
    assert rest["object_id"].isna().tolist() == [True, True, False, False]
    assert rest["distance_px"].isna().all()


@pytest.mark.parametrize(("x", "outcome"), [(4.9, "missed"), (5.0, "matched"), (25.0, "matched"), (25.1, "missed")])
def test_the_box_is_grown_by_five_pixels(x, outcome):
    table = match_selected(boxes(("a", "1", 10, 10, 20, 20)), cells(("a", 5, 15, x, "")))
    assert table["outcome"].iloc[0] == outcome


def test_one_cell_is_not_two_of_the_operators():
    selected = boxes(("a", "1", 10, 10, 20, 20), ("a", "2", 12, 12, 22, 22))
    table = match_selected(selected, cells(("a", 5, 17, 17, "")))
    assert outcomes(table)["2"] == ("matched", 5)
    assert outcomes(table)["1"][0] == "missed"


def test_as_many_pairs_as_can_be_though_a_nearer_one_is_given_up():
    # Cell 5 is nearest to event 2, but event 1 has no other.
    selected = boxes(("a", "1", 0, 0, 10, 10), ("a", "2", 0, 8, 10, 28))
    found = cells(("a", 5, 5, 13, ""), ("a", 6, 5, 30, ""))
    assert outcomes(match_selected(selected, found)) == {"1": ("matched", 5), "2": ("matched", 6)}


def test_a_copy_in_another_frame_finds_the_cell_and_is_not_counted():
    found = cells(("a", 5, 15, 15, ""), ("b", 9, 300, 15, "a 5"), ("b", 8, 50, 50, "c 1"))
    table = match_selected(boxes(("b", "1", 290, 10, 310, 20)), found)
    assert outcomes(table) == {"1": ("matched", 5)}
    assert table["image"].tolist() == ["a"]


@pytest.mark.parametrize("selected", [boxes(), boxes(("a", "1", 0, 0, 9, 9))])
@pytest.mark.parametrize("found", [cells(), cells(("b", 1, 0, 0, ""))])
def test_nothing_on_one_side_or_on_both(selected, found):
    table = match_selected(selected, found)
    assert table["outcome"].tolist() == ["missed"] * len(selected) + ["extra"] * len(found)
    assert tuple(table.columns) == COLUMNS


points = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=4)


@settings(max_examples=50, deadline=None)
@given(points, points)
def test_against_all_pairings(centres, found):
    """Most pairs, then the least sum of distances, of every one-to-one pairing there is."""
    selected = boxes(*(("a", str(k), y - 4, x - 4, y + 4, x + 4) for k, (y, x) in enumerate(centres)))
    table = match_selected(selected, cells(*(("a", k + 1, y, x, "") for k, (y, x) in enumerate(found))))
    best = (0, 0.0)
    slots = [*range(len(found)), *[None] * len(centres)]
    for chosen in set(itertools.permutations(slots, len(centres))):
        pairs = [(centres[i], found[j]) for i, j in enumerate(chosen) if j is not None]
        if all(abs(y - v) <= 9 and abs(x - u) <= 9 for (y, x), (v, u) in pairs):
            best = min(best, (-len(pairs), sum(np.hypot(y - v, x - u) for (y, x), (v, u) in pairs)))
    matched = table[table["outcome"] == "matched"]
    assert len(matched) == -best[0]
    assert matched["distance_px"].sum() == pytest.approx(best[1])
    assert len(matched) + (table["outcome"] == "missed").sum() == len(centres)
    assert len(matched) + (table["outcome"] == "extra").sum() == len(found)
