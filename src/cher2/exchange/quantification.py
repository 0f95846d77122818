"""Tables of objects with the column names of MCMICRO's quantification and of CellProfiler's ExportToSpreadsheet.

Lengths are in pixels, as theirs. Intensities are cher2's own: means in camera counts above the background, DAPI over
the nucleus and the others over the cell body, where MCMICRO gives raw means over its mask and CellProfiler means scaled
to 0..1. Column names are those of ``mcquant`` (labsyspharm/quantification, MIT) and of CellProfiler 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.exchange.shapes import shapes_px
from cher2.protocol import ROLES
from cher2.review.decisions_csv import guarded_columns
from cher2.study.folder import file_of

INTENSITIES = {role.upper(): f"{role}_mean" for role in ROLES}
"""The markers as other programs call them, and our columns."""

OBJECTS = "Cells"
"""What CellProfiler's tables call the objects."""


def mcmicro_table(objects: pd.DataFrame, labels: NDArray[Any]) -> pd.DataFrame:
    """Return the objects of a frame as MCMICRO's quantification writes them.

    Parameters
    ----------
    objects : DataFrame
        The frame's objects, with ``kind_final`` and ``grade``.
    labels : ndarray of int, shape (Y, X)
        Its label image.

    Returns
    -------
    DataFrame
        ``CellID``, a column a marker, ``X_centroid`` ... ``Orientation``; after them what cher2 adds: ``patient_id,
        sample_id, image, kind, her2_intensity, grade, duplicate_of``. Readers such as scimap take whatever stands
        before ``X_centroid`` for markers.
    """
    shapes = shapes_px(labels).reindex(objects["object_id"])
    table = {"CellID": objects["object_id"].to_numpy()}
    table |= {marker: objects[column].to_numpy(float) for marker, column in INTENSITIES.items()}
    table |= {
        "X_centroid": objects["x_px"].to_numpy(float),
        "Y_centroid": objects["y_px"].to_numpy(float),
        "Area": shapes["area"].to_numpy(),
        "MajorAxisLength": shapes["major"].to_numpy(),
        "MinorAxisLength": shapes["minor"].to_numpy(),
        "Eccentricity": objects["eccentricity"].to_numpy(float),
        "Solidity": shapes["solidity"].to_numpy(),
        "Extent": shapes["extent"].to_numpy(),
        "Orientation": shapes["orientation"].to_numpy(),
    }
    own = pd.DataFrame({name: objects[name].to_numpy() for name in ("patient_id", "sample_id", "image")})
    own = own.assign(
        kind=objects["kind_final"].to_numpy(),
        her2_intensity=objects["her2_intensity"].to_numpy(float),
        grade=final_grades(objects),
        duplicate_of=objects["duplicate_of"].to_numpy(),
    )
    return guarded_columns(pd.concat([pd.DataFrame(table), own], axis=1))


def cellprofiler_objects(objects: pd.DataFrame, labels: NDArray[Any], image_number: int) -> pd.DataFrame:
    """Return the objects of a frame as CellProfiler's ``Cells.csv`` has them.

    Parameters
    ----------
    objects, labels
        As of :func:`mcmicro_table`.
    image_number : int
        The frame's number in ``Image.csv``, from 1.

    Returns
    -------
    DataFrame
        ``ImageNumber, ObjectNumber``, then the features by name. ``Classify_...`` are 1 or 0, as ClassifyObjects
        writes them; ``Math_HER2_Grade`` is empty where an object has no grade.
    """
    shapes = shapes_px(labels).reindex(objects["object_id"])
    numbers, kinds = objects["object_id"].to_numpy(), objects["kind_final"].to_numpy(object)
    features = {
        "AreaShape_Area": shapes["area"].to_numpy(),
        "AreaShape_Center_X": objects["x_px"].to_numpy(float),
        "AreaShape_Center_Y": objects["y_px"].to_numpy(float),
        "AreaShape_Eccentricity": objects["eccentricity"].to_numpy(float),
        "AreaShape_EquivalentDiameter": 2 * np.sqrt(shapes["area"].to_numpy() / np.pi),
        "AreaShape_Extent": shapes["extent"].to_numpy(),
        "AreaShape_MajorAxisLength": shapes["major"].to_numpy(),
        "AreaShape_MinorAxisLength": shapes["minor"].to_numpy(),
        "AreaShape_Orientation": np.degrees(shapes["orientation"].to_numpy()),
        "AreaShape_Solidity": shapes["solidity"].to_numpy(),
        "Classify_CTC": (kinds == "ctc").astype(int),
        "Classify_Copy": (objects["duplicate_of"] != "").to_numpy(int),
        "Classify_Leukocyte": (kinds == "leukocyte").astype(int),
        **{f"Intensity_MeanIntensity_{marker}": objects[name].to_numpy(float) for marker, name in INTENSITIES.items()},
        "Location_Center_X": objects["x_px"].to_numpy(float),
        "Location_Center_Y": objects["y_px"].to_numpy(float),
        "Math_HER2_Grade": final_grades(objects),
        "Math_HER2_Intensity": objects["her2_intensity"].to_numpy(float),
        "Number_Object_Number": numbers,
    }
    table = pd.DataFrame(dict(sorted(features.items())))
    table.insert(0, "ObjectNumber", numbers)
    table.insert(0, "ImageNumber", image_number)
    return table


def cellprofiler_image(sample: Mapping[Any, Any], image_number: int, count: int) -> pd.DataFrame:
    """Return the row of a frame in CellProfiler's ``Image.csv``; folders are relative to the image folder.

    Parameters
    ----------
    sample : mapping
        The frame's row in the study's list of samples.
    image_number : int
        Its number, from 1.
    count : int
        Its objects.
    """
    image = str(sample["image"])
    file = file_of(image)
    path = PurePosixPath(file)
    frame = int(image[len(file) + 1 :]) - 1 if file != image else 0
    row: dict[str, Any] = {
        f"Count_{OBJECTS}": count,
        "ImageNumber": image_number,
        "Metadata_Image": image,
        "Metadata_Patient": sample["patient_id"],
        "Metadata_Sample": sample["sample_id"],
    }
    for marker in INTENSITIES:
        row |= {f"FileName_{marker}": path.name, f"PathName_{marker}": str(path.parent), f"Frame_{marker}": frame}
    return guarded_columns(pd.DataFrame([dict(sorted(row.items()))]))


def final_grades(objects: pd.DataFrame) -> Any:
    """Return the final grade of each CTC, a nullable whole number: the readers', else the machine's."""
    return objects["grade"].astype("Int8").where((objects["kind_final"] == "ctc").to_numpy()).array
