"""Links, pipes and odd names in an image folder of a run: the others are scored, and each is named with its patient."""

from __future__ import annotations

import os
import shutil

import pandas as pd
import pytest

from cher2.batch.plan import make_plan
from cher2.batch.run import run_study
from cher2.errors import StudyError
from cher2.images.folder_links import LEADS_NOWHERE, LEADS_OUT
from cher2.study.folder import Study

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no pipes, and links only by permission")

FRAME = "frame_01.ome.tif"


def table(study, name, key):
    return pd.read_csv(study / f"{name}.csv", dtype=str, keep_default_na=False).set_index(key)


def test_what_is_not_opened_is_named_and_its_patient_told(images, tmp_path):
    outside = tmp_path / "outside"
    shutil.copytree(images / "P02", outside)
    (images / "P02" / "linked.tif").symlink_to(outside / FRAME)
    (images / "P08" / "gone.tif").symlink_to("nowhere.tif")
    (images / "P50").symlink_to(outside)
    (images / "round").symlink_to(images / "P03")
    os.mkfifo(images / "P03" / "pipe.tif")
    os.mkfifo(images / "P03" / "export.xml")
    result = run_study(images, tmp_path / "study", workers=1)
    failed = result.failed.set_index("image")
    assert set(failed["error"]) == {"ImageError"}
    says = {
        "P02/linked.tif": LEADS_OUT,
        "P08/gone.tif": LEADS_NOWHERE,
        "P50/*": LEADS_OUT,
        "P03/pipe.tif": "named pipe",
    }
    assert set(failed.index) == set(says)
    assert all(says[image] in failed.loc[image, "message"] for image in says)
    patients = table(tmp_path / "study", "patients", "patient_id")
    assert patients.loc["P50", "reason"] == "no image of the patient could be read"
    assert patients.loc["P50", "group"] not in ("low", "high")
    for patient in ("P02", "P03", "P08"):
        assert "1 image could not be read" in patients.loc[patient, "reason"]
        assert patients.loc[patient, "n_images"] == "1"


def test_an_image_that_became_a_pipe_no_longer_counts_and_stops_nobody(images, tmp_path):
    run_study(images, tmp_path / "study", workers=1)
    (images / "P02" / FRAME).unlink()
    os.mkfifo(images / "P02" / FRAME)
    result = run_study(images, tmp_path / "study", workers=1)
    assert result.failed["image"].tolist() == [f"P02/{FRAME}"]
    patients = table(tmp_path / "study", "patients", "patient_id")
    assert patients.loc["P02", "reason"] == "no image of the patient could be read"
    assert "P02" not in set(table(tmp_path / "study", "cells", "patient_id").index)


def test_names_that_differ_in_case_alone_need_a_disk_that_keeps_them_apart(images, tmp_path):
    (images / "P02" / FRAME.upper()).write_bytes((images / "P02" / FRAME).read_bytes())
    plan = make_plan(images, Study(tmp_path / "study"), protocol=None, samples=None, force=False)
    assert len(plan.files) == 4
    # As such a disk looks: one folder answers to both names.
    (tmp_path / "disk").mkdir()
    (tmp_path / "DISK").symlink_to(tmp_path / "disk")
    with pytest.raises(StudyError, match="2 images differ from others in case alone"):
        make_plan(images, Study(tmp_path / "disk"), protocol=None, samples=None, force=False)


def test_the_protocols_limit_of_pixels_holds_in_a_run(images, tmp_path):
    small = tmp_path / "small.toml"
    shape = 4 * 240 * 320
    small.write_text(f"[image]\nmax_pixels = {shape - 1}\n")
    with pytest.raises(StudyError, match=rf"{shape} pixels in all channels, where up to {shape - 1} are read"):
        run_study(images, tmp_path / "study", workers=1, protocol=small)
