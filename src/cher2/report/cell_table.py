"""The rows of ``cells.csv``, of a study of any size: held where they are few, else read from the study in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from cher2.cells.objects import COLUMNS, empty_objects
from cher2.errors import StudyError
from cher2.review.results import FINAL, StudyReadings, scan_reviewed, with_final
from cher2.study.folder import Study

HELD = 50_000
"""Most rows that are held in memory."""

_OWN = ("ck_gate", "cd45_gate", "her2_p90", "her2_membrane", "not_measurable", "failed_gate", "not_graded")
ORDER = (*(column.name for column in COLUMNS if column.name not in _OWN), *FINAL, *_OWN)
"""The columns of ``cells.csv``: the contract's, the final kind and grade, then the others."""


class CellTable:
    """The CTCs of a study, and the objects that a reader judged, as in ``cells.csv``.

    Parameters
    ----------
    study : Study
    images : iterable of str
        Its finished images.
    readings : StudyReadings
        What readers decided.
    """

    def __init__(self, study: Study, images: Iterable[str], readings: StudyReadings) -> None:
        self._study, self._images, self._readings = study, list(images), readings
        self._held: list[pd.DataFrame] | None = None
        self._rows: int | None = None

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """Yield the rows in batches, in the order of ``cells.csv``.

        Parameters
        ----------
        columns : sequence of str, optional
            Only these of the tables of objects, as :func:`cher2.review.results.scan_reviewed` gives them; rows that are
            held come whole.

        Raises
        ------
        StudyError
            A table of objects cannot be read, or the study has changed since the rows were first read.
        """
        if self._held is not None:
            yield from self._held
            return
        rows, held = 0, []
        for objects in scan_reviewed(self._study, self._images, self._readings, columns):
            cells = objects if columns is not None else objects[[*ORDER]]
            rows += len(cells)
            if columns is None and rows <= HELD:
                held.append(cells)
            else:
                held.clear()
            yield cells
        if self._rows not in (None, rows):
            raise StudyError(
                "the study has changed since its tables were derived",
                where=str(self._study.path),
                remedy="Derive them again, with 'cher2 report'",
            )
        self._rows = rows
        if columns is None and rows <= HELD:
            self._held = held

    def of_images(self, images: Iterable[str]) -> pd.DataFrame:
        """Return the rows of some images at once, in the order of ``cells.csv``."""
        wanted = set(images)
        some = CellTable(self._study, [image for image in self._images if image in wanted], self._readings)
        if self._held is not None:
            some._held = [batch[batch["image"].isin(wanted)] for batch in self._held]
        return some.read()

    def read(self) -> pd.DataFrame:
        """Return all rows at once: of a large study, more than memory may hold."""
        tables = list(self.batches())
        return pd.concat(tables, ignore_index=True) if tables else no_cells()


def no_cells() -> pd.DataFrame:
    """Return a table of cells with every column and no row."""
    return with_final(empty_objects(), {})[[*ORDER]]
