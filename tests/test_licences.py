"""The base stays free of the GPL: over everything that ``pip install cher2`` really needs here."""

from __future__ import annotations

import importlib.util
import re
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture
def licences(monkeypatch):
    place = importlib.util.spec_from_file_location("licences", DOCS / "licences.py")
    module = importlib.util.module_from_spec(place)
    # Its dataclass asks for its module by name.
    monkeypatch.setitem(sys.modules, "licences", module)
    place.loader.exec_module(module)
    return module


def test_nothing_in_the_base_is_under_the_gpl_and_every_licence_is_told(licences):
    base = licences.base()
    assert base >= {"numpy", "pandas", "opencv-python-headless", "sqlalchemy", "distributed", "tornado"}
    found = [licences.package(name) for name in base]
    assert [one.name for one in found if re.search("GPL|General Public|not told|UNKNOWN", one.licence)] == []
    # What a package says of itself elsewhere must not speak against it.
    classified = {name: distribution(name).metadata.get_all("Classifier") or [] for name in base}
    assert [name for name, lines in classified.items() if any("GPL" in line for line in lines)] == []


def test_copyleft_of_the_extras_is_known_and_on_the_page(licences):
    extras = licences.of_extras()
    found = {one.name: one.copyleft for one in map(licences.package, set().union(*extras.values())) if one.copyleft}
    assert set(found) <= {"pyqt6", "pyqt6-qt6", "psycopg", "psycopg-binary"}
    assert found["pyqt6"] == "GPL"
    page = (DOCS / "licences.md").read_text(encoding="utf-8")
    direct = (Requirement(line) for line in distribution("cher2").requires or ())
    for name in {*found, *(one.name.lower() for one in direct if one.marker is None)}:
        assert f"| {name} |" in page, "run: python docs/licences.py"


@pytest.mark.parametrize(
    ("licence", "copyleft"),
    [
        ("GPL-3.0-only", "GPL"),
        ("GNU Lesser General Public License v3 (LGPLv3)", "LGPL"),
        ("GNU Affero General Public License v3", "AGPL"),
        ("MIT OR GPL-2.0-or-later", ""),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", ""),
        ("BSD-3-Clause", ""),
    ],
)
def test_copyleft_is_told_from_a_licences_name(licences, licence, copyleft):
    assert licences.Package("a", "1", licence).copyleft == copyleft
