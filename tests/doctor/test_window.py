"""Qt and OpenGL on the tests' screen, and without a screen or a binding: reported, and never fatal."""

import re
import sys
from pathlib import Path

import pytest

import cher2
from cher2.doctor.probe import Told
from cher2.doctor.window import look_at_window, window_findings


def by_name(told):
    return {finding.what: finding for finding in window_findings(told)}


def test_on_a_screen(monkeypatch):
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    told = look_at_window()
    assert told.fault == ""
    found = by_name(told)
    assert {finding.state for finding in found.values()} == {"ok"}
    assert "Qt 6." in found["Qt"].found
    assert re.match(r"\d+\.\d+ .*; .+; .+", found["OpenGL"].found)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a screen")
def test_without_a_screen(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QT_QPA_PLATFORM", "xcb")
    told = look_at_window()
    assert told.facts["qt"].startswith("6.")
    found = by_name(told)
    assert found["screen"].found.startswith("none: ")
    assert "it does not start: it crashed (SIGABRT): qt.qpa.xcb: could not connect to display" in found["Qt"].found
    assert "xvfb-run" in found["Qt"].remedy
    assert {finding.state for finding in found.values()} == {"optional"}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a screen")
def test_a_screen_that_does_not_answer(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":4711")
    monkeypatch.setenv("QT_QPA_PLATFORM", "xcb")
    found = by_name(look_at_window())
    assert found["screen"].found.startswith("DISPLAY :4711")
    assert found["Qt"].remedy.startswith("look whether the screen answers")


def test_without_a_binding(tmp_path, monkeypatch):
    (tmp_path / "qtpy.py").write_text("raise ModuleNotFoundError(\"No module named 'qtpy'\")")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(cher2.__file__).parents[1]}")
    found = by_name(look_at_window())
    assert found["Qt"].found == "missing: ModuleNotFoundError: No module named 'qtpy'"
    assert found["Qt"].remedy.startswith('pip install "cher2[napari]"')
    assert found["OpenGL"].found == "not known: Qt does not start"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a screen")
@pytest.mark.parametrize(
    ("display", "words"), [(":99", "DISPLAY :99"), ("meiers-laptop:10.0", "DISPLAY of another computer, or by ssh")]
)
def test_the_name_of_another_computer_is_not_told(display, words, monkeypatch):
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert by_name(Told({}, ""))["screen"].found == words


def test_opengl_that_fails():
    told = Told(
        {"binding": "PyQt6", "binding_version": "6.9", "qt": "6.9.0", "platform": "xcb"}, "it crashed (SIGSEGV)"
    )
    found = by_name(told)["OpenGL"]
    assert (found.found, found.state) == ("missing: it crashed (SIGSEGV)", "optional")
    assert "libgl1-mesa-dri" in found.remedy
