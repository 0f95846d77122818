"""What a synthetic study is to be: its size, its cells and what is hard about it.

Every difficulty is a physical setting of its own; a scenario is a named choice of them.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from cher2.errors import StudyError

CELL_AREA_UM2 = 70.0
"""Area of a leukocyte 9.4 um across: how much of a frame a cell needs."""

MOST_COVERED = 0.6
"""Cells may cover at most this much of a frame; beyond it no truth could be told apart."""


@dataclass(frozen=True)
class StudySettings:
    """The settings of a synthetic study; values that make no sense are refused.

    Parameters
    ----------
    patients, frames_per_patient : int
        How many patients, and how many frames of each.
    frame_shape : tuple of int
        Rows and columns of a frame in pixels.
    pixel_size_um : float
        Side of a pixel in micrometres.
    leukocytes_per_frame : float
        Mean number of leukocytes of a frame and its nearest surroundings, whatever the frame's size.
    ctcs_per_patient : float
        Mean number of CTCs of a patient who has at least five; some patients have fewer than five besides.
    crowding : float
        0: no cell touches another where there is room, except in clusters of CTCs; 1: most cells stick
        together and overlap.
    clustered_fraction : float
        Fraction of the CTCs that lie in tight clusters of two to four.
    staining_drift : float
        Patients' gains of CK, CD45 and HER2 lie between 2**-drift and 2**drift; 1 gives 0.5 to 2.
    dim_ck_fraction : float
        Fraction of the CTCs with CK near the level of the leukocytes.
    weak_ck_leukocytes : float
        Fraction of the leukocytes with weak unspecific CK.
    specks_per_frame, fibres_per_frame, debris_per_frame, blobs_per_frame : float
        Mean numbers of CK specks of 1 to 2 px, of fibres, of debris and of faint out-of-focus blobs.
    doubles_per_frame, bare_ck_per_frame : float
        Mean numbers of CK+ CD45+ cells and of CK+ objects without a nucleus.
    spill : float
        Fraction of CK seen in HER2, and of HER2 seen in CK.
    defocus_px : float
        Largest extra blur of a frame (sigma, pixels); each frame has its own between 0 and this.
    illumination_falloff : float
        Largest loss of light at the frame's darkest corner, relative to its brightest point.
    seed : int
        The same seed gives the same bytes.
    compress : bool
        Write the images deflate-compressed.

    Raises
    ------
    StudyError
        A value makes no sense.
    """

    patients: int = 24
    frames_per_patient: int = 2
    frame_shape: tuple[int, int] = (1036, 1384)
    pixel_size_um: float = 0.64
    leukocytes_per_frame: float = 150
    ctcs_per_patient: float = 24
    crowding: float = 0.25
    clustered_fraction: float = 0.1
    staining_drift: float = 0.0
    dim_ck_fraction: float = 0.0
    weak_ck_leukocytes: float = 0.01
    specks_per_frame: float = 60
    fibres_per_frame: float = 0.2
    debris_per_frame: float = 5
    blobs_per_frame: float = 4
    doubles_per_frame: float = 1.5
    bare_ck_per_frame: float = 1.5
    spill: float = 0.0
    defocus_px: float = 0.3
    illumination_falloff: float = 0.25
    seed: int = 1
    compress: bool = False

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            whole = name in _WHOLE
            if not _is_number(getattr(self, name), whole) or not low <= getattr(self, name) <= high:
                kind = "a whole number" if whole else "a number"
                raise _refused(name, getattr(self, name), f"{kind} from {low:g} to {high:g}")
        shape = self.frame_shape
        if not isinstance(shape, (tuple, list)) or len(shape) != 2:
            raise _refused("frame_shape", shape, "two whole numbers: rows and columns")
        if not all(_is_number(side, True) and 64 <= side <= 4096 for side in shape):
            raise _refused("frame_shape", shape, "two whole numbers from 64 to 4096")
        if not isinstance(self.compress, bool):
            raise _refused("compress", self.compress, "true or false")
        object.__setattr__(self, "frame_shape", (int(shape[0]), int(shape[1])))
        self._check_room()

    @classmethod
    def for_scenario(cls, scenario: str, **overrides: Any) -> Self:
        """Return the settings of a scenario, with settings of your own in place of its.

        Parameters
        ----------
        scenario : {"standard", "crowded", "hard", "drift"}
            See :data:`SCENARIOS`.
        **overrides
            Settings by name.

        Raises
        ------
        StudyError
            There is no such scenario or setting, or a value makes no sense.
        """
        if scenario not in SCENARIOS:
            raise StudyError(f'there is no scenario "{scenario}"', remedy=f"Choose one of {', '.join(SCENARIOS)}")
        known = [field.name for field in fields(cls)]
        for name in overrides:
            if name not in known:
                raise StudyError(f"there is no setting {name}", remedy=f"Known settings: {', '.join(known)}")
        return cls(**{**SCENARIOS[scenario], **overrides})

    def as_dict(self) -> dict[str, Any]:
        """Return the settings by name."""
        return asdict(self)

    @property
    def frame_area_um2(self) -> float:
        """Area of a frame in square micrometres."""
        return self.frame_shape[0] * self.frame_shape[1] * self.pixel_size_um**2

    def _check_room(self) -> None:
        cells = self.leukocytes_per_frame + 2 * self.ctcs_per_patient / self.frames_per_patient
        if cells * CELL_AREA_UM2 > MOST_COVERED * self.frame_area_um2:
            raise StudyError(
                f"{cells:.0f} cells do not fit into a frame of {self.frame_area_um2:.0f} square micrometres",
                where="simulate",
                remedy="Ask for fewer leukocytes or CTCs, more frames per patient or a larger frame",
            )


_WHOLE = ("patients", "frames_per_patient", "seed")
_RANGES: dict[str, tuple[float, float]] = {
    "patients": (1, 9999),
    "frames_per_patient": (1, 999),
    "pixel_size_um": (0.2, 2.0),
    "leukocytes_per_frame": (0, 20000),
    "ctcs_per_patient": (1, 5000),
    "crowding": (0, 1),
    "clustered_fraction": (0, 1),
    "staining_drift": (0, 3),
    "dim_ck_fraction": (0, 1),
    "weak_ck_leukocytes": (0, 1),
    "specks_per_frame": (0, 100000),
    "fibres_per_frame": (0, 200),
    "debris_per_frame": (0, 1000),
    "blobs_per_frame": (0, 200),
    "doubles_per_frame": (0, 200),
    "bare_ck_per_frame": (0, 200),
    "spill": (0, 0.5),
    "defocus_px": (0, 10),
    "illumination_falloff": (0, 0.9),
    "seed": (0, 2**32 - 1),
}

SCENARIOS: dict[str, dict[str, Any]] = {
    "standard": {},
    # Small enough for a repository and a first minute: the study in sample_images.
    "sample": {
        "patients": 16,
        "frames_per_patient": 1,
        "frame_shape": (360, 480),
        "leukocytes_per_frame": 45,
        "ctcs_per_patient": 16,
        "specks_per_frame": 20,
        "debris_per_frame": 2,
        "compress": True,
        "seed": 3036,
    },
    "crowded": {"leukocytes_per_frame": 300, "crowding": 0.8, "clustered_fraction": 0.2},
    "hard": {
        "crowding": 0.4,
        "clustered_fraction": 0.35,
        "dim_ck_fraction": 1 / 7,
        "weak_ck_leukocytes": 1 / 8,
        "specks_per_frame": 800,
        "fibres_per_frame": 3,
        "debris_per_frame": 12,
        "blobs_per_frame": 10,
        "doubles_per_frame": 4,
        "bare_ck_per_frame": 4,
        "spill": 0.03,
        "defocus_px": 2.0,
    },
    "drift": {"staining_drift": 1.0},
}
"""The scenarios: what each sets otherwise than the defaults."""


def _is_number(value: object, whole: bool) -> bool:
    kind = numbers.Integral if whole else numbers.Real
    return isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)


def _refused(name: str, value: object, wanted: str) -> StudyError:
    return StudyError(f"{name} = {value!r} must be {wanted}", where="simulate", remedy="Mend the setting")
