"""What in an image folder is not opened though it looks like an image: links that lead out of it, pipes and devices.

It is listed all the same, with the reason: a patient's frames that nobody opened must not look as if they were empty.
"""

from __future__ import annotations

import os
from pathlib import Path

from cher2.images.image_folders import IMAGE_SUFFIXES, NO_FILE

LEADS_OUT = "it is a link that leads out of the image folder"
LEADS_NOWHERE = "it is a link to something that is not there"

BELOW = "/*"
"""What follows the name of a link to a folder: whatever images are in there."""


def listed_as(root: Path, entry: os.DirEntry[str], path: str) -> tuple[str, str] | None:
    """Say what something in an image folder that is no folder is listed as.

    Parameters
    ----------
    root : Path
        The image folder, resolved.
    entry : DirEntry
        A file, a link, a pipe ...
    path : str
        What it is called below the image folder.

    Returns
    -------
    tuple of str, or None
        Its name, and why it is not opened, empty where it is; None where it is left out: a link to a folder of the
        image folder itself, and what is not opened and does not look like an image.
    """
    if entry.is_file(follow_symlinks=False):
        return path, ""
    why, is_folder = _why_not(root, entry)
    if why is None:
        return None
    looks = path.lower().endswith((*IMAGE_SUFFIXES, ".zarr"))
    if not why or looks:
        return path, why
    return (path + BELOW, why) if is_folder else None


def _why_not(root: Path, entry: os.DirEntry[str]) -> tuple[str | None, bool]:
    """Return why an entry is not opened (None: it is listed elsewhere), and whether it stands for a folder."""
    if not entry.is_symlink():
        return NO_FILE, False
    target = Path(os.path.realpath(entry.path))
    if not target.is_relative_to(root):
        # Where there is nothing, as on a disk that is not mounted, a name without an ending is a folder's.
        return LEADS_OUT, target.is_dir() or not (target.exists() or target.suffix)
    if target.is_dir():
        return None, True
    if target.is_file():
        return "", False
    return (NO_FILE if target.exists() else LEADS_NOWHERE), not (target.exists() or target.suffix)
