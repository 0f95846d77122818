"""What the results of many images were made from, looked up at the start of a run or a review.

A study of 100,000 finished images has as many ``score.json``, of which few entries each are needed. So each room of
the study is listed once, and of a file that is as cher2 writes it only those entries are decoded.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from cher2.study.folder import MEASURED, SCORE, Study, image_id

ENTRIES = ("grading", "measuring", "pixel_size_um", "source")
"""Of ``score.json``, what tells whether an image must be measured or graded again, and whether it is what a reader saw.
"""

_DECODER = json.JSONDecoder()


class Origin(NamedTuple):
    """What the newest results of an image were made from.

    Parameters
    ----------
    waiting : bool
        They are not graded yet.
    said : dict
        What ``score.json`` says: :data:`ENTRIES`, and maybe more.
    """

    waiting: bool
    said: dict[str, Any]


class Origins:
    """What the images of a study were made from.

    Parameters
    ----------
    study : Study
        Nothing writes to it meanwhile.
    """

    def __init__(self, study: Study) -> None:
        rooms = [(True, study.path / ".measured"), (False, study.path / "images")]
        self._rooms = [(waiting, os.fspath(room), _names(room)) for waiting, room in rooms if room.is_dir()]

    def of(self, image: str) -> Origin | None:
        """Return what an image's newest results were made from; None where there are none, or not whole."""
        folder = image_id(image)
        for waiting, room, there in self._rooms:
            if folder in there:
                said = read_entries(f"{room}/{folder}/{SCORE}")
                if said is not None and os.access(f"{room}/{folder}/{MEASURED}", os.F_OK):
                    return Origin(waiting, said)
        return None


def _names(folder: Path) -> frozenset[str]:
    with os.scandir(folder) as entries:
        return frozenset(entry.name for entry in entries)


def entries_of(study: Study, image: str) -> dict[str, Any] | None:
    """Return what a finished image's ``score.json`` says, :data:`ENTRIES` at least; None as :func:`read_entries`."""
    return read_entries(f"{study.path}/images/{image_id(image)}/{SCORE}")


def read_entries(path: str) -> dict[str, Any] | None:
    """Return what a ``score.json`` says, :data:`ENTRIES` at least; None where it is not there or not readable."""
    try:
        with io.FileIO(path) as file:  # Of 100,000 files, Path.open takes seconds by itself.
            text = file.readall().decode("utf-8")
        said = _first_level(text)
        said = json.loads(text) if said is None else said
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) else None


def _first_level(text: str) -> dict[str, Any] | None:
    """Return the entries alone; None where the file is not as cher2 writes it, with a line for each key.

    No text in JSON holds a line break, so a line that begins with one blank and a quote is a key of the first level.
    """
    if not (text.startswith("{\n ") and text.endswith("\n}\n")):
        return None
    said = {}
    for name in ENTRIES:
        line = f'\n "{name}": '
        start = text.find(line)
        if start < 0:
            return None
        said[name], _ = _DECODER.raw_decode(text, start + len(line))
    return said
