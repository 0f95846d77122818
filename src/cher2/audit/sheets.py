"""The audit's lines laid out on pages: which words stand in which column, and which lines share a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cher2.audit.lines import AuditLine, joined
from cher2.audit.timeline import Audit
from cher2.audit.typeset import wrapped

PAGE_PT = (841.89, 595.28)
"""A4 on its side, in points."""

MARGIN_PT = 36.0
SIZE_PT = 7.0
LEADING_PT = 9.0
GAP_PT = 8.0
"""Between two columns."""

ROW_GAP_PT = 4.0
"""Between two lines of the audit."""

HEAD_PT = 46.0
FOOT_PT = 40.0
"""What the head of the table and the foot of the page take."""

COLUMNS = (
    *(("No.", 36.0), ("Time (UTC)", 76.0), ("Who", 84.0), ("What", 84.0)),
    *(("Patient, image, cell", 128.0), ("From", 66.0), ("To", 66.0), ("Why, and what else is known", 173.0)),
)
"""The table's columns with their widths in points."""


@dataclass(frozen=True)
class Row:
    """A line of the audit as it stands on a page.

    Parameters
    ----------
    cells : tuple of tuple of str
        The lines of text of each column.
    """

    cells: tuple[tuple[str, ...], ...]

    @property
    def height_pt(self) -> float:
        """How much of a page it takes."""
        return max(map(len, self.cells)) * LEADING_PT + ROW_GAP_PT


def row_of(line: AuditLine) -> Row:
    """Lay a line of the audit out."""
    prefix = {"decision": "D", "outline": "O", "trail": "T"}[line.source]
    number = f"{prefix} {line.number}" if line.number > 0 else prefix
    cell = "" if line.object_id is None else f"cell {line.object_id}"
    where = joined(line.patient_id, line.image, cell)
    # A minute is 16 characters; the seconds matter as well, their fractions do not.
    texts = [number, line.at[:19].replace("T", " "), line.who, line.what, where, line.before, line.after]
    texts.append(joined(line.reason and f"“{line.reason}”", line.details))
    return Row(tuple(tuple(wrapped(text, SIZE_PT, room)) for text, (_, room) in zip(texts, COLUMNS, strict=True)))


def front_lines(audit: Audit) -> list[tuple[str, bool]]:
    """Return the lines of text above the table on the first page, and whether each is bold."""
    room = PAGE_PT[0] - 2 * MARGIN_PT
    wanted = str(audit.wanted)
    texts = [
        (f"Study {audit.study}, identity {audit.identity or 'none yet'}", False),
        (f"Protocol {audit.protocol}", False),
        (f"{len(audit.lines)} of {audit.n_all} lines{f' ({wanted})' if wanted else ''}", False),
        *((f"{words}.", False) for words in audit.heads()),
        (_verdict(audit), True),
        *((fault, True) for fault in audit.faults),
        (_EXPLAINED, False),
    ]
    return [(line, bold) for text, bold in texts for line in wrapped(text, SIZE_PT + 1, room * (0.94 if bold else 1))]


_EXPLAINED = (
    "No.: D an entry of the log of decisions, O a correction of an image's outlines, T an event of the study's trail. "
    "The order is that of storing. Names are as the readers gave them; nobody has signed here. \\u{738b} stands for "
    "a character that no font here has. What these hashes show, and what not: docs/audit.md."
)


def _verdict(audit: Audit) -> str:
    if not audit.faults:
        return "Nothing differs from what was stored, as far as the chains of hashes and the trail tell."
    return f"NOT AS STORED, in {len(audit.faults)} places:"


def pages(rows: Sequence[Row], first_pt: float) -> Iterator[list[Row]]:
    """Put rows on pages; at least one page, and no row is cut unless it is taller than a page.

    Parameters
    ----------
    rows : sequence of Row
    first_pt : float
        What the text above the table takes of the first page.
    """
    whole = PAGE_PT[1] - MARGIN_PT - HEAD_PT - FOOT_PT
    page, left = list[Row](), whole - first_pt
    for row in rows:
        for part in _parts(row, whole):
            if part.height_pt > left and (page or left < whole):
                yield page
                page, left = [], whole
            page.append(part)
            left -= part.height_pt
    yield page


def _parts(row: Row, whole_pt: float) -> Iterator[Row]:
    """Cut a row that is taller than a page: two thousand characters of a note may be."""
    most = int((whole_pt - ROW_GAP_PT) // LEADING_PT)
    for start in range(0, max(map(len, row.cells)), most):
        yield Row(tuple(lines[start : start + most] for lines in row.cells))
