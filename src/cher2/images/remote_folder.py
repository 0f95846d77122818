"""A folder in a store that is reached by URL: listed as a whole, with what tells that a file has changed.

A store lists a thousand files with one request, whatever folders they are in; one file's facts cost a request, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from cher2.errors import ImageError
from cher2.images.places import in_store, reaching, shown

ZARR = ".zarr"
"""Ending of folders that are one image each, in any case; so is a folder that holds one of Zarr's documents."""

ZARR_DOCUMENTS = ("zarr.json", ".zattrs", ".zgroup", ".zarray")

# What tells that an object was written again, in the words of S3, Google, HTTP and memory.
_MARKS = (
    "ETag", "etag", "md5Hash", "Content-MD5", "Digest", "LastModified", "Last-Modified", "updated", "mtime", "created",
)  # fmt: skip

Stamp = tuple[str, int, str]
"""Name, bytes, and what the store changes when the object is written again."""


class Listing(NamedTuple):
    """What lies below a folder in a store, as paths relative to it, with forward slashes.

    Parameters
    ----------
    files : dict of str to tuple or None
        The files, each with its stamp where the listing tells.
    zarr_folders : list of str
        The Zarr folders, which are one image each and not looked into.
    """

    files: dict[str, Stamp | None]
    zarr_folders: list[str]


def list_remote(folder: Path, deep: bool = True) -> Listing:
    """List a folder in a store and all folders below it, but for hidden ones.

    Parameters
    ----------
    folder : Path
        A place in a store.
    deep : bool
        List the folders below, too.

    Returns
    -------
    Listing

    Raises
    ------
    ImageError
        Nothing is there, it is a file or a Zarr folder, a folder has no name, or the store cannot be reached.
    """
    store, root = in_store(folder)
    root = root.rstrip("/")
    with reaching(folder):
        # A store that somebody else opened may answer from what it remembers: changes would not be seen.
        store.invalidate_cache()
        found = store.find(root, maxdepth=None if deep else 1, detail=True)
    if not found:
        raise ImageError("there is no such folder", where=shown(folder), remedy="Name the folder that holds the images")
    if root in found:
        raise ImageError("it is a file, not a folder", where=shown(folder), remedy="Name the folder that holds it")
    below = {key[len(root) + 1 :]: facts for key, facts in found.items()}
    documented = {path.rpartition("/")[0] for path in below if path.rpartition("/")[2] in ZARR_DOCUMENTS}
    files: dict[str, Stamp | None] = {}
    zarr_folders: dict[str, None] = {}
    for path, facts in below.items():
        zarr = _zarr_folder(path, documented)
        if zarr == "":
            remedy = "Name the folder that it lies in"
            raise ImageError("it is a Zarr folder, one image or one plate", where=shown(folder), remedy=remedy)
        if not _is_listed(path if zarr is None else zarr, folder):
            continue
        if zarr is None:
            files[path] = _stamp(path, facts)
        else:
            zarr_folders[zarr] = None
    return Listing(files, list(zarr_folders))


def _zarr_folder(path: str, documented: set[str]) -> str | None:
    """Return the outermost Zarr folder that a file is in; None where it is in none."""
    if "" in documented:
        return ""
    ends = (number for number, letter in enumerate(path) if letter == "/")
    folders = (path[:end] for end in ends)
    return next((name for name in folders if name.lower().endswith(ZARR) or name in documented), None)


def _is_listed(path: str, folder: Path) -> bool:
    """Say whether a path is of no hidden file, and no mark that consoles leave for an empty folder."""
    if path.endswith("/"):
        return False
    parts = path.split("/")
    if "" in parts or ".." in parts:
        raise ImageError(
            f"a folder in {path!r} has no name", where=shown(folder), remedy="Rename it, or move it out of the images"
        )
    return not any(part.startswith((".", "__MACOSX")) for part in parts)


def remote_stamp(path: Path) -> Stamp | None:
    """Return the stamp of one file in a store; None where the store tells nothing that would change.

    Raises
    ------
    ImageError
        It is not there, or the store cannot be reached.
    """
    store, key = in_store(path)
    with reaching(path):
        store.invalidate_cache()
        return _stamp(path.name, store.info(key))


def _stamp(name: str, facts: dict[str, Any]) -> Stamp | None:
    mark = next((str(facts[key]) for key in _MARKS if facts.get(key)), "")
    size = facts.get("size")
    return (name.rpartition("/")[2], size, mark) if mark and isinstance(size, int) else None


def is_in_zarr(path: Path) -> bool:
    """Say whether a place in a store is a folder called as Zarr folders are, or below one."""
    return any(part.lower().endswith(ZARR) for part in in_store(path)[1].split("/"))
