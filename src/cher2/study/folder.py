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
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from cher2.cells.objects import empty_objects
from cher2.errors import StudyError
from cher2.images.places import refuse_url
from cher2.protocol import Protocol
from cher2.study.fingerprints import with_fingerprints
from cher2.study.label_file import write_labels
from cher2.study.samples import COLUMNS as SAMPLE_COLUMNS
from cher2.study.tables import read_csv, write_csv, write_whole

OBJECTS, MEASURED, LABELS, SCORE = "objects.parquet", "measured.parquet", "labels.tif", "score.json"
IDENTITY = "study_id"
_ON_A_DISK = "Name a folder on a disk; upload the finished folder, such as with 'aws s3 sync' (docs/cloud.md says why)"


def image_id(name: str) -> str:
    """Return the folder's name of an image: readable, safe on every file system, and different for each image.

    Examples
    --------
    >>> image_id("P01/frame_01.ome.tif")
    'P01__frame_01.ome.tif'
    """
    plain = name.replace("/", "__")
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,110}[A-Za-z0-9_-]", plain) and "__" not in name:
        return plain
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", plain).strip("._")[:80]
    return f"{readable}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:16]}"


def file_of(image: str) -> str:
    """Return the file's name of a frame's: ``stack.tif`` of ``stack.tif#3``."""
    name, mark, number = image.rpartition("#")
    return name if mark and number.isdigit() else image


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
            (self.path / "images").mkdir(parents=True, exist_ok=True)
            (self.path / ".measured").mkdir(exist_ok=True)
        except OSError as error:
            raise StudyError(
                f"the study folder cannot be made ({error.strerror})",
                where=str(self.path),
                remedy="Name a folder that you may write to with -o",
            ) from error
        write_csv(samples, self.path / "samples.csv")
        write_whole(self.path / "protocol.toml", protocol.to_toml().encode())
        if not (self.path / IDENTITY).is_file():
            self._make_identity()

    @property
    def identity(self) -> str:
        """What names this study among all others, wherever its folder is copied: made once, then read."""
        path = self.path / IDENTITY
        try:
            return path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return self._make_identity()
        except (OSError, UnicodeDecodeError) as error:
            raise StudyError(
                f"the study's identity cannot be read ({type(error).__name__})",
                where=str(path),
                remedy="Restore the file study_id: the decisions on this study are kept under it",
            ) from error

    def _make_identity(self) -> str:
        """Make the identity, unless another program has just done so: the first one holds for both."""
        made, path = uuid.uuid4().hex, self.path / IDENTITY
        own = path.with_name(f".{IDENTITY}-{made}")
        write_whole(own, f"{made}\n".encode())
        try:
            path.hardlink_to(own)
        except FileExistsError:
            return path.read_text(encoding="ascii").strip()
        except OSError:  # A disk without links: only there can two programs still meet.
            write_whole(path, f"{made}\n".encode())
        finally:
            own.unlink()
        return made

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
        """Return what ``score.json`` says of an image, or None where it is not there or not readable."""
        try:
            text = (self.folder_of(image, measured=measured) / SCORE).read_text(encoding="utf-8")
            score = json.loads(text)
        except (OSError, ValueError):
            return None
        return score if isinstance(score, dict) else None

    def has_measured(self, image: str) -> bool:
        """Say whether what an image gave by itself is there, in the waiting room or among the finished ones."""
        return any((self.folder_of(image, measured=new) / MEASURED).is_file() for new in (True, False))

    def objects_of(self, image: str, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Read the graded objects of one image."""
        return _read_objects(self.folder_of(image) / OBJECTS, columns)

    def measured_of(self, image: str) -> pd.DataFrame:
        """Read the objects of one image as the frame by itself gave them, the newest that there are."""
        return _read_objects(self._measured_folder(image) / MEASURED, None)

    def _measured_folder(self, image: str) -> Path:
        """Return the folder of an image's newest measurement."""
        waiting = self.score_of(image, measured=True) is not None
        return self.folder_of(image, measured=waiting)

    def read_objects(self, images: Iterable[str], kinds: Sequence[str] | None = None) -> pd.DataFrame:
        """Read the objects of several images as one table, of all kinds or of some."""
        tables = []
        for image in images:
            objects = self.objects_of(image)
            tables.append(objects if kinds is None else objects[objects["kind"].isin(kinds)])
        filled = [table for table in tables if len(table)]
        return pd.concat(filled, ignore_index=True) if filled else empty_objects()

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
            objects.to_parquet(folder / MEASURED, index=False)

        self._write_folder(image, fill, score, measured=True)

    def write_graded(self, image: str, objects: pd.DataFrame, score: dict[str, Any]) -> None:
        """Write the graded objects of one measured image among the finished ones: whole, or as it was before.

        Labels and measured objects are carried over without a copy; the image no longer waits.

        Parameters
        ----------
        image : str
            The image's name.
        objects : DataFrame
            The table of objects.
        score : dict
            What ``score.json`` says.
        """
        source = self._measured_folder(image)

        def fill(folder: Path) -> None:
            for name in (LABELS, MEASURED):
                _link(source / name, folder / name)
            objects.to_parquet(folder / OBJECTS, index=False)

        self._write_folder(image, fill, score, measured=False)
        self.forget(image, measured=True)

    def _write_folder(self, image: str, fill: Callable[[Path], None], score: dict[str, Any], *, measured: bool) -> None:
        final = self.folder_of(image, measured=measured)
        partial = self.path / ".measured" / f".partial-{final.name[:90]}-{os.getpid()}"
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            fill(partial)
            score = with_fingerprints(score, partial)
            (partial / SCORE).write_text(json.dumps(score, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            # What has a second name already was made safe under its first one.
            new = [path for path in sorted(partial.iterdir()) if path.stat().st_nlink == 1]
            for path in (*new, partial):
                _sync(path)
            if final.exists():
                # A folder cannot replace one that is not empty: for a moment the image is absent, never half.
                old = partial.with_name(f"{partial.name}-old")
                final.rename(old)
                partial.rename(final)
                shutil.rmtree(old)
            else:
                partial.rename(final)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise StudyError(
                f"the results of {image} cannot be written ({error.strerror})",
                where=str(self.path),
                remedy="Make room on the disk and run the same command again: it goes on where it stopped",
            ) from error

    def forget(self, image: str, *, measured: bool) -> None:
        """Remove the results of one image."""
        shutil.rmtree(self.folder_of(image, measured=measured), ignore_errors=True)

    def keep_only(self, images: Iterable[str]) -> None:
        """Remove the results of all images but these, and whatever still waits to be graded.

        What a changed or now unreadable file once gave must not be counted.
        """
        kept = {image_id(image) for image in images}
        for score in (self.path / "images").glob(f"*/{SCORE}"):
            if score.parent.name not in kept:
                shutil.rmtree(score.parent)
        shutil.rmtree(self.path / ".measured", ignore_errors=True)

    def sweep(self) -> None:
        """Remove what a run that was broken off left half-written."""
        for partial in (self.path / ".measured").glob(".partial-*"):
            shutil.rmtree(partial, ignore_errors=True)


def _read_objects(path: Path, columns: Sequence[str] | None) -> pd.DataFrame:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path, columns=columns, partitioning=None)
        # Its metadata tell pandas' types; damaged, they raise whatever they make it stumble over.
        frame: pd.DataFrame = table.to_pandas()
    except (OSError, ValueError, TypeError, LookupError, AttributeError, pyarrow.ArrowException) as error:
        raise StudyError(
            f"the table of objects cannot be read ({type(error).__name__})",
            where=str(path),
            remedy=f"Delete {path.parent.name} and run 'cher2 run' again",
        ) from error
    return frame


def _link(source: Path, path: Path) -> None:
    """Give a file a second name; a copy, where the disk has no links."""
    try:
        path.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
