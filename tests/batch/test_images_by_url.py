"""A run on images in a store, a real S3 server: the numbers of the local run, and what is kept of the URL."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest
from upath import UPath

from cher2.batch.plan import make_plan
from cher2.batch.run import carry_out, run_study
from cher2.errors import SampleSheetError
from cher2.images.files import find_image_files
from cher2.images.places import in_store, place
from cher2.protocol import Protocol
from cher2.report.cell_pictures import StudyFrames
from cher2.study.calibrated import run_again
from cher2.study.folder import Study
from cher2.study.samples import assign_samples


@pytest.fixture
def url(bucket, images):
    """Return the URL of the images of three patients."""
    in_store(bucket)[0].put(str(images), f"{bucket.drive}/images", recursive=True)
    return f"s3://{bucket.drive}/images"


def test_two_workers_on_a_store_give_what_one_gives_on_a_disk(s3, url, images, tmp_path, results_of):
    run_study(images, tmp_path / "local", workers=1)
    s3.requests.clear()
    # With options of its own, as in a notebook: they reach the workers with the tasks, and nothing else.
    options = {"key": "test", "secret": "s3cret", "endpoint_url": s3.url}
    run_study(UPath(url, **options), tmp_path / "study", workers=2)
    # Digests of bytes are part of the results, so that a study may be reviewed beside a copy of its images.
    assert results_of(tmp_path / "study") == results_of(tmp_path / "local")
    # Each image comes over the network once.
    assert [request.method for request in s3.requests if request.path.endswith(".tif")] == ["GET"] * 3
    record = json.loads((tmp_path / "study" / "provenance.json").read_text())
    assert record["images"] == url
    for path in (tmp_path / "study").rglob("*"):
        assert not path.is_file() or (b"s3cret" not in path.read_bytes() and b"127.0.0.1" not in path.read_bytes())

    # A second run looks at the listing only.
    s3.requests.clear()
    run_study(url, tmp_path / "study", workers=1)
    assert not any(request.path.endswith(".tif") for request in s3.requests)
    assert len(s3.requests) <= 2

    # The frames are found again: by the URL, and in a copy on a disk.
    study = Study(tmp_path / "study")
    image = study.samples["image"].iloc[0]
    for frames in (StudyFrames(study), StudyFrames(study, images)):
        assert frames.frame(image).name == image
    assert run_again(study, tmp_path / "p.toml").startswith(f"cher2 run {url} -o ")


def test_an_image_that_goes_from_the_store_is_named_and_the_others_are_done(bucket, url, tmp_path):
    study = Study(tmp_path / "study")
    plan = make_plan(place(url), study, protocol=None, samples=None, force=False)
    gone = next(name for name in plan.files if name.startswith("P03/"))
    in_store(bucket)[0].rm(f"{bucket.drive}/images/{gone}")
    result = carry_out(plan, study, workers=1)
    (row,) = result.failed.itertuples()
    assert (row.image, row.error) == (gone, "ImageError")
    assert row.message.startswith(f"{url}/{gone}: there is nothing at this URL")
    assert set(pd.read_csv(study.path / "patients.csv")["patient_id"]) == {"P02", "P03", "P08"}


def test_a_sheet_on_the_disk_names_images_by_url_or_below_the_folder(url, tmp_path):
    files = find_image_files(url, Protocol())
    names = [file.name for file in files]
    sheet = tmp_path / "samples.csv"
    rows = [f"{url}/{names[0]},a", *(f"{name},b" for name in names[1:])]
    sheet.write_text("\n".join(["image,patient_id", *rows]) + "\n", encoding="utf-8")
    table = assign_samples(files, place(url), sheet)
    assert table["image"].tolist() == names
    assert table["patient_id"].tolist() == ["a", "b", "b"]
    sheet.write_text("image,patient_id\nno.tif,a\n", encoding="utf-8")
    with pytest.raises(SampleSheetError, match=rf"relative to the folder of the images, or as its URL; .* in {url}"):
        assign_samples(files, place(url), sheet)


def test_images_of_one_patient_are_called_as_the_folder_is(url, bucket):
    below = place(url) / "P02"
    assert set(assign_samples(find_image_files(below, Protocol()), below)["patient_id"]) == {"P02"}
    in_store(bucket)[0].pipe_file(f"{bucket.drive}/flat.tif", b"x")
    in_store(bucket)[0].rm(f"{bucket.drive}/images", recursive=True)
    assert set(assign_samples(find_image_files(bucket, Protocol()), bucket)["patient_id"]) == {bucket.drive}


@pytest.mark.parametrize("words", [("run", "{images}", "-o", "s3://b/study"), ("report", "s3://b/study")])
def test_a_study_cannot_be_a_url(words, refused, images):
    words = [word.format(images=images) for word in words]
    refused(*words, says=["a study cannot be a URL", "aws s3 sync", "docs/cloud.md"])
    assert not (images.parent / "s3:").exists()


def test_what_was_scored_from_a_disk_is_not_scored_again_from_a_store(study_copy, bucket, s3):
    images = study_copy.parent / "images"
    in_store(bucket)[0].put(str(images), f"{bucket.drive}/images", recursive=True)
    shutil.rmtree(images)
    plan = make_plan(place(f"s3://{bucket.drive}/images"), Study(study_copy), protocol=None, samples=None, force=False)
    assert set(plan.measured) == set(plan.files)
