"""Matplotlib's figures as SVG that belongs to a page, as PDF, and with the numbers that they show.

Text stays text, so that it can be searched and is light; what is ink takes the page's own colour, so that a
figure reads on a light and on a dark page. The same figure gives the same bytes.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import pandas as pd
from matplotlib import style
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from cher2.review.decisions_csv import guarded_columns

INK = "#010203"  # stands for the page's colour of text until the SVG is written
_OURS: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "cher2",
    "path.simplify": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # matplotlib measures with it; its long default list is in every text
    "font.size": 8,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
STYLE: list[Any] = ["default", _OURS]
"""What figures of a page are drawn with, whatever the user's matplotlibrc; for :func:`matplotlib.style.context`."""

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"


@dataclass(frozen=True)
class SvgFigure:
    """A figure to be put into a page.

    Parameters
    ----------
    panels : tuple of str
        ``<svg>`` elements, to be shown one below the other; none where there is nothing to show.
    notes : tuple of str
        What a caption must add, as sentences without their full stops: who is not shown, and why.
    name : str
        What its files are called when they are taken out of the page.
    pdf : bytes
        The panels as pages, black on white.
    numbers : str
        What the figure shows, as CSV that is harmless in a spreadsheet.
    """

    panels: tuple[str, ...]
    notes: tuple[str, ...] = ()
    name: str = ""
    pdf: bytes = b""
    numbers: str = ""


def drawn(
    name: str,
    drawings: Sequence[tuple[Figure, str]],
    numbers: pd.DataFrame,
    notes: Sequence[str] = (),
) -> SvgFigure:
    """Make a page's figure of what matplotlib has drawn.

    Parameters
    ----------
    name : str
        What the ids of its panels begin with; another one for each figure of a page.
    drawings : sequence of (Figure, str)
        A panel each, drawn with :data:`STYLE`, and what a screen reader says of it.
    numbers : DataFrame
        What is shown, to be taken out of the page.
    notes : sequence of str
        As of :class:`SvgFigure`.

    Returns
    -------
    SvgFigure
    """
    file = io.BytesIO()
    with style.context(STYLE), _no_word_of_missing_signs():
        panels = [to_svg(figure, f"{name}{k}" if k else name, title) for k, (figure, title) in enumerate(drawings)]
        with PdfPages(file, metadata={"CreationDate": None, "Creator": None, "Producer": None}) as pages:
            for figure, _ in drawings:
                pages.savefig(figure)
    table = guarded_columns(numbers).to_csv(index=False, lineterminator="\n")
    return SvgFigure(tuple(panels), tuple(notes), name, file.getvalue(), table)


@contextmanager
def _no_word_of_missing_signs() -> Iterator[None]:
    """Keep matplotlib from warning that its font lacks a sign of a name: a browser draws text with its own fonts."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        yield


def to_svg(figure: Figure, name: str, title: str) -> str:
    """Return a figure as an ``<svg>`` element.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Drawn with :data:`STYLE`.
    name : str
        What the figure's ids begin with; another one for each figure of a page.
    title : str
        What a screen reader says of it.
    """
    file = io.StringIO()
    with _no_word_of_missing_signs():
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(file.getvalue())
    return _for_page(root, name, title)


def _for_page(root: ElementTree.Element, name: str, title: str) -> str:
    """Return the SVG as part of a page: scalable, titled, in the page's ink, its ids its own."""
    parents = [(parent, child) for parent in root.iter() for child in parent]
    for parent, child in parents:
        # A style sheet in an SVG is the whole page's; what matplotlib's says is said once at the root.
        if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
            parent.remove(child)
    used = {found for element in root.iter() for found in _references(element)}
    for element in root.iter():
        identity = element.attrib.pop("id", "")
        if identity in used:
            element.set("id", f"{name}-{identity}")
        for key, value in element.attrib.items():
            element.set(key, _short(value) if key in ("d", "x", "y") else _own(value, name))
    for key in ("width", "height"):
        root.attrib.pop(key)
    root.attrib |= {"role": "img", "stroke-linejoin": "round", "stroke-linecap": "butt"}
    heading = ElementTree.Element(f"{{{_SVG}}}title")
    heading.text = title
    root.insert(0, heading)
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def _short(numbers: str) -> str:
    """Cut coordinates to hundredths of a point."""
    return re.sub(r"(\.\d\d)\d+", r"\1", numbers)


def _own(value: str, name: str) -> str:
    """Put the figure's name before what an attribute refers to, and the page's ink for ours."""
    return re.sub(r"^#(?=[a-z])|(?<=url\(#)", lambda found: f"{found[0]}{name}-", value).replace(INK, "currentColor")


def _references(element: ElementTree.Element) -> list[str]:
    values = (value for key, value in element.attrib.items() if "#" in value and key != "id")
    return [found for value in values for found in re.findall(r"(?:^|url\()#([\w-]+)", value)]
