"""Docstrings are reStructuredText, pages are Markdown: what differs is rewritten while the site is built."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":[a-z]+:`~?(?:[\w.]*\.)?(\w+)`")
"""A cross-reference, such as :func:`~cher2.cells.score.score_image`."""

CITATION = re.compile(r"\[(\d+)\]_")
FOOTNOTE = re.compile(r"^( *)\.\. \[(\d+)\] ", re.MULTILINE)


class MarkdownDocstrings(griffe.Extension):
    """Rewrites each docstring before it is read."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(docstring: str) -> str:
    """Return a docstring with names for cross-references, and citations and their list as Markdown."""
    named = CITATION.sub(r"[\1]", ROLE.sub(r"`\1`", docstring))
    return FOOTNOTE.sub(r"\1\2. ", named)
