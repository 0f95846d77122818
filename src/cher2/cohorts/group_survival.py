"""Survival of the cHER2 high against the cHER2 low patients: the rows of ``survival.csv``.

For each endpoint of the clinical table the Kaplan-Meier medians, the log-rank test, and the hazard ratio of high
against low with the check of its assumption.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cher2.cohorts.clinical import ENDPOINTS, check_clinical
from cher2.cohorts.cohort_guards import check_survival
from cher2.cohorts.comparison import patient_groups, refuse_strangers
from cher2.cohorts.cox import COX, CoxRegression, cox_regression
from cher2.cohorts.curves import KaplanMeier
from cher2.cohorts.results import Result
from cher2.cohorts.survival import KAPLAN_MEIER, LOG_RANK, LogRank, kaplan_meier, log_rank
from cher2.errors import CohortError
from cher2.protocol import Protocol

COLUMNS = {
    "endpoint": "str",
    "group": "str",
    "n": "int64",
    "events": "int64",
    "missing": "int64",
    "median_months": "float64",
    "median_low": "float64",
    "median_high": "float64",
    "log_rank_p": "float64",
    "hazard_ratio": "float64",
    "hr_low": "float64",
    "hr_high": "float64",
    "hr_p": "float64",
    "proportional_hazards_p": "float64",
    "reason": "str",
}
"""Columns of ``survival.csv`` and their types."""

METHOD = f"{KAPLAN_MEIER}; {LOG_RANK}; {COX}; cHER2 high against low"


@dataclass(frozen=True, eq=False)
class EndpointSurvival:
    """One endpoint, by cHER2 group.

    Parameters
    ----------
    endpoint, title : str
        ``os``, and what it is called in print.
    curves : KaplanMeier or None
        None where no patient has follow-up.
    log_rank : LogRank or None
    cox : CoxRegression or None
        None where `reasons` say why.
    missing : mapping of str to int
        Patients of each group without time or event.
    reasons : tuple of str
        Why something is not there.
    """

    endpoint: str
    title: str
    curves: KaplanMeier | None
    log_rank: LogRank | None
    cox: CoxRegression | None
    missing: Mapping[str, int]
    reasons: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class GroupSurvival(Result):
    """Survival of cHER2 high against low.

    Parameters
    ----------
    table : DataFrame
        One row an endpoint and group, with the columns of :data:`COLUMNS`. What compares the groups (log-rank,
        hazard ratio) stands in the row of the high group; a median's upper limit is infinite where the curve's
        limit stays above one half. What is empty has its reason.
    endpoints : mapping of str to EndpointSurvival
        The curves and tests behind the table, of the endpoints that the clinical table has.
    method, sizes, warnings
        See :class:`~cher2.cohorts.results.Result`.
    """

    table: pd.DataFrame
    endpoints: Mapping[str, EndpointSurvival]
    method: str = METHOD
    sizes: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of the table, to keep or to change."""
        return self.table.copy()


def survival_by_group(
    patients: pd.DataFrame, clinical: pd.DataFrame, protocol: Protocol | None = None, *, force: bool = False
) -> GroupSurvival:
    """Compare the survival of the cHER2 high with that of the cHER2 low patients.

    Parameters
    ----------
    patients : DataFrame
        One row a patient: ``patient_id`` and ``group``, as :func:`cher2.summarise_patients` gives them.
    clinical : DataFrame
        The clinical table, as :func:`cher2.cohorts.clinical.check_clinical` takes it, with ``os_months`` and
        ``os_event``, ``pfs_months`` and ``pfs_event``, or neither pair.
    protocol : Protocol, optional
        Its section ``cohort`` decides; the defaults without it.
    force : bool
        Give a hazard ratio with fewer than ten events too.

    Returns
    -------
    GroupSurvival
        An endpoint without columns has rows too, which say so.

    Raises
    ------
    CohortError
        The table of patients cannot be used, or no patient is in both tables.
    ClinicalTableError
        The clinical table cannot be used.
    """
    groups = patient_groups(patients)
    checked = check_clinical(clinical, protocol).set_index("patient_id")
    refuse_strangers(groups.index, checked.index)
    compared = groups[groups.isin(["high", "low"]) & groups.index.isin(checked.index)]
    rows = checked.loc[compared.index].assign(group=compared)
    found = {
        name: _endpoint(name, title, rows, force) for name, title in ENDPOINTS.items() if f"{name}_months" in checked
    }
    lines = [line for name in ENDPOINTS for line in (_lines(found[name]) if name in found else _absent(name, compared))]
    warnings = [
        f"{endpoint.title}: {sum(endpoint.missing.values())} of {len(rows)} patients left out, without time or event"
        for endpoint in found.values()
        if any(endpoint.missing.values())
    ]
    warnings += [
        f"{endpoint.title}: {warning}"
        for endpoint in found.values()
        if endpoint.cox
        for warning in endpoint.cox.warnings
    ]
    sizes = {group: int((compared == group).sum()) for group in ("high", "low")}
    table = pd.DataFrame(lines)[list(COLUMNS)].astype(COLUMNS)
    check_survival(table, sizes["high"], sizes["low"])
    return GroupSurvival(table, found, METHOD, sizes, tuple(warnings))


def _endpoint(name: str, title: str, rows: pd.DataFrame, force: bool) -> EndpointSurvival:
    """Return what can be said of one endpoint, and why the rest cannot."""
    times, events = f"{name}_months", f"{name}_event"
    has = (rows[times].notna() & rows[events].notna()).to_numpy(dtype=bool)
    missing = {group: int(((rows["group"] == group) & ~has).sum()) for group in ("high", "low")}
    used = pd.DataFrame(
        {
            "months": rows[times][has].to_numpy(dtype=np.float64),
            "event": rows[events][has].to_numpy(dtype=np.float64),
            "group": rows["group"][has].to_numpy(dtype=object),
        }
    )
    if used.empty:
        return EndpointSurvival(name, title, None, None, None, missing, ("no patient has follow-up",))
    curves = kaplan_meier(used["months"], used["event"], used["group"])
    absent = [group for group in ("high", "low") if group not in curves.curves]
    if absent:
        reason = f"no {absent[0]} patient has follow-up"
        return EndpointSurvival(name, title, curves, None, None, missing, (reason,))
    test = log_rank(used["months"], used["event"], used["group"])
    reasons = [f"log-rank: {test.reason}"] if test.reason else []
    cox: CoxRegression | None = None
    try:
        used["high"] = used["group"] == "high"
        cox = cox_regression(used, "months", "event", ["high"], force=force)
    except CohortError as error:
        reasons.append(f"hazard ratio: {error.what}")
    return EndpointSurvival(name, title, curves, test, cox, missing, tuple(reasons))


def _lines(endpoint: EndpointSurvival) -> list[dict[str, object]]:
    lines = [_line(endpoint, group) for group in ("high", "low")]
    if endpoint.log_rank:
        lines[0]["log_rank_p"] = endpoint.log_rank.p_value
    if endpoint.cox:
        effect, check = endpoint.cox.effects[0], endpoint.cox.proportional_hazards["high"]
        ratio = {"hazard_ratio": effect.ratio.value, "hr_low": effect.ratio.low, "hr_high": effect.ratio.high}
        # The likelihood ratio belongs to the profile interval: the two agree on significance.
        lines[0] |= {**ratio, "hr_p": effect.likelihood_ratio_p, "proportional_hazards_p": check.p_value}
        reasons = [lines[0]["reason"], effect.ratio.reason, check.reason and f"proportional hazards: {check.reason}"]
        lines[0]["reason"] = "; ".join(str(reason) for reason in reasons if reason)
    return lines


def _line(endpoint: EndpointSurvival, group: str) -> dict[str, object]:
    curve = endpoint.curves.curves.get(group) if endpoint.curves else None
    line = _empty(endpoint.endpoint, group, endpoint.missing[group])
    reasons = list(endpoint.reasons) if group == "high" or curve is None else []
    if curve:
        line |= {"n": curve.n, "events": int(curve.events.sum())}
        line |= {"median_months": curve.median.value, "median_low": curve.median.low, "median_high": curve.median.high}
        reasons += [curve.median.reason] if curve.median.reason else []
    if group == "low" and curve:
        reasons.append("the group that high is compared with")
    return line | {"reason": "; ".join(reasons)}


def _absent(name: str, compared: pd.Series[str]) -> list[dict[str, object]]:
    reason = f"the clinical table has no columns {name}_months and {name}_event"
    return [_empty(name, group, int((compared == group).sum())) | {"reason": reason} for group in ("high", "low")]


def _empty(name: str, group: str, missing: int) -> dict[str, object]:
    numbers = dict.fromkeys((column for column, kind in COLUMNS.items() if kind == "float64"), np.nan)
    return {"endpoint": name, "group": group, "n": 0, "events": 0, "missing": missing, **numbers}
