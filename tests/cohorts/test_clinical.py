"""The clinical table: what is accepted, what is refused, and what is derived from it."""

import csv
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from strategies import clinical_tables, examples

from cher2.cohorts.clinical import check_clinical
from cher2.cohorts.comparison import compare_cohorts
from cher2.errors import Cher2Error, ClinicalTableError
from cher2.protocol import SITES, Protocol

COLUMNS = [site.column for site in SITES]
LENIENT = Protocol.model_validate({"cohort": {"no_site": "oligometastatic"}})


def clinical_of(*rows, **columns):
    """One row a patient, P1, P2 ...: its sites as seven characters, '-' for one that was not assessed."""
    table = pd.DataFrame([["" if v == "-" else v for v in row] for row in rows], columns=COLUMNS)
    table.insert(0, "patient_id", [f"P{i + 1}" for i in range(len(rows))])
    return table.assign(**columns)


@pytest.mark.parametrize(
    ("sites", "n_sites", "oligometastatic"),
    [
        ("1000000", 1, True),
        ("1100000", 2, True),
        ("1110000", 3, False),
        ("1111111", 7, False),
        ("1-00000", pd.NA, True),
        ("11-0000", pd.NA, pd.NA),
        ("111-000", pd.NA, False),
        ("000000-", pd.NA, True),
        ("1--0000", pd.NA, pd.NA),
        ("-------", pd.NA, pd.NA),
    ],
)
def test_sites_not_assessed_are_missing_and_not_negative(sites, n_sites, oligometastatic):
    row = check_clinical(clinical_of(sites)).iloc[0]
    assert row["n_sites"] is n_sites or row["n_sites"] == n_sites
    assert row["oligometastatic"] is oligometastatic or row["oligometastatic"] == oligometastatic


@pytest.mark.parametrize(
    "values",
    [
        ["1", "0", ""],
        ["1.0", "0.0", " "],
        [1, 0, None],
        [1.0, 0.0, np.nan],
        [True, False, None],
        [np.True_, np.int64(0), pd.NA],
        pd.array([1, 0, None], dtype="Int8"),
        pd.array([True, False, None], dtype="boolean"),
    ],
)
def test_values_of_a_site(values):
    checked = check_clinical(clinical_of("1100000", "1100000", "1100000", bone=values))
    expected = pd.Series([1, 0, None], dtype="Int8", name="bone")
    pd.testing.assert_series_equal(checked["bone"], expected)


@pytest.mark.parametrize("value", [" yes", "2", 2, -1, 0.5, "NA", "x", "1,0"])
def test_values_that_are_none_of_a_site(value):
    with pytest.raises(ClinicalTableError, match=r"patient P2, column bone, row 2: .* is no value for a site"):
        check_clinical(clinical_of("1100000", "1100000", bone=["1", value]))


def test_types_and_order_of_the_columns():
    table = clinical_of("1000000", "0110000", os_months=[3.5, 12], os_event=[1, None], subtype=["a", "b"])
    table.index = [7, 9]
    before = table.copy(deep=True)
    checked = check_clinical(table)
    assert list(checked) == ["patient_id", *COLUMNS, "n_sites", "oligometastatic", "os_months", "os_event", "subtype"]
    assert checked[[*COLUMNS, "n_sites"]].dtypes.eq("Int8").all()
    assert checked["oligometastatic"].dtype == "boolean"
    assert checked["os_months"].tolist() == [3.5, 12]
    assert checked["os_event"].tolist() == [1, pd.NA]
    assert checked.index.tolist() == [0, 1]
    pd.testing.assert_frame_equal(table, before)
    pd.testing.assert_frame_equal(check_clinical(checked), checked)


def test_a_site_without_column_is_not_assessed_in_anybody():
    checked = check_clinical(clinical_of("1000000", "1111111").drop(columns="serosa"))
    assert checked["serosa"].isna().all()
    assert checked["n_sites"].isna().all()
    assert checked["oligometastatic"].tolist() == [True, False]


def test_other_sites_and_another_number_of_them():
    protocol = Protocol.model_validate(
        {"cohort": {"oligometastatic_max_sites": 0, "sites": [{"column": "brain", "title": "Brain"}]}}
    )
    checked = check_clinical(pd.DataFrame({"patient_id": ["a"], "brain": [1], "liver": ["enlarged"]}), protocol)
    assert checked.iloc[0].tolist() == ["a", 1, 1, False, "enlarged"]


def test_no_site_at_all():
    table = clinical_of(*["0000000"] * 7, "1000000", "000000-")
    with pytest.raises(ClinicalTableError, match="7 patients have no metastatic site: P1, P2, P3, P4, P5 and 2 more"):
        check_clinical(table)
    checked = check_clinical(table, LENIENT)
    assert checked["n_sites"].tolist() == [0] * 7 + [1, pd.NA]
    assert checked["oligometastatic"].all()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            pd.DataFrame({"patient": ["P1"], "liver": [1]}),
            "no column patient_id. The table has patient, liver",
        ),
        (
            pd.DataFrame({"patient_id": ["P1"], "Liver": [1]}),
            "looked for liver, lung, cns, bone, lymph_nodes",
        ),
        (pd.DataFrame(), "there is no column patient_id"),
        (clinical_of("1000000", "1000000", patient_id=["P1", " "]), "row 2: patient_id is empty"),
        (clinical_of("1000000", "1000000", patient_id=["P1", None]), "row 2: patient_id is empty"),
        (
            clinical_of(*["1000000"] * 3, patient_id=["7", "P2", " 7"]),
            "rows 1 and 3: patient 7 is there twice",
        ),
        (
            pd.DataFrame([["P1", 1, 1]], columns=["patient_id", "liver", "liver"]),
            "column liver is there twice",
        ),
    ],
)
def test_tables_that_are_refused(table, message):
    with pytest.raises(ClinicalTableError, match=message):
        check_clinical(table)


def test_a_table_without_rows():
    checked = check_clinical(clinical_of())
    assert len(checked) == 0
    assert checked.dtypes.equals(check_clinical(clinical_of("1000000")).dtypes)


@pytest.mark.parametrize("months", [["12", "0", ""], [12, 0, None], [12.0, 0.0, np.nan], [" 12.0", "0 ", " "]])
@pytest.mark.parametrize("events", [["1", "0", ""], [True, False, None], [1.0, 0.0, np.nan]])
def test_follow_up_as_text_and_as_numbers(months, events):
    checked = check_clinical(clinical_of(*["1000000"] * 3, pfs_months=months, pfs_event=events))
    pd.testing.assert_series_equal(checked["pfs_months"], pd.Series([12.0, 0.0, np.nan], name="pfs_months"))
    pd.testing.assert_series_equal(checked["pfs_event"], pd.Series([1, 0, None], dtype="Int8", name="pfs_event"))


@pytest.mark.parametrize("value", ["-1", -0.5, "12,5", "inf", "nan", "12 months", True])
def test_times_that_are_refused(value):
    table = clinical_of("1000000", "1000000", os_months=["1", value], os_event=[1, 0])
    with pytest.raises(ClinicalTableError, match=r"patient P2, column os_months, row 2: .* is no time"):
        check_clinical(table)


@pytest.mark.parametrize("value", ["2", "dead", -1, 0.5])
def test_events_that_are_refused(value):
    table = clinical_of("1000000", "1000000", os_months=["1", "2"], os_event=["1", value])
    with pytest.raises(ClinicalTableError, match=r"patient P2, column os_event, row 2: .* is no value for an event"):
        check_clinical(table)


def test_half_a_pair_of_columns_is_refused():
    for present, absent in (("os_months", "os_event"), ("pfs_event", "pfs_months")):
        with pytest.raises(ClinicalTableError, match=f"there is a column {present}, but no column {absent}"):
            check_clinical(clinical_of("1000000", **{present: ["1"]}))


@given(clinical_tables)
@settings(max_examples=examples(25))
def test_any_table_is_compared_within_the_laws_of_chance_or_refused(content):
    names, *rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
    patients = pd.DataFrame({"patient_id": [f"P{k}" for k in range(8)], "group": ["high", "low"] * 4})
    try:
        table = compare_cohorts(patients, pd.DataFrame(rows, columns=names, dtype=str)).table
    except Cher2Error:
        return
    assert table["p_value"].dropna().between(0, 1).all()
    known = table.dropna(subset=["p_value", "p_adjusted"])
    assert (known["p_adjusted"] >= known["p_value"]).all()
    known = table.dropna(subset=["odds_ratio", "ci_low", "ci_high"])
    assert ((known["ci_low"] <= known["odds_ratio"]) & (known["odds_ratio"] <= known["ci_high"])).all()
    assert (table["high_n"].dropna() <= table["high_total"][table["high_n"].notna()]).all()
