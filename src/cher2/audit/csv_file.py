"""The audit as a CSV file that is harmless in a spreadsheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields

import pandas as pd

from cher2.audit.lines import AuditLine
from cher2.review.decisions_csv import guarded_columns

COLUMNS = tuple(item.name for item in fields(AuditLine))


def audit_csv(lines: Sequence[AuditLine]) -> str:
    """Return lines of an audit as CSV, a row each; a text that begins like a formula has an apostrophe before it."""
    table = pd.DataFrame([asdict(line) for line in lines], columns=list(COLUMNS))
    table = guarded_columns(table.astype({"number": "int64", "object_id": "Int64"}))
    text: str = table.to_csv(index=False, lineterminator="\n")
    return text
