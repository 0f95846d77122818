"""cher2, Python, the libraries that the base needs, and the optional extras: read from cher2's own list of them.

Nothing of what is looked at is imported here: a library that is broken must not break the look at it.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, metadata, version

from packaging.requirements import Requirement

import cher2
from cher2.doctor.findings import Finding
from cher2.doctor.probe import Told, look

DISTRIBUTION = "cher2"
NOT_FOR_USERS = ("test", "dev", "docs", "all")
"""Extras that are no feature."""

FOR_WHAT = {
    "napari": "the window: cher2 review and the napari plugin",
    "formats": "OME-Zarr, ND2, LIF and CZI",
    "cloud": "images in S3 and other stores, by URL",
    "postgres": "readers' decisions in PostgreSQL",
    "anndata": "cher2 export --as anndata",
    "stardist": "the segmenter StarDist",
    "cellpose": "the segmenter Cellpose",
}

AGAIN = "run pip install again where cher2 was installed from, such as: pip install ."

BASE = """
import json
import distributed, imagecodecs, matplotlib.figure, pyarrow.parquet, sqlalchemy
import cher2.batch.run, cher2.images.reader, cher2.report.page, cher2.report.write, cher2.review.open_log
from cher2.cells.score import ALGORITHM
from cher2.study.machine import describe_machine
print(json.dumps({"algorithm": ALGORITHM, "machine": describe_machine()}))
"""
"""Loads what a run, a review and a report load, and tells of the computer what a study's provenance tells."""


def look_at_base() -> Told:
    """Load the whole base in a fresh Python: ``algorithm`` and ``machine``, or what is broken."""
    return look("-c", BASE)


def software_findings(base: Told) -> list[Finding]:
    """Return what was found of cher2, Python, libraries and extras.

    Parameters
    ----------
    base : Told
        As of :func:`look_at_base`.
    """
    algorithm = base.facts.get("algorithm", "not known")
    found = [
        Finding("software", "cher2", f"{cher2.__version__}, algorithm {algorithm}"),
        Finding("software", "Python", f"{platform.python_version()} ({platform.python_implementation()})"),
        Finding("software", "platform", f"{platform.system()} {platform.release()} {platform.machine()}"),
    ]
    if base.fault:
        found.append(Finding("software", "loading cher2", base.fault, "missing", AGAIN))
    wanted, extras = requirements()
    if not wanted:
        found.append(Finding("software", "installation", "cher2 runs from a folder, not installed", "missing", AGAIN))
    found += [_library(requirement) for requirement in wanted]
    return found + [_extra(extra, each) for extra, each in extras.items()]


def requirements() -> tuple[list[Requirement], dict[str, list[Requirement]]]:
    """Return what the base needs, and what each extra needs besides, as cher2's metadata have it for this Python.

    Both are empty where cher2 is not installed.
    """
    try:
        own = metadata(DISTRIBUTION)
    except PackageNotFoundError:
        return [], {}
    wanted = [Requirement(line) for line in own.get_all("Requires-Dist") or []]
    base = [each for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
    names = [name for name in own.get_all("Provides-Extra") or [] if name not in NOT_FOR_USERS]
    extras = {
        name: [each for each in wanted if each not in base and each.marker and each.marker.evaluate({"extra": name})]
        for name in sorted(names, key=_told_first)
    }
    return base, extras


def _told_first(extra: str) -> int:
    return list(FOR_WHAT).index(extra) if extra in FOR_WHAT else len(FOR_WHAT)


def _library(requirement: Requirement) -> Finding:
    fault = _fault_of(requirement)
    if not fault:
        return Finding("libraries", requirement.name, version(requirement.name))
    return Finding("libraries", requirement.name, fault, "missing", f'pip install "{_without_marker(requirement)}"')


def _extra(name: str, wanted: list[Requirement]) -> Finding:
    faults = {each.name: fault for each in wanted if (fault := _fault_of(each))}
    if not faults:
        return Finding("extras", name, "present: " + ", ".join(f"{each.name} {version(each.name)}" for each in wanted))
    purpose = f" ({FOR_WHAT[name]})" if name in FOR_WHAT else ""
    return Finding("extras", name, f"missing{purpose}: {_words(faults)}", "optional", f'pip install "cher2[{name}]"')


def _words(faults: Mapping[str, str]) -> str:
    return ", ".join(name if fault == "not installed" else f"{name} {fault}" for name, fault in faults.items())


def _fault_of(requirement: Requirement) -> str:
    try:
        there = version(requirement.name)
    except PackageNotFoundError:
        return "not installed"
    if requirement.specifier.contains(there, prereleases=True):
        return ""
    return f"{there}, but {requirement.specifier} is needed"


def _without_marker(requirement: Requirement) -> str:
    return f"{requirement.name}{requirement.specifier}"
