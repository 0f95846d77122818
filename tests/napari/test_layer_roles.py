import napari.layers
import numpy as np
import pytest

from cher2.errors import ChannelError
from cher2.napari.layer_roles import guess_layer, join_layers
from cher2.protocol import ROLES, Protocol


def image(name, shape=(8, 8), **settings):
    return napari.layers.Image(np.zeros(shape, settings.pop("dtype", np.uint16)), name=name, **settings)


@pytest.mark.parametrize("name", ["HER2", "her2", "Her2 [1]", "HER2 (synthetic)", "HER2 (synthetic) [2]"])
def test_a_layer_is_found_by_its_name(name):
    layers = [image("DAPI"), image(name), image("other")]
    assert guess_layer("her2", layers, Protocol()) is layers[1]


def test_a_layer_is_found_by_title_and_by_the_protocols_channel_name():
    protocol = Protocol.from_dict({"channels": {"her2": "PE"}})
    layers = [image("Cytokeratin"), image("PE")]
    assert guess_layer("ck", layers, protocol) is layers[0]
    assert guess_layer("her2", layers, protocol) is layers[1]
    assert guess_layer("her2", layers, Protocol()) is None


def test_a_name_counts_more_than_what_the_file_said_and_the_top_layer_more():
    said = image("left", metadata={"cher2": {"role": "her2"}})
    assert guess_layer("her2", [said], Protocol()) is said
    named = [image("HER2"), image("HER2")]
    assert guess_layer("her2", [*named, said], Protocol()) is named[1]
    assert guess_layer("ck", [*named, said], Protocol()) is None


def test_layers_join_to_an_image(role_layers, sample_image):
    frames = join_layers(role_layers)
    assert (len(frames), frames.is_stack, frames.pixel_size_um, frames.bits) == (1, False, 0.64, 12)
    joined = frames.frame(0)
    np.testing.assert_array_equal(joined.pixels, sample_image.pixels)
    assert joined.channels == sample_image.channels
    assert joined.saturation == 4095


def test_the_order_and_names_of_the_layers_do_not_matter(sample_image):
    layers = {role: napari.layers.Image(sample_image.pixels[k], name=f"x{k}") for k, role in enumerate(ROLES)}
    frames = join_layers(dict(reversed(layers.items())))
    np.testing.assert_array_equal(frames.frame(0).pixels, sample_image.pixels)
    assert frames.pixel_size_um is None


@pytest.mark.parametrize(
    ("units", "scale", "size"),
    [
        (("um", "um"), (0.5, 0.5), 0.5),
        (("nm", "nm"), (645.0, 645.0), 0.645),
        (("mm", "mm"), (0.00064, 0.00064), 0.64),
        (("pixel", "pixel"), (0.64, 0.64), None),
    ],
)
def test_the_pixel_size_is_the_layers_own(units, scale, size):
    layers = {role: image(role, units=units, scale=scale) for role in ROLES}
    assert join_layers(layers).pixel_size_um == size


def test_of_a_pyramid_the_finest_level_counts():
    levels = [np.ones((64, 64), np.uint16), np.ones((32, 32), np.uint16)]
    layers = {role: napari.layers.Image(levels, multiscale=True) for role in ROLES}
    assert join_layers(layers).frame(0).shape == (64, 64)


def replaced(role, layer):
    return {**{r: image(r.upper()) for r in ROLES}, role: layer}


def same_twice():
    layers = replaced("dapi", image("DAPI"))
    return {**layers, "her2": layers["ck"]}


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (replaced("ck", None), "no layer is chosen for Cytokeratin"),
        (same_twice(), "CK: one layer is chosen for both Cytokeratin and HER2"),
        (replaced("her2", image("wide", (8, 9))), r"wide: the shape of HER2 \(8 x 9\) is not that of DAPI \(8 x 8\)"),
        (replaced("her2", image("deep", (2, 8, 8))), "deep: the shape of HER2"),
        (replaced("cd45", image("photo", (8, 8, 3), dtype=np.uint8, rgb=True)), "photo: this layer is a colour"),
        (replaced("cd45", image("4-D", (2, 2, 8, 8))), "4-D: this layer has 4 axes"),
        (replaced("cd45", image("mask", dtype=bool)), "mask: this layer holds bool, not counts"),
        (replaced("cd45", image("fine", scale=(0.3, 0.3), units=("um", "um"))), "fine: the scale of CD45"),
        (replaced("dapi", image("flat", scale=(0.3, 0.6), units=("um", "um"))), "flat: its pixels are 0.3 x 0.6"),
    ],
)  # fmt: skip
def test_layers_that_do_not_fit_are_refused(layers, message):
    with pytest.raises(ChannelError, match=message) as caught:
        join_layers(layers)
    assert caught.value.remedy


def test_a_layer_without_pixels_is_refused():
    with np.errstate(invalid="ignore"):  # napari itself divides by its size
        empty = image("none", (0, 8, 8), contrast_limits=(0, 1))
        with pytest.raises(ChannelError, match="none: this layer has no pixels"):
            join_layers(replaced("dapi", empty))
