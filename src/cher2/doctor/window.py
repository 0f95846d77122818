"""What napari's window needs: a screen, a Qt binding, and OpenGL. All of it is optional.

Qt ends the whole process where there is no screen, and a bad OpenGL driver can crash it: both are asked in another
process, by :mod:`cher2.napari.graphics_probe`.
"""

from __future__ import annotations

import os
import sys

from cher2.doctor.findings import Finding
from cher2.doctor.probe import Told, look

PROBE = "cher2.napari.graphics_probe"

NO_SCREEN = (
    "open a session with a screen (DISPLAY, or Wayland), ssh -X, or a virtual one: xvfb-run -a cher2 review STUDY"
)
NO_QT = 'pip install "cher2[napari]"'
NO_LIBRARY = (
    "look whether the screen answers; on Debian and Ubuntu install libxcb-cursor0 and the other libraries of Qt "
    "(docs/doctor.md)"
)
NO_OPENGL = "install the graphics driver, on Debian and Ubuntu libgl1, libegl1 and libgl1-mesa-dri (drawn by software)"


def look_at_window() -> Told:
    """Open Qt and OpenGL in a fresh Python: ``binding, qt, platform, vendor, renderer, version``, as far as it gets."""
    return look("-m", PROBE)


def window_findings(told: Told) -> list[Finding]:
    """Return what was found of screen, Qt and OpenGL.

    Parameters
    ----------
    told : Told
        As of :func:`look_at_window`.
    """
    return [_screen(), *_qt(told), _opengl(told)]


def _screen() -> Finding:
    if sys.platform in ("win32", "darwin"):
        return Finding("window", "screen", "the system's own")
    there = []
    if display := os.environ.get("DISPLAY", ""):
        # What stands before the colon is the name of a computer.
        there.append(f"DISPLAY {display}" if display.startswith(":") else "DISPLAY of another computer, or by ssh")
    if os.environ.get("WAYLAND_DISPLAY"):
        there.append("Wayland")
    if there:
        return Finding("window", "screen", ", ".join(there))
    return Finding("window", "screen", "none: neither DISPLAY nor WAYLAND_DISPLAY is set", "optional", NO_SCREEN)


def _qt(told: Told) -> list[Finding]:
    facts = told.facts
    if "binding" not in facts:
        return [Finding("window", "Qt", f"missing: {told.fault}", "optional", NO_QT)]
    name = f"{facts['binding']} {facts['binding_version']}, Qt {facts['qt']}"
    if "platform" not in facts:
        return [Finding("window", "Qt", f"{name}; it does not start: {told.fault}", "optional", _way_out())]
    return [Finding("window", "Qt", f"{name}, platform {facts['platform']}")]


def _way_out() -> str:
    return NO_SCREEN if _screen().state == "optional" else NO_LIBRARY


def _opengl(told: Told) -> Finding:
    facts = told.facts
    if "renderer" in facts:
        return Finding("window", "OpenGL", f"{facts['version']}; {facts['vendor']}; {facts['renderer']}")
    if "platform" not in facts:
        return Finding("window", "OpenGL", "not known: Qt does not start", "optional")
    return Finding("window", "OpenGL", f"missing: {told.fault or 'no context'}", "optional", NO_OPENGL)
