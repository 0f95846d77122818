"""Changes JSON, XML, TOML and CSV in their own terms: fields, elements, rows and cells."""

from __future__ import annotations

import copy
import csv
import io
import json
import random
import tomllib
from typing import Any
from xml.etree import ElementTree

import tomli_w
from mutations import hostile_text, hostile_value, mutated_bytes

DEEP = 3000
BILLION_LAUGHS = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">]>'
)
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


def mutated_json(data: bytes, chance: random.Random) -> bytes:
    """Change values and keys of a JSON document; now and then bury one under thousands of brackets."""
    try:
        document = json.loads(data)
    except ValueError:
        return mutated_bytes(data, chance)
    if chance.random() < 0.02:
        return b"[" * DEEP + data + b"]" * DEEP
    document = mutated_tree(document, chance)
    return json.dumps(document).encode()


def mutated_toml(data: bytes, chance: random.Random) -> bytes:
    """Change values and keys of a TOML document, or its lines."""
    try:
        document = _for_toml(mutated_tree(tomllib.loads(data.decode()), chance))
        if chance.random() < 0.6 and isinstance(document, dict):
            return tomli_w.dumps(document).encode()
    except (ValueError, TypeError):
        pass
    lines = data.split(b"\n")
    at = chance.randrange(len(lines))
    key = lines[at].partition(b"=")[0] or b"[x]"
    value = chance.choice((b"1e999", b"nan", b"1979-05-27", b"[[1]]", b"{a.b = 1}", b"0x7fffffffffffffff", b'"""', b""))
    lines[at : at + chance.randrange(2)] = chance.choice(
        ([lines[at], lines[at]], [key + b"= " + value], [b"[" * DEEP], [b'a = "\\uD800"'], [b"x = " + b"[" * DEEP])
    )
    return b"\n".join(lines)


def _for_toml(value: Any) -> Any:
    """Return a value without what TOML cannot say: nothing."""
    if isinstance(value, dict):
        return {key: _for_toml(inner) for key, inner in value.items() if inner is not None}
    return [_for_toml(inner) for inner in value if inner is not None] if isinstance(value, list) else value


def mutated_tree(document: Any, chance: random.Random) -> Any:
    """Return nested lists and mappings with one to three nodes changed, taken out, doubled or exchanged."""
    document = copy.deepcopy(document)
    for _ in range(chance.choice((1, 1, 2, 3))):
        places = list(_places(document))
        if not places:
            return hostile_value(chance)
        home, key = chance.choice(places)
        kind = chance.randrange(6)
        if kind == 0:
            del home[key]
        elif kind == 1:
            other_home, other_key = chance.choice(places)
            home[key] = copy.deepcopy(other_home[other_key])
        elif kind == 2 and isinstance(home, dict):
            home[chance.choice((hostile_text(chance), key.upper(), key + "_"))] = home.pop(key)
        elif kind == 3 and isinstance(home[key], list):
            home[key] = home[key] * chance.choice((0, 2, 50))
        elif kind == 4 and isinstance(home[key], int | float) and not isinstance(home[key], bool):
            home[key] = chance.choice((-home[key], home[key] + 1, home[key] * 1000, float(home[key]), str(home[key])))
        else:
            home[key] = hostile_value(chance)
    return document


def _places(node: Any) -> Any:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, inner in items:
        yield node, key
        yield from _places(inner)


def mutated_xml(data: bytes, chance: random.Random) -> bytes:
    """Change elements and attributes of an XML document, or give it a document type that does harm."""
    text = data.decode("utf-8", "replace")
    head, start = (text[: text.rfind("?>") + 2], text.rfind("?>") + 2) if "?>" in text else ("", 0)
    if text[start:].lstrip().startswith("<!DOCTYPE"):
        start = text.index(">", start) + 1
        head = text[:start]
    try:
        root = ElementTree.fromstring(text[start:])
    except ElementTree.ParseError:
        return mutated_bytes(data, chance)
    if root.tag.startswith("{"):
        ElementTree.register_namespace("", root.tag[1:].partition("}")[0])
    if chance.random() < 0.05:
        document_type = chance.choice((BILLION_LAUGHS, OUTSIDE))
        return f"{document_type}{text[start:]}".replace("</", f"{chance.choice(('&a;', '&d;', '&x;'))}</", 1).encode()
    if chance.random() < 0.02:
        return f"{head}{'<a>' * DEEP}".encode()
    for _ in range(chance.choice((1, 1, 2, 3))):
        _change_element(root, chance)
    try:
        return (head + ElementTree.tostring(root, encoding="unicode")).encode("utf-8", "replace")
    except ValueError:
        return mutated_bytes(data, chance)


def _change_element(root: ElementTree.Element, chance: random.Random) -> None:
    parents = [(parent, child) for parent in root.iter() for child in parent]
    element = chance.choice(list(root.iter()))
    kind = chance.randrange(7)
    if kind <= 2 and element.attrib:
        key = chance.choice(sorted(element.attrib))
        if kind == 0:
            del element.attrib[key]
        elif kind == 1:
            element.attrib[key] = hostile_text(chance)
        else:
            others = [value for other in root.iter() for value in other.attrib.values()]
            element.attrib[key] = chance.choice(others)
    elif kind == 3 and parents:
        parent, child = chance.choice(parents)
        parent.remove(child)
    elif kind == 4 and parents:
        parent, child = chance.choice(parents)
        parent.extend([child] * chance.choice((1, 1, 40)))
    elif kind == 5 and parents:
        (home, _), (_, child) = chance.choice(parents), chance.choice(parents)
        home.insert(0, copy.deepcopy(child))
    else:
        element.text = hostile_text(chance)


def mutated_csv(data: bytes, chance: random.Random) -> bytes:
    """Change cells, rows, columns, separators, quotes or the encoding of a table."""
    try:
        rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error):
        return mutated_bytes(data, chance)
    if not rows or not rows[0]:
        return mutated_bytes(data, chance)
    for _ in range(chance.choice((1, 1, 2, 4))):
        _change_table(rows, chance)
    stream = io.StringIO(newline="")
    writer = csv.writer(
        stream,
        delimiter=chance.choice(",,,,,;\t|"),
        quoting=chance.choice((csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL)),
        lineterminator=chance.choice(("\n", "\n", "\r\n", "\r")),
    )
    writer.writerows(rows)
    encoding = chance.choice(("utf-8",) * 6 + ("utf-8-sig", "utf-16", "cp1252"))
    return stream.getvalue().encode(encoding, "replace")


def _change_table(rows: list[list[str]], chance: random.Random) -> None:
    at = chance.randrange(len(rows))
    column = chance.randrange(max(len(rows[0]), 1))
    kind = chance.randrange(8)
    if kind <= 2 and column < len(rows[at]):
        rows[at][column] = hostile_text(chance)
    elif kind == 3:
        rows.insert(chance.randrange(len(rows) + 1), list(rows[at]))
    elif kind == 4 and len(rows) > 1:
        del rows[at]
    elif kind == 5:
        for row in rows:
            del row[column : column + 1]
    elif kind == 6:
        for row in rows:
            row.insert(column, chance.choice((*row, "0")))
    elif column < len(rows[at]):
        other = chance.choice(rows)
        rows[at][column] = chance.choice(other) if other else ""


DOCUMENT_FORMS = {"json": mutated_json, "xml": mutated_xml, "toml": mutated_toml, "csv": mutated_csv}
