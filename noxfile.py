"""What CI runs, to be run here as well: `nox -s lint`, `nox -s "tests-3.12(pyqt6)"`, `nox -s build`, `nox -s smoke`.

CONTRIBUTING.md says when to run which. Window tests need a virtual screen: `sh tests/install_system_packages.sh`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["lint", "build"]

PYTHONS = ["3.11", "3.12", "3.13"]
BINDINGS = {
    "pyqt6": "PyQt6>=6.5",
    # PySide6 6.12 aborts under Python 3.11 when a widget is destroyed.
    "pyside6": "PySide6>=6.5,<6.12",
}
OTHER = {"pyqt6": ("PySide6", "PySide6_Addons", "PySide6_Essentials"), "pyside6": ("PyQt6", "PyQt6-sip", "PyQt6-Qt6")}
BINDING = nox.parametrize("qt", [nox.param(name, id=name) for name in BINDINGS])

XVFB = ("xvfb-run", "-a", "-s", "-screen 0 1600x1200x24")
DIST = Path(__file__).parent / "dist"


@nox.session(python=PYTHONS[0])
def lint(session: nox.Session) -> None:
    """Check style, layout and types, as `make lint`."""
    session.install("-e", ".[test]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session(python=PYTHONS)
@BINDING
def tests(session: nox.Session, qt: str) -> None:
    """Run all tests, or those named behind `--`, with one Qt binding."""
    session.install("-e", ".[test]")
    _only_binding(session, qt)
    _on_screen(session, qt, "python", "-m", "pytest", *(session.posargs or ("-n", "2", "--dist", "loadfile")))


@nox.session(python=PYTHONS[0])
def lock(session: nox.Session) -> None:
    """Make the lists of libraries that CI installs, requirements/ci-*.txt, anew."""
    session.install("uv")
    session.run("python", "requirements/lock.py")


@nox.session(python=PYTHONS[0])
def audit(session: nox.Session) -> None:
    """Look up known vulnerabilities of all that the lists name; those known to be harmless are in requirements/."""
    session.install("pip-audit")
    known = Path("requirements", "vulnerabilities.txt").read_text(encoding="utf-8").splitlines()
    harmless = [line.split()[0] for line in known if line.strip() and not line.startswith("#")]
    ignored = [word for name in harmless for word in ("--ignore-vuln", name)]
    for python in PYTHONS:
        # The lists hold every package with its hash: pip itself is not needed to find out what would be installed.
        given = ("--requirement", f"requirements/ci-{python}.txt", "--disable-pip", "--require-hashes")
        # Strict: where the service does not answer for a package, "none known" would be no finding.
        session.run("pip-audit", "--strict", *given, "--progress-spinner", "off", *ignored)


@nox.session(python=PYTHONS[0])
def build(session: nox.Session) -> None:
    """Make the sdist, and the wheel from it, in dist/, and say what a package index would say of them."""
    session.install("build", "twine")
    shutil.rmtree(DIST, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(DIST))
    session.run("twine", "check", "--strict", *map(str, sorted(DIST.iterdir())))


@nox.session(python=PYTHONS)
@BINDING
def smoke(session: nox.Session, qt: str) -> None:
    """Try the wheel of `nox -s build` in a clean environment: score a study without Qt, then open the window."""
    wheels = sorted(DIST.glob("*.whl"))
    if len(wheels) != 1:
        session.error("dist/ must hold one wheel: run nox -s build first")
    program = str(Path("tests", "smoke_of_wheel.py").absolute())
    wheel = str(wheels[0])
    session.install(wheel)
    # Not from this folder: the wheel must stand by itself.
    session.chdir(session.create_tmp())
    session.run("python", program, "base")
    session.install(f"{wheel}[napari]")
    _only_binding(session, qt)
    _on_screen(session, qt, "python", program, "window")


def _only_binding(session: nox.Session, qt: str) -> None:
    """Leave one Qt binding: cher2[napari] brings PyQt6."""
    session.run("python", "-m", "pip", "uninstall", "--yes", "--quiet", *OTHER[qt], silent=True)
    session.install(BINDINGS[qt])


def _on_screen(session: nox.Session, qt: str, *command: str) -> None:
    choice = {"QT_API": qt, "PYTEST_QT_API": qt, "QT_QPA_PLATFORM": None}
    session.run(*XVFB, *command, external=True, env=choice)
