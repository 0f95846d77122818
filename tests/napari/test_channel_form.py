import numpy as np
import pytest
from napari.components import ViewerModel

from cher2 import Protocol
from cher2.napari.channel_form import NONE, ChannelForm
from cher2.napari.palettes import SAFE
from cher2.palette import SAFE_CHANNEL_COLOURS
from cher2.protocol import ROLES


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def form(qtbot, viewer):
    form = ChannelForm(viewer)
    qtbot.addWidget(form)
    form.listen()
    return form


def add(viewer, *names):
    return [viewer.add_image(np.zeros((8, 8), np.uint16), name=name) for name in names]


def test_boxes_fill_in_when_layers_come(form, viewer):
    assert all(form.box(role).currentText() == NONE for role in ROLES)
    layers = add(viewer, "HER2", "CK", "DAPI", "CD45", "else")
    viewer.add_labels(np.zeros((8, 8), int), name="HER2")
    assert {role: form.box(role).currentText() for role in ROLES} == {
        "dapi": "DAPI", "ck": "CK", "cd45": "CD45", "her2": "HER2",
    }  # fmt: skip
    assert form.layers() == {"dapi": layers[2], "ck": layers[1], "cd45": layers[3], "her2": layers[0]}
    assert form.box("ck").count() == 6


def test_a_box_follows_its_layers_name_and_lets_it_go_when_removed(form, viewer):
    [her2] = add(viewer, "HER2")
    her2.name = "mine"
    assert form.box("her2").currentText() == "mine"
    assert form.layers()["her2"] is her2
    viewer.layers.remove(her2)
    assert form.layers()["her2"] is None
    assert form.box("her2").currentText() == NONE


def test_a_renamed_layer_fills_an_empty_box(form, viewer):
    [layer] = add(viewer, "C3")
    assert form.layers()["her2"] is None
    layer.name = "HER2"
    assert form.layers()["her2"] is layer


def test_the_users_choice_stays(form, viewer, qtbot):
    _, second = add(viewer, "HER2", "other")
    with qtbot.waitSignal(form.changed):
        form.box("her2").setCurrentText("other")
    add(viewer, "HER2")
    viewer.layers.move(0, 3)
    assert form.layers()["her2"] is second
    assert form.box("her2").currentText() == "other"


def test_the_protocols_channel_names_are_looked_for(form, viewer):
    [layer] = add(viewer, "PE")
    form.set_protocol(Protocol.from_dict({"channels": {"her2": "PE"}}))
    assert form.layers()["her2"] is layer


def test_the_safe_palette_is_put_on_chosen_layers_and_on_those_to_come(form, viewer):
    [her2] = add(viewer, "HER2")
    form.palette_box.setCurrentText(SAFE)
    [ck] = add(viewer, "CK")
    for role, layer in (("her2", her2), ("ck", ck)):
        shown = "#" + "".join(f"{round(float(c) * 255):02x}" for c in layer.colormap.colors[-1][:3])
        assert shown == SAFE_CHANNEL_COLOURS[role]


def test_the_viewer_is_let_go_of(form, viewer):
    form.stop_listening()
    add(viewer, "HER2")
    assert form.layers()["her2"] is None
    form.listen()
    assert form.layers()["her2"] is not None
