"""Pictures come from threads: the wanted ones first, none after closing, and what fails says why."""

from __future__ import annotations

import gc
import shutil
import threading
import time

import numpy as np
import pytest
from qtpy.QtCore import QObject

from cher2.errors import ImageError
from cher2.napari.picture_loader import PictureLoader
from cher2.report.cell_pictures import CellPlace, StudyFrames, cell_picture, cell_places, study_contrast
from cher2.study.folder import Study

WAIT_MS = 10_000


@pytest.fixture(scope="module")
def study(scored):
    return Study(scored.path)


@pytest.fixture(scope="module")
def cells(study):
    return study.read_objects(study.samples["image"], ["ctc"])


@pytest.fixture(scope="module")
def places(cells):
    return cell_places(cells)


def own_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("cher2-pictures")]


class SlowFrames(StudyFrames):
    """Frames on a slow share, which can be made to wait, and keep a list of what was asked of them."""

    def __init__(self, study):
        super().__init__(study)
        self.asked = []
        self.gate = threading.Event()
        self.gate.set()

    def thumbnail(self, place, size_um=32.0):
        self.asked.append(place)
        assert self.gate.wait(10)
        return super().thumbnail(place, size_um)


@pytest.fixture
def frames(study):
    return SlowFrames(study)


@pytest.fixture
def loader(qtbot, frames, cells):
    loader = PictureLoader(frames, cells)
    qtbot.waitUntil(lambda: loader.contrast is not None, timeout=WAIT_MS)
    qtbot.wait(10)
    frames.asked.clear()
    yield loader
    frames.gate.set()
    loader.close()


def test_pictures_are_those_of_the_study_on_its_contrast(qtbot, loader, study, cells, places):
    assert loader.picture(places[0]) is None
    assert loader.fault(places[0]) is None
    with qtbot.waitSignal(loader.loaded, timeout=WAIT_MS) as caught:
        loader.want(places[:1])
    assert caught.args == [places[:1]]
    white = study_contrast(StudyFrames(study), cells)
    assert loader.contrast == white
    expected = cell_picture(StudyFrames(study).thumbnail(places[0]), white)
    found = loader.picture(places[0])
    assert all(np.array_equal(found.levels[role], level) for role, level in expected.levels.items())


def test_the_contrast_is_told_once(qtbot, study, cells):
    loader = PictureLoader(StudyFrames(study), cells)
    with qtbot.waitSignal(loader.contrast_known, timeout=WAIT_MS) as caught:
        pass
    assert caught.args == [loader.contrast]
    loader.close()


def test_what_scrolled_away_is_not_loaded_and_the_newest_comes_first(qtbot, loader, frames, places):
    frames.gate.clear()
    loader.want(places[:40])
    qtbot.waitUntil(lambda: len(frames.asked) == 2, timeout=WAIT_MS)
    began = set(frames.asked)
    loader.want(places[60:64])
    frames.gate.set()
    qtbot.waitUntil(lambda: all(loader.picture(place) for place in places[60:64]), timeout=WAIT_MS)
    qtbot.wait(50)
    # What had begun was finished: three batches of at most eight cells; the rest of the forty was forgotten.
    old = [place for place in frames.asked if place in places[:40]]
    assert began <= set(old)
    assert len(old) <= 24
    assert len(set(frames.asked)) == len(frames.asked)


def test_the_next_of_the_queue_come_after_what_is_wanted_and_stay_expected(qtbot, loader, frames, places):
    frames.gate.clear()
    loader.want(places[:28])
    loader.expect(places[-4:])
    loader.want(places[32:50])
    frames.gate.set()
    wanted = [*places[32:50], *places[-4:]]
    qtbot.waitUntil(lambda: all(loader.picture(place) for place in wanted), timeout=WAIT_MS)
    assert frames.asked.index(places[32]) < frames.asked.index(places[-4])
    assert frames.asked.index(places[40]) < frames.asked.index(places[-4])


def test_nothing_is_read_twice_while_it_is_kept(qtbot, loader, frames, places):
    for _ in range(2):
        loader.want(places[:10])
        qtbot.waitUntil(lambda: all(loader.picture(place) for place in places[:10]), timeout=WAIT_MS)
    loader.want(places[:10])
    qtbot.wait(50)
    assert sorted(frames.asked) == sorted(places[:10])


def test_pictures_are_kept_within_the_bytes_given(qtbot, study, cells, places):
    loader = PictureLoader(StudyFrames(study), cells, most_bytes=5 * 4 * 50 * 50)
    loader.want(places[:20])
    came = []
    loader.loaded.connect(came.extend)
    qtbot.waitUntil(lambda: len(came) == 20, timeout=WAIT_MS)
    assert sum(loader.picture(place) is not None for place in places[:20]) == 5
    loader.close()


def test_a_missing_image_is_a_reason_and_can_be_tried_again(qtbot, study, cells, places, scored, tmp_path):
    images = tmp_path / "images"
    shutil.copytree(scored.images, images)
    lost = places[0].image
    (images / lost).rename(tmp_path / "away.tif")
    loader = PictureLoader(StudyFrames(study, images), cells)
    wanted = [places[0], CellPlace(places[-1].image, -5.0, 1e9), places[-1]]
    loader.want(wanted)
    qtbot.waitUntil(lambda: loader.picture(places[-1]) is not None and loader.fault(places[0]) is not None)
    assert isinstance(loader.fault(places[0]), ImageError)
    assert lost in str(loader.fault(places[0]))
    qtbot.waitUntil(lambda: "outside the frame" in str(loader.fault(wanted[1])))
    loader.retry()
    assert loader.fault(places[0]) is None
    loader.close()


def test_closing_leaves_no_thread_and_no_signal(qtbot, study, cells, places):
    before = len(own_threads())
    frames = SlowFrames(study)
    loader = PictureLoader(frames, cells)
    qtbot.waitUntil(lambda: loader.contrast is not None, timeout=WAIT_MS)
    frames.gate.clear()
    loader.want(places)
    came = []
    loader.loaded.connect(came.append)
    qtbot.waitUntil(lambda: len(frames.asked) > 2, timeout=WAIT_MS)
    threading.Timer(0.05, frames.gate.set).start()
    loader.close()
    assert len(own_threads()) == before
    loader.close()
    loader.want(places)
    qtbot.wait(50)
    assert came == []


def test_closing_at_once_does_not_wait_for_what_has_not_begun(qtbot, study, cells, places):
    for _ in range(5):
        loader = PictureLoader(StudyFrames(study), cells)
        loader.want(places)
        started = time.perf_counter()
        loader.close()
        assert time.perf_counter() - started < 5
    assert own_threads() == []
    assert loader.contrast is None or loader.contrast["her2"] == 510.0


def test_a_loader_that_is_dropped_ends_its_threads(qtbot, study, cells, places):
    owner = QObject()
    loader = PictureLoader(StudyFrames(study), cells, parent=owner)
    loader.want(places)
    qtbot.wait(20)
    del loader
    owner.deleteLater()
    qtbot.wait(50)
    gc.collect()
    qtbot.waitUntil(lambda: own_threads() == [], timeout=WAIT_MS)
