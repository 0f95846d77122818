"""Where numbers come from: versions and fingerprints, and nothing that names a person or a folder of theirs."""

from __future__ import annotations

import hashlib
import json
import os

import numpy
import pytest

import cher2
from cher2.errors import ImageError
from cher2.images.files import ImageFile
from cher2.protocol import Protocol
from cher2.study.provenance import file_digest, file_stamp, read_provenance, software, write_provenance


def test_versions_of_what_changes_a_number():
    versions = software()
    assert versions["cher2"] == cher2.__version__
    assert versions["numpy"] == numpy.__version__
    assert "python" in versions


def test_a_digest_is_of_the_bytes_of_all_files_in_order(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"one" * 500_000)
    second.write_bytes(b"two")
    expected = hashlib.blake2b(b"one" * 500_000 + b"two", digest_size=16).hexdigest()
    assert file_digest(ImageFile("f", (first, second))) == expected
    assert file_digest(ImageFile("f", (second, first))) != expected


def test_a_stamp_changes_with_time_or_size(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"one")
    file = ImageFile("a.tif", (path,))
    before = file_stamp(file)
    assert before == file_stamp(file)
    os.utime(path, ns=(1, 1))
    assert file_stamp(file) != before
    # It is compared with what JSON gives back.
    assert json.loads(json.dumps(before)) == before


@pytest.mark.parametrize("look", [file_stamp, file_digest])
def test_a_file_that_has_gone_is_an_error_of_the_image(tmp_path, look):
    with pytest.raises(ImageError, match=r"P1/a\.tif: the file cannot be read \(No such file"):
        look(ImageFile("P1/a.tif", (tmp_path / "a.tif",)))


def test_provenance_names_neither_a_person_nor_a_folder(tmp_path):
    home = tmp_path / "secret" / "jane"
    study = home / "study"
    study.mkdir(parents=True)
    words = [str(home / "bin" / "cher2"), "run", str(home / "images"), "-o", str(study), "--workers", "2"]
    write_provenance(study, images=home / "images", protocol=Protocol(), command=words, started="2026-01-01", n_files=3)
    text = (study / "provenance.json").read_text(encoding="utf-8")
    assert "secret" not in text
    assert "jane" not in text
    record = read_provenance(study)
    assert record["command"] == ["cher2", "run", "images", "-o", "study", "--workers", "2"]
    assert record["images"] == "../images"
    assert record["protocol"] == {"name": Protocol().name, "fingerprint": Protocol().fingerprint()}
    assert record["n_files"] == 3
    assert record["started"] <= record["ended"]


def test_provenance_keeps_a_url_without_user_password_and_query(tmp_path):
    from upath import UPath

    images = UPath("https://jane:secret@host/slides?token=secret")
    words = ["cher2", "run", str(images), "--reviews=postgresql://jane:secret@host?password=secret", "s3://bucket/a/b"]
    words += ["https://jane:secret@host"]
    write_provenance(tmp_path, images=images, protocol=Protocol(), command=words, started="2026-01-01")
    text = (tmp_path / "provenance.json").read_text(encoding="utf-8")
    assert "secret" not in text
    assert "jane" not in text
    record = read_provenance(tmp_path)
    assert record["images"] == "https://host/slides"
    assert record["command"] == ["cher2", "run", "slides", "host", "b", "host"]


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"\xff"])
def test_provenance_that_cannot_be_read_is_empty(tmp_path, content):
    if content is not None:
        (tmp_path / "provenance.json").write_bytes(content)
    assert read_provenance(tmp_path) == {}
