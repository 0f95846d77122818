"""Which objects are CTCs, which leukocytes, and which neither.

A CTC is DAPI+, CK+ and CD45-, at least as large as the protocol says, with its nucleus inside its body; a
leukocyte is DAPI+, CD45+ and CK-; what is both CK+ and CD45+ is neither. Gates that the protocol leaves to
``"auto"`` come from the sample's own cells, with its leukocytes as the internal control.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.protocol import Identify, Role

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

NUCLEAR_FRACTION = 0.2
"""DAPI+ begins at this part of the cells' median DAPI: below lie ghosts and out-of-focus light."""

USUAL_SPREAD = 0.5
"""Standard deviation of the logarithms of a stain in a population of cells, where too few of them show their own."""

FAINTEST = 3.0
"""Standard errors of a mean below which a stain is not there."""

FAINTEST_OF_DAPI = 0.01
"""The same as a part of the cells' median DAPI, where no standard error is known: frames without HER2."""

ROUNDED = 1 + 1e-6
"""A step of the counts in single precision is not exactly a step."""


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

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Return the gates whose fields a mapping holds.

        Raises
        ------
        TypeError, ValueError
            `record` is not that of gates.
        """
        numbers = {name: float(value) for name, value in dict(record).items() if name != "source"}
        return cls(**numbers, source=str(record.get("source", "")))


def find_gates(objects: pd.DataFrame, settings: Identify, count_step: Mapping[Role, float] | None = None) -> Gates:
    """Find the gates of a sample: the protocol's numbers, and the sample's own where it says "auto".

    Nucleated objects are taken for epithelial cells where CK exceeds CD45 and for leukocytes where not. The
    gates lie at the tails of the leukocytes: they are the sample's internal control, however many CTCs there
    are. With few leukocytes, a gate lies between the two populations, at equal distance from both in their
    robust standard deviations (of logarithms); with none, at the tail of the epithelial cells. Of fewer than 8
    cells of each, only their medians are their own.

    Parameters
    ----------
    objects : DataFrame
        All measured objects of one sample.
    settings : Identify
        The protocol's gates.
    count_step : dict of float, optional
        By role, the difference between neighbouring values of a channel: 1 where a grey level is a count. Within
        a step of nothing, light cannot be told from rounding: no automatic gate lies lower.

    Returns
    -------
    Gates
    """
    cells = objects[objects["nucleus_overlap"] >= settings.nucleus_overlap_min]
    dapi_min = _dapi_min(cells, settings, count_step)
    bright = cells[cells["dapi_mean"] >= dapi_min]
    ck_faint, cd45_faint = (_faintest(cells, role, count_step) for role in ("ck", "cd45"))
    ck = np.maximum(bright["ck_gate"].to_numpy(float), ck_faint)
    cd45 = np.maximum(bright["cd45_gate"].to_numpy(float), cd45_faint)
    epithelial = ck > cd45
    if np.sum(~epithelial) >= CONTROL:
        own = _tail(ck[~epithelial], CK_TAIL, ck_faint), _tail(cd45[~epithelial], -CD45_TAIL, cd45_faint)
    else:
        own = (
            _between(ck[~epithelial], ck[epithelial], ck_faint),
            _between(cd45[epithelial], cd45[~epithelial], cd45_faint),
        )
    ck_min, cd45_max = _given(settings.ck_min, own[0]), _given(settings.cd45_max, own[1])
    own_ck = max(ck_min, _tail(ck[~epithelial], LEUKOCYTE_CK_TAIL, ck_faint))
    source = f"{int(np.sum(~epithelial))} leukocyte-like and {int(np.sum(epithelial))} epithelial-like cells"
    return Gates(dapi_min, ck_min, cd45_max, _given(settings.ck_min, own_ck), source)


def leukocyte_like(objects: pd.DataFrame, settings: Identify) -> NDArray[np.bool_]:
    """Tell which objects are taken for leukocytes before there are gates: nucleated, with no less CD45 than CK.

    Parameters
    ----------
    objects : DataFrame
        All measured objects of one sample.
    settings : Identify
        What is a nucleus.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    nucleated = (objects["nucleus_overlap"] >= settings.nucleus_overlap_min).to_numpy(bool)
    bright = objects["dapi_mean"].to_numpy(float) >= _dapi_min(objects[nucleated], settings, None)
    more_cd45 = objects["cd45_gate"].to_numpy(float) >= objects["ck_gate"].to_numpy(float)
    return np.asarray(nucleated & bright & more_cd45)


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


def _dapi_min(cells: pd.DataFrame, settings: Identify, count_step: Mapping[Role, float] | None) -> float:
    """Return the gate of DAPI, of which automatic ones follow from the nucleated cells."""
    if cells.empty:
        return _given(settings.dapi_min, 0.0)
    own = NUCLEAR_FRACTION * float(cells["dapi_mean"].median())
    return _given(settings.dapi_min, max(own, _faintest(cells, "dapi", count_step)))


def _faintest(cells: pd.DataFrame, role: Role, count_step: Mapping[Role, float] | None) -> float:
    """Return the least light of a channel that can be told from none; always above 0."""
    step = ROUNDED * (count_step or {}).get(role, 0.0)
    if cells.empty:
        return step or 1.0
    errors = cells["her2_se"].to_numpy(float)
    known = errors[np.isfinite(errors)]
    least = FAINTEST * float(np.median(known)) if len(known) else FAINTEST_OF_DAPI * float(cells["dapi_mean"].median())
    return max(least, step, float(np.finfo(np.float32).tiny))


def _given(setting: float | str, found: float) -> float:
    return found if isinstance(setting, str) else float(setting)


def _tail(values: Values, deviations: float, faint: float) -> float:
    """Return the border so many robust standard deviations of the logarithms away from the median."""
    population = _log_population(values)
    return float(max(np.exp(population[0] + deviations * population[1]), faint)) if population else 2 * faint


def _between(low: Values, high: Values, faint: float) -> float:
    """Return the border between two populations of intensities, at equal distance in their own spreads."""
    below, above = _log_population(low), _log_population(high)
    if not below and not above:
        below, above, faint = _few(low), _few(high), 2 * faint
    if below and above and above[0] > below[0]:
        border = (below[0] * above[1] + above[0] * below[1]) / (below[1] + above[1])
    elif below:
        border = below[0] + LONE_HIGH * below[1]
    elif above:
        border = above[0] - LONE_LOW * above[1]
    else:
        return faint
    return float(max(np.exp(border), faint))


def _log_population(values: Values) -> tuple[float, float] | None:
    """Return the median and robust standard deviation of the logarithms; None for too few cells."""
    if len(values) < ENOUGH:
        return None
    logarithms = np.log(values)
    median = float(np.median(logarithms))
    # No population is narrower than a tenth: a floor value shared by many cells is no spread.
    return median, max(0.1, 1.4826 * float(np.median(np.abs(logarithms - median))))


def _few(values: Values) -> tuple[float, float] | None:
    """Return the median of the logarithms of a few cells, and the spread that populations have; None for no cell."""
    return (float(np.median(np.log(values))), USUAL_SPREAD) if len(values) else None
