"""Measuring given bodies: the machine's own give the machine's numbers, drawn ones what lies in them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cher2.cells.flat_field import FlatField, Illumination, apply_flat_field
from cher2.cells.grading import intensity_reference
from cher2.cells.sample_rules import SampleRules, grade_by_rules
from cher2.cells.score import grade_sample, measure_image
from cher2.cells.segmented import measure_bodies, segment_image
from cher2.errors import ImageError
from cher2.images.image import Image
from cher2.images.reader import read_image
from cher2.protocol import Protocol

BACKGROUND = {"DAPI": 100, "CK": 120, "CD45": 90, "HER2": 110}
LIGHT = {"DAPI": 900, "CK": 700, "CD45": 0, "HER2": 250}


@pytest.fixture(scope="module")
def frame(synthetic):
    return read_image(next(iter(sorted((synthetic / "images").rglob("*.ome.tif")))))


@pytest.fixture(scope="module")
def segmented(frame):
    return segment_image(frame, Protocol())


def lit_disc(shape=(160, 200), centre=(80, 100), radius=12):
    """Return a frame with one evenly lit disc, and the disc."""
    y, x = np.indices(shape)
    disc = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2
    planes = [np.where(disc, BACKGROUND[name] + LIGHT[name], BACKGROUND[name]) for name in BACKGROUND]
    return Image(np.stack(planes).astype(np.uint16), tuple(BACKGROUND), 0.64, "disc", 12), disc


def test_the_machines_bodies_give_the_machines_rows(frame, segmented):
    machine = measure_image(frame, Protocol())
    again = measure_bodies(segmented, machine.labels)
    assert len(machine.objects) > 15
    pd.testing.assert_frame_equal(again, machine.objects, check_exact=True)


def test_numbers_with_gaps_change_no_row(segmented):
    labels = segmented.segmentation.labels
    machine = measure_bodies(segmented)
    spread = np.where(labels > 0, labels * 7 + 3, 0)
    again = measure_bodies(segmented, spread)
    assert again["object_id"].tolist() == (machine["object_id"] * 7 + 3).tolist()
    pd.testing.assert_frame_equal(again.drop(columns="object_id"), machine.drop(columns="object_id"), check_exact=True)


def test_a_changed_object_leaves_far_ones_as_they_are(segmented):
    labels = segmented.segmentation.labels.copy()
    machine = measure_bodies(segmented).set_index("object_id")
    gone = int(machine.index[0])
    y, x = machine.loc[gone, ["y_px", "x_px"]]
    labels[labels == gone] = 0
    again = measure_bodies(segmented, labels).set_index("object_id")
    away = np.hypot(machine["y_px"] - y, machine["x_px"] - x) > 80
    assert gone not in again.index
    assert away.sum() > 5
    pd.testing.assert_frame_equal(again.loc[machine.index[away]], machine[away], check_exact=True)


def test_a_drawn_disc_of_known_light_measures_to_it():
    image, disc = lit_disc()
    segmented = segment_image(image, Protocol())
    row = measure_bodies(segmented, np.where(disc, 41, 0)).iloc[0]
    assert row["object_id"] == 41
    assert (row["y_px"], row["x_px"]) == (80, 100)
    assert row["area_um2"] == pytest.approx(disc.sum() * 0.64**2)
    for name in ("ck", "cd45", "her2"):
        assert row[f"{name}_mean"] == pytest.approx(LIGHT[name.upper()], abs=0.5)
    assert row["dapi_mean"] == pytest.approx(LIGHT["DAPI"], abs=0.5)
    assert row["her2_background"] == pytest.approx(BACKGROUND["HER2"], abs=0.5)


def test_half_a_disc_has_half_the_area_and_its_nucleus_is_inside():
    image, disc = lit_disc()
    segmented = segment_image(image, Protocol())
    left = disc & (np.indices(disc.shape)[1] < 100)
    row = measure_bodies(segmented, left.astype(np.int32)).iloc[0]
    assert row["area_um2"] == pytest.approx(left.sum() * 0.64**2)
    assert row["ck_mean"] == pytest.approx(LIGHT["CK"], abs=0.5)
    assert row["nucleus_overlap"] == pytest.approx((segmented.segmentation.nuclei > 0)[left].mean())


def test_no_body_at_all(segmented):
    empty = measure_bodies(segmented, np.zeros_like(segmented.segmentation.labels))
    assert len(empty) == 0
    assert list(empty.columns) == list(measure_bodies(segmented).columns)


def test_labels_of_another_frame_are_refused(segmented):
    with pytest.raises(ImageError, match="shape"):
        measure_bodies(segmented, np.zeros((3, 4), np.int32))


def test_without_her2_there_is_no_her2(frame):
    protocol = Protocol()
    without = protocol.model_copy(update={"channels": protocol.channels.model_copy(update={"her2": "none"})})
    objects = measure_bodies(segment_image(frame, without), None)
    assert objects["her2_mean"].isna().all()
    assert (objects["not_measurable"] == "no HER2 channel").all()


@pytest.mark.parametrize("unit", ["counts", "leukocyte_ratio"])
def test_the_samples_rules_grade_its_objects_as_before(frame, unit):
    protocol = Protocol()
    protocol = protocol.model_copy(update={"grade": protocol.grade.model_copy(update={"unit": unit})})
    measured = measure_image(frame, protocol)
    sample = measured.objects.assign(patient_id="P", sample_id="P")
    graded, gates, flat_field = grade_sample(sample, protocol, (measured.frame,))
    rules = SampleRules(gates, flat_field, intensity_reference(graded, unit))
    some = sample.iloc[3:6].assign(duplicate_of="")
    pd.testing.assert_frame_equal(grade_by_rules(some, rules, protocol), graded.iloc[3:6], check_exact=True)


def test_a_flat_field_comes_back_from_json():
    uneven = Illumination((0.1, -0.05, 0.02, 0.0, 0.01), 1.003, 0.12, 0.01)
    field = FlatField((100, 120), {"her2": uneven, "ck": Illumination(reason="too dim")}, 140, 5)
    back = FlatField.from_dict(field.as_dict())
    objects = pd.DataFrame(
        {"y_px": [10.0, 90.0], "x_px": [5.0, 60.0], "her2_mean": [40.0, 40.0], "ck_mean": [1.0, 2.0]}
    )
    pd.testing.assert_frame_equal(apply_flat_field(objects, back), apply_flat_field(objects, field), check_exact=True)
    assert back.illumination["her2"] == uneven
    assert back.reason_of("ck") == "too dim"
    assert str(back) == str(field)
