"""Where a study's numbers come from: versions, command, protocol, inputs, times.

No user's name, no computer's name and no absolute path is written: a study can be handed on as it is. Only where the
images lie as seen from the study is told, since the review must find them again.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cher2
from cher2.cells.score import ALGORITHM
from cher2.cells.segmenters.registry import segmenter_versions
from cher2.errors import ImageError, StudyError
from cher2.images.files import ImageFile
from cher2.images.image_folders import files_below, is_folder, open_below
from cher2.images.places import is_remote, shown
from cher2.images.remote import RemoteFile
from cher2.images.remote_folder import remote_stamp
from cher2.protocol import Protocol
from cher2.study.fingerprints import digest_of
from cher2.study.folder import Study, file_of
from cher2.study.machine import describe_machine
from cher2.study.origins import entries_of
from cher2.study.tables import write_whole
from cher2.study.trail import add_event, read_trail

WRITTEN_BY_RUN = ("protocol.toml", "samples.csv", "errors.csv")
"""Files of a study that only ``cher2 run`` writes, so that their digests hold until the next run."""

PACKAGES = (
    "numpy",
    "scipy",
    "pandas",
    "scikit-image",
    "opencv-python-headless",
    "tifffile",
    "imagecodecs",
    "pyarrow",
    "zarr",
    "statsmodels",
    "pydantic",
    "sqlalchemy",
    "dask",
    "distributed",
)
"""The libraries that cher2 needs: those whose versions can change a number, and those that carry a run."""

OPTIONAL = ("zarr", "ome-zarr", "nd2", "liffile", "czifile", "fsspec", "anndata", "psycopg")
"""Libraries of extras, told where they are installed."""


def software() -> dict[str, str]:
    """Return the versions of cher2, its algorithm, Python and the libraries that it uses."""
    versions = {"cher2": cher2.__version__, "algorithm": ALGORITHM, "python": platform.python_version()}
    for package in PACKAGES:
        versions[package] = _version(package) or "not installed under this name"
    return versions | {package: number for package in OPTIONAL if (number := _version(package))}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def file_stamp(file: ImageFile) -> list[list[Any]]:
    """Return size and times of change of an image's files: while they stay, the bytes are taken to stay.

    Of the two times, one is set by whoever writes the file, the other by the system (on Windows: when it was made).

    A folder, such as an OME-Zarr, has one entry as a file has: the size of all below it, and in place of the
    time a hash of the name, size and time of each. By URL it is what the store's listing says (an ETag), and the
    bytes' hash where it says nothing.

    Raises
    ------
    ImageError
        A file cannot be read, or a link leads out of a folder.
    """
    with _readable(file):
        stamp = [list(known) for known in file.stamps] or [_stamp(path) for path in file.paths]
    return stamp if file.celltracks is None else [*stamp, ["frame", *file.celltracks]]


def file_digest(file: ImageFile) -> str:
    """Return a hash of the bytes of an image's files, in their order; of a folder, with the files' names.

    Raises
    ------
    ImageError
        A file cannot be read, or a link leads out of a folder.
    """
    digest = hashlib.blake2b(digest_size=16)
    with _readable(file):
        for path in file.paths:
            if is_folder(path):
                _add_folder(digest, path)
            else:
                _add_bytes(digest, path)
    if file.celltracks is not None:
        # The same bytes are another place where a frame before them is missing.
        digest.update(repr(file.celltracks).encode())
    return digest.hexdigest()


def _add_folder(digest: hashlib.blake2b, path: Path) -> None:
    for file in files_below(path):
        # Name and length go first: bytes moved from one file into the next make another hash.
        digest.update(f"{file.name}\0{file.size}\0".encode("utf-8", "surrogateescape"))
        _add_bytes(digest, path, file.name)


def _add_bytes(digest: hashlib.blake2b, path: Path, below: str = "") -> None:
    whole = RemoteFile(path / below if below else path, in_order=True) if is_remote(path) else open_below(path, below)
    with whole as stream:
        while block := stream.read(1 << 20):
            digest.update(block)


def _stamp(path: Path) -> list[Any]:
    if is_remote(path):
        if not is_folder(path):
            return list(remote_stamp(path) or (path.name, -1, file_digest(ImageFile(path.name, (path,)))))
    elif not stat.S_ISDIR((found := path.stat()).st_mode):
        # The time of change can be set, and a copy brings its own; that of the entry is the system's.
        return [path.name, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
    files = files_below(path)
    size = sum(file.size for file in files)
    if not all(file.mark for file in files):
        # A store that does not tell when a file was written: only the bytes themselves do.
        return [path.name, size, file_digest(ImageFile(path.name, (path,)))]
    each = hashlib.blake2b(json.dumps(files).encode(), digest_size=16)
    return [path.name, size, each.hexdigest()]


@contextmanager
def _readable(file: ImageFile) -> Iterator[None]:
    file.refuse()
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
    study: Path,
    *,
    images: Path,
    protocol: Protocol,
    command: Sequence[str],
    started: str,
    given: Mapping[str, str] | None = None,
    name_host: bool = False,
    **facts: Any,
) -> None:
    """Write ``provenance.json`` into a study folder: the newest run, and under ``runs`` every run in order.

    The run is added to the study's trail (:mod:`cher2.study.trail`), which it names as it was before.

    Parameters
    ----------
    study, images : Path
        The study folder, with its samples and results written, and the image folder; written relative to the study. A
        URL is written without query, user and password.
    protocol : Protocol
        The protocol in force.
    command : sequence of str
        The command's words; of paths among them only the last part is kept, of addresses only their kind.
    started : str
        When the run began.
    given : dict of str, optional
        Digests of the files that the run was given besides images; see :func:`digests_of_given`.
    name_host : bool
        Whether the computer's name is told; see :func:`cher2.study.machine.describe_machine`.
    **facts
        Counts and whatever else is worth keeping.

    Raises
    ------
    StudyError
        The disk is full.
    """
    run = {
        "software": software() | segmenter_versions(protocol.segmentation),
        "platform": f"{platform.system()} {platform.machine()}",
        "machine": describe_machine(name_host=name_host),
        "command": [without_places(word) for word in command],
        "images": shown(images) if is_remote(images) else relative_path(images, study),
        "protocol": {"name": protocol.name, "fingerprint": protocol.fingerprint()},
        "inputs": {**(given or {}), "images": digest_of_images(Study(study))},
        "files": {name: digest_of(study / name) for name in WRITTEN_BY_RUN if (study / name).is_file()},
        "started": started,
        "ended": now(),
        **facts,
    }
    number, newest = read_trail(study).head
    run["trail"] = {"number": number, "hash": newest}
    record = {**run, "runs": [*runs_of(read_provenance(study)), run]}
    write_whole(study / "provenance.json", (json.dumps(record, indent=1, sort_keys=True) + "\n").encode())
    settings = protocol.model_dump(mode="json")
    add_event(study, "run", ended=run["ended"], digest=digest_of_run(run), protocol=run["protocol"], settings=settings)


def digest_of_run(run: Mapping[str, Any]) -> str:
    """Return the digest of a run of ``provenance.json``, by which the study's trail knows it."""
    return hashlib.sha256(json.dumps(run, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def digest_of_images(study: Study) -> str:
    """Return one digest over all scored image files of a study: their names and digests, in the order of samples.

    Returns
    -------
    str
        BLAKE2b of a line "digest, two spaces, name" for each file; empty where there is no list of samples.
    """
    if not study.exists():
        return ""
    digests: dict[str, str] = {}
    for image in study.samples["image"]:
        source = (entries_of(study, image) or {}).get("source")
        if isinstance(source, dict):
            digests[image if source.get("frames", 1) == 1 else file_of(image)] = str(source.get("digest", ""))
    lines = "".join(f"{digest}  {name}\n" for name, digest in digests.items())
    return hashlib.blake2b(lines.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def state_of(study: Study) -> tuple[int, str]:
    """Return what changes when a run writes to a study: its waiting room, and what tells of runs. No clock is asked."""
    waiting, runs = study.path / ".measured", study.path / "provenance.json"
    try:
        return waiting.stat().st_ino if study.under_way else 0, digest_of(runs) if runs.is_file() else ""
    except FileNotFoundError:
        # It went just now: no state is like this one.
        return -1, now()


def check_at_rest(study: Study) -> None:
    """Refuse a study that a run is writing to, or was broken off in.

    Raises
    ------
    StudyError
    """
    if study.under_way:
        raise StudyError(
            "the study is not finished: a run of it is still going on, or was broken off",
            where=str(study.path),
            remedy="Run 'cher2 run' again with the same images: it goes on where it stopped",
        )


def runs_of(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the runs that a provenance tells of, oldest first; of an earlier cher2's, its only one."""
    runs = record.get("runs")
    if isinstance(runs, list):
        return [run for run in runs if isinstance(run, dict)]
    return [dict(record)] if record else []


def digests_of_given(files: Mapping[str, Path | None]) -> dict[str, str]:
    """Return the digests of files that a run is given, by what they are, such as ``sample_sheet``; None is left out.

    Raises
    ------
    StudyError
        A file cannot be read.
    """
    digests: dict[str, str] = {}
    for what, path in files.items():
        try:
            digests |= {what: digest_of(path)} if path is not None else {}
        except OSError as error:
            raise StudyError(
                f"the file cannot be read ({error.strerror})", where=str(path), remedy="Name a file that is there"
            ) from error
    return digests


def read_provenance(study: Path) -> dict[str, Any]:
    """Return what ``provenance.json`` says; empty where it is not there or not readable."""
    try:
        record = json.loads((study / "provenance.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def relative_path(path: Path, start: Path) -> str:
    """Return a path relative to a folder, with forward slashes; empty where there is none (another drive).

    A way that leads into the user's home folder begins there, with ``~/``: that folder's name is the user's.
    """
    # As it is called, not where links lead: the way that is written is the one that was given.
    there, here = (Path(os.path.normpath(Path.cwd() / place)) for place in (path, start))
    for home in _homes():
        if there.is_relative_to(home) and not here.is_relative_to(home):
            return (Path("~") / there.relative_to(home)).as_posix()
    try:
        return Path(os.path.relpath(path, start)).as_posix()
    except ValueError:
        return ""


def _homes() -> tuple[Path, ...]:
    """Return the user's home folder as the system calls it, and where it is; nothing where there is none."""
    try:
        home = Path.home()
    except RuntimeError:
        return ()
    return home, Path(os.path.realpath(home))


def without_places(word: str) -> str:
    """Return a word of a command without folders, servers and passwords."""
    option, mark, value = word.partition("=")
    if mark and option.startswith("-"):
        return f"{option}={without_places(value)}"
    scheme, mark, _ = word.partition("://")
    if mark:
        return f"{scheme}://..."
    return Path(word).name if ("/" in word or "\\" in word) else word
