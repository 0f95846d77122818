"""What a page holds besides its text: files to be taken out of it, pictures that its script opens, tables as rows."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from cher2.cohorts.results import Estimate
from cher2.report.patient_sheets import PatientSheet
from cher2.review.agreement import StudyAgreement


def data_uri(kind: str, content: bytes | str) -> str:
    """Return a file as an address that a link can hold.

    Parameters
    ----------
    kind : str
        Its media type, such as ``text/csv``.
    content : bytes or str
        Text is written as UTF-8.

    Examples
    --------
    >>> data_uri("text/csv", "a,b")
    'data:text/csv;base64,YSxi'
    """
    raw = content.encode() if isinstance(content, str) else content
    return f"data:{kind};base64,{base64.b64encode(raw).decode()}"


def sheets_data(sheets: Sequence[PatientSheet]) -> Markup:
    """Return the patients' cells as JSON that can stand in a page, by patient.

    No text in it can end the element that it stands in, or begin another.
    """
    found = {
        sheet.patient_id: {
            "webp": base64.b64encode(sheet.webp).decode(),
            "of": sheet.of,
            "cells": [
                [cell.grade, None if math.isnan(cell.her2) else float(f"{cell.her2:.4g}"), cell.image, cell.object_id]
                for cell in sheet.cells
            ],
        }
        for sheet in sheets
    }
    # ASCII only: lone surrogates of undecodable file names are no UTF-8.
    text = json.dumps(found, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def agreement_rows(found: StudyAgreement) -> dict[str, Any]:
    """Return the agreement of readers as rows of text: pairs, their confusion tables, alphas and notes."""
    return {
        "pairs": [
            {
                "first": pair.first,
                "second": pair.second,
                "reading": pair.reading,
                "cells": len(pair.rows),
                "grade": _interval(pair.grade),
                "ctc": _interval(pair.ctc),
                "words": list(pair.confusion.columns),
                "counts": list(zip(pair.confusion.index, pair.confusion.to_numpy().tolist(), strict=True)),
            }
            for pair in found.pairs
        ],
        "alphas": [(reading, _interval(alpha)) for reading, alpha in found.alphas],
        "disagreements": found.disagreements,
        "settled": found.settled,
        "notes": found.notes(),
    }


def _interval(estimate: Estimate) -> str:
    if estimate.reason:
        return f"none: {estimate.reason}"
    if math.isinf(estimate.low):
        return f"{estimate.value:.2f} (no interval)"
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"
