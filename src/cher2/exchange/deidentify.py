"""A folder of images as a folder of clean copies, with new names and, where asked, the key to them.

Copies hold the pixels to the last bit and what cher2 reads beside them; nothing else of their sources, whose files are
only read. Text within the picture itself is pixels: it stays, and nobody but a person who looks can see it.
"""

from __future__ import annotations

import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cher2.errors import Cher2Error, ImageError, StudyError
from cher2.exchange.clean_copies import XML, Copied, copy_export, copy_image
from cher2.exchange.clean_tables import clean_clinical, clean_samples
from cher2.exchange.new_names import NewNames, new_names, write_key
from cher2.images.file_patterns import refuse_split_frames
from cher2.images.files import ImageFile, find_image_files
from cher2.images.places import refuse_url
from cher2.protocol import Protocol
from cher2.study.samples import assign_samples
from cher2.study.tables import write_csv

SAMPLES, CLINICAL, ERRORS = "samples.csv", "clinical.csv", "errors.csv"
"""Tables beside the copies."""

BURNT_IN = (
    "Text that is part of a picture, such as a name burnt into it, is pixels and stays: look at the pictures before "
    "you hand them on"
)

Progress = Callable[[int, int], None]
"""Called with the images that are done and their number."""


@dataclass(frozen=True, eq=False)
class Deidentified:
    """What was copied.

    Parameters
    ----------
    images, files : int
        Images that were copied, and the files that this made.
    patients : int
        Patients among all images.
    channels : tuple of str
        All names of channels, which the copies keep: whether one names a person, only a person sees.
    failed : DataFrame
        Images that could not be copied: ``image`` (the old name), ``error``, ``message``. The file ``errors.csv``
        beside the copies names them by their new names.
    """

    images: int
    files: int
    patients: int
    channels: tuple[str, ...]
    failed: pd.DataFrame


def deidentify(
    images: str | Path,
    out: Path,
    *,
    protocol: Protocol | None = None,
    samples: Path | None = None,
    clinical: pd.DataFrame | None = None,
    names: Path | None = None,
    random: bool = False,
    key: Path | None = None,
    progress: Progress | None = None,
) -> Deidentified:
    """Write clean copies of all images of a folder.

    Parameters
    ----------
    images : str or Path
        The folder of images, on a disk.
    out : Path
        The folder of copies; new, empty, or that of the same command before. It gets ``samples.csv``, ``clinical.csv``
        and ``errors.csv`` with new names.
    protocol : Protocol, optional
        Its channels and its pattern of files are used.
    samples : Path, optional
        The sample sheet, as of ``cher2 run``.
    clinical : DataFrame, optional
        The clinical table, as of :func:`cher2.report.derive.read_clinical`.
    names : Path, optional
        A sheet of names, as of :func:`cher2.exchange.new_names.new_names`; numbers without it.
    random : bool
        Number the patients in an order that nobody can guess.
    key : Path, optional
        Where the old and new names are written, outside `out`. If it is there, its names are taken.
    progress : callable, optional
        Called after each image.

    Returns
    -------
    Deidentified

    Raises
    ------
    Cher2Error
        Images, sheets or folders cannot be used; the disk is full. What was copied by then stays.
    """
    refuse_url(images, "the images to be copied", ImageError, "Copy them to a disk first")
    folder = Path(images)
    rules = protocol or Protocol.from_dict({})
    files = find_image_files(folder, rules)
    refuse_split_frames(files, rules)
    _check_places(folder, out, key)
    table = assign_samples(files, folder, samples)
    new = _names(files, table, clinical, names, key, random=random)
    _check_out(out, new, random=random and not (key and key.exists()))
    if key is not None and not key.exists():
        write_key(new, key)
    copies, errors = _copy_all(files, new, out, rules, progress or (lambda done, total: None))
    if copies:
        written = {name: list(copy.files) for name, copy in copies.items()}
        write_csv(clean_samples(table, new, written), out / SAMPLES)
        if clinical is not None:
            write_csv(clean_clinical(clinical, new, rules.cohort), out / CLINICAL)
        told = [(new.images[file.name], type(error).__name__, _nameless(error, file)) for file, error in errors]
        write_csv(pd.DataFrame(told, columns=["image", "error", "message"]), out / ERRORS)
    failed = [(file.name, type(error).__name__, str(error.within(file.name))) for file, error in errors]
    return Deidentified(
        images=len(copies),
        files=sum(len(copy.files) for copy in copies.values()),
        patients=int(table["patient_id"].nunique()),
        channels=tuple(dict.fromkeys(name for copy in copies.values() for name in copy.channels if name)),
        failed=pd.DataFrame(failed, columns=["image", "error", "message"]),
    )


def _check_places(images: Path, out: Path, key: Path | None) -> None:
    source, target = images.resolve(), out.resolve()
    if source.is_relative_to(target) or target.is_relative_to(source):
        raise StudyError(
            "the copies and the images must not lie one in the other",
            where=str(out),
            remedy="Name a folder beside the images with -o",
        )
    if key is not None and any(key.resolve().is_relative_to(folder) for folder in (source, target)):
        raise StudyError(
            "the key must lie neither among the copies nor among the images",
            where=str(key),
            remedy="Name a file elsewhere with --key, best where only you can read it",
        )


def _names(
    files: Sequence[ImageFile],
    table: pd.DataFrame,
    clinical: pd.DataFrame | None,
    sheet: Path | None,
    key: Path | None,
    *,
    random: bool,
) -> NewNames:
    if key is not None and key.exists():
        if sheet is not None:
            raise StudyError("the key is there already", where=str(key), remedy="Leave --names out, or name a new key")
        sheet, random = key, False
    if random and sheet is not None:
        raise StudyError("--names and --random contradict each other", remedy="Give one of them")
    of_patient = {str(name): rows.tolist() for name, rows in table.groupby("patient_id", sort=False)["image"]}
    others: Sequence[str] = [] if clinical is None else clinical["patient_id"].str.strip().tolist()
    exports = {file.name: str(file.paths[1]) for file in files if file.celltracks is not None}
    found = new_names(of_patient, others, sheet, random=random, exports=exports)
    if len(found.images) < len(files):
        raise StudyError("an image is of no patient", remedy="Give each a row in the sample sheet")
    return found


def _check_out(out: Path, names: NewNames, *, random: bool) -> None:
    """Refuse a folder with other files: they would be handed on with the copies."""
    if out.exists() and not out.is_dir():
        raise StudyError("this is a file", where=str(out), remedy="Name a folder with -o")
    new = set(names.images.values())
    own = {SAMPLES, CLINICAL, ERRORS} | {f"{name.rpartition('/')[0]}/{XML}" for name in new}
    entries = False
    for path in out.rglob("*"):
        entry = path.relative_to(out).as_posix()
        if path.is_dir() or ".partial-" in entry:
            continue
        entries = True
        if entry not in own and not _is_copy(entry, new):
            raise StudyError(
                f"the folder of copies holds another file, {entry}",
                where=str(out),
                remedy="Name a new or an empty folder with -o",
            )
    if random and entries:
        raise StudyError(
            "copies in a random order cannot be gone on with without their key",
            where=str(out),
            remedy="Name a new folder with -o, or give --key FILE from the beginning",
        )
    _sweep(out)


def _sweep(out: Path) -> None:
    """Remove what a killed command left half written."""
    for path in list(out.rglob(".*partial-*")):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _is_copy(entry: str, new: set[str]) -> bool:
    """Say whether a file is called as the copy of an image, or of one of its frames."""
    name = entry.removesuffix(".tif").removesuffix(".ome")
    return entry.endswith(".tif") and (name in new or re.sub(r"_[0-9]+$", "", name) in new)


def _copy_all(
    files: Sequence[ImageFile], names: NewNames, out: Path, protocol: Protocol, progress: Progress
) -> tuple[dict[str, Copied], list[tuple[ImageFile, Cher2Error]]]:
    copies: dict[str, Copied] = {}
    errors: list[tuple[ImageFile, Cher2Error]] = []
    done = 0
    for unit in _units(files):
        try:
            if unit[0].celltracks is None:
                copies[unit[0].name] = copy_image(unit[0], names.images[unit[0].name], out, protocol)
            else:
                copies |= copy_export(unit, names.images, out)
        except ImageError as error:
            errors += [(file, error) for file in unit]
        done += len(unit)
        progress(done, len(files))
    return copies, errors


def _units(files: Sequence[ImageFile]) -> Iterator[list[ImageFile]]:
    """Return images that are copied together: the frames of one CellTracks export, any other by itself."""
    exports = defaultdict[tuple[Path, ...], list[ImageFile]](list)
    for file in files:
        if file.celltracks is None:
            yield [file]
        else:
            exports[(file.paths[0].parent, *file.paths[1:])].append(file)
    for frames in exports.values():
        yield sorted(frames, key=lambda file: file.celltracks or (0, 0))


def _nameless(error: Cher2Error, file: ImageFile) -> str:
    """Return what went wrong without a word of where: the old names of files and folders may name a patient."""
    text = f"{error.what}. {error.remedy}." if error.remedy else f"{error.what}."
    old: Mapping[str, None] = dict.fromkeys(part for path in file.paths for part in (str(path), path.name, file.name))
    for name in sorted(old, key=len, reverse=True):
        text = text.replace(name, "...")
    return " ".join(text.split())
