"""The chain of a TIFF's pages and the sizes of their tags, looked at before a library believes them.

tifffile follows a circle of pages without end, takes a chain that is cut for a short one, and reads a tag of as many
gigabytes as the file claims, holes in a sparse file among them.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from cher2.errors import ImageError

MAX_PAGES = 2**16
"""Most pages of a file: 93 cartridges of 175 frames and four channels."""

MAX_TAGS = 4096
"""Most tags of a page."""

MAX_NUMBERS, MAX_TEXT, MAX_BYTES = 2**23, 2**23, 2**26
"""Most bytes of a page's numbers, of its description, and of its private bytes."""

_EXPORT = "Export the image again as OME-TIFF"
_COPY = "The file was cut short: copy it again from its source"
_DESCRIPTION = 270
_BYTES = (1, 2, 7)
_ITEM = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a value by the number of its type (TIFF 6.0, section 2; BigTIFF's are 16 to 18)."""


class _Form(NamedTuple):
    """How numbers are written: where the first page's offset stands, an offset, a count of tags, a tag's head."""

    start: int
    offset: struct.Struct
    n_tags: struct.Struct
    head: struct.Struct
    tag_bytes: int


def page_offsets(stream: Any, size: int, where: str) -> list[int]:
    """Return where in the file each page's tags begin.

    Parameters
    ----------
    stream : file
        Open for reading and seeking; it begins as a TIFF or a BigTIFF does.
    size : int
        Its bytes.
    where : str
        The file, for errors.

    Raises
    ------
    ImageError
        There is no page; the chain leads out of the file or into a circle, or is longer than :data:`MAX_PAGES`; a
        page has more tags, or a tag more bytes, than any image has.
    struct.error
        The header is cut.
    """
    stream.seek(0)
    form = _form(stream.read(4))
    at, offsets = form.start, dict[int, None]()
    while offset := _number(stream, form.offset, at):
        if offset in offsets or len(offsets) == MAX_PAGES:
            why = "lead in a circle" if offset in offsets else f"are more than {MAX_PAGES}"
            raise ImageError(f"its pages {why}", where=where, remedy=_EXPORT)
        if offset + form.n_tags.size > size:
            raise ImageError(f"it ends before its page {len(offsets) + 1}", where=where, remedy=_COPY)
        offsets[offset] = None
        tags = _number(stream, form.n_tags, offset)
        if tags > MAX_TAGS:
            raise ImageError(f"its page {len(offsets)} has {tags} tags", where=where, remedy=_EXPORT)
        at = offset + form.n_tags.size + tags * form.tag_bytes
        if at + form.offset.size > size:
            raise ImageError(f"it ends within its page {len(offsets)}", where=where, remedy=_COPY)
        _check_tags(stream.read(tags * form.tag_bytes), form, len(offsets), where)
    if not offsets:
        raise ImageError("it has no page", where=where, remedy=_EXPORT)
    return list(offsets)


def _form(head: bytes) -> _Form:
    order = "<" if head[:2] == b"II" else ">"
    if 43 in head[2:4]:
        return _Form(8, struct.Struct(order + "Q"), struct.Struct(order + "Q"), struct.Struct(order + "HHQ"), 20)
    return _Form(4, struct.Struct(order + "I"), struct.Struct(order + "H"), struct.Struct(order + "HHI"), 12)


def _number(stream: Any, form: struct.Struct, at: int) -> int:
    stream.seek(at)
    return int(form.unpack(stream.read(form.size))[0])


def _check_tags(entries: bytes, form: _Form, page: int, where: str) -> None:
    """Refuse tags that would fill the memory; a tag of an unknown type is never read."""
    numbers = texts = 0
    for start in range(0, len(entries), form.tag_bytes):
        code, kind, count = form.head.unpack_from(entries, start)
        length = count * _ITEM.get(kind, 0)
        numbers += 0 if kind in _BYTES else length
        texts += length if kind in _BYTES else 0
        most = MAX_TEXT if code == _DESCRIPTION else MAX_BYTES
        if numbers > MAX_NUMBERS or texts > MAX_BYTES or length > most:
            raise ImageError(f"tag {code} of its page {page} claims {length} bytes", where=where, remedy=_EXPORT)
