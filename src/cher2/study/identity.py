"""What names a study among all others: made once, and kept wherever the folder is copied."""

from __future__ import annotations

import uuid
from pathlib import Path

from cher2.errors import StudyError
from cher2.study.tables import write_whole

IDENTITY = "study_id"


def identity_of(study: Path) -> str:
    """Return the identity of a study folder; it is made where there is none.

    Raises
    ------
    StudyError
        It cannot be read, or written.
    """
    path = study / IDENTITY
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return _make(path)
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(
            f"the study's identity cannot be read ({type(error).__name__})",
            where=str(path),
            remedy="Restore the file study_id: the decisions on this study are kept under it",
        ) from error


def _make(path: Path) -> str:
    """Make the identity, unless another program has just done so: the first one holds for both."""
    made = uuid.uuid4().hex
    own = path.with_name(f".{IDENTITY}-{made}")
    write_whole(own, f"{made}\n".encode())
    try:
        path.hardlink_to(own)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    except OSError:  # A disk without links: only there can two programs still meet.
        write_whole(path, f"{made}\n".encode())
    finally:
        own.unlink()
    return made
