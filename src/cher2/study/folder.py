"""The study folder: one folder an image, whole or absent.

::

    STUDY/protocol.toml  samples.csv  clinical.csv  provenance.json  study_id
    STUDY/images/<image_id>/objects.parquet  measured.parquet  labels.tif  score.json
    STUDY/cells.csv  patients.csv  errors.csv  comparison.csv  report.html     derived

``measured.parquet`` is what a frame gave by itself; ``objects.parquet`` what it is after grading, which knows the
whole sample and may correct intensities. Grading always starts from the first, so that nothing is corrected twice.

A frame that is measured but whose sample is not yet graded waits in ``STUDY/.measured``, in the same form but for
``objects.parquet``; so a run that is broken off loses nothing, and ``images`` holds only what is finished.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from numpy.typing import NDArray

from cher2.cells.objects import empty_objects
from cher2.errors import StudyError
from cher2.images.places import refuse_url
from cher2.protocol import Protocol
from cher2.study.fingerprints import with_fingerprints
from cher2.study.identity import identity_of
from cher2.study.label_file import write_labels
from cher2.study.lock import StudyLock
from cher2.study.object_file import (
    arrow_table,
    as_one,
    read_as_frame,
    read_objects,
    rows_of_each,
    side_by_side,
    write_objects,
)
from cher2.study.samples import COLUMNS as SAMPLE_COLUMNS
from cher2.study.score_file import makes_sense
from cher2.study.tables import read_csv, sweep_partials, write_csv, write_whole
from cher2.study.whole_folder import link, write_folder

if TYPE_CHECKING:
    import pyarrow

OBJECTS, MEASURED, LABELS, SCORE = "objects.parquet", "measured.parquet", "labels.tif", "score.json"
_ON_A_DISK = "Name a folder on a disk; upload the finished folder, such as with 'aws s3 sync' (docs/cloud.md says why)"


def image_id(name: str) -> str:
    """Return the folder's name of an image: readable, safe on every file system, and different for each image.

    Examples
    --------
    >>> image_id("P01/frame_01.ome.tif")
    'P01__frame_01.ome.tif'
    """
    plain = name.replace("/", "__")
    device = re.match(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", plain, re.IGNORECASE)  # Windows has them in every folder.
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,110}[A-Za-z0-9_-]", plain) and "__" not in name and not device:
        return plain
    readable = ("_" if device else "") + re.sub(r"[^A-Za-z0-9._-]+", "_", plain).strip("._")[:80]
    return f"{readable}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:16]}"


def file_of(image: str) -> str:
    """Return the file's name of a frame's: ``stack.tif`` of ``stack.tif#3``."""
    name, mark, number = image.rpartition("#")
    return name if mark and number.isdigit() else image


@dataclass(frozen=True)
class Measured:
    """What an image gave by itself, as it lies on the disk.

    Parameters
    ----------
    name : str
        The image's name.
    folder : Path
        Where ``measured.parquet`` and ``labels.tif`` are.
    score : dict
        What ``score.json`` says there.
    waiting : bool
        It is not graded yet; else the folder is the finished image's.
    """

    name: str
    folder: Path
    score: dict[str, Any]
    waiting: bool


class Study:
    """A study folder on a disk.

    Parameters
    ----------
    path : str or Path
        The folder.
    """

    def __init__(self, path: str | Path) -> None:
        refuse_url(path, "a study", StudyError, _ON_A_DISK)
        self.path = Path(path)
        self.lock = StudyLock(self.path)

    @classmethod
    def open(cls, path: str | Path) -> Study:
        """Open a study that is there.

        Raises
        ------
        StudyError
            The folder is not there or holds no study.
        """
        study = cls(path)
        if not study.exists():
            raise StudyError(
                "this is no study folder",
                where=str(path),
                remedy="Name a folder that 'cher2 run' has written",
            )
        return study

    @property
    def settings_files(self) -> tuple[Path, Path]:
        """The files that make a folder a study: its protocol and its list of samples."""
        return self.path / "protocol.toml", self.path / "samples.csv"

    def exists(self) -> bool:
        """Say whether the folder holds a study."""
        return all(path.is_file() for path in self.settings_files)

    def has_results(self) -> bool:
        """Say whether any image is finished or waits to be graded."""
        return any(True for room in ("images", ".measured") for _ in (self.path / room).glob(f"*/{SCORE}"))

    def create(self, protocol: Protocol, samples: pd.DataFrame) -> None:
        """Make the folder where it is not there, and write the study's protocol and samples."""
        try:
            (self.path / ".measured").mkdir(parents=True, exist_ok=True)
            (self.path / "images").mkdir(exist_ok=True)
        except OSError as error:
            raise StudyError(
                f"the study folder cannot be made ({error.strerror})",
                where=str(self.path),
                remedy="Name a folder that you may write to with -o",
            ) from error
        write_csv(samples, self.path / "samples.csv")
        write_whole(self.path / "protocol.toml", protocol.to_toml().encode())
        identity_of(self.path)

    @property
    def identity(self) -> str:
        """What names this study among all others, wherever its folder is copied: made once, then read."""
        return identity_of(self.path)

    @property
    def protocol(self) -> Protocol:
        """The protocol that the study was scored with."""
        return Protocol.load(self.path / "protocol.toml")

    @property
    def samples(self) -> pd.DataFrame:
        """The images with their patients and draws, all text."""
        table = read_csv(self.path / "samples.csv", StudyError, "the study's list of samples")
        missing = [column for column in SAMPLE_COLUMNS if column not in table]
        if missing:
            raise StudyError(
                f"the study's list of samples has no column {missing[0]}",
                where=str(self.path / "samples.csv"),
                remedy="Run 'cher2 run' again",
            )
        return table

    @property
    def failed(self) -> pd.DataFrame:
        """The images that could not be scored, as in ``errors.csv``; empty where there is none."""
        path = self.path / "errors.csv"
        if not path.is_file():
            return pd.DataFrame(columns=["image", "error", "message"], dtype=str)
        return read_csv(path, StudyError, "the list of images that failed")

    def folder_of(self, image: str, *, measured: bool = False) -> Path:
        """Return the folder of an image's results, or of its measured half that waits to be graded."""
        return self.path / (".measured" if measured else "images") / image_id(image)

    def score_of(self, image: str, *, measured: bool = False) -> dict[str, Any] | None:
        """Return what ``score.json`` says of an image, or None where it is not there or makes no sense."""
        try:
            text = (self.folder_of(image, measured=measured) / SCORE).read_text(encoding="utf-8")
            score = json.loads(text)
        except (OSError, ValueError, RecursionError):
            return None
        return score if makes_sense(score) else None

    def newest(self, image: str) -> Measured | None:
        """Return the newest measurement of an image, waiting to be graded or finished; None where there is none."""
        for waiting in (True, False):
            score = self.score_of(image, measured=waiting)
            folder = self.folder_of(image, measured=waiting)
            if score is not None and (folder / MEASURED).is_file():
                return Measured(image, folder, score, waiting)
        return None

    def objects_of(self, image: str, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Read the graded objects of one image."""
        return read_as_frame(self.folder_of(image) / OBJECTS, columns)

    def measured_of(self, image: str) -> pd.DataFrame:
        """Read the objects of one image as the frame by itself gave them, the newest that there are.

        Raises
        ------
        StudyError
            There are none, or they cannot be read.
        """
        newest = self.newest(image)
        return read_as_frame((newest.folder if newest else self.folder_of(image)) / MEASURED)

    def read_measured(self, images: Sequence[Measured]) -> tuple[pd.DataFrame, list[int]]:
        """Read what the frames of a sample gave by themselves as one table, and how many rows are each frame's."""
        tables = side_by_side(lambda image: read_objects(image.folder / MEASURED), images)
        return as_one(tables), [len(table) for table in tables]

    def read_objects(self, images: Iterable[str], kinds: Sequence[str] | None = None) -> pd.DataFrame:
        """Read the objects of several images as one table, of all kinds or of some."""
        paths = [self.folder_of(image) / OBJECTS for image in images]
        tables = side_by_side(lambda path: read_objects(path, kinds=kinds), paths)
        filled = [table for table in tables if len(table)]
        return as_one(filled) if filled else empty_objects()

    def write_measured(self, image: str, labels: NDArray[Any], objects: pd.DataFrame, score: dict[str, Any]) -> None:
        """Write what one image gave by itself into the waiting room: whole, or as it was before.

        Parameters
        ----------
        image : str
            The image's name.
        labels : ndarray of int, shape (Y, X)
            The label image.
        objects : DataFrame
            The table of measured objects.
        score : dict
            What ``score.json`` says.
        """

        def fill(folder: Path) -> None:
            write_labels(labels, folder / LABELS)
            write_objects(arrow_table(objects), folder / MEASURED)

        self._write(image, fill, score, measured=True)

    def write_graded(
        self,
        images: Sequence[Measured],
        objects: pd.DataFrame,
        n_rows: Sequence[int],
        scores: Sequence[dict[str, Any]],
    ) -> None:
        """Write the graded objects of a sample's images among the finished ones: each whole, or as it was before.

        Labels and measured objects are carried over without a copy; the images no longer wait.

        Parameters
        ----------
        images : sequence of Measured
            What was graded.
        objects : DataFrame
            The objects of all of them, in their order.
        n_rows : sequence of int
            How many of its rows are each image's.
        scores : sequence of dict
            What ``score.json`` says of each.
        """
        tables = rows_of_each(arrow_table(objects), n_rows)
        side_by_side(lambda work: self._write_one_graded(*work), zip(images, tables, scores, strict=True))

    def _write_one_graded(self, image: Measured, objects: pyarrow.Table, score: dict[str, Any]) -> None:
        def fill(folder: Path) -> None:
            for name in (LABELS, MEASURED):
                link(image.folder / name, folder / name)
            write_objects(objects, folder / OBJECTS)

        self._write(image.name, fill, score, measured=False)
        if image.waiting:
            self.forget(image.name, measured=True)

    def _write(self, image: str, fill: Callable[[Path], None], score: dict[str, Any], *, measured: bool) -> None:
        def fill_all(folder: Path) -> None:
            fill(folder)
            told = with_fingerprints(score, folder)
            (folder / SCORE).write_text(json.dumps(told, indent=1, sort_keys=True) + "\n", encoding="utf-8")

        try:
            write_folder(self.folder_of(image, measured=measured), self.path / ".measured", fill_all)
        except OSError as error:
            raise StudyError(
                f"the results of {image} cannot be written ({error.strerror})",
                where=str(self.path),
                remedy="Make room on the disk and run the same command again: it goes on where it stopped",
            ) from error

    def forget(self, image: str, *, measured: bool) -> None:
        """Remove the results of one image."""
        shutil.rmtree(self.folder_of(image, measured=measured), ignore_errors=True)

    def keep_only(self, images: Iterable[str]) -> None:
        """Remove the results of all images but these: what a changed or unreadable file once gave must not count."""
        kept = {image_id(image) for image in images}
        with os.scandir(self.path / "images") as entries:
            others = [entry.path for entry in entries if entry.name not in kept]
        for folder in others:
            if (Path(folder) / SCORE).is_file():
                shutil.rmtree(folder)

    @property
    def under_way(self) -> bool:
        """Whether a run has begun and not come to its end: it goes on, or was broken off.

        While the waiting room is there, some samples may be graded by the protocol in force, others by an older one.
        """
        return (self.path / ".measured").is_dir()

    def finish(self) -> None:
        """Say that a run has come to its end: nothing waits any more."""
        shutil.rmtree(self.path / ".measured", ignore_errors=True)

    def withdraw(self) -> None:
        """Say that a run has touched no finished image; what it measured, if anything, waits for the next run."""
        with suppress(OSError):
            (self.path / ".measured").rmdir()

    def sweep(self) -> None:
        """Remove what a run that was broken off left half-written; whoever calls it holds the study's lock."""
        for partial in (self.path / ".measured").glob(".partial-*"):
            shutil.rmtree(partial, ignore_errors=True)
        sweep_partials(self.path)
