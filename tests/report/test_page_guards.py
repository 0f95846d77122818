"""A page shows the numbers of patients.csv, whatever the names are; one that shows others is not written."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from cher2.errors import Cher2FaultError
from cher2.report.page import render_page
from cher2.report.page_guards import check_page
from cher2.study.tables import csv_text


def written(patients):
    return pd.read_csv(io.StringIO(csv_text(patients)), dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def page(make_content):
    return render_page(make_content())


def test_a_page_shows_its_table(page, patients):
    check_page(page, written(patients))


def test_names_of_any_kind_are_read_back(make_content, make_patients):
    counts = {'P "1" & <b>': (1, 2, 3, 4), "P\u202e2": (9, 0, 0, 0), "</table>": (0, 1, 1, 1), "'": (0, 0, 0, 1)}
    patients = make_patients(counts)
    check_page(render_page(make_content(patients=patients, comparison=None, examples={})), written(patients))


def test_no_patient_at_all(make_content, patients):
    check_page(render_page(make_content(patients=patients.head(0), comparison=None)), written(patients.head(0)))


@pytest.mark.parametrize("column", ["n_images", "n_ctcs", "n_grade_0", "n_grade_3", "n_her2_positive"])
def test_another_count_is_caught(page, patients, column):
    other = patients.copy()
    other.loc[1, column] += 1
    caught(page, other, "page-numbers")


def caught(page, patients, name):
    with pytest.raises(Cher2FaultError) as found:
        check_page(page, written(patients))
    assert found.value.check == name


def test_other_ratios_groups_and_patients_are_caught(page, patients):
    for column in ("cher2_ratio", "p_high"):
        other = patients.copy()
        other.loc[0, column] *= 0.9999
        caught(page, other, "page-numbers")
    caught(page, patients.assign(group=patients["group"].iloc[::-1].to_numpy()), "page-groups")
    caught(page, patients.iloc[1:], "page-rows")
    caught(page, patients.assign(patient_id=[f"Q{row}" for row in range(len(patients))]), "page-groups")


def test_cells_of_nobody_are_caught(page, patients):
    begin, end = page.split('<script type="application/json" id="patient-cells"', 1)
    head, rest = end.split(">", 1)
    shown = '{"P77": {"cells": [[1, 2.0, "a", 1]], "of": 1, "webp": ""}}</script>'
    broken = f'{begin}<script type="application/json" id="patient-cells"{head}>{shown}{rest.split("</script>", 1)[1]}'
    caught(broken, patients, "page-cells")
