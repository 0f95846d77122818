"""Patients, their groups by the published rule, and the clinical table."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from cher2.protocol import SITES
from cher2.simulate.clinical import clinical_table
from cher2.simulate.patients import group_of, patient_table, plan_patients
from cher2.simulate.settings import StudySettings


def by_fractions(n0, n1, n2, n3):
    """The rule of ASCO 2021 abstract 3036, in exact fractions."""
    if n0 + n1 + n2 + n3 < 5:
        return "excluded"
    if n1 + n2 + n3 == 0:
        return "undefined"
    return "high" if Fraction(n2 + n3, n1 + n2 + n3) > Fraction(3, 4) else "low"


def test_groups_are_those_of_the_rule_in_exact_fractions():
    rng = np.random.default_rng(0)
    for counts in rng.integers(0, 12, (3000, 4)):
        assert group_of(tuple(counts.tolist())) == by_fractions(*counts.tolist())
    assert group_of((0, 1, 2, 1)) == "excluded"
    assert group_of((1, 1, 2, 1)) == "low"  # 3/4 exactly
    assert group_of((0, 1, 2, 2)) == "high"
    assert group_of((5, 0, 0, 0)) == "undefined"


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("patients", [12, 17, 24])
def test_every_group_occurs_among_twelve_patients_or_more(seed, patients):
    table = patient_table(plan_patients(StudySettings(patients=patients, seed=seed)))
    share = table["group"].value_counts(normalize=True)
    assert set(share.index) == {"high", "low", "excluded", "undefined"}
    assert 0.35 <= share["low"] <= 0.65
    assert 0.1 <= share["high"] <= 0.35


def test_the_table_counts_what_the_plans_say():
    plans = plan_patients(StudySettings(patients=30, seed=4))
    table = patient_table(plans)
    assert table["patient_id"].is_unique
    for plan, row in zip(plans, table.itertuples(), strict=True):
        grades = [grade for frame in plan.frames for grade in frame]
        counts = [grades.count(grade) for grade in range(4)]
        assert [row.n_grade_0, row.n_grade_1, row.n_grade_2, row.n_grade_3] == counts
        assert row.n_ctcs == len(grades)
        assert row.n_her2_positive == sum(counts[1:])
        assert row.group == by_fractions(*counts)
        if row.n_her2_positive:
            assert row.cher2_ratio == pytest.approx((counts[2] + counts[3]) / sum(counts[1:]))
        else:
            assert np.isnan(row.cher2_ratio)


def test_ctc_counts_are_overdispersed_and_some_are_below_five():
    table = patient_table(plan_patients(StudySettings(patients=200, seed=2)))
    counts = table["n_ctcs"]
    assert 0.1 < (counts < 5).mean() < 0.25
    assert counts.var() > 3 * counts.mean()
    assert counts[counts >= 5].mean() == pytest.approx(24, rel=0.25)


def test_some_patients_lie_near_the_border():
    table = patient_table(plan_patients(StudySettings(patients=48, seed=3)))
    assert ((table["cher2_ratio"] - 0.75).abs() < 0.1).sum() >= 3


def test_gains_are_one_without_drift_and_within_its_range_with_it():
    gains = ["ck_gain", "cd45_gain", "her2_gain"]
    assert (patient_table(plan_patients(StudySettings()))[gains] == 1).all(axis=None)
    drift = patient_table(plan_patients(StudySettings.for_scenario("drift", patients=60)))[gains].to_numpy()
    assert np.all((drift >= 0.5) & (drift <= 2))
    assert drift.min() < 0.6
    assert drift.max() > 1.7
    assert np.median(drift) == pytest.approx(1, abs=0.2)


def test_a_patient_does_not_depend_on_settings_of_the_images():
    plans = plan_patients(StudySettings(seed=9))
    others = plan_patients(StudySettings(seed=9, leukocytes_per_frame=10, frame_shape=(700, 700)))
    assert plans == others
    assert plans != plan_patients(StudySettings(seed=10))


def test_the_clinical_table_fits_the_patients_and_the_abstract():
    """Oligometastatic (at most two sites): 16 of 21 high, 29 of 77 low in the abstract."""
    settings = StudySettings(patients=600, seed=1)
    plans = plan_patients(settings)
    table = clinical_table(settings, plans).set_index("patient_id")
    sites = [site.column for site in SITES]
    assert set(sites) <= set(table.columns)
    found = table[sites].sum(axis=1)
    assert found.min() >= 1
    assert set(table[sites].stack().dropna()) == {0, 1}
    assert 0.02 < table[sites].isna().to_numpy().mean() < 0.06
    group = patient_table(plans).set_index("patient_id")["group"]
    few = (found <= 2).groupby(group).mean()
    assert few["high"] == pytest.approx(16 / 21, abs=0.12)
    assert few["low"] == pytest.approx(29 / 77, abs=0.12)
    assert (table["pfs_months"] <= table["os_months"]).all()
    assert (table["pfs_event"] >= table["os_event"]).all()
    assert table["os_months"].between(0.1, 60).all()
    assert set(table["os_event"]) == {0, 1}
