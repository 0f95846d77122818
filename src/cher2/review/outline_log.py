"""Corrections of outlines on the disk: one file each beside the machine's results, written whole, never changed.

``STUDY/edits/<image_id>/<number>-<correction_id>.json``. The number orders them; the id keeps two readers who save
at the same moment from overwriting each other. What takes a correction back is one more file, and so is what
measures corrected objects again after the image was scored anew.
"""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import pandas as pd

from cher2.cells.objects import COLUMNS, GRADED
from cher2.errors import ReviewError, StudyError
from cher2.review.decisions import MOST_TEXT, utc_now
from cher2.review.outline import MOST_OBJECTS, Outline, Place
from cher2.study.folder import Study, image_id
from cher2.study.tables import write_whole
from cher2.study.trail import EDITS as EDITS
from cher2.study.trail import add_event, sha256_of

FORMAT = 1
"""Version of the files; what a later version wrote is refused, not misread."""

Action = Literal["correct", "take_back", "measure"]
ACTIONS: tuple[Action, ...] = get_args(Action)

_FAULTS = (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)
"""What reading a file of another program's raises."""

_MEASURED = {column.name: column.dtype for column in COLUMNS if column.name not in GRADED} | {"area_px": "int32"}
"""The columns of a measured row, with their types."""

_NAME = re.compile(r"(\d{4,})-([0-9a-f]{8,32})\.json")


@dataclass(frozen=True, eq=False)
class Correction:
    """One saved correction of a frame's outlines.

    Parameters
    ----------
    image : str
        The frame, named as in the table of objects.
    reader : str
        Who corrected.
    action : str
        ``correct`` draws and removes; ``take_back`` names in `refers_to` the correction (or the taking back) that no
        longer holds; ``measure`` only holds rows.
    base : str
        The fingerprint of the machine's labels that it was drawn on.
    protocol : str
        Fingerprint of the protocol in force.
    removed : tuple of Place
        Objects that are gone.
    outlines : tuple of Outline
        Objects that are new or of another shape.
    rows : tuple of dict
        The measured rows of the drawn objects, before the sample's rules graded them, each with ``area_px``.
    refers_to : str
        The ``correction_id`` that is taken back.
    corrected_at : str
        Time in UTC.
    correction_id : str
        Different for every correction ever made.

    Raises
    ------
    ReviewError
        A field makes no sense.
    """

    image: str
    reader: str
    action: Action
    base: str
    protocol: str
    removed: tuple[Place, ...] = ()
    outlines: tuple[Outline, ...] = ()
    rows: tuple[dict[str, Any], ...] = ()
    refers_to: str = ""
    corrected_at: str = field(default_factory=utc_now)
    correction_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ReviewError(
                f"a correction's action is {self.action!r}", remedy=f"It must be one of {', '.join(ACTIONS)}"
            )
        if not self.reader.strip() or len(self.reader) > MOST_TEXT:
            raise ReviewError("a correction of outlines needs the name of its reader", remedy="Give one with --reader")
        if (self.action == "take_back") != bool(self.refers_to):
            raise ReviewError("only what takes a correction back names one", remedy="Give the correction's id")

    def as_dict(self) -> dict[str, Any]:
        """Return the correction as JSON can hold it; :meth:`from_dict` gives the same back."""
        plain = ("image", "reader", "action", "base", "protocol", "refers_to", "corrected_at", "correction_id")
        return {
            "cher2_outlines": FORMAT,
            **{name: getattr(self, name) for name in plain},
            "removed": [place.as_dict() for place in self.removed],
            "outlines": [outline.as_dict() for outline in self.outlines],
            "rows": list(self.rows),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Return the correction that :meth:`as_dict` wrote.

        Raises
        ------
        LookupError, TypeError, ValueError, AttributeError, OverflowError, ReviewError
            `record` is not that of a correction.
        """
        if record["cher2_outlines"] != FORMAT:
            raise ValueError(f"version {record['cher2_outlines']} of the file")
        plain = ("image", "reader", "action", "base", "protocol", "refers_to", "corrected_at", "correction_id")
        if wrong := [name for name in plain if not isinstance(record[name], str)]:
            raise TypeError(f"{wrong[0]} is no text")
        return cls(
            **{name: record[name] for name in plain},
            removed=tuple(Place.from_dict(place) for place in record["removed"]),
            outlines=tuple(Outline.from_dict(outline) for outline in record["outlines"]),
            rows=tuple(_row(row) for row in record["rows"]),
        )


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a measured row as it was written; what another program made of it is refused, not graded."""
    row = dict(record)
    for name, dtype in _MEASURED.items():
        value = row[name]
        fits = isinstance(value, {"str": str, "bool": bool}.get(dtype, (int, float, type(None))))
        if not fits or (isinstance(value, bool) and dtype != "bool"):
            raise TypeError(f"{name} = {value!r} in a measured row")
    if not 0 < int(row["object_id"]) < MOST_OBJECTS or not all(math.isfinite(row[name]) for name in ("y_px", "x_px")):
        raise ValueError("a measured row without number or place")
    return row


def rows_of(table: pd.DataFrame) -> tuple[dict[str, Any], ...]:
    """Return the rows of a table as JSON can hold them, to the last digit; what is not there is None."""
    records = table.to_dict("records")
    return tuple({str(name): _plain(value) for name, value in record.items()} for record in records)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return None if pd.isna(value) else value


def edits_folder(study: Study, image: str) -> Path:
    """Return the folder of an image's corrections; it is there only where there are some."""
    return study.path / EDITS / image_id(image)


def has_corrections(study: Study, image: str) -> bool:
    """Say whether an image has corrections; costs a look at the disk."""
    return edits_folder(study, image).is_dir()


def read_corrections(study: Study, image: str) -> list[Correction]:
    """Return the corrections of an image in their order, those that are taken back and what takes them back too.

    Raises
    ------
    ReviewError
        A file is damaged, or of a later version of cher2.
    """
    return [_read(path) for _, path in _files(edits_folder(study, image))]


def write_correction(study: Study, correction: Correction) -> Path:
    """Add a correction to those of its image, and to the study's trail; on the disk when this returns.

    Raises
    ------
    StudyError
        The disk is full or the folder cannot be written to: nothing was saved.
    """
    folder = edits_folder(study, correction.image)
    _make(folder)
    last = max((number for number, _ in _files(folder)), default=0)
    path = folder / f"{last + 1:04d}-{correction.correction_id[:12]}.json"
    text = json.dumps(correction.as_dict(), indent=1, sort_keys=True, allow_nan=False)
    write_whole(path, f"{text}\n".encode())
    said = {"image": correction.image, "action": correction.action, "sha256": sha256_of(path)}
    try:
        add_event(study.path, "outline", correction.reader, file=path.relative_to(study.path).as_posix(), **said)
    except StudyError:
        # What the trail does not know would be taken for a forgery: nothing is saved, and the reader is told so.
        path.unlink(missing_ok=True)
        raise
    return path


def in_force(corrections: Sequence[Correction]) -> list[bool]:
    """Say of each correction whether it holds: what takes back, and is not itself taken back, undoes its own."""
    undone: set[str] = set()
    holds = []
    for correction in reversed(corrections):
        held = correction.correction_id not in undone
        if held and correction.action == "take_back":
            undone.add(correction.refers_to)
        holds.append(held)
    return holds[::-1]


def _files(folder: Path) -> list[tuple[int, Path]]:
    """Return the files of an image's corrections in order, with their numbers."""
    try:
        named = [(match, path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ReviewError(
            f"the corrected outlines cannot be read ({error.strerror})",
            where=str(folder),
            remedy="Make the folder readable",
        ) from error
    return sorted((int(match[1]), path) for match, path in named)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReviewError(
            f"the correction is not saved ({error.strerror})",
            where=str(folder),
            remedy="Make the study folder writable and save again",
        ) from error


def _read(path: Path) -> Correction:
    try:
        return Correction.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
        ReviewError,
    ) as error:
        raise ReviewError(
            f"the correction of outlines cannot be read ({type(error).__name__}: {error})",
            where=str(path),
            remedy="Restore the file from a copy of the study; a newer cher2 may have written it",
        ) from error
