"""The page in a real Chromium, without a network: sorting, filtering, opening a patient, taking figures out."""

from __future__ import annotations

import io
import os
import shutil
import time

import cv2
import numpy as np
import pandas as pd
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from cher2.report.page import render_page
from cher2.report.patient_sheets import PatientSheet, SheetCell, choose_cells, patient_sheets
from cher2.report.sections import Sections
from cher2.report.thumbnails import cell_thumbnail

WAIT_S = 20


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(downloads):
    options = Options()
    options.binary_location = shutil.which("chromium") or ""
    for word in ("--headless=new", "--window-size=1280,900", "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-gpu"):
        options.add_argument(word)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)})
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, scored):
    """Open the report of the scored study anew; whatever the page complains of fails the test."""
    browser.get((scored.path / "report.html").as_uri())
    yield browser
    assert browser.get_log("browser") == []


def _rows(page):
    return page.find_elements(By.CSS_SELECTOR, "#patients-table tbody tr:not([hidden])")


def _column(page, number):
    return [row.find_elements(By.XPATH, "./*")[number].text for row in _rows(page)]


def _sort_by(page, title):
    page.find_element(By.XPATH, f"//table[@id='patients-table']//thead//button[starts-with(., '{title}')]").click()


def test_a_click_sorts_by_number_and_another_turns_it_around(page):
    _sort_by(page, "CTCs")
    numbers = [int(text) for text in _column(page, 2)]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) > 2
    _sort_by(page, "CTCs")
    assert [int(text) for text in _column(page, 2)] == sorted(numbers)


def test_rows_are_filtered_by_group_and_text(page, scored):
    patients = pd.read_csv(scored.path / "patients.csv", dtype={"patient_id": str})
    group = patients["group"].value_counts().index[0]
    page.find_element(By.ID, "patients-group").send_keys(group)
    expected = patients.loc[patients["group"] == group, "patient_id"].tolist()
    assert _column(page, 0) == expected
    page.find_element(By.ID, "patients-filter").send_keys(expected[0])
    assert _column(page, 0) == expected[:1]
    assert page.find_element(By.ID, "patients-shown").text == f"1 of {len(patients)}"


def test_a_patient_opens_to_the_cells_and_closes_again(page, scored):
    cells = pd.read_csv(scored.path / "cells.csv", dtype={"patient_id": str})
    button = page.find_element(By.CSS_SELECTOR, "button.patient")
    patient = button.text
    button.click()
    tiles = page.find_elements(By.CSS_SELECTOR, "tr.patient-cells .tile")
    assert len(tiles) == (cells["patient_id"] == patient).sum()
    grades = [tile.find_element(By.XPATH, "..").text.split()[0] for tile in tiles]
    assert grades == sorted(grades)
    picture = cv2.imdecode(np.frombuffer(tiles[-1].screenshot_as_png, np.uint8), cv2.IMREAD_COLOR)
    # The nucleus of a cell in the middle of its tile is blue; a tile that failed to load is black.
    assert picture[20:44, 20:44].max() > 100
    button.click()
    assert page.find_elements(By.CSS_SELECTOR, "tr.patient-cells") == []


def test_sorting_closes_what_is_open(page):
    page.find_element(By.CSS_SELECTOR, "button.patient").click()
    _sort_by(page, "Patient")
    assert page.find_elements(By.CSS_SELECTOR, "tr.patient-cells") == []


def _taken(downloads, name):
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        path = downloads / name
        if path.is_file() and path.stat().st_size:
            return path.read_bytes()
        time.sleep(0.05)
    raise AssertionError(
        f"{name} was not taken out of the page; there are {sorted(path.name for path in downloads.iterdir())}"
    )


def test_figures_leave_the_page_in_four_forms(page, downloads, scored):
    figure = page.find_element(By.CSS_SELECTOR, '.figure[data-name="patients"]')
    for word in ("SVG", "PNG", "PDF", "numbers (CSV)"):
        take = figure.find_element(By.XPATH, f".//*[self::a or self::button][normalize-space()='{word}']")
        page.execute_script("arguments[0].click()", take)
    picture = cv2.imdecode(np.frombuffer(_taken(downloads, "patients.png"), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[1] > 1500
    assert (picture == 255).all(axis=2).mean() > 0.3
    # The colour of grade 3+ of the palette, #d81b60, as blue, green, red.
    assert (np.abs(picture.astype(int) - [0x60, 0x1B, 0xD8]).max(axis=2) < 3).sum() > 100
    assert b"<svg" in _taken(downloads, "patients.svg")
    assert _taken(downloads, "patients.pdf").startswith(b"%PDF")
    numbers = pd.read_csv(io.BytesIO(_taken(downloads, "patients.csv")), dtype={"patient_id": str})
    written = pd.read_csv(scored.path / "patients.csv", dtype={"patient_id": str})
    assert set(numbers["patient_id"]) == set(written["patient_id"])


def test_it_prints(page):
    printed = page.execute_cdp_cmd("Page.printToPDF", {"printBackground": True, "preferCSSPageSize": True})
    assert len(printed["data"]) > 10_000


@pytest.mark.parametrize("name", ["<script>window.harmed = 1</script>", "=1+1", '"><img src=x onerror=harmed=1>'])
def test_a_hostile_name_does_no_harm_and_still_opens(browser, tmp_path, make_content, make_planes, patients, name):
    table = patients.assign(patient_id=[name, *patients["patient_id"][1:]])
    thumbnail = cell_thumbnail(make_planes(300), 60, 70, 0.64)

    class Frames:
        def thumbnail(self, place):
            return thumbnail

    cells = pd.DataFrame(
        {"patient_id": [name], "image": [name], "object_id": [1], "y_px": [60.0], "x_px": [70.0], "grade": [2]}
    ).assign(her2_intensity=300.0, kind_final="ctc", duplicate_of="")
    white = {"dapi": 300.0, "ck": 500.0, "cd45": 100.0, "her2": 500.0}
    sheets, _ = patient_sheets(Frames(), choose_cells(cells), {name: 1}, white)
    path = tmp_path / "report.html"
    path.write_text(render_page(make_content(patients=table, sections=Sections(sheets=tuple(sheets)))), "utf-8")
    browser.get(path.as_uri())
    button = browser.find_element(By.CSS_SELECTOR, "button.patient")
    assert button.text == name
    button.click()
    assert len(browser.find_elements(By.CSS_SELECTOR, "tr.patient-cells .tile")) == 1
    assert browser.execute_script("return typeof window.harmed") == "undefined"
    assert browser.get_log("browser") == []


def test_a_cell_without_grade_or_intensity_is_shown_as_such(browser, tmp_path, make_content):
    sheet = PatientSheet("P1", b"", (SheetCell("", float("nan"), "a", 1),), 1)
    path = tmp_path / "report.html"
    path.write_text(render_page(make_content(sections=Sections(sheets=(sheet,)))), "utf-8")
    browser.get(path.as_uri())
    browser.find_element(By.CSS_SELECTOR, "button.patient").click()
    assert browser.find_element(By.CSS_SELECTOR, "figure.cell").text == "no grade · not measured"
