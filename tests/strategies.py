"""Hypothesis strategies of what users write: protocols, sheets, tables of cells, decisions, places in words.

Half of what they draw is what a careful user might write, half is what nobody should.
"""

from __future__ import annotations

import csv
import io
import os

import pandas as pd
from hypothesis import strategies as st

from cher2.cells.objects import GRADES, KINDS
from cher2.protocol import Protocol
from cher2.review.decisions import READINGS, Decision

NIGHT = 50
"""A night tries so many times more examples than CI does."""

WORDS = (
    "", " ", "NA", "nan", "1", "0", "1.0", "-1", "1e400", "007", "auto", "high", "2021-02-30", "=1+1", "a\nb", 'a"b',
    "a,b", "é", "\u202e", "٣", "x" * 300, "9" * 500,
)  # fmt: skip

texts = st.one_of(st.sampled_from(WORDS), st.text(max_size=8))
scalars = st.one_of(texts, st.integers(), st.floats(), st.booleans(), st.none())


def examples(count: int) -> int:
    """Return how many examples a test tries: so many in CI, many more in a night (HYPOTHESIS_PROFILE=night)."""
    return count * (NIGHT if os.environ.get("HYPOTHESIS_PROFILE") == "night" else 1)


@st.composite
def protocol_trees(draw):
    """Return the settings of a protocol as nested mappings, some of which no laboratory could mean."""
    tree = Protocol().model_dump(mode="json")
    for _ in range(draw(st.integers(0, 3))):
        section = draw(st.sampled_from(sorted(tree)))
        home = tree if not isinstance(tree[section], dict) or draw(st.booleans()) else tree[section]
        key = draw(st.sampled_from([*sorted(home), "dapi_mim", "ck->her2"]))
        home[key] = draw(st.one_of(scalars, st.lists(scalars, max_size=4), st.dictionaries(texts, scalars, max_size=2)))
    return tree


def csv_of(names: list[str], rows: list[list[str]], separator: str = ",") -> bytes:
    """Return a table as a spreadsheet would save it."""
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=separator, lineterminator="\r\n").writerows([names, *rows])
    return stream.getvalue().encode("utf-8", "replace")


@st.composite
def sheets(draw, columns: dict[str, st.SearchStrategy[str]]):
    """Return a table in CSV whose columns hold what their strategies draw, now and then anything else."""
    names = draw(st.permutations(list(columns)))
    names = names[: draw(st.sampled_from([len(names), len(names), len(names) - 1]))]
    cells = [st.one_of(columns[name], columns[name], columns[name], texts) for name in names]
    return csv_of(names, draw(st.lists(st.tuples(*cells).map(list), max_size=6)))


sample_sheets = sheets(
    {
        "image": st.sampled_from(["P1/a.tif", "P1/b.tif", "P2/deep/a.tif"]),
        "patient_id": st.sampled_from(["P1", "P2"]),
        "sample_id": st.sampled_from(["", "S1"]),
        "drawn_on": st.sampled_from(["", "2021-03-31"]),
        "blood_ml": st.sampled_from(["", "7.5"]),
    }
)
_marks = st.sampled_from(["1", "0", ""])
clinical_tables = sheets(
    {
        "patient_id": st.integers(0, 7).map("P{}".format),
        **dict.fromkeys(("liver", "lung", "bone", "os_event"), _marks),
        "os_months": st.integers(0, 60).map(str),
        "age": st.integers(20, 90).map(str),
        "subtype": st.sampled_from(["a", "b", ""]),
    }
)


@st.composite
def cell_tables(draw):
    """Return objects of a few patients, as the machine grades them."""
    row = st.tuples(st.sampled_from("ABC"), st.sampled_from(KINDS), st.sampled_from([*GRADES, None]))
    rows = draw(st.lists(row, min_size=1, max_size=60))
    table = pd.DataFrame(rows, columns=["patient_id", "kind", "grade_auto"])
    return table.assign(image=table["patient_id"] + ".tif", grade_auto=table["grade_auto"].astype("Int8"))


_plain = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
_finite = st.floats(allow_nan=False, allow_infinity=False)
decisions = st.builds(
    Decision,
    study=st.just("study"),
    image=_plain,
    object_id=st.integers(0, 10**17),
    y_px=_finite,
    x_px=_finite,
    radius_px=_finite,
    action=st.sampled_from(["grade", "not_ctc", "ctc", "skip", "note"]),
    reader=_plain.filter(str.strip),
    kind_before=st.sampled_from(KINDS),
    grade_before=st.sampled_from([None, *GRADES]),
    kind=st.sampled_from(KINDS),
    grade=st.sampled_from([None, *GRADES]),
    reason=_plain,
    reading=st.sampled_from(READINGS),
    machine=_plain,
)

secrets = st.text("abcdefghijkXYZ0123456789", min_size=12, max_size=20)


@st.composite
def urls_with_a_secret(draw):
    """Return a URL that holds a secret where URLs hold one, and the secret."""
    secret = "k3y" + draw(secrets)
    scheme = draw(st.sampled_from(["https", "http", "HTTPS"]))
    form = draw(st.sampled_from(["{s}://me:{k}@host/a/b.tif", "{s}://host/a.tif?token={k}", "{s}://host/a.tif#{k}"]))
    more = draw(st.sampled_from(["", "/x", "@y", "?z=1", "#f", "%20"]))
    return form.format(s=scheme, k=secret) + more, secret
