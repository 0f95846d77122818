"""napari, opened for the review of a study: what ``cher2 review`` shows."""

from __future__ import annotations

from pathlib import Path

import napari

from cher2.errors import Cher2Error
from cher2.napari.review_widget import ReviewWidget
from cher2.study.folder import Study


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
    try:
        napari.run()
    finally:
        widget.close_study()
