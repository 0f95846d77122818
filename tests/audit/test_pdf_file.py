"""Pages of the audit: no text outside its column, no line of the audit lost, every name legible, stable bytes."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from cher2.audit.lines import AuditLine
from cher2.audit.pdf_file import audit_pdf
from cher2.audit.sheets import COLUMNS, FOOT_PT, HEAD_PT, MARGIN_PT, PAGE_PT, SIZE_PT, pages, row_of
from cher2.audit.timeline import Audit, Wanted
from cher2.audit.typeset import families, printable, width, wrapped
from cher2.review.chain import Head

NAMES = ("Łucja Żółć", "Ζωή", "Нина", "=1+1", "$x^2$", "王小明", "a\u202eb", "i" * 400)


def audit(lines):
    return Audit("study", "5" * 32, "CXC (54bab11d2007e3c6)", tuple(lines), len(lines), Wanted(), Head(), Head(), ())


def line(number, who="Ada", reason=""):
    return AuditLine(
        "2026-11-22T15:20:03.000000+00:00", "decision", number, who, "graded", "P1", "P1/a.tif", 7, "1+", "2+", reason
    )


def test_lines_of_text_fit_their_column_and_lose_nothing():
    for text in (*NAMES, "", "faint, out of focus " * 100, "P01/" + "long_name" * 30 + "/frame.tif"):
        lines = wrapped(text, SIZE_PT, 60)
        assert all(width(part, SIZE_PT) <= 60 for part in lines)
        assert "".join(lines).replace(" ", "") == printable(text).replace(" ", "")
    assert wrapped("", SIZE_PT, 60) == [""]


def test_what_nobody_sees_is_written_as_its_number():
    assert printable("a\u202eb\x00\u200b") == "a\\u{202e}b\\u{0}\\u{200b}"
    assert printable("Zoë\nŁ Ж Ω") == "Zoë Ł Ж Ω"
    if len(families()) == 1:
        assert printable("王") == "\\u{738b}"


def test_every_row_stands_on_a_page_once_and_none_reaches_into_the_foot():
    lines = [line(number, reason="x " * (2000 if number == 5 else 40 * (number % 7))) for number in range(1, 120)]
    sheets = list(pages([row_of(one) for one in lines], 150))
    whole = PAGE_PT[1] - MARGIN_PT - HEAD_PT - FOOT_PT
    heights = [sum(row.height_pt for row in sheet) for sheet in sheets]
    assert heights[0] <= whole - 150
    assert max(heights) <= whole
    numbers = [row.cells[0][0] for sheet in sheets for row in sheet if row.cells[0]]
    assert numbers == [f"D {number}" for number in range(1, 120)]
    assert sum(room for _, room in COLUMNS) + 8 * (len(COLUMNS) - 1) <= PAGE_PT[0] - 2 * MARGIN_PT + 1
    assert list(pages([], 150)) == [[]]


def test_the_same_audit_gives_the_same_bytes_without_a_date():
    lines = [line(number, who) for number, who in enumerate(NAMES, start=1)]
    first = audit_pdf(audit(lines))
    assert first == audit_pdf(audit(lines))
    assert b"CreationDate" not in first
    assert len(re.findall(rb"/Type /Page\b", first)) == 1


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="needs pdftotext of poppler-utils")
def test_names_and_hashes_can_be_taken_out_of_the_pages(tmp_path):
    path = tmp_path / "a.pdf"
    path.write_bytes(audit_pdf(audit([line(number, who) for number, who in enumerate(NAMES[:5], start=1)])))
    text = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, check=True).stdout.decode()
    for word in (*NAMES[:5], "Page 1 of 1", "Research use only", "5" * 32, "0" * 64):
        assert word in text
