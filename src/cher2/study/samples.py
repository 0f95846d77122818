"""Which patient and which blood draw an image belongs to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pandas as pd

from cher2.errors import SampleSheetError
from cher2.images.files import ImageFile
from cher2.images.places import is_remote, is_url, shown
from cher2.study.tables import read_csv

COLUMNS = ("image", "patient_id", "sample_id", "drawn_on", "blood_ml")
"""The columns of a study's ``samples.csv``."""


def assign_samples(files: Sequence[ImageFile], folder: Path, sheet: Path | None = None) -> pd.DataFrame:
    """Say of each image file which patient and which draw it is of.

    Parameters
    ----------
    files : sequence of ImageFile
        The images of the folder.
    folder : Path
        The image folder.
    sheet : Path, optional
        The sample sheet. Without one, the first folder below `folder` is the patient; where there are no
        folders below, all images are of one patient, called as the folder is.

    Returns
    -------
    DataFrame
        Columns :data:`COLUMNS`, all text, one row a file; in the sheet's order where there is one.

    Raises
    ------
    SampleSheetError
        The sheet names a file that is not there or names it twice, or an image has no patient; or there is a plate
        in no patient's folder, and no sheet.
    """
    return _by_folder(files, folder) if sheet is None else _by_sheet(files, folder, sheet)


def _by_folder(files: Sequence[ImageFile], folder: Path) -> pd.DataFrame:
    names = [file.name for file in files]
    # The rows of a plate are no patients, and neither is the plate.
    if wells := [file for file in files if file.plate and "/" not in file.plate]:
        raise SampleSheetError(
            f"{wells[0].plate} is a plate in no patient's folder, so that the patients of its wells are not known",
            where=str(folder),
            remedy=f"Give a sample sheet (--samples) with a row for each well, such as {wells[0].name}",
        )
    # What is not opened, such as a link that leads out, must not stop the others.
    opened = [file.name for file in files if not file.refused] or names
    flat = [name for name in opened if "/" not in name]
    if flat and len(flat) < len(opened):
        raise SampleSheetError(
            f"{len(flat)} images are in no patient's folder, while others are: {flat[0]}",
            where=shown(folder),
            remedy="Move them into their patients' folders, or give a sample sheet (--samples)",
        )
    patients = [_folder_name(folder)] * len(names) if flat else [n.split("/", 1)[0] for n in names]
    table = pd.DataFrame({"image": names, "patient_id": patients, "sample_id": patients}, dtype=str)
    return table.assign(drawn_on="", blood_ml="")


def _by_sheet(files: Sequence[ImageFile], folder: Path, path: Path) -> pd.DataFrame:
    sheet = read_csv(path, SampleSheetError, "the sample sheet")
    for column in ("image", "patient_id"):
        if column not in sheet:
            raise SampleSheetError(
                f"there is no column {column}; there are {', '.join(sheet.columns)}",
                where=str(path),
                remedy="A sample sheet has the columns image and patient_id",
            )
    # Not by reindex: of columns without a name there may be several.
    kept = {name: sheet[name].str.strip() if name in sheet else "" for name in COLUMNS}
    sheet = pd.DataFrame(kept, index=sheet.index, dtype=str)
    _check_patients(sheet, path)
    _check_draws(sheet, path)
    known = _by_location(files, folder)
    start = folder if is_remote(folder) else path.parent
    rows = [_named(image, start, known) for image in sheet["image"]]
    absent = [row for row, name in enumerate(rows) if name is None]
    if absent:
        _check_above(sheet["image"].iloc[absent[0]], known, path)
        raise SampleSheetError(
            f"{len(absent)} images of the sheet are not in the image folder: "
            f"{sheet['image'].iloc[absent[0]]!r} in row {absent[0] + 2}",
            where=str(path),
            remedy=f"Write each path relative to {_sheet_start(folder)}; the images are in {shown(folder)}",
        )
    sheet["image"] = rows
    # One file a channel: the sheet may list every file of a frame.
    sheet = sheet.drop_duplicates()
    _check_complete(sheet, files, path)
    sheet["sample_id"] = sheet["sample_id"].where(sheet["sample_id"] != "", sheet["patient_id"])
    return sheet.reset_index(drop=True)


def _named(image: str, start: Path, known: dict[str, str]) -> str | None:
    """Return the image that a sheet names; a sheet from Windows, with its backslashes, is understood elsewhere."""
    if is_url(image):
        return known.get(image)
    return known.get(_location(start / image)) or known.get(_location(start / image.replace("\\", "/")))


def _check_above(image: str, known: dict[str, str], path: Path) -> None:
    """Refuse a row for a part of an image: a field of a well, or a well of a plate that cannot be read."""
    above = (known.get(str(parent)) for parent in Path(_location(path.parent / image)).parents)
    whole = next((name for name in above if name is not None), None)
    if whole is not None:
        raise SampleSheetError(
            f"the sheet names {image!r}, but {whole!r} is one image, or a plate whose wells cannot be read",
            where=str(path),
            remedy="Give a row to each image and to each well of a plate, and none to a well's fields",
        )


def _check_patients(sheet: pd.DataFrame, path: Path) -> None:
    nobody = sheet.index[sheet["patient_id"] == ""]
    if len(nobody):
        raise SampleSheetError(
            f"row {nobody[0] + 2} gives no patient for {sheet['image'][nobody[0]]!r}",
            where=str(path),
            remedy="Fill in patient_id in every row",
        )


def _check_draws(sheet: pd.DataFrame, path: Path) -> None:
    """Refuse dates and volumes that are none before anything is measured."""
    for row, (drawn_on, blood_ml) in enumerate(zip(sheet["drawn_on"], sheet["blood_ml"], strict=True)):
        if drawn_on and not _is_date(drawn_on):
            raise SampleSheetError(
                f"row {row + 2} gives drawn_on {drawn_on!r}", where=str(path), remedy="Write dates as 2021-03-31"
            )
        if blood_ml and not _is_volume(blood_ml):
            raise SampleSheetError(
                f"row {row + 2} gives blood_ml {blood_ml!r}", where=str(path), remedy="Write millilitres as 7.5"
            )


def _is_date(text: str) -> bool:
    try:
        return bool(date.fromisoformat(text))
    except ValueError:
        return False


def _is_volume(text: str) -> bool:
    try:
        return 0 < float(text) < 1000
    except ValueError:
        return False


def _check_complete(sheet: pd.DataFrame, files: Sequence[ImageFile], path: Path) -> None:
    twice = sheet["image"][sheet["image"].duplicated()]
    if len(twice):
        raise SampleSheetError(
            f"{twice.iloc[0]!r} stands twice in the sheet, with different entries",
            where=str(path),
            remedy="Keep one row an image",
        )
    listed = set(sheet["image"])
    nobody = [file.name for file in files if file.name not in listed]
    if nobody:
        raise SampleSheetError(
            f"{len(nobody)} images have no row in the sheet, so no patient: {nobody[0]!r}",
            where=str(path),
            remedy="Add them to the sheet, or move them out of the image folder",
        )


def _by_location(files: Sequence[ImageFile], folder: Path) -> dict[str, str]:
    """Return the names of the images by where their files lie, and by where the name itself would lie."""
    known = {_location(folder / file.name): file.name for file in files}
    return known | {_location(path): file.name for file in files for path in file.paths}


def _sheet_start(folder: Path) -> str:
    return "the folder of the images, or as its URL" if is_remote(folder) else "the sheet's own folder"


def _folder_name(folder: Path) -> str:
    # A bucket has no name as a folder has.
    return folder.name or shown(folder).rstrip("/").rpartition("/")[2] if is_remote(folder) else folder.absolute().name


def _location(path: Path) -> str:
    if is_remote(path):
        return shown(path)
    # Not resolve(): a link in the folder is the image that it is called.
    return os.path.normcase(os.path.abspath(path))  # noqa: PTH100  (a Path's own way takes ten times as long)
