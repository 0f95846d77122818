"""Whether a study's derived tables follow from its results and decisions, and whether its decisions were altered.

Both are looked at in a temporary folder whose entries lead to the study's own: nothing is written into the study.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from cher2.batch.findings import Finding, Level
from cher2.batch.table_differences import compare_texts
from cher2.errors import Cher2Error, ReviewError, StudyError
from cher2.report.derive import derive
from cher2.review.backups import BACKUPS
from cher2.review.chain import broken_entries
from cher2.review.decisions import REFERRING, Decision, times_set_back
from cher2.review.ledger import Ledger
from cher2.review.log_copy import copy_decisions
from cher2.review.log_state import noted_heads
from cher2.review.open_log import REVIEWS, VARIABLE, open_log, was_reviewed
from cher2.review.outline_log import EDITS, has_corrections
from cher2.review.outlines import lost_corrections
from cher2.review.results import LOST
from cher2.review.schema import decision_of
from cher2.review.sql_log import SqlLog
from cher2.study.folder import Study
from cher2.study.score_file import labels_fingerprint
from cher2.study.tables import read_csv
from cher2.study.trail import Trail

KEYS = {
    "cells.csv": ("image", "object_id"),
    "patients.csv": ("patient_id",),
    "quality.csv": ("image",),
    "comparison.csv": ("variable", "level"),
    "survival.csv": ("endpoint", "group"),
    LOST: ("decision_id",),
}
"""The derived tables, and the columns that tell their rows apart."""

LINKED = (
    *("images", "protocol.toml", "samples.csv", "clinical.csv", "errors.csv", "study_id", "provenance.json"),
    *(EDITS, BACKUPS),
)
"""What the temporary folder shares with the study."""


@contextmanager
def shadow_of(study: Study) -> Iterator[Study]:
    """Open a temporary folder that is the study for all who read it, and another one for all who write.

    Readers' decisions are copied: opening a SQLite file makes others beside it.
    """
    with tempfile.TemporaryDirectory(prefix="cher2-verify-") as name:
        folder = Path(name)
        for entry in LINKED:
            if (study.path / entry).exists():
                _link(study.path / entry, folder / entry)
        copy_decisions(study.path, folder)
        yield Study(folder)


def _link(source: Path, path: Path) -> None:
    """Lead from one place to another; a copy, where links need a privilege."""
    try:
        path.symlink_to(source.resolve(), target_is_directory=source.is_dir())
    except OSError:
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, path)


def check_derived(study: Study, shadow: Study, reviews: str) -> tuple[list[Finding], tuple[str, ...]]:
    """Derive the tables again in the shadow of a study and compare them with the study's.

    Returns
    -------
    list of Finding
    tuple of str
        The tables that were compared.
    """
    try:
        derive(shadow, reviews=reviews)
    except Cher2Error as error:
        what = f"the tables cannot be derived again: {error.what}"
        return [Finding("derived", "unverified", what)], ()
    found: list[Finding] = []
    for name, keys in KEYS.items():
        stored, again = study.path / name, shadow.path / name
        if stored.exists() != again.exists():
            what = "the table should not be there" if stored.exists() else "the table is missing"
            found.append(Finding("derived", "differs", what, name))
        elif stored.exists() and not filecmp.cmp(stored, again, shallow=False):
            found += _compare(stored, again, keys)
    return found, tuple(name for name in KEYS if (shadow.path / name).exists())


def _compare(stored: Path, again: Path, keys: Sequence[str]) -> list[Finding]:
    try:
        was = read_csv(stored, StudyError, "the table")
    except StudyError as error:
        return [Finding("derived", "differs", error.what, stored.name)]
    found = compare_texts(was, read_csv(again, StudyError, "the table"), keys, stored.name)
    what = "the values are the same, but it was written by another program, or its rows are in another order"
    return found or [Finding("derived", "note", what, stored.name)]


def check_decisions(shadow: Study, reviews: str, trail: Trail) -> tuple[list[Finding], list[str]]:
    """Check the chain of the log of decisions, that each decision has its cell, and the corrected outlines.

    Returns
    -------
    list of Finding
    list of str
        The hashes of the log's entries.
    """
    found, where, heads = list(_outlines(shadow)), "", noted_heads(trail.events)
    if not (reviews or os.environ.get(VARIABLE) or was_reviewed(shadow.path)):
        gone = broken_entries([], *heads)
        return [*found, *(_finding("differs", f"entry {entry.entry}: {entry.what}", REVIEWS) for entry in gone)], []
    try:
        with closing(open_log(shadow, reviews)) as log:
            where = REVIEWS if Path(log.where).name == REVIEWS else log.where
            rows = log.rows() if isinstance(log, SqlLog) else []
        broken = broken_entries(rows, *heads)
        found += [_finding("differs", f"entry {entry.entry}: {entry.what}", where) for entry in broken]
        decisions = [decision_of(row, where) for row in rows]
        found += _without_cell(shadow, decisions, where)
        if back := times_set_back(decisions):
            what = (
                f"{len(back)} decisions, the first is entry {back[0].entry}, bear a time before that of an earlier "
                "entry: a clock was set back, or they were imported; the order of the entries holds"
            )
            found.append(_finding("note", what, where))
    except ReviewError as error:
        return [*found, _finding("differs", f"the decisions cannot be read: {error.what}", where or REVIEWS)], []
    except StudyError as error:
        return [*found, _finding("unverified", f"decisions cannot be put to cells: {error.what}", where)], []
    return found, [str(row["hash"]) for row in rows]


def _finding(level: Level, what: str, where: str) -> Finding:
    return Finding("decisions", level, what, where)


def _without_cell(study: Study, decisions: Sequence[Decision], where: str) -> Iterator[Finding]:
    """Find decisions on cells that were never there, and those whose cell went when the image was scored anew."""
    on_cells = [decision for decision in decisions if decision.action not in REFERRING]
    known = {decision.decision_id for decision in decisions}
    images = set(study.samples["image"])
    objects: dict[str, set[int]] = {}
    never = set()
    for decision in on_cells:
        image = decision.image
        if image not in images:
            never.add(decision.decision_id)
            yield _finding("differs", f"entry {decision.entry} is on {image!r}, which is no image of the study", where)
        elif decision.score == labels_fingerprint(study.score_of(image)) and not has_corrections(study, image):
            if image not in objects:
                objects[image] = set(study.objects_of(image, columns=["object_id"])["object_id"].tolist())
            if decision.object_id not in objects[image]:
                never.add(decision.decision_id)
                what = f"entry {decision.entry} is on object {decision.object_id} of {image}, which is not there"
                yield _finding("differs", what, where)
    for decision in decisions:
        if decision.action in REFERRING and decision.refers_to not in known:
            yield _finding("differs", f"entry {decision.entry} takes back a decision that is not in the log", where)
    lost = [decision for decision in Ledger(study, decisions).lost if decision.decision_id not in never]
    if lost:
        what = (
            f"{len(lost)} decisions are on cells that are gone since their images were scored anew: {LOST} lists them"
        )
        yield _finding("note", what, where)


def _outlines(study: Study) -> Iterator[Finding]:
    for image in study.samples["image"]:
        if not has_corrections(study, image):
            continue
        try:
            lost = lost_corrections(study, image)
        except (ReviewError, StudyError) as error:
            yield _finding("differs", f"corrected outlines cannot be applied: {error.what}", image)
            continue
        if lost:
            what = f"{len(lost)} corrections of outlines could not be applied since the image was scored anew"
            yield _finding("note", what, image)
