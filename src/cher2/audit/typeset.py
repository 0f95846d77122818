"""Texts in the fonts that are installed: what each character is set in, how wide it is, and where lines break.

matplotlib brings DejaVu Sans, which has Latin, Greek, Cyrillic, Arabic and Hebrew. Characters that it lacks are taken
from a font of the computer where there is one; what none has is written as its number, for an empty box tells nothing.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterator

from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.ft2font import FT2Font, LoadFlags

FIRST = "DejaVu Sans"
FURTHER = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Zen Hei"),
    *("Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans", "Yu Gothic", "Malgun Gothic", "Apple SD Gothic Neo"),
    *("Noto Sans Devanagari", "Noto Sans Thai", "Nirmala UI", "Leelawadee UI", "Arial Unicode MS"),
)
"""Fonts for other scripts, as systems bring them, in the order in which they are asked."""

_SIZE = 100


@functools.cache
def families() -> tuple[str, ...]:
    """Return the fonts that are used, in the order in which a character is looked for."""
    installed = {entry.name for entry in fontManager.ttflist}
    return (FIRST, *(name for name in FURTHER if name in installed))


@functools.cache
def _fonts(bold: bool) -> tuple[tuple[FT2Font, frozenset[int]], ...]:
    weight = "bold" if bold else "normal"
    fonts = [get_font(findfont(FontProperties(family=[name], weight=weight))) for name in families()]
    for font in fonts:
        font.set_size(_SIZE, 72)
    return tuple((font, frozenset(font.get_charmap())) for font in fonts)


@functools.cache
def _advance(sign: str, bold: bool) -> float:
    """Return how wide a character is, in parts of the font's size."""
    for font, known in _fonts(bold):
        if ord(sign) in known:
            return float(font.load_char(ord(sign), flags=LoadFlags.NO_HINTING).linearHoriAdvance) / 65536 / _SIZE
    return 1.0


@functools.cache
def _shown(sign: str) -> str:
    if sign in "\t\n\r":
        return " "
    # Signs that turn the direction of writing, or are not seen, could make a text look like another.
    seen = unicodedata.category(sign)[0] != "C" and any(ord(sign) in known for _, known in _fonts(False))
    return sign if seen else f"\\u{{{ord(sign):x}}}"


def printable(text: str) -> str:
    r"""Return a text as it can be printed: characters that no font has, or that nobody sees, as ``\u{738b}``.

    Examples
    --------
    >>> printable("Zoë\u202e\n")
    'Zoë\\u{202e} '
    """
    return "".join(map(_shown, unicodedata.normalize("NFC", text)))


def width(text: str, size: float, *, bold: bool = False) -> float:
    """Return how wide a printable text is at a font's size, both in points."""
    return size * sum(_advance(sign, bold) for sign in text)


def wrapped(text: str, size: float, room: float) -> list[str]:
    """Return a text in lines that fit into a width; a word that is too long is broken where it must be.

    Parameters
    ----------
    text : str
    size, room : float
        The font's size and the width, in points.

    Returns
    -------
    list of str
        At least one line; an empty text gives an empty one.
    """
    lines, line, used = [], "", 0.0
    for word in _words(printable(text)):
        needed = width(word, size)
        if line and used + width(word.rstrip(), size) > room:
            lines.append(line.rstrip())
            line, used = "", 0.0
        while width(word.rstrip(), size) > room:
            part = _fitting(word, size, room)
            lines.append(part)
            word = word[len(part) :]
            needed = width(word, size)
        line, used = line + word, used + needed
    return [*lines, line.rstrip()] if line.rstrip() or not lines else lines


def _words(text: str) -> Iterator[str]:
    """Yield the words of a text, each with the blanks behind it; a path may break behind its slashes."""
    word = ""
    for sign in text:
        if word and word[-1] in " /" and sign != " ":
            yield word
            word = ""
        word += sign
    if word:
        yield word


def _fitting(word: str, size: float, room: float) -> str:
    used = 0.0
    for place, sign in enumerate(word):
        used += width(sign, size)
        if used > room and place:
            return word[:place]
    return word
