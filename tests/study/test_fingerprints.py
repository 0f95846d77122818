"""Fingerprints of an image's results: what changes them, and what does not."""

from __future__ import annotations

import hashlib
import json

from cher2.study.fingerprints import altered_files, digest_of, seal, with_fingerprints


def test_a_changed_file_shows_and_so_does_a_changed_score(tmp_path):
    (tmp_path / "labels.tif").write_bytes(b"labels")
    (tmp_path / "measured.parquet").write_bytes(b"objects")
    score = with_fingerprints({"image": "a", "source": {"stamp": [1], "digest": "x"}, "n": 1.5}, tmp_path)
    assert set(score["files"]) == {"labels.tif", "measured.parquet", "score.json"}
    assert score["files"]["labels.tif"] == hashlib.blake2b(b"labels", digest_size=16).hexdigest()
    score = json.loads(json.dumps(score))
    assert altered_files(score, tmp_path) == []
    # A copied image has another time of change, on which no number depends.
    assert altered_files({**score, "source": {"stamp": [2], "digest": "x"}}, tmp_path) == []
    assert altered_files({**score, "source": {"stamp": [1], "digest": "y"}}, tmp_path) == ["score.json"]
    assert altered_files({**score, "n": 2}, tmp_path) == ["score.json"]
    (tmp_path / "labels.tif").write_bytes(b"Labels")
    (tmp_path / "measured.parquet").unlink()
    assert altered_files(score, tmp_path) == ["labels.tif", "measured.parquet"]


def test_fingerprints_are_made_anew_and_never_of_themselves(tmp_path):
    first = with_fingerprints({"image": "a"}, tmp_path)
    (tmp_path / "score.json").write_text(json.dumps(first), encoding="utf-8")
    assert with_fingerprints(first, tmp_path) == first
    assert seal(first) == seal({"image": "a"})


def test_what_an_earlier_version_wrote_has_none(tmp_path):
    assert altered_files({"image": "a"}, tmp_path) is None
    assert altered_files({"files": "damaged"}, tmp_path) is None


def test_a_name_from_outside_leads_nowhere_else(tmp_path):
    (tmp_path.parent / "other").write_bytes(b"x")
    score = {"files": {"../other": digest_of(tmp_path.parent / "other")}}
    assert altered_files(score, tmp_path) == ["../other"]
