"""The commands around a finished study: verify.

Thin, as the others; :mod:`cher2.cli` makes them commands.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cher2.cli_review import Reviews, StudyFolder
from cher2.errors import StudyError


def verify(
    study: StudyFolder,
    images: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The images, where they are no longer where they were scored.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Frames, chosen at random, to measure again; 5 by default.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Measure all frames again.")] = False,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed chooses the same frames.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, metavar="N", help="Worker processes; 1: none.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    reviews: Reviews = "",
) -> None:
    """Compute parts of a study again, compare fingerprints and tables, and say what differs; nothing is written."""
    from cher2.batch.verify import SAMPLE, verify_study
    from cher2.progress import counting

    if every and sample is not None:
        raise StudyError("--all and --sample contradict each other", remedy="Give one of them")
    number = None if every else SAMPLE if sample is None else sample
    with counting("steps verified") as progress:
        found = verify_study(
            study, images=images, sample=number, seed=seed, workers=workers, reviews=reviews, progress=progress
        )
    print(json.dumps(found.as_dict(), indent=1) if as_json else found)
    if found.exit_code:
        raise typer.Exit(found.exit_code)
