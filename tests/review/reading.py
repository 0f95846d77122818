"""Decisions, tables of cells and images that are scored anew, for the tests of the review."""

from __future__ import annotations

import json

import pandas as pd

from cher2.review.decisions import Decision
from cher2.study.folder import OBJECTS, SCORE, Study

KINDS = {"not_ctc": "other"}

CTCS = 63
"""CTCs of the synthetic study that the tests score; test_review_cells holds it against the run's table of patients."""


def a_decision(action="grade", grade=None, *, image="a.tif", object_id=1, at=(10.0, 10.0), reader="Eva", **fields):
    """Return a decision on a cell; its kind follows from what it does."""
    y_px, x_px = at
    values = {"study": "study", "radius_px": 5.0, "kind_before": "ctc", "grade_before": None, "score": "old"}
    values["kind"] = KINDS.get(action, "ctc")
    return Decision(
        **(values | fields),
        image=image,
        object_id=object_id,
        y_px=y_px,
        x_px=x_px,
        action=action,
        reader=reader,
        grade=grade,
    )


def undo_of(decision, action="undo", **fields):
    """Return what takes a decision back, or puts it in force again."""
    at = (decision.y_px, decision.x_px)
    fields = {"reader": decision.reader, "object_id": decision.object_id} | fields
    return a_decision(action, image=decision.image, at=at, refers_to=decision.decision_id, **fields)


def cells_of(grades_by_patient):
    """Return a table of CTCs, one image a patient, as their grades are; a grade of None is a CTC without one."""
    rows = [
        {"patient_id": patient, "image": f"{patient}/a.tif", "object_id": number, "grade": grade}
        for patient, grades in grades_by_patient.items()
        for number, grade in enumerate(grades, start=1)
    ]
    table = pd.DataFrame(rows, columns=["patient_id", "image", "object_id", "grade"])
    table = table.astype({"object_id": "int32", "grade": "Int8"})
    for grade in range(4):
        table[f"p{grade}"] = (table["grade"] == grade).astype("Float64").where(table["grade"].notna()).astype(float)
    return table.assign(
        kind="ctc", kind_final="ctc", grade_auto=table["grade"], y_px=10.0 * table["object_id"], x_px=5.0
    )


def change_objects(study: Study, image: str, change, measuring: str | None = None) -> None:
    """Change an image's table of objects as scoring it anew would, with another fingerprint where one is given."""
    folder = study.folder_of(image)
    change(study.objects_of(image)).to_parquet(folder / OBJECTS, index=False)
    if measuring is not None:
        score = json.loads((folder / SCORE).read_text(encoding="utf-8"))
        (folder / SCORE).write_text(json.dumps(score | {"measuring": measuring}), encoding="utf-8")


def score_anew(study: Study, image: str, *, by=(3.0, -2.0), without=()) -> None:
    """Score an image anew: other numbers in another order, centroids that moved a little, some objects gone."""

    def change(objects):
        kept = objects[~objects["object_id"].isin(without)].iloc[::-1].reset_index(drop=True)
        moved = kept.assign(y_px=kept["y_px"] + by[0], x_px=kept["x_px"] + by[1])
        return moved.assign(object_id=(moved.index + 1).astype("int32"))

    change_objects(study, image, change, "anew")
