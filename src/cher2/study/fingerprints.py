"""Fingerprints of an image's results: whether somebody changed a file after cher2 had written it.

They stand in ``score.json`` under ``files``, that of ``score.json`` itself among them. Nothing here is secret: they
show a damaged disk, a mistake and a clumsy hand, not somebody who computes them anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILES = "files"
"""The key in ``score.json``."""

ITSELF = "score.json"


def with_fingerprints(score: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return what ``score.json`` says, with the fingerprints of the other files of its folder and its own.

    Parameters
    ----------
    score : mapping
        What ``score.json`` says; fingerprints in it are replaced.
    folder : Path
        The folder with the image's other files, all written.
    """
    files = {path.name: digest_of(path) for path in sorted(folder.iterdir()) if path.name != ITSELF}
    return {**score, FILES: {**files, ITSELF: seal(score)}}


def seal(score: Mapping[str, Any]) -> str:
    """Return the fingerprint of what ``score.json`` says, without that of files.

    The stamp of the image's file is left out: it changes when the file is copied, and no number depends on it.
    """
    said = {key: value for key, value in score.items() if key != FILES}
    if isinstance(said.get("source"), dict):
        said["source"] = {key: value for key, value in said["source"].items() if key != "stamp"}
    return _digest(json.dumps(said, sort_keys=True).encode(errors="surrogatepass"))


def digest_of(path: Path) -> str:
    """Return the fingerprint of a file: BLAKE2b of its bytes, 32 hexadecimal digits.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def altered_files(score: Mapping[str, Any], folder: Path) -> list[str] | None:
    """Return the names of files that are no longer as they were written.

    Parameters
    ----------
    score : mapping
        What ``score.json`` says.
    folder : Path
        Its folder.

    Returns
    -------
    list of str or None
        Those that are gone or cannot be read among them; None where an earlier cher2 kept no fingerprints.
    """
    files = score.get(FILES)
    if not isinstance(files, dict):
        return None
    return [name for name, digest in files.items() if _now(name, score, folder) != digest]


def _now(name: str, score: Mapping[str, Any], folder: Path) -> str:
    if name == ITSELF:
        return seal(score)
    try:
        return digest_of(folder / Path(name).name)
    except OSError:
        return ""


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
