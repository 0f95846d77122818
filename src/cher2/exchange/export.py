"""A study's results as files for other programs."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Literal
from uuid import uuid4

import numpy as np
import pandas as pd
import tifffile

from cher2.errors import ReviewError, StudyError
from cher2.exchange.anndata_file import check_anndata, write_anndata
from cher2.exchange.quantification import OBJECTS, cellprofiler_image, cellprofiler_objects, mcmicro_table
from cher2.exchange.qupath import feature_collection, geojson_text, namespace_of
from cher2.review.cells import scored_images
from cher2.review.decisions_csv import decisions_csv, guarded_columns
from cher2.review.ledger import Ledger
from cher2.review.open_log import stored_decisions
from cher2.review.outlines import corrected_labels, corrected_objects
from cher2.review.results import decided, with_final
from cher2.study.fault_file import faults_filed
from cher2.study.file_set import remove, replaced_together
from cher2.study.folder import Study
from cher2.study.provenance import check_at_rest, state_of
from cher2.study.tables import sweep_partials, write_whole

Form = Literal["qupath", "labels", "decisions", "mcmicro", "cellprofiler", "anndata"]

INDEX = "images.csv"
"""Names the files of a folder that is exported, one an image; written last."""

Progress = Callable[[int, int], None]
"""Called with the images that are done and their number."""


def export(
    study: Study, form: Form, out: Path, reviews: str = "", *, force: bool = False, progress: Progress | None = None
) -> str:
    """Write a study's objects, outlines or decisions for other programs.

    Parameters
    ----------
    study : Study
        With its images scored.
    form : {"qupath", "labels", "decisions", "mcmicro", "cellprofiler", "anndata"}
        GeoJSON files with outlines, classes and measurements, one an image; label images as OME-TIFF, one an image,
        whose values are ``object_id``; the decisions as one CSV file, in the order of the log; MCMICRO's table, one an
        image; CellProfiler's ``Image.csv`` and ``Cells.csv``; or one AnnData file.
    out : Path
        The folder to write, or for decisions and AnnData the file.
    reviews : str
        The database of readers' decisions, as of :func:`cher2.review.open_log.open_log`.
    force : bool
        Whether files that are there are replaced.
    progress : callable, optional
        Called after each image.

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
    Cher2Error
        AnnData is wanted and not installed.
    """
    if form == "decisions":
        return _export_decisions(study, out, reviews, force=force)
    images, done = scored_images(study), _watched(study, progress or (lambda done, total: None))
    if form == "labels":

        def write_labels(image: str, path: Path) -> None:
            _write_labels(study, image, path)

        return _export_images(study, images, out, ".labels.ome.tif", write_labels, done, force=force)
    if form == "anndata":
        return _export_anndata(study, images, out, reviews, done, force=force)
    objects_of = final_objects(study, reviews)
    if form == "cellprofiler":
        return _export_cellprofiler(study, images, objects_of, out, done, force=force)
    if form == "mcmicro":

        def write_table(image: str, path: Path) -> None:
            write_csv_whole(mcmicro_table(objects_of(image), corrected_labels(study, image)), path)

        return _export_images(study, images, out, "_cell.csv", write_table, done, force=force)
    namespace = namespace_of(study.identity)

    def write_outlines(image: str, path: Path) -> None:
        collection = feature_collection(corrected_labels(study, image), objects_of(image), namespace)
        write_whole(path, geojson_text(collection).encode())

    return _export_images(study, images, out, ".geojson", write_outlines, done, force=force)


def _watched(study: Study, progress: Progress) -> Progress:
    """Refuse a study that a run is writing to, or has written to since the export began: it would be half old.

    Raises
    ------
    StudyError
    """
    before, where = state_of(study), str(study.path)
    check_at_rest(study)

    def told(done: int, total: int) -> None:
        if state_of(study) != before:
            remedy = "Export again, with --force, when the run has ended"
            raise StudyError("a run has changed the study while it was exported", where=where, remedy=remedy)
        progress(done, total)

    return told


def final_objects(study: Study, reviews: str) -> Callable[[str], pd.DataFrame]:
    """Return a function that gives the objects of a frame with ``kind_final, grade, reader, reviewed_at``."""
    entries = stored_decisions(study, reviews)
    standings = decided(Ledger(study, entries)) if entries else {}

    def objects_of(image: str) -> pd.DataFrame:
        with faults_filed(study):
            return with_final(corrected_objects(study, image), standings)

    return objects_of


def write_csv_whole(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV with all digits."""
    write_whole(path, table.to_csv(index=False, lineterminator="\n").encode())


def _export_anndata(study: Study, images: list[str], out: Path, reviews: str, done: Progress, *, force: bool) -> str:
    check_anndata()
    _check_free(out, force=force)
    objects_of = final_objects(study, reviews)

    def one(image: str) -> pd.DataFrame:
        objects = objects_of(image)
        done(next(number), len(images))
        return objects

    number = count(1)
    _make_folder(out.parent)
    return f"{write_anndata(study, images, one, out)} objects: {out}"


def _export_cellprofiler(
    study: Study,
    images: list[str],
    objects_of: Callable[[str], pd.DataFrame],
    out: Path,
    done: Progress,
    *,
    force: bool,
) -> str:
    """Write CellProfiler's two tables image by image: no more than one frame's objects are held."""
    names = ["Image.csv", f"{OBJECTS}.csv"]
    for name in names:
        _check_free(out / name, force=force)
    _make_folder(out)
    samples = study.samples.drop_duplicates("image").set_index("image", drop=False)
    with replaced_together(out, names) as files, files.opened(names[0]) as of_images, files.opened(names[1]) as of_rows:
        for number, image in enumerate(images, start=1):
            objects = objects_of(image)
            rows = cellprofiler_objects(objects, corrected_labels(study, image), number)
            row = cellprofiler_image(samples.loc[image].to_dict(), number, len(objects))
            for file, table in ((of_images, row), (of_rows, rows)):
                file.write(table.to_csv(index=False, header=number == 1, lineterminator="\n").encode())
            done(number, len(images))
    return f"{len(images)} images: {out / names[0]}, {out / names[1]}"


def _export_decisions(study: Study, out: Path, reviews: str, *, force: bool) -> str:
    entries = stored_decisions(study, reviews)
    if not entries:
        raise ReviewError(
            "there are no decisions on this study", where=str(study.path), remedy="Review it with 'cher2 review'"
        )
    _check_free(out, force=force)
    _make_folder(out.parent)
    write_whole(out, decisions_csv(entries).encode())
    return f"{len(entries)} decisions: {out}"


def _export_images(
    study: Study,
    images: list[str],
    out: Path,
    suffix: str,
    write: Callable[[str, Path], None],
    done: Progress,
    *,
    force: bool,
) -> str:
    paths = {image: out / f"{study.folder_of(image).name}{suffix}" for image in images}
    for path in paths.values():
        _check_free(path, force=force)
    _make_folder(out)
    # Without it the folder is not whole: who is killed leaves no list beside files old and new.
    remove(out, [INDEX])
    for number, (image, path) in enumerate(paths.items(), start=1):
        write(image, path)
        done(number, len(paths))
    index = guarded_columns(pd.DataFrame({"image": images, "file": [path.name for path in paths.values()]}))
    write_whole(out / INDEX, index.to_csv(index=False, lineterminator="\n").encode())
    return f"{len(images)} files: {out}"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyError(
            f"the folder cannot be made ({error.strerror})", where=str(folder), remedy="Name another with -o"
        ) from error
    sweep_partials(folder)


def _check_free(path: Path, *, force: bool) -> None:
    if path.exists() and (path.is_dir() or not force):
        raise StudyError("it is there already", where=str(path), remedy="Name another with -o, or use --force")


def _write_labels(study: Study, image: str, path: Path) -> None:
    """Write a label image with the size of its pixels, in 16 bits where they suffice."""
    size_um = (study.score_of(image) or {}).get("pixel_size_um")
    # tifffile would write a UUID of version 1, which tells the computer's network address and the time.
    metadata = {"axes": "YX", "Name": image, "UUID": f"urn:uuid:{uuid4()}"}
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
