"""The tables of objects of many images, read one after the other in batches: no study is too large.

A table of a thousand objects takes less time to decode than to open, so some threads open tables ahead. Only the
columns that are asked for are decoded, and nothing of a table whose statistics say that it holds no such kind.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cher2.cells.objects import COLUMNS
from cher2.errors import StudyError
from cher2.study.folder import OBJECTS, Study
from cher2.study.object_file import check_columns

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
                yield from (frame for part in reading.alone(paths[0]) if (frame := _frame(part)) is not None)
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


@dataclass(frozen=True, eq=False)
class _Part:
    """Rows of a file, and the texts that all of them share, by column: those columns are not in the table."""

    table: pyarrow.Table
    shared: dict[str, str]


class _Reading:
    """How tables are read."""

    def __init__(self, kinds: Sequence[str] | None, columns: Sequence[str] | None, categories: bool) -> None:
        self._kinds, self._columns, self._categories = kinds, None if columns is None else list(columns), categories
        self._places: dict[str, int] = {}

    def together(self, paths: list[Path]) -> pyarrow.Table | None:
        """Return the rows of some small files."""
        import pyarrow

        parts = [part for path in paths for part in self._parts(path) if part.table.num_rows]
        if not parts:
            return None
        shared = set.intersection(*(set(part.shared) for part in parts))
        tables = [_with_texts(part.table, part.shared, set(part.shared) - shared) for part in parts]
        try:
            # One array a column: choosing rows from many small ones takes longer than copying them.
            joined = pyarrow.concat_tables(tables, promote_options="permissive").combine_chunks()
        except pyarrow.ArrowException as error:
            raise StudyError(
                f"the tables of objects cannot be read together ({type(error).__name__})",
                where=f"{paths[0].parent} to {paths[-1].parent.name}",
                remedy="Run 'cher2 run' again: they come from different versions of cher2",
            ) from error
        lengths = [len(table) for table in tables]
        for name in sorted(shared):
            codes, texts = pd.factorize(np.array([part.shared[name] for part in parts], dtype=object))
            rows = np.repeat(codes.astype(np.int32), lengths)
            joined = joined.append_column(name, pyarrow.DictionaryArray.from_arrays(rows, texts))
        return self._of_kinds(joined)

    def alone(self, path: Path) -> Iterator[pyarrow.Table]:
        """Yield the rows of a file, of a large one in parts."""
        for part in self._parts(path):
            yield self._of_kinds(_with_texts(part.table, part.shared, part.shared))

    def _parts(self, path: Path) -> Iterator[_Part]:
        import pyarrow
        from pyarrow.parquet import ParquetFile

        try:
            with ParquetFile(path) as file:
                rows = file.metadata.num_rows
                if not rows or self._holds_none(file.metadata):
                    return
                if rows > _ROWS_AT_ONCE:
                    for batch in file.iter_batches(_ROWS_AT_ONCE, columns=self._columns, use_threads=False):
                        yield _Part(self._checked(pyarrow.Table.from_batches([batch]), {}, path), {})
                    return
                shared = self._shared(file.metadata)
                decoded = None if self._columns is None else [name for name in self._columns if name not in shared]
                yield _Part(self._checked(file.read(decoded, use_threads=False), shared, path), shared)
        except (OSError, pyarrow.ArrowException) as error:
            raise StudyError(
                f"the table of objects cannot be read ({type(error).__name__})",
                where=str(path),
                remedy=f"Delete {path.parent.name} and run 'cher2 run' again",
            ) from error

    def _shared(self, metadata: Any) -> dict[str, str]:
        """Return the texts that all rows have by the statistics: decoding a column takes ten times as long."""
        if not self._categories or self._columns is None or metadata.num_row_groups != 1:
            return {}
        known = {
            name: self._statistics(metadata, 0, name) for name in self._columns if name in _TEXT and name != "kind"
        }
        return {
            name: said.min
            for name, said in known.items()
            if said is not None and said.has_min_max and said.null_count == 0 and said.min == said.max
        }

    def _holds_none(self, metadata: Any) -> bool:
        """Say whether a file's statistics rule out that it holds an object of the kinds."""
        if self._kinds is None:
            return False
        for group in range(metadata.num_row_groups):
            said = self._statistics(metadata, group, "kind")
            if said is None or not said.has_min_max or any(said.min <= kind <= said.max for kind in self._kinds):
                return False
        return True

    def _statistics(self, metadata: Any, group: int, name: str) -> Any:
        """Return the statistics of a column; None where there are none."""
        place = self._places.get(name, 0)
        if place >= metadata.num_columns or metadata.row_group(group).column(place).path_in_schema != name:
            # Almost all files have their columns in one order.
            names = metadata.schema.names
            if name not in names:
                return None
            place = self._places[name] = names.index(name)
        return metadata.row_group(group).column(place).statistics

    def _checked(self, table: pyarrow.Table, shared: Collection[str], path: Path) -> pyarrow.Table:
        """Return a table that has every column."""
        there = {*table.column_names, *shared}
        missing = [name for name in self._columns or ["kind"] if name not in there]
        if missing:
            raise StudyError(
                f"the table of objects has no column {missing[0]}",
                where=str(path),
                remedy=f"Delete {path.parent.name} and run 'cher2 run' again",
            )
        check_columns(table, path)
        return table

    def _of_kinds(self, table: pyarrow.Table) -> pyarrow.Table:
        """Return the rows of the kinds, their columns in order, texts as they are wanted."""
        import pyarrow.compute

        if self._kinds is not None:
            wanted = [pyarrow.compute.equal(table["kind"], kind) for kind in self._kinds]
            table = table.filter(reduce(pyarrow.compute.or_, wanted))
        table = table if self._columns is None else table.select(self._columns)
        if not self._categories:
            return table
        for place, name in enumerate(table.column_names):
            if pyarrow.types.is_string(table.schema.field(place).type):
                table = table.set_column(place, name, table[name].dictionary_encode())
        return table


def _with_texts(table: pyarrow.Table, shared: dict[str, str], names: Collection[str]) -> pyarrow.Table:
    """Return a table with columns of one text each."""
    import pyarrow

    for name in names:
        table = table.append_column(name, pyarrow.repeat(pyarrow.scalar(shared[name], pyarrow.string()), len(table)))
    return table
