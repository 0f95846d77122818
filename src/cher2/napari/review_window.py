"""napari, opened for the review of a study: what ``cher2 review`` shows."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import napari
from qtpy.QtCore import QTimer

from cher2.errors import Cher2Error
from cher2.napari.review_keys import main_window
from cher2.napari.review_widget import ReviewWidget
from cher2.study.folder import Study

HEARTBEAT_MS = 200


def open_review(
    study: Study,
    *,
    reader: str,
    queue: str | None = None,
    blind: bool = False,
    images: Path | None = None,
    reviews: str = "",
    tell: Callable[[str], None] | None = None,
) -> None:
    """Open a study in napari, and return when the window is closed.

    Parameters
    ----------
    study : Study
    reader, queue, blind, images, reviews
        As in :meth:`cher2.napari.review_widget.ReviewWidget.open_study`.
    tell : callable, optional
        Called with what the reader should know of how decisions are stored, where there is something.

    Raises
    ------
    Cher2Error
        The study cannot be reviewed; no window is left open then.
    """
    viewer = napari.Viewer(title=f"cher2: review of {study.path.absolute().name}", show=False)
    widget = ReviewWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Review", area="right")
    try:
        widget.open_study(study.path, reader, queue, blind=blind, images=images, reviews=reviews)
    except Cher2Error:
        viewer.close()
        raise
    if tell is not None and widget.note:
        tell(widget.note)
    viewer.show()
    with _closed_by_ctrl_c(widget):
        try:
            napari.run()
        finally:
            widget.close_study()


@contextmanager
def _closed_by_ctrl_c(widget: ReviewWidget) -> Iterator[None]:
    """Let Ctrl-C in the terminal close the window as its button does, asking first: Qt by itself would go on."""
    before = signal.signal(signal.SIGINT, lambda *_: main_window(widget).close())
    # Python looks at signals only when it runs, which in an idle window it does not.
    heartbeat = QTimer()
    heartbeat.timeout.connect(lambda: None)
    heartbeat.start(HEARTBEAT_MS)
    try:
        yield
    finally:
        heartbeat.stop()
        signal.signal(signal.SIGINT, before)
