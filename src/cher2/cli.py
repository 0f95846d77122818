"""The command line: thin commands over the same functions that a notebook calls.

Exit 0: all done. 1: finished, but some images failed (errors.csv names them). 2: bad use or bad input, nothing
written. What breaks a command off has exit codes of its own (:mod:`cher2.cli_ending`). Heavy libraries are imported
inside the commands: ``cher2 --help`` must answer at once.
"""

from __future__ import annotations

import atexit
import gc
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import cher2
from cher2 import cli_info, cli_review, cli_study
from cher2.cli_ending import run_to_its_end
from cher2.cli_review import Reviews, StudyFolder
from cher2.errors import GradingError

if TYPE_CHECKING:
    from cher2.batch.run import RunResult
    from cher2.report.derive import Derived

app = typer.Typer(
    name="cher2",
    help="Score HER2 on circulating tumour cells. For research use only.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A patient's name that the terminal's encoding lacks must not end a run.
            stream.reconfigure(errors="backslashreplace")
    # Python looks for garbage in everything that is loaded before it ends: most of a second, after Ctrl-C, too.
    atexit.register(gc.freeze)
    run_to_its_end(app)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"cher2 {cher2.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    images: Annotated[
        str, typer.Argument(metavar="IMAGES", help="Folder of images, or its URL; its first folders are the patients.")
    ],
    study: Annotated[Path, typer.Option("-o", "--output", metavar="STUDY", help="Study folder to write.")],
    protocol: Annotated[Path | None, typer.Option(metavar="F", help="Protocol (TOML).")] = None,
    samples: Annotated[Path | None, typer.Option(metavar="F", help="Sample sheet (CSV).")] = None,
    clinical: Annotated[Path | None, typer.Option(metavar="F", help="Clinical table (CSV).")] = None,
    workers: Annotated[int | None, typer.Option(min=1, metavar="N", help="Worker processes; 1: none.")] = None,
    scheduler: Annotated[str | None, typer.Option(metavar="ADDR", help="Dask scheduler, tcp://...")] = None,
    force: Annotated[bool, typer.Option("--force", help="Do everything anew.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")] = False,
    name_host: Annotated[
        bool, typer.Option("--name-host", help="Keep this computer's name in the provenance.")
    ] = False,
    reviews: Reviews = "",
) -> None:
    """Score a folder of images: cells, patients, cohorts and a report."""
    from cher2.batch.engine import usable_cores
    from cher2.batch.local_workers import load_ahead

    if scheduler is None and not dry_run and not study.exists() and (workers or usable_cores()) > 1:
        load_ahead()
    from cher2.batch.plan import make_plan
    from cher2.batch.plan_words import counted, plan_in_words
    from cher2.batch.run import carry_out
    from cher2.images.places import place
    from cher2.progress import showing, telling
    from cher2.report.derive import PAGE, read_clinical
    from cher2.report.renewal import renew_report
    from cher2.report.write import assumptions
    from cher2.study.folder import Study

    home = Study(study)
    with telling("Looking which images there are, and which of them are finished ..."):
        plan = make_plan(place(images), home, protocol=protocol, samples=samples, force=force)
    table = read_clinical(clinical, plan.protocol) if clinical is not None else None
    print(plan_in_words(plan, table), flush=True)
    if dry_run:
        print("Dry run: nothing was written.")
        return
    given = {"protocol": protocol, "sample_sheet": samples, "clinical_table": clinical}
    engine: dict[str, Any] = {"workers": workers, "scheduler": scheduler, "reviews": reviews}
    said: list[str] = []

    def write_page(result: RunResult) -> None:
        said.extend(assumptions(home))
        renew_report(home, result.derived, said)

    with showing() as progress:
        result = carry_out(
            plan, home, table, progress=progress, given=given, name_host=name_host, last=write_page, **engine
        )
    _print_derived(result.derived)
    _print_notes(said, result.derived)
    print(f"Report: {home.path / PAGE}")
    if len(result.failed):
        print(f"{counted(len(result.failed), 'image')} failed; {home.path / 'errors.csv'} names them.", file=sys.stderr)
        raise typer.Exit(1)


@app.command()
def compare(
    study: StudyFolder,
    clinical: Annotated[Path, typer.Option(metavar="F", help="Clinical table (CSV).")],
    index: Annotated[
        str | None, typer.Option(help="Split by another index, only printed: see docs/certainty.md for their names.")
    ] = None,
    threshold: Annotated[str | None, typer.Option(help="The index's threshold, such as 0.3 or 1/3.")] = None,
    reviews: Reviews = "",
) -> None:
    """Compare the cohorts of a study, high against low cHER2: sites and every further column."""
    from cher2.report.derive import compare_by_index, derive, read_clinical
    from cher2.report.write import write_report
    from cher2.study.folder import Study

    home = Study.open(study)
    table = read_clinical(clinical, home.protocol)
    if index is not None or threshold is not None:
        print(compare_by_index(home, table, index or "cher2_ratio", threshold, reviews))
        return
    with home.lock.held("compare"):
        derived = derive(home, table, reviews)
        page = write_report(home, derived)
    print(derived.comparison)
    print(f"\n{derived.survival}")
    print()
    _print_notes([], derived)
    print(f"Report: {page}")


@app.command()
def report(study: StudyFolder, reviews: Reviews = "") -> None:
    """Derive a study's tables again, by readers' decisions where there are some, and write its report.html."""
    from cher2.report.derive import derive
    from cher2.report.write import write_report
    from cher2.study.folder import Study

    home = Study.open(study)
    with home.lock.held("report"):
        derived = derive(home, reviews=reviews)
        page = write_report(home, derived)
    _print_notes([], derived)
    print(f"Report: {page}")


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write; new or empty.")],
    scenario: Annotated[
        Literal["standard", "crowded", "hard", "drift", "sample"], typer.Option(help="What is hard about it.")
    ] = "standard",
    patients: Annotated[int | None, typer.Option(min=1, help="Patients.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Frames a patient.")] = None,
    leukocytes: Annotated[float | None, typer.Option(min=0, help="Leukocytes a frame, on average.")] = None,
    crowding: Annotated[float | None, typer.Option(min=0, max=1, help="0: cells apart; 1: most overlap.")] = None,
    drift: Annotated[float | None, typer.Option(min=0, help="Staining gains between 2^-d and 2^d.")] = None,
    height: Annotated[int | None, typer.Option(min=1, help="Rows of a frame.")] = None,
    width: Annotated[int | None, typer.Option(min=1, help="Columns of a frame.")] = None,
    compress: Annotated[bool | None, typer.Option("--compress", help="Smaller files.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same bytes.")] = None,
) -> None:
    """Write a synthetic study whose truth is known."""
    from cher2.progress import counting
    from cher2.simulate.settings import SCENARIOS, StudySettings
    from cher2.simulate.study import simulate_study

    given: dict[str, Any] = {
        "patients": patients,
        "frames_per_patient": frames,
        "leukocytes_per_frame": leukocytes,
        "crowding": crowding,
        "staining_drift": drift,
        "compress": compress,
        "seed": seed,
    }
    overrides = {key: value for key, value in given.items() if value is not None}
    if height is not None or width is not None:
        rows, columns = SCENARIOS[scenario].get("frame_shape", StudySettings.frame_shape)
        overrides["frame_shape"] = (height or rows, width or columns)
    settings = StudySettings.for_scenario(scenario, **overrides)
    with counting("frames simulated") as progress:
        simulate_study(out, settings, progress)
    print(f"A synthetic study of {settings.patients} patients: {out}")


@app.command()
def calibrate(
    study: StudyFolder,
    graded: Annotated[
        Path | None,
        typer.Option(
            metavar="F",
            help="Graded cells (CSV): image, grade, and object_id or y_px, x_px; "
            "by default the grades that readers gave in the study.",
        ),
    ] = None,
    unit: Annotated[
        Literal["counts", "leukocyte_ratio", "leukocyte_sd"] | None,
        typer.Option(help="Unit of the cut-offs; the study's where none is given."),
    ] = None,
    spill: Annotated[bool, typer.Option("--spill", help="Estimate the spill of CK into HER2 from the CTCs.")] = False,
    controls: Annotated[
        list[str] | None,
        typer.Option(metavar="ROLE=FOLDER", help="Estimate the spill from single-stained images; repeatable."),
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="F", help="Protocol to write.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a protocol that is there.")] = False,
    reviews: Reviews = "",
) -> None:
    """Fit cut-offs to cells that readers graded, or estimate the spill; write a new protocol."""
    from cher2.review.grades_for_calibration import reviewed_grades
    from cher2.study.calibrated import calibrate_cutoffs, calibrate_spill, run_again, write_protocol
    from cher2.study.folder import Study
    from cher2.study.graded import read_graded

    home = Study.open(study)
    path = output or home.path / "protocol_calibrated.toml"
    of_spill = spill or bool(controls)
    if graded is not None and of_spill:
        raise GradingError(
            "say what is to be calibrated: cut-offs, or spill",
            remedy="Give --graded F, or --spill or --controls ROLE=FOLDER. Spill first: it changes the intensities",
        )
    if unit and of_spill:
        raise GradingError("--unit says nothing about spill", remedy="Leave it out, or calibrate cut-offs")
    if of_spill:
        calibrated, words = calibrate_spill(home, controls or [])
    elif graded is not None:
        calibrated, words = calibrate_cutoffs(home, read_graded(graded), unit)
    else:
        reviewed = reviewed_grades(home, reviews)
        calibrated, words = calibrate_cutoffs(home, reviewed.table, unit)
        print(f"{reviewed.words}.")
    write_protocol(calibrated, path, force=force)
    print(words)
    print(f"Protocol: {path}")
    print(f"To score the study with it: {run_again(home, path)}")


@app.command()
def protocol(
    path: Annotated[Path | None, typer.Argument(metavar="F", help="A protocol to check and print whole.")] = None,
    example: Annotated[bool, typer.Option("--example", help="Print the defaults with an explanation.")] = False,
) -> None:
    """Print the protocol in force: the defaults, or a file's with its defaults filled in."""
    from cher2.protocol import Protocol, example_toml

    if example:
        print(example_toml())
    else:
        print((Protocol.load(path) if path else Protocol()).to_toml(), end="")


for _name, _command in (
    ("info", cli_info.info),
    ("doctor", cli_info.doctor),
    ("review", cli_review.review),
    ("agreement", cli_review.agreement),
    ("export", cli_review.export),
    ("import", cli_review.import_),
    ("verify", cli_study.verify),
    ("audit", cli_study.audit),
    ("deidentify", cli_study.deidentify),
):
    app.command(_name)(_command)


def _print_derived(derived: Derived) -> None:
    columns = ["patient_id", "n_images", "n_ctcs", "n_grade_0", "n_grade_1", "n_grade_2", "n_grade_3"]
    columns += ["cher2_ratio", "ratio_low", "ratio_high", "group", "reason"]
    shown = derived.patients[columns]
    print(shown.to_string(index=False, na_rep="", float_format=lambda value: f"{value:.2f}"))
    print()
    print(derived.comparison if derived.comparison is not None else f"No comparison: {derived.no_comparison}")
    print()


def _print_notes(notes: list[str], derived: Derived) -> None:
    if derived.review.reviewed:
        print(f"{derived.review}.")
    for line in [*notes, *derived.notes()]:
        print(f"Note: {line}.")
