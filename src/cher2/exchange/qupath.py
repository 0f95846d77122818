"""Outlines with their classes as GeoJSON that QuPath opens: one feature collection an image.

QuPath counts pixels from the outer corner of the first one, x before y, and calls a cell that a program has found a
"detection". Its class has a name and a colour, its measurements are a list of names and numbers; an identity is a UUID.
"""

from __future__ import annotations

import json
import math
import uuid
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from cher2.cells.objects import GRADE_NAMES
from cher2.exchange.polygons import outlines
from cher2.palette import GRADE_COLOURS, KIND_COLOURS

MEASUREMENTS = {
    "HER2 intensity": "her2_intensity",
    "HER2 mean above background": "her2_mean",
    "CK mean above background": "ck_mean",
    "CD45 mean above background": "cd45_mean",
    "DAPI mean above background": "dapi_mean",
    "Diameter um": "diameter_um",
    "Area um^2": "area_um2",
    **{f"Probability of {name}": f"p{grade}" for grade, name in enumerate(GRADE_NAMES)},
}
"""What QuPath's table of measurements shows, and the columns that it is from."""

COPY = "Copy of a cell in another frame"
UNGRADED = "CTC HER2 not graded"


def feature_collection(labels: NDArray[Any], objects: pd.DataFrame, namespace: uuid.UUID) -> dict[str, Any]:
    """Return the objects of an image as a GeoJSON feature collection.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
        The label image.
    objects : DataFrame
        The image's objects, with ``kind_final`` and ``grade``.
    namespace : UUID
        Of the study: the same object gets the same identity each time.

    Returns
    -------
    dict
        Ready for JSON. The class says "CTC HER2 2+", "Leukocyte", "Other", or that the object is a copy of a cell in
        another frame, so that whoever adds up several images counts no cell twice.
    """
    rows = {int(row["object_id"]): row for row in objects.to_dict("records")}
    features = [
        {
            "type": "Feature",
            "id": str(uuid.uuid5(namespace, f"{rows[label]['image']} {label}")),
            "geometry": _geometry(polygons),
            "properties": _properties({str(name): value for name, value in rows[label].items()}),
        }
        for label, polygons in outlines(labels)
        if label in rows
    ]
    return {"type": "FeatureCollection", "features": features}


def geojson_text(collection: dict[str, Any]) -> str:
    """Return a feature collection as JSON (RFC 8259: no NaN)."""
    return json.dumps(collection, allow_nan=False, separators=(",", ":")) + "\n"


def _geometry(polygons: list[list[list[list[int]]]]) -> dict[str, Any]:
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def _properties(row: dict[str, Any]) -> dict[str, Any]:
    name, colour = class_of(row)
    numbers = {shown: float(row[column]) for shown, column in MEASUREMENTS.items() if not pd.isna(row[column])}
    return {
        "objectType": "detection",
        "name": f"{row['patient_id']} {row['object_id']}",
        "classification": {"name": name, "color": [int(colour[at : at + 2], 16) for at in (1, 3, 5)]},
        "measurements": [{"name": shown, "value": value} for shown, value in numbers.items() if math.isfinite(value)],
    }


def class_of(row: dict[str, Any]) -> tuple[str, str]:
    """Return the name of an object's class and its colour, "#rrggbb"."""
    if row["duplicate_of"]:
        return COPY, KIND_COLOURS["other"]
    if row["kind_final"] != "ctc":
        return str(row["kind_final"]).capitalize(), KIND_COLOURS[row["kind_final"]]
    grade = row["grade_auto"] if pd.isna(row["grade"]) else row["grade"]
    if pd.isna(grade):
        return UNGRADED, "#ffffff"
    return f"CTC HER2 {GRADE_NAMES[int(grade)]}", GRADE_COLOURS[int(grade)]


def namespace_of(study: str) -> uuid.UUID:
    """Return the namespace of a study's objects from its identity."""
    return uuid.uuid5(uuid.NAMESPACE_OID, study)
