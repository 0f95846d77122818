"""The audit as a PDF: A4 on its side, with head of chain, fingerprint of the study and numbers of pages."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_pdf import FigureCanvasPdf, PdfPages
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D

import cher2
from cher2.audit.sheets import (
    COLUMNS,
    GAP_PT,
    LEADING_PT,
    MARGIN_PT,
    PAGE_PT,
    ROW_GAP_PT,
    SIZE_PT,
    Row,
    front_lines,
    pages,
    row_of,
)
from cher2.audit.timeline import Audit
from cher2.audit.typeset import families, printable, width

RULE, FAINT, ALARM = "#444444", "#cccccc", "#a00000"

SMALL_PT = 6.0
"""The size of the foot's letters."""

_TITLE_PT = 24.0
"""What the title takes of the first page."""


def audit_pdf(audit: Audit) -> bytes:
    """Return an audit as a PDF; the same audit gives the same bytes, for no time of printing stands in it."""
    front = front_lines(audit)
    first_pt = _TITLE_PT + (len(front) + 1) * (LEADING_PT + 1)
    sheets = list(pages([row_of(line) for line in audit.lines], first_pt))
    out = io.BytesIO()
    facts = {"Title": f"Audit of {audit.study}", "Creator": f"cher2 {cher2.__version__}", "CreationDate": None}
    # TrueType, so that names can be searched and copied.
    style: Any = {"pdf.fonttype": 42, "pdf.compression": 6}
    with rc_context(style), PdfPages(out, metadata={**facts, "Producer": "cher2, with matplotlib"}) as pdf:
        for number, rows in enumerate(sheets, start=1):
            figure = Figure(figsize=(PAGE_PT[0] / 72, PAGE_PT[1] / 72))
            FigureCanvasPdf(figure)
            sheet = _Sheet(figure)
            top = MARGIN_PT if number > 1 else sheet.front(front, audit)
            sheet.table(rows, top)
            sheet.foot(audit, number, len(sheets))
            pdf.savefig(figure)
    return out.getvalue()


class _Words(Artist):
    """Lines of text of a page, each at its place.

    matplotlib's own text would find out for each where it may break and how it is turned: ten times the time.
    """

    def __init__(self) -> None:
        super().__init__()
        self._words: list[tuple[float, float, str, FontProperties, str]] = []

    def add(self, x: float, y: float, text: str, font: FontProperties, color: str) -> None:
        """Add a line of text that begins at (x, y), in points from the lower left corner."""
        self._words.append((x, y, text, font, color))

    def draw(self, renderer: RendererBase) -> None:
        """Draw all lines; the unit of a PDF is the point."""
        for x, y, text, font, color in self._words:
            context = renderer.new_gc()
            context.set_foreground(color)
            renderer.draw_text(context, x, y, text, font, 0.0, ismath=False)
            context.restore()


@functools.cache
def _font(size: float, bold: bool) -> FontProperties:
    return FontProperties(family=list(families()), size=size, weight="bold" if bold else "normal")


class _Sheet:
    """A page, measured in points from its upper left corner."""

    def __init__(self, figure: Figure) -> None:
        self._figure, self._words = figure, _Words()
        figure.add_artist(self._words)

    def write(
        self, x: float, y: float, text: str, size: float = SIZE_PT, color: str = "black", *, bold: bool = False
    ) -> None:
        """Write a line of text that begins at x and whose base line stands at y."""
        if text:
            self._words.add(x, PAGE_PT[1] - y, text, _font(size, bold), color)

    def write_to(self, x: float, y: float, text: str, size: float, color: str) -> None:
        """Write a line of text that ends at x."""
        self.write(x - width(text, size), y, text, size, color)

    def rule(self, y: float, color: str) -> None:
        """Draw a line across the page."""
        height = 1 - y / PAGE_PT[1]
        ends = [MARGIN_PT / PAGE_PT[0], 1 - MARGIN_PT / PAGE_PT[0]]
        self._figure.add_artist(Line2D(ends, [height, height], linewidth=0.5, color=color))

    def front(self, lines: Sequence[tuple[str, bool]], audit: Audit) -> float:
        """Write what stands above the table on the first page; return where it ends."""
        y = MARGIN_PT + 12
        self.write(MARGIN_PT, y, "Audit trail: who changed what, when and why", 14, bold=True)
        y += _TITLE_PT - 12
        for text, bold in lines:
            y += LEADING_PT + 1
            color = ALARM if bold and audit.faults else "black"
            self.write(MARGIN_PT, y, text, SIZE_PT + 1, color, bold=bold)
        return y + LEADING_PT

    def table(self, rows: Sequence[Row], top: float) -> None:
        """Write the table of a page."""
        y = top + LEADING_PT
        for x, (title, _) in zip(_lefts(), COLUMNS, strict=True):
            self.write(x, y, title, bold=True)
        self.rule(y + 4, RULE)
        y += 4 + ROW_GAP_PT
        for row in rows:
            color = ALARM if any("NOT AS STORED" in text for text in row.cells[-1]) else "black"
            for x, texts in zip(_lefts(), row.cells, strict=True):
                for place, text in enumerate(texts, start=1):
                    self.write(x, y + place * LEADING_PT - 2, text, SIZE_PT, color)
            y += row.height_pt
            self.rule(y - ROW_GAP_PT / 2 + 1, FAINT)
        if not rows:
            self.write(MARGIN_PT, y + LEADING_PT, "Nothing.")

    def foot(self, audit: Audit, number: int, of: int) -> None:
        """Write the foot of a page: which study, which heads, and the page's number."""
        y = PAGE_PT[1] - MARGIN_PT + 4
        self.rule(y - 20, RULE)
        study = printable(f"{audit.study}, identity {audit.identity or 'none yet'}, protocol {audit.protocol}")
        study = _shortened(study, SMALL_PT, PAGE_PT[0] - 2 * MARGIN_PT - 150)
        heads = f"Decisions {audit.log.entry}: {audit.log.hash}    Trail {audit.trail.entry}: {audit.trail.hash}"
        right = (f"Page {number} of {of}", f"cher2 {cher2.__version__}. Research use only")
        for base, left, word in zip((y - 11, y - 2), (study, heads), right, strict=True):
            self.write(MARGIN_PT, base, left, SMALL_PT, RULE)
            self.write_to(PAGE_PT[0] - MARGIN_PT, base, word, SMALL_PT, RULE)


def _lefts() -> list[float]:
    """Return where the columns begin."""
    lefts, x = [], MARGIN_PT
    for _, room in COLUMNS:
        lefts.append(x)
        x += room + GAP_PT
    return lefts


def _shortened(text: str, size: float, room: float) -> str:
    while len(text) > 1 and width(text, size) > room:
        text = f"{text[:-2]}…"
    return text
