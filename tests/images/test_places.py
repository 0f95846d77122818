"""Places given in words: what is a URL, what is shown of it, and what is imported for it."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from strategies import examples, urls_with_a_secret

from cher2.errors import ImageError, StudyError
from cher2.images.places import SCHEMES, is_remote, is_url, place, refuse_url, shown, within


@pytest.mark.parametrize("text", ["images", "/a/b c", "C:\\images", "a:b", "~/x", "s3:", Path("x")])
def test_paths_stay_paths(text):
    assert type(place(text)) is type(Path())
    assert place(text) == Path(text)
    assert not is_remote(place(text))


def test_a_file_url_is_a_path():
    assert place("file:///data/blood%20draws") == Path("/data/blood draws")


@pytest.mark.parametrize("text", ["s3://bucket/study", "memory://study/P1", "https://host/study", "S3://bucket/study"])
def test_urls_are_places_in_stores_that_travel_to_workers(text):
    found = place(text)
    assert is_remote(found)
    assert shown(found).endswith("/" + text.rpartition("/")[2])
    assert place(found) is found
    assert pickle.loads(pickle.dumps(found)) == found
    assert (found / "frame#1.tif").name == "frame#1.tif"


def test_a_url_of_unknown_kind_is_refused_and_its_password_not_repeated():
    with pytest.raises(ImageError, match=r"^ftp://host/x: URLs that begin with ftp:// are not read") as error:
        place("ftp://me:secret@host/x")
    assert all(scheme in str(error.value) for scheme in SCHEMES)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(("url", "library"), [("s3://b/x", "s3fs"), ("gs://b/x", "gcsfs"), ("http://h/x", "upath")])
def test_a_missing_library_is_named_with_its_remedy(url, library, monkeypatch):
    from fsspec.registry import _registry

    monkeypatch.setitem(sys.modules, library, None)
    for scheme in SCHEMES:
        monkeypatch.delitem(_registry, scheme, raising=False)
    with pytest.raises(ImageError, match=rf"^{url}: .* needs a library that is not installed .*pip install"):
        place(url)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://me:secret@host:8/a/b.tif?X-Amz-Signature=secret#x", "https://host:8/a/b.tif"),
        ("https://token@host?secret", "https://host"),
        ("s3://key:secret@bucket/a?b#1.tif", "s3://bucket/a?b#1.tif"),
        ("s3://bucket/me@home/x", "s3://bucket/me@home/x"),
        ("P1/a@b?c", "P1/a@b?c"),
    ],
)
def test_what_is_shown_has_neither_user_nor_password_nor_query(text, expected):
    assert shown(text) == expected


def test_a_place_written_relative_to_a_folder_may_be_a_url():
    assert within(Path("study"), "../images") == Path("study/../images")
    assert within(Path("study"), "memory://images") == place("memory://images")
    assert is_url("s3://x")
    assert not is_url("P1/s3://x"[3:].removeprefix("s3:"))


@pytest.mark.parametrize("study", ["s3://bucket/study", Path("s3://bucket/study"), "gs://me:secret@b/x", "file:///x"])
def test_where_only_a_disk_will_do_a_url_is_refused(study):
    with pytest.raises(StudyError, match=r"a study cannot be a URL.*Write here") as error:
        refuse_url(study, "a study", StudyError, "Write here")
    assert "secret" not in str(error.value) or isinstance(study, Path)


def test_paths_of_a_disk_are_not_refused():
    for study in ("study", "/x/y", "C:/study", "C:\\study", "run:2/study", Path("a:b")):
        refuse_url(study, "a study", StudyError, "")


def test_nothing_of_the_stores_libraries_is_imported_for_a_folder_on_a_disk(synthetic):
    code = f"""
import sys
from cher2 import read_image
from cher2.batch.plan import make_plan
from cher2.images.files import find_image_files
from cher2.protocol import Protocol
from cher2.study.provenance import file_stamp, file_digest
file = find_image_files({str(synthetic / "images")!r}, Protocol())[0]
read_image(file.paths[0]), file_stamp(file), file_digest(file)
print([name for name in ("fsspec", "upath", "s3fs", "aiohttp", "botocore", "tempfile.x") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@given(urls_with_a_secret())
@settings(max_examples=examples(60))
def test_no_secret_of_a_url_is_shown(url_and_secret):
    url, secret = url_and_secret
    assert secret not in shown(url)
    with pytest.raises(StudyError) as caught:
        refuse_url(url, "a study", StudyError, "Name a folder")
    assert secret not in str(caught.value)
