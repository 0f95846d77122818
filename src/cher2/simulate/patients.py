"""The patients of a synthetic study: how many CTCs of which grades, and how they are stained.

Profiles of HER2 are dealt out so that every group of the cHER2 rule occurs among twelve patients, in
proportions near those of a clinic; some patients lie near the border between high and low.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.simulate.settings import StudySettings
from cher2.simulate.stains import Gains

MIN_CTCS = 5
CONCENTRATION = 25.0
"""Of the Dirichlet distribution around a profile: patients of one profile differ, but not wildly."""

DISPERSION = 1.5
"""Shape of the negative binomial distribution of CTC counts; real counts are as skewed."""

REDRAWS = 1000


@dataclass(frozen=True)
class Profile:
    """A kind of patient: mean fractions of the grades, and the group that must come out (None: either)."""

    fractions: tuple[float, float, float, float]
    group: str | None


PROFILES = {
    "negative_to_weak": Profile((0.50, 0.36, 0.10, 0.04), "low"),
    "weak": Profile((0.15, 0.55, 0.22, 0.08), "low"),
    "mixed": Profile((0.12, 0.36, 0.32, 0.20), "low"),
    "border": Profile((0.08, 0.23, 0.36, 0.33), None),
    "strong": Profile((0.06, 0.08, 0.34, 0.52), "high"),
    "moderate": Profile((0.08, 0.10, 0.52, 0.30), "high"),
    "negative": Profile((1.0, 0.0, 0.0, 0.0), "undefined"),
    "few": Profile((0.35, 0.30, 0.20, 0.15), "excluded"),
}
"""The kinds of patients."""

DEAL = (
    *("negative_to_weak", "strong", "weak", "few", "mixed", "negative"),
    *("weak", "moderate", "negative_to_weak", "few", "border", "mixed"),
)
"""Twelve patients; more are dealt the same again."""


@dataclass(frozen=True)
class Plan:
    """What a patient brings: the grades of the CTCs of each frame, and the staining."""

    patient_id: str
    frames: tuple[tuple[int, ...], ...]
    gains: Gains

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """CTCs of grade 0, 1+, 2+ and 3+."""
        grades = [grade for frame in self.frames for grade in frame]
        return grades.count(0), grades.count(1), grades.count(2), grades.count(3)


def group_of(counts: tuple[int, int, int, int]) -> str:
    """Return the group of a patient with so many CTCs of each grade.

    Fewer than five CTCs: excluded. No HER2+ CTC: undefined (0/0). High where the ratio of 2+ and 3+ to
    all HER2+ is above 0.75, compared in integers; else low.
    """
    _, weak, moderate, strong = counts
    if sum(counts) < MIN_CTCS:
        return "excluded"
    if weak + moderate + strong == 0:
        return "undefined"
    return "high" if 4 * (moderate + strong) > 3 * (weak + moderate + strong) else "low"


def plan_patients(settings: StudySettings) -> list[Plan]:
    """Return the plans of all patients; they depend on the seed, and not on how the images are made."""
    order = np.random.default_rng([settings.seed, 0, 0])
    dealt = [DEAL[k % len(DEAL)] for k in range(settings.patients)]
    width = max(2, len(str(settings.patients)))
    return [
        _plan(settings, f"P{number + 1:0{width}d}", PROFILES[dealt[place]], number)
        for number, place in enumerate(order.permutation(settings.patients))
    ]


def patient_table(plans: list[Plan]) -> pd.DataFrame:
    """Return the truth of all patients: counts, ratio and group, as `truth_patients.csv` has them."""
    rows = []
    for plan in plans:
        n0, n1, n2, n3 = plan.counts
        positive = n1 + n2 + n3
        rows.append(
            {
                "patient_id": plan.patient_id,
                "n_images": len(plan.frames),
                "n_ctcs": n0 + positive,
                "n_grade_0": n0,
                "n_grade_1": n1,
                "n_grade_2": n2,
                "n_grade_3": n3,
                "n_her2_positive": positive,
                "cher2_ratio": (n2 + n3) / positive if positive else None,
                "group": group_of(plan.counts),
                "ck_gain": plan.gains.ck,
                "cd45_gain": plan.gains.cd45,
                "her2_gain": plan.gains.her2,
            }
        )
    return pd.DataFrame(rows)


def _plan(settings: StudySettings, patient_id: str, profile: Profile, number: int) -> Plan:
    # Frames have streams from [seed, number + 1, 1] on, so this one is the patient's own.
    rng = np.random.default_rng([settings.seed, number + 1, 0])
    grades = _grades(settings, profile, rng)
    frame_of = rng.integers(settings.frames_per_patient, size=len(grades))
    frames = tuple(
        tuple(int(grade) for grade in grades[frame_of == frame]) for frame in range(settings.frames_per_patient)
    )
    ck, cd45, her2 = (float(2**exponent) for exponent in settings.staining_drift * rng.uniform(-1, 1, 3))
    return Plan(patient_id, frames, Gains(ck=ck, cd45=cd45, her2=her2))


def _grades(settings: StudySettings, profile: Profile, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw a patient's grades anew until they are of the profile's group, which most draws are."""
    for _ in range(REDRAWS):
        count = _count(settings.ctcs_per_patient, profile, rng)
        likely = np.array(profile.fractions)
        if likely.max() < 1:
            likely = rng.dirichlet(CONCENTRATION * likely)
        grades: NDArray[np.int64] = rng.choice(4, size=count, p=likely)
        n0, n1, n2, n3 = (int(n) for n in np.bincount(grades, minlength=4))
        if profile.group in (None, group_of((n0, n1, n2, n3))):
            return grades
    raise AssertionError(f"no patient of the group {profile.group} in {REDRAWS} draws")


def _count(mean: float, profile: Profile, rng: np.random.Generator) -> int:
    if profile.group == "excluded":
        return int(rng.integers(0, MIN_CTCS))
    return max(MIN_CTCS, int(rng.negative_binomial(DISPERSION, DISPERSION / (DISPERSION + mean))))


def frame_stream(settings: StudySettings, patient: int, frame: int) -> np.random.Generator:
    """Return the random stream of a frame, by the numbers from 0 of its patient and itself."""
    return np.random.default_rng([settings.seed, patient + 1, frame + 1])


def instrument_stream(settings: StudySettings) -> np.random.Generator:
    """Return the random stream of the study's instrument."""
    return np.random.default_rng([settings.seed, 0, 1])
