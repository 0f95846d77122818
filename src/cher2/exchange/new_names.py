"""Which new names patients and images take: from a sheet, or numbered, in an order that can be guessed or not.

The key, a table of old and new names, undoes all that a copy is for. It is written only where somebody asks for it,
and never among the copies.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cher2.errors import SampleSheetError, StudyError
from cher2.images.files import natural_key
from cher2.study.tables import csv_text, read_csv

_PART = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}"
_NAME = re.compile(rf"{_PART}(/{_PART}){{0,7}}")


@dataclass(frozen=True)
class NewNames:
    """New names by old ones.

    Parameters
    ----------
    patients : mapping of str to str
        New patient by old patient.
    images : mapping of str to str
        New image, a path without ending below the folder of copies, by the old image as tables call it.
    """

    patients: Mapping[str, str]
    images: Mapping[str, str]

    def table(self) -> pd.DataFrame:
        """Return the key: columns ``old`` and ``new``, patients first."""
        pairs = [*self.patients.items(), *self.images.items()]
        return pd.DataFrame(pairs, columns=["old", "new"], dtype=str)


def new_names(
    images: Mapping[str, Sequence[str]],
    others: Iterable[str] = (),
    sheet: Path | None = None,
    *,
    random: bool = False,
    exports: Mapping[str, str] | None = None,
) -> NewNames:
    """Give patients and images new names.

    Parameters
    ----------
    images : mapping of str to sequence of str
        The images of each patient, as tables call them.
    others : iterable of str
        Patients without an image, such as those that only the clinical table knows.
    sheet : Path, optional
        A table (CSV) with the columns ``old`` and ``new``, or a key. It must name every patient; images that it does
        not name are numbered in the folder of their patient.
    random : bool
        Number the patients in an order that nobody can guess; else in the natural order of their names. A patient's
        images keep their order either way: which of two copies of a cell counts hangs on it.
    exports : mapping of str to str, optional
        The CellTracks export, by whatever name, of each image that is of one: each gets a folder of its own.

    Returns
    -------
    NewNames

    Raises
    ------
    SampleSheetError
        The sheet cannot be read, lacks a patient, or gives names that are the same or no names of files.
    """
    patients = sorted({*images, *others}, key=natural_key)
    given = {} if sheet is None else _read_sheet(sheet)
    if sheet is None:
        if random:
            secrets.SystemRandom().shuffle(patients)
        new = _numbered("P", patients)
    else:
        absent = [patient for patient in patients if patient not in given]
        if absent:
            raise SampleSheetError(
                f"it gives no new name to {len(absent)} of {len(patients)} patients",
                where=str(sheet),
                remedy="Give a row, old and new, to each patient",
            )
        new = {patient: given[patient] for patient in patients}
    files: dict[str, str] = {}
    for patient, names in images.items():
        ordered = sorted(names, key=natural_key)
        of_export = {name: export for name in ordered if (export := (exports or {}).get(name))}
        folders = _numbered("export_", list(dict.fromkeys(of_export.values())))
        for name, number in _numbered("image_", ordered).items():
            folder = f"{folders[of_export[name]]}/" if name in of_export else ""
            files[name] = given.get(name, f"{new[patient]}/{folder}{number}")
    found = NewNames(new, files)
    _check(found, sheet)
    return found


def _numbered(start: str, names: Sequence[str]) -> dict[str, str]:
    width = max(3, len(str(len(names))))
    return {name: f"{start}{number:0{width}d}" for number, name in enumerate(names, 1)}


def _read_sheet(path: Path) -> dict[str, str]:
    table = read_csv(path, SampleSheetError, "the sheet of names")
    if not {"old", "new"} <= set(table):
        raise SampleSheetError(
            "it has no columns old and new", where=str(path), remedy="Give a row to each patient: its old and new name"
        )
    old, new = (table[name].str.strip().tolist() for name in ("old", "new"))
    if len(set(old)) < len(old):
        raise SampleSheetError("it names something twice in the column old", where=str(path), remedy="Keep one row")
    return dict(zip(old, new, strict=True))


def _check(names: NewNames, sheet: Path | None) -> None:
    """Refuse new names that are no paths of files everywhere, and those that are given twice."""
    where = str(sheet or "")
    wrong = [name for name in (*names.patients.values(), *names.images.values()) if not _NAME.fullmatch(name)]
    if wrong:
        raise SampleSheetError(
            f"{wrong[0]!r} is no new name",
            where=where,
            remedy="Use letters from a to z, digits, _, - and points, and / between folders; no ending",
        )
    for kind, new in (("patients", names.patients), ("images", names.images)):
        folded = [name.casefold() for name in new.values()]
        if len(set(folded)) < len(folded):
            raise SampleSheetError(
                f"two {kind} get the same new name", where=where, remedy="Give each a name of its own"
            )


def write_key(names: NewNames, path: Path) -> None:
    """Write the key so that only its owner may read it, where nothing lies yet.

    Raises
    ------
    StudyError
        It cannot be written, or something is there.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(csv_text(names.table()))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StudyError(
            f"the key cannot be written ({error.strerror})", where=str(path), remedy="Name another file with --key"
        ) from error
