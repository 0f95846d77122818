"""The quality of a study's images and of its samples' staining, as measures and as flags in words.

A frame is compared with the protocol's limits and with the study's other frames; a sample by its leukocytes, which
are in every sample and hardly express HER2: where theirs is far from that of the study's samples, the stain, the
exposure or the lamp was another, and so is every CTC's of that sample. A flag leaves nothing out.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.protocol import ROLES, Quality, Role

OUT_OF_FOCUS, SATURATED, EMPTY = "out of focus", "saturated", "empty"
UNEVEN, HIGH = "uneven background", "high background"
FRAME_FLAGS = (OUT_OF_FOCUS, SATURATED, UNEVEN, HIGH, EMPTY)
"""The flags of a frame, in the order in which they are told."""

FEW_LEUKOCYTES = "few leukocytes"
NOT_MEASURED, NO_FOCUS = "measured by an earlier cher2", "focus: too few nuclei"
"""Why a measure of an image is not known."""

ABOVE_NOISE = 5.0
"""Standard deviations of a pixel's noise by which a background differs before a ratio of two is looked at: where a
file's background is 0, as in many a JPEG, a ratio of next to nothing tells nothing."""

FEWEST_SAMPLES = 3
"""Samples with a level of staining below which none can be told to be another than the rest."""

MEASURES = ("saturated", "background", "background_low", "background_high", "noise")
"""What quality.csv tells of each channel, a column each: ``saturated_her2`` ..."""

IMAGE_COLUMNS = (
    *("patient_id", "sample_id", "image", "n_objects", "n_ctcs", "n_leukocytes", "n_duplicates", "edge_um"),
    *(f"{measure}_{role}" for measure in MEASURES for role in ROLES),
    *("leukocytes_her2", "times_study", "flags", "not_known"),
)
"""The columns of quality.csv. The last but two are the sample's: its leukocytes' HER2 and that over the study's."""


@dataclass(frozen=True, eq=False)
class StudyQuality:
    """The quality of a study.

    Parameters
    ----------
    images : DataFrame
        One row an image, with :data:`IMAGE_COLUMNS`; `flags` are words separated by semicolons, `not_known` says
        what of the image is not known, and why.
    samples : DataFrame
        One row a sample: ``patient_id, sample_id, n_images, n_leukocytes, n_duplicates``, ``her2`` (the median of
        its leukocytes in counts; NaN where there is none), ``n_her2`` (leukocytes that it comes from),
        ``times_study`` and ``robust_z`` (how far that is from the study's samples; NaN where that cannot be told),
        ``drifts`` (whether that is too far), how many images have each of :data:`FRAME_FLAGS`, and ``flags`` (the
        sample's own and its images', in words).
    her2, spread : float
        The study's level of staining: the median of its samples', and 1.4826 times their median absolute
        deviation, in counts; NaN with fewer than :data:`FEWEST_SAMPLES`.
    """

    images: pd.DataFrame
    samples: pd.DataFrame
    her2: float
    spread: float

    def counts(self) -> dict[str, int]:
        """Return how many images have each flag, those that none has left out."""
        totals = {flag: int(self.samples[flag].sum()) for flag in FRAME_FLAGS}
        return {flag: total for flag, total in totals.items() if total}

    def of_patients(self, patients: pd.Series[str]) -> list[str]:
        """Return the flags of each patient's samples in words; empty where there are none."""
        words: dict[str, list[str]] = {}
        several = self.samples["patient_id"].duplicated(keep=False)
        for row, is_one_of_several in zip(self.samples.to_dict("records"), several, strict=True):
            if row["flags"]:
                said = f"{row['sample_id']}: {row['flags']}" if is_one_of_several else str(row["flags"])
                words.setdefault(str(row["patient_id"]), []).append(said)
        return ["; ".join(words.get(patient, [])) for patient in patients]

    def notes(self) -> list[str]:
        """Say in one sentence how much is flagged, and in another what is not known; none where there is nothing."""
        flagged, samples = int((self.images["flags"] != "").sum()), int((self.samples["flags"] != "").sum())
        said = []
        if samples:
            each = ", ".join(f"{count} {flag}" for flag, count in self.counts().items())
            said.append(
                f"Quality: {flagged} of {len(self.images)} images{f' ({each})' if each else ''} and {samples} of "
                f"{len(self.samples)} samples are flagged; quality.csv and the report name them, and nothing was "
                "left out"
            )
        unmeasured = int((self.images["not_known"] == NOT_MEASURED).sum())
        if unmeasured:
            said.append(
                f"The quality of {unmeasured} images is not known, as an earlier cher2 measured them: "
                "'cher2 run' with --force measures them again"
            )
        return said


def study_quality(images: pd.DataFrame, staining: pd.DataFrame, rules: Quality) -> StudyQuality:
    """Judge the quality of a study.

    Parameters
    ----------
    images : DataFrame
        One row an image: the columns :data:`IMAGE_COLUMNS` but the last four, and ``measured``, whether an image's
        quality was measured at all. What is not known is NaN.
    staining : DataFrame
        One row a sample: ``patient_id, sample_id, her2, n_her2``, as of :class:`StudyQuality`.
    rules : Quality
        The protocol's section ``quality``.

    Returns
    -------
    StudyQuality

    References
    ----------
    Iglewicz, Hoaglin: How to detect and handle outliers. ASQC Quality Press (1993), for the robust z by median and
    median absolute deviation, and its limit of 3.5.
    """
    channels = _channel_flags(images, rules)
    found = {
        OUT_OF_FOCUS: images["edge_um"].to_numpy(float) > rules.edge_um_max,
        **{flag: np.logical_or.reduce([*of.values()]) for flag, of in channels.items()},
        EMPTY: images["n_objects"].to_numpy(float) < rules.objects_min,
    }
    words = ["; ".join(_image_words(row, found, channels)) for row in range(len(images))]
    flags = pd.Series(words, index=images.index, dtype="str")
    measured = images["measured"].to_numpy(bool)
    no_focus = np.where(images["edge_um"].notna() | found[EMPTY], "", NO_FOCUS)
    told = images.assign(flags=flags, not_known=np.where(measured, no_focus, NOT_MEASURED))
    counted = told[["patient_id", "sample_id", "n_leukocytes", "n_duplicates"]].assign(n_images=1, **found)
    samples = counted.groupby(["patient_id", "sample_id"], as_index=False, sort=False).sum()
    samples = samples.merge(staining, on=["patient_id", "sample_id"], how="left")
    samples, her2, spread = _with_drift(samples, rules)
    samples["flags"] = pd.Series([_words(row, rules, her2) for row in samples.to_dict("records")], dtype="str")
    levels = samples[["patient_id", "sample_id", "her2", "times_study"]].rename(columns={"her2": "leukocytes_her2"})
    told = told.merge(levels, on=["patient_id", "sample_id"], how="left")
    return StudyQuality(told[list(IMAGE_COLUMNS)], samples, her2, spread)


def _channel_flags(images: pd.DataFrame, rules: Quality) -> dict[str, dict[Role, NDArray[np.bool_]]]:
    """Return, by flag and channel, which images have it; what is not known is not flagged."""
    flags: dict[str, dict[Role, NDArray[np.bool_]]] = {SATURATED: {}, UNEVEN: {}, HIGH: {}}
    for role in ROLES:
        saturated, level, lowest, highest, noise = (images[f"{name}_{role}"].to_numpy(float) for name in MEASURES)
        known = level[np.isfinite(level)]
        usual = float(np.median(known)) if len(known) else np.nan
        flags[SATURATED][role] = saturated > rules.saturated_max
        flags[UNEVEN][role] = (highest > rules.uneven_max * lowest) & (highest - lowest > ABOVE_NOISE * noise)
        flags[HIGH][role] = (level > rules.background_max * usual) & (level - usual > ABOVE_NOISE * noise)
    return flags


def _image_words(
    row: int, found: Mapping[str, NDArray[np.bool_]], channels: Mapping[str, Mapping[Role, NDArray[np.bool_]]]
) -> Iterator[str]:
    """Yield the flags of one image, with the channels that they are of."""
    for flag in FRAME_FLAGS:
        if found[flag][row]:
            of = [role.upper() for role, flagged in channels.get(flag, {}).items() if flagged[row]]
            yield f"{flag} ({', '.join(of)})" if of else flag


def _with_drift(samples: pd.DataFrame, rules: Quality) -> tuple[pd.DataFrame, float, float]:
    """Add how far each sample's leukocytes are from the study's; return the study's level and spread as well."""
    her2 = samples["her2"].to_numpy(float)
    known = np.isfinite(her2) & (samples["n_her2"].to_numpy(float) >= rules.leukocytes_min)
    times, robust_z, usual, spread = np.full(len(her2), np.nan), np.full(len(her2), np.nan), np.nan, np.nan
    if np.count_nonzero(known) >= FEWEST_SAMPLES:
        usual = float(np.median(her2[known]))
        away = her2[known] - usual
        spread = 1.4826 * float(np.median(np.abs(away)))
        # Where most samples are the same to the last digit, any other is infinitely far.
        robust_z[known] = np.divide(away, spread, out=np.copysign(np.inf, away), where=spread > 0)
        robust_z[known] = np.where(away == 0, 0.0, robust_z[known])
        times[known] = her2[known] / usual if usual > 0 else np.nan
    # A level that is not above 0 has no multiples: how far a sample is from it then decides alone.
    beyond = np.isnan(times) | (times > rules.staining_max) | (times < 1 / rules.staining_max)
    drifts = (np.abs(robust_z) > rules.staining_z_max) & beyond
    return samples.assign(times_study=times, robust_z=robust_z, drifts=drifts), usual, spread


def _words(sample: Mapping[Hashable, Any], rules: Quality, usual: float) -> str:
    """Return a sample's flags in words: its staining, its leukocytes, then its images with how many they are."""
    said = []
    if sample["drifts"] and np.isnan(sample["times_study"]):
        said.append(f"HER2 of the leukocytes is {sample['her2']:.3g} counts, the study's {usual:.3g}")
    elif sample["drifts"]:
        said.append(f"HER2 staining of the leukocytes is {sample['times_study']:.2g} times the study's")
    if sample["n_leukocytes"] < rules.leukocytes_min:
        said.append(f"{FEW_LEUKOCYTES} ({sample['n_leukocytes']:.0f})")
    of = f"{sample['n_images']} image{'s' if sample['n_images'] > 1 else ''}"
    said += [f"{flag} ({sample[flag]} of {of})" for flag in FRAME_FLAGS if sample[flag]]
    return "; ".join(said)
