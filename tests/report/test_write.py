"""The report of a study on disk: written whole, whether or not the images are still there, and frank about it."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

from cher2.protocol import Protocol
from cher2.report.write import assumptions, write_report
from cher2.study.folder import Study
from cher2.study.tables import write_csv, write_whole


@pytest.fixture
def study(study_copy):
    return Study(study_copy)


def text_of(page):
    return page.read_text(encoding="utf-8")


def test_the_page_shows_every_patient_the_comparison_and_cells(scored):
    text = text_of(scored.path / "report.html")
    assert text.startswith("<!DOCTYPE html>") or text.startswith("<!doctype html>")
    for patient in range(1, 9):
        assert f"P0{patient}" in text
    for word in ("Liver", "Skin/soft tissue", "Oligometastatic", "data:image/", "not calibrated for this microscope"):
        assert word in text, word
    assert "example cells are not shown" not in text


def test_the_page_is_the_same_when_it_is_written_again(study):
    # The run has added a last line, which says what the page was made from.
    page = study.path / "report.html"
    before = page.read_bytes().rpartition(b"<!-- made from ")[0]
    assert before
    assert write_report(study) == page
    assert page.read_bytes() == before


def test_without_the_images_the_page_says_how_many_cells_are_missing(study, tmp_path):
    shutil.rmtree(tmp_path / "images")
    write_csv(
        pd.DataFrame({"image": ["a.tif"], "error": ["ImageError"], "message": ["a.tif: <b>gone</b>."]}),
        study.path / "errors.csv",
    )
    (study.path / "provenance.json").unlink()
    text = text_of(write_report(study))
    assert "example cells are not shown: their images are not where they were scored" in text
    assert "a.tif" in text
    # What comes from a file's name is text, not HTML.
    assert "<b>gone</b>" not in text
    assert "&lt;b&gt;gone" in text


def test_without_a_comparison_the_page_says_why(study):
    (study.path / "clinical.csv").unlink()
    assert "no clinical table was given" in text_of(write_report(study))


def test_assumptions_are_said_and_go_when_they_are_decided(study):
    defaults, uneven = assumptions(study)
    assert "The cut-offs are cher2's defaults" in defaults
    assert uneven.startswith("HER2 of ")
    assert "is not corrected for uneven illumination" in uneven
    write_whole(study.path / "protocol.toml", Protocol.from_dict({"grade": {"cutoffs": [1, 2, 3]}}).to_toml().encode())
    assert assumptions(study) == [uneven]
    path = study.folder_of("P03/frame_01.ome.tif") / "score.json"
    path.write_text(
        path.read_text(encoding="utf-8").replace('"pixel_size_from": "file"', '"pixel_size_from": "protocol"'),
        encoding="utf-8",
    )
    said, _ = assumptions(study)
    assert said.startswith("1 images do not say how large a pixel is: 0.64 um was taken from the protocol")
