"""Which database is opened: the study's own file, or the one that a URL names."""

from __future__ import annotations

import contextlib

import pandas as pd
import pytest
from appending import decision

from cher2.errors import ReviewError
from cher2.protocol import Protocol
from cher2.review.open_log import open_log, stored_decisions
from cher2.review.postgres_log import PostgresLog
from cher2.review.sqlite_log import SqliteLog
from cher2.study.folder import Study


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.delenv("CHER2_REVIEWS", raising=False)
    made = Study(tmp_path / "study")
    made.create(Protocol(), pd.DataFrame({"image": ["P01/a.tif"], "patient_id": ["P01"], "sample_id": ["P01"]}))
    return made


def test_a_study_has_a_file_of_its_own(study):
    with contextlib.closing(open_log(study)) as log:
        assert isinstance(log, SqliteLog)
        assert log.path == study.path / "reviews.sqlite"
        log.append([decision(1, study=study.identity)])
    assert [found.object_id for found in stored_decisions(study)] == [1]


def test_asking_for_decisions_makes_no_file(study, files_of):
    before = files_of(study.path)
    assert stored_decisions(study) == []
    assert files_of(study.path) == before


@pytest.mark.parametrize("by", ["url", "variable"])
@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_url_names_a_server(study, postgres, monkeypatch, by, scheme):
    url = postgres.url().replace("postgresql", scheme, 1)
    if by == "variable":
        monkeypatch.setenv("CHER2_REVIEWS", url)
        url = ""
    with contextlib.closing(open_log(study, url)) as log:
        assert isinstance(log, PostgresLog)
        log.append([decision(4, study=study.identity)])
    assert [found.object_id for found in stored_decisions(study, url)] == [4]
    assert not (study.path / "reviews.sqlite").exists()


@pytest.mark.parametrize(
    "url", ["mysql://u:s3cret@h/d", "sqlite:///x.sqlite", "s3cret", "http://s3cret", "postgresql:"]
)
def test_other_urls_are_refused_without_being_shown(study, url, monkeypatch):
    with pytest.raises(ReviewError, match="does not begin with postgresql://") as caught:
        open_log(study, url)
    assert "s3cret" not in str(caught.value)
    monkeypatch.setenv("CHER2_REVIEWS", url)
    with pytest.raises(ReviewError, match=r"^CHER2_REVIEWS: "):
        open_log(study)
