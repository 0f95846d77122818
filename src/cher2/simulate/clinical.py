"""A synthetic clinical table: metastatic sites and survival.

Patients of the high cohort have fewer sites on average, after ASCO 2021 abstract 3036 (oligometastatic: 16 of
21 high, 29 of 77 low); how often each site occurs, and survival, are plausible inventions.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cher2.simulate.patients import Plan, group_of
from cher2.simulate.settings import StudySettings

SITE_FREQUENCY = {
    "liver": 0.45,
    "lung": 0.40,
    "cns": 0.15,
    "bone": 0.60,
    "lymph_nodes": 0.50,
    "skin_soft_tissue": 0.20,
    "serosa": 0.20,
}
"""How likely a site is to be among a patient's; relative."""

NUMBER_OF_SITES = {
    "high": (0.45, 0.31, 0.14, 0.06, 0.03, 0.01, 0.0),
    "low": (0.14, 0.24, 0.27, 0.20, 0.10, 0.04, 0.01),
}
"""Probability of 1 to 7 sites; groups other than high are as low."""

OS_MONTHS = {"high": 34.0, "low": 22.0}
"""Mean overall survival, exponential."""

NOT_ASSESSED = 0.04
"""Probability that a site was not assessed."""

SUBTYPES = ("HR+/HER2-", "HR+/HER2+", "HR-/HER2+", "HR-/HER2-")
SUBTYPE_FREQUENCY = (0.55, 0.2, 0.1, 0.15)


def clinical_table(settings: StudySettings, plans: list[Plan]) -> pd.DataFrame:
    """Draw the clinical table; every patient has at least one site that was assessed and found.

    Returns
    -------
    pandas.DataFrame
        `patient_id`, the seven sites (1, 0, missing = not assessed), `os_months`, `os_event`, `pfs_months`,
        `pfs_event`, `subtype`.
    """
    # One beyond the last patient's streams.
    rng = np.random.default_rng([settings.seed, settings.patients + 1, 0])
    rows = [
        {"patient_id": plan.patient_id, **_sites(group_of(plan.counts), rng), **_survival(plan, rng)} for plan in plans
    ]
    return pd.DataFrame(rows).astype(dict.fromkeys(SITE_FREQUENCY, "Int64"))


def _sites(group: str, rng: np.random.Generator) -> dict[str, int | None]:
    names = list(SITE_FREQUENCY)
    weight = np.array(list(SITE_FREQUENCY.values()))
    count = 1 + int(rng.choice(7, p=NUMBER_OF_SITES["high" if group == "high" else "low"]))
    found = set(rng.choice(names, size=count, replace=False, p=weight / weight.sum()))
    sites: dict[str, int | None] = {name: int(name in found) for name in names}
    missed = [name for name in names if rng.random() < NOT_ASSESSED]
    if found <= set(missed):
        missed = [name for name in missed if name not in found]
    return {name: None if name in missed else value for name, value in sites.items()}


def _survival(plan: Plan, rng: np.random.Generator) -> dict[str, object]:
    """Draw death and progression, both seen only until the end of follow-up, 6 to 60 months."""
    mean = OS_MONTHS["high" if group_of(plan.counts) == "high" else "low"]
    follow_up = rng.uniform(6, 60)
    death = rng.exponential(mean)
    progression = min(death, rng.exponential(0.5 * mean))
    return {
        "os_months": round(max(min(death, follow_up), 0.1), 1),
        "os_event": int(death <= follow_up),
        "pfs_months": round(max(min(progression, follow_up), 0.1), 1),
        "pfs_event": int(progression <= follow_up),
        "subtype": str(rng.choice(SUBTYPES, p=SUBTYPE_FREQUENCY)),
    }
