"""Further columns of the clinical table: read by their kind, declared by the protocol, or left out with a reason."""

import numpy as np
import pandas as pd
import pytest

from cher2.cohorts.variables import further_columns, identifying_columns
from cher2.errors import ClinicalTableError
from cher2.protocol import Protocol


def rules_of(*variables):
    return Protocol.model_validate({"cohort": {"variables": list(variables)}}).cohort


def read(values, *variables, name="x"):
    table = pd.DataFrame({"patient_id": [f"P{i + 1}" for i in range(len(values))], name: values})
    return further_columns(table, rules_of(*variables))


def declared(kind, **settings):
    return {"column": "x", "kind": kind, **settings}


@pytest.mark.parametrize(
    ("values", "kind", "levels", "expected"),
    [
        (["yes", "", "no", " yes "], "binary", ("no", "yes"), [1, np.nan, 0, 1]),
        ([True, False, None, True], "binary", ("False", "True"), [1, 0, np.nan, 1]),
        ([1, 0, np.nan, 1.0], "binary", ("0", "1"), [1, 0, np.nan, 1]),
        (["2", "2.0", "", "1"], "ordinal", ("1", "2"), [1, 1, np.nan, 0]),
        (["54.5", "61", "", "54.50"], "continuous", (), [54.5, 61, np.nan, 54.5]),
        (pd.array([54, None, 61, 7], "Int64"), "continuous", (), [54, np.nan, 61, 7]),
        (["b", "a", None, "b"], "categorical", ("a", "b"), [1, 0, np.nan, 1]),
        (pd.Categorical(["b", "a", None, "b"]), "categorical", ("a", "b"), [1, 0, np.nan, 1]),
    ],
)
def test_values_are_read_and_empty_ones_are_missing(values, kind, levels, expected):
    (column,), notes = read(values)
    assert (column.name, column.title, column.kind, column.levels, column.declared) == ("x", "x", kind, levels, False)
    np.testing.assert_array_equal(column.values, expected)
    assert notes == ()


def test_the_protocol_overrides_the_kind():
    centres = ["1", "2", "10", "2"]
    (column,), _ = read(centres, declared("categorical", title="Centre"))
    assert (column.kind, column.levels, column.title, column.declared) == (
        "categorical",
        ("1", "2", "10"),
        "Centre",
        True,
    )
    (column,), _ = read(centres, declared("continuous"))
    np.testing.assert_array_equal(column.values, [1, 2, 10, 2])
    (column,), _ = read(["2", "3.5", "200"], declared("ordinal"))
    assert (column.kind, column.levels) == ("ordinal", ("2", "3.5", "200"))
    columns, notes = read(centres, declared("ignore"))
    assert columns == []
    assert notes == ("the column x left out: the protocol says so",)
    (column,), _ = read(centres, {"column": "x", "title": "Line"})
    assert (column.kind, column.title, column.declared) == ("ordinal", "Line", False)


def test_declared_levels_have_their_order():
    (column,), notes = read(["1", ">=3", "2.0", ""], declared("ordinal", levels=[1, 2, ">=3"]))
    assert (column.kind, column.levels, column.scores) == ("ordinal", ("1", "2", ">=3"), None)
    np.testing.assert_array_equal(column.values, [0, 2, 1, np.nan])
    (column,), _ = read(["mutated", "wild type"], declared("binary", levels=["wild type", "mutated"]))
    np.testing.assert_array_equal(column.values, [1, 0])
    # A declared word is what it was declared to be: no note that it may stand for a missing value.
    (column,), notes = read(["unknown", "ductal"], declared("categorical", levels=["ductal", "unknown"]))
    assert notes == ()


@pytest.mark.parametrize(
    ("values", "variable", "where", "message"),
    [
        (["1", "x"], declared("continuous"), "patient P2, column x, row 2", "'x' is no value of a column that is cont"),
        (["inf", "2"], declared("continuous"), "patient P1", "'inf' is no value"),
        (["1", "ii"], declared("ordinal"), "patient P2", "declare the levels"),
        (["I", "V"], declared("ordinal", levels=["I", "II"]), "patient P2", "The protocol's levels are I, II"),
        (["yes", "maybe"], declared("binary"), "patient P2", "'maybe' .* Write 0/1, no/yes"),
        (["yes", "0"], declared("binary"), "patient P2", "'0' is no value"),
        (["2", "1"], declared("binary"), "patient P1", "'2' is no value"),
        (["a", "=A1"], declared("categorical"), "patient P2", "formula"),
    ],
)
def test_a_declared_column_must_hold_what_was_declared(values, variable, where, message):
    with pytest.raises(ClinicalTableError, match=message) as caught:
        read(values, variable)
    assert caught.value.where.startswith(where)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("values", "variable", "reason"),
    [
        (["", None], None, "it is empty"),
        (["", " "], declared("continuous"), "it is empty"),
        ([f"H{i}" for i in range(200)] * 2, None, "200 different values"),
        ([f"H{i}" for i in range(15)], None, "all 15 patients have different values: identifiers, notes or dates"),
        ([f"H{i}" for i in range(21)], declared("categorical"), "21 different values are too many for categories"),
        ([str(i) for i in range(21)], declared("ordinal"), "21 different numbers are no levels; declare it continuous"),
        (["1", "n/a"], None, "it mixes numbers with text such as 'n/a'; cohort.variables of the protocol can say"),
        ([np.inf, 5.0], None, "it holds an infinite number"),
        (["=1+1"], None, "'=1+1' looks like a formula"),
        ([[1, 2], [3]], None, "its values are lists or the like"),
    ],
)
def test_what_cannot_be_compared_is_left_out_with_its_reason(values, variable, reason):
    columns, notes = read(values, *([variable] if variable else []))
    assert columns == []
    (note,) = notes
    assert note.startswith("the column x left out: ")
    assert reason in note


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Liver", "the column Liver left out: its name is that of liver but for its spelling"),
        (" bone", "that of bone"),
        ("Patient_ID", "that of patient_id"),
        ("hospital_id", "by its name it identifies patients"),
        ("ID", "by its name it identifies patients"),
        ("n_sites", "cher2 counts the sites itself"),
        ("oligometastatic", "cher2 counts the sites itself"),
        ("", "a column without a name left out: name it, or delete it"),
        ("=HYPERLINK(1)", "its name looks like a formula"),
    ],
)
def test_names_that_cannot_stand_in_the_table(name, reason):
    columns, (note,) = read([1, 0], name=name)
    assert columns == []
    assert reason in note


def test_outcomes_are_no_properties_of_the_patients():
    table = pd.DataFrame({"patient_id": ["P1", "P2"], "os_months": [3, 40], "os_event": [1, 0], "age": [50, 60]})
    columns, notes = further_columns(table, rules_of())
    assert [column.name for column in columns] == ["age"]
    assert notes == ("outcomes, which are not compared as properties of the patients: os_months, os_event",)
    columns, notes = further_columns(table, rules_of({"column": "os_months", "kind": "continuous"}))
    assert [column.name for column in columns] == ["os_months", "age"]
    assert notes == ("outcomes, which are not compared as properties of the patients: os_event",)


def test_declared_columns_come_first_and_absent_ones_are_told():
    table = pd.DataFrame({"patient_id": ["P1", "P2"], "a": [1, 0], "b": ["x", "y"]})
    columns, notes = further_columns(table, rules_of({"column": "c"}, {"column": "b"}))
    assert [column.name for column in columns] == ["b", "a"]
    assert notes == ("declared by the protocol, but not in the clinical table: c",)


def test_words_that_may_mean_missing_count_as_levels_and_are_told():
    (column,), notes = read(["ductal", "lobular", "NA", "Ductal", ""])
    assert column.levels == ("Ductal", "NA", "ductal", "lobular")
    assert notes == (
        "x: 'NA' counts as a level; leave it empty where the value is missing",
        "x: levels that differ in their spelling only: 'Ductal', 'ductal'",
    )


@pytest.mark.parametrize(
    ("column", "values", "identifies"),
    [
        ("Name", ["a", "b", "a", "b", "a", "b"], True),
        ("Date of Birth", ["1", "2", "3", "4", "5", "6"], True),
        ("e-mail", ["", "", "", "", "", ""], True),
        ("hospital_id", ["1", "1", "1", "2", "2", "2"], True),
        ("remarks", ["a", "b", "c", "d", "e", "f"], True),
        ("seen", ["1950-03-01", "3.1.50", "1950-03-01", "", "01/03/1950", "1950-03-01 12:00"], True),
        ("named_lesions", ["a", "b", "a", "b", "a", "b"], False),
        ("age", ["40", "41", "42", "43", "44", "45"], False),
        ("stage", ["I", "II", "I", "II", "I", "II"], False),
        ("os_months", ["1", "2", "3", "4", "5", "6"], False),
        ("liver", ["1", "0", "1", "0", "1", "0"], False),
    ],
)
def test_columns_that_tell_who_a_patient_is(column, values, identifies):
    table = pd.DataFrame({"patient_id": list("ABCDEF"), column: values})
    assert identifying_columns(table, rules_of()) == ((column,) if identifies else ())
    if identifies and column != "e-mail":
        assert all(found.name != column for found in further_columns(table, rules_of())[0])


def test_a_column_that_the_protocol_declares_is_kept_unless_it_is_called_a_name():
    table = pd.DataFrame({"patient_id": list("ABCDEF"), "dose": list("abcdef"), "name": list("abcdef")})
    declared = [{"column": name, "kind": "categorical"} for name in ("dose", "name")]
    assert identifying_columns(table, rules_of(*declared)) == ("name",)


def test_columns_without_a_name_are_looked_at_each():
    table = pd.DataFrame([["A", "x", "y"], ["B", "x", "y"]], columns=["patient_id", "", ""])
    assert identifying_columns(table, rules_of()) == ()
