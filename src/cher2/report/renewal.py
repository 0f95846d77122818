"""A report that is written again only where something that it shows has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from cher2.report.derive import PAGE, Derived
from cher2.report.write import assumptions, write_report
from cher2.study.folder import Study
from cher2.study.provenance import read_provenance, software
from cher2.study.trail import sha256_of

MARK = b"<!-- made from "
"""Begins the page's last line: digests of what the page was made from and of the page above it. A page that somebody
changed is written again, and so is one whose last line a crash has cut off."""

SHOWN = (
    "cells.csv",
    "patients.csv",
    "quality.csv",
    "comparison.csv",
    "survival.csv",
    "errors.csv",
    "samples.csv",
    "clinical.csv",
    "protocol.toml",
)


def renew_report(study: Study, derived: Derived, said: Sequence[str] | None = None) -> Path:
    """Write a study's report where it is not there or no longer what its tables, words and versions give.

    Parameters
    ----------
    study : Study
        Whose images have just been found to be those that were scored: the page shows some of their cells.
    derived : Derived
        Its derived tables, as they are on the disk.
    said : sequence of str, optional
        What its numbers assume, as :func:`~cher2.report.write.assumptions` says it; asked for where it is left out.

    Returns
    -------
    Path
        The page.
    """
    page = study.path / PAGE
    said = assumptions(study) if said is None else said
    made_from = _made_from(study, derived, said)
    if page.is_file():
        text, mark, _ = (content := page.read_bytes()).rpartition(MARK)
        if mark and content == text + _last_line(made_from, text):
            return page
    write_report(study, derived, said=said)
    with page.open("ab+") as file:
        file.seek(0)
        file.write(_last_line(made_from, file.read()))
    return page


def _last_line(made_from: str, text: bytes) -> bytes:
    return MARK + f"{made_from} {hashlib.sha256(text).hexdigest()} -->\n".encode()


def _made_from(study: Study, derived: Derived, said: Sequence[str]) -> str:
    words = [*said, *derived.review.notes(), str(derived.review), derived.no_comparison]
    words += [derived.log.head.hash, derived.log.note()]
    parts = [
        study.path.absolute().name,
        read_provenance(study.path).get("images"),
        software(),
        words,
        [sha256_of(path) if path.is_file() else "" for path in (study.path / name for name in SHOWN)],
    ]
    return hashlib.sha256(json.dumps(parts).encode(errors="surrogatepass")).hexdigest()
