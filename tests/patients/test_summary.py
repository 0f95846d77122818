"""From cells to patients: counts, ratio, group and reason."""

import time
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import beta
from strategies import cell_tables, examples

from cher2.cells.objects import empty_objects
from cher2.errors import Cher2Error, GradingError, SampleSheetError
from cher2.patients.summary import summarise_patients
from cher2.patients.table import COLUMNS
from cher2.protocol import Protocol

CONTRACT = [
    "patient_id",
    "n_images",
    "n_ctcs",
    "n_grade_0",
    "n_grade_1",
    "n_grade_2",
    "n_grade_3",
    "n_her2_positive",
    "cher2_ratio",
    "ratio_low",
    "ratio_high",
    "p_high",
    "group",
    "reason",
]
FURTHER = ["p_high_counts", "wilson_low", "wilson_high", "borderline", "quality"]


def cells_of(grades, **columns):
    """A patient's CTCs by their grades."""
    table = {
        "patient_id": "P1",
        "image": "f.tif",
        "kind": "ctc",
        "grade_auto": pd.array(grades, dtype="Int8"),
    }
    return pd.DataFrame(table | columns)


def patient_of(cells, protocol=None, images=None):
    table = summarise_patients(cells, protocol, images)
    assert len(table) == 1
    return table.iloc[0]


def rules(**values):
    return Protocol.model_validate({"patient": values})


@pytest.mark.parametrize(
    ("grades", "group", "reason"),
    [
        (
            [1] * 2 + [2] * 4 + [3] * 4,
            "high",
            "8 of 10 HER2+ CTCs are 2+ or 3+: ratio 0.80 is above 0.75; borderline: P(high) is 0.62",
        ),
        (
            [0, 1, 2, 2, 3],
            "low",
            "3 of 4 HER2+ CTCs are 2+ or 3+: ratio 0.75 is not above 0.75; borderline: P(high) is 0.46",
        ),
        (
            [1] * 100 + [3] * 301,
            "high",
            "301 of 401 HER2+ CTCs are 2+ or 3+: ratio 0.751 is above 0.75; borderline: P(high) is 0.51",
        ),
        (
            [0, 0, 0, 0, 3],
            "high",
            "1 of 1 HER2+ CTC is 2+ or 3+: ratio 1.00 is above 0.75; borderline: P(high) is 0.61",
        ),
        ([1] * 5, "low", "0 of 5 HER2+ CTCs are 2+ or 3+: ratio 0.00 is not above 0.75"),
        ([3] * 4, "excluded", "4 CTCs, fewer than the minimum of 5"),
        ([0], "excluded", "1 CTC, fewer than the minimum of 5; none HER2+, so there is no ratio"),
        ([0] * 12, "undefined", "12 CTCs, none HER2+: the ratio 0/0 is undefined"),
        (
            [3] * 5 + [None],
            "high",
            "5 of 5 HER2+ CTCs are 2+ or 3+: ratio 1.00 is above 0.75; 1 CTC without a grade",
        ),
        ([None] * 6, "undefined", "6 CTCs, none graded: the ratio 0/0 is undefined; 6 CTCs without a grade"),
    ],
)
def test_group_and_reason(grades, group, reason):
    patient = patient_of(cells_of(grades))
    assert (patient["group"], patient["reason"]) == (group, reason)
    assert patient["n_ctcs"] == len(grades)
    assert [patient[f"n_grade_{g}"] for g in range(4)] == [grades.count(g) for g in range(4)]
    positive = sum(grade in (1, 2, 3) for grade in grades)
    assert patient["n_her2_positive"] == positive
    numbers = patient[["cher2_ratio", "ratio_low", "ratio_high", "p_high"]].to_numpy(float)
    assert np.isnan(numbers).all() == (positive == 0)
    assert np.isnan(numbers).any() == (positive == 0)
    assert patient["borderline"] == ("borderline" in reason)


@pytest.mark.parametrize(
    ("why", "words"),
    [
        (["cut by the border"], "1 CTC without a grade (cut by the border)"),
        (["", ""], "2 CTCs without a grade"),
        (
            ["HER2 saturated", "cut by the border", "cut by the border"],
            "3 CTCs without a grade (2 cut by the border, 1 HER2 saturated)",
        ),
    ],
)
def test_why_ctcs_have_no_grade_is_said(why, words):
    cells = cells_of([1, 2, 2, 3, 3] + [None] * len(why), not_graded=[""] * 5 + why)
    assert patient_of(cells)["reason"].endswith(f"is above 0.75; borderline: P(high) is 0.56; {words}")
    leukocytes = cells_of([None] * 9, kind="leukocyte", not_graded="no HER2 channel")
    assert patient_of(pd.concat([cells, leukocytes]))["reason"].endswith(words)
    read = cells.assign(grade=pd.array([None] * 5 + [3] * len(why), dtype="Int8"))
    assert "without a grade" not in patient_of(read)["reason"]


def test_too_few_ctcs_none_graded_are_not_said_to_be_her2_negative():
    patient = patient_of(cells_of([None] * 3, not_graded="no HER2 channel"))
    assert patient["group"] == "excluded"
    assert patient["reason"].startswith("3 CTCs, fewer than the minimum of 5; none graded, so there is no ratio; ")
    assert "3 CTCs without a grade (no HER2 channel)" in patient["reason"]


def test_the_uncertainty_is_jeffreys():
    patient = patient_of(cells_of([1, 2, 2, 3, 3]))
    np.testing.assert_allclose(patient[["p_high", "p_high_counts"]].to_numpy(float), 0.56371005, rtol=1e-7)
    np.testing.assert_allclose([patient["ratio_low"], patient["ratio_high"]], [0.3713736, 0.9774872], rtol=1e-6)


MACHINE = {"p0": [0.0] * 5, "p1": [0.6, 0.2, 0, 0, 0], "p2": [0.4, 0.8, 1, 0.5, 0], "p3": [0.0, 0.0, 0, 0.5, 1]}


def test_misgrading_is_carried_through_to_p_high_alone():
    """By hand: of 1+ (0.6), 2+ (0.8) and three strong cells, 5 are strong with 0.32, 4 with 0.56, 3 with 0.12."""
    patient = patient_of(cells_of([1, 2, 2, 3, 3], **MACHINE))
    by_hand = 0.32 * beta.sf(0.75, 5.5, 0.5) + 0.56 * beta.sf(0.75, 4.5, 1.5) + 0.12 * beta.sf(0.75, 3.5, 2.5)
    np.testing.assert_allclose(patient["p_high"], by_hand, rtol=1e-12)
    np.testing.assert_allclose(patient["p_high_counts"], beta.sf(0.75, 4.5, 1.5), rtol=1e-12)
    assert patient["reason"].endswith(f"borderline: P(high) is {by_hand:.2f}")


@pytest.mark.parametrize(
    ("reading", "certain"),
    [
        ({"grade": ["1", "", "", "", ""]}, True),
        ({"grade": [1, 2, 2, 3, 3], "reader": ["A. Reader", "", "", "", ""]}, True),
        ({"grade": [1, 2, 2, 3, 3], "reader": ""}, False),
        ({"grade": [1, 2, 2, 3, 3], "reader": None}, False),
    ],
)
def test_a_readers_grade_is_certain(reading, certain):
    """By hand: without doubt in the first cell the second is strong with 0.8."""
    patient = patient_of(cells_of([1, 2, 2, 3, 3], **MACHINE, **reading))
    by_hand = 0.8 * beta.sf(0.75, 4.5, 1.5) + 0.2 * beta.sf(0.75, 3.5, 2.5)
    assert (abs(patient["p_high"] - by_hand) < 1e-12) == certain


def test_a_grade_that_a_reader_changed_is_certain_without_a_name():
    cells = cells_of([1, 2, 2, 3, 3], **MACHINE, grade=[2, 2, 2, 3, 3], reader="")
    by_hand = 0.8 * beta.sf(0.75, 5.5, 0.5) + 0.2 * beta.sf(0.75, 4.5, 1.5)
    np.testing.assert_allclose(patient_of(cells)["p_high"], by_hand, rtol=1e-12)


@pytest.mark.parametrize("unknown", [None, "", float("nan")])
def test_cells_without_probabilities_are_as_certain_as_their_grades(unknown):
    cells = cells_of([1, 2, 2, 3, 3], **{f"p{grade}": unknown for grade in range(4)})
    patient = patient_of(cells)
    assert patient["p_high"] == patient["p_high_counts"]


def test_probabilities_that_a_table_rounded_are_taken():
    """cells.csv has six significant digits, and is read as text."""
    cells = cells_of([1, 2, 2, 3, 3], p0="0.333333", p1="0.333333", p2="0.333333", p3="1e-07")
    assert 0 < patient_of(cells.assign(grade_auto="1"))["p_high"] < 1


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        ((0.5, 0.6, 0, 0), "row 2: the probabilities of the grades are 0.5, 0.6, 0, 0, which do not sum to 1"),
        ((-0.5, 1.5, 0, 0), "which do not sum to 1"),
        ((1, 0, 0, 0), r"are 1, 0, 0, 0, but the grade is 1\+"),
        (("x", 1, 0, 0), "columns p0 to p3: a probability is no number"),
    ],
)
def test_hostile_probabilities(probabilities, message):
    cells = cells_of([1, 1], **{f"p{grade}": [float(grade == 1), value] for grade, value in enumerate(probabilities)})
    with pytest.raises(GradingError, match=message):
        patient_of(cells)


def test_an_undefined_or_excluded_patient_is_not_borderline():
    undefined = patient_of(cells_of([0] * 6, p0=0.6, p1=0.2, p2=0.1, p3=0.1))
    assert undefined["group"] == "undefined"
    assert np.isnan(undefined["p_high"])
    excluded = patient_of(cells_of([1, 3, 3, 3]))
    assert (undefined["borderline"], excluded["borderline"]) == (False, False)
    assert "borderline" not in undefined["reason"] + excluded["reason"]


def test_an_excluded_patient_keeps_its_ratio():
    patient = patient_of(cells_of([1, 3, 3, 3]))
    assert (patient["group"], patient["cher2_ratio"]) == ("excluded", 0.75)


@given(st.integers(0, 40), st.integers(0, 40), st.sampled_from(["0.75", "0.7", "0.3", "0.1", "0.3333", "0"]))
@example(3, 7, "0.7")
@example(9, 1, "0.1")
@settings(max_examples=60, deadline=None)
def test_strictly_above_the_threshold_as_written(weak, strong, threshold):
    """Floats would fail at 0.7 and 0.1, which are no binary fractions: 7 of 10 is not above 0.7."""
    patient = patient_of(cells_of([1] * weak + [3] * strong + [0]), rules(min_ctcs=1, ratio_threshold=threshold))
    if weak + strong == 0:
        assert patient["group"] == "undefined"
    else:
        above = Fraction(strong, weak + strong) > Fraction(threshold)
        assert patient["group"] == ("high" if above else "low")


@pytest.mark.parametrize(
    ("positives", "group", "reason"),
    [
        (4, "excluded", "4 HER2+ CTCs, fewer than the minimum of 5"),
        (0, "excluded", "0 HER2+ CTCs, fewer than the minimum of 5; no ratio"),
        (5, "high", "5 of 5 HER2+ CTCs are 2+ or 3+: ratio 1.00 is above 0.75"),
    ],
)
def test_the_minimum_of_her2_positive_ctcs(positives, group, reason):
    patient = patient_of(cells_of([3] * positives + [0] * 20), rules(count="her2_positive"))
    assert (patient["group"], patient["reason"]) == (group, reason)


def test_readers_win_where_they_spoke():
    cells = cells_of(
        [0, 0, 0, 3, 3, 1],
        kind=["ctc", "ctc", "leukocyte", "ctc", "ctc", "ctc"],
        kind_final=["", "ctc", "ctc", "other", None, ""],
        grade=[None, 3, 2, None, "", "1.0"],
    )
    patient = patient_of(cells, rules(min_ctcs=1))
    assert [patient[f"n_grade_{g}"] for g in range(4)] == [1, 1, 1, 2]


def test_duplicates_and_others_are_not_counted():
    cells = cells_of(
        [3] * 8,
        kind=["ctc"] * 6 + ["leukocyte", "other"],
        duplicate_of=["", None, "", "", "", "a.tif 3", "", ""],
    )
    assert patient_of(cells)["n_ctcs"] == 5
    nobody = patient_of(cells_of([None, None], kind="leukocyte"))
    assert (nobody["n_ctcs"], nobody["group"]) == (0, "excluded")
    assert nobody["reason"] == "0 CTCs, fewer than the minimum of 5; no ratio"


def test_images_are_counted_and_patients_without_cells_are_there():
    images = pd.DataFrame(
        {
            "patient_id": ["P10", "P2", "P2", "P2", "P3"],
            "image": ["P10/a.tif", "P2/a.tif", "P2/b.tif", "", None],
        }
    )
    table = summarise_patients(cells_of([3] * 5, patient_id="P2", image="P2/a.tif"), images=images)
    assert table["patient_id"].tolist() == ["P2", "P3", "P10"]
    assert table["n_images"].tolist() == [2, 0, 1]
    assert table["reason"].tolist() == [
        "5 of 5 HER2+ CTCs are 2+ or 3+: ratio 1.00 is above 0.75; 1 image could not be read",
        "no image of the patient could be read",
        "0 CTCs, fewer than the minimum of 5; no ratio",
    ]
    assert table["group"].tolist() == ["high", "excluded", "excluded"]


def test_images_of_the_cells():
    assert patient_of(cells_of([3] * 5, image=["a", "b", "a", "c", "c"]))["n_images"] == 3
    unknown = patient_of(cells_of([3] * 5).drop(columns="image"))
    assert unknown["n_images"] is pd.NA
    assert unknown["reason"].endswith("; the number of images is not known")


@pytest.mark.parametrize("images", [None, pd.DataFrame({"patient_id": [], "image": []})])
@pytest.mark.parametrize("cells", [empty_objects(), cells_of([])])
def test_no_cell_at_all(cells, images):
    table = summarise_patients(cells, images=images)
    assert list(table) == CONTRACT + FURTHER
    assert len(table) == 0
    full = summarise_patients(cells_of([3] * 5))
    assert table.dtypes.equals(full.dtypes)
    text = str(pd.Series(["a"]).dtype)  # pandas 2: object; pandas 3: str
    assert table.dtypes.astype(str).to_dict() == {c.name: c.dtype.replace("str", text) for c in COLUMNS}


def test_identifiers_of_any_type_are_one_patient():
    cells = cells_of([3, 3, 3, 3, 3], patient_id=[101, "101", 101.0, " 101", "101 "])
    assert patient_of(cells)["patient_id"] == "101"


@pytest.mark.parametrize(
    ("columns", "kind", "message"),
    [
        ({"kind": ["ctc", "CTC", "ctc"]}, GradingError, "cells, column kind, row 2: 'CTC' is no kind"),
        ({"kind": ["ctc", "ctc", None]}, GradingError, "cells, column kind, row 3: '' is no kind"),
        ({"kind_final": ["", "", "cell"]}, GradingError, "column kind_final, row 3: 'cell' is no kind"),
        ({"grade_auto": [0, 4, 1]}, GradingError, "column grade_auto, row 2: '4' is no grade"),
        ({"grade_auto": [0, 1.5, 1]}, GradingError, "column grade_auto, row 2: '1.5' is no grade"),
        ({"grade_auto": [-1, 1, 1]}, GradingError, "column grade_auto, row 1: '-1' is no grade"),
        ({"grade": ["", "2+", ""]}, GradingError, "column grade, row 2: '2\\+' is no grade"),
        ({"patient_id": ["P1", " ", "P1"]}, SampleSheetError, "cells, row 2: patient_id is empty"),
    ],
)
def test_hostile_cells(columns, kind, message):
    with pytest.raises(kind, match=message):
        summarise_patients(cells_of([1, 1, 1], **columns))


def test_missing_columns():
    with pytest.raises(Cher2Error, match="cells: the table has no column kind, grade_auto"):
        summarise_patients(pd.DataFrame({"patient_id": ["P1"]}))
    with pytest.raises(SampleSheetError, match="images: the table has no column image"):
        summarise_patients(cells_of([1]), images=pd.DataFrame({"patient_id": ["P1"]}))


def test_input_is_left_as_it_was():
    cells = cells_of([3] * 5, kind_final="", grade=None)
    before = cells.copy(deep=True)
    summarise_patients(cells)
    pd.testing.assert_frame_equal(cells, before)


def test_counts_add_up_and_time_is_short():
    """100,000 CTCs of 10,000 patients; a million take ten times as long (2 to 3 s on two cores)."""
    rng = np.random.default_rng(3)
    patient = rng.integers(0, 10_000, 100_000)
    grade = rng.integers(0, 4, 100_000)
    cells = pd.DataFrame({"patient_id": [f"P{p}" for p in patient], "image": "a", "kind": "ctc", "grade_auto": grade})
    start = time.perf_counter()
    table = summarise_patients(cells, rules(min_ctcs=1))
    assert time.perf_counter() - start < 3
    counted = np.zeros((10_000, 4), int)
    np.add.at(counted, (patient, grade), 1)
    found = table.set_index("patient_id")[[f"n_grade_{g}" for g in range(4)]]
    names = [f"P{p}" for p in np.unique(patient)]
    assert table["patient_id"].tolist() == names
    np.testing.assert_array_equal(found.to_numpy(), counted[np.unique(patient)])


@given(cell_tables(), st.sampled_from(["all", "her2_positive"]), st.integers(1, 6))
@settings(max_examples=examples(25))
def test_of_any_cells_the_groups_partition_the_patients_and_intervals_cover(cells, count, least):
    table = summarise_patients(cells, rules(count=count, min_ctcs=least))
    assert sorted(table["patient_id"]) == sorted(cells["patient_id"].unique())
    assert table["group"].isin(["high", "low", "excluded", "undefined"]).all()
    ctcs = cells[cells["kind"] == "ctc"]
    assert table["n_ctcs"].sum() == len(ctcs)
    graded = table[[f"n_grade_{grade}" for grade in range(4)]].sum(axis=1)
    assert graded.sum() == ctcs["grade_auto"].notna().sum()
    strong, positive = table["n_grade_2"] + table["n_grade_3"], table["n_her2_positive"]
    assert (positive == strong + table["n_grade_1"]).all()
    assert (table["cher2_ratio"].notna() == (positive > 0)).all()
    some = table[positive > 0]
    assert (some["cher2_ratio"] == (strong / positive)[positive > 0]).all()
    assert (some["ratio_low"] <= some["cher2_ratio"]).all()
    assert (some["cher2_ratio"] <= some["ratio_high"]).all()
    assert some[["ratio_low", "ratio_high", "p_high"]].apply(lambda column: column.between(0, 1).all()).all()
    counted = table["n_ctcs"] if count == "all" else positive
    assert ((table["group"] == "excluded") == (counted < least)).all()
