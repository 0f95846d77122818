"""The cells that are reviewed, of a study that was really scored."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from reading import CTCS, a_decision, change_objects, score_anew

from cher2.errors import StudyError
from cher2.review.cells import reviewed_cells, scored_images
from cher2.study.folder import OBJECTS, SCORE, Study
from cher2.study.score_file import labels_fingerprint
from cher2.study.tables import read_csv

FRAME = "P03/frame_01.ome.tif"


@pytest.fixture
def study(study_copy):
    return Study.open(study_copy)


def named(cells):
    return list(zip(cells.table["image"], cells.table["object_id"].tolist(), strict=True))


def decision_on(study, cell, **fields):
    """Return a decision on an object, as if it was made with the results that are there."""
    score = labels_fingerprint(study.score_of(cell["image"]))
    where = {"image": cell["image"], "object_id": int(cell["object_id"]), "at": (cell["y_px"], cell["x_px"])}
    return a_decision(**(where | {"score": score, "radius_px": cell["diameter_um"] / 2 / 0.64} | fields))


def test_they_are_the_ctcs_in_the_order_of_the_samples(study):
    cells = reviewed_cells(study)
    expected = [
        (image, number)
        for image in study.samples["image"]
        for number in sorted(study.objects_of(image).query("kind == 'ctc'")["object_id"].tolist())
    ]
    assert named(cells) == expected
    assert (
        len(expected)
        == CTCS
        == read_csv(study.path / "patients.csv", StudyError, "patients")["n_ctcs"].astype(int).sum()
    )
    assert cells.table.index.tolist() == list(range(CTCS))
    # 0.64 um a pixel, and a circle of the same area.
    radius = np.sqrt(cells.table["area_um2"].to_numpy() / np.pi) / 0.64
    np.testing.assert_allclose(cells.radius_px, radius)
    assert str(cells.table["grade_auto"].dtype) == "Int8"


def test_the_fingerprint_is_that_of_the_images_results(study):
    prints = {image: labels_fingerprint(study.score_of(image)) for image in study.samples["image"]}
    cells = reviewed_cells(study)
    assert [prints[image] for image in cells.table["image"]] == cells.fingerprints.tolist()
    assert len(set(prints.values())) == 8
    assert labels_fingerprint(None) == labels_fingerprint({}) == labels_fingerprint({"source": "?"}) == "-"


def test_a_copy_in_another_frame_is_left_out(study):
    first = int(reviewed_cells(study).table.query("image == @FRAME")["object_id"].iloc[0])

    def change(objects):
        copy = objects["object_id"] == first
        return objects.assign(duplicate_of=objects["duplicate_of"].mask(copy, "P03/other.tif 7"))

    change_objects(study, FRAME, change)
    cells = reviewed_cells(study)
    assert len(cells) == CTCS - 1
    assert (FRAME, first) not in named(cells)


def test_an_object_that_a_reader_judged_is_among_them_whatever_the_machine_took_it_for(study):
    objects = study.objects_of(FRAME)
    rejected = objects[objects["kind"] != "ctc"].iloc[[0, -1]]
    decisions = [decision_on(study, row, reader="Eva") for _, row in rejected.iterrows()]
    cells = reviewed_cells(study, decisions)
    assert len(cells) == CTCS + 2
    assert {(FRAME, number) for number in rejected["object_id"].tolist()} <= set(named(cells))
    # In its place among the others.
    assert cells.table["object_id"][cells.table["image"] == FRAME].is_monotonic_increasing


def test_an_object_that_was_judged_is_found_when_the_image_is_scored_anew(study):
    rejected = study.objects_of(FRAME).query("kind == 'leukocyte'").iloc[0]
    decision = decision_on(study, rejected)
    score_anew(study, FRAME, by=(2, -1))
    table = reviewed_cells(study, [decision]).table.query("kind != 'ctc'")
    assert len(table) == 1
    np.testing.assert_allclose(table[["y_px", "x_px"]], [[rejected["y_px"] + 2, rejected["x_px"] - 1]])


def test_a_cell_that_is_no_ctc_any_more_keeps_its_decision_though_a_ctc_is_near(study):
    ctc = study.objects_of(FRAME).query("kind == 'ctc'").iloc[0]
    decision = decision_on(study, ctc)

    def change(objects):
        # The cell itself is rejected now, and a neighbour within its radius is a CTC.
        own = objects["object_id"] == ctc["object_id"]
        neighbour = objects[own].assign(object_id=np.int32(999), x_px=ctc["x_px"] + 4)
        objects["kind"] = objects["kind"].mask(own, "other")
        return type(objects)(np.concatenate([objects, neighbour]), columns=objects.columns).astype(objects.dtypes)

    change_objects(study, FRAME, change, "anew")
    table = reviewed_cells(study, [decision]).table
    assert (table["object_id"][table["image"] == FRAME] == ctc["object_id"]).any()


def test_decisions_whose_cell_is_gone_add_nothing(study):
    gone = a_decision(image=FRAME, at=(-500.0, -500.0))
    elsewhere = a_decision(image="P99/no.tif")
    assert len(reviewed_cells(study, [gone, elsewhere])) == CTCS


def test_images_that_are_not_scored_are_left_out(study):
    shutil.rmtree(study.folder_of(FRAME))
    assert FRAME not in scored_images(study)
    assert len(reviewed_cells(study)) == CTCS - 9


@pytest.mark.parametrize("rejected", [True, False])
def test_a_study_without_ctcs_and_one_without_results(study, rejected):
    for image in study.samples["image"]:
        if rejected:
            change_objects(study, image, lambda objects: objects.assign(kind="other"))
        else:
            shutil.rmtree(study.folder_of(image))
    cells = reviewed_cells(study)
    assert (len(cells), len(cells.fingerprints), len(cells.radius_px)) == (0, 0, 0)
    assert {"patient_id", "image", "object_id", "grade_auto", "p0"} <= set(cells.table.columns)
    if not rejected:
        shutil.rmtree(study.path / "images")
        assert len(reviewed_cells(study)) == 0


def test_a_damaged_table_and_a_damaged_score_are_named(study):
    kept = (study.folder_of(FRAME) / SCORE).read_text(encoding="utf-8")
    (study.folder_of(FRAME) / SCORE).write_text(json.dumps({"measuring": "x"}), encoding="utf-8")
    with pytest.raises(StudyError, match=FRAME):
        reviewed_cells(study)
    (study.folder_of(FRAME) / SCORE).write_text(kept, encoding="utf-8")
    (study.folder_of(FRAME) / OBJECTS).write_bytes(b"PAR1 no more")
    with pytest.raises(StudyError, match="P03__frame_01"):
        reviewed_cells(study)
