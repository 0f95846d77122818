"""The XML of a CellTracks (CellSearch) export: grid, camera, filters and the events that an operator looked at.

No export is public. What is read here is what the loader of ACCEPT reads (Zeune, van Dalum and Brune,
https://github.com/LeonieZ/ACCEPT, input_output/Loaders/CellTracks.m and its history): a root ``archive`` or ``export``
with the tables ``runs``, ``events`` and ``test_filters``, each of ``record`` elements with one element a field. Its
first versions read ``archive{2}``, the second node of that name: a document type came before the root. So one is let
pass here, but nothing that it could declare: an entity ends the reading, and no other file is ever opened.

The file is read as a stream: only the fields named here are kept, and depth, records and text are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from xml.parsers import expat

from cher2.errors import ImageError
from cher2.images.image_folders import open_file
from cher2.images.library_faults import figures

ROOTS = ("archive", "export")
"""Names of the root element."""

FIELDS: Mapping[str, tuple[str, ...]] = {
    "runs": ("numcols", "numrows", "camxsize", "camysize"),
    "events": ("eventnum", "framenum", "assigned", "location"),
    "test_filters": ("filtername",),
}
"""The tables that are read, and of their records the fields."""

MAX_BYTES, MAX_DEPTH, MAX_RECORDS, MAX_TEXT = 2**26, 32, 2**18, 2**12
"""Most bytes of a file, elements in one another, records of a table and characters of a field."""

REMEDY = "Export the cartridge again from CellTracks; if it is as exported, report it: no export is public"

_CHUNK = 2**16
_NUMBER = r"\s*([-+]?[0-9]{1,9}(?:\.[0-9]{1,9})?)\s*"
_CORNER = rf"\({_NUMBER},{_NUMBER}\)"
_LOCATION = re.compile(rf"\s*{_CORNER}\s*,?\s*{_CORNER}\s*")

Record = dict[str, str]


@dataclass(frozen=True)
class Event:
    """Something that CellTracks showed to the operator.

    Parameters
    ----------
    number : str
        The event's number, as the export writes it.
    frame : int
        The number of its frame, from 1.
    assigned : bool or None
        The operator called it a CTC; None where the export has no such field.
    corners : tuple of float
        Its box in pixels of the whole cartridge: least y, least x, most y, most x.
    """

    number: str
    frame: int
    assigned: bool | None
    corners: tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Export:
    """What the XML of an export says; one object for all frames of a cartridge.

    Parameters
    ----------
    rows, columns : int or None
        Frames of the cartridge from top to bottom and from left to right, where it says so.
    camera : tuple of int
        Rows and columns of a frame in pixels.
    filters : tuple of str
        The name of each page, in their order; empty where it names none.
    events : tuple of Event, or None
        None where the export has no such table.
    """

    rows: int | None
    columns: int | None
    camera: tuple[int, int]
    filters: tuple[str, ...]
    events: tuple[Event, ...] | None


def is_export(path: Path) -> bool:
    """Say whether a file begins as the XML of an export does; no more of it is read than that takes."""
    tables = _Tables(str(path))
    try:
        for _ in _parsed_chunks(path, tables):
            if tables.seen or tables.root not in ("", *ROOTS):
                break
    except ImageError:
        # Whatever is wrong with it is told by read_export, if it is an export.
        pass
    return bool(tables.seen)


def read_export(path: Path) -> Export:
    """Read the XML of an export; a file that stays as it is is read once a process.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Export

    Raises
    ------
    ImageError
        It cannot be read, is no XML or too large, declares entities, lacks what is needed, or says something that
        cannot be.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise _error(f"the XML of the export cannot be read ({error.strerror})", str(path)) from error
    outcome = _outcome(path, found.st_size, found.st_mtime_ns)
    if isinstance(outcome, ImageError):
        raise ImageError(outcome.what, where=outcome.where, remedy=outcome.remedy)
    return outcome


@lru_cache(maxsize=16)
def _outcome(path: Path, size: int, changed_ns: int) -> Export | ImageError:
    """Return what a file says, or what is wrong with it: a cartridge has hundreds of frames that all ask."""
    tables = _Tables(str(path))
    try:
        if size > MAX_BYTES:
            raise _error(f"the XML of the export has {size} bytes, where at most {MAX_BYTES} are read", str(path))
        for _ in _parsed_chunks(path, tables):
            pass
        return _export(tables)
    except ImageError as error:
        return error


def _parsed_chunks(path: Path, tables: _Tables) -> Iterator[None]:
    """Parse a file piece by piece, and yield after each."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = lambda name, _: tables.start(name)
    parser.EndElementHandler = lambda _: tables.end()
    parser.CharacterDataHandler = tables.text
    parser.EntityDeclHandler = tables.entity
    parser.SkippedEntityHandler = tables.entity
    try:
        with open_file(path) as file:
            while block := file.read(_CHUNK):
                parser.Parse(block, False)
                yield
        parser.Parse(b"", True)
    except OSError as error:
        raise _error(f"the XML of the export cannot be read ({error.strerror})", str(path)) from error
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise _error(f"the XML of the export is damaged ({error})", str(path)) from error


class _Tables:
    """Gathers the records of the tables while expat goes through the file."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.root = ""
        self.seen = set[str]()
        self.records: dict[str, list[Record]] = {table: [] for table in FIELDS}
        self._path: list[str] = []
        self._field: list[str] | None = None

    def start(self, name: str) -> None:
        """Enter an element."""
        if len(self._path) == MAX_DEPTH:
            raise _error(f"the XML of the export has more than {MAX_DEPTH} elements in one another", self.where)
        self._path.append(name.rpartition(":")[2].casefold())
        self.root = self._path[0]
        if self.root not in ROOTS or len(self._path) == 1 or self._path[1] not in FIELDS:
            return
        self.seen.add(self._path[1])
        if len(self._path) == 3 and self._path[2] == "record":
            self._open_record(self.records[self._path[1]])
        elif self._wanted():
            self._field = []

    def text(self, text: str) -> None:
        """Take note of text, where it is a field's."""
        if self._field is None or len(self._path) != 4:
            return
        self._field.append(text)
        if sum(map(len, self._field)) > MAX_TEXT:
            raise _error(f"a field {self._path[3]} of the export is longer than {MAX_TEXT} characters", self.where)

    def end(self) -> None:
        """Leave an element."""
        if self._field is not None and len(self._path) == 4:
            record, name = self.records[self._path[1]][-1], self._path[3]
            if name in record:
                raise _error(f"a record of {self._path[1]} has two fields {name}", self.where)
            record[name] = "".join(self._field).strip()
            self._field = None
        self._path.pop()

    def entity(self, *_: object) -> None:
        """Refuse an entity, declared or used: text that stands elsewhere, in this file or in another."""
        raise _error("the XML of the export declares or uses entities, which no export needs", self.where)

    def _open_record(self, records: list[Record]) -> None:
        if len(records) == MAX_RECORDS:
            raise _error(f"the export has more than {MAX_RECORDS} {self._path[1]}", self.where)
        records.append({})

    def _wanted(self) -> bool:
        path = self._path
        return len(path) == 4 and path[2] == "record" and path[3] in FIELDS[path[1]]


def _export(tables: _Tables) -> Export:
    runs, where = tables.records["runs"], tables.where
    if len(runs) != 1:
        raise _error(f"the export has {len(runs)} records of runs, where one is known", where)
    run = runs[0]
    camera = (_count(run, "camysize", where), _count(run, "camxsize", where))
    rows, columns = (_count(run, name, where) if run.get(name) else None for name in ("numrows", "numcols"))
    filters = tuple(record.get("filtername", "") for record in tables.records["test_filters"])
    if not all(filters):
        raise _error(f"filter {filters.index('') + 1} of the export has no name", where)
    events = tuple(_event(record, where) for record in tables.records["events"])
    known = {event.assigned is None for event in events}
    if len(known) > 1:
        raise _error("some events of the export say whether they are assigned, and some do not", where)
    return Export(rows, columns, camera, filters, events if "events" in tables.seen else None)


def _event(record: Record, where: str) -> Event:
    number = record.get("eventnum", "")
    if not (number.isascii() and number.isdecimal()):
        # It goes into tables: text that a spreadsheet would run as a formula must not.
        raise _error(f'an event of the export has "{figures(number)}" for a number (eventnum)', where)
    place = f"event {number}"
    location = _LOCATION.fullmatch(record.get("location", ""))
    if location is None:
        raise _error(f'{place} lies at "{figures(record.get("location", ""))}", which is not (x,y),(x,y)', where)
    x0, y0, x1, y1 = map(float, location.groups())
    # Which corner comes first is not relied on: a database writes the upper right one, a person the other.
    corners = (min(y0, y1), min(x0, x1), max(y0, y1), max(x0, x1))
    return Event(number, _count(record, "framenum", where, place), _assigned(record, where, place), corners)


def _assigned(record: Record, where: str, place: str) -> bool | None:
    value = record.get("assigned")
    if value is not None and value.casefold() not in ("true", "false"):
        raise _error(f'{place} is assigned "{figures(value)}", which is neither true nor false', where)
    return None if value is None else value.casefold() == "true"


def _count(record: Record, name: str, where: str, place: str = "the run") -> int:
    value = record.get(name, "")
    if not (value.isascii() and value.isdecimal() and len(value) < 7 and int(value) > 0):
        raise _error(f'{place} of the export says {name} = "{figures(value)}", where a number from 1 is due', where)
    return int(value)


def _error(what: str, where: str) -> ImageError:
    return ImageError(what, where=where, remedy=REMEDY)
