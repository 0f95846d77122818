"""A study as one AnnData file (.h5ad), for scanpy, squidpy, scimap and whoever reads it.

``X`` is objects x markers; ``obs`` what else is known of each object, ``obsm["spatial"]`` its place in its frame, and
``uns`` where the numbers come from.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import cher2
from cher2.cells.objects import COLUMNS, empty_objects
from cher2.errors import Cher2Error, StudyError
from cher2.exchange.quantification import INTENSITIES, final_grades
from cher2.review.results import with_final
from cher2.study.folder import Study
from cher2.study.provenance import read_provenance


def check_anndata() -> None:
    """Make sure that the library is there.

    Raises
    ------
    Cher2Error
        It is not installed.
    """
    if find_spec("anndata") is None:
        raise Cher2Error("anndata is not installed", remedy='pip install "cher2[anndata]"')


def write_anndata(study: Study, images: Sequence[str], objects_of: Callable[[str], pd.DataFrame], path: Path) -> int:
    """Write the objects of a study as one AnnData file.

    Parameters
    ----------
    study : Study
    images : sequence of str
        Its scored frames.
    objects_of : callable
        Gives the objects of a frame with ``kind_final`` and ``grade``.
    path : Path
        The file, there when it is whole.

    Returns
    -------
    int
        The number of objects.

    Raises
    ------
    StudyError
        The file cannot be written.
    """
    import anndata

    tables = [table for table in map(objects_of, images) if len(table)]
    objects = pd.concat(tables, ignore_index=True) if tables else with_final(empty_objects(), {})
    place = objects[["x_px", "y_px"]].to_numpy(float)
    data = anndata.AnnData(
        X=objects[list(INTENSITIES.values())].to_numpy(float),
        obs=_observations(objects),
        var=_variables(),
        obsm={"spatial": place},
        uns={
            "cher2": cher2.__version__,
            "study_id": study.identity,
            "protocol_toml": study.protocol.to_toml(),
            "provenance_json": json.dumps(read_provenance(study.path), sort_keys=True),
            "spatial_unit": "pixels of the frame that obs['image'] names: column, row",
        },
    )
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        data.write_h5ad(partial, compression="gzip")
        partial.replace(path)
    except OSError as error:
        raise StudyError(
            f"the file cannot be written ({error.strerror or error})",
            where=str(path),
            remedy="Make room on the disk, or name another file with -o",
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return len(objects)


def _observations(objects: pd.DataFrame) -> pd.DataFrame:
    """Return what is known of each object besides the markers, named by image and number."""
    left = [column.name for column in COLUMNS if column.name not in INTENSITIES.values()]
    table = objects[left].assign(kind_final=objects["kind_final"].to_numpy(), grade=final_grades(objects))
    table = table.assign(**{name: objects[name].to_numpy() for name in ("reader", "reviewed_at")})
    names = objects["image"].astype(object) + " " + objects["object_id"].astype(str).astype(object)
    texts = {str(name): _categories(table[name]) for name in table if _is_text(table[name])}
    return table.assign(**texts).set_axis(pd.Index(names.tolist(), dtype=object, name="object"), axis=0)


def _is_text(column: pd.Series) -> bool:
    return pd.api.types.is_string_dtype(column) or pd.api.types.is_object_dtype(column)


def _categories(column: pd.Series) -> Any:
    """Return texts as categories of plain objects, which every version of the format can hold."""
    values = column.fillna("").astype(str).astype(object).to_numpy(object)
    return pd.Categorical(values, categories=pd.Index(sorted(set(values)), dtype=object))


def _variables() -> pd.DataFrame:
    meanings = {column.name: column.meaning for column in COLUMNS}
    table = pd.DataFrame(
        {
            "column": np.array([*INTENSITIES.values()], dtype=object),
            "meaning": np.array([meanings[name] for name in INTENSITIES.values()], dtype=object),
            "unit": np.array(["camera counts above the background"] * len(INTENSITIES), dtype=object),
        }
    )
    return table.set_axis(pd.Index([*INTENSITIES], dtype=object, name="marker"), axis=0)
