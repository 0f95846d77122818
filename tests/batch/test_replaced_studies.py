"""What replaces a study, or compares it with another table, leaves nothing of the old one standing."""

import pandas as pd
import pytest

import cher2
from cher2.protocol import Protocol


def test_a_forced_run_of_other_images_drops_the_old_protocol_and_clinical_table(command, study_copy):
    images = study_copy.parent / "images"
    (images / "P02").rename(images / "P99")
    (study_copy / "protocol.toml").write_text("[grade]\ncutoffs = [1, 2, 3]\n", encoding="utf-8")
    ran = command("run", images, "-o", study_copy, "--workers", 1, "--force")
    assert ran.code == 0, ran
    assert "the default protocol" in ran.out
    assert Protocol.load(study_copy / "protocol.toml") == Protocol()
    assert not (study_copy / "clinical.csv").exists()
    assert not (study_copy / "comparison.csv").exists()
    names = set(pd.read_csv(study_copy / "patients.csv")["patient_id"])
    assert "P99" in names
    assert "P02" not in names


def test_a_forced_run_of_the_same_images_keeps_protocol_and_clinical_table(command, study_copy, scored):
    (study_copy / "protocol.toml").write_text("[grade]\ncutoffs = [1, 2, 3]\n", encoding="utf-8")
    ran = command("run", scored.images, "-o", study_copy, "--workers", 1, "--force")
    assert ran.code == 0, ran
    assert Protocol.load(study_copy / "protocol.toml").grade.cutoffs == (1, 2, 3)
    assert (study_copy / "comparison.csv").is_file()


@pytest.mark.parametrize("rows", ["Q01,1\nQ02,0\n", ""])
def test_a_comparison_that_cannot_be_made_changes_nothing(refused, study_copy, tmp_path, rows):
    (tmp_path / "c.csv").write_text("patient_id,liver\n" + rows, encoding="utf-8")
    refused("compare", study_copy, "--clinical", tmp_path / "c.csv")


def test_a_new_comparison_renews_the_report(command, study_copy, tmp_path):
    before = (study_copy / "report.html").read_text(encoding="utf-8")
    ids = cher2.summarise_patients(pd.read_csv(study_copy / "cells.csv", dtype={"patient_id": str}))["patient_id"]
    text = "patient_id,liver\n" + "".join(f"{name},1\n" for name in ids)
    (tmp_path / "c.csv").write_text(text, encoding="utf-8")
    ran = command("compare", study_copy, "--clinical", tmp_path / "c.csv")
    assert ran.code == 0, ran
    assert "not estimable: everybody has it" in ran.out
    after = (study_copy / "report.html").read_text(encoding="utf-8")
    assert after != before
    assert "everybody has it" in after
