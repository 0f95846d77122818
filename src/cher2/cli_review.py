"""The commands around readers' decisions: review, agreement, export and import.

Thin, as the others; :mod:`cher2.cli` makes them commands.
"""

from __future__ import annotations

import getpass
import importlib.util
import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cher2.errors import Cher2Error, ReviewError

if TYPE_CHECKING:
    from cher2.study.folder import Study

StudyFolder = Annotated[Path, typer.Argument(metavar="STUDY", help="A study folder that 'cher2 run' has written.")]

Reviews = Annotated[
    str,
    typer.Option(
        metavar="URL",
        help="Database of readers' decisions, postgresql://...; by default CHER2_REVIEWS, or a file in the study.",
    ),
]


def review(
    study: StudyFolder,
    reader: Annotated[str, typer.Option(metavar="NAME", help="The reader; by default the login name.")] = "",
    blind: Annotated[bool, typer.Option("--blind", help="Hide automatic grade, patient and cohort.")] = False,
    queue: Annotated[
        str, typer.Option(metavar="NAME", help="patient, uncertain, decisive, sample, second or disagreements.")
    ] = "",
    images: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="The images, where they are no longer where they were scored.")
    ] = None,
    reviews: Reviews = "",
    restore: Annotated[
        bool, typer.Option("--restore", help="Put a damaged file of decisions back from its backup; opens no window.")
    ] = False,
) -> None:
    """Correct grades cell by cell, in napari."""
    from cher2.images.places import is_remote, place
    from cher2.review.queues import queue_named
    from cher2.study.folder import Study

    home = Study.open(study)
    if restore:
        print(_restored(home, reviews))
        return
    if queue:
        queue_named(queue)
    folder = None if images is None else place(images)
    if folder is not None and not is_remote(folder) and not folder.is_dir():
        raise ReviewError("there is no such folder of images", where=str(folder), remedy="Name another with --images")
    if importlib.util.find_spec("napari") is None:
        raise Cher2Error("napari is not installed", remedy='pip install "cher2[napari]"')
    from cher2.napari.review_window import open_review

    open_review(
        home, reader=reader or _login(), queue=queue or None, blind=blind, images=folder, reviews=reviews, tell=print
    )


def agreement(study: StudyFolder, reviews: Reviews = "") -> None:
    """Compare the readers with each other and with the automatic grade: kappa and confusion."""
    from cher2.review.agreement import study_agreement
    from cher2.review.agreement_table import agreement_table, agreement_text
    from cher2.review.decisions_csv import guarded_columns
    from cher2.review.ledger import Ledger
    from cher2.review.open_log import stored_decisions
    from cher2.study.folder import Study
    from cher2.study.tables import write_csv

    home = Study.open(study)
    ledger = Ledger(home, stored_decisions(home, reviews))
    found = study_agreement(ledger)
    path = home.path / "agreement.csv"
    write_csv(guarded_columns(agreement_table(found)), path)
    print(agreement_text(found))
    print(f"Table: {path}")


def export(
    study: StudyFolder,
    form: Annotated[
        Literal["qupath", "labels", "decisions", "mcmicro", "cellprofiler", "anndata"],
        typer.Option("--as", help="Outlines (GeoJSON); label images (OME-TIFF); decisions or tables (CSV); AnnData."),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT", help="Folder to write; a file for decisions and anndata.")
    ],
    reviews: Reviews = "",
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Write outlines with their classes, labels, tables of objects or decisions for other programs."""
    from cher2.exchange.export import export as write
    from cher2.progress import counting
    from cher2.study.folder import Study

    with counting("images exported") as progress:
        written = write(Study.open(study), form, output, reviews, force=force, progress=progress)
    print(written)


def import_(
    study: StudyFolder,
    decisions: Annotated[
        Path,
        typer.Argument(metavar="F", help="Decisions (CSV): cher2's own, or image, grade, object_id or y_px, x_px."),
    ],
    reader: Annotated[str, typer.Option(metavar="NAME", help="Who decided where the file names nobody.")] = "",
    reviews: Reviews = "",
) -> None:
    """Bring decisions made elsewhere into a study: all rows of a file, or none."""
    from cher2.exchange.import_decisions import import_decisions
    from cher2.review.open_log import open_to_write
    from cher2.study.folder import Study

    home = Study.open(study)
    log, note = open_to_write(home, reviews)
    with closing(log):
        if note:
            print(note)
        print(f"{import_decisions(home, log, decisions, reader)}.")
    print(f"To derive the study's tables from them: cher2 report {home.path}")


def _restored(study: Study, reviews: str) -> str:
    """Restore the decisions in a study's folder, and say what came of it."""
    from cher2.review.open_log import REVIEWS, VARIABLE
    from cher2.review.restoring import restore

    if reviews or os.environ.get(VARIABLE):
        raise ReviewError(
            "only decisions in the study folder can be restored here",
            where=VARIABLE if not reviews else "--reviews",
            remedy="Restore a server's database from its own backup (pg_restore)",
        )
    return str(restore(study.path / REVIEWS, study.identity))


def _login() -> str:
    """Return the login name.

    Raises
    ------
    ReviewError
        The system does not tell it.
    """
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError) as error:
        raise ReviewError("the system does not tell your login name", remedy="Give --reader NAME") from error
