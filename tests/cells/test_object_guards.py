"""Each check of objects and grades: a fault that is planted is caught and named; sound tables of any kind pass."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cher2.cells.object_guards import check_graded, check_measured
from cher2.cells.score import grade_sample, measure_image
from cher2.errors import Cher2FaultError
from cher2.images.reader import read_image
from cher2.protocol import Protocol


@pytest.fixture(scope="module")
def measured(synthetic):
    return measure_image(read_image(next(iter(sorted((synthetic / "images").rglob("*.ome.tif"))))), Protocol())


@pytest.fixture(scope="module")
def graded(measured):
    return grade_sample(measured.objects, Protocol(), (measured.frame,)).objects


def check(measured, objects=None, labels=None, *, has_her2=True, numbered=True, pixel_size_um=0.64):
    check_measured(
        measured.objects if objects is None else objects,
        measured.labels if labels is None else labels,
        pixel_size_um,
        name="P1/a.tif",
        has_her2=has_her2,
        numbered=numbered,
    )


def caught(call, *arguments, **options):
    with pytest.raises(Cher2FaultError) as found:
        call(*arguments, **options)
    return found.value.check


def with_value(objects, column, value, row=3):
    table = objects.copy()
    table.loc[row, column] = value(table.loc[row, column]) if callable(value) else value
    return table


def test_what_was_measured_is_sound(measured, graded):
    check(measured)
    check_graded(graded, measured.objects, Protocol().grade)


@pytest.mark.parametrize(
    ("column", "value", "name"),
    [
        ("area_um2", lambda area: area + 0.64**2, "object-areas"),
        ("area_um2", lambda area: area * (1 + 1e-6), "object-areas"),
        ("area_um2", np.nan, "object-areas"),
        ("y_px", -0.5, "object-places"),
        ("x_px", 1e6, "object-places"),
        ("y_px", np.nan, "object-places"),
        ("her2_mean", np.nan, "object-numbers-finite"),
        ("ck_gate", np.inf, "object-numbers-finite"),
        ("solidity", 1.01, "object-parts"),
        ("nucleus_overlap", -0.01, "object-parts"),
        ("saturated_fraction", 1.2, "object-parts"),
        ("her2_se", -1.0, "object-errors"),
        ("object_id", 5, "object-numbers"),
        ("object_id", 100_000, "object-numbers"),
    ],
)
def test_a_measurement_that_is_off_is_caught(measured, column, value, name):
    assert caught(check, measured, with_value(measured.objects, column, value)) == name


def test_labels_and_rows_are_the_same_objects(measured):
    objects, labels = measured.objects, measured.labels
    assert caught(check, measured, objects.iloc[1:]) == "object-numbers"
    assert caught(check, measured, pd.concat([objects, objects.tail(1)])) == "object-numbers"
    swapped = objects.assign(object_id=[2, 1, *objects["object_id"].iloc[2:]])
    assert caught(check, measured, swapped) == "object-order"
    one_pixel = labels.copy()
    one_pixel[tuple(np.argwhere(labels == 4)[0])] = 0
    assert caught(check, measured, labels=one_pixel) == "object-areas"
    assert caught(check, measured, labels=np.where(labels == 4, 0, labels)) == "object-numbers"
    # Of drawn outlines the numbers may have gaps, of the machine's not.
    spread = objects.assign(object_id=objects["object_id"] * 7)
    check(measured, spread, labels * 7, numbered=False)
    assert caught(check, measured, spread, labels * 7) == "object-order"
    assert caught(check, measured, pixel_size_um=0.65) == "object-areas"


def test_her2_that_was_not_measured_is_empty_and_says_why(measured):
    assert caught(check, measured, has_her2=False) == "object-no-her2"
    columns = [name for name in measured.objects if name.startswith("her2_")]
    empty = measured.objects.assign(**dict.fromkeys(columns, np.nan))
    assert caught(check, measured, empty, has_her2=False) == "object-no-her2"
    check(measured, empty.assign(not_measurable="no HER2 channel"), has_her2=False)


def test_no_object_at_all_is_sound(measured):
    check(measured, measured.objects.head(0), np.zeros((8, 9), np.int32))
    objects = measured.objects.head(0)
    check_graded(grade_sample(objects, Protocol()).objects, objects, Protocol().grade)


@pytest.mark.parametrize(
    ("column", "value", "name"),
    [
        ("kind", "tumour", "kinds"),
        ("failed_gate", "no gate", "gates"),
        ("grade_auto", lambda grade: (grade + 1) % 4, "grade-cutoffs"),
        ("grade_auto", pd.NA, "grade-missing"),
        ("her2_intensity", np.nan, "grade-missing"),
        ("not_graded", "no light", "grade-missing"),
        ("p2", np.nan, "grade-missing"),
        ("p2", lambda p: p + 1e-6, "grade-probabilities"),
        ("her2_intensity", lambda her2: her2 * (1 + 1e-7), "grade-units"),
        ("duplicate_of", "P9/frame.tif 3", "duplicates"),
        ("object_id", 9999, "sample-rows"),
    ],
)
def test_a_grade_that_is_off_is_caught(measured, graded, column, value, name):
    ctc = graded.index[(graded["kind"] == "ctc") & graded["grade_auto"].notna()][0]
    broken = with_value(graded, column, value, ctc)
    assert caught(check_graded, broken, measured.objects, Protocol().grade) == name


def test_another_protocol_than_the_grades_is_caught(measured, graded):
    rules = Protocol().grade
    other = rules.model_copy(update={"cutoffs": (0.1, 0.2, 0.3)})
    assert caught(check_graded, graded, measured.objects, other) == "grade-cutoffs"
    ratio = rules.model_copy(update={"unit": "leukocyte_ratio"})
    assert caught(check_graded, graded, measured.objects, ratio) == "grade-units"


def test_a_copy_names_a_counted_cell_of_another_frame(measured, graded):
    rules = Protocol().grade
    first, second = graded.iloc[[0]], graded.iloc[[1]]
    both = pd.concat([first, second.assign(image="b.tif")], ignore_index=True)
    named = [f"{image} {number}" for image, number in zip(both["image"], both["object_id"], strict=True)]
    check_graded(both.assign(duplicate_of=[named[1], ""]), both, rules)
    for wrong in ([named[1], named[0]], [named[0], ""]):
        assert caught(check_graded, both.assign(duplicate_of=wrong), both, rules) == "duplicates"
    same_frame = both.assign(image="a.tif", duplicate_of=[f"a.tif {both['object_id'].iloc[1]}", ""])
    assert caught(check_graded, same_frame, both, rules) == "duplicates"


intensities = st.one_of(st.just(np.nan), st.sampled_from([30.0, 110.0, 340.0]), st.floats(-1e4, 1e6))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(intensities, st.floats(0, 1e3), st.sampled_from(["leukocyte", "ctc"])), max_size=40),
    st.sampled_from(["counts", "leukocyte_ratio", "leukocyte_sd"]),
)
def test_sound_samples_pass_in_every_unit(measured, rows, unit):
    objects = measured.objects.iloc[np.arange(len(rows)) % len(measured.objects)].reset_index(drop=True)
    stained = [0.0 if kind == "ctc" else 500.0 for _, _, kind in rows]
    objects = objects.assign(
        object_id=np.arange(1, len(rows) + 1, dtype=np.int32),
        her2_mean=[her2 for her2, _, _ in rows],
        her2_se=[error for _, error, _ in rows],
        cd45_gate=stained,
        ck_gate=[500.0 - value for value in stained],
        touches_border=False,
        nucleus_overlap=0.5,
    )
    grade_sample(objects, Protocol.from_dict({"grade": {"unit": unit, "cutoffs": [0.5, 2.0, 6.0]}}))
