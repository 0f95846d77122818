"""The page that a synthetic study carries: that it is synthetic, how it was made, and what its tables say."""

from __future__ import annotations

import cher2
from cher2.simulate.optics import APERTURE, EMISSION_UM, Camera
from cher2.simulate.settings import StudySettings


def readme(settings: StudySettings) -> str:
    """Return the README of a synthetic study, in Markdown."""
    camera = Camera()
    emission = ", ".join(f"{name} {um * 1000:.0f} nm" for name, um in EMISSION_UM.items())
    rows = "\n".join(f"| `{name}` | {value} |" for name, value in settings.as_dict().items())
    return f"""# A synthetic study

**Every image and every patient here is synthetic.** No person, sample or recording stands behind it. It is
made for tests, demonstrations and benchmarks of cher2, for research use only, and says nothing about any
patient.

Made by `cher2 simulate` (cher2 {cher2.__version__}) with seed {settings.seed}; the same settings give the
same bytes with the same versions of the libraries.

## How it was made

Cells are drawn as light at twice the camera's resolution: bodies with rough outlines, stains of the cytoplasm
as bright as the cell is thick, stains of the membrane as bright as its shell is thick along the line of
sight, each cell blurred by its own depth. Then the microscope: a Gaussian PSF of 0.21 x wavelength /
{APERTURE:g} ({emission}), a wide halo, defocus, uneven
illumination, out-of-focus haze, and a 12-bit camera (offset {camera.offset:g} counts,
{camera.gain:g} electrons a count, read noise {camera.read_noise:g} electrons).

## What is here

- `images/PATIENT/FRAME.ome.tif`: DAPI, CK, CD45 and HER2.
- `truth_cells.csv`: what lies in the frames, by its centroid. `kind` is what cher2 should call it, `what` is
  what it is: ctc, dim_ctc, leukocyte, weak_ck_leukocyte, double (CK+ CD45+), ck_without_nucleus, debris,
  fibre, blob (far out of focus). Specks of 1 to 2 px are not listed. `her2_true`, `ck_true` and `cd45_true`
  are mean counts over the true body before the optics, at unit staining gain and even illumination, without
  background; `dapi_true` is the mean over the nucleus. `grade` is the grade that the cell's HER2 was drawn
  for. For a fibre `diameter_um` is its length, and the levels of fibres and blobs are those of their
  brightest parts. `cluster_id` numbers the groups of touching cells of a frame; 0 touches none.
- `truth_patients.csv`: counts, cHER2 ratio and group from the true grades, and the patient's staining gains.
- `clinical.csv`: sites (empty: not assessed), survival and subtype, invented.
- `protocol.toml`: cher2's default protocol.
{_spill_note(settings)}
## Settings

| setting | value |
| --- | --- |
{rows}
"""


def _spill_note(settings: StudySettings) -> str:
    if settings.spill == 0:
        return ""
    return (
        f"\nThe frames have spill that nobody has compensated: {settings.spill:g} of CK in HER2 and\n"
        "back. A laboratory that measured it would add to `[compensation]` in the protocol\n"
        f'`"ck->her2" = {settings.spill:g}` and `"her2->ck" = {settings.spill:g}`.\n'
    )
