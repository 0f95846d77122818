"""A run: every frame measured, every sample graded, every table derived."""

from __future__ import annotations

import shutil
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from cher2.batch.engine import Engine, Task, default_workers, open_engine
from cher2.batch.plan import Plan, make_plan
from cher2.batch.tasks import FileOutcome, SampleOutcome, grade_frames, grading_fingerprint, measure_file
from cher2.cohorts.clinical import check_clinical
from cher2.errors import ClinicalTableError, StudyError
from cher2.report.derive import Derived, derive
from cher2.study.folder import Study
from cher2.study.provenance import now, write_provenance
from cher2.study.tables import read_csv, write_csv


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Parameters
    ----------
    done, total : int
        Image files, done and in all.
    ctcs : int
        CTCs found so far.
    failed : int
        Image files that failed so far.
    last : str
        What was done last, in words; empty at the start.
    """

    done: int
    total: int
    ctcs: int = 0
    failed: int = 0
    last: str = ""


Report = Callable[[Progress], None]


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a run gave: the study, its derived tables and the images that failed."""

    study: Study
    derived: Derived
    failed: pd.DataFrame


def run_study(
    images: str | Path,
    study: str | Path,
    *,
    protocol: str | Path | None = None,
    samples: str | Path | None = None,
    clinical: str | Path | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    force: bool = False,
    progress: Report | None = None,
) -> RunResult:
    """Score a folder of images into a study folder.

    What a former run of the same study has done is not done again.

    Parameters
    ----------
    images : str or Path
        The image folder; without a sample sheet, the first folders below it are the patients.
    study : str or Path
        The study folder.
    protocol, samples, clinical : str or Path, optional
        The protocol (TOML), the sample sheet and the clinical table (CSV).
    workers : int, optional
        Worker processes; as many as pay where it is left out; 1 stays in this process.
    scheduler : str, optional
        The address of a Dask scheduler whose workers see the same files.
    force : bool
        Do everything anew.
    progress : callable, optional
        Called with a :class:`Progress` after each image.

    Returns
    -------
    RunResult

    Raises
    ------
    Cher2Error
        Images, sheets, protocol or study folder cannot be used, or not one image could be scored; nothing
        is left written then.
    """
    paths = {name: Path(path) for name, path in (("protocol", protocol), ("samples", samples)) if path is not None}
    home = Study(Path(study))
    plan = make_plan(Path(images), home, protocol=paths.get("protocol"), samples=paths.get("samples"), force=force)
    table = read_clinical(Path(clinical), plan) if clinical is not None else None
    return carry_out(plan, home, table, workers=workers, scheduler=scheduler, force=force, progress=progress)


def read_clinical(path: Path, plan: Plan) -> pd.DataFrame:
    """Read a clinical table and check it against the plan's protocol."""
    table = read_csv(path, ClinicalTableError, "the clinical table")
    check_clinical(table, plan.protocol)
    return table


def carry_out(
    plan: Plan,
    study: Study,
    clinical: pd.DataFrame | None = None,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    force: bool = False,
    progress: Report | None = None,
) -> RunResult:
    """Do what a plan says; see :func:`run_study`."""
    started = now()
    to_measure = len(plan.files) - len(plan.measured)
    with (
        _study_folder(plan, study, force),
        open_engine(workers or default_workers(to_measure), scheduler) as engine,
    ):
        frames, failed = _score(plan, study, engine, progress or (lambda _: None))
        if not frames:
            first = failed[0]
            raise StudyError(
                f"not one of the {len(failed)} images could be scored; the first says: {first.message}",
                where=str(plan.images),
            )
    write_csv(_frame_samples(plan, frames), study.path / "samples.csv")
    errors = pd.DataFrame(
        [(item.file, item.error, item.message) for item in failed], columns=["image", "error", "message"]
    )
    write_csv(errors, study.path / "errors.csv")
    if clinical is not None:
        write_csv(clinical, study.path / "clinical.csv")
    counts = {"n_files": len(plan.files), "n_failed": len(failed), "n_frames": sum(map(len, frames.values()))}
    write_provenance(
        study.path, images=plan.images, protocol=plan.protocol, command=sys.argv, started=started, **counts
    )
    return RunResult(study, derive(study), errors)


@contextmanager
def _study_folder(plan: Plan, study: Study, force: bool) -> Iterator[None]:
    """Make the study folder; a new one goes again when the run comes to nothing."""
    new = not study.exists()
    was_there = study.path.exists()
    if force and not new:
        for image in study.samples["image"]:
            study.forget(image, measured=False)
    study.create(plan.protocol, plan.samples)
    study.sweep()
    try:
        yield
    except StudyError:
        if new and not any((study.path / "images").iterdir()):
            shutil.rmtree(study.path)
            if was_there:
                study.path.mkdir()
        raise


def _score(
    plan: Plan, study: Study, engine: Engine, progress: Report
) -> tuple[dict[str, tuple[str, ...]], list[FileOutcome]]:
    """Measure what is not measured and grade each sample as soon as its last file is measured."""
    frames = dict(plan.measured)
    failed: list[FileOutcome] = []
    waiting = {str(key): set(group["image"]) - set(frames) for key, group in plan.samples.groupby("sample_id")}
    state = Progress(done=len(frames), total=len(plan.files))
    progress(state)
    tasks = deque(
        Task(measure_file, (plan.files[name], study.path, plan.protocol))
        for name in plan.samples["image"]
        if name not in frames
    )
    sample_of = dict(zip(plan.samples["image"], plan.samples["sample_id"], strict=True))
    tasks.extend(task for sample, left in waiting.items() if not left for task in _grading(plan, study, sample, frames))
    for task, result in engine(tasks):
        if task.function is grade_frames:
            _check_graded(result)
            continue
        outcome = result if isinstance(result, FileOutcome) else _broken(task.arguments[0].name, result)
        if outcome.error:
            failed.append(outcome)
        else:
            frames[outcome.file] = outcome.frames
        sample = sample_of[outcome.file]
        waiting[sample].discard(outcome.file)
        if not waiting[sample]:
            tasks.extend(_grading(plan, study, sample, frames))
        state = replace(
            state,
            done=state.done + 1,
            ctcs=state.ctcs + outcome.ctcs,
            failed=len(failed),
            last=_words(outcome),
        )
        progress(state)
    order = {name: number for number, name in enumerate(plan.samples["image"])}
    return frames, sorted(failed, key=lambda outcome: order[outcome.file])


def _grading(plan: Plan, study: Study, sample: str, frames: dict[str, tuple[str, ...]]) -> list[Task]:
    """Return the task that grades a sample; none where it is graded as it should be, or has no frame."""
    rows = plan.samples[plan.samples["sample_id"] == sample]
    patient = str(rows["patient_id"].iloc[0])
    names = [frame for image in rows["image"] for frame in frames.get(image, ())]
    wanted = grading_fingerprint(plan.protocol, patient, sample, names)
    done = all(
        study.score_of(name, measured=True) is None and (study.score_of(name) or {}).get("grading") == wanted
        for name in names
    )
    return [] if done else [Task(grade_frames, (study.path, plan.protocol, patient, sample, names))]


def _check_graded(result: Any) -> None:
    if isinstance(result, SampleOutcome) and not result.error:
        return
    message = result.message if isinstance(result, SampleOutcome) else str(result)
    raise StudyError(f"a sample could not be graded: {message}", remedy="Run the same command again")


def _broken(file: str, error: Exception) -> FileOutcome:
    return FileOutcome(file, error=type(error).__name__, message=f"{file}: {error}")


def _words(outcome: FileOutcome) -> str:
    return outcome.message if outcome.error else f"{outcome.file}: {outcome.ctcs} CTCs"


def _frame_samples(plan: Plan, frames: dict[str, tuple[str, ...]]) -> pd.DataFrame:
    """Return the samples with one row a frame; a file that failed keeps its own row."""
    names: list[Sequence[str]] = [frames.get(image, (image,)) for image in plan.samples["image"]]
    return plan.samples.assign(image=pd.Series(names, index=plan.samples.index)).explode("image", ignore_index=True)
