"""``cher2 verify``: whether a study is what its images, its protocol and cher2 make of it, and was not changed since.

Nothing is written into the study.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from cher2.batch.engine import Task, default_workers, open_engine
from cher2.batch.findings import Check, Finding, Verification
from cher2.batch.tasks import measuring_fingerprint
from cher2.batch.verify_folder import check_provenance, check_structure, other_versions, same_machine
from cher2.batch.verify_images import FileCheck, Rules, check_file, check_sample
from cher2.batch.verify_records import check_decisions, check_derived, shadow_of
from cher2.batch.verify_trail import check_expected, check_trail, kept_hashes
from cher2.errors import Cher2Error, SegmenterError, StudyError
from cher2.images.files import ImageFile, find_image_files
from cher2.images.places import within
from cher2.protocol import Protocol
from cher2.study.folder import Study, file_of
from cher2.study.provenance import read_provenance
from cher2.study.trail import read_trail

SAMPLE = 5
"""Frames that are measured again where nobody says how many."""

STEPS_AT_THE_END = 2
"""Derived tables and decisions, each a step of the progress."""

Report = Callable[[int, int], None]


def verify_study(
    study: str | Path,
    *,
    images: str | Path | None = None,
    sample: int | None = SAMPLE,
    seed: int | None = None,
    workers: int | None = None,
    reviews: str = "",
    expect: Sequence[str] = (),
    progress: Report | None = None,
) -> Verification:
    """Compute parts of a study again, compare all its fingerprints and tables, and say what differs.

    Parameters
    ----------
    study : str or Path
        The study folder; nothing is written into it.
    images : str or Path, optional
        The folder of its images, where it is no longer where they were scored.
    sample : int, optional
        How many frames, chosen at random, are measured again; None for all, 0 for none. Frames whose stored files
        were altered are measured besides. The samples (draws) of all these frames are graded again.
    seed : int, optional
        What the random choice is made with; another one each time where it is left out.
    workers : int, optional
        Worker processes; as many as pay where it is left out; 1 stays in this process.
    reviews : str
        The database of readers' decisions, as of :func:`cher2.review.open_log.open_log`.
    expect : sequence of str
        Hashes of entries of the log or of the trail that were kept elsewhere: each must still be there.
    progress : callable, optional
        Called with the steps that are done and their number.

    Returns
    -------
    Verification

    Raises
    ------
    StudyError
        The folder is no study, its list of samples cannot be read, or what is expected is no hash.
    ProtocolError
        Its protocol cannot be read.
    """
    home, kept = Study.open(study), kept_hashes(expect)
    seed = secrets.randbelow(2**32) if seed is None else seed
    checking = _Checking(home, home.protocol, home.samples, progress or (lambda done, total: None))
    checking.add(check_structure(home))
    checking.choose(sample, seed)
    files = checking.find_files(None if images is None else Path(images), needed=sample != 0)
    with open_engine(workers or default_workers(len(checking.chosen))) as engine:
        for task, result in engine(checking.file_tasks(files)):
            checking.take_file(result, str(task.arguments[0]))
        for task, result in engine(checking.sample_tasks()):
            checking.take_sample(result, str(task.arguments[0]))
    tables, n_decisions = checking.records(reviews, kept)
    checking.add(check_provenance(home, checking.record))
    return Verification(
        findings=tuple(sorted(checking.findings, key=lambda finding: _ORDER.index(finding.check))),
        n_images=len(checking.samples),
        n_inputs=checking.n_inputs,
        seed=seed,
        recomputed=tuple(checking.recomputed),
        regraded=checking.regraded,
        tables=tables,
        n_decisions=n_decisions,
    )


_ORDER: tuple[Check, ...] = (
    *("structure", "inputs", "files", "measured", "graded", "derived", "decisions", "trail", "provenance"),
)


@dataclass(eq=False)
class _Checking:
    """What is known while a verification goes on."""

    study: Study
    protocol: Protocol
    samples: pd.DataFrame
    progress: Report
    findings: list[Finding] = field(default_factory=list)
    chosen: tuple[str, ...] = ()
    suspects: set[str] = field(default_factory=set)
    recomputed: list[str] = field(default_factory=list)
    unsigned: list[str] = field(default_factory=list)
    otherwise: list[str] = field(default_factory=list)
    n_inputs: int = 0
    regraded: int = 0
    done: int = 0
    total: int = 0

    def __post_init__(self) -> None:
        self.record = read_provenance(self.study.path)
        there = [self.study.folder_of(image).is_dir() for image in self.samples["image"]]
        self.scored = self.samples[there].drop_duplicates("image")
        self.versions, self.measuring = self._versions()
        self.rules = Rules(self.study.path, self.protocol, self.measuring, same_machine(self.record))

    def _versions(self) -> tuple[str, str]:
        """Return in words what was computed with another version, and the fingerprint of what can be computed here."""
        try:
            others = other_versions(self.protocol, self.record)
            return others, "" if others else measuring_fingerprint(self.protocol)
        except SegmenterError as error:
            return error.what, ""

    def add(self, findings: Iterable[Finding]) -> None:
        self.findings += findings

    def choose(self, sample: int | None, seed: int) -> None:
        """Choose the frames that are measured again."""
        names = self.scored["image"].tolist()
        number = len(names) if sample is None else min(sample, len(names))
        rows = np.sort(np.random.default_rng(seed).choice(len(names), number, replace=False))
        self.chosen = tuple(names[row] for row in rows)
        if self.versions and self.chosen:
            what = (
                f"nothing was measured or graded again: the study was computed with another version ({self.versions})"
            )
            self.add([Finding("measured", "unverified", what)])

    def find_files(self, images: Path | None, *, needed: bool) -> dict[str, ImageFile]:
        """Find the study's image files, and say which are gone; that is no fault where none is `needed`."""
        told = str(self.record.get("images", ""))
        files, why = dict[str, ImageFile](), "the study does not say where its images are"
        if images or told:
            try:
                folder = images or within(self.study.path, told)
                files, why = {file.name: file for file in find_image_files(folder, self.protocol)}, "it is gone"
            except Cher2Error as error:
                why = error.what
        for name in dict.fromkeys(map(self._file_name, self.scored["image"])):
            if name not in files:
                what = f"the image is not found ({why}): give --images FOLDER, or --sample 0 to do without"
                self.add([Finding("inputs", "unverified" if needed else "note", what, name)])
        return files

    def _file_name(self, image: str) -> str:
        # A name may end in "#3" without being the third frame of a stack.
        source = (self.study.score_of(image) or {}).get("source")
        single = isinstance(source, dict) and source.get("frames") == 1
        return image if single else file_of(image)

    def file_tasks(self, files: dict[str, ImageFile]) -> deque[Task]:
        """Return one task an image file."""
        of_file = self.scored.groupby(self.scored["image"].map(self._file_name), sort=False)
        tasks = deque(
            Task(check_file, (name, files.get(str(name)), rows, self._chosen_of(rows), self.rules))
            for name, rows in of_file
        )
        self.total = len(tasks) + len(self._samples_of(self.chosen)) + STEPS_AT_THE_END
        self.progress(0, self.total)
        return tasks

    def _chosen_of(self, rows: pd.DataFrame) -> tuple[str, ...]:
        return tuple(rows["image"][rows["image"].isin(self.chosen)])

    def take_file(self, result: object, name: str) -> None:
        """Take in what a worker found of a file."""
        if isinstance(result, FileCheck):
            self.add(result.findings)
            self.n_inputs += result.as_scored
            self.recomputed += result.recomputed
            self.unsigned += result.unsigned
            self.otherwise += result.otherwise
            self.suspects |= set(result.suspects)
        else:
            self.add([Finding("measured", "unverified", f"it could not be looked at: {result}", name)])
        self._step()

    def sample_tasks(self) -> deque[Task]:
        """Say what concerns all files, and return one task a sample that is to be graded again."""
        if self.unsigned and len(self.unsigned) < len(self.scored):
            # Others of the same study have theirs: these were taken off.
            what = "its stored files carry no fingerprints, as others of the study do"
            self.add(Finding("files", "differs", what, image) for image in self.unsigned)
        elif self.unsigned:
            what = f"an earlier cher2 wrote {len(self.unsigned)} images: their stored files carry no fingerprints"
            self.add([Finding("files", "note", what)])
        if self.otherwise:
            what = "measured by another protocol than protocol.toml, or with another version: not measured again"
            self.add(Finding("measured", "differs", what, image) for image in self.otherwise)
        samples = {} if self.versions else self._samples_of({*self.chosen, *self.suspects} - {*self.otherwise})
        self.total = self.done + len(samples) + STEPS_AT_THE_END
        return deque(Task(check_sample, (*names, images, self.rules)) for names, images in samples.items())

    def _samples_of(self, images: Iterable[str]) -> dict[tuple[str, str], Sequence[str]]:
        """Return the samples of some images, each with all its scored frames in order."""
        wanted = set(images)
        groups = self.scored.groupby(["patient_id", "sample_id"], sort=False)["image"]
        # pandas gives the two names as a tuple.
        return {(str(p), str(s)): frames.tolist() for (p, s), frames in groups if wanted & set(frames)}

    def take_sample(self, result: object, name: str) -> None:
        """Take in what a worker found of a sample."""
        if isinstance(result, tuple):
            self.add(result)
            self.regraded += all(finding.level != "unverified" for finding in result)
        else:
            self.add([Finding("graded", "unverified", f"it could not be graded again: {result}", name)])
        self._step()

    def records(self, reviews: str, expect: Sequence[str]) -> tuple[tuple[str, ...], int]:
        """Check derived tables, decisions and trail; return which tables were compared, and the number of decisions."""
        try:
            trail = read_trail(self.study.path)
            self.add(check_trail(self.study, trail, self.record))
            with shadow_of(self.study) as shadow:
                found, hashes = check_decisions(shadow, reviews, trail)
                self._step()
                self.add(found)
                self.add(check_expected(expect, hashes, trail))
                found, tables = check_derived(self.study, shadow, reviews)
                self._step()
                self.add(found)
        except (StudyError, OSError) as error:
            self.add([Finding("derived", "unverified", f"no temporary folder can be used ({error})")])
            return (), 0
        return tables, len(hashes)

    def _step(self) -> None:
        self.done += 1
        self.progress(self.done, self.total)
