"""Corrections of outlines in a real study: saved, applied, taken back, found again after another scoring."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cher2.batch.tasks import grade_frames
from cher2.cells.flat_field import FlatField, Illumination
from cher2.cells.objects import COLUMNS, GRADED
from cher2.cells.segmented import measure_bodies, segment_image
from cher2.errors import ReviewError, StudyError
from cher2.images.files import find_image_files
from cher2.images.reader import read_frames
from cher2.review.outline import Outline, Place, outline_of, place_of
from cher2.review.outline_change import changed_objects
from cher2.review.outline_frame import load_outlines
from cher2.review.outline_log import Correction, edits_folder, in_force, read_corrections, write_correction
from cher2.review.outline_replay import replay
from cher2.review.outline_rules import sample_rules
from cher2.review.outline_saving import measure_again, save_correction, take_back
from cher2.review.outlines import MEASURE_AGAIN, corrected_labels, corrected_objects, lost_corrections, read_corrected
from cher2.study.folder import Study

MEASURED_COLUMNS = [column.name for column in COLUMNS if column.name not in GRADED]


@pytest.fixture
def study(study_copy):
    return Study.open(study_copy)


@pytest.fixture
def image(study):
    return study.samples["image"].iloc[0]


@pytest.fixture
def segmented(study, image):
    (file,) = (f for f in find_image_files(study.path.parent / "images", study.protocol) if f.name == image)
    return segment_image(next(iter(read_frames(file, study.protocol))), study.protocol)


@pytest.fixture
def free(study, image):
    """Return a window of the frame where no object is, 14 pixels a side."""
    labels = load_outlines(study, image).labels
    for row in range(0, labels.shape[0] - 14, 7):
        for column in range(0, labels.shape[1] - 14, 7):
            window = np.s_[row : row + 14, column : column + 14]
            if not labels[window].any():
                return window
    raise AssertionError("the frame is full")


def scored_anew(study, image, change):
    """Write the image's results as another segmentation would: other labels, another fingerprint."""
    labels, score = load_outlines(study, image).machine, study.score_of(image)
    objects, measured = study.objects_of(image), study.measured_of(image)
    labels, numbers = change(labels.copy())
    rows = measured["object_id"].map(numbers).dropna()
    measured = measured.loc[rows.index].assign(object_id=rows.astype(np.int32)).sort_values("object_id")
    study.write_measured(image, labels, measured.reset_index(drop=True), score | {"measuring": "another"})
    done = grade_frames(study.path, study.protocol, score["patient_id"], score["sample_id"], [image])
    assert done.error == ""
    assert len(study.objects_of(image)) <= len(objects)


def reversed_numbers(labels):
    top = int(labels.max())
    return np.where(labels > 0, top + 1 - labels, 0), {n: top + 1 - n for n in range(1, top + 1)}


def test_without_corrections_the_machines_results_are_returned(study, image, files_of):
    before = files_of(study.path)
    pd.testing.assert_frame_equal(corrected_objects(study, image), study.objects_of(image))
    assert np.array_equal(corrected_labels(study, image), load_outlines(study, image).machine)
    assert lost_corrections(study, image) == ()
    assert files_of(study.path) == before


def test_a_correction_touches_no_row_but_its_own_and_no_file_of_the_machine(study, image, segmented, free, files_of):
    files = files_of(study.path)
    frame = load_outlines(study, image)
    machine = study.objects_of(image)
    cut, gone = machine["object_id"].iloc[0], machine["object_id"].iloc[1]
    after = frame.labels.copy()
    rows, columns = np.nonzero(after == cut)
    middle = int(np.median(columns))
    after[rows[columns == middle], middle] = 0
    after[after == gone] = 0
    after[free] = 999
    saved = save_correction(frame, after, segmented, "A")
    assert saved.change.removed == (gone,)
    assert cut in saved.change.changed
    corrected = corrected_objects(study, image)
    untouched = ~machine["object_id"].isin([cut, gone])
    kept = corrected[corrected["object_id"].isin(machine["object_id"][untouched])]
    pd.testing.assert_frame_equal(
        kept.reset_index(drop=True), machine[untouched].reset_index(drop=True), check_exact=True
    )
    assert corrected["object_id"].is_monotonic_increasing
    assert set(corrected["object_id"]) == set(np.unique(saved.outlines.labels)) - {0}
    assert corrected.dtypes.equals(machine.dtypes)
    drawn = corrected[corrected["object_id"].isin(saved.change.drawn)].reset_index(drop=True)
    given = saved.objects.sort_values("object_id", ignore_index=True)
    pd.testing.assert_frame_equal(drawn, given, check_exact=True)
    assert min(saved.change.added) == machine["object_id"].max() + 1
    now = files_of(study.path)
    assert {name: now[name] for name in files} == files
    new = [name for name in now if name.endswith(".json") and name not in files]
    assert [name for name in new if not name.startswith("trail/")] == [
        path.relative_to(study.path).as_posix() for path in edits_folder(study, image).iterdir()
    ]


def test_an_object_drawn_as_it_was_has_the_machines_row_again(study, image, segmented):
    frame = load_outlines(study, image)
    machine = study.objects_of(image)
    number = int(machine.loc[machine["kind"] == "ctc", "object_id"].iloc[0])
    smaller = frame.labels.copy()
    rows, columns = np.nonzero(smaller == number)
    smaller[rows[columns < np.median(columns)], columns[columns < np.median(columns)]] = 0
    changed = save_correction(frame, smaller, segmented, "A").outlines
    drawn = save_correction(changed, frame.labels, segmented, "A")
    assert drawn.change.changed == (number,)
    pd.testing.assert_frame_equal(corrected_objects(study, image), machine, check_exact=True)
    assert len(read_corrections(study, image)) == 2


def test_a_drawn_cell_is_judged_by_the_machine(study, image, segmented, free):
    frame = load_outlines(study, image)
    after = frame.labels.copy()
    after[free] = 500
    (row,) = save_correction(frame, after, segmented, "A").objects.to_dict("records")
    assert (row["kind"], row["failed_gate"]) == ("other", "nucleus_overlap_min")
    assert (row["patient_id"], row["image"], row["duplicate_of"]) == (study.samples["patient_id"].iloc[0], image, "")
    assert row["area_um2"] == pytest.approx(14 * 14 * 0.64**2)
    assert abs(row["her2_mean"]) < 5 * row["her2_se"] + 1, "there is no light where there is no cell"
    assert (row["grade_auto"], row["not_graded"]) == (0, "")


def test_merged_ctcs_are_measured_as_one(study, image, segmented):
    frame = load_outlines(study, image)
    machine = study.objects_of(image)
    first, second = machine["object_id"].iloc[2], machine["object_id"].iloc[3]
    after = frame.labels.copy()
    after[after == second] = first
    saved = save_correction(frame, after, segmented, "A")
    # Two cells apart from each other are two pieces: the larger is the first, the other a new object.
    assert saved.change.removed == (second,)
    assert len(saved.change.added) == 1
    areas = saved.objects.set_index("object_id")["area_um2"]
    both = machine.set_index("object_id").loc[[first, second], "area_um2"]
    assert sorted(areas) == pytest.approx(sorted(both))
    assert saved.outlines.state.heir_of(int(second)) in (first, *saved.change.added)


def test_several_images_as_one_table(study, image, segmented, free):
    images = study.samples["image"].tolist()[:3]
    pd.testing.assert_frame_equal(read_corrected(study, images), study.read_objects(images))
    frame = load_outlines(study, image)
    after = frame.labels.copy()
    after[free] = 500
    saved = save_correction(frame, after, segmented, "A")
    objects = read_corrected(study, images)
    assert len(objects) == len(study.read_objects(images)) + 1
    assert objects.loc[objects["image"] == image, "object_id"].max() == saved.change.added[0]
    others = read_corrected(study, images, ["other"])
    assert len(others) == len(study.read_objects(images, ["other"])) + 1
    pd.testing.assert_frame_equal(read_corrected(study, images, ["ctc"]), study.read_objects(images, ["ctc"]))
    assert read_corrected(study, []).columns.equals(objects.columns)


def test_taking_back_and_putting_in_force_again(study, image, segmented, free):
    frame = load_outlines(study, image)
    machine = study.objects_of(image)
    after = frame.labels.copy()
    after[free] = 500
    saved = save_correction(frame, after, segmented, "A")
    new = saved.change.added[0]
    undo = take_back(study, image, saved.correction_id, "B")
    pd.testing.assert_frame_equal(corrected_objects(study, image), machine)
    assert load_outlines(study, image).last is None
    assert load_outlines(study, image).state.next_number == new + 1, "a number is never given twice"
    with pytest.raises(ReviewError, match="no correction"):
        take_back(study, image, saved.correction_id, "B")
    take_back(study, image, undo.correction_id, "A")
    assert new in corrected_objects(study, image)["object_id"].tolist()
    assert len(read_corrections(study, image)) == 3


def test_two_readers_who_saved_on_the_same_labels_lose_nothing(study, image, segmented, free):
    frame = load_outlines(study, image)
    one, other = frame.labels.copy(), frame.labels.copy()
    row, column = free[0].start, free[1].start
    one[row : row + 14, column : column + 7] = 500
    other[row : row + 14, column + 5 : column + 14] = 500
    save_correction(frame, one, segmented, "A")
    saved = save_correction(frame, other, segmented, "B")
    numbers = np.unique(saved.outlines.labels[free])
    assert len(set(numbers) - {0}) == 2, "each has a number of its own"
    assert saved.outlines.unmeasured == [min(saved.change.added)], "the first lost two columns to the second"
    objects = corrected_objects(study, image).set_index("object_id")
    assert objects.loc[min(saved.change.added), "not_measurable"] == MEASURE_AGAIN
    assert objects.loc[max(numbers), "area_um2"] == pytest.approx(14 * 9 * 0.64**2)
    with_pixels = corrected_objects(study, image, segmented).set_index("object_id")
    assert with_pixels.loc[min(saved.change.added), "area_um2"] == pytest.approx(14 * 5 * 0.64**2)
    now = measure_again(saved.outlines, segmented, "B")
    assert now.unmeasured == []
    pd.testing.assert_frame_equal(corrected_objects(study, image).set_index("object_id"), with_pixels, check_exact=True)
    assert measure_again(now, segmented, "B") is now


def test_corrections_find_their_cells_by_place_after_another_scoring(study, image, segmented, free):
    frame = load_outlines(study, image)
    machine = study.objects_of(image)
    gone, cut = (int(number) for number in machine["object_id"].iloc[[4, 5]])
    after = frame.labels.copy()
    after[after == gone] = 0
    rows, columns = np.nonzero(after == cut)
    after[rows[rows < np.median(rows)], columns[rows < np.median(rows)]] = 0
    after[free] = 500
    saved = save_correction(frame, after, segmented, "A")
    scored_anew(study, image, reversed_numbers)
    again = load_outlines(study, image)
    assert lost_corrections(study, image) == ()
    assert np.array_equal(again.labels > 0, saved.outlines.labels > 0)
    top = int(frame.machine.max())
    assert (again.labels == top + 1 - gone).sum() == 0
    assert np.array_equal(again.labels == top + 1 - cut, saved.outlines.labels == cut)
    assert again.unmeasured == sorted([top + 1 - cut, top + 1])
    objects = corrected_objects(study, image)
    due = objects["object_id"].isin(again.unmeasured)
    assert (objects["not_measurable"] == MEASURE_AGAIN).equals(due)
    assert objects.loc[due, "grade_auto"].isna().all()
    assert (objects.loc[due, "not_graded"] == MEASURE_AGAIN).all()
    sizes = objects.loc[due].set_index("object_id")["area_um2"] / 0.64**2
    assert sizes.to_dict() == pytest.approx({n: (again.labels == n).sum() for n in again.unmeasured})


def test_a_deleted_cell_that_is_no_longer_found_is_listed(study, image, segmented):
    frame = load_outlines(study, image)
    gone = 3
    after = frame.labels.copy()
    place = place_of(after, gone)
    after[after == gone] = 0
    saved = save_correction(frame, after, segmented, "A")

    def without(labels):
        labels[labels == gone] = 0
        labels[labels > gone] -= 1
        return labels, {n: n - (n > gone) for n in range(1, int(frame.machine.max()) + 1) if n != gone}

    scored_anew(study, image, without)
    (lost,) = lost_corrections(study, image)
    assert (lost.correction_id, lost.reader, lost.place) == (saved.correction_id, "A", place)
    assert "no object" in lost.reason
    assert len(corrected_objects(study, image)) == len(study.objects_of(image))


def test_a_missed_cell_that_the_machine_finds_later_is_one_cell():
    drawn = np.zeros((40, 40), np.int32)
    drawn[10:20, 10:20] = 1
    missed = Correction("i", "A", "correct", "old", "p", outlines=(outline_of(drawn, 1),))
    machine = np.zeros((40, 40), np.int32)
    machine[9:21, 9:21] = 1
    machine[19:30, 15:25] = 2
    state = replay(machine, "new", [missed])
    assert set(np.unique(state.labels)) == {0, 2, 3}
    assert np.array_equal(state.labels == 3, drawn == 1)
    assert state.heir_of(1) == 3
    assert state.areas == {2: 105, 3: 100}


def test_an_outline_beyond_a_smaller_frame_is_listed():
    outline = Outline(7, 30, 30, np.ones((10, 10), bool))
    state = replay(np.zeros((35, 60), np.int32), "new", [Correction("i", "A", "correct", "old", "p", (), (outline,))])
    assert [lost.place.object_id for lost in state.lost] == [7]
    assert not state.labels.any()


def test_what_takes_back_can_be_taken_back():
    def entry(action, number, refers_to=""):
        return Correction("i", "A", action, "b", "p", refers_to=refers_to, correction_id=number)

    entries = [entry("correct", "1"), entry("correct", "2"), entry("take_back", "3", "1"), entry("take_back", "4", "3")]
    assert in_force(entries[:3]) == [False, True, True]
    assert in_force(entries) == [True, True, False, True]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"action": "improve"}, "action"),
        ({"reader": " "}, "name of its reader"),
        ({"action": "take_back"}, "names one"),
        ({"refers_to": "x"}, "names one"),
    ],
)
def test_corrections_that_make_no_sense(fields, says):
    plain = {"image": "i", "reader": "A", "action": "correct", "base": "b", "protocol": "p"}
    with pytest.raises(ReviewError, match=says):
        Correction(**plain | fields)


def test_saving_nothing_is_refused(study, image, segmented):
    frame = load_outlines(study, image)
    with pytest.raises(ReviewError, match="no outline was changed"):
        save_correction(frame, frame.labels, segmented, "A")
    assert not edits_folder(study, image).exists()


def test_pixels_of_another_image_are_refused(study, image, segmented):
    other = load_outlines(study, study.samples["image"].iloc[1])
    after = other.labels.copy()
    after[:5, :5] = 99
    with pytest.raises(ReviewError, match="not as it was"):
        save_correction(other, after, segmented, "A")


def test_a_damaged_file_is_named(study, image, segmented, free):
    frame = load_outlines(study, image)
    after = frame.labels.copy()
    after[free] = 500
    save_correction(frame, after, segmented, "A")
    (path,) = edits_folder(study, image).iterdir()
    text = path.read_text(encoding="utf-8")
    for damage in (text[:-20], "[]", text.replace('"cher2_outlines": 1', '"cher2_outlines": 2'), '{"a": 1}'):
        path.write_text(damage, encoding="utf-8")
        with pytest.raises(ReviewError, match=path.name):
            corrected_objects(study, image)
    path.write_text(json.dumps(json.loads(text) | {"rows": []}), encoding="utf-8")
    with pytest.raises(ReviewError, match="holds no numbers"):
        corrected_objects(study, image)


def test_a_folder_that_cannot_be_written_to_is_told(study, image):
    (study.path / "edits").write_text("", encoding="utf-8")
    with pytest.raises(ReviewError, match="not saved"):
        write_correction(study, Correction(image, "A", "correct", "b", "p"))


def test_an_image_that_is_not_scored(study):
    with pytest.raises(StudyError, match="no results"):
        sample_rules(study, "P99/none.tif")


def test_rules_of_a_study_that_does_not_tell_its_light(study, image):
    with_light = sample_rules(study, image)
    path = study.folder_of(image) / "score.json"
    score = json.loads(path.read_text(encoding="utf-8"))
    del score["light"]
    path.write_text(json.dumps(score), encoding="utf-8")
    again = sample_rules(study, image)
    assert (again.gates, again.flat_field.reason) == (with_light.gates, with_light.flat_field.reason)


def test_drawn_cells_are_corrected_for_uneven_light_as_the_others(study, image, segmented, free):
    light = FlatField(
        segmented.segmentation.labels.shape, {"her2": Illumination((0.3, -0.2, 0.0, 0.1, 0.0), 1.1)}, 200, 9
    )
    path = study.folder_of(image) / "score.json"
    score = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(score | {"light": light.as_dict()}), encoding="utf-8")
    frame = load_outlines(study, image)
    after = frame.labels.copy()
    rows, columns = np.nonzero(after == 2)
    after[rows[0], columns[0]] = 0
    saved = save_correction(frame, after, segmented, "A")
    measured = measure_bodies(segmented, saved.outlines.labels).set_index("object_id").loc[2]
    share = light.at("her2", np.array([measured["y_px"]]), np.array([measured["x_px"]]))[0]
    assert abs(share - 1) > 0.01
    (graded,) = saved.objects.to_dict("records")
    for name in ("her2_mean", "her2_se", "her2_p90", "her2_membrane"):
        assert graded[name] == pytest.approx(measured[name] / share, rel=1e-12)
    assert graded["her2_intensity"] == graded["her2_mean"]
    assert graded["ck_mean"] == measured["ck_mean"]


def test_a_unit_of_leukocytes_is_the_whole_samples(study, image):
    protocol = study.protocol
    ratio = protocol.model_copy(update={"grade": protocol.grade.model_copy(update={"unit": "leukocyte_ratio"})})
    objects = study.objects_of(image)
    leukocytes = objects[(objects["kind"] == "leukocyte") & ~objects["touches_border"]]
    centre, scale, reason = sample_rules(study, image, ratio).reference
    if len(leukocytes) < 20:
        assert "leukocytes in the sample" in reason
    else:
        assert (centre, scale) == (0, leukocytes["her2_mean"].median())
    assert sample_rules(study, image).reference == (0, 1, "")


def test_damaged_results_are_told(study, image):
    path = study.folder_of(image) / "score.json"
    score = json.loads(path.read_text(encoding="utf-8"))
    for damage in ({"gates": {"ck_min": 1}}, {"light": {"shape": 3}}):
        path.write_text(json.dumps(score | damage), encoding="utf-8")
        with pytest.raises(StudyError, match="damaged"):
            sample_rules(study, image)


def test_a_copy_of_a_cell_that_was_deleted_counts(study, image, segmented):
    """The second image's first object is written as a copy of one of the first image's."""
    other = study.samples["image"].iloc[1]
    objects = study.objects_of(other)
    objects["duplicate_of"] = [f"{image} 2", f"{image} 3", *objects["duplicate_of"].iloc[2:]]
    objects.to_parquet(study.folder_of(other) / "objects.parquet", index=False)
    frame = load_outlines(study, image)
    after = frame.labels.copy()
    after[after == 2] = 0
    save_correction(frame, after, segmented, "A")
    assert corrected_objects(study, other)["duplicate_of"].tolist()[:3] == ["", f"{image} 3", ""]


boxes = st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(2, 9), st.integers(2, 9), st.integers(0, 6))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(boxes, min_size=1, max_size=5))
def test_replaying_gives_what_was_drawn(strokes):
    """Any series of painted boxes, saved one by one, comes back pixel by pixel from the corrections alone."""
    machine = np.zeros((30, 30), np.int32)
    machine[3:9, 3:9], machine[3:9, 15:22], machine[18:26, 8:20] = 1, 2, 3
    corrections: list[Correction] = []
    state = replay(machine, "base", corrections)
    for top, left, height, width, number in strokes:
        after = state.labels.copy()
        after[top : top + height, left : left + width] = number if number < 6 else state.next_number
        change = changed_objects(state.labels, after, state.next_number)
        before = state.labels
        outlines = tuple(
            outline_of(change.labels, n, place_of(before, n) if n in change.changed else None) for n in change.drawn
        )
        removed = tuple(place_of(before, n) for n in change.removed)
        corrections.append(Correction("i", "A", "correct", "base", "p", removed, outlines))
        stored = [Correction.from_dict(json.loads(json.dumps(c.as_dict()))) for c in corrections]
        state = replay(machine, "base", stored)
        assert np.array_equal(state.labels, change.labels)
        counted = np.bincount(state.labels.ravel())
        assert {n: a for n, a in state.areas.items() if a} == {n: a for n, a in enumerate(counted.tolist()) if n and a}
        assert state.lost == []
    # Taken back in the reverse order, the machine's labels are there again.
    undo = [Correction("i", "A", "take_back", "base", "p", refers_to=c.correction_id) for c in reversed(corrections)]
    assert np.array_equal(replay(machine, "base", [*corrections, *undo]).labels, machine)


@settings(max_examples=60, deadline=None)
@given(st.lists(boxes, min_size=1, max_size=4), st.lists(boxes, min_size=0, max_size=4))
def test_corrections_on_any_other_labels(drawn, machine):
    """Whatever another scoring finds, each object has one number, its area is known, and drawn ones have a row."""
    base = np.zeros((30, 30), np.int32)
    base[3:9, 3:9], base[18:26, 8:20] = 1, 2
    corrections: list[Correction] = []
    state = replay(base, "old", corrections)
    for top, left, height, width, number in drawn:
        after = state.labels.copy()
        after[top : top + height, left : left + width] = number if number < 6 else state.next_number
        change = changed_objects(state.labels, after, state.next_number)
        before = state.labels
        outlines = [outline_of(change.labels, n, place_of(before, n)) for n in change.changed]
        outlines += [outline_of(change.labels, n) for n in change.added]
        removed = tuple(place_of(before, n) for n in change.removed)
        corrections.append(Correction("i", "A", "correct", "old", "p", removed, tuple(outlines)))
        state = replay(base, "old", corrections)
    other = np.zeros((30, 30), np.int32)
    for number, (top, left, height, width, _) in enumerate(machine, start=1):
        other[top : top + height, left : left + width] = number
    again = replay(other, "new", corrections)
    counted = np.bincount(again.labels.ravel())
    assert again.areas == {n: a for n, a in enumerate(counted.tolist()) if n and a}
    assert set(again.rows) <= set(again.areas) <= again.used
    assert all(again.heir_of(n) in {0, *again.areas} for n in again.used)
    # One more correction at the end changes no number that those before it gave.
    prefix = replay(other, "new", corrections[:-1])
    assert prefix.used <= again.used
    repeated = replay(other, "new", corrections)
    assert np.array_equal(repeated.labels, again.labels)


def test_a_place_from_json():
    place = Place(4, 1.5, 2.25, 3.125)
    assert Place.from_dict(json.loads(json.dumps(place.as_dict()))) == place


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record["rows"][0].pop("dapi_mean"),
        lambda record: record["rows"][0].update(her2_mean={}),
        lambda record: record["rows"][0].update(y_px=None),
        lambda record: record["outlines"][0].update(object_id=2**40),
        lambda record: record["outlines"][0].update(box=[float("inf"), 2, 1, 1]),
        lambda record: record.update(reader=7),
    ],
)
def test_a_correction_with_values_of_another_kind_is_refused(study, image, change):
    """Found by benchmarks/fuzz.py: KeyError, TypeError and OverflowError in the midst of grading."""
    row = dict.fromkeys(MEASURED_COLUMNS) | {"object_id": 9, "y_px": 1.5, "x_px": 1.5, "area_px": 4}
    row |= {"image": image, "not_measurable": "", "touches_border": False}
    drawn = Outline(9, 1, 1, np.ones((2, 2), bool))
    path = write_correction(study, Correction(image, "Eva", "correct", "x", "y", outlines=(drawn,), rows=(row,)))
    assert read_corrections(study, image)[0].rows == (row,)
    record = json.loads(path.read_text(encoding="utf-8"))
    change(record)
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(ReviewError, match="the correction of outlines cannot be read"):
        read_corrections(study, image)
