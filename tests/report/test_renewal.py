"""A report is written again where something that it shows has changed, and only there."""

from __future__ import annotations

import pytest

from cher2.report.derive import derive
from cher2.report.renewal import renew_report
from cher2.study.folder import Study


@pytest.fixture
def renewed(study_copy):
    """Return a function that derives a study and says whether its report was written again; it is up to date."""

    def again(study=study_copy):
        page = study / "report.html"
        before = page.stat().st_ino if page.exists() else None
        assert renew_report(Study(study), derive(Study(study))) == page
        return page.stat().st_ino != before

    # What the run has written is up to date.
    assert not again()
    return again


def test_a_page_that_is_gone_or_was_changed_is_written_again(renewed, study_copy):
    page = study_copy / "report.html"
    text = page.read_bytes()
    page.unlink()
    assert renewed()
    assert page.read_bytes() == text
    page.write_bytes(text + b"<p>a word of mine</p>")
    assert renewed()
    assert page.read_bytes() == text
    assert not renewed()


def test_whatever_it_shows_makes_it_new(renewed, study_copy):
    (study_copy / "clinical.csv").unlink()
    assert renewed()
    assert not renewed()
    protocol = study_copy / "protocol.toml"
    protocol.write_text("[patient]\nmin_ctcs = 3\n", encoding="utf-8")
    assert renewed()
    (study_copy / "errors.csv").write_text("image,error,message\nx.tif,ImageError,broken\n", encoding="utf-8")
    assert renewed()


@pytest.mark.parametrize("cut", [1, 30, 150, 5000])
def test_a_page_that_was_not_written_to_its_end_is_written_again(renewed, study_copy, cut):
    page = study_copy / "report.html"
    whole = page.read_bytes()
    page.write_bytes(whole[:-cut])
    assert renewed()
    assert page.read_bytes() == whole


def test_a_study_under_another_name_gets_another_title(renewed, study_copy):
    other = study_copy.rename(study_copy.with_name("renamed"))
    assert renewed(other)
    assert b"renamed" in (other / "report.html").read_bytes()
