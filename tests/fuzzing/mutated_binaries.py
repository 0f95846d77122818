"""Changes TIFF, Parquet and SQLite files in their own terms: tags, columns and values."""

from __future__ import annotations

import io
import random
import sqlite3
import struct
import tempfile
import zlib
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pyarrow
from mutated_documents import mutated_xml
from mutations import HOSTILE_NUMBERS, INTERESTING, hostile_text, mutated_bytes
from pyarrow import parquet

DESCRIPTION = 270
TAGS = (
    254,
    256,
    257,
    258,
    259,
    262,
    270,
    273,
    277,
    278,
    279,
    284,
    317,
    320,
    322,
    323,
    324,
    325,
    338,
    339,
    50838,
    50839,
)
"""Tags of TIFF that say how pixels lie in the file."""


class Entry(NamedTuple):
    """An entry of a directory of a TIFF, and where it stands in the file."""

    at: int
    tag: int
    kind: int
    count: int
    value: int


class Layout(NamedTuple):
    """How a TIFF writes its numbers: those of BigTIFF are longer."""

    order: str
    big: bool

    @property
    def word(self) -> str:
        """The format of a count and of an offset."""
        return self.order + ("Q" if self.big else "I")

    @property
    def word_bytes(self) -> int:
        """The bytes of a count and of an offset."""
        return 8 if self.big else 4

    @property
    def entry_bytes(self) -> int:
        """The bytes of an entry of a directory."""
        return 4 + 2 * self.word_bytes


def layout_of(data: bytes) -> Layout:
    """Return how a TIFF writes its numbers."""
    order = ">" if data[:2] == b"MM" else "<"
    return Layout(order, struct.unpack_from(order + "H", data, 2)[0] == 43)


def directories(data: bytes, layout: Layout) -> list[tuple[list[Entry], int]]:
    """Return the entries of each directory, and the place of the number that leads to the next one."""
    found: list[tuple[list[Entry], int]] = []
    link = 8 if layout.big else 4
    counter = layout.order + ("Q" if layout.big else "H")
    while (at := struct.unpack_from(layout.word, data, link)[0]) and len(found) < 16:
        (count,) = struct.unpack_from(counter, data, at)
        first = at + struct.calcsize(counter)
        places = [first + k * layout.entry_bytes for k in range(count)]
        form = layout.order + "HH" + layout.word[1:] * 2
        found.append(([Entry(place, *struct.unpack_from(form, data, place)) for place in places], link))
        link = first + count * layout.entry_bytes
    return found


def mutated_tiff(data: bytes, chance: random.Random) -> bytes:
    """Change a tag's number, type, count or value, what leads to the next directory, or the description."""
    try:
        layout = layout_of(data)
        found = directories(data, layout)
        changed = bytearray(data)
        for _ in range(chance.choice((1, 1, 2, 3))):
            _change_directory(changed, layout, found, chance)
    except (struct.error, IndexError):
        return mutated_bytes(data, chance)
    return bytes(changed)


def _change_directory(
    changed: bytearray, layout: Layout, found: list[tuple[list[Entry], int]], chance: random.Random
) -> None:
    entries, link = chance.choice(found)
    entry = chance.choice(entries)
    kind = chance.randrange(8)
    if kind == 0:
        starts = [struct.unpack_from(layout.word, changed, place)[0] for _, place in found]
        struct.pack_into(
            layout.word, changed, link, chance.choice((*starts, 0, len(changed), chance.choice(INTERESTING[:9])))
        )
    elif kind == 1:
        struct.pack_into(layout.order + "H", changed, entry.at, chance.choice((*TAGS, chance.randrange(65536))))
    elif kind == 2:
        struct.pack_into(layout.order + "H", changed, entry.at + 2, chance.randrange(0, 20))
    elif kind == 3:
        number = chance.choice((0, 1, 2, entry.count + 1, entry.count * 2, *INTERESTING)) % 256**layout.word_bytes
        struct.pack_into(layout.word, changed, entry.at + 4, number)
    elif kind == 4:
        other = chance.choice(entries)
        changed[entry.at : entry.at + layout.entry_bytes] = changed[other.at : other.at + layout.entry_bytes]
    elif kind == 5 and (said := next((e for e in entries if e.tag == DESCRIPTION), None)) is not None:
        described(changed, layout, said, mutated_description(description_of(changed, said), chance))
    else:
        number = (
            chance.choice((entry.value + 1, entry.value * 2, entry.value // 2, *INTERESTING)) % 256**layout.word_bytes
        )
        struct.pack_into(layout.word, changed, entry.at + 4 + layout.word_bytes, number)


def description_of(data: bytes | bytearray, said: Entry) -> bytes:
    """Return the text of a description; none where it is so short that it stands in the entry itself."""
    return bytes(data[said.value : said.value + said.count]).rstrip(b"\0")


def described(changed: bytearray, layout: Layout, said: Entry, text: bytes) -> None:
    """Give a directory another description, at the end of the file."""
    struct.pack_into(layout.word * 1 + layout.word[1:], changed, said.at + 4, len(text) + 1, len(changed))
    changed += text + b"\0" * 5


def mutated_description(text: bytes, chance: random.Random) -> bytes:
    """Change a description: XML by its elements, ImageJ's lines one by one."""
    if text.startswith(b"<"):
        return mutated_xml(text, chance)
    lines = text.decode("latin-1").split("\n")
    at = chance.randrange(len(lines))
    key = lines[at].partition("=")[0]
    lines[at : at + 1] = chance.choice(
        (
            [],
            [lines[at]] * 2,
            [f"{key}={hostile_text(chance)}"],
            [f"{key}={hostile_text(chance)}"],
            [hostile_text(chance)],
        )
    )
    return "\n".join(lines).encode("utf-8", "replace")


def mutated_ome(data: bytes, chance: random.Random) -> bytes:
    """Change only the XML of an OME-TIFF, by its elements and attributes."""
    layout = layout_of(data)
    entries, _ = directories(data, layout)[0]
    said = next(entry for entry in entries if entry.tag == DESCRIPTION)
    changed = bytearray(data)
    described(changed, layout, said, mutated_xml(description_of(data, said), chance))
    return bytes(changed)


def mutated_parquet(data: bytes, chance: random.Random) -> bytes:
    """Change a column's name, type or values, or the rows of a table."""
    table = parquet.read_table(io.BytesIO(data))
    at = chance.randrange(table.num_columns)
    name, kind = table.column_names[at], chance.randrange(7)
    if kind == 0:
        table = table.drop_columns([name])
    elif kind == 1:
        names = list(table.column_names)
        names[at] = chance.choice((*names, hostile_text(chance)))
        table = table.rename_columns(names)
    elif kind == 2:
        table = table.slice(chance.randrange(table.num_rows + 1), chance.randrange(4))
    elif kind == 3:
        table = pyarrow.concat_tables([table] * chance.choice((2, 3)))
    else:
        table = table.set_column(at, name, _other_values(table.column(at), chance))
    stream = io.BytesIO()
    parquet.write_table(table, stream, use_dictionary=chance.random() < 0.5)
    return stream.getvalue()


def _other_values(column: pyarrow.ChunkedArray, chance: random.Random) -> pyarrow.Array:
    values, kind = column.to_pylist(), chance.randrange(5)
    if kind == 0:
        return pyarrow.nulls(len(values), chance.choice((column.type, pyarrow.null(), pyarrow.string())))
    if kind == 1:
        return pyarrow.array([None if value is None else str(value) for value in values], pyarrow.string())
    if kind == 2:
        return pyarrow.array([hostile_text(chance) for _ in values], pyarrow.string())
    numbers = [number for number in HOSTILE_NUMBERS if abs(number) < 2**62] + [
        float("nan"),
        float("inf"),
        float("-inf"),
    ]
    if kind == 3:
        return pyarrow.array([float(chance.choice(numbers)) for _ in values], pyarrow.float64())
    wild = values[:]
    if wild:
        other = chance.choice(numbers) if pyarrow.types.is_floating(column.type) else None
        wild[chance.randrange(len(wild))] = hostile_text(chance) if pyarrow.types.is_string(column.type) else other
    return pyarrow.array(wild, column.type)


def mutated_sqlite(data: bytes, chance: random.Random) -> bytes:
    """Change a value of a table as somebody would with another program: the file stays a sound database."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.sqlite")
        path.write_bytes(data)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=MEMORY")
            for _ in range(chance.choice((1, 1, 2))):
                _change_database(connection, chance)
        return path.read_bytes()


def _change_database(connection: sqlite3.Connection, chance: random.Random) -> None:
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table' ORDER BY name")]
    if not tables:
        return
    table = chance.choice(tables)
    columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
    column, kind = chance.choice(columns), chance.randrange(8)
    value = chance.choice((hostile_text(chance), chance.randrange(9), 2**62, 0.5, float("inf"), None, b"\xff\0", -1))
    some = f'rowid IN (SELECT rowid FROM "{table}" LIMIT 1 OFFSET {chance.randrange(4)})'
    statement, values = chance.choice((
        (f'UPDATE "{table}" SET "{column}" = ? WHERE {some}', (value,)),
        (f'UPDATE "{table}" SET "{column}" = ?', (value,)),
        (f'UPDATE "{table}" SET "{column}" = CAST("{column}" AS BLOB)', ()),
        (f'DELETE FROM "{table}" WHERE {some}', ()),
    ))  # fmt: skip
    if kind == 0:
        drop = (f'DROP TABLE "{table}"', f'ALTER TABLE "{table}" RENAME COLUMN "{column}" TO x_x')
        statement, values = chance.choice(drop), ()
    try:
        connection.execute(statement, values)
    except sqlite3.Error:
        return  # A constraint that refuses the value.


def mutated_png(data: bytes, chance: random.Random) -> bytes:
    """Change a chunk of a PNG and set its checksum right, or take it out, or double it."""
    chunks, at = [], 8
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    number, kind = chance.randrange(len(chunks)), chance.randrange(6)
    name, content = chunks[number]
    other = (name, mutated_bytes(content, chance) if content else chance.randbytes(4))
    chunks[number : number + 1] = ([], [chunks[number]] * 2)[kind] if kind < 2 else [other]
    body = [struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks]
    return data[:8] + b"".join(body)


def mutated_lif(data: bytes, chance: random.Random) -> bytes:
    """Change the XML at the beginning of a LIF file."""
    (length,) = struct.unpack_from("<I", data, 9)
    end = 13 + 2 * length
    xml = mutated_xml(data[13:end].decode("utf-16-le").encode(), chance).decode("utf-8", "replace")
    coded = xml.encode("utf-16-le", "replace")
    return struct.pack("<IIBI", 0x70, 5 + len(coded), 0x2A, len(coded) // 2) + coded + data[end:]


def mutated_czi(data: bytes, chance: random.Random) -> bytes:
    """Change the XML at the end of a CZI file, or the numbers of its directory."""
    at = data.index(b"ZISRAWMETADATA")
    if chance.random() < 0.4:
        start = data.index(b"ZISRAWDIRECTORY")
        return data[:start] + mutated_bytes(data[start:at], chance) + data[at:]
    (length,) = struct.unpack_from("<i", data, at + 32)
    xml = mutated_xml(data[at + 288 : at + 288 + length], chance)
    size = 256 + len(xml)
    head = struct.pack("<16sqqii", b"ZISRAWMETADATA", size, size, len(xml), 0)
    return data[:at] + head.ljust(288, b"\0") + xml


BINARY_FORMS = {
    "tiff": mutated_tiff, "ome": mutated_ome, "parquet": mutated_parquet, "sqlite": mutated_sqlite, "png": mutated_png,
    "lif": mutated_lif, "czi": mutated_czi,
}  # fmt: skip
