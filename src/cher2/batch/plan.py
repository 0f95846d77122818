"""What a run has to do: which images are there, whose they are, and which of them are finished."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from cher2.batch.tasks import measuring_fingerprint
from cher2.cells.compensation import unmixing
from cher2.errors import ImageError, StudyError
from cher2.images.file_patterns import refuse_split_frames
from cher2.images.files import ImageFile, find_image_files
from cher2.images.places import is_remote
from cher2.images.reader import frame_name
from cher2.protocol import Protocol
from cher2.study.folder import LABELS, SCORE, Study, file_of, image_id
from cher2.study.lock import LOCK
from cher2.study.origins import Origins
from cher2.study.provenance import file_digest, file_stamp, state_of
from cher2.study.samples import assign_samples

DEFAULT_PROTOCOL = "the default protocol"
"""Where a protocol comes from that nobody gave."""

SAME_STUDY_LOOKS = 8
"""Finished images that are compared with their files to tell a study from another with the same names."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What a run has to do.

    Parameters
    ----------
    images : Path
        The image folder.
    protocol : Protocol
        The protocol in force.
    protocol_from : str
        Where it comes from, in words.
    samples : DataFrame
        One row a file: its patient and draw.
    files : dict of ImageFile
        The images by name.
    measured : dict of tuple of str
        The frames of the files that need not be measured again, by the file's name.
    replaces : bool
        The study folder holds another study, which goes.
    graded : dict of str
        What the grades of each finished frame depend on, as of
        :func:`~cher2.batch.tasks.grading_fingerprint`; a frame whose newest measurement waits is not among them.
    seen : tuple
        The study as it was looked at; see :func:`~cher2.study.provenance.state_of`.
    """

    images: Path
    protocol: Protocol
    protocol_from: str
    samples: pd.DataFrame
    files: dict[str, ImageFile]
    measured: dict[str, tuple[str, ...]]
    replaces: bool = False
    graded: dict[str, str] = field(default_factory=dict)
    seen: tuple[object, ...] = ()

    @property
    def patients(self) -> int:
        """Number of patients."""
        return int(self.samples["patient_id"].nunique())


def make_plan(images: Path, study: Study, *, protocol: Path | None, samples: Path | None, force: bool) -> Plan:
    """Look at images, sample sheet and study, and say what is to be done; nothing is written.

    Parameters
    ----------
    images : Path
        The image folder.
    study : Study
        The study folder, which need not be there.
    protocol, samples : Path, optional
        The protocol's file and the sample sheet.
    force : bool
        Measure everything anew, and let the study take other images than it held.

    Raises
    ------
    Cher2Error
        Whatever of these makes a run impossible.
    """
    seen = state_of(study)
    chosen, source = _protocol(protocol, study)
    replaces = force and _holds_others(study, find_image_files(images, chosen))
    if replaces and protocol is None:
        # What is replaced leaves nothing behind: neither its protocol nor, later, its clinical table.
        chosen, source = Protocol(), DEFAULT_PROTOCOL
    unmixing(chosen.compensation)  # A compensation that cannot be carried out must not fail image by image.
    # From the root, as workers need them: to make each path so by itself takes seconds for 100,000.
    listed = images if is_remote(images) else images.absolute()
    files = {file.name: file for file in find_image_files(listed, chosen)}
    _check_place(study, images)
    _check_twins(study.path, files)
    _check_no_results(files.values())
    refuse_split_frames(files.values(), chosen)
    table = assign_samples(list(files.values()), images, samples)
    done = {} if force else _measured_files(study, files, chosen)
    measured = {name: tuple(frame.name for frame in frames) for name, frames in done.items()}
    if not force:
        _check_same_study(study, files, measured)
    graded = {frame.name: frame.grading for frames in done.values() for frame in frames if frame.grading is not None}
    return Plan(images, chosen, source, table, files, measured, replaces, graded, seen)


def _protocol(path: Path | None, study: Study) -> tuple[Protocol, str]:
    if path is not None:
        return Protocol.load(path), f"the protocol {path.name}"
    if study.exists():
        return study.protocol, "the protocol that the study was made with"
    return Protocol(), DEFAULT_PROTOCOL


def _check_place(study: Study, images: Path) -> None:
    if study.path.exists() and not study.path.is_dir():
        raise StudyError("this is a file", where=str(study.path), remedy="Name a folder with -o")
    inside = not is_remote(images) and images.resolve().is_relative_to(study.path.resolve())
    if inside or (not is_remote(images) and study.path.resolve().is_relative_to(images.resolve())):
        raise StudyError(
            "the study and the images must not lie one in the other",
            where=str(study.path),
            remedy="Name a study folder beside the images with -o",
        )
    # A run that was broken off at its very beginning has made its waiting room and nothing else yet.
    begun = study.exists() or study.under_way
    if not begun and study.path.is_dir() and any(path.name != LOCK for path in study.path.iterdir()):
        raise StudyError(
            "the folder holds other files and no study",
            where=str(study.path),
            remedy="Name a new or an empty folder with -o",
        )


def _check_twins(folder: Path, names: Iterable[str]) -> None:
    """Refuse names that differ in case alone where the study's disk takes them for one: one's results would be lost."""
    names = list(names)
    times = Counter(image_id(name).casefold() for name in names)
    twins = [name for name in names if times[image_id(name).casefold()] > 1]
    if twins and _folds_case(folder):
        raise StudyError(
            f"{len(twins)} images differ from others in case alone, which this disk does not keep apart: {twins[0]!r}",
            where=str(folder),
            remedy="Rename them, or name a study folder on another disk with -o",
        )


def _folds_case(folder: Path) -> bool:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    other = there.parent / there.name.swapcase()
    return there.name != other.name and other.exists() and other.samefile(there)


def _check_no_results(files: Iterable[ImageFile]) -> None:
    """Refuse a study among the images: its labels would be scored as images."""
    for path in (path for file in files for path in file.paths if not is_remote(path)):
        if path.name == LABELS and path.with_name(SCORE).is_file():
            raise StudyError(
                "the image folder holds a study that cher2 has written, which is no image",
                where=str(path.parent),
                remedy="Name the folder of the images themselves, or move the study out of it",
            )


class _Frame(NamedTuple):
    """A measured frame, and what its grades depend on; None where it waits to be graded."""

    name: str
    grading: str | None


def _measured_files(study: Study, files: dict[str, ImageFile], protocol: Protocol) -> dict[str, list[_Frame]]:
    # Asked first: a segmenter that is not installed is told once, before anything is written.
    wanted = measuring_fingerprint(protocol)
    if not study.exists():
        return {}
    origins = Origins(study)
    found = ((name, _frames_on_disk(origins, file, wanted)) for name, file in files.items())
    return {name: frames for name, frames in found if frames}


def _frames_on_disk(origins: Origins, file: ImageFile, wanted: str) -> list[_Frame]:
    """Return the frames of a file if all are measured as wanted, from the same bytes; else nothing."""
    alone = origins.of(file.name)
    first = alone or origins.of(f"{file.name}#1")
    if first is None:
        return []
    source = first.said.get("source", {})
    count = source.get("frames", 1)
    frames: list[_Frame] = []
    for name in (frame_name(file.name, number, count) for number in range(count)):
        newest = alone if name == file.name else origins.of(name)
        if newest is None or newest.said.get("measuring") != wanted or newest.said.get("source") != source:
            return []
        frames.append(_Frame(name, None if newest.waiting else newest.said.get("grading")))
    return frames if _same_bytes(file, source) else []


def _same_bytes(file: ImageFile, source: dict[str, Any]) -> bool:
    """Say whether a file is as it was; one that can no longer be read is not, and is named when it is measured."""
    try:
        return bool(source.get("stamp") == file_stamp(file) or source.get("digest") == file_digest(file))
    except ImageError:
        return False


def _any_score(study: Study, image: str) -> dict[str, Any] | None:
    return study.score_of(image, measured=True) or study.score_of(image)


def _holds_others(study: Study, files: Sequence[ImageFile]) -> bool:
    """Say whether a study holds other images: of other names, or of the same names with other bytes."""
    if not study.exists():
        return False
    try:
        _check_same_study(study, {file.name: file for file in files}, {})
    except StudyError:
        return True
    return False


def _check_same_study(study: Study, files: dict[str, ImageFile], measured: dict[str, tuple[str, ...]]) -> None:
    if not study.exists():
        return
    held = list(dict.fromkeys(file_of(image) for image in study.samples["image"]))
    gone = [name for name in held if name not in files]
    if gone:
        raise StudyError(
            f"the folder holds another study: {len(gone)} of its {len(held)} images are not in the image folder "
            f"({gone[0]!r})",
            where=str(study.path),
            remedy="Name another folder with -o, or replace that study with --force",
        )
    _check_same_pixels(study, [files[name] for name in held if name not in measured][:SAME_STUDY_LOOKS], measured)


def _check_same_pixels(study: Study, files: Sequence[ImageFile], measured: dict[str, tuple[str, ...]]) -> None:
    """Refuse images of the same names but other bytes, where not one image is as it was."""
    scores = [(file, _any_score(study, file.name) or _any_score(study, f"{file.name}#1")) for file in files]
    known = [(file, score["source"]) for file, score in scores if score and "source" in score]
    changed = [file for file, source in known if not _same_bytes(file, source)]
    if known and not measured and len(changed) == len(known):
        raise StudyError(
            f"the folder holds another study: its images have the same names but other pixels ({changed[0].name!r})",
            where=str(study.path),
            remedy="Name another folder with -o, or replace that study with --force",
        )
