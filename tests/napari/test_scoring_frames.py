import napari.layers
import numpy as np
import pandas as pd
import pytest

from cher2 import Protocol, score_image
from cher2.errors import ImageError
from cher2.napari.layer_roles import join_layers
from cher2.napari.scoring import score_frames
from cher2.protocol import ROLES


def run(frames, protocol=None):
    steps = score_frames(frames, protocol or Protocol())
    done = []
    while True:
        try:
            done.append(next(steps))
        except StopIteration as end:
            return end.value, done


def stack(frames):
    placement = {"scale": (1, 0.64, 0.64), "units": ("pixel", "um", "um")}
    return {
        role: napari.layers.Image(np.stack([f[k] for f in frames]), name=role, **placement)
        for k, role in enumerate(ROLES)
    }


def test_a_frame_gets_what_score_image_gives(role_layers, sample_image):
    scored, done = run(join_layers(role_layers))
    expected = score_image(sample_image)
    assert done == [1]
    np.testing.assert_array_equal(scored.labels, expected.labels)
    # A frame scored by itself is called as its image is; a layer has no patient.
    names = ["image", "patient_id", "sample_id"]
    pd.testing.assert_frame_equal(scored.objects.drop(columns=[*names, "frame"]), expected.objects.drop(columns=names))
    assert scored.gates == expected.gates


def test_channel_names_of_the_protocol_do_not_matter(role_layers):
    protocol = Protocol.from_dict({"channels": {"dapi": 3, "ck": "FITC", "cd45": 0, "her2": "PE"}})
    scored, _ = run(join_layers(role_layers), protocol)
    assert scored.protocol is protocol
    assert (scored.objects["kind"] == "ctc").sum() > 10


def test_a_stack_is_numbered_through_and_graded_as_one_sample(sample_image):
    first, second = sample_image.pixels, sample_image.pixels[:, ::-1, :]
    scored, done = run(join_layers(stack([first, np.full_like(first, 100), second])))
    objects = scored.objects
    assert done == [1, 2, 3]
    assert scored.labels.shape == (3, *first.shape[1:])
    assert objects["object_id"].tolist() == list(range(1, len(objects) + 1))
    assert set(np.unique(scored.labels)) == {0, *objects["object_id"]}
    assert objects["frame"].value_counts().get(1) is None
    assert objects["image"].unique().tolist() == ["her2#1", "her2#3"]
    for row in objects.itertuples():
        assert (scored.labels[row.frame] == row.object_id).any()
    assert len(objects) == pytest.approx(2 * len(score_image(sample_image).objects), rel=0.05)


def test_frames_without_a_cell_give_an_empty_table(sample_image):
    scored, _ = run(join_layers(stack([np.full_like(sample_image.pixels, 100)])))
    assert len(scored.objects) == 0
    assert not scored.labels.any()


def test_values_that_are_no_counts_are_refused():
    layers = {
        role: napari.layers.Image(np.full((64, 64), np.nan, np.float32), name=role, contrast_limits=(0, 1))
        for role in ROLES
    }
    with pytest.raises(ImageError, match="not finite"):
        run(join_layers(layers))
