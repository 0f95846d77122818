"""Flags of images and samples, from tables of their measures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cher2.patients.quality import IMAGE_COLUMNS, MEASURES, study_quality
from cher2.protocol import ROLES, Quality

RULES = Quality()


def images(n_samples=5, of_each=2, **columns):
    """Return frames with nothing to be flagged, two a sample; columns change them."""
    numbers = range(1, n_samples + 1)
    names = [(f"P{k}", f"P{k}", f"P{k}/{letter}") for k in numbers for letter in "abcdef"[:of_each]]
    table = pd.DataFrame(names, columns=["patient_id", "sample_id", "image"])
    table = table.assign(n_objects=50.0, n_ctcs=5.0, n_leukocytes=40.0, n_duplicates=1.0, edge_um=1.5, measured=True)
    levels = dict(zip(MEASURES, (0.0, 140.0, 135.0, 145.0, 4.0), strict=True))
    return table.assign(**{f"{measure}_{role}": levels[measure] for measure in MEASURES for role in ROLES}, **columns)


def staining(her2, n_her2=60):
    names = [f"P{k}" for k in range(1, len(her2) + 1)]
    return pd.DataFrame({"patient_id": names, "sample_id": names, "her2": her2, "n_her2": n_her2}, dtype=object).astype(
        {"her2": float, "n_her2": float}
    )


EVEN = [10.0, 11.0, 12.0, 11.5, 10.5]


def changed(row=0, **values):
    table = images()
    for name, value in values.items():
        table.loc[row, name] = value
    return table


def test_a_study_without_a_fault_has_no_flag():
    quality = study_quality(images(), staining(EVEN), RULES)
    assert list(quality.images) == list(IMAGE_COLUMNS)
    assert set(quality.images["flags"]) == set(quality.images["not_known"]) == set(quality.samples["flags"]) == {""}
    assert quality.samples["n_images"].tolist() == [2] * 5
    assert quality.samples["n_leukocytes"].tolist() == [80] * 5
    assert quality.samples["n_duplicates"].tolist() == [2] * 5
    assert (quality.counts(), quality.notes()) == ({}, [])
    assert quality.of_patients(pd.Series(["P1", "somebody"])) == ["", ""]


@pytest.mark.parametrize(
    ("values", "flags", "words"),
    [
        ({"edge_um": 2.41}, "out of focus", "out of focus"),
        ({"edge_um": 2.4}, "", ""),
        ({"saturated_ck": 0.0011, "saturated_her2": 0.5}, "saturated (CK, HER2)", "saturated"),
        ({"saturated_ck": 0.001}, "", ""),
        ({"background_high_cd45": 190.0}, "uneven background (CD45)", "uneven background"),
        ({"background_high_cd45": 175.0}, "", ""),  # 1.296 times 135
        # Next to no background is as even as its noise.
        ({"background_low_dapi": 0.0, "background_high_dapi": 0.9, "noise_dapi": 0.2}, "", ""),
        (
            {"background_low_dapi": 0.0, "background_high_dapi": 1.1, "noise_dapi": 0.2},
            "uneven background (DAPI)",
            "uneven background",
        ),
        ({"background_her2": 211.0}, "high background (HER2)", "high background"),
        ({"background_her2": 209.0}, "", ""),
        ({"background_her2": 211.0, "noise_her2": 15.0}, "", ""),
        ({"n_objects": 0.0, "edge_um": np.nan}, "empty", "empty"),
    ],
)
def test_limits_of_an_image(values, flags, words):
    quality = study_quality(changed(**values), staining(EVEN), RULES)
    assert quality.images["flags"].tolist() == [flags, *[""] * 9]
    assert quality.samples["flags"].tolist() == [f"{words} (1 of 2 images)" if words else "", *[""] * 4]
    assert quality.counts() == ({words: 1} if words else {})
    assert set(quality.images["not_known"]) == {""}


def test_limits_are_the_protocols():
    table, level = changed(edge_um=3.0, saturated_ck=0.01, n_objects=5.0), staining([*EVEN[:4], 30.0])
    assert study_quality(table, level, RULES).notes()
    loose = Quality(edge_um_max=3.5, saturated_max=0.02, objects_min=0, staining_max=4)
    assert study_quality(table, level, loose).notes() == []


def test_a_sample_stained_otherwise_is_told_by_how_much():
    # By hand: median 11, absolute deviations 1, 0, 1, 0.5 and 24.2, so MAD 1; z = 24.2 / 1.4826 = 16.32.
    quality = study_quality(images(), staining([10.0, 11.0, 12.0, 10.5, 35.2]), RULES)
    assert (quality.her2, quality.spread) == (11.0, pytest.approx(1.4826))
    assert quality.samples["robust_z"].iloc[-1] == pytest.approx(16.3227, rel=1e-4)
    assert quality.samples["times_study"].tolist() == pytest.approx([10 / 11, 1, 12 / 11, 10.5 / 11, 3.2])
    assert quality.samples["flags"].tolist() == [*[""] * 4, "HER2 staining of the leukocytes is 3.2 times the study's"]
    assert quality.of_patients(pd.Series(["P5"])) == ["HER2 staining of the leukocytes is 3.2 times the study's"]
    assert quality.notes() == [
        "Quality: 0 of 10 images and 1 of 5 samples are flagged; quality.csv and the report name them, "
        "and nothing was left out"
    ]


@pytest.mark.parametrize(
    ("her2", "drifts"),
    [
        ([10, 11, 12, 10.5, 4.0], [4]),  # 0.38 times
        ([10, 11, 12, 10.5, 15.0], []),  # far by z, but 1.4 times
        ([5, 20, 10, 40, 80], []),  # far by times, but so are others
        ([10, 10, 10, 10, 16.0], [4]),  # no spread at all
        ([10, 10, 10, 10, 10], []),
        ([0, 0.1, -0.1, 0.05, 8.0], [4]),  # a level of 0.05: too far by times as well
        ([-1, -1.1, -0.9, -1, 8.0], [4]),  # a level below 0 has no multiples
        ([10, 25], []),  # of two, neither is known to be the other
        ([np.nan, 10, 25, np.nan, np.nan], []),
        ([np.nan] * 5, []),
        ([], []),
    ],
)
def test_which_samples_drift(her2, drifts):
    quality = study_quality(images(len(her2)), staining(her2), RULES)
    assert np.flatnonzero(quality.samples["drifts"]).tolist() == drifts
    flagged = quality.samples["flags"].str.startswith("HER2")
    assert np.flatnonzero(flagged).tolist() == drifts


def test_few_leukocytes_are_told_and_drift_of_them_is_not_judged():
    few = images().assign(n_leukocytes=[3.0, 4.0, *[40.0] * 8])
    quality = study_quality(few, staining([50.0, *EVEN[1:]], [7, 60, 60, 60, 60]), RULES)
    assert quality.samples["flags"].tolist() == ["few leukocytes (7)", *[""] * 4]
    assert quality.her2 == pytest.approx(11.25)


def test_a_patients_samples_are_told_apart():
    table = changed(edge_um=5.0).assign(patient_id="P1")
    levels = staining(EVEN).assign(patient_id="P1")
    quality = study_quality(table, levels, RULES)
    assert quality.of_patients(pd.Series(["P1"])) == ["P1: out of focus (1 of 2 images)"]


def test_what_an_earlier_version_did_not_measure_is_not_known_and_said_so():
    table = images()
    unknown = [f"{measure}_{role}" for measure in MEASURES for role in ROLES] + ["edge_um"]
    table.loc[:3, unknown] = np.nan
    table["measured"] = [False] * 4 + [True] * 6
    table.loc[9, "edge_um"] = np.nan
    quality = study_quality(table, staining([np.nan, np.nan, 10, 11, 12]), RULES)
    assert quality.images["not_known"].tolist() == [
        *["measured by an earlier cher2"] * 4,
        *[""] * 5,
        "focus: too few nuclei",
    ]
    assert set(quality.images["flags"]) == {""}
    assert quality.notes() == [
        "The quality of 4 images is not known, as an earlier cher2 measured them: "
        "'cher2 run' with --force measures them again"
    ]


def test_without_her2_and_without_images():
    table = images().assign(**{f"{measure}_her2": np.nan for measure in MEASURES})
    assert study_quality(table, staining([np.nan] * 5, 0), RULES).notes() == []
    nothing = study_quality(images(0), staining([]), RULES)
    assert (len(nothing.images), len(nothing.samples), nothing.notes()) == (0, 0, [])
