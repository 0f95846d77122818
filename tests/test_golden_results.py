"""What cher2 makes of ``sample_images`` is what it made before, or the algorithm says that it is another."""

from __future__ import annotations

import pytest
from golden_results import GOLDEN, KEYS, differences, golden_results, sample_results, verdict

from cher2.cells.score import ALGORITHM


@pytest.fixture(scope="module")
def golden():
    return golden_results()


def test_the_sample_study_gives_the_golden_results(golden):
    version, tables = golden
    said = verdict(version, ALGORITHM, differences(tables, sample_results()))
    assert not said, said


def changed(tables, name, column, value, row=0):
    table = tables[name].copy()
    table.loc[row, column] = value
    return differences(tables, {**tables, name: table})


@pytest.mark.parametrize(
    ("name", "column", "change"),
    [
        ("images.csv", "n_objects", lambda value: f"{int(value) + 1}"),
        ("images.csv", "label_pixels", lambda value: f"{int(value) + 1}"),
        ("images.csv", "median_her2", lambda value: f"{1.001 * float(value):.6g}"),
        ("cells.csv", "grade", lambda value: f"{(int(value) + 1) % 4}"),
        ("cells.csv", "kind", lambda value: "other"),
        ("cells.csv", "her2_intensity", lambda value: f"{1.012 * float(value):.6g}"),
        ("cells.csv", "her2_intensity", lambda value: ""),
        ("cells.csv", "x_px", lambda value: f"{float(value) + 0.3:.6g}"),
        ("cells.csv", "duplicate_of", lambda value: "P01/frame_01.ome.tif 3"),
        ("patients.csv", "n_ctcs", lambda value: f"{int(value) - 1}"),
        ("patients.csv", "cher2_ratio", lambda value: f"{float(value) - 0.0001:.6g}"),
        ("patients.csv", "group", lambda value: "low" if value == "high" else "high"),
        ("comparison.csv", "p_value", lambda value: f"{float(value) * 1.001:.6g}"),
        ("survival.csv", "median_months", lambda value: f"{float(value) * 1.001:.6g}"),
    ],
)
def test_a_number_that_changed_is_named_with_its_place(golden, name, column, change):
    _, tables = golden
    row = next(row for row, value in enumerate(tables[name][column]) if value or column == "duplicate_of")
    (said,) = changed(tables, name, column, change(tables[name].loc[row, column]), row)
    assert said.startswith(f"{name}, {tables[name].loc[row, KEYS[name][0]]}")
    assert f": {column} is " in said


@pytest.mark.parametrize(
    ("name", "column", "factor"),
    [("cells.csv", "her2_intensity", 1.005), ("cells.csv", "area_um2", 1.01), ("patients.csv", "wilson_low", 1.000001)],
)
def test_what_another_processor_may_give_is_the_same(golden, name, column, factor):
    _, tables = golden
    row = next(row for row, value in enumerate(tables[name][column]) if value not in ("", "0"))
    assert not changed(tables, name, column, f"{factor * float(tables[name].loc[row, column]):.9g}", row)


def test_what_moves_all_cells_is_no_processor(golden):
    """A tenth of a percent, which one pixel of one cell may well be, is an error where every cell has it."""
    _, tables = golden
    cells = tables["cells.csv"]
    for rows, found in ((2, False), (40, True)):
        moved = [f"{float(v) * (1.001 if k < rows else 1):.9g}" if v else v for k, v in enumerate(cells["her2_mean"])]
        said = differences(tables, {**tables, "cells.csv": cells.assign(her2_mean=moved)})
        assert bool(said) == found


def test_a_lost_cell_and_another_column_are_named(golden):
    _, tables = golden
    short = {**tables, "cells.csv": tables["cells.csv"].drop(index=0)}
    assert differences(tables, short) == [
        f"cells.csv: {len(tables['cells.csv']) - 1} rows, not {len(tables['cells.csv'])}; only in one: "
        f"{tables['cells.csv'].loc[0, 'image']} {tables['cells.csv'].loc[0, 'object_id']}"
    ]
    other = {**tables, "patients.csv": tables["patients.csv"].assign(more="")}
    assert differences(tables, other) == ["patients.csv: the columns are more"]


def test_numbers_and_version_change_together():
    assert not verdict("4", "4", [])
    assert "ALGORITHM is still 4" in verdict("4", "4", ["cells.csv, P1: ..."])
    assert "those of 4" in verdict("4", "5", [])
    assert "python tests/golden_results.py" in verdict("4", "5", ["cells.csv, P1: ..."])


def test_they_are_small():
    assert sum(path.stat().st_size for path in GOLDEN.iterdir()) < 200_000
