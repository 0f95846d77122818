"""Libraries and extras as cher2's own metadata name them; a broken library is told and breaks nothing."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import cher2
from cher2.doctor import software
from cher2.doctor.probe import Told

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
FINE = Told({"algorithm": "7"}, "")


def declared():
    return tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]


def test_every_extra_for_users_is_told_with_what_it_is_for():
    extras = set(declared()["optional-dependencies"]) - set(software.NOT_FOR_USERS)
    assert extras == set(software.FOR_WHAT)
    assert list(software.requirements()[1]) == list(software.FOR_WHAT)


def test_libraries_are_those_that_the_base_needs():
    # What is installed may be older by a line than this pyproject: names that both know.
    base = {each.name for each in software.requirements()[0]}
    assert {Requirement(line).name for line in declared()["dependencies"]} - {"packaging"} <= base
    assert not base & {"napari", "zarr", "psycopg"}


def test_versions_are_told():
    found = {finding.what: finding for finding in software.software_findings(FINE)}
    assert found["cher2"].found == f"{cher2.__version__}, algorithm 7"
    assert found["numpy"].found.split(".")[0] in ("1", "2")
    assert not [finding for finding in found.values() if finding.state == "missing"]


def test_what_is_not_there_or_too_old_has_its_line_for_pip(monkeypatch):
    base = [
        Requirement("numpy>=1.26"),
        Requirement("numpy>=999"),
        Requirement("no-such-thing>=2; python_version > '3'"),
    ]
    extras = {"cloud": [Requirement("no-such-thing"), Requirement("scipy>=999")], "formats": [Requirement("scipy")]}
    monkeypatch.setattr(software, "requirements", lambda: (base, extras))
    fine, old, absent, cloud, formats = software.software_findings(FINE)[3:]
    assert (fine.state, formats.state) == ("ok", "ok")
    assert old.state == "missing"
    assert old.found.endswith(", but >=999 is needed")
    assert (absent.found, absent.state, absent.remedy) == ("not installed", "missing", 'pip install "no-such-thing>=2"')
    assert cloud.found.startswith("missing (images in S3 and other stores, by URL): no-such-thing, scipy ")
    assert (cloud.state, cloud.remedy) == ("optional", 'pip install "cher2[cloud]"')


def test_cher2_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(software, "DISTRIBUTION", "cher2-is-not-installed-under-this-name")
    found = [finding for finding in software.software_findings(FINE) if finding.state == "missing"]
    assert [finding.what for finding in found] == ["installation"]


@pytest.mark.parametrize("broken", ["cv2", "pyarrow"])
def test_a_library_that_cannot_be_loaded(broken, tmp_path, monkeypatch):
    (tmp_path / f"{broken}.py").write_text("raise ImportError('/home/meier/libGL.so.1: cannot open')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(cher2.__file__).parents[1]}")
    base = software.look_at_base()
    assert base.fault == "ImportError: libGL.so.1: cannot open"
    (loading,) = [finding for finding in software.software_findings(base) if finding.what == "loading cher2"]
    assert (loading.state, loading.found) == ("missing", base.fault)
