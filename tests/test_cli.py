"""The command line from end to end: the study folder of the contract, tables that agree, exit codes 0, 1 and 2."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy import stats

import cher2
from cher2.protocol import Protocol

# The contract (section 4 of the plan), letter by letter.
OBJECTS = [
    *("patient_id", "sample_id", "image", "object_id", "y_px", "x_px", "area_um2", "diameter_um"),
    *("eccentricity", "solidity", "dapi_mean", "ck_mean", "cd45_mean", "her2_mean", "her2_background", "her2_se"),
    *("nucleus_overlap", "saturated_fraction", "touches_border", "duplicate_of", "kind", "her2_intensity"),
    *("grade_auto", "p0", "p1", "p2", "p3"),
]
CELLS = [*OBJECTS, "kind_final", "grade", "reader", "reviewed_at"]
PATIENTS = [
    *("patient_id", "n_images", "n_ctcs", "n_grade_0", "n_grade_1", "n_grade_2", "n_grade_3", "n_her2_positive"),
    *("cher2_ratio", "ratio_low", "ratio_high", "p_high", "group", "reason"),
]
COMPARISON = [
    *("variable", "level", "high_n", "high_total", "low_n", "low_total"),
    *("odds_ratio", "ci_low", "ci_high", "p_value", "p_adjusted", "test"),
]
ERRORS = ["image", "error", "message"]
SITES = ["liver", "lung", "cns", "bone", "lymph_nodes", "skin_soft_tissue", "serosa"]


def table(path):
    return pd.read_csv(path, dtype=str, keep_default_na=False)


@pytest.fixture
def cells(scored):
    return table(scored.path / "cells.csv")


@pytest.fixture
def patients(scored):
    return table(scored.path / "patients.csv")


def test_the_run_ends_well_and_says_what_it_found(scored):
    assert scored.ran.code == 0, scored.ran
    assert "8 images of 8 patients; 0 are measured already." in scored.ran.out
    assert "HER2 in counts, cut-offs 30, 110, 340" in scored.ran.out
    assert "cHER2 high (2 patients) against cHER2 low (4 patients)" in scored.ran.out
    assert "not calibrated for this microscope" in scored.ran.out
    assert len(scored.ran.err.splitlines()) == 8
    assert "Traceback" not in scored.ran.err


def test_the_study_folder_has_exactly_the_contracts_files(scored):
    assert sorted(path.name for path in scored.path.iterdir()) == sorted(
        [
            *("protocol.toml", "samples.csv", "clinical.csv", "provenance.json", "study_id", "images"),
            *("cells.csv", "patients.csv", "errors.csv", "comparison.csv", "survival.csv", "report.html"),
            *("quality.csv", "trail"),
        ]
    )
    folders = sorted((scored.path / "images").iterdir())
    assert [folder.name for folder in folders] == [f"P{k:02}__frame_01.ome.tif" for k in range(1, 9)]
    for folder in folders:
        names = sorted(path.name for path in folder.iterdir())
        assert names == ["labels.tif", "measured.parquet", "objects.parquet", "score.json"]


def test_tables_begin_with_the_contracts_columns_in_order(scored):
    for path in scored.path.glob("images/*/objects.parquet"):
        assert list(pd.read_parquet(path))[: len(OBJECTS)] == OBJECTS
    for name, columns in [("cells", CELLS), ("patients", PATIENTS), ("comparison", COMPARISON), ("errors", ERRORS)]:
        assert list(table(scored.path / f"{name}.csv"))[: len(columns)] == columns, name
    assert list(table(scored.path / "samples.csv"))[:3] == ["image", "patient_id", "sample_id"]


def test_cells_are_the_ctcs_of_the_tables_of_objects(scored, cells):
    paths = sorted(scored.path.glob("images/*/objects.parquet"))
    objects = pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)
    ctcs = objects[objects["kind"] == "ctc"].reset_index(drop=True)
    assert len(ctcs) == len(cells) > 40
    for name in OBJECTS:
        if pd.api.types.is_float_dtype(ctcs[name]):
            # CSV has six significant digits.
            np.testing.assert_allclose(pd.to_numeric(cells[name]), ctcs[name], rtol=5e-6, atol=0)
        else:
            assert cells[name].tolist() == ctcs[name].astype(str).tolist(), name
    assert (cells["kind_final"] == cells["kind"]).all()
    assert (cells["grade"] == cells["grade_auto"]).all()
    assert (cells[["reader", "reviewed_at"]] == "").all(axis=None)


def test_grades_follow_from_the_contracts_cut_offs(cells):
    intensity = cells["her2_intensity"].astype(float).to_numpy()
    expected = (intensity[:, None] >= [30, 110, 340]).sum(axis=1)
    assert cells["grade"].astype(int).tolist() == expected.tolist()
    assert set(expected) == {0, 1, 2, 3}
    chances = cells[["p0", "p1", "p2", "p3"]].astype(float)
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-5)


def test_labels_are_the_objects(scored, cells):
    for folder in (scored.path / "images").iterdir():
        labels = tifffile.imread(folder / "labels.tif")
        objects = pd.read_parquet(folder / "objects.parquet").set_index("object_id")
        assert labels.shape == (240, 320)
        numbers, areas = np.unique(labels[labels > 0], return_counts=True)
        assert numbers.tolist() == objects.index.tolist()
        np.testing.assert_allclose(areas * 0.64**2, objects["area_um2"])
    row = cells.iloc[0]
    labels = tifffile.imread(scored.path / "images" / row["image"].replace("/", "__") / "labels.tif")
    rows, columns = np.nonzero(labels == int(row["object_id"]))
    assert float(row["y_px"]) == pytest.approx(rows.mean(), rel=1e-5)
    assert float(row["x_px"]) == pytest.approx(columns.mean(), rel=1e-5)


def p_high_by_drawing_grades(cells):
    """Return the mean posterior over 20,000 drawings of all the cells' grades."""
    upto = np.cumsum(cells[["p0", "p1", "p2", "p3"]].to_numpy(float), axis=1)
    drawn = (np.random.default_rng(4).random((20_000, len(cells), 1)) > upto[:, :3]).sum(axis=2)
    strong, positive = (drawn >= 2).sum(axis=1), (drawn >= 1).sum(axis=1)
    return stats.beta.sf(0.75, strong + 0.5, positive - strong + 0.5).mean()


def test_patients_are_counted_again_in_whole_numbers(cells, patients):
    assert patients["patient_id"].tolist() == [f"P{k:02}" for k in range(1, 9)]
    for patient in patients.to_dict("records"):
        grades = cells.loc[(cells["patient_id"] == patient["patient_id"]) & (cells["duplicate_of"] == ""), "grade"]
        counts = [int((grades == str(grade)).sum()) for grade in range(4)]
        positive, strong = sum(counts[1:]), counts[2] + counts[3]
        assert [int(patient[f"n_grade_{grade}"]) for grade in range(4)] == counts
        assert int(patient["n_ctcs"]) == len(grades) == sum(counts)
        assert int(patient["n_her2_positive"]) == positive
        assert patient["n_images"] == "1"
        if positive == 0:
            group = "undefined"
            assert patient["cher2_ratio"] == ""
        else:
            group = "high" if 4 * strong > 3 * positive else "low"
            assert float(patient["cher2_ratio"]) == pytest.approx(float(Fraction(strong, positive)), rel=1e-5)
            posterior = stats.beta(strong + 0.5, positive - strong + 0.5)
            assert float(patient["p_high_counts"]) == pytest.approx(posterior.sf(0.75), rel=1e-5)
            own = cells[(cells["patient_id"] == patient["patient_id"]) & (cells["duplicate_of"] == "")]
            assert float(patient["p_high"]) == pytest.approx(p_high_by_drawing_grades(own), abs=0.02)
            assert float(patient["ratio_low"]) <= strong / positive <= float(patient["ratio_high"])
        assert patient["group"] == ("excluded" if sum(counts) < 5 else group)
        assert patient["reason"]
    assert set(patients["group"]) == {"high", "low", "excluded", "undefined"}


def test_the_comparison_is_counted_again_and_agrees_with_scipy(scored, patients):
    shown = table(scored.path / "comparison.csv").set_index("variable")
    asked = shown[shown["family"] == "pre-specified"]
    assert asked.index.tolist() == [*SITES, "oligometastatic"]
    rest = shown[shown["family"] == "exploratory"]
    assert rest.index.unique().tolist() == ["n_sites", "subtype"]
    group = patients.set_index("patient_id")["group"]
    clinical = table(scored.clinical).set_index("patient_id")
    assert table(scored.path / "clinical.csv").equals(table(scored.clinical))
    for site in SITES:
        values = {which: clinical.loc[group.index[group == which], site] for which in ("high", "low")}
        counts = [
            int(n) for which in ("high", "low") for n in ((values[which] == "1").sum(), (values[which] != "").sum())
        ]
        row = shown.loc[site]
        assert [int(row[name]) for name in ("high_n", "high_total", "low_n", "low_total")] == counts
        if row["p_value"]:
            high, high_of, low, low_of = counts
            expected = stats.fisher_exact([[high, high_of - high], [low, low_of - low]])
            assert float(row["p_value"]) == pytest.approx(expected.pvalue, rel=1e-5)
        else:
            assert row["test"].startswith("not estimable: ")


def test_the_comparison_is_that_of_compare_cohorts(scored, patients):
    again = cher2.compare_cohorts(patients, table(scored.clinical), Protocol()).table
    stored = pd.read_csv(scored.path / "comparison.csv")
    pd.testing.assert_frame_equal(stored, again, check_dtype=False, rtol=1e-5)


def test_the_protocol_in_force_is_stored_with_where_the_numbers_come_from(scored):
    assert Protocol.load(scored.path / "protocol.toml") == Protocol()
    record = json.loads((scored.path / "provenance.json").read_text(encoding="utf-8"))
    assert record["software"]["cher2"] == cher2.__version__
    assert record["command"][:2] == ["cher2", "run"]
    assert (record["n_files"], record["n_frames"], record["n_failed"]) == (8, 8, 0)
    assert str(scored.path.parent) not in json.dumps(record)
    # The report finds the images again by this path.
    assert (scored.path / record["images"]).resolve() == scored.images.resolve()


def test_the_computers_name_is_kept_only_where_it_is_asked_for(scored, images, command, tmp_path, synthetic):
    assert "host" not in json.loads((scored.path / "provenance.json").read_text(encoding="utf-8"))["machine"]
    words = ["run", images, "-o", tmp_path / "study", "--workers", 1, "--name-host"]
    assert command(*words).code == 0
    record = json.loads((tmp_path / "study" / "provenance.json").read_text(encoding="utf-8"))
    assert record["machine"]["host"] == socket.gethostname()
    assert set(record["inputs"]) == {"images"}
    assert command(*words[:-1], "--clinical", synthetic / "clinical.csv").code == 0
    record = json.loads((tmp_path / "study" / "provenance.json").read_text(encoding="utf-8"))
    assert "host" not in record["machine"]
    assert set(record["inputs"]) == {"clinical_table", "images"}
    assert [run["command"][-1] for run in record["runs"]] == ["--name-host", "clinical.csv"]


def test_the_truth_is_nearly_found(scored, synthetic, cells):
    truth = table(synthetic / "truth_patients.csv").set_index("patient_id")
    found = cells.groupby("patient_id").size()
    # How well cells are found is measured in benchmarks/; here the right cells must reach the right patients.
    assert (found - truth["n_ctcs"].astype(int)).abs().sum() <= 0.1 * found.sum()
    assert found.corr(truth["n_ctcs"].astype(int)) > 0.9


# --- The command itself ------------------------------------------------------------------------------------


def test_dry_run_says_what_would_be_done_and_writes_nothing(command, images, synthetic, tmp_path, files_of):
    before = files_of(tmp_path)
    words = ["run", images, "-o", tmp_path / "study", "--clinical", synthetic / "clinical.csv", "--dry-run"]
    ran = command(*words)
    assert ran.code == 0
    assert "3 images of 3 patients; 0 are measured already." in ran.out
    assert "Dry run: nothing was written." in ran.out
    assert files_of(tmp_path) == before


def test_dry_run_of_a_finished_study(command, study_copy, tmp_path, files_of):
    before = files_of(tmp_path)
    ran = command("run", tmp_path / "images", "-o", study_copy, "--dry-run")
    assert "8 images of 8 patients; 8 are measured already." in ran.out
    assert "the protocol that the study was made with" in ran.out
    assert files_of(tmp_path) == before


def test_running_again_through_the_command_repeats_nothing(command, study_copy, tmp_path):
    objects = {path: path.stat().st_mtime_ns for path in study_copy.glob("images/*/*")}
    ran = command("run", tmp_path / "images", "-o", study_copy, "--workers", 1)
    assert ran.code == 0
    assert ran.err == ""
    assert {path: path.stat().st_mtime_ns for path in study_copy.glob("images/*/*")} == objects
    # The clinical table of the first run is still compared.
    assert "cHER2 high (2 patients)" in ran.out


def test_compare_and_report_derive_the_same_tables_again(command, study_copy, scored):
    kept = {name: (study_copy / name).read_bytes() for name in ("cells.csv", "patients.csv", "comparison.csv")}
    for name in (*kept, "report.html"):
        (study_copy / name).unlink()
    ran = command("compare", study_copy, "--clinical", scored.clinical)
    assert ran.code == 0
    assert "Liver" in ran.out
    assert {name: (study_copy / name).read_bytes() for name in kept} == kept
    assert command("report", study_copy).code == 0
    assert {name: (study_copy / name).read_bytes() for name in kept} == kept
    assert "P08" in (study_copy / "report.html").read_text(encoding="utf-8")


def test_compare_prints_every_further_column_with_its_kind_and_what_is_left_out(command, study_copy, scored, tmp_path):
    clinical = table(scored.clinical)
    ages = ["48", "", "61", "72", "55", "66", "39", "58"]
    clinical = clinical.assign(age=ages, stage=["I", "II", "I", "II", "III", "I", "II", ""], dose=["1", "n/a"] * 4)
    clinical.to_csv(tmp_path / "c.csv", index=False)
    settings = '[[cohort.variables]]\ncolumn = "stage"\nkind = "ordinal"\nlevels = ["I", "II", "III"]\n'
    (study_copy / "protocol.toml").write_text(settings, encoding="utf-8")
    ran = command("compare", study_copy, "--clinical", tmp_path / "c.csv")
    assert ran.code == 0, ran
    assert "age, median (quartiles)" in ran.out
    assert "stage, median (quartiles)" in ran.out
    assert "stage ordinal of 3 levels (declared)" in ran.out
    assert "the column dose left out: it mixes numbers with text such as 'n/a'" in ran.out
    assert "outcomes, which are not compared as properties of the patients: os_months" in ran.out
    stored = table(study_copy / "comparison.csv").set_index("variable")
    assert stored.loc["age", "kind"] == "continuous"
    assert stored.loc["stage", "level"].tolist()[0] == "median (quartiles)"
    assert "dose" not in stored.index
    assert "age, median (quartiles)" in (study_copy / "report.html").read_text(encoding="utf-8")


def test_a_column_that_is_not_what_the_protocol_says_is_refused(command, study_copy, scored, tmp_path):
    before = {path.name: path.read_bytes() for path in study_copy.glob("*.*") if path.name != "protocol.toml"}
    table(scored.clinical).assign(stage="IX").to_csv(tmp_path / "c.csv", index=False)
    settings = '[[cohort.variables]]\ncolumn = "stage"\nkind = "ordinal"\nlevels = ["I", "II"]\n'
    (study_copy / "protocol.toml").write_text(settings, encoding="utf-8")
    ran = command("compare", study_copy, "--clinical", tmp_path / "c.csv")
    assert ran.code == 2
    assert f"{tmp_path / 'c.csv'}, patient P01, column stage, row 1: 'IX' is no value" in ran.err
    assert {path.name: path.read_bytes() for path in study_copy.glob("*.*") if path.name != "protocol.toml"} == before


def test_simulate_and_run_as_the_first_minute_shows_it(command, tmp_path):
    words = ["--patients", 2, "--frames", 1, "--leukocytes", 10, "--height", 200, "--width", 240, "--seed", 3]
    assert command("simulate", tmp_path / "out", *words, "--scenario", "sample").code == 0
    ran = command("run", tmp_path / "out" / "images", "-o", tmp_path / "study", "--workers", 1)
    assert ran.code == 0
    assert "2 images of 2 patients" in ran.out


@pytest.mark.parametrize(
    "words", [[], ["run"], ["run", "images"], ["nonsense"], ["run", "i", "-o", "s", "--workers", "0"]]
)
def test_bad_use_is_exit_2_and_shows_the_way(command, words):
    ran = command(*words)
    assert ran.code == 2
    assert "Traceback" not in ran.err
    assert "Usage" in ran.err + ran.out


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["run", "--help"], ["--version"]])
def test_help_and_version(command, words):
    ran = command(*words)
    assert ran.code == 0
    assert ran.err == ""
    assert (cher2.__version__ if words == ["--version"] else "Usage") in ran.out


def test_the_error_line_is_red_on_a_terminal(command, monkeypatch, tmp_path):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    ran = command("run", tmp_path / "none", "-o", tmp_path / "study")
    assert ran.code == 2
    assert "\x1b[1;31mError: " in ran.err


def test_a_terminal_shows_a_bar_and_each_failure_once(command, monkeypatch, images, tmp_path):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    (images / "P08" / "frame_01.ome.tif").write_bytes(b"no image")
    ran = command("run", images, "-o", tmp_path / "study", "--workers", 1)
    assert ran.code == 1
    assert "3/3" in ran.err
    assert "CTCs" in ran.err
    assert ran.err.count("it is no TIFF, PNG or JPEG") == 1


def test_an_error_is_one_line_however_long_and_is_not_read_as_markup(command, tmp_path):
    name = "[bold]x" * 30
    ran = command("run", tmp_path / name, "-o", tmp_path / "study")
    assert ran.err.count("\n") == 1
    assert name in ran.err


def test_a_pipe_in_any_locale_gets_its_text(scored, tmp_path):
    # A name that ASCII cannot print must not end a run, wherever the output goes.
    shutil.copytree(scored.images / "P03", tmp_path / "images" / "Pä μ")
    code = "import sys; from cher2.cli import main; sys.exit(main())"
    words = [sys.executable, "-c", code, "run", tmp_path / "images", "-o", tmp_path / "study", "--workers", "1"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(words, capture_output=True, env=environment, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert b"P\\xe4 \\u03bc" in done.stdout
    assert table(tmp_path / "study" / "patients.csv")["patient_id"].tolist() == ["Pä μ"]


def test_compare_splits_by_any_index_and_threshold_and_writes_nothing(command, study_copy, scored):
    before = {path: path.read_bytes() for path in study_copy.iterdir() if path.is_file()}
    ran = command("compare", study_copy, "--clinical", scored.clinical, "--index", "h_score", "--threshold", "150")
    assert ran.code == 0
    assert ran.out.startswith("H-score (at least 150) high (")
    assert "Oligometastatic" in ran.out
    assert {path: path.read_bytes() for path in study_copy.iterdir() if path.is_file()} == before
    ran = command("compare", study_copy, "--clinical", scored.clinical, "--index", "her3")
    assert ran.code == 2
    assert "there is no index 'her3'. The indices are cher2_ratio, her2_positive_share" in ran.err
