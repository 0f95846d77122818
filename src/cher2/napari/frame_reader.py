"""Frames for the window of a review: read in a thread, the next ones before they are asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]  # qtpy renames PyQt's pyqtSignal

from cher2.errors import Cher2Error
from cher2.protocol import Role

KEPT = 5
"""Frames that are kept, the current one and the next among them: of 1036 x 1384 pixels, with labels, 85 MB."""

ASK_EVERY_MS = 4


@dataclass(frozen=True, eq=False)
class FramePixels:
    """What is shown of a frame.

    Parameters
    ----------
    image : str
        Its name.
    planes : mapping of role to ndarray, shape (Y, X)
    labels : ndarray of int, shape (Y, X)
    pixel_size_um : float
    """

    image: str
    planes: Mapping[Role, NDArray[Any]]
    labels: NDArray[Any]
    pixel_size_um: float


class FrameReader(QObject):
    """Reads frames in a thread of its own.

    Parameters
    ----------
    read : callable
        From an image's name to its pixels; called in the thread.
    parent : QObject, optional
    """

    ready = Signal(str)
    failed = Signal(str, str)
    """An image's name, and why it cannot be read."""

    def __init__(self, read: Callable[[str], FramePixels], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._read = read
        self._kept: OrderedDict[str, FramePixels] = OrderedDict()
        self._faults: dict[str, str] = {}
        self._wanted: list[str] = []
        self._reading: tuple[str, Future[FramePixels]] | None = None
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cher2-frames")
        # The thread knows nothing of Qt, whose objects must live and die in the window's: it is asked, by a timer.
        self._ask = QTimer(self)
        self._ask.setInterval(ASK_EVERY_MS)
        self._ask.timeout.connect(self._take)
        self.destroyed.connect(self._thread.shutdown)

    def frame(self, image: str) -> FramePixels | None:
        """Return a frame that is read; None for one that is not yet, or cannot be."""
        if image in self._kept:
            self._kept.move_to_end(image)
        return self._kept.get(image)

    def fault(self, image: str) -> str:
        """Return why a frame cannot be read; empty for one that can, or was not tried."""
        return self._faults.get(image, "")

    def want(self, images: Iterable[str]) -> None:
        """Read these frames, the first one first; what was wanted before and is not yet begun is forgotten."""
        self._wanted = [image for image in dict.fromkeys(images) if image not in self._kept]
        self._go_on()

    def forget(self, image: str) -> None:
        """Drop a frame, so that it is read anew: its outlines were corrected, or its file was put back."""
        self._kept.pop(image, None)
        self._faults.pop(image, None)

    def close(self) -> None:
        """Read no more; what is being read is dropped."""
        self._closed = True
        self._ask.stop()
        self._wanted = []
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _go_on(self) -> None:
        self._wanted = [image for image in self._wanted if image not in self._faults]
        if self._reading is not None or self._closed or not self._wanted:
            return
        image = self._wanted.pop(0)
        self._reading = image, self._thread.submit(self._read, image)
        self._ask.start()

    def _take(self) -> None:
        """Take over what the thread has read, if it has, and go on."""
        if self._reading is None or not self._reading[1].done():
            return
        (image, task), self._reading = self._reading, None
        self._ask.stop()
        error = task.exception()
        if error is None:
            self._kept[image] = task.result()
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        elif isinstance(error, Cher2Error):
            self._faults[image] = str(error)
        self._go_on()
        if error is None:
            self.ready.emit(image)
        elif isinstance(error, Cher2Error):
            self.failed.emit(image, str(error))
        else:
            raise error
