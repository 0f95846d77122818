"""The keys of a review, in one table, and the shortcuts of a window that it makes.

The shortcuts are Qt's, of the whole window: they work in the dock, in the gallery and over the image, and come before
the keys that napari binds to the viewer and to its layers. A text field that has the focus keeps its characters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import NamedTuple

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QShortcut, QWidget  # type: ignore[attr-defined]  # of QtGui in Qt 6; qtpy has it here too


class ReviewKey(NamedTuple):
    """A key of the review.

    Parameters
    ----------
    keys : str
        As Qt writes them: ``Shift+N``.
    action : str
        The name of what it does.
    words : str
        The same for a reader.
    repeats : bool
        Whether holding the key does it again and again; a decision never repeats.
    """

    keys: str
    action: str
    words: str
    repeats: bool = False


KEYS = (
    ReviewKey("0", "grade_0", "Grade 0, and go on"),
    ReviewKey("1", "grade_1", "Grade 1+, and go on"),
    ReviewKey("2", "grade_2", "Grade 2+, and go on"),
    ReviewKey("3", "grade_3", "Grade 3+, and go on"),
    ReviewKey("X", "not_ctc", "Not a CTC, and go on"),
    ReviewKey("Y", "is_ctc", "Is a CTC, and go on"),
    ReviewKey("S", "skip", "Skip: decide nothing, and go on"),
    ReviewKey("T", "note", "Text: note something on the cell"),
    ReviewKey("N", "next", "Next cell", repeats=True),
    ReviewKey("Shift+N", "previous", "Previous cell", repeats=True),
    ReviewKey("J", "next_unreviewed", "Jump to the next unreviewed cell"),
    ReviewKey("U", "undo", "Undo the newest decision"),
    ReviewKey("R", "redo", "Redo what was undone"),
    ReviewKey("C", "channels", "Channels: composite, then one by one, in gallery and viewer"),
    ReviewKey("A", "auto_contrast", "Automatic contrast of the current cell, on or off"),
    ReviewKey("E", "outlines", "Edit the outlines of this frame, or end it"),
    ReviewKey("K", "agreement", "Kappa: how far readers agree, or back"),
    ReviewKey("?", "show_keys", "Show these keys"),
)
"""Every key of the review; the buttons, the shortcuts and the help are made from it."""


def key_of(action: str) -> str:
    """Return the key of an action, as a reader knows it: ``Shift-N``."""
    return next(key.keys.replace("+", "-") for key in KEYS if key.action == action)


def keys_html() -> str:
    """Return the table of keys for a rich-text label."""
    rows = (
        f"<tr><td><b>{escape(key.keys.replace('+', '-'))}</b>&nbsp;&nbsp;</td><td>{key.words}</td></tr>" for key in KEYS
    )
    return f"<table>{''.join(rows)}</table>"


class ReviewShortcuts:
    """The keys in force in one window.

    Parameters
    ----------
    actions : mapping of str to callable
        What each action of :data:`KEYS` does.
    """

    def __init__(self, actions: Mapping[str, Callable[[], None]]) -> None:
        self._actions = actions
        self._shortcuts: list[QShortcut] = []

    def attach(self, window: QWidget) -> None:
        """Put the keys in force in a window, and in no other."""
        self.detach()
        for key in KEYS:
            shortcut = QShortcut(window)
            # Where ? is on a shifted key, some platforms report the Shift with it and some do not.
            names = (key.keys, "Shift+?") if key.keys == "?" else (key.keys,)
            shortcut.setKeys([QKeySequence(name) for name in names])
            shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
            shortcut.setAutoRepeat(key.repeats)
            shortcut.activated.connect(self._actions[key.action])
            self._shortcuts.append(shortcut)

    def detach(self) -> None:
        """Leave no key behind."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._shortcuts = []


def main_window(widget: QWidget) -> QWidget:
    """Return the window that a widget belongs to; of a floating dock, the one that it came from."""
    window = widget.window() or widget
    while (owner := window.parentWidget()) is not None:
        window = owner.window() or owner
    return window
