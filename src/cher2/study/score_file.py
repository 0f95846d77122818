"""What ``score.json`` tells of an image's results: which they are, and how large a pixel is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cher2.errors import StudyError


def labels_fingerprint(score: Mapping[str, Any] | None) -> str:
    """Return what tells one segmentation of an image from another: while it stays, so do the objects' numbers.

    Parameters
    ----------
    score : mapping or None
        What ``score.json`` says.
    """
    score = score or {}
    source = score.get("source")
    digest = source.get("digest", "") if isinstance(source, dict) else ""
    return f"{score.get('measuring', '')}-{str(digest)[:16]}"


def pixel_size_um(score: Mapping[str, Any] | None, image: str, study: Path) -> float:
    """Return the side of a scored image's pixels in micrometres.

    Parameters
    ----------
    score : mapping or None
        What ``score.json`` says.
    image : str
        Its name, for the error.
    study : Path
        The study folder, for the error.

    Raises
    ------
    StudyError
        It does not say so.
    """
    if not score or "pixel_size_um" not in score:
        raise StudyError(f"the results of {image} are damaged", where=str(study), remedy="Run 'cher2 run' again")
    return float(score["pixel_size_um"])
