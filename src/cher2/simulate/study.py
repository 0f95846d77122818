"""A synthetic study as files: images, their truth, a clinical table and a protocol."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from cher2.errors import StudyError
from cher2.protocol import Protocol
from cher2.simulate import optics
from cher2.simulate.cells import populate_frame
from cher2.simulate.clinical import clinical_table
from cher2.simulate.frame import TRUTH_COLUMNS, simulate_frame
from cher2.simulate.ome import write_ome_tiff
from cher2.simulate.patients import Plan, frame_stream, instrument_stream, patient_table, plan_patients
from cher2.simulate.readme import readme
from cher2.simulate.settings import StudySettings

Progress = Callable[[int, int], None]


def simulate_study(out: Path, settings: StudySettings, progress: Progress | None = None) -> None:
    """Write a synthetic study with its truth: whole, or not at all.

    Parameters
    ----------
    out : Path
        A folder that is not there yet, or is empty.
    settings : StudySettings
        The same settings give the same bytes.
    progress : callable, optional
        Called with the number of frames done and of all frames.

    Raises
    ------
    StudyError
        The folder holds something already, or cannot be written.
    """
    out = Path(out).absolute()
    partial = out.with_name(f".{out.name}.partial-{os.getpid()}")
    try:
        _check_empty(out)
        partial.mkdir(parents=True)
        try:
            _write(partial, settings, progress)
            if out.exists():
                out.rmdir()
            partial.rename(out)
        finally:
            if partial.exists():
                shutil.rmtree(partial)
    except OSError as error:
        raise StudyError(
            f"the synthetic study cannot be written ({error.strerror or error})",
            where=str(out),
            remedy="Name a folder on a disk with room that you may write to",
        ) from error


def _check_empty(out: Path) -> None:
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists() or out.is_symlink():
        what = "the folder is not empty" if out.is_dir() else "this is a file, not a folder"
        raise StudyError(what, where=str(out), remedy="Name a folder that is not there yet")


def _write(folder: Path, settings: StudySettings, progress: Progress | None) -> None:
    plans = plan_patients(settings)
    truth = _write_images(folder / "images", settings, plans, progress)
    truth.to_csv(folder / "truth_cells.csv", index=False, lineterminator="\n")
    patient_table(plans).to_csv(folder / "truth_patients.csv", index=False, lineterminator="\n", float_format="%.6g")
    clinical_table(settings, plans).to_csv(folder / "clinical.csv", index=False, lineterminator="\n")
    protocol = Protocol(name=f"synthetic CellSearch CXC, HER2-PE (seed {settings.seed})")
    _write_text(folder / "protocol.toml", protocol.to_toml())
    _write_text(folder / "README.md", readme(settings))


def _write_images(folder: Path, settings: StudySettings, plans: list[Plan], progress: Progress | None) -> pd.DataFrame:
    """Write all frames, and return the truth of all cells."""
    light = optics.illumination(instrument_stream(settings), settings.frame_shape, settings.illumination_falloff)
    width = max(2, len(str(settings.frames_per_patient)))
    total, done, truths = settings.patients * settings.frames_per_patient, 0, []
    for patient, plan in enumerate(plans):
        (folder / plan.patient_id).mkdir(parents=True)
        for number, grades in enumerate(plan.frames):
            rng = frame_stream(settings, patient, number)
            cells = populate_frame(settings, grades, rng)
            frame = simulate_frame(settings, cells, rng, plan.gains, light)
            name = f"{plan.patient_id}/frame_{number + 1:0{width}d}.ome.tif"
            write_ome_tiff(
                folder / name,
                frame.pixels,
                optics.CHANNELS,
                settings.pixel_size_um,
                optics.BITS,
                settings.compress,
            )
            truths.append(_named(frame.truth, plan.patient_id, name))
            done += 1
            if progress is not None:
                progress(done, total)
    return pd.concat(truths, ignore_index=True)


def _named(truth: pd.DataFrame, patient_id: str, image: str) -> pd.DataFrame:
    """Return a frame's truth with the columns that say whose it is, rounded to what is worth printing."""
    rounded = truth.round({name: 3 for name, dtype in TRUTH_COLUMNS.items() if dtype == "float64"})
    for place, (name, value) in enumerate([("patient_id", patient_id), ("sample_id", patient_id), ("image", image)]):
        rounded.insert(place, name, value)
    return rounded


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
