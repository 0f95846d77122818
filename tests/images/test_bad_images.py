"""Hostile images end in a named error, or are read right: those of ``hostile_images`` that take no time."""

import os
import re
import tempfile

import pytest
from hostile_images import CASES
from hostile_tiffs import EITHER, READ

from cher2.errors import ImageError
from cher2.images.files import find_image_files
from cher2.images.reader import read_frames
from cher2.protocol import Protocol

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no pipes, and not every name")

QUICK = [case for case in CASES if case.quick]


def test_every_case_has_its_own_name():
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", QUICK, ids=lambda case: case.name)
def test_it_is_refused_by_name_or_read_right(tmp_path, case, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / "images"
    folder.mkdir()
    case.make(folder)
    files, frames, refused = find_image_files(folder, Protocol()), 0, []
    for file in files:
        try:
            frames += len(list(read_frames(file, Protocol())))
        except ImageError as error:
            refused.append(error)
    assert len({file.name for file in files}) == len(files)
    assert all(error.where and error.remedy and "\n" not in str(error) for error in refused)
    if case.ends != EITHER:
        assert frames == case.frames
        assert bool(refused) == (case.ends != READ)
    if case.ends not in (READ, EITHER):
        assert re.search(case.ends, str(refused[0]))
