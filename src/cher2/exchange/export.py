"""A study's results as files for other programs."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import tifffile

from cher2.errors import ReviewError, StudyError
from cher2.exchange.qupath import feature_collection, geojson_text, namespace_of
from cher2.review.cells import scored_images
from cher2.review.decisions_csv import decisions_csv, guarded_columns
from cher2.review.ledger import Ledger
from cher2.review.open_log import stored_decisions
from cher2.review.outlines import corrected_labels, corrected_objects
from cher2.review.results import decided, with_final
from cher2.study.folder import Study
from cher2.study.tables import write_whole

Form = Literal["qupath", "labels", "decisions"]


def export(study: Study, form: Form, out: Path, reviews: str = "", *, force: bool = False) -> str:
    """Write a study's outlines or decisions for other programs.

    Parameters
    ----------
    study : Study
        With its images scored.
    form : {"qupath", "labels", "decisions"}
        GeoJSON files with outlines, classes and measurements, one an image; label images as OME-TIFF, one an image,
        whose values are ``object_id``; or the decisions as one CSV file, in the order of the log.
    out : Path
        The folder to write, or for decisions the file.
    reviews : str
        The database of readers' decisions, as of :func:`cher2.review.open_log.open_log`.
    force : bool
        Whether files that are there are replaced.

    Returns
    -------
    str
        What was written, in words.

    Raises
    ------
    StudyError
        Something is there already, cannot be read or cannot be written.
    ReviewError
        Readers' decisions cannot be read, or there are none to be exported.
    """
    if form == "decisions":
        return _export_decisions(study, out, reviews, force=force)
    images = scored_images(study)
    if form == "qupath":
        entries = stored_decisions(study, reviews)
        standings = decided(Ledger(study, entries)) if entries else {}
        namespace = namespace_of(study.identity)

        def write(image: str, path: Path) -> None:
            objects = with_final(corrected_objects(study, image), standings)
            write_whole(
                path, geojson_text(feature_collection(corrected_labels(study, image), objects, namespace)).encode()
            )

        return _export_images(study, images, out, ".geojson", write, force=force)
    return _export_images(
        study, images, out, ".labels.ome.tif", lambda image, path: _write_labels(study, image, path), force=force
    )


def _export_decisions(study: Study, out: Path, reviews: str, *, force: bool) -> str:
    entries = stored_decisions(study, reviews)
    if not entries:
        raise ReviewError(
            "there are no decisions on this study", where=str(study.path), remedy="Review it with 'cher2 review'"
        )
    _check_free(out, force=force)
    write_whole(out, decisions_csv(entries).encode())
    return f"{len(entries)} decisions: {out}"


def _export_images(
    study: Study, images: list[str], out: Path, suffix: str, write: Callable[[str, Path], None], *, force: bool
) -> str:
    paths = {image: out / f"{study.folder_of(image).name}{suffix}" for image in images}
    for path in paths.values():
        _check_free(path, force=force)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyError(
            f"the folder cannot be made ({error.strerror})", where=str(out), remedy="Name another with -o"
        ) from error
    for image, path in paths.items():
        write(image, path)
    index = guarded_columns(pd.DataFrame({"image": images, "file": [path.name for path in paths.values()]}))
    write_whole(out / "images.csv", index.to_csv(index=False, lineterminator="\n").encode())
    return f"{len(images)} files: {out}"


def _check_free(path: Path, *, force: bool) -> None:
    if path.exists() and (path.is_dir() or not force):
        raise StudyError("it is there already", where=str(path), remedy="Name another with -o, or use --force")


def _write_labels(study: Study, image: str, path: Path) -> None:
    """Write a label image with the size of its pixels, in 16 bits where they suffice."""
    size_um = (study.score_of(image) or {}).get("pixel_size_um")
    metadata = {"axes": "YX", "Name": image}
    if size_um:
        metadata |= {"PhysicalSizeX": size_um, "PhysicalSizeY": size_um}
        metadata |= {"PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
    labels = corrected_labels(study, image)
    labels = labels.astype(np.uint16 if labels.max(initial=0) < 2**16 else np.uint32)
    content = io.BytesIO()
    tifffile.imwrite(
        content,
        labels,
        ome=True,
        photometric="minisblack",
        compression="zlib",
        metadata=metadata,
    )
    write_whole(path, content.getvalue())
