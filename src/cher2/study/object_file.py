"""Tables of objects on the disk: ``measured.parquet`` and ``objects.parquet`` of an image's results.

A study has one or two such files an image, each of a few hundred rows: what a file costs by itself is most of what
reading and writing a study costs. So a sample's table is turned into Arrow's form once and cut into its images there,
and many files are read, and awaited by the disk, side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from cher2.cells.objects import COLUMNS
from cher2.errors import StudyError

if TYPE_CHECKING:
    import pyarrow

FILES_AT_ONCE = 8
"""Files that are read or written side by side. Measured on ext4: an image's new grades are safe on the disk after
4.3 ms where each waits for the one before, after 0.6 to 0.9 ms with 4 or 8 at once; 16 gain nothing."""

_TYPES = {
    "str": ("string", "large_string"),
    "bool": ("boolean",),
    "float64": ("floating", "integer"),
    "int32": ("integer",),
    "Int8": ("integer",),
}
_FITTING = {column.name: _TYPES[column.dtype] for column in COLUMNS}
_FILLED = ("image", "object_id", "kind", "duplicate_of")
_sound: list[pyarrow.Schema] = []

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def side_by_side(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """Return what a function that waits for the disk gives for each item, in order; its first error is raised."""
    with ThreadPoolExecutor(FILES_AT_ONCE) as threads:
        return list(threads.map(function, items))


def arrow_table(objects: pd.DataFrame) -> pyarrow.Table:
    """Return a table of objects in Arrow's form, without its index."""
    import pyarrow

    return pyarrow.Table.from_pandas(objects, preserve_index=False, nthreads=1)


def write_objects(table: pyarrow.Table, path: Path) -> None:
    """Write a table of objects, or a slice of one, as Parquet.

    Numbers that hardly repeat gain nothing from a dictionary, and so few rows nothing from statistics; those of texts
    tell which files hold no cell of a kind (:mod:`cher2.study.object_scan`).
    """
    import pyarrow
    from pyarrow import parquet

    texts = [
        field.name
        for field in table.schema
        if pyarrow.types.is_string(field.type) or pyarrow.types.is_large_string(field.type)
    ]
    parquet.write_table(table, path, use_dictionary=texts, write_statistics=texts)


def read_objects(path: Path, columns: Sequence[str] | None = None, kinds: Sequence[str] | None = None) -> pyarrow.Table:
    """Read a table of objects.

    Parameters
    ----------
    path : Path
    columns : sequence of str, optional
        Only these columns.
    kinds : sequence of str, optional
        Only the rows of these kinds.

    Raises
    ------
    StudyError
        The file is not there or damaged.
    """
    import pyarrow
    from pyarrow import compute, parquet

    try:
        with parquet.ParquetFile(path) as file:
            table = file.read(columns=columns, use_threads=False)
        if kinds is not None:
            table = table.filter(compute.is_in(table["kind"], pyarrow.array(kinds, table.schema.field("kind").type)))
    except (OSError, KeyError, pyarrow.ArrowException) as error:
        raise _unreadable(path, error) from error
    if missing := [name for name in columns or ("object_id",) if name not in table.column_names]:
        raise StudyError(
            f"the table of objects has no column {missing[0]}",
            where=str(path),
            remedy=f"Delete {path.parent.name} and run 'cher2 run' again",
        )
    check_columns(table, path)
    return table


def read_as_frame(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a table of objects as pandas has it.

    Raises
    ------
    StudyError
        The file is not there or damaged.
    """
    table = read_objects(path, columns)
    try:
        frame: pd.DataFrame = table.to_pandas()
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        # Metadata tell pandas' types; damaged, they raise whatever they make it stumble over.
        raise _unreadable(path, error) from error
    return frame


def _unreadable(path: Path, error: Exception) -> StudyError:
    return StudyError(
        f"the table of objects cannot be read ({type(error).__name__})",
        where=str(path),
        remedy=f"Delete {path.parent.name} and run 'cher2 run' again",
    )


def as_one(tables: Sequence[pyarrow.Table]) -> pd.DataFrame:
    """Return several tables of objects as one, in order; at least one.

    Text has another type in a file without a row than in the others, and in files of another version of pandas.
    """
    import pyarrow

    frame: pd.DataFrame = pyarrow.concat_tables(tables, promote_options="permissive").to_pandas()
    return frame


def check_columns(table: pyarrow.Table, path: Path) -> None:
    """Refuse a table with a column twice, or with one of :data:`cher2.cells.objects.COLUMNS` that is of another kind.

    Without a row, the kinds of columns say nothing: texts have none then.

    Raises
    ------
    StudyError
    """
    import pyarrow

    schema = table.schema
    empty = [name for name in _FILLED if name in schema.names and table[schema.names.index(name)].null_count]
    # Almost all tables of a study have one schema, and comparing two takes no time.
    if not empty and _sound and schema.equals(_sound[-1]):
        return
    names = schema.names
    what = next((f"has the column {name} twice" for name in names if names.count(name) > 1), "")
    what = what or next((f"lacks values in its column {name}" for name in empty), "")
    for name, kind in zip(names, schema.types, strict=True):
        values = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
        if (
            len(table)
            and name in _FITTING
            and not any(getattr(pyarrow.types, f"is_{fits}")(values) for fits in _FITTING[name])
        ):
            what = what or f"has {values} in its column {name}"
    if what:
        raise StudyError(
            f"the table of objects {what}",
            where=str(path),
            remedy=f"Delete {path.parent.name} and run 'cher2 run' again",
        )
    if len(table):
        _sound[:] = [schema]


def rows_of_each(table: pyarrow.Table, counts: Sequence[int]) -> list[Any]:
    """Cut a table into consecutive slices, without a copy."""
    slices, start = [], 0
    for count in counts:
        slices.append(table.slice(start, count))
        start += count
    return slices
