"""From measured spill and fitted cut-offs to a new protocol; the study itself is left as it is."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cher2.cells.background import estimate_background
from cher2.cells.calibration import Calibration, fit_cutoffs
from cher2.cells.compensation import unmixing
from cher2.cells.kappa import cohens_kappa
from cher2.cells.segmentation import segment_nuclei
from cher2.cells.spill import Spill, cell_means, estimate_spill, estimate_spill_of_ctcs
from cher2.errors import GradingError, StudyError
from cher2.images.files import find_image_files
from cher2.images.image import Image
from cher2.images.places import is_url, place
from cher2.images.reader import read_frames
from cher2.protocol import ROLES, Protocol, Role
from cher2.study.folder import Study
from cher2.study.graded import match_graded
from cher2.study.provenance import read_provenance
from cher2.study.tables import write_whole


def calibrate_cutoffs(study: Study, graded: pd.DataFrame, unit: str | None = None) -> tuple[Protocol, str]:
    """Fit cut-offs to graded cells of a study.

    Parameters
    ----------
    study : Study
        With its images scored.
    graded : DataFrame
        The graded cells, as :func:`cher2.study.graded.read_graded` reads them from a file.
    unit : str, optional
        The unit of the cut-offs; the study's own where none is given.

    Returns
    -------
    Protocol
        The study's protocol with the new cut-offs.
    str
        What was found, in words.

    Raises
    ------
    GradingError
        There are too few graded cells, or they are not of this study.
    """
    protocol = study.protocol
    matched = match_graded(study, graded, unit or protocol.grade.unit)
    cells = matched.cells
    calibration = fit_cutoffs(
        cells["intensity"], cells["grade"], patients=cells["patient_id"], unit=unit or protocol.grade.unit
    )
    lines = [f"{matched}.", str(calibration)]
    scored = cells[cells["grade_auto"].notna()]
    if len(scored):
        before = cohens_kappa(scored["grade_auto"].astype(int), scored["grade"])
        cuts = ", ".join(f"{cut:g}" for cut in protocol.grade.cutoffs)
        lines.append(f"With the study's own cut-offs ({cuts} in {protocol.grade.unit}) kappa is {before:.3f}.")
    return with_cutoffs(protocol, calibration), "\n".join(lines)


def calibrate_spill(study: Study, controls: Sequence[str] = ()) -> tuple[Protocol, str]:
    """Estimate the spill between channels from single-stained controls, or from a study's CTCs where none are given.

    Parameters
    ----------
    study : Study
        With its images scored.
    controls : sequence of str
        "ck=FOLDER": images of cells that carry only that stain.

    Returns
    -------
    Protocol
        The study's protocol with the new compensation.
    str
        What was found, in words.

    Raises
    ------
    Cher2Error
        A control cannot be used, or there are too few cells.
    """
    protocol = study.protocol
    pairs = [_control(words) for words in controls]
    spills = [spill for source, folder in pairs for spill in spill_of_controls(folder, source, protocol)]
    spills = spills or [spill_of_study(study)]
    lines = ["Spill, with its 95 % interval:", *(f"  {spill}" for spill in spills)]
    lines.append("Compensation changes the intensities: look at the cut-offs again after the next run.")
    return with_spill(protocol, spills), "\n".join(lines)


def run_again(study: Study, protocol: Path) -> str:
    """Return the command that scores a study's images again with another protocol."""
    images = read_provenance(study.path).get("images")
    if images and images.startswith("~/"):
        # The shell knows whose home that is.
        folder = f"~/{shlex.quote(images[2:])}"
    else:
        folder = os.path.normpath(study.path / images) if images and not is_url(images) else images or "IMAGES"
        folder = shlex.quote(folder)
    rest = shlex.join(["-o", str(study.path), "--protocol", str(protocol)])
    return f"cher2 run {folder} {rest}"


def spill_of_controls(folder: Path, source: Role, protocol: Protocol) -> tuple[Spill, ...]:
    """Estimate the spill of a stain from images of cells that carry no other.

    Parameters
    ----------
    folder : Path
        The images; every one has all four channels.
    source : {"dapi", "ck", "cd45", "her2"}
        The stain; cells are found in its own channel.
    protocol : Protocol
        Its sections ``channels`` and ``image`` say how to read the files.

    Returns
    -------
    tuple of Spill
        One for each other channel.

    Raises
    ------
    Cher2Error
        An image cannot be read, or there are too few cells.
    """
    frames = (image for file in find_image_files(folder, protocol) for image in read_frames(file, protocol))
    return estimate_spill(pd.concat([_means(image, source, protocol) for image in frames]), source)


def spill_of_study(study: Study) -> Spill:
    """Estimate the spill of CK into HER2 from a study's CTCs; see :func:`cher2.cells.spill.estimate_spill_of_ctcs`.

    Raises
    ------
    GradingError
        The study was measured with that compensation already, or has too few HER2-negative CTCs.
    """
    if "ck->her2" in study.protocol.compensation:
        raise GradingError(
            "the study was measured with compensation of ck->her2: what is left says nothing about the spill",
            where=str(study.path),
            remedy="Take it out of the protocol and run again, or use single-stained controls (--controls ck=FOLDER)",
        )
    images = [image for image in study.samples["image"] if study.folder_of(image).is_dir()]
    return estimate_spill_of_ctcs(study.read_objects(images, kinds=["ctc", "leukocyte"]))


def with_cutoffs(protocol: Protocol, calibration: Calibration) -> Protocol:
    """Return a protocol with fitted cut-offs and their unit, and a name that says so."""
    grade = protocol.grade.model_dump() | {"unit": calibration.unit, "cutoffs": calibration.cutoffs}
    return _changed(protocol, {"grade": grade, "name": _named(protocol.name, "calibrated")})


def with_spill(protocol: Protocol, spills: Iterable[Spill]) -> Protocol:
    """Return a protocol that compensates the spills that are there, with a name that says so.

    An estimate replaces the protocol's own fraction of the same pair; one that is taken for none removes it.

    Raises
    ------
    ProtocolError
        So much spill cannot be taken out.
    """
    estimated = {spill.pair: spill for spill in spills}
    kept = {pair: fraction for pair, fraction in protocol.compensation.items() if pair not in estimated}
    found = {pair: round(spill.fraction, 4) for pair, spill in estimated.items() if spill.is_there}
    # Tried here, so that no run fails on what is written.
    unmixing(kept | found)
    return _changed(protocol, {"compensation": kept | found, "name": _named(protocol.name, "spill calibrated")})


def write_protocol(protocol: Protocol, path: Path, *, force: bool) -> None:
    """Write a protocol to a file that is not there yet, or, with `force`, in place of one.

    Raises
    ------
    StudyError
        The file is there already, or cannot be written.
    """
    if path.exists() and not force:
        raise StudyError("the file is there already", where=str(path), remedy="Name another with -o, or use --force")
    write_whole(path, protocol.to_toml().encode())


def _control(words: str) -> tuple[Role, Path]:
    name, _, folder = words.partition("=")
    for role in ROLES:
        if role == name.strip().lower() and folder:
            return role, place(folder)
    raise GradingError(f'"{words}" names no control', remedy=f"Write ROLE=FOLDER, ROLE one of {', '.join(ROLES)}")


def _means(image: Image, source: Role, protocol: Protocol) -> pd.DataFrame:
    planes = image.planes(protocol.channels)
    pixel_size_um = image.pixel_size_um or protocol.image.pixel_size_um
    labels = segment_nuclei(planes[source], pixel_size_um)
    # A saturated pixel holds back light in one channel and not in the other.
    clipped = np.unique(labels[planes[source] >= image.saturation])
    signals = {role: estimate_background(planes[role], pixel_size_um).taken_from(planes[role]) for role in ROLES}
    means = cell_means(signals, labels)
    return means[~means.index.isin(clipped)]


def _changed(protocol: Protocol, values: dict[str, object]) -> Protocol:
    return Protocol.from_dict(protocol.model_dump() | values)


def _named(name: str, word: str) -> str:
    return name if name.endswith(f"({word})") else f"{name} ({word})"
