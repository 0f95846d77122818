"""The tables of objects of many images, read one after the other in batches: no study is too large.

A table of a thousand objects takes less time to decode than to open, so some threads open tables ahead. Only the
columns that are asked for are decoded, and nothing of a table whose statistics say that it holds no such kind.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from cher2.cells.objects import COLUMNS
from cher2.errors import StudyError
from cher2.study.folder import OBJECTS, Study

if TYPE_CHECKING:
    import pyarrow

_THREADS = min(4, os.cpu_count() or 1)
_TOGETHER = 64  # tables that become one batch
_BYTES_TOGETHER = 8 * 2**20  # of files that become one batch
_ROWS_AT_ONCE = 65_536  # of a table that is larger than that
_TEXT = [column.name for column in COLUMNS if column.dtype == "str"]


def scan_objects(
    study: Study,
    images: Iterable[str],
    kinds: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    *,
    categories: bool = False,
) -> Iterator[pd.DataFrame]:
    """Read the graded objects of several images in batches.

    Parameters
    ----------
    study : Study
    images : iterable of str
        Finished images.
    kinds : sequence of str, optional
        Only these kinds.
    columns : sequence of str, optional
        Only these columns, of :data:`cher2.cells.objects.COLUMNS`; with `kinds`, ``kind`` must be among them.
    categories : bool
        Whether texts come as categories: many rows of few texts are quicker so.

    Yields
    ------
    DataFrame
        Some rows, never none, in the order of the images and of their tables.

    Raises
    ------
    StudyError
        A table cannot be read or lacks a column; names it.
    """
    reading = _Reading(kinds, columns, categories)
    ahead: deque[Future[pyarrow.Table | None]] = deque()
    with ThreadPoolExecutor(_THREADS) as threads:
        for paths in _batches(study.folder_of(image) / OBJECTS for image in images):
            if len(paths) == 1:
                yield from (frame for future in _emptied(ahead) if (frame := _frame(future.result())) is not None)
                yield from (frame for part in reading.parts(paths[0]) if (frame := _frame(part)) is not None)
                continue
            ahead.append(threads.submit(reading.together, paths))
            if len(ahead) > _THREADS + 1 and (frame := _frame(ahead.popleft().result())) is not None:
                yield frame
        yield from (frame for future in _emptied(ahead) if (frame := _frame(future.result())) is not None)


def _emptied(ahead: deque[Future[pyarrow.Table | None]]) -> Iterator[Future[pyarrow.Table | None]]:
    while ahead:
        yield ahead.popleft()


def _batches(paths: Iterable[Path]) -> Iterator[list[Path]]:
    """Yield files that are read together; a large one by itself."""
    batch: list[Path] = []
    size = 0
    for path in paths:
        own = path.stat().st_size if path.is_file() else 0
        if batch and (len(batch) == _TOGETHER or size + own > _BYTES_TOGETHER):
            yield batch
            batch, size = [], 0
        batch.append(path)
        size += own
    if batch:
        yield batch


def _frame(table: pyarrow.Table | None) -> pd.DataFrame | None:
    if table is None or not table.num_rows:
        return None
    frame: pd.DataFrame = table.to_pandas()
    return frame


class _Reading:
    """How tables are read."""

    def __init__(self, kinds: Sequence[str] | None, columns: Sequence[str] | None, categories: bool) -> None:
        self._kinds, self._columns = kinds, None if columns is None else list(columns)
        self._text = _TEXT if categories else None

    def together(self, paths: list[Path]) -> pyarrow.Table | None:
        """Return the rows of some small files."""
        import pyarrow

        tables = [part for path in paths for part in self.parts(path) if part.num_rows]
        try:
            return pyarrow.concat_tables(tables, promote_options="permissive") if tables else None
        except pyarrow.ArrowException as error:
            raise StudyError(
                f"the tables of objects cannot be read together ({type(error).__name__})",
                where=f"{paths[0].parent} to {paths[-1].parent.name}",
                remedy="Run 'cher2 run' again: they come from different versions of cher2",
            ) from error

    def parts(self, path: Path) -> Iterator[pyarrow.Table]:
        """Yield the rows of a file, of a large one in parts."""
        import pyarrow
        from pyarrow.parquet import ParquetFile

        try:
            with ParquetFile(path, read_dictionary=self._text) as file:
                if self._holds_none(file.metadata):
                    return
                if file.metadata.num_rows <= _ROWS_AT_ONCE:
                    yield self._checked(file.read(self._columns, use_threads=False), path)
                    return
                for batch in file.iter_batches(_ROWS_AT_ONCE, columns=self._columns, use_threads=False):
                    yield self._checked(pyarrow.Table.from_batches([batch]), path)
        except (OSError, pyarrow.ArrowException) as error:
            raise StudyError(
                f"the table of objects cannot be read ({type(error).__name__})",
                where=str(path),
                remedy=f"Delete {path.parent.name} and run 'cher2 run' again",
            ) from error

    def _holds_none(self, metadata: Any) -> bool:
        """Say whether a file's statistics rule out that it holds an object of the kinds."""
        if self._kinds is None or not metadata.num_rows:
            return not metadata.num_rows
        names = metadata.schema.names
        for group in range(metadata.num_row_groups if "kind" in names else 0):
            known = metadata.row_group(group).column(names.index("kind")).statistics
            if known is None or not known.has_min_max or any(known.min <= kind <= known.max for kind in self._kinds):
                return False
        return "kind" in names

    def _checked(self, table: pyarrow.Table, path: Path) -> pyarrow.Table:
        """Return the rows of the kinds, of a table that has every column."""
        import pyarrow
        import pyarrow.compute

        missing = [name for name in self._columns or ["kind"] if name not in table.column_names]
        if missing:
            raise StudyError(
                f"the table of objects has no column {missing[0]}",
                where=str(path),
                remedy=f"Delete {path.parent.name} and run 'cher2 run' again",
            )
        if self._kinds is None:
            return table
        wanted = [pyarrow.compute.equal(table["kind"], kind) for kind in self._kinds]
        mask = wanted[0]
        for more in wanted[1:]:
            mask = pyarrow.compute.or_(mask, more)
        return table.filter(mask)
