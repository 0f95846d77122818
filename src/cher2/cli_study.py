"""The commands around a finished study, verify and audit, and deidentify for the images that it is made of.

Thin, as the others; :mod:`cher2.cli` makes them commands.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from cher2.cli_review import Reviews, StudyFolder
from cher2.errors import StudyError

Expected = Annotated[
    list[str] | None,
    typer.Option(
        metavar="HASH", help="A hash that was kept elsewhere, of the log or of the trail: must be there; repeatable."
    ),
]


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
    expect: Expected = None,
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
            study,
            images=images,
            sample=number,
            seed=seed,
            workers=workers,
            reviews=reviews,
            expect=expect or (),
            progress=progress,
        )
    print(json.dumps(found.as_dict(), indent=1) if as_json else found)
    if found.exit_code:
        raise typer.Exit(found.exit_code)


def audit(
    study: StudyFolder,
    reader: Annotated[str, typer.Option(metavar="NAME", help="Only what this reader did.")] = "",
    patient: Annotated[str, typer.Option(metavar="ID", help="Only what was done on this patient's cells.")] = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="From this day or time on, in UTC: 2026-11-22.")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Up to this day or time, in UTC.")] = "",
    form: Annotated[Literal["csv", "pdf"], typer.Option("--as", help="A table (CSV), or pages to be printed.")] = "csv",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="F", help="File to write; CSV is printed without one.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    expect: Expected = None,
    reviews: Reviews = "",
) -> None:
    """Tell who changed what in a study, when and why, and whether that is as it was stored."""
    from cher2.audit.csv_file import audit_csv
    from cher2.audit.timeline import Wanted, audit_study
    from cher2.study.tables import write_whole

    if form == "pdf" and output is None:
        raise StudyError("pages need a file", remedy="Name one: --as pdf -o audit.pdf")
    if output is not None and output.exists() and not force:
        raise StudyError("the file is there already", where=str(output), remedy="Name another with -o, or use --force")
    found = audit_study(study, Wanted(reader, patient, since, until), reviews, tuple(expect or ()))
    if form == "pdf":
        from cher2.audit.pdf_file import audit_pdf

        content = audit_pdf(found)
    else:
        content = audit_csv(found.lines).encode()
    if output is None:
        print(content.decode(), end="")
    else:
        write_whole(output, content)
        print(f"{len(found.lines)} of {found.n_all} lines: {output}")
    for words in [*found.heads(), *(f"NOT AS STORED: {fault}" for fault in found.faults)]:
        print(f"{words}.", file=sys.stderr)
    if found.faults:
        raise typer.Exit(1)


def deidentify(
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="Folder of images, as of 'cher2 run'.")],
    out: Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="Folder of copies to write.")],
    names: Annotated[
        Path | None, typer.Option(metavar="SHEET", help="New names (CSV: old, new); by default numbers.")
    ] = None,
    random: Annotated[
        bool, typer.Option("--random", help="Number the patients in an order that nobody can guess.")
    ] = False,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write old and new names there, not in OUT; or take them.")
    ] = None,
    samples: Annotated[Path | None, typer.Option(metavar="F", help="Sample sheet (CSV); OUT gets a clean one.")] = None,
    clinical: Annotated[
        Path | None, typer.Option(metavar="F", help="Clinical table (CSV); OUT gets a clean one.")
    ] = None,
    protocol: Annotated[Path | None, typer.Option(metavar="F", help="Protocol (TOML) that tells channels.")] = None,
) -> None:
    """Copy images without what they say of persons, places and dates; text within the picture stays."""
    from cher2.exchange.deidentify import BURNT_IN
    from cher2.exchange.deidentify import deidentify as write_copies
    from cher2.progress import counting
    from cher2.protocol import Protocol
    from cher2.report.derive import read_clinical

    rules = Protocol.load(protocol) if protocol is not None else Protocol()
    table = read_clinical(clinical, rules) if clinical is not None else None
    with counting("images copied") as progress:
        done = write_copies(
            images,
            out,
            protocol=rules,
            samples=samples,
            clinical=table,
            names=names,
            random=random,
            key=key,
            progress=progress,
        )
    print(f"{done.images} images of {done.patients} patients, {done.files} files, each read back and compared: {out}")
    print(f"Channels, as they are called in the copies: {', '.join(done.channels) or 'none has a name'}.")
    print(f"{BURNT_IN}.")
    if key is not None:
        print(f"The key to the old names: {key}. Keep it apart from the copies.")
    for message in done.failed["message"]:
        print(f"Error: {message}", file=sys.stderr)
    if len(done.failed):
        raise typer.Exit(1 if done.images else 2)
