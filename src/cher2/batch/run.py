"""A run: every frame measured, every sample graded, every table derived."""

from __future__ import annotations

import sys
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from cher2.batch.engine import Engine, Shared, Task, WorkerDiedError, default_workers, open_engine
from cher2.batch.plan import Plan, make_plan
from cher2.batch.run_folder import check_as_planned, locked_folder, settings_written
from cher2.batch.tasks import FileOutcome, SampleOutcome, grade_frames, grading_fingerprint, measure_file
from cher2.errors import Cher2FaultError, StudyError
from cher2.images.places import is_remote, place, shown
from cher2.report.derive import Derived, derive, drop_derived, kept_clinical, read_clinical
from cher2.review.open_log import stored_decisions
from cher2.study.folder import Study
from cher2.study.provenance import digests_of_given, now, write_provenance
from cher2.study.tables import csv_text, write_csv


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
    reviews: str = "",
) -> RunResult:
    """Score a folder of images into a study folder.

    What a former run of the same study has done is not done again.

    Parameters
    ----------
    images : str or Path
        The image folder, or its URL; without a sample sheet, the first folders below it are the patients.
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
    reviews : str
        The database of readers' decisions, as of :func:`cher2.review.open_log.open_log`.

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
    plan = make_plan(place(images), home, protocol=paths.get("protocol"), samples=paths.get("samples"), force=force)
    table = read_clinical(Path(clinical), plan.protocol) if clinical is not None else None
    given = {
        "protocol": paths.get("protocol"),
        "sample_sheet": paths.get("samples"),
        "clinical_table": None if clinical is None else Path(clinical),
    }
    return carry_out(
        plan, home, table, workers=workers, scheduler=scheduler, progress=progress, reviews=reviews, given=given
    )


def carry_out(
    plan: Plan,
    study: Study,
    clinical: pd.DataFrame | None = None,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Report | None = None,
    reviews: str = "",
    given: Mapping[str, Path | None] | None = None,
    name_host: bool = False,
    last: Callable[[RunResult], object] = lambda _: None,
) -> RunResult:
    """Do what a plan says; see :func:`run_study`.

    `given` are the files of sheet and tables, for the provenance; `last` is called with the result while nobody else
    may yet write to the study.
    """
    started, digests = now(), digests_of_given(given or {})
    if study.exists():
        # A database that cannot be read is told before the work of hours, not after it.
        stored_decisions(study, reviews)
    to_measure = len(plan.files) - len(plan.measured)
    shared = Shared(tuple(path.absolute() for path in _first_and_last(plan)), study.path.absolute())
    with locked_folder(study):
        check_as_planned(plan, study)
        with (
            settings_written(plan, study),
            open_engine(workers or default_workers(to_measure), scheduler, shared) as engine,
        ):
            frames, failed = _score(plan, study, engine, progress or (lambda _: None))
            if not frames:
                raise StudyError(
                    f"not one of the {len(failed)} images could be scored; the first says: {failed[0].message}",
                    where=shown(plan.images),
                )
        study.keep_only(frame for names in frames.values() for frame in names)
        errors = _write_lists(plan, study, frames, failed)
        _write_clinical(plan, study, clinical)
        counts = {"n_files": len(plan.files), "n_failed": len(failed), "n_frames": sum(map(len, frames.values()))}
        write_provenance(
            study.path,
            images=plan.images,
            protocol=plan.protocol,
            command=sys.argv,
            started=started,
            given=digests,
            name_host=name_host,
            **counts,
        )
        study.finish()
        result = RunResult(study, derive(study, reviews=reviews), errors)
        last(result)
        return result


def _write_lists(
    plan: Plan, study: Study, frames: dict[str, tuple[str, ...]], failed: Sequence[FileOutcome]
) -> pd.DataFrame:
    """Write the list of frames and that of the images that failed; return the latter."""
    write_csv(_frame_samples(plan, frames), study.path / "samples.csv")
    rows = [(item.file, item.error, item.message) for item in failed]
    errors = pd.DataFrame(rows, columns=["image", "error", "message"])
    write_csv(errors, study.path / "errors.csv")
    return errors


def _write_clinical(plan: Plan, study: Study, clinical: pd.DataFrame | None) -> None:
    path = study.path / "clinical.csv"
    if clinical is None:
        if plan.replaces:
            path.unlink(missing_ok=True)
        return
    kept = kept_clinical(clinical, plan.protocol)
    if not path.is_file() or path.read_bytes() != csv_text(kept).encode():
        drop_derived(study)
        write_csv(kept, path)


def _first_and_last(plan: Plan) -> tuple[Path, ...]:
    """Return two files of the images, for workers elsewhere to look at; none where they are in a store."""
    files = list(plan.files.values())
    return tuple(file.paths[0] for file in (files[0], files[-1]) if not is_remote(file.paths[0]))


def _score(
    plan: Plan, study: Study, engine: Engine, progress: Report
) -> tuple[dict[str, tuple[str, ...]], list[FileOutcome]]:
    """Measure what is not measured and grade each sample as soon as its last file is measured."""
    scoring = _Scoring(plan, study)
    progress(scoring.state)
    for task, result in engine(scoring.tasks):
        if task.function is grade_frames:
            _check_graded(result)
            continue
        outcome = result if isinstance(result, FileOutcome) else _broken(task.arguments[0].name, result)
        if outcome.error and scoring.again(task, outcome):
            continue
        scoring.measured(outcome)
        progress(scoring.state)
    order = {name: number for number, name in enumerate(plan.samples["image"])}
    return scoring.frames, sorted(scoring.failed, key=lambda outcome: order[outcome.file])


class _Scoring:
    """What is measured, what failed and what is left to do, while a run goes on."""

    def __init__(self, plan: Plan, study: Study) -> None:
        self._plan = plan
        self._study = study
        # Workers elsewhere stand in another folder: paths are told from the root.
        self._home = study.path.absolute()
        self.frames = dict(plan.measured)
        self.failed: list[FileOutcome] = []
        self._tried = set[str]()
        self.state = Progress(done=len(self.frames), total=len(plan.files))
        # A file that is measured again has lost the grades of its frames.
        self._graded = plan.graded
        rows = plan.samples
        # Two patients may each have a draw "1": only both names together tell the sample.
        self._sample_of = dict(zip(rows["image"], zip(rows["patient_id"], rows["sample_id"], strict=True), strict=True))
        self._files: dict[tuple[str, str], list[str]] = defaultdict(list)
        for name, sample in self._sample_of.items():
            self._files[sample].append(name)
        self._waiting = {sample: set(names) - set(self.frames) for sample, names in self._files.items()}
        left = (name for name in rows["image"] if name not in self.frames)
        self.tasks = deque(
            Task(measure_file, (plan.files[name].absolute(), self._home, plan.protocol)) for name in left
        )
        for sample, waiting in self._waiting.items():
            if not waiting:
                self._grade(sample)

    def again(self, task: Task, outcome: FileOutcome) -> bool:
        """Put a file that failed back once, at the end: by then a share may answer again; say whether that was done.

        Raises
        ------
        StudyError
            Its results cannot be written the second time either: no file's could.
        """
        second = outcome.file in self._tried
        if outcome.error == StudyError.__name__:
            if second:
                raise StudyError(outcome.message)
            self.tasks.appendleft(task)
        elif not second and outcome.error != WorkerDiedError.__name__:
            self.tasks.append(task)
        else:
            return False
        self._tried.add(outcome.file)
        return True

    def measured(self, outcome: FileOutcome) -> None:
        """Take note of a file's outcome; its sample is graded next where this was its last file."""
        if outcome.error:
            self.failed.append(outcome)
        else:
            self.frames[outcome.file] = outcome.frames
        sample = self._sample_of[outcome.file]
        self._waiting[sample].discard(outcome.file)
        if not self._waiting[sample]:
            self._grade(sample)
        self.state = replace(
            self.state,
            done=self.state.done + 1,
            ctcs=self.state.ctcs + outcome.ctcs,
            failed=len(self.failed),
            last=_words(outcome),
        )

    def _grade(self, sample: tuple[str, str]) -> None:
        """Add the task that grades a sample, unless it has no frame or is graded as it should be."""
        names = [frame for file in self._files[sample] for frame in self.frames.get(file, ())]
        wanted = grading_fingerprint(self._plan.protocol, *sample, names)
        if any(self._graded.get(name) != wanted for name in names):
            drop_derived(self._study)
            self.tasks.append(Task(grade_frames, (self._home, self._plan.protocol, *sample, names)))


def _check_graded(result: Any) -> None:
    if isinstance(result, SampleOutcome) and not result.error:
        return
    if isinstance(result, Cher2FaultError):
        raise result
    message = result.message if isinstance(result, SampleOutcome) else str(result)
    raise StudyError(f"a sample could not be graded: {message}", remedy="Run the same command again")


def _broken(file: str, error: Exception) -> FileOutcome:
    return FileOutcome(file, error=type(error).__name__, message=f"{file}: {error}")


def _words(outcome: FileOutcome) -> str:
    return outcome.message if outcome.error else f"{outcome.file}: {outcome.ctcs} CTCs before grading"


def _frame_samples(plan: Plan, frames: dict[str, tuple[str, ...]]) -> pd.DataFrame:
    """Return the samples with one row a frame; a file that failed keeps its own row."""
    names: list[Sequence[str]] = [frames.get(image, (image,)) for image in plan.samples["image"]]
    return plan.samples.assign(image=pd.Series(names, index=plan.samples.index)).explode("image", ignore_index=True)
