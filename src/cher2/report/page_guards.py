"""Check that a page shows the numbers of the study's tables, before it is in its place.

It runs whenever a page is written; :mod:`cher2.guards` says what a check is.
"""

from __future__ import annotations

import html
import json
import re

import pandas as pd

from cher2.guards import fault, guard

_ROW = re.compile(r'<tr data-patient="([^"]*)" data-group="([^"]*)">(.*?)</tr>', re.DOTALL)
_CELL = re.compile(r'<td(?: data-sort="([^"]*)")?[^>]*>(.*?)</td>', re.DOTALL)
_SHEETS = re.compile(r'<script type="application/json" id="patient-cells"[^>]*>(.*?)</script>', re.DOTALL)

SHOWN = (
    *("n_images", "n_ctcs", "n_grade_0", "n_grade_1", "n_grade_2", "n_grade_3", "n_her2_positive"),
    *("cher2_ratio", "p_high"),
)
"""The columns of patients.csv that the page shows as numbers, in its order."""


def check_page(page: str, patients: pd.DataFrame) -> None:
    """Check the table of patients in a page, and their cells, against ``patients.csv``.

    Parameters
    ----------
    page : str
        The whole page.
    patients : DataFrame
        ``patients.csv``, all text as it is written there.

    Raises
    ------
    Cher2FaultError
    """
    begin = page.find('<table id="patients-table"')
    found = _ROW.findall(page, begin, page.find("</table>", begin)) if begin >= 0 else []
    if len(found) != len(patients):
        counts = {"rows_of_page": len(found), "rows_of_table": len(patients)}
        fault("page-rows", "the page has other patients than the table", [counts], "report.html")
    shown = [_numbers(body) for _, _, body in found]
    written = patients[[*SHOWN]].to_numpy(object).tolist()
    sound = [numbers == row for numbers, row in zip(shown, written, strict=True)]
    told = patients.assign(**{f"page_{name}": [row[at] for row in shown] for at, name in enumerate(SHOWN)})
    columns = ("patient_id", *SHOWN, *(f"page_{name}" for name in SHOWN))
    what = "the page shows other numbers than patients.csv"
    guard("page-numbers", sound, told, what, columns=columns, where="report.html")
    names = [html.unescape(name) for name, _, _ in found]
    same = [group for _, group, _ in found] == patients["group"].tolist() and names == patients["patient_id"].tolist()
    if not same:
        fault("page-groups", "the page shows other patients or groups than patients.csv", [], "report.html")
    _check_sheets(page, set(names))


def _numbers(body: str) -> list[str]:
    """Return the numbers of a row as ``patients.csv`` writes them."""
    cells = _CELL.findall(body)[: len(SHOWN)]
    return [f"{float(raw):.6g}".replace("nan", "") if raw else text.replace("–", "") for raw, text in cells]


def _check_sheets(page: str, names: set[str]) -> None:
    """Check that the cells behind a patient's name are a patient's of the table, and no more than are told of."""
    match = _SHEETS.search(page)
    sheets = json.loads(match.group(1)) if match else {}
    told = pd.DataFrame(
        [{"shown": len(sheet["cells"]), "of": sheet["of"], "known": name in names} for name, sheet in sheets.items()],
        columns=["shown", "of", "known"],
    )
    sound = (told["shown"] <= told["of"]) & told["known"].astype(bool)
    guard("page-cells", sound, told, "cells are shown of nobody, or more than there are", columns=("shown", "of"))
