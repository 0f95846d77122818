"""What ``score.json`` tells of an image's results: which they are, and how large a pixel is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cher2.errors import StudyError

DAMAGED = (LookupError, TypeError, ValueError, ArithmeticError)
"""What reading a part of ``score.json`` raises where it is not as it was written."""

_TEXTS = ("image", "patient_id", "sample_id", "measuring", "grading")
_COUNTS = ("n_objects", "n_ctcs", "n_duplicates", "n_leukocytes")
_SECTIONS = ("frame", "gates", "light", "quality", "leukocytes_her2", "source", "files")


def makes_sense(score: Any) -> bool:
    """Say whether what ``score.json`` holds can be its text: its values are of their kinds.

    What is left out makes sense: an earlier cher2 told less.
    """
    if not isinstance(score, dict):
        return False
    size = score.get("pixel_size_um", 1.0)
    staining = score.get("leukocytes_her2")
    return (
        all(isinstance(score.get(name, ""), str) for name in _TEXTS)
        and all(_is_count(score.get(name, 0)) for name in _COUNTS)
        and all(isinstance(score.get(name) or {}, dict) for name in _SECTIONS)
        and _is_number(size)
        and size > 0
        and (not staining or (_is_count(staining.get("n", 0)) and _is_number(staining.get("median") or 0)))
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


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
