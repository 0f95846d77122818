"""Gates and kinds on tables of cells whose kinds are known."""

import numpy as np
import pandas as pd
import pytest

from cher2.cells.identification import find_gates, identify
from cher2.protocol import Identify


def cells(n_ctcs, n_leukocytes, seed=0, ck_gain=1.0):
    """Draw intensities as a CellSearch frame has them: log-normal, CTCs without CD45, leukocytes without CK."""
    rng = np.random.default_rng(seed)

    def draw(median, spread, count):
        return median * np.exp(spread * rng.normal(size=count))

    kinds = ["ctc"] * n_ctcs + ["leukocyte"] * n_leukocytes
    ck = np.concatenate([draw(450, 0.6, n_ctcs), draw(6, 0.5, n_leukocytes)]) * ck_gain
    cd45 = np.concatenate([draw(4, 0.5, n_ctcs), draw(130, 0.4, n_leukocytes)])
    dapi = np.concatenate([draw(250, 0.3, n_ctcs), draw(380, 0.3, n_leukocytes)])
    return pd.DataFrame(
        {
            "truth": kinds,
            "dapi_mean": dapi,
            "ck_gate": ck,
            "cd45_gate": cd45,
            "her2_se": 0.4,
            "nucleus_overlap": 0.45,
            "diameter_um": 11.0,
            "eccentricity": 0.5,
            "solidity": 0.95,
        }
    )


def agreement(table, settings=None):
    settings = settings or Identify()
    found = identify(table, find_gates(table, settings), settings)["kind"]
    return float((found == table["truth"]).mean())


@pytest.mark.parametrize(
    ("n_ctcs", "n_leukocytes"), [(40, 200), (5, 2000), (1, 300), (0, 300), (60, 0), (60, 3), (300, 40)]
)
@pytest.mark.parametrize("ck_gain", [0.5, 1.0, 2.0])
def test_kinds_are_found_whatever_the_mixture(n_ctcs, n_leukocytes, ck_gain):
    assert agreement(cells(n_ctcs, n_leukocytes, ck_gain=ck_gain)) >= 0.98


def test_ctcs_are_found_among_thousands_of_leukocytes():
    table = cells(5, 3000)
    found = identify(table, find_gates(table, Identify()), Identify())["kind"]
    assert (found[table["truth"] == "ctc"] == "ctc").all()
    assert (found == "ctc").sum() <= 8


def test_given_gates_are_used_as_they_are():
    settings = Identify(dapi_min=100, ck_min=77, cd45_max=33)
    gates = find_gates(cells(10, 10), settings)
    assert (gates.dapi_min, gates.ck_min, gates.cd45_max) == (100, 77, 33)


@pytest.mark.parametrize(
    ("change", "gate", "kind"),
    [
        ({}, "", "ctc"),
        ({"nucleus_overlap": 0.1}, "nucleus_overlap_min", "other"),
        ({"dapi_mean": 10.0}, "dapi_min", "other"),
        ({"ck_gate": 5.0}, "ck_min", "other"),
        ({"cd45_gate": 80.0}, "cd45_max", "other"),
        ({"ck_gate": 5.0, "cd45_gate": 80.0}, "ck_min", "leukocyte"),
        ({"diameter_um": 3.9}, "min_diameter_um", "other"),
        ({"diameter_um": 41.0}, "max_diameter_um", "other"),
        ({"eccentricity": 0.97}, "max_eccentricity", "other"),
        ({"solidity": 0.45}, "min_solidity", "other"),
    ],
)
def test_each_gate_is_named(change, gate, kind):
    table = cells(1, 0).assign(dapi_mean=250.0, ck_gate=400.0, cd45_gate=3.0).assign(**change)
    settings = Identify(dapi_min=100, ck_min=50, cd45_max=30)
    row = identify(table, find_gates(table, settings), settings).iloc[0]
    assert (row["kind"], row["failed_gate"]) == (kind, gate)


def test_a_cell_exactly_at_the_smallest_diameter_is_large_enough():
    table = cells(1, 0).assign(diameter_um=4.0, dapi_mean=250.0, ck_gate=400.0, cd45_gate=3.0)
    settings = Identify(dapi_min=100, ck_min=50, cd45_max=30)
    assert identify(table, find_gates(table, settings), settings)["kind"][0] == "ctc"


def test_empty_sample():
    table = cells(0, 0)
    gates = find_gates(table, Identify())
    assert all(np.isfinite([gates.dapi_min, gates.ck_min, gates.cd45_max]))
    assert identify(table, gates, Identify()).empty
