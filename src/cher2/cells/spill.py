"""How large the spill between channels is, from images of single-stained controls or from a study's own CTCs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import theilslopes

from cher2.cells.grading import MIN_LEUKOCYTES
from cher2.errors import GradingError
from cher2.protocol import ROLES, Role

Values = NDArray[np.float64]

MIN_CONTROL_CELLS = 20
"""Cells that a single-stained control needs."""

MIN_NEGATIVE = 20
"""HER2-negative CTCs that an estimate from a study needs."""

BRIGHT_FRACTION = 0.25
"""Bright cells of a control reach this part of the 95th percentile of its stain."""

ENVELOPE = 0.05
"""The quantile of HER2 over CK from which the search for HER2-negative CTCs starts."""

NEGATIVE_SD = 3.0
"""HER2-negative is up to so many robust standard deviations above the leukocytes' median HER2."""

SMALLEST = 0.005
"""A smaller fraction is taken for none: it moves a typical CTC by two counts, less than the estimate's own error."""

MOST_CELLS = 1000
"""A slope is of all pairs of cells: more cells than this are thinned out evenly over the range of the stain."""

MOST_SPILL = 0.5
"""The largest spill that is looked for in a study."""


@dataclass(frozen=True)
class Spill:
    """The fraction of one channel's signal that is seen in another.

    Parameters
    ----------
    source, target : str
        The roles of the channels: what is stained, and where it is seen.
    fraction, low, high : float
        The fraction with its 95 % interval.
    n_cells : int
        Cells it was estimated from.
    method : str
        How, in words.
    """

    source: Role
    target: Role
    fraction: float
    low: float
    high: float
    n_cells: int
    method: str

    @property
    def pair(self) -> str:
        """The channels as the protocol names them: "ck->her2"."""
        return f"{self.source}->{self.target}"

    @property
    def is_there(self) -> bool:
        """Say whether the spill is worth compensation: the whole interval above 0, and not less than 0.005."""
        return self.low > 0 and self.fraction >= SMALLEST

    def __str__(self) -> str:
        found = "" if self.is_there else "; taken for none"
        return (
            f"{self.pair}: {self.fraction:.4f} ({self.low:.4f} to {self.high:.4f}) "
            f"from {self.n_cells} cells, {self.method}{found}"
        )


def cell_means(signals: Mapping[Role, NDArray[np.float32]], labels: NDArray[np.int32]) -> pd.DataFrame:
    """Return the mean of each channel over each label, one row a label (its index) and one column a role.

    Parameters
    ----------
    signals : dict of ndarray of float32, shape (Y, X)
        The channels by role, without background.
    labels : ndarray of int32, shape (Y, X)
        The cells, 1 to n.
    """
    owner = labels.ravel()
    area = np.bincount(owner)[1:]
    sums = {role: np.bincount(owner, weights=signals[role].ravel())[1:] for role in ROLES}
    means = {role: total / np.maximum(area, 1) for role, total in sums.items()}
    return pd.DataFrame(means, index=pd.RangeIndex(1, len(area) + 1, name="label"))[area > 0]


def estimate_spill(means: pd.DataFrame, source: Role) -> tuple[Spill, ...]:
    """Estimate the spill of a stain from cells that carry no other.

    The spill into a channel is the Theil-Sen slope of its cell means on the stain's, over bright cells. A slope,
    unlike a ratio, does not count autofluorescence that all cells share.

    Parameters
    ----------
    means : DataFrame
        The cells' means by role; see :func:`cell_means`.
    source : {"dapi", "ck", "cd45", "her2"}
        The stain.

    Returns
    -------
    tuple of Spill
        One for each other channel.

    Raises
    ------
    GradingError
        There are too few bright cells.

    References
    ----------
    .. [1] Sen. Estimates of the regression coefficient based on Kendall's tau. Journal of the American
       Statistical Association 63 (1968) 1379-1389; the interval is of this paper too.
    """
    stain = means[source].to_numpy(float)
    bright = stain >= BRIGHT_FRACTION * np.quantile(stain, 0.95) if len(stain) else np.zeros(0, bool)
    if bright.sum() < MIN_CONTROL_CELLS:
        raise GradingError(
            f"{bright.sum()} bright cells in the control of {source}, but its spill needs {MIN_CONTROL_CELLS}",
            remedy="Add frames of this control",
        )
    spills = []
    for target in ROLES:
        if target != source:
            slope = _slope(stain[bright], means[target].to_numpy(float)[bright])
            spills.append(Spill(source, target, *slope, int(bright.sum()), "single-stained control"))
    return tuple(spills)


def estimate_spill_of_ctcs(objects: pd.DataFrame) -> Spill:
    """Estimate the spill of CK into HER2 from a study's HER2-negative CTCs.

    In CTCs without HER2 the HER2 channel holds unspecific stain and the spill of CK, which grows with CK: they
    are the lower envelope of HER2 over CK. It is found by quantile regression at 5 %; cells above it by no more
    than what leukocytes show (3 robust standard deviations above their median) are taken for negative, and the
    Theil-Sen slope over them is the spill. The last two steps are repeated until the same cells remain.

    It stands on three things: some CTCs are HER2-negative; their unspecific stain is like that of leukocytes; and
    it does not grow with their CK. Where it does (large cells, thick cells), the estimate is too high: a
    single-stained control is better. Cells of one patient are alike, so the interval is rather too narrow.

    Parameters
    ----------
    objects : DataFrame
        The identified objects of a study, measured without compensation.

    Returns
    -------
    Spill

    Raises
    ------
    GradingError
        There are too few leukocytes, or too few CTCs that can be HER2-negative.
    """
    whole = objects[~objects["touches_border"] & (objects["saturated_fraction"] == 0)]
    leukocytes = whole.loc[whole["kind"] == "leukocyte", "her2_mean"].dropna().to_numpy(float)
    ctcs = whole.loc[whole["kind"] == "ctc", ["ck_mean", "her2_mean"]].dropna()
    if len(leukocytes) < MIN_LEUKOCYTES:
        raise GradingError(
            f"{len(leukocytes)} leukocytes, but to tell HER2-negative cells takes {MIN_LEUKOCYTES}",
            remedy="Use single-stained controls (--controls ck=FOLDER)",
        )
    median = float(np.median(leukocytes))
    highest = median + NEGATIVE_SD * 1.4826 * float(np.median(np.abs(leukocytes - median)))
    ck, her2 = ctcs["ck_mean"].to_numpy(float), ctcs["her2_mean"].to_numpy(float)
    negative = _negative(ck, her2, highest)
    if negative.sum() < MIN_NEGATIVE:
        raise GradingError(
            f"{negative.sum()} of {len(ctcs)} CTCs can be HER2-negative (up to {highest:.0f} counts without spill, "
            f"by the leukocytes), but the spill of CK takes {MIN_NEGATIVE}",
            remedy="Use single-stained controls (--controls ck=FOLDER)",
        )
    slope = _slope(ck[negative], her2[negative])
    return Spill("ck", "her2", *slope, int(negative.sum()), f"HER2-negative ones among {len(ctcs)} CTCs")


def _negative(ck: Values, her2: Values, highest: float) -> NDArray[np.bool_]:
    """Say which CTCs are HER2-negative: those whose HER2 without spill is at most `highest`."""
    if len(ck) < MIN_NEGATIVE:
        return np.zeros(len(ck), bool)
    negative = her2 - _envelope_slope(ck, her2) * ck <= highest
    for _ in range(20):
        if negative.sum() < MIN_NEGATIVE:
            break
        fraction, _, _ = _slope(ck[negative], her2[negative])
        again = her2 - fraction * ck <= highest
        if (again == negative).all():
            break
        negative = again
    return negative


def _envelope_slope(x: Values, y: Values) -> float:
    """Return the slope, from 0 to :data:`MOST_SPILL`, of the quantile regression of y on x at 5 %.

    For a given slope the best intercept is the quantile of the residuals; what is left is convex in the slope.
    """
    from scipy.optimize import minimize_scalar

    def loss(slope: Any) -> float:
        rest = y - slope * x
        rest -= np.quantile(rest, ENVELOPE)
        return float(np.maximum(ENVELOPE * rest, (ENVELOPE - 1) * rest).sum())

    return float(minimize_scalar(loss, bounds=(0.0, MOST_SPILL), method="bounded", options={"xatol": 1e-5}).x)


def _slope(x: Values, y: Values) -> tuple[float, float, float]:
    """Return the Theil-Sen slope of y on x with its 95 % interval."""
    if np.ptp(x) == 0:
        raise GradingError("all cells are equally bright: there is no slope to find", remedy="Add cells")
    order = np.argsort(x, kind="stable")
    kept = order[np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_CELLS)).round().astype(int))]
    found = theilslopes(y[kept], x[kept], alpha=0.95)
    return float(found[0]), float(found[2]), float(found[3])
