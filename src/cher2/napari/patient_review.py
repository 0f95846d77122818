"""From a patient in a table to the review of that patient's cells."""

from __future__ import annotations

import napari.viewer
from qtpy.QtWidgets import QDockWidget, QWidget

from cher2.errors import Cher2Error
from cher2.napari.review_widget import ReviewWidget
from cher2.study.folder import Study


def review_patient(
    viewer: napari.viewer.Viewer, study: Study, patient_id: str, reader: str, reviews: str = ""
) -> ReviewWidget:
    """Show the cells of one patient for review, in the review of the study that is open, or in a new one.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        A review of another study in its window is closed first, all its decisions stored.
    study : Study
    patient_id : str
    reader : str
        Who reads, where no review of the study is open.
    reviews : str
        The database of decisions, as of :func:`cher2.review.open_log.open_log`.

    Returns
    -------
    ReviewWidget

    Raises
    ------
    Cher2Error
        The study cannot be reviewed, the reader has no name, or the patient's cells cannot be shown.
    """
    widget = next((dock for dock in viewer.window.dock_widgets.values() if isinstance(dock, ReviewWidget)), None)
    if widget is None:
        widget = ReviewWidget(viewer)
        viewer.window.add_dock_widget(widget, name="Review", area="right", tabify=True)
    try:
        if widget.panel is None or widget.panel.session.study.path.resolve() != study.path.resolve():
            widget.open_study(study.path, reader, "patient", reviews=reviews)
        widget.show_patient(patient_id)
    except Cher2Error:
        if widget.panel is None:
            viewer.window.remove_dock_widget(widget)
        raise
    _raise(widget)
    return widget


def _raise(widget: QWidget) -> None:
    """Bring the tab of a dock to the front."""
    dock = widget.parentWidget()
    while dock is not None and not isinstance(dock, QDockWidget):
        dock = dock.parentWidget()
    if dock is not None:
        dock.show()
        dock.raise_()
