"""Make docs/licences.md: what cher2 needs, for which extra, in which version, under which licence.

Run in an environment with ``pip install -e ".[test,docs]"``: ``python docs/licences.py``. What is written is what the
installed packages say of themselves (their metadata): a list, no legal advice.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PAGE = Path(__file__).with_name("licences.md")

EXTRAS = ("napari", "postgres", "formats", "cloud", "anndata", "test", "docs")
"""The extras that are looked at; those of the segmenters are too heavy to be installed for a list."""

FOR_DEVELOPERS = ("test", "docs")

START = """\
# Licences of what cher2 needs

cher2 itself is under the BSD 3-Clause licence. This list is made by `python docs/licences.py` from what the installed
packages say of themselves (Python {python}, the versions of `requirements/ci-{python}.txt`): a list, no legal advice.

- **The base has no GPL**, and no LGPL either: `pip install cher2` brings nothing under a licence of that family.
  `tests/test_licences.py` holds it, over everything that the base really needs.
- **`cher2[napari]` brings PyQt6, which is under the GPL, version 3**, or a commercial licence of Riverbank's. Whoever
  hands on a program together with PyQt6 must do so under the GPL, or buy that licence; use within a laboratory is free.
  **PySide6 is the choice under the LGPL**: cher2 runs with either (CI tests both):
  `pip install cher2 "napari>=0.6" "magicgui>=0.8" "qtpy>=2.4" "superqt>=0.6" "PySide6>=6.5,<6.12"`.
- `cher2[postgres]` brings psycopg, under the LGPL.
- `cher2[stardist]` and `cher2[cellpose]` are not in the list, being too heavy to be installed for it. By their
  metadata at PyPI in November 2026: StarDist BSD-3-Clause, TensorFlow Apache-2.0, Cellpose BSD, PyTorch Apache-2.0,
  BSD, MIT and others, none of the GPL. **The weights of their models have licences of their own**; cher2 ships none.
- Wheels hold libraries in binary form, with licences of their own that their folders `*.dist-info` name: OpenCV brings
  FFmpeg (LGPL-2.1) and OpenSSL, NumPy, SciPy and OpenCV bring GCC's run-time libraries (GPL-3.0 with the exception that
  binds no program using them). Fonts that matplotlib brings are free.

Under copyleft, and where: {copyleft}.
"""


@dataclass(frozen=True)
class Package:
    """An installed package and its licence.

    Parameters
    ----------
    name, version, licence : str
    """

    name: str
    version: str
    licence: str

    @property
    def copyleft(self) -> str:
        """GPL, AGPL or LGPL where the package can be had under nothing else; else empty."""
        choices = self.licence.split(" OR ")
        found = [_copyleft_of(choice) for choice in choices]
        return min(found, key=len) if all(found) else ""


def _copyleft_of(licence: str) -> str:
    if re.search(r"\bLGPL|Lesser General Public", licence, re.I):
        return "LGPL"
    if re.search(r"\bAGPL|Affero", licence, re.I):
        return "AGPL"
    # A linking exception is what a compiler's run-time library has: it binds no program that uses it.
    return "GPL" if re.search(r"\bGPL|General Public License", licence, re.I) and "exception" not in licence else ""


def needed(requirements: Iterable[str], extras: Iterable[str] = ()) -> set[str]:
    """Return the names of all packages that requirements need, with all that those need in turn.

    Parameters
    ----------
    requirements : iterable of str
        As ``Requires-Dist`` has them.
    extras : iterable of str
        The extras in force for these requirements' markers.

    Returns
    -------
    set of str
        Normalised names; cher2 itself is not among them. What is not installed, and needs to be, ends the program.
    """
    found: set[tuple[str, frozenset[str]]] = set()
    waiting = list(_direct(requirements, extras))
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in found:
            continue
        found.add((name, wanted))
        waiting += _direct(distribution(name).requires or (), wanted)
    return {name for name, _ in found} - {"cher2"}


def _direct(requirements: Iterable[str], extras: Iterable[str]) -> Iterator[tuple[str, frozenset[str]]]:
    for text in requirements:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield canonicalize_name(requirement.name), frozenset(requirement.extras)


def package(name: str) -> Package:
    """Return an installed package with its licence, as far as its metadata tell."""
    found = distribution(name)
    told = found.metadata
    classifiers = [
        line.rpartition(" :: ")[2] for line in told.get_all("Classifier") or () if line.startswith("License ::")
    ]
    classifiers = [line for line in classifiers if line != "OSI Approved"]
    text = (told.get("License") or "").strip().splitlines()
    named = text[0].strip() if text else ""
    short = named if 0 < len(named) <= 60 else ""
    licence = told.get("License-Expression") or " OR ".join(classifiers) or short or "not told"
    return Package(canonicalize_name(name), found.version, licence.replace("|", "/"))


def base() -> set[str]:
    """Return the names of what ``pip install cher2`` brings."""
    return needed(distribution("cher2").requires or ())


def of_extras() -> dict[str, set[str]]:
    """Return what each extra brings besides the base."""
    requires, alone = distribution("cher2").requires or (), base()
    return {extra: needed(requires, [extra]) - alone for extra in EXTRAS}


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
    print(PAGE)


def page() -> str:
    """Return the page as Markdown, for the environment that this runs in."""
    extras, alone = of_extras(), base()
    users = [extra for extra in EXTRAS if extra not in FOR_DEVELOPERS]
    used = {name for extra in users for name in extras[extra]}
    sections = [("The base", dict.fromkeys(alone, ""))]
    sections.append(("The extras", {name: _extras_of(name, extras, users) for name in used}))
    others = {name for extra in FOR_DEVELOPERS for name in extras[extra]} - used
    sections.append(("To test and to document", {name: _extras_of(name, extras, FOR_DEVELOPERS) for name in others}))
    found = [package(name) for name in sorted({*alone, *used, *others})]
    copyleft = ", ".join(
        f"{one.name} ({one.licence}; {_extras_of(one.name, extras, EXTRAS)})" for one in found if one.copyleft
    )
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    start = START.format(python=python, copyleft=copyleft or "nothing")
    return "\n".join([start, *(_section(title, names) for title, names in sections)])


def _extras_of(name: str, extras: dict[str, set[str]], asked: Iterable[str]) -> str:
    return ", ".join(extra for extra in asked if name in extras[extra])


def _section(title: str, names: dict[str, str]) -> str:
    rows = [(one.name, one.version, one.licence, names[one.name]) for one in map(package, sorted(names))]
    lines = [f"| {name} | {number} | {licence} | {extra} |" for name, number, licence, extra in rows]
    return "\n".join(
        [f"## {title}\n", "| package | version | licence | extra |", "| --- | --- | --- | --- |", *lines, ""]
    )


if __name__ == "__main__":
    main()
