"""Where a study's numbers come from: versions, command, protocol, inputs, times.

No user's name and no absolute path is written: a study can be handed on as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cher2
from cher2.cells.segmenters.registry import segmenter_versions
from cher2.errors import ImageError
from cher2.images.files import ImageFile
from cher2.images.places import is_remote, shown
from cher2.images.remote import RemoteFile
from cher2.images.remote_folder import remote_stamp
from cher2.protocol import Protocol
from cher2.study.tables import write_whole

PACKAGES = (
    "numpy",
    "scipy",
    "pandas",
    "scikit-image",
    "opencv-python-headless",
    "tifffile",
    "imagecodecs",
    "pyarrow",
)
"""The libraries whose versions can change a number."""


def software() -> dict[str, str]:
    """Return the versions of cher2, of Python and of the libraries that can change a number."""
    versions = {"cher2": cher2.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed under this name"
    return versions


def file_stamp(file: ImageFile) -> list[list[Any]]:
    """Return size and time of change of an image's files: while they stay, the bytes are taken to stay.

    By URL it is what the store's listing says (an ETag), and the bytes' hash where it says nothing.
    """
    if file.stamps:
        return [list(stamp) for stamp in file.stamps]
    with _readable(file):
        return [_stamp(path) for path in file.paths]


def _stamp(path: Path) -> list[Any]:
    if is_remote(path):
        return list(remote_stamp(path) or (path.name, -1, file_digest(ImageFile(path.name, (path,)))))
    found = path.stat()
    return [path.name, found.st_size, found.st_mtime_ns]


def file_digest(file: ImageFile) -> str:
    """Return a hash of the bytes of an image's files, in their order."""
    digest = hashlib.blake2b(digest_size=16)
    with _readable(file):
        for path in file.paths:
            with RemoteFile(path, in_order=True) if is_remote(path) else path.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()


@contextmanager
def _readable(file: ImageFile) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ImageError(
            f"the file cannot be read ({error.strerror})",
            where=file.name,
            remedy="Look whether it is still there",
        ) from error


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_provenance(
    study: Path, *, images: Path, protocol: Protocol, command: Sequence[str], started: str, **facts: Any
) -> None:
    """Write ``provenance.json`` into a study folder.

    Parameters
    ----------
    study, images : Path
        The study folder and the image folder; written relative to the study. A URL is written without query,
        user and password.
    protocol : Protocol
        The protocol in force.
    command : sequence of str
        The command's words; of paths among them, only the last part is kept.
    started : str
        When the run began.
    **facts
        Counts and whatever else is worth keeping.
    """
    record = {
        "software": software() | segmenter_versions(protocol.segmentation),
        "platform": f"{platform.system()} {platform.machine()}",
        "command": [_without_folders(word) for word in command],
        "images": shown(images) if is_remote(images) else relative_path(images, study),
        "protocol": {"name": protocol.name, "fingerprint": protocol.fingerprint()},
        "started": started,
        "ended": now(),
        **facts,
    }
    write_whole(study / "provenance.json", (json.dumps(record, indent=1, sort_keys=True) + "\n").encode())


def read_provenance(study: Path) -> dict[str, Any]:
    """Return what ``provenance.json`` says; empty where it is not there or not readable."""
    try:
        record = json.loads((study / "provenance.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def relative_path(path: Path, start: Path) -> str:
    """Return a path relative to a folder, with forward slashes; empty where there is none (another drive)."""
    try:
        return Path(os.path.relpath(path, start)).as_posix()
    except ValueError:
        return ""


def _without_folders(word: str) -> str:
    # Of an address neither the user nor the password nor a query is told, whatever it is of.
    _, mark, address = word.rpartition("://")
    if mark:
        host, _, path = address.partition("?")[0].partition("/")
        word = f"/{path}" if path else host.rpartition("@")[2]
    return Path(word).name if ("/" in word or "\\" in word) else word
