"""What lies in a folder of images on a disk, by name: no file is opened."""

from __future__ import annotations

import os
from pathlib import Path

from cher2.errors import ImageError
from cher2.images.folder_links import listed_as
from cher2.images.omezarr_plate import is_zarr_folder
from cher2.images.places import shown


def list_folder(folder: Path, deep: bool = True) -> tuple[dict[str, str], list[str]]:
    """List the files below a folder, hidden ones left out.

    Parameters
    ----------
    folder : Path
    deep : bool
        Whether the folders in it are looked into.

    Returns
    -------
    files : dict of str
        By their paths below the folder, with "/": why each is not opened; empty where it is.
    zarr_folders : list of str
        Folders that are one image, or one plate, each.

    Raises
    ------
    ImageError
        The folder is not there, cannot be listed, or is a Zarr folder itself.
    """
    if not folder.is_dir():
        what = "it is a file, not a folder" if folder.exists() else "there is no such folder"
        raise ImageError(what, where=shown(folder), remedy="Name the folder that holds the images")
    root = folder.resolve()
    found: dict[str, str] = {}
    zarr_folders: list[str] = []
    waiting = [""]
    while waiting:
        below = waiting.pop()
        entries = _entries(folder / below)
        if deep and is_zarr_folder(below or folder.name, (entry.name for entry in entries)):
            if not below:
                raise _is_one_image(folder)
            zarr_folders.append(below)
            continue
        for entry in (e for e in entries if not e.name.startswith((".", "__MACOSX"))):
            path = f"{below}/{entry.name}" if below else entry.name
            if entry.is_dir(follow_symlinks=False):
                waiting.extend([path] if deep else [])
            elif listed := listed_as(root, entry, path):
                found[listed[0]] = listed[1]
    return found, zarr_folders


def _is_one_image(folder: Path) -> ImageError:
    return ImageError(
        "it is a Zarr folder, one image or one plate",
        where=str(folder),
        remedy="Name the folder that it lies in, with no other images",
    )


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise ImageError(
            f"the folder cannot be listed ({error.strerror})",
            where=shown(folder),
            remedy="Give yourself the right to read it, or move it elsewhere",
        ) from error
