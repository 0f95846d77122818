"""Where numbers come from: versions and fingerprints, and nothing that names a person or a folder of theirs."""

from __future__ import annotations

import hashlib
import json
import os
import socket

import fsspec
import numpy
import pytest
from upath import UPath

import cher2
from cher2.errors import ImageError, StudyError
from cher2.images.files import ImageFile
from cher2.images.places import within
from cher2.protocol import Protocol
from cher2.study.machine import NAME_HOST, describe_machine
from cher2.study.provenance import (
    digests_of_given,
    file_digest,
    file_stamp,
    read_provenance,
    relative_path,
    runs_of,
    software,
    without_places,
    write_provenance,
)


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
    images = UPath("https://jane:secret@host/slides?token=secret")
    words = ["cher2", "run", str(images), "--reviews=postgresql://jane:secret@host?password=secret", "s3://bucket/a/b"]
    words += ["https://jane:secret@host"]
    write_provenance(tmp_path, images=images, protocol=Protocol(), command=words, started="2026-01-01")
    text = (tmp_path / "provenance.json").read_text(encoding="utf-8")
    assert "secret" not in text
    assert "jane" not in text
    record = read_provenance(tmp_path)
    assert record["images"] == "https://host/slides"
    assert record["command"] == ["cher2", "run", "https://...", "--reviews=postgresql://...", "s3://...", "https://..."]


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"\xff"])
def test_provenance_that_cannot_be_read_is_empty(tmp_path, content):
    if content is not None:
        (tmp_path / "provenance.json").write_bytes(content)
    assert read_provenance(tmp_path) == {}


@pytest.fixture
def folder(tmp_path):
    """Return an image that is a folder, as an OME-Zarr is, of a thousand chunks."""
    for row in range(10):
        (tmp_path / "a.zarr" / "0" / str(row)).mkdir(parents=True)
        for column in range(100):
            (tmp_path / "a.zarr" / "0" / str(row) / str(column)).write_bytes(f"{row} {column}".encode())
    return ImageFile("a.zarr", (tmp_path / "a.zarr",))


def test_a_folder_has_one_stamp_and_one_digest(folder):
    stamp, digest = file_stamp(folder), file_digest(folder)
    assert (file_stamp(folder), file_digest(folder)) == (stamp, digest)
    # It stands in the score of each frame: a thousand chunks must not fill it.
    assert len(json.dumps(stamp)) < 100
    assert json.loads(json.dumps(stamp)) == stamp
    assert stamp[0][:2] == ["a.zarr", sum(f.stat().st_size for f in folder.paths[0].rglob("*") if f.is_file())]


def test_a_digest_of_a_folder_does_not_depend_on_times_or_on_the_order_on_disk(folder, tmp_path):
    stamp, digest = file_stamp(folder), file_digest(folder)
    files = sorted(f for f in folder.paths[0].rglob("*") if f.is_file())
    for file in reversed(files):
        target = tmp_path / "copy" / "a.zarr" / file.relative_to(folder.paths[0])
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    copied = ImageFile("a.zarr", (tmp_path / "copy" / "a.zarr",))
    assert file_digest(copied) == digest
    assert file_stamp(copied) != stamp


@pytest.mark.parametrize("change", ["bytes", "name", "gone", "more", "moved"])
def test_whatever_changes_in_a_folder_changes_stamp_and_digest(folder, change):
    stamp, digest = file_stamp(folder), file_digest(folder)
    chunk = folder.paths[0] / "0" / "3" / "7"
    if change == "bytes":
        chunk.write_bytes(b"3 8")
    elif change == "name":
        chunk.rename(chunk.with_name("700"))
    elif change == "gone":
        chunk.unlink()
    elif change == "more":
        (folder.paths[0] / ".zattrs").touch()
    else:
        # The same bytes in the same order, cut into files elsewhere.
        chunk.write_bytes(b"3 7" + b"3")
        (chunk.parent / "70").write_bytes(b" 70")
    assert file_stamp(folder) != stamp
    assert file_digest(folder) != digest


@pytest.mark.parametrize("look", [file_stamp, file_digest])
@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_in_a_folder_is_not_followed_out_of_it(folder, look):
    (folder.paths[0] / "0" / "3" / "200").symlink_to("/dev/zero")
    with pytest.raises(ImageError, match="a link leads out of the folder"):
        look(folder)


def test_a_folder_in_a_store(folder, tmp_path, monkeypatch):
    memory = fsspec.filesystem("memory")
    memory.put(str(folder.paths[0]), f"/{tmp_path.name}/a.zarr", recursive=True)
    place = UPath(f"memory://{tmp_path.name}/a.zarr")
    stored = ImageFile("a.zarr", (place,))
    assert file_digest(stored) == file_digest(folder)
    stamp = file_stamp(stored)
    assert file_stamp(stored) == stamp
    assert stamp[0][1] == file_stamp(folder)[0][1]
    memory.pipe_file(f"{place.path}/0/3/7", b"3 8")
    assert file_stamp(stored) != stamp
    # A store that tells no times: the bytes themselves do.
    found = sizes_only(memory, place.path)
    monkeypatch.setattr(type(memory), "find", lambda *_, **__: found)
    assert file_stamp(stored)[0][2] == file_digest(stored)


def sizes_only(store, path):
    return {name: {"size": facts["size"]} for name, facts in store.find(path, detail=True).items()}


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        ("--workers", "--workers"),
        ("/home/jane/images", "images"),
        ("--protocol=/home/jane/p.toml", "--protocol=p.toml"),
        ("postgresql://jane:secret@host/lab", "postgresql://..."),
        ("postgresql://jane:secret@host", "postgresql://..."),
        ("--reviews=postgresql://jane:secret@host", "--reviews=postgresql://..."),
        ("tcp://node17:8786", "tcp://..."),
        ("a=b", "a=b"),
    ],
)
def test_words_of_a_command_lose_folders_servers_and_passwords(word, kept):
    assert without_places(word) == kept


def test_the_machine_is_described_and_not_named(monkeypatch):
    monkeypatch.delenv(NAME_HOST, raising=False)
    machine = describe_machine()
    assert {"system", "architecture", "cores", "memory_gb", "arithmetic"} <= set(machine)
    assert machine["memory_gb"] > 0
    assert "blas" in machine["arithmetic"]
    assert socket.gethostname() not in machine.values()
    assert describe_machine(name_host=True)["host"] == socket.gethostname()
    monkeypatch.setenv(NAME_HOST, "0")
    assert "host" not in describe_machine()
    monkeypatch.setenv(NAME_HOST, "1")
    assert describe_machine()["host"] == socket.gethostname()


def test_every_run_is_kept_and_an_earlier_record_is_the_first(tmp_path):
    words = {"images": tmp_path / "images", "protocol": Protocol(), "command": ["cher2"]}
    (tmp_path / "provenance.json").write_text('{"n_files": 1, "images": "../old"}', encoding="utf-8")
    for number in (2, 3):
        write_provenance(tmp_path, **words, started=f"202{number}", n_files=number)
    record = read_provenance(tmp_path)
    assert [run["n_files"] for run in runs_of(record)] == [1, 2, 3]
    assert record["n_files"] == 3
    assert record["images"] == "images"
    assert all("runs" not in run for run in record["runs"])
    assert runs_of({}) == []


def test_given_files_are_told_by_their_digests(tmp_path):
    sheet = tmp_path / "sheet.csv"
    sheet.write_bytes(b"image,patient_id\n")
    digests = digests_of_given({"sample_sheet": sheet, "clinical_table": None})
    assert digests == {"sample_sheet": hashlib.blake2b(b"image,patient_id\n", digest_size=16).hexdigest()}
    with pytest.raises(StudyError, match="cannot be read"):
        digests_of_given({"sample_sheet": tmp_path / "none.csv"})


def test_a_way_into_the_home_folder_begins_there(tmp_path, monkeypatch):
    home, elsewhere = tmp_path / "jane", tmp_path / "data"
    for folder in (home / "images", home / "study", elsewhere / "study", elsewhere / "images"):
        folder.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    assert relative_path(home / "images", elsewhere / "study") == "~/images"
    assert within(elsewhere / "study", "~/images") == home / "images"
    assert relative_path(home / "images", home / "study") == "../images"
    assert relative_path(elsewhere / "images", elsewhere / "study") == "../images"
    # A way out of the home folder tells nothing of its name.
    assert "jane" not in relative_path(elsewhere / "images", home / "study")
