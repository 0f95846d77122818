import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QTimer

from cher2 import score_image
from cher2.napari.palettes import OUTLINE_PX
from cher2.napari.results import LAYER_NAME
from cher2.napari.score_widget import STALE
from cher2.palette import CHANNEL_COLOURS, GRADE_COLOURS
from cher2.protocol import ROLES

WAIT_MS = 30_000


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    return viewer


@pytest.fixture
def widget(viewer):
    return viewer.window.add_plugin_dock_widget("cher2", "Score image")[1]


def rgb(colour):
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])


def near(picture, colour):
    return int((np.abs(picture[..., :3].astype(int) - rgb(colour)).max(axis=-1) < 40).sum())


def score(widget, qtbot):
    with qtbot.waitSignal(widget.scored, timeout=WAIT_MS):
        widget.score_button.click()
    qtbot.waitUntil(widget.score_button.isEnabled)


def test_from_file_to_outlines(viewer, widget, qtbot, ome_file, sample_image):
    viewer.open(str(ome_file), plugin="cher2")
    names = [f"{name} (synthetic)" for name in ("DAPI", "CK", "CD45", "HER2")]
    assert [layer.name for layer in viewer.layers] == names
    assert [widget.channels.box(role).currentText() for role in ROLES] == names
    for role, layer in zip(ROLES, list(viewer.layers), strict=True):
        for other in viewer.layers:
            other.visible = other is layer
        picture = viewer.screenshot(canvas_only=True, flash=False)
        assert near(picture, CHANNEL_COLOURS[role]) > 20, role
        others = [c for r, c in CHANNEL_COLOURS.items() if r != role]
        assert all(near(picture, colour) == 0 for colour in others), role
        assert str(layer.units[0]) == "micrometer"

    ticks = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(widget.progress.isVisible()))
    timer.start(10)
    score(widget, qtbot)
    timer.stop()
    assert sum(ticks) >= 5  # the window lived while the score ran, and showed that it does

    expected = score_image(sample_image)
    layer = viewer.layers[LAYER_NAME]
    np.testing.assert_array_equal(layer.data, expected.labels)
    np.testing.assert_allclose(layer.scale, (0.64, 0.64))
    assert len(layer.features) == layer.data.max() + 1
    assert layer.contour == OUTLINE_PX
    ctcs = expected.objects.query("kind == 'ctc' and grade_auto == 3")
    for row in ctcs.itertuples():
        world = (row.y_px * 0.64, row.x_px * 0.64)
        label = layer.get_value(world, world=True)
        if label == row.object_id:  # the centroid of a bent cell may lie outside it
            assert layer.features.loc[label, "her2_intensity"] == row.her2_intensity
            assert "kind: ctc, grade: 3+" in layer.get_status(world, world=True)["value"]
    for grade, colour in enumerate(GRADE_COLOURS):
        label = expected.ctcs.set_index("grade_auto")["object_id"].loc[[grade]].iloc[0]
        np.testing.assert_allclose(layer.get_color(label)[:3] * 255, rgb(colour), atol=0.51)
        assert layer.get_color(label)[3] == 1
    leukocyte = expected.objects.query("kind == 'leukocyte'")["object_id"].iloc[0]
    assert 0 < layer.get_color(leukocyte)[3] < 0.5

    for image in viewer.layers:
        image.visible = image is layer
    picture = viewer.screenshot(canvas_only=True, flash=False)
    assert all(near(picture, colour) > 10 for colour in GRADE_COLOURS)
    text = widget.summary.text()
    assert f"<td>{len(expected.ctcs)}</td>" in text
    assert "For research use only" in text
    assert "0.64 µm, from the image" in text

    score(widget, qtbot)
    assert [layer.name for layer in viewer.layers].count(LAYER_NAME) == 1
    assert len(viewer.layers) == 5
    widget.protocol.field("patient", "min_ctcs").setText("6")
    assert widget.status.text() == STALE


def test_the_sample_study_is_synthetic_says_so_and_scores(viewer, widget, qtbot):
    viewer.open_sample("cher2", "cher2_sample_study")
    assert all("(synthetic)" in layer.name for layer in viewer.layers)
    score(widget, qtbot)
    assert viewer.layers[LAYER_NAME].features["grade"].isin(["0", "1+", "2+", "3+"]).sum() == pytest.approx(22, abs=3)
    assert "high, of this frame alone" in widget.summary.text()


def entries(menu):
    """Return the entries of a menu and of those below it, by their text."""
    found = {}
    for action in menu.actions():
        found.update(entries(action.menu()) if action.menu() else {action.text(): action})
    return found


@pytest.mark.parametrize("menu", ["plugins_menu", "layers_menu"])
def test_the_menus_open_the_widget(viewer, menu):
    entries(getattr(viewer.window, menu))["Score image (cher2)"].trigger()
    dock = viewer.window.dock_widgets["Score image (cher2)"]
    assert type(dock).__name__ == "ScoreWidget"


def test_the_sample_menu_opens_the_sample(viewer):
    entries(viewer.window.file_menu)["cher2 sample study (cher2)"].trigger()
    assert [layer.name for layer in viewer.layers] == [f"{c} (synthetic)" for c in ("DAPI", "CK", "CD45", "HER2")]


def test_the_widget_tells_what_is_wrong_and_goes_on(viewer, widget, qtbot, sample_image):
    told = []
    notification_manager.notification_ready.connect(lambda note: told.append(str(note.message)))

    def fails(message):
        told.clear()
        with qtbot.waitSignal(widget.failed, timeout=WAIT_MS):
            widget.score_button.click()
        assert message in widget.status.text()
        assert "#f2555a" in widget.status.styleSheet()
        assert told == [widget.status.text()]
        assert "Traceback" not in widget.status.text()
        qtbot.waitUntil(widget.score_button.isEnabled)

    fails("no layer is chosen for DAPI")
    for name, plane in zip(("DAPI", "CK", "CD45"), sample_image.pixels, strict=False):
        viewer.add_image(plane, name=name)
    her2 = viewer.add_image(np.full(sample_image.shape, np.inf, np.float32), name="HER2", contrast_limits=(0, 1))
    fails("not finite numbers")
    her2.data = sample_image.pixels[3][:-1]
    fails("the shape of HER2")
    widget.channels.box("her2").setCurrentText("CK")
    assert widget.status.text() == ""
    fails("both Cytokeratin and HER2")
    widget.protocol.field("grade", "cutoffs").setText("3, 2, 1")
    assert not widget.score_button.isEnabled()
    widget.protocol.field("grade", "cutoffs").setText("30, 110, 340")
    her2.data = sample_image.pixels[3]
    widget.channels.box("her2").setCurrentText("HER2")
    score(widget, qtbot)
    assert "0.64 µm, from the protocol: the image gives none" in widget.summary.text()


def test_a_stack_is_counted_and_can_be_cancelled(viewer, widget, qtbot, sample_image):
    for name, plane in zip(("DAPI", "CK", "CD45", "HER2"), sample_image.pixels, strict=True):
        viewer.add_image(np.stack([plane] * 3), name=name, translate=(0, 5, 7), rotate=30)
    counted = []
    widget.progress.valueChanged.connect(counted.append)
    score(widget, qtbot)
    assert counted[-1] == 3
    layer = viewer.layers[LAYER_NAME]
    assert layer.data.shape == (3, *sample_image.shape)
    np.testing.assert_allclose(layer.translate, (0, 5, 7))
    np.testing.assert_allclose(layer.rotate, viewer.layers["HER2"].rotate)
    assert layer.features["frame"].tolist()[1:] == sorted(layer.features["frame"].tolist()[1:])
    for frame in range(3):
        labels = np.unique(layer.data[frame])[1:]
        assert (layer.features.loc[labels, "frame"] == frame).all()
    viewer.layers.remove(layer)

    widget.progress.valueChanged.connect(lambda done: widget.cancel_button.click() if done == 1 else None)
    with qtbot.waitSignal(widget.cancelled, timeout=WAIT_MS):
        widget.score_button.click()
    qtbot.waitUntil(widget.score_button.isEnabled)
    assert widget.status.text().startswith("Cancelled after")
    assert LAYER_NAME not in viewer.layers


def test_a_broken_file_says_so_in_napari(viewer, tmp_path):
    from cher2.errors import ImageError

    path = tmp_path / "cut.tif"
    path.write_bytes(b"II*\0garbage")
    with pytest.raises(ImageError, match=r"cut\.tif"):
        viewer.open(str(path), plugin="cher2")


def test_a_closed_widget_lets_go_of_the_viewer(viewer, widget):
    events = viewer.layers.events
    listeners = len(events.inserted.callbacks)
    viewer.window.remove_dock_widget(widget)
    assert len(events.inserted.callbacks) == listeners - 1
    viewer.add_image(np.zeros((8, 8)), name="HER2")
    assert widget.channels.layers()["her2"] is None


def test_a_widget_closed_while_it_scores_adds_nothing(viewer, widget, qtbot):
    viewer.open_sample("cher2", "cher2_sample_study")
    with qtbot.waitSignal(widget.cancelled, timeout=WAIT_MS):
        widget.score_button.click()
        viewer.window.remove_dock_widget(widget)
    assert LAYER_NAME not in viewer.layers
