"""What a worker and the command must have in common: software, images and study folder.

``provenance.json`` names the versions of one machine for all numbers of a study; so the workers must have the same.
"""

from __future__ import annotations

import platform
import uuid
from dataclasses import dataclass
from pathlib import Path

from cher2.batch.engine import Shared
from cher2.errors import StudyError
from cher2.study.folder import Study
from cher2.study.provenance import software


@dataclass(frozen=True)
class Common:
    """What a worker and the command must have in common.

    Parameters
    ----------
    versions : tuple of tuple of str
        Names and versions of Python and of the libraries that can change a number.
    files : tuple of tuple of Path and int
        Images and their sizes in bytes.
    study : Path, optional
        The study folder.
    identity : str
        What its ``study_id`` says.
    """

    versions: tuple[tuple[str, str], ...]
    files: tuple[tuple[Path, int], ...] = ()
    study: Path | None = None
    identity: str = ""


def common_ground(shared: Shared | None = None) -> Common:
    """Return what this process has, for the workers to compare with."""
    versions = tuple(sorted(_versions().items()))
    if shared is None:
        return Common(versions)
    files = tuple((path, path.stat().st_size) for path in shared.files if path.is_file())
    return Common(versions, files, shared.study, Study(shared.study).identity)


def check_worker(common: Common) -> None:
    """Say whether this process is fit for the command's tasks.

    Raises
    ------
    StudyError
        It has other software, or does not see what it must.
    """
    own = _versions()
    other = [f"{name} {own.get(name)} and not {wanted}" for name, wanted in common.versions if own.get(name) != wanted]
    if other:
        raise other_software(", ".join(other))
    unseen = [path for path, size in common.files if not path.is_file() or path.stat().st_size != size]
    if unseen:
        raise _unseen(f"the image {unseen[0]}")
    if common.study is None:
        return
    try:
        same = (common.study / "study_id").read_text(encoding="ascii").strip() == common.identity
        written = common.study / ".measured" / f".partial-look-{uuid.uuid4().hex}"
        written.touch()
        written.unlink()
    except (OSError, UnicodeDecodeError) as error:
        raise _unseen(f"the study folder {common.study}, or cannot write to it ({error})") from error
    if not same:
        raise _unseen(f"the study folder {common.study}, but another one under this name")


def _versions() -> dict[str, str]:
    """Return what must be equal; of Python, the last number does not matter."""
    return software() | {"python": ".".join(platform.python_version_tuple()[:2])}


def other_software(found: str) -> StudyError:
    """Return the error for a worker with other software, by what was found there."""
    return StudyError(
        f"here is other software than in this command: {found}",
        remedy="Start scheduler and workers from the same environment as the command",
    )


def _unseen(what: str) -> StudyError:
    return StudyError(
        f"the worker on {platform.node()} does not see {what}",
        remedy="Workers and command must see the same folders under the same paths",
    )
