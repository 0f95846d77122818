"""A report is written again where something that it shows has changed, and only there."""

from __future__ import annotations

import shutil

import pytest

from cher2.report.derive import derive
from cher2.report.renewal import renew_report
from cher2.study.folder import Study


def write_again(study):
    """Derive a study and say whether its report was written again; it is up to date."""
    page = study / "report.html"
    before = which_file(page) if page.exists() else None
    assert renew_report(Study(study), derive(Study(study))) == page
    return which_file(page) != before


def which_file(path):
    """Tell a file from another that took its place: a disk may give the number of one that is gone to the next."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


@pytest.fixture
def renewed(study_copy):
    """Return a function that renews the report of the scored study, which the run has left up to date."""
    assert not write_again(study_copy)
    return lambda: write_again(study_copy)


@pytest.fixture(scope="module")
def without_cohorts(scored, tmp_path_factory):
    """Return a study whose report has no figures of cohorts, which take most of the time to draw."""
    study = shutil.copytree(scored.path, tmp_path_factory.mktemp("plain") / "study")
    (study / "clinical.csv").unlink()
    assert write_again(study)
    assert not write_again(study)
    return study


@pytest.fixture
def plain(without_cohorts, tmp_path):
    """Return a copy of it that a test may change."""
    return shutil.copytree(without_cohorts, tmp_path / "study")


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
def test_a_page_that_was_not_written_to_its_end_is_written_again(plain, cut):
    page = plain / "report.html"
    whole = page.read_bytes()
    page.write_bytes(whole[:-cut])
    assert write_again(plain)
    assert page.read_bytes() == whole


def test_a_study_under_another_name_gets_another_title(plain):
    other = plain.rename(plain.with_name("renamed"))
    assert write_again(other)
    assert b"renamed" in (other / "report.html").read_bytes()
