"""Make the lists of libraries that CI installs: every version and every file's hash, one list a Python.

Run in a checkout: ``python requirements/lock.py`` (``nox -s lock`` does so with the program uv). Users are not bound
by these lists: they get the lower bounds of ``pyproject.toml``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

PYTHONS = ("3.11", "3.12", "3.13")

PATCH = 7
"""Of the first patch release of a Python alone some packages say that they do not run on it."""

HEADER = """\
# What CI installs under Python {python} on Linux (x86-64): versions and hashes of cher2[docs,test] and all it needs.
# Made by "nox -s lock" (requirements/lock.py); not edited by hand. Users are not bound by it.
"""


def lock(python: str) -> Path:
    """Write the list for one Python and return its path.

    Parameters
    ----------
    python : str
        Such as ``3.11``; it need not be installed.
    """
    path = ROOT / "requirements" / f"ci-{python}.txt"
    words = ["uv", "pip", "compile", "pyproject.toml", "--extra", "test", "--extra", "docs"]
    words += ["--python-version", f"{python}.{PATCH}"]
    words += ["--python-platform", "x86_64-manylinux_2_28", "--generate-hashes", "--no-header", "--upgrade", "--quiet"]
    # Only the index that everybody can reach: a machine's own mirror may hold other files.
    words += ["--no-config", "--default-index", "https://pypi.org/simple"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    path.write_text(HEADER.format(python=python) + done.stdout, encoding="utf-8")
    return path


if __name__ == "__main__":
    for python in PYTHONS:
        print(lock(python))
