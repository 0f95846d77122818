"""What a run is about to do, in words: how many images of whom, by which rules, and what was assumed.

It is said before the work begins, while a wrong folder or a wrong channel costs nothing yet.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from cher2.batch.plan import DEFAULT_PROTOCOL, Plan
from cher2.cohorts.variables import identifying_columns
from cher2.errors import Cher2Error
from cher2.images.description import printable, roles_of
from cher2.images.files import ImageFile
from cher2.images.frames import FrameInfo
from cher2.images.places import is_remote
from cher2.images.reader import open_frames
from cher2.protocol import ROLES, Protocol

FOLDERS_SHOWN = 3
PATIENTS_SHOWN = 3

FIRST_TRIED = 3
"""So many images are opened until one can be read: a run names those that cannot."""


def plan_in_words(plan: Plan, clinical: pd.DataFrame | None = None) -> str:
    """Return what a run is about to do; where nobody gave a protocol, with all that is assumed and how to change it.

    Parameters
    ----------
    plan : Plan
        The first image is opened, where it lies on a disk and nobody gave a protocol.
    clinical : DataFrame, optional
        The clinical table, as of :func:`cher2.cohorts.clinical.check_clinical`.
    """
    protocol = plan.protocol
    channels = ", ".join(f"{role} = {getattr(protocol.channels, role)}" for role in ROLES)
    lines = [
        f"{counted(len(plan.files), 'image')} of {counted(plan.patients, 'patient')}; "
        f"{len(plan.measured)} are measured already.",
        f"By {plan.protocol_from} ({protocol.name}): channels {channels}; HER2 in {protocol.grade.unit}, "
        f"cut-offs {_cutoffs(protocol)}.",
        *_one_patient(plan),
        *(_without_row(plan, clinical) if clinical is not None else []),
        *(_not_kept(plan, clinical) if clinical is not None else []),
    ]
    if plan.protocol_from == DEFAULT_PROTOCOL:
        lines += _assumed(plan)
    return "\n".join(lines)


def counted(count: int, what: str) -> str:
    """Return a number of things in words."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def _cutoffs(protocol: Protocol) -> str:
    return ", ".join(f"{cut:g}" for cut in protocol.grade.cutoffs)


def _one_patient(plan: Plan) -> list[str]:
    """Warn where the folder above the patients' was given: all would be one patient."""
    if plan.patients > 1:
        return []
    parts = [name.split("/") for name in plan.samples["image"]]
    only = parts[0][0]
    below = sorted({part[1] for part in parts if len(part) > 2})
    if plan.samples["patient_id"].iloc[0] != only or len(below) < 2:
        return []
    shown = ", ".join(map(printable, below[:FOLDERS_SHOWN])) + (" ..." if len(below) > FOLDERS_SHOWN else "")
    return [
        f"Look: all images count as one patient, {printable(only)!r}, the only folder there. If the patients are the "
        f"folders in it ({shown}), give that folder instead."
    ]


def _without_row(plan: Plan, clinical: pd.DataFrame) -> list[str]:
    """Name patients that the clinical table does not know: often they are only written otherwise, such as 7 for 007."""
    ours, theirs = plan.samples["patient_id"].drop_duplicates(), clinical["patient_id"]
    absent = ours[~ours.isin(theirs)]
    if absent.empty:
        return []
    others = _some(theirs[~theirs.isin(ours)])
    return [
        f"Look: {len(absent)} of {counted(len(ours), 'patient')} have no row in the clinical table ({_some(absent)})"
        + (f", which has others ({others})." if others else ".")
    ]


def _not_kept(plan: Plan, clinical: pd.DataFrame) -> list[str]:
    """Name the columns that the study does not take over, since they may tell who a patient is."""
    unkept = identifying_columns(clinical, plan.protocol.cohort)
    columns = printable(", ".join(name or "a column without a name" for name in unkept))
    return [f"Not kept of the clinical table, since it may tell who a patient is: {columns}."] if unkept else []


def _some(names: pd.Series[str]) -> str:
    shown = ", ".join(printable(repr(name)) for name in names[:PATIENTS_SHOWN])
    return shown + (" ..." if len(names) > PATIENTS_SHOWN else "")


def _assumed(plan: Plan) -> list[str]:
    protocol = plan.protocol
    size = f"{protocol.image.pixel_size_um:g} um where a file tells none"
    said = [
        *(_of_first(list(plan.files.values()), protocol, size)),
        f"cut-offs: {_cutoffs(protocol)} {protocol.grade.unit} of HER2 are not calibrated for this instrument and "
        "staining; grades and ratios are provisional until they are (docs/calibration.md)",
        f"CTCs: DAPI+ CK+ CD45-, {protocol.identify.min_diameter_um:g} to {protocol.identify.max_diameter_um:g} um "
        "across; what is positive is found in each sample by itself",
    ]
    return [
        "No protocol was given, so this is assumed:",
        *(f"  - {line}" for line in said),
        "  To change it: cher2 protocol --example > protocol.toml, edit that file, and add --protocol protocol.toml.",
    ]


def _of_first(files: Sequence[ImageFile], protocol: Protocol, size: str) -> list[str]:
    """Say which channels the first image that can be read has, and how large its pixels are."""
    unknown = ["channels: by their names", f"pixel size: {size}"]
    if is_remote(files[0].paths[0]):
        return unknown
    for file in files[:FIRST_TRIED]:
        try:
            with open_frames(file, protocol) as frames:
                info = frames.info(0)
        except Cher2Error:
            # It is named when the run comes to it: here another image tells as much.
            continue
        name = printable(file.name)
        pixel = f"pixel size: {size}; {name} tells none"
        if info.pixel_size_um is not None:
            pixel = f"pixel size: as each file says, {info.pixel_size_um:.4g} um in {name}; {size}"
        return [_channels(info, protocol, name), pixel]
    return unknown


def _channels(info: FrameInfo, protocol: Protocol, name: str) -> str:
    numbers, missing = roles_of(info, protocol.channels)
    if missing:
        return f"channels: WRONG for {name}: {printable('; '.join(missing))}. 'cher2 info' shows what a file has"
    found = ", ".join(f"{role} {number}" for role, number in numbers.items())
    return f"channels: by their names, as in {name}, where they are {found} (counted from 0)"
