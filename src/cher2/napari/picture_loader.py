"""Pictures of cells, loaded in the background: what is on the screen first, what scrolled away not at all.

Only reading happens in threads. What is wanted, what is there and who is told stays in the window's thread, so
that nothing here needs a lock and no thread ever touches a widget or a layer.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import pandas as pd
from qtpy.QtCore import QObject, Qt, Signal  # type: ignore[attr-defined]  # qtpy renames PyQt's pyqtSignal
from zict import LRU

from cher2.errors import Cher2Error
from cher2.protocol import Role
from cher2.report.cell_pictures import CellPicture, CellPlace, StudyFrames, cell_picture, study_contrast

PICTURES_BYTES = 2**27
"""Most bytes of small pictures that are kept: 12,000 of 50 x 50 pixels in four channels."""

WORKERS = 2
BATCH = 8
"""Cells of one frame that are cut in one go."""

Loaded = dict[CellPlace, CellPicture | Cher2Error]


class PictureLoader(QObject):
    """Pictures of a study's cells on its one contrast, there at once or a little later.

    Parameters
    ----------
    frames : StudyFrames
    cells : DataFrame
        The study's objects, of which a sample fixes the contrast: ``image``, ``y_px``, ``x_px`` and ``kind``; for
        cut-offs in leukocyte units, ``sample_id``, ``her2_mean`` and ``her2_intensity`` too.
    size_um : float
        Side of a picture.
    most_bytes : int
        Most bytes of pictures that are kept.
    parent : QObject, optional

    Attributes
    ----------
    loaded : Signal
        Places (a list of CellPlace) whose pictures, or the reasons why there are none, have come.
    contrast_known : Signal
        The counts that are shown white, by role; see :attr:`contrast`.
    """

    loaded = Signal(object)
    contrast_known = Signal(object)
    _done = Signal(object)

    def __init__(
        self,
        frames: StudyFrames,
        cells: pd.DataFrame,
        size_um: float = 32.0,
        most_bytes: int = PICTURES_BYTES,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._frames = frames
        self._size_um = size_um
        self._kept: LRU[CellPlace, CellPicture] = LRU(most_bytes, {}, weight=lambda _, picture: picture.nbytes)
        self._faults: dict[CellPlace, Cher2Error] = {}
        self._wanted: deque[CellPlace] = deque()
        self._expected: tuple[CellPlace, ...] = ()
        self._running: set[Future[Loaded]] = set()
        self._in_work: set[CellPlace] = set()
        self._closing = threading.Event()
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="cher2-pictures")
        self._done.connect(self._take, Qt.ConnectionType.QueuedConnection)
        # A loader that is dropped without a word must not leave threads behind.
        self.destroyed.connect(partial(_stop, self._pool, self._closing))
        # First into the pool: the other tasks wait for it.
        self._contrast: Future[dict[Role, float]] = self._pool.submit(study_contrast, frames, cells)
        self._contrast.add_done_callback(self._announce)

    @property
    def contrast(self) -> Mapping[Role, float] | None:
        """The counts above background that are shown white, by role; None while they are sought."""
        return self._contrast.result() if self._contrast.done() and not self._contrast.cancelled() else None

    def picture(self, place: CellPlace) -> CellPicture | None:
        """Return a cell's picture; None where it is not there (yet)."""
        return self._kept.get(place)

    def fault(self, place: CellPlace) -> Cher2Error | None:
        """Return why a cell has no picture; None where it has one, or nobody has tried."""
        return self._faults.get(place)

    def want(self, places: Iterable[CellPlace]) -> None:
        """Ask for pictures, in this order; what was asked for before and has not begun is forgotten."""
        self._wanted = deque(places)
        self._wanted.extend(self._expected)
        self._go_on()

    def expect(self, places: Iterable[CellPlace]) -> None:
        """Say which cells come next in the queue: they are loaded after all that is wanted."""
        waiting = set(self._expected)
        kept = [place for place in self._wanted if place not in waiting]
        self._expected = tuple(places)
        self.want(kept)

    def retry(self) -> None:
        """Forget why pictures could not be loaded, so that they are tried again when they are wanted."""
        self._faults.clear()

    def close(self) -> None:
        """Stop: when this returns no thread is left, and no signal will come. Closing twice is fine."""
        self._wanted.clear()
        _stop(self._pool, self._closing)

    def _go_on(self) -> None:
        while len(self._running) < 2 * WORKERS and not self._closing.is_set():
            batch = self._next_batch()
            if not batch:
                return
            task = self._pool.submit(_load, self._frames, batch, self._contrast, self._size_um, self._closing)
            self._running.add(task)
            self._in_work.update(batch)
            task.add_done_callback(self._announce)

    def _next_batch(self) -> list[CellPlace]:
        """Take the first wanted cell, and others wanted soon of the same frame."""
        while self._wanted and not self._is_missing(self._wanted[0]):
            self._wanted.popleft()
        if not self._wanted:
            return []
        image = self._wanted[0].image
        batch: list[CellPlace] = []
        passed: list[CellPlace] = []
        while self._wanted and len(batch) < BATCH and len(passed) < 4 * BATCH:
            place = self._wanted.popleft()
            if self._is_missing(place) and place not in batch:
                (batch if place.image == image else passed).append(place)
        self._wanted.extendleft(reversed(passed))
        return batch

    def _is_missing(self, place: CellPlace) -> bool:
        return not (place in self._kept or place in self._faults or place in self._in_work)

    def _announce(self, task: Future[Loaded] | Future[dict[Role, float]]) -> None:
        """Send a finished task to the window's thread; this runs in the task's own."""
        if not self._closing.is_set():
            self._done.emit(task)

    def _take(self, task: Future[Loaded]) -> None:
        if self._closing.is_set():
            return
        if task not in self._running:
            self.contrast_known.emit(self._contrast.result())
            return
        self._running.discard(task)
        found = task.result()
        self._in_work.difference_update(found)
        for place, outcome in found.items():
            if isinstance(outcome, Cher2Error):
                self._faults[place] = outcome
            else:
                self._kept[place] = outcome
        self._go_on()
        self.loaded.emit(list(found))


def _load(
    frames: StudyFrames,
    places: list[CellPlace],
    contrast: Future[dict[Role, float]],
    size_um: float,
    closing: threading.Event,
) -> Loaded:
    """Load pictures, in a thread."""
    white = contrast.result()
    found: Loaded = {}
    for place in places:
        if closing.is_set():
            break
        try:
            found[place] = cell_picture(frames.thumbnail(place, size_um), white)
        except Cher2Error as error:
            found[place] = error
    return found


def _stop(pool: ThreadPoolExecutor, closing: threading.Event, *_: object) -> None:
    closing.set()
    pool.shutdown(wait=True, cancel_futures=True)
