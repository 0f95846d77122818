"""A study as AnnData, read back by anndata itself."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from cher2.protocol import Protocol
from cher2.review.ledger import Ledger
from cher2.study.folder import Study

anndata = pytest.importorskip("anndata")


@pytest.fixture
def study(study_copy):
    return Study(study_copy)


def test_anndata_reads_objects_places_readers_grades_and_where_they_come_from(study, judge, command, refused, tmp_path):
    cells = Ledger(study).cells
    row = int(np.flatnonzero(cells["grade_auto"] == 3)[0])
    judge(study, [row], [1], "=Ada")
    path = tmp_path / "new" / "study.h5ad"
    ran = command("export", study.path, "--as", "anndata", "-o", path)
    assert (ran.code, ran.err) == (0, "")
    data = anndata.read_h5ad(path)
    objects = study.read_objects(study.samples["image"])
    assert data.shape == (len(objects), 4)
    assert data.var_names.tolist() == ["DAPI", "CK", "CD45", "HER2"]
    np.testing.assert_array_equal(data.X, objects[["dapi_mean", "ck_mean", "cd45_mean", "her2_mean"]])
    np.testing.assert_array_equal(data.obsm["spatial"], objects[["x_px", "y_px"]])
    assert data.obs_names.is_unique
    key = f"{cells['image'].iloc[row]} {cells['object_id'].iloc[row]}"
    judged = data.obs.loc[key]
    assert (judged["grade"], judged["grade_auto"], judged["reader"]) == (1, 3, "=Ada")
    assert data.obs["patient_id"].astype(str).tolist() == objects["patient_id"].tolist()
    np.testing.assert_array_equal(data.obs["her2_intensity"], objects["her2_intensity"])
    assert data.obs.loc[data.obs["kind_final"] != "ctc", "grade"].isna().all()
    assert Protocol.from_toml(data.uns["protocol_toml"]) == study.protocol
    assert json.loads(data.uns["provenance_json"])["n_frames"] == 8
    assert [name.name for name in path.parent.iterdir()] == ["study.h5ad"]
    refused("export", study.path, "--as", "anndata", "-o", path, says=["there already", "--force"])
    assert command("export", study.path, "--as", "anndata", "-o", path, "--force").code == 0


def test_a_study_without_objects_is_a_file_without_rows(study, command, tmp_path):
    for image in study.samples["image"]:
        path = study.folder_of(image) / "objects.parquet"
        pd.read_parquet(path).iloc[:0].to_parquet(path, index=False)
    assert command("export", study.path, "--as", "anndata", "-o", tmp_path / "s.h5ad").code == 0
    data = anndata.read_h5ad(tmp_path / "s.h5ad")
    assert data.shape == (0, 4)
    assert "grade" in data.obs


def test_a_place_that_cannot_be_written_is_told(study, command, tmp_path):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    ran = command("export", study.path, "--as", "anndata", "-o", tmp_path / "file" / "s.h5ad")
    assert ran.code == 2
    assert "cannot be made" in ran.err
