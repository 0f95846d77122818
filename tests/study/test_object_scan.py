"""Tables of objects in batches: the same rows as read one by one, whatever the files are like."""

from __future__ import annotations

import pandas as pd
import pytest

from cher2.errors import StudyError
from cher2.study import object_scan
from cher2.study.folder import OBJECTS, Study
from cher2.study.object_scan import scan_objects

NARROW = ["patient_id", "image", "duplicate_of", "kind", "grade_auto", "p0", "not_graded"]


@pytest.fixture
def study(study_copy):
    return Study(study_copy)


def joined(batches):
    return pd.concat(list(batches), ignore_index=True)


def as_text(table):
    return table.astype({name: object for name in table if isinstance(table[name].dtype, pd.CategoricalDtype)})


@pytest.mark.parametrize("kinds", [None, ["ctc"], ["leukocyte", "other"]])
@pytest.mark.parametrize("rows", [3, 65_536])
@pytest.mark.parametrize("together", [1, 3, 64])
def test_the_rows_are_those_of_the_tables_one_by_one(study, monkeypatch, kinds, rows, together):
    monkeypatch.setattr(object_scan, "_ROWS_AT_ONCE", rows)
    monkeypatch.setattr(object_scan, "_TOGETHER", together)
    images = study.samples["image"]
    plain = study.read_objects(images, kinds)
    pd.testing.assert_frame_equal(joined(scan_objects(study, images, kinds)), plain)
    found = joined(map(as_text, scan_objects(study, images, kinds, NARROW, categories=True)))
    pd.testing.assert_frame_equal(found, plain[NARROW], check_dtype=False)


def test_a_text_that_only_some_rows_share_is_not_taken_from_the_statistics(study):
    images = study.samples["image"].tolist()
    path = study.folder_of(images[1]) / OBJECTS
    objects = pd.read_parquet(path)
    objects.loc[objects.index[::2], "duplicate_of"] = f"{images[0]} 1"
    objects.loc[objects.index[0], "not_graded"] = None
    objects.to_parquet(path, index=False)
    found = joined(map(as_text, scan_objects(study, images, None, NARROW, categories=True)))
    plain = study.read_objects(images)[NARROW]
    assert plain["not_graded"].isna().sum() == found["not_graded"].isna().sum() == 1
    assert plain["duplicate_of"].nunique() == 2
    texts = ["duplicate_of", "not_graded"]
    plain, found = (table.assign(**table[texts].fillna("none")) for table in (plain, found))
    pd.testing.assert_frame_equal(found, plain, check_dtype=False)


def test_images_come_in_the_order_asked_for_and_those_without_such_an_object_not_at_all(study):
    images = study.samples["image"].tolist()[::-1]
    path = study.folder_of(images[2]) / OBJECTS
    objects = pd.read_parquet(path)
    objects[objects["kind"] != "ctc"].to_parquet(path, index=False)
    objects.iloc[:0].to_parquet(study.folder_of(images[4]) / OBJECTS, index=False)
    found = joined(scan_objects(study, images, ["ctc"]))
    there = [image for image in images if (study.objects_of(image)["kind"] == "ctc").any()]
    assert list(dict.fromkeys(found["image"])) == there
    assert images[2] not in there
    assert list(scan_objects(study, [], ["ctc"])) == []
    assert list(scan_objects(study, [images[4]])) == []


def test_a_table_that_is_damaged_gone_or_lacks_a_column_is_named(study):
    images = study.samples["image"].tolist()
    path = study.folder_of(images[3]) / OBJECTS
    pd.read_parquet(path).drop(columns="p0").to_parquet(path, index=False)
    with pytest.raises(StudyError, match="has no column p0") as caught:
        list(scan_objects(study, images, None, NARROW))
    assert caught.value.where == str(path)
    for spoil in (lambda: path.write_bytes(b"no table"), path.unlink):
        spoil()
        with pytest.raises(StudyError, match="the table of objects cannot be read") as caught:
            list(scan_objects(study, images, ["ctc"]))
        assert caught.value.where == str(path)
