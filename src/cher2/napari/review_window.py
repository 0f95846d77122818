"""napari, opened for the review of a study: what ``cher2 review`` shows."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import napari
from qtpy.QtCore import QTimer

from cher2.errors import Cher2Error
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
) -> None:
    """Open a study in napari, and return when the window is closed.

    Parameters
    ----------
    study : Study
    reader, queue, blind, images, reviews
        As in :meth:`cher2.napari.review_widget.ReviewWidget.open_study`.

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
    viewer.show()
    with _closed_by_ctrl_c(viewer):
        try:
            napari.run()
        finally:
            widget.close_study()


@contextmanager
def _closed_by_ctrl_c(viewer: napari.Viewer) -> Iterator[None]:
    """Let Ctrl-C in the terminal close the window as its button does: Qt by itself would go on."""
    before = signal.signal(signal.SIGINT, lambda *_: viewer.close())
    # Python looks at signals only when it runs, which in an idle window it does not.
    heartbeat = QTimer()
    heartbeat.timeout.connect(lambda: None)
    heartbeat.start(HEARTBEAT_MS)
    try:
        yield
    finally:
        heartbeat.stop()
        signal.signal(signal.SIGINT, before)
