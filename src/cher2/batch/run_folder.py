"""The study folder of a run: made, held, given its settings; as it was before where nothing comes of the run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cher2.batch.plan import Plan
from cher2.errors import Cher2Error, StudyError
from cher2.report.derive import drop_derived
from cher2.study.fault_file import has_faults
from cher2.study.folder import Study
from cher2.study.lock import LOCK
from cher2.study.provenance import state_of
from cher2.study.tables import write_whole


def check_as_planned(plan: Plan, study: Study) -> None:
    """Refuse a study that another program has written to since the plan was made: the plan says what is done there.

    Raises
    ------
    StudyError
    """
    if plan.seen != state_of(study):
        raise StudyError(
            "another program has written to the study since this one looked at it",
            where=str(study.path),
            remedy="Give the same command again: it looks anew",
        )


@contextmanager
def locked_folder(study: Study) -> Iterator[None]:
    """Make the study folder and hold it; what was made goes again where nothing came into it."""
    missing = [folder for folder in (study.path, *study.path.parents) if not folder.exists()]
    _make(study.path)
    try:
        with study.lock.held("run"):
            yield
    finally:
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()


@contextmanager
def settings_written(plan: Plan, study: Study) -> Iterator[None]:
    """Write the study's settings; a run that comes to nothing leaves what was there before."""
    old = [(path, path.read_bytes()) for path in study.settings_files if path.is_file()]
    finished, under_way = study.path / "images", study.under_way
    before = _time_of(finished)
    try:
        if old and study.protocol != plan.protocol and not set(plan.files) - set(plan.measured):
            # What is left to do cannot fail but by the disk: the old tables would stand beside the new protocol.
            drop_derived(study)
        study.create(plan.protocol, plan.samples)
        study.sweep()
        yield
    except Cher2Error:
        for path, content in old:
            write_whole(path, content)
        if not under_way and _time_of(finished) == before:
            study.withdraw()
        if not old and not study.has_results() and not has_faults(study):
            _empty(study.path)
        raise


def _time_of(folder: Path) -> int:
    """Return when a folder last got, or lost, an entry; 0 where it is not there."""
    return folder.stat().st_mtime_ns if folder.is_dir() else 0


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyError(
            f"the study folder cannot be made ({error.strerror})",
            where=str(folder),
            remedy="Name a folder that you may write to with -o",
        ) from error


def _empty(folder: Path) -> None:
    """Remove everything but the lock."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != LOCK:
            path.unlink(missing_ok=True)
