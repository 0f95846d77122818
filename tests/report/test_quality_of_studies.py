"""The quality of a study's images, from the images to the tables and the page."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest

import cher2
from cher2.batch.run import run_study
from cher2.patients.quality import IMAGE_COLUMNS, StudyQuality
from cher2.protocol import Protocol, Quality
from cher2.report.derive import derive
from cher2.report.image_quality import quality_of_study
from cher2.report.page import render_page
from cher2.report.quality_figure import staining_figure
from cher2.report.sections import Sections
from cher2.simulate.ome import write_ome_tiff
from cher2.simulate.settings import StudySettings
from cher2.simulate.study import simulate_study

SETTINGS = StudySettings(
    patients=6,
    frames_per_patient=2,
    frame_shape=(240, 320),
    leukocytes_per_frame=40,
    ctcs_per_patient=8,
    specks_per_frame=5,
    debris_per_frame=1,
    compress=True,
    seed=11,
)


def blurred(pixels):
    return np.stack([cv2.GaussianBlur(plane, (0, 0), 2) for plane in pixels])


def stained_twice(pixels):
    base = np.percentile(pixels[3], 10)
    return np.stack([*pixels[:3], base + 2 * (pixels[3] - base)])


def saturated(pixels):
    return np.stack([pixels[0], 6 * (pixels[1] - 100) + 100, *pixels[2:]])


def uneven(pixels):
    return 100 + (pixels - 100) * np.linspace(2.5, 0.2, pixels.shape[2])


def empty(pixels):
    return np.random.default_rng(0).normal(140, 4, pixels.shape)


FAULTS = {
    "P01/frame_01.ome.tif": blurred,
    "P02/frame_01.ome.tif": stained_twice,
    "P02/frame_02.ome.tif": stained_twice,
    "P03/frame_02.ome.tif": saturated,
    "P04/frame_01.ome.tif": uneven,
    "P05/frame_02.ome.tif": empty,
}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """Return the folder of a study whose images have a fault each, and what a run made of it."""
    folder = tmp_path_factory.mktemp("faulty") / "synthetic"
    simulate_study(folder, SETTINGS)
    for name, fault in FAULTS.items():
        path = folder / "images" / name
        image = cher2.read_image(path)
        pixels = np.clip(np.rint(fault(image.pixels.astype(np.float32))), 0, 4095).astype(np.uint16)
        write_ome_tiff(path, pixels, image.channels, image.pixel_size_um, 12, True)
    return folder / "images", run_study(folder / "images", folder.parent / "study", workers=1)


def test_each_fault_is_told_where_it_is_and_nowhere_else(faulty):
    quality = faulty[1].derived.quality
    told = {row.image: row.flags for row in quality.images.itertuples() if row.flags}
    assert told == {
        "P01/frame_01.ome.tif": "out of focus",
        "P03/frame_02.ome.tif": told["P03/frame_02.ome.tif"],
        "P04/frame_01.ome.tif": told["P04/frame_01.ome.tif"],
        "P05/frame_02.ome.tif": "empty",
    }
    assert told["P03/frame_02.ome.tif"].startswith("saturated (CK)")
    assert told["P04/frame_01.ome.tif"].startswith("uneven background (DAPI, CK, CD45, HER2)")
    assert np.flatnonzero(quality.samples["drifts"]).tolist() == [1]
    assert quality.samples["times_study"][1] == pytest.approx(2, rel=0.2)


def test_the_tables_tell_it_and_leave_nobody_out(faulty):
    study = faulty[1].study
    patients = pd.read_csv(study.path / "patients.csv", keep_default_na=False)
    assert list(patients)[-1] == "quality"
    words = patients.set_index("patient_id")["quality"]
    assert words["P01"].startswith("out of focus (1 of 2 images)")
    assert words["P02"].startswith("HER2 staining of the leukocytes is ")
    assert words["P05"] == "empty (1 of 2 images)"
    assert words["P06"] == ""
    assert patients["n_images"].tolist() == [2] * 6
    images = pd.read_csv(study.path / "quality.csv", keep_default_na=False)
    assert list(images) == list(IMAGE_COLUMNS)
    assert images["image"].tolist() == study.samples["image"].tolist()
    assert faulty[1].derived.notes()[0].startswith("Quality: 4 of 12 images (1 out of focus, 1 saturated, ")


def test_a_changed_limit_measures_and_grades_nothing_again(faulty, tmp_path):
    study = shutil.copytree(faulty[1].study.path, tmp_path / "study")
    before = {path: path.stat().st_mtime_ns for path in study.glob("images/*/*")}
    settings = tmp_path / "loose.toml"
    settings.write_text("[quality]\nedge_um_max = 9\nleukocytes_min = 500\n", encoding="utf-8")
    again = run_study(faulty[0], study, protocol=settings, workers=1)
    assert {path: path.stat().st_mtime_ns for path in study.glob("images/*/*")} == before
    assert "out of focus" not in again.derived.quality.counts()
    assert again.derived.patients["quality"].str.contains("few leukocytes").all()


def test_a_study_of_an_earlier_version_is_read_and_its_quality_is_not_known(faulty, tmp_path):
    study = type(faulty[1].study)(shutil.copytree(faulty[1].study.path, tmp_path / "study"))
    for path in study.path.glob("images/*/score.json"):
        score = json.loads(path.read_text(encoding="utf-8"))
        old = {key: value for key, value in score.items() if key not in ("quality", "leukocytes_her2")}
        path.write_text(json.dumps(old), encoding="utf-8")
    again = derive(study)
    assert again.quality.images["not_known"].unique().tolist() == ["measured by an earlier cher2"]
    assert set(again.patients["quality"]) == {"", "empty (1 of 2 images)"}
    assert again.notes()[-1].startswith("The quality of 12 images is not known")
    assert staining_figure(again.quality, Quality()).panels == ()


def test_the_figure_names_the_sample_that_drifts(faulty):
    figure = staining_figure(faulty[1].derived.quality, Quality())
    (panel,) = figure.panels
    assert ">P02<" in panel
    assert ">P01<" not in panel
    assert [line.split(",")[1] for line in figure.numbers.splitlines()[1:]] == [f"P0{k}" for k in range(1, 7)]


def test_the_page_shows_flags_and_limits(faulty, make_content):
    quality = faulty[1].derived.quality
    text = render_page(make_content(sections=Sections(quality=quality), protocol=Protocol()))
    section = text[text.index('<section aria-labelledby="quality">') :]
    section = section[: section.index("</section>")]
    assert "Of 12 images: 1 out of focus; 1 saturated; 1 uneven background; " in section
    assert "edges wider than 2.4 µm" in section
    assert section.count("<tr>") == 1 + int((quality.samples["flags"] != "").sum())
    assert 'data-name="staining"' in section
    assert "<bdi>P06</bdi>" not in section
    assert 'id="quality"' not in render_page(make_content())


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", r"$\frac{$", "=1+1", "a\nb" * 40])
def test_hostile_names_do_no_harm(faulty, make_content, name):
    own = faulty[1].derived.quality
    samples = own.samples.assign(patient_id=name, sample_id=name, drifts=True, her2=-own.samples["her2"])
    quality = StudyQuality(own.images, samples, -own.her2, own.spread)
    text = render_page(make_content(sections=Sections(quality=quality)))
    assert "<script>alert" not in text
    # A spreadsheet must not run a name.
    assert ",=1+1," not in staining_figure(quality, Quality()).numbers


def test_without_a_flag_the_page_says_so(faulty, make_content):
    own = faulty[1].derived.quality
    quality = StudyQuality(own.images.assign(flags=""), own.samples.assign(flags=""), own.her2, own.spread)
    assert "No image and no sample is flagged." in render_page(make_content(sections=Sections(quality=quality)))


def test_copies_of_cells_in_two_images_are_counted_and_said(faulty, make_content, tmp_path, monkeypatch):
    study = type(faulty[1].study)(shutil.copytree(faulty[1].study.path, tmp_path / "study"))
    images = study.samples["image"].tolist()
    # Two images of one sample and one of another; the tables of measures are made of pieces, here of five images.
    for image, copies in ((images[2], 3), (images[3], 1), (images[10], 1)):
        path = study.folder_of(image) / "score.json"
        score = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(score | {"n_duplicates": copies}), encoding="utf-8")
    whole = quality_of_study(study, images)
    monkeypatch.setattr("cher2.report.image_quality._AT_ONCE", 5)
    quality = quality_of_study(study, images)
    pd.testing.assert_frame_equal(quality.images, whole.images)
    assert quality.images["n_duplicates"].tolist() == [0, 0, 3, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    assert quality.samples["n_duplicates"].tolist() == [0, 4, 0, 0, 0, 1]
    text = render_page(make_content(sections=Sections(quality=quality)))
    assert "5 objects are further copies of cells that lie in two overlapping images, in 2 of 6 samples" in text
    assert "further cop" not in render_page(make_content(sections=Sections(quality=faulty[1].derived.quality)))
