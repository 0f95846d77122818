"""Which objects are CTCs, which leukocytes, and which neither.

A CTC is DAPI+, CK+ and CD45-, at least as large as the protocol says, with its nucleus inside its body; a
leukocyte is DAPI+, CD45+ and CK-; what is both CK+ and CD45+ is neither. Gates that the protocol leaves to
``"auto"`` come from the sample's own cells, with its leukocytes as the internal control.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.protocol import Identify

Values = NDArray[np.float64]

ENOUGH = 8
"""Cells that make a population: fewer have no median and spread worth a gate."""

CONTROL = 20
"""Leukocytes from which they alone give the gates, as the sample's internal control."""

CK_TAIL, CD45_TAIL, LEUKOCYTE_CK_TAIL = 1.75, 3.0, 3.0
"""Robust standard deviations, of logarithms, from the leukocytes' median up to CK+, down to CD45-, and up to the
end of their own CK.

CK+ begins low: what tells a CTC with dim cytokeratin from a leukocyte is CD45."""

LONE_LOW, LONE_HIGH = 3.0, 4.0
"""The same from epithelial cells that have no leukocytes beside them: down to CK+, up to CD45-."""

NUCLEAR_FRACTION = 0.25
"""DAPI+ begins at this part of the cells' median DAPI: below lie ghosts and out-of-focus light."""

FAINTEST = 3.0
"""Standard errors of a mean below which a stain is not there."""


@dataclass(frozen=True)
class Gates:
    """The gates in force for a sample, in background-subtracted counts.

    Parameters
    ----------
    dapi_min, ck_min, cd45_max : float
        The borders.
    leukocyte_ck_max : float
        Up to here a CD45+ cell is a leukocyte; beyond, it is CK+ CD45+, so neither. With an automatic gate
        that is the end of the leukocytes' own CK, above `ck_min`; else it is `ck_min`.
    source : str
        How they were found, in words.
    """

    dapi_min: float
    ck_min: float
    cd45_max: float
    leukocyte_ck_max: float
    source: str


def find_gates(objects: pd.DataFrame, settings: Identify) -> Gates:
    """Find the gates of a sample: the protocol's numbers, and the sample's own where it says "auto".

    Nucleated objects are taken for epithelial cells where CK exceeds CD45 and for leukocytes where not. The
    gates lie at the tails of the leukocytes: they are the sample's internal control, however many CTCs there
    are. With few leukocytes, a gate lies between the two populations, at equal distance from both in their
    robust standard deviations (of logarithms); with none, at the tail of the epithelial cells.

    Parameters
    ----------
    objects : DataFrame
        All measured objects of one sample.
    settings : Identify
        The protocol's gates.

    Returns
    -------
    Gates
    """
    cells = objects[objects["nucleus_overlap"] >= settings.nucleus_overlap_min]
    dapi = cells["dapi_mean"].to_numpy(float)
    faint = FAINTEST * float(cells["her2_se"].median()) if len(cells) else 1.0
    dapi_min = _given(settings.dapi_min, NUCLEAR_FRACTION * float(np.median(dapi)) if len(dapi) else 0.0)
    bright = cells[dapi >= dapi_min]
    ck, cd45 = (np.maximum(bright[f"{role}_gate"].to_numpy(float), faint) for role in ("ck", "cd45"))
    epithelial = ck > cd45
    if np.sum(~epithelial) >= CONTROL:
        found = _tail(ck[~epithelial], CK_TAIL, faint), _tail(cd45[~epithelial], -CD45_TAIL, faint)
    else:
        found = _between(ck[~epithelial], ck[epithelial], faint), _between(cd45[epithelial], cd45[~epithelial], faint)
    ck_min, cd45_max = _given(settings.ck_min, found[0]), _given(settings.cd45_max, found[1])
    own_ck = max(ck_min, _tail(ck[~epithelial], LEUKOCYTE_CK_TAIL, faint))
    source = f"{int(np.sum(~epithelial))} leukocyte-like and {int(np.sum(epithelial))} epithelial-like cells"
    return Gates(dapi_min, ck_min, cd45_max, _given(settings.ck_min, own_ck), source)


def identify(objects: pd.DataFrame, gates: Gates, settings: Identify) -> pd.DataFrame:
    """Tell CTCs, leukocytes and others apart.

    Parameters
    ----------
    objects : DataFrame
        Measured objects.
    gates : Gates
        The sample's gates.
    settings : Identify
        The protocol's limits of size and of the nucleus.

    Returns
    -------
    DataFrame
        Columns ``kind`` and ``failed_gate``, with the index of `objects`. A gate is named as the protocol
        names it; an object that fails several names the first of: nucleus, DAPI, CK, CD45, size, shape.
    """
    nucleated = objects["nucleus_overlap"] >= settings.nucleus_overlap_min
    dapi = objects["dapi_mean"] >= gates.dapi_min
    ck = objects["ck_gate"] >= gates.ck_min
    cd45 = objects["cd45_gate"] > gates.cd45_max
    failures = [
        (~nucleated, "nucleus_overlap_min"),
        (~dapi, "dapi_min"),
        (~ck, "ck_min"),
        (cd45, "cd45_max"),
        (objects["diameter_um"] < settings.min_diameter_um, "min_diameter_um"),
        (objects["diameter_um"] > settings.max_diameter_um, "max_diameter_um"),
        (objects["eccentricity"] > settings.max_eccentricity, "max_eccentricity"),
        (objects["solidity"] < settings.min_solidity, "min_solidity"),
    ]
    failed = np.select([failure for failure, _ in failures], [name for _, name in failures], default="")
    leukocyte = nucleated & dapi & cd45 & (objects["ck_gate"] < gates.leukocyte_ck_max)
    kind = np.where(failed == "", "ctc", np.where(leukocyte, "leukocyte", "other"))
    return pd.DataFrame({"kind": kind, "failed_gate": failed}, index=objects.index)


def _given(setting: float | str, found: float) -> float:
    return found if isinstance(setting, str) else float(setting)


def _tail(values: Values, deviations: float, faint: float) -> float:
    """Return the border so many robust standard deviations of the logarithms away from the median."""
    population = _log_population(values)
    return float(max(np.exp(population[0] + deviations * population[1]), faint)) if population else 2 * faint


def _between(low: Values, high: Values, faint: float) -> float:
    """Return the border between two populations of intensities, at equal distance in their own spreads."""
    below, above = _log_population(low), _log_population(high)
    if below and above and above[0] > below[0]:
        border = (below[0] * above[1] + above[0] * below[1]) / (below[1] + above[1])
    elif below:
        border = below[0] + LONE_HIGH * below[1]
    elif above:
        border = above[0] - LONE_LOW * above[1]
    else:
        return 2 * faint
    return float(max(np.exp(border), faint))


def _log_population(values: Values) -> tuple[float, float] | None:
    """Return the median and robust standard deviation of the logarithms; None for too few cells."""
    if len(values) < ENOUGH:
        return None
    logarithms = np.log(values)
    median = float(np.median(logarithms))
    # No population is narrower than a tenth: a floor value shared by many cells is no spread.
    return median, max(0.1, 1.4826 * float(np.median(np.abs(logarithms - median))))
