"""A run, for real: the folder it leaves, what a second run repeats, and what must not change a number."""

from __future__ import annotations

import json
import os
import shutil

import pandas as pd
import pytest
import tifffile
from distributed import LocalCluster

import cher2
from cher2.batch import run
from cher2.batch.plan import make_plan
from cher2.batch.run import run_study
from cher2.errors import StudyError
from cher2.protocol import Protocol
from cher2.report.derive import derive
from cher2.study.folder import Study


def stamps(study, file):
    """Return inode and time of change of one file of every image."""
    found = {path.parent.name: path.stat() for path in study.glob(f"images/*/{file}")}
    assert found
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in found.items()}


def cells_of(study):
    return pd.read_csv(study / "cells.csv", dtype=str, keep_default_na=False)


def patients_of(study):
    return pd.read_csv(study / "patients.csv", dtype=str, keep_default_na=False).set_index("patient_id")


def test_a_second_run_measures_and_grades_nothing_again(study_copy, results_of):
    before, objects = results_of(study_copy), stamps(study_copy, "objects.parquet")
    calls = []
    run_study(study_copy.parent / "images", study_copy, workers=1, progress=calls.append)
    assert stamps(study_copy, "objects.parquet") == objects
    assert results_of(study_copy) == before
    assert [(state.done, state.total) for state in calls] == [(8, 8)]


def test_force_does_everything_anew_and_finds_the_same(study_copy, results_of):
    before, objects = results_of(study_copy), stamps(study_copy, "objects.parquet")
    run_study(study_copy.parent / "images", study_copy, workers=1, force=True)
    after = stamps(study_copy, "objects.parquet")
    assert all(after[name] != objects[name] for name in objects)
    assert results_of(study_copy) == before


def test_a_new_cut_off_grades_again_but_measures_nothing(study_copy, tmp_path):
    before, labels = cells_of(study_copy), stamps(study_copy, "labels.tif")
    (tmp_path / "p.toml").write_text("[grade]\ncutoffs = [30, 110, 200]\n", encoding="utf-8")
    run_study(tmp_path / "images", study_copy, protocol=tmp_path / "p.toml", workers=1)
    assert stamps(study_copy, "labels.tif") == labels
    after = cells_of(study_copy)
    assert after.drop(columns=["grade_auto", "grade", "p0", "p1", "p2", "p3"]).equals(
        before.drop(columns=["grade_auto", "grade", "p0", "p1", "p2", "p3"])
    )
    intensity = after["her2_intensity"].astype(float)
    moved = (intensity >= 200) & (intensity < 340)
    assert moved.any()
    assert (after.loc[moved, "grade"] == "3").all()
    assert (before.loc[moved, "grade"] == "2").all()
    assert (after.loc[~moved, "grade"] == before.loc[~moved, "grade"]).all()
    assert Study(study_copy).protocol.grade.cutoffs == (30, 110, 200)


def test_the_next_run_keeps_the_studys_own_protocol(study_copy, tmp_path):
    (tmp_path / "p.toml").write_text("[patient]\nmin_ctcs = 3\n", encoding="utf-8")
    run_study(tmp_path / "images", study_copy, protocol=tmp_path / "p.toml", workers=1)
    assert patients_of(study_copy)["group"]["P07"] == "high"
    run_study(tmp_path / "images", study_copy, workers=1)
    assert patients_of(study_copy)["group"]["P07"] == "high"


def test_a_changed_image_is_measured_again_and_no_other(study_copy):
    objects = stamps(study_copy, "objects.parquet")
    images = study_copy.parent / "images"
    shutil.copyfile(images / "P03" / "frame_01.ome.tif", images / "P04" / "frame_01.ome.tif")
    run_study(images, study_copy, workers=1)
    after = stamps(study_copy, "objects.parquet")
    assert [name for name in objects if after[name] != objects[name]] == ["P04__frame_01.ome.tif"]
    patients = patients_of(study_copy)
    assert patients["n_ctcs"]["P04"] == patients["n_ctcs"]["P03"]


def test_a_copy_with_other_times_but_the_same_bytes_is_not_measured_again(study_copy):
    objects = stamps(study_copy, "objects.parquet")
    for path in (study_copy.parent / "images").rglob("*.tif"):
        path.touch()
    run_study(study_copy.parent / "images", study_copy, workers=1)
    assert stamps(study_copy, "objects.parquet") == objects


def test_an_image_that_can_no_longer_be_read_is_no_longer_counted(study_copy):
    path = study_copy.parent / "images" / "P03" / "frame_01.ome.tif"
    path.write_bytes(path.read_bytes()[:5000])
    result = run_study(study_copy.parent / "images", study_copy, workers=1)
    assert result.failed["image"].tolist() == ["P03/frame_01.ome.tif"]
    assert "P03" not in set(cells_of(study_copy)["patient_id"])
    patient = patients_of(study_copy).loc["P03"]
    assert (patient["n_images"], patient["n_ctcs"], patient["group"]) == ("0", "0", "excluded")
    assert not (study_copy / "images" / "P03__frame_01.ome.tif").exists()


def test_a_further_image_joins_the_study(images, synthetic, tmp_path):
    run_study(images, tmp_path / "study", workers=1)
    objects = stamps(tmp_path / "study", "objects.parquet")
    shutil.copytree(synthetic / "images" / "P04", images / "P04")
    run_study(images, tmp_path / "study", workers=1)
    after = stamps(tmp_path / "study", "objects.parquet")
    assert len(after) == 4
    assert {name: after[name] for name in objects} == objects


def test_another_patient_in_the_sheet_changes_tables_but_no_measurement(images, tmp_path):
    run_study(images, tmp_path / "study", workers=1)
    labels = stamps(tmp_path / "study", "labels.tif")
    sheet = tmp_path / "samples.csv"
    rows = "".join(f"images/{p}/frame_01.ome.tif,X{p}\n" for p in ("P02", "P03", "P08"))
    sheet.write_text(f"image,patient_id\n{rows}", encoding="utf-8")
    run_study(images, tmp_path / "study", samples=sheet, workers=1)
    assert stamps(tmp_path / "study", "labels.tif") == labels
    assert patients_of(tmp_path / "study").index.tolist() == ["XP02", "XP03", "XP08"]
    assert set(cells_of(tmp_path / "study")["patient_id"]) == {"XP02", "XP03", "XP08"}


class Interrupted(KeyboardInterrupt):
    """What Ctrl-C does, at a place that the test chooses."""


@pytest.mark.parametrize("after", [0, 1, 4, 7])
def test_a_run_that_is_broken_off_leaves_whole_images_and_goes_on(scored, tmp_path, results_of, after):
    def stop(state):
        if state.done == after:
            raise Interrupted

    home = tmp_path / "study"
    with pytest.raises(Interrupted):
        run_study(scored.images, home, clinical=scored.clinical, workers=1, progress=stop)
    for folder in home.glob("images/*"):
        assert sorted(path.name for path in folder.iterdir()) == [
            "labels.tif",
            "measured.parquet",
            "objects.parquet",
            "score.json",
        ]
    assert len(list(home.glob("images/*")) + list(home.glob(".measured/*"))) == after
    plan = make_plan(scored.images, Study(home), protocol=None, samples=None, force=False)
    assert len(plan.measured) == after
    run_study(scored.images, home, clinical=scored.clinical, workers=1)
    assert results_of(home) == results_of(scored.path)
    assert not (home / ".measured").exists()


@pytest.mark.parametrize("graded", [0, 1, 5])
def test_grades_of_two_protocols_are_never_summed_up(study_copy, tmp_path, monkeypatch, results_of, graded):
    (tmp_path / "p.toml").write_text("[grade]\ncutoffs = [30, 110, 200]\n", encoding="utf-8")
    run_study(tmp_path / "images", tmp_path / "other", protocol=tmp_path / "p.toml", workers=1)
    before = results_of(study_copy)
    grade, done = run.grade_frames, []

    def stop(*arguments):
        if len(done) == graded:
            raise Interrupted
        done.append(arguments)
        return grade(*arguments)

    monkeypatch.setattr(run, "grade_frames", stop)
    with pytest.raises(Interrupted):
        run_study(tmp_path / "images", study_copy, protocol=tmp_path / "p.toml", workers=1)
    monkeypatch.undo()
    after = results_of(study_copy)
    changed = {name for name in before if name.endswith(".parquet") and after[name] != before[name]}
    assert (len(changed) > 0) == (graded > 0)
    with pytest.raises(StudyError, match="a run of it is still going on, or was broken off") as caught:
        derive(Study(study_copy))
    assert "goes on where it stopped" in caught.value.remedy
    # No table of the old grades stands beside images of the new ones.
    assert not {"cells.csv", "patients.csv", "comparison.csv", "report.html"} & set(results_of(study_copy))
    # Neither does the next run need to be told the protocol again.
    run_study(tmp_path / "images", study_copy, workers=1)
    mended, other = results_of(study_copy), results_of(tmp_path / "other")
    assert {name: mended[name] for name in other} == other
    derive(Study(study_copy))


def test_a_run_that_changed_nothing_leaves_a_study_that_can_be_reported(study_copy, tmp_path):
    (tmp_path / "p.toml").write_text('[channels]\nher2 = "PE"\n', encoding="utf-8")
    with pytest.raises(StudyError, match="not one of the 8 images"):
        run_study(tmp_path / "images", study_copy, protocol=tmp_path / "p.toml", workers=1)
    derive(Study(study_copy))


def test_grading_that_fails_half_way_is_noticed(study_copy, tmp_path):
    blocked = study_copy / "images" / "P05__frame_01.ome.tif"
    (tmp_path / "p.toml").write_text("[grade]\ncutoffs = [30, 110, 200]\n", encoding="utf-8")
    (blocked / "measured.parquet").write_bytes(b"damaged")
    with pytest.raises(StudyError, match="could not be graded"):
        run_study(tmp_path / "images", study_copy, protocol=tmp_path / "p.toml", workers=1)
    # Some samples have the new grades, and the protocol is the old one again.
    assert Study(study_copy).protocol == Protocol()
    with pytest.raises(StudyError, match="broken off"):
        derive(Study(study_copy))


def test_the_order_of_the_sheet_changes_no_result(synthetic, tmp_path, results_of):
    # Four patients of two frames each. That workers change nothing, test_interruptions.py holds.
    shutil.copytree(synthetic / "images", tmp_path / "images")
    rows = [f"images/P{k:02}/frame_01.ome.tif,Q{k // 2}" for k in range(1, 9)]
    for home, order in (("one", rows), ("other", rows[::-1])):
        sheet = tmp_path / "samples.csv"
        sheet.write_text("\n".join(["image,patient_id", *order]), encoding="utf-8")
        run_study(tmp_path / "images", tmp_path / home, samples=sheet, workers=1)
    one, other = results_of(tmp_path / "one"), results_of(tmp_path / "other")
    for name in one:
        if name in ("samples.csv", "cells.csv"):
            assert sorted(one[name].splitlines()) == sorted(other[name].splitlines())
        elif not name.endswith("score.json"):
            assert one[name] == other[name], name


def test_draws_with_the_same_name_under_two_patients_are_two_samples(images, tmp_path):
    sheet = tmp_path / "samples.csv"
    rows = "".join(f"images/{p}/frame_01.ome.tif,{p},1\n" for p in ("P02", "P03", "P08"))
    sheet.write_text(f"image,patient_id,sample_id\n{rows}", encoding="utf-8")
    run_study(images, tmp_path / "draws", samples=sheet, workers=1)
    run_study(images, tmp_path / "plain", workers=1)
    cells, plain = cells_of(tmp_path / "draws"), cells_of(tmp_path / "plain")
    assert set(cells["sample_id"]) == {"1"}
    assert cells.drop(columns="sample_id").equals(plain.drop(columns="sample_id"))
    assert patients_of(tmp_path / "draws").equals(patients_of(tmp_path / "plain"))


def test_the_first_draw_or_all_pooled(images, tmp_path):
    sheet = tmp_path / "samples.csv"
    text = "image,patient_id,sample_id,drawn_on\nimages/P02/frame_01.ome.tif,A,late,2021-03-01\n"
    text += "images/P03/frame_01.ome.tif,A,early,2021-02-01\nimages/P08/frame_01.ome.tif,B,only,\n"
    sheet.write_text(text, encoding="utf-8")
    run_study(images, tmp_path / "study", samples=sheet, workers=1)
    single = patients_of(tmp_path / "study")
    cells = cells_of(tmp_path / "study")
    per_draw = cells["sample_id"].value_counts()
    assert int(single["n_ctcs"]["A"]) == per_draw["early"] != per_draw["late"]
    assert single["n_images"]["A"] == "1"
    assert "first of 2 draws (2021-02-01)" in single["reason"]["A"]
    (tmp_path / "p.toml").write_text('[patient]\ndraws = "pool"\n', encoding="utf-8")
    run_study(images, tmp_path / "study", samples=sheet, protocol=tmp_path / "p.toml", workers=1)
    pooled = patients_of(tmp_path / "study")
    assert int(pooled["n_ctcs"]["A"]) == per_draw["early"] + per_draw["late"]
    assert pooled["n_images"]["A"] == "2"
    assert pooled["n_ctcs"]["B"] == single["n_ctcs"]["B"] == str(per_draw["only"])


def test_a_sample_without_leukocytes_for_its_unit_is_not_graded_and_says_so(images, tmp_path):
    (tmp_path / "p.toml").write_text(
        '[grade]\nunit = "leukocyte_ratio"\ncutoffs = [2, 5, 15]\n[identify]\ncd45_max = 1e6\n', encoding="utf-8"
    )
    run_study(images, tmp_path / "study", protocol=tmp_path / "p.toml", workers=1)
    cells = cells_of(tmp_path / "study")
    assert len(cells) > 10
    assert (cells[["grade", "grade_auto", "her2_intensity", "p0", "p3"]] == "").all(axis=None)
    assert set(cells["not_graded"]) == {"0 leukocytes in the sample, but the unit leukocyte_ratio needs 20"}
    patients = patients_of(tmp_path / "study")
    assert (patients["n_ctcs"].astype(int) > 0).all()
    assert set(patients["group"]) <= {"undefined", "excluded"}
    assert patients["reason"].str.contains("graded").all()


def test_a_folder_named_from_where_one_stands(images, tmp_path, monkeypatch, results_of):
    run_study(images, tmp_path / "study", workers=1)
    monkeypatch.chdir(images / "P02")
    run_study("..", "../../other", workers=1)
    assert results_of(tmp_path / "other") == results_of(tmp_path / "study")


def test_a_cluster_that_is_there_is_used(images, tmp_path, results_of):
    run_study(images, tmp_path / "study", workers=1)
    cluster = LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, protocol="tcp", dashboard_address="127.0.0.1:0"
    )
    with cluster:
        run_study(images, tmp_path / "other", scheduler=cluster.scheduler_address)
    assert results_of(tmp_path / "other") == results_of(tmp_path / "study")


def test_a_cluster_that_goes_leaves_what_is_done(images, tmp_path):
    cluster = LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address="127.0.0.1:0"
    )

    def close(state):
        if state.done == 1:
            cluster.close()

    with cluster, pytest.raises(StudyError, match="the Dask scheduler has gone"):
        run_study(images, tmp_path / "study", scheduler=cluster.scheduler_address, progress=close)
    plan = make_plan(images, Study(tmp_path / "study"), protocol=None, samples=None, force=False)
    assert len(plan.measured) >= 1


ODD = ["007", "7", "NA", "=1+1", "ä/ö", "with space", "nan", "None"]


def test_patients_keep_their_names_through_every_table(scored, tmp_path):
    shutil.copytree(scored.images, tmp_path / "images")
    rows = "".join(f"images/P{k:02}/frame_01.ome.tif,{name}\n" for k, name in enumerate(ODD, 1))
    (tmp_path / "s.csv").write_text(f"image,patient_id\n{rows}", encoding="utf-8")
    sites = scored.clinical.read_text(encoding="utf-8").splitlines()
    table = "".join(f"{name},{line.split(',', 1)[1]}\n" for name, line in zip(ODD, sites[1:], strict=True))
    (tmp_path / "c.csv").write_text(f"{sites[0]}\n{table}", encoding="utf-8")
    home = tmp_path / "study"
    result = run_study(tmp_path / "images", home, samples=tmp_path / "s.csv", clinical=tmp_path / "c.csv", workers=1)
    assert set(patients_of(home).index) == set(ODD)
    assert set(cells_of(home)["patient_id"]) == set(ODD)
    for name in ("samples.csv", "clinical.csv"):
        assert set(pd.read_csv(home / name, dtype=str, keep_default_na=False)["patient_id"]) == set(ODD)
    expected = pd.read_csv(scored.path / "comparison.csv")
    assert pd.read_csv(home / "comparison.csv").equals(expected)
    assert result.derived.comparison is not None


def test_names_of_files_may_hold_anything_but_what_text_cannot(images, tmp_path):
    odd = ["a b#1.tif", 'ä\nö, "x".tif', "P__x.tif", "a;b=1+1.tif", "#2.tif"]
    source = images / "P02" / "frame_01.ome.tif"
    for name in odd:
        shutil.copyfile(source, images / "P02" / name)
    source.unlink()
    run_study(images, tmp_path / "study", workers=1)
    run_study(images, tmp_path / "study", workers=1)
    listed = pd.read_csv(tmp_path / "study" / "samples.csv", dtype=str)["image"]
    assert set(listed[listed.str.startswith("P02/")]) == {f"P02/{name}" for name in odd}
    assert patients_of(tmp_path / "study")["n_images"]["P02"] == "5"


def test_labels_are_those_of_the_table(scored):
    for folder in scored.path.glob("images/*"):
        labels = tifffile.imread(folder / "labels.tif")
        objects = pd.read_parquet(folder / "objects.parquet")
        assert sorted(set(labels.ravel().tolist()) - {0}) == sorted(objects["object_id"])
        score = json.loads((folder / "score.json").read_text(encoding="utf-8"))
        assert score["n_objects"] == len(objects)
        assert score["n_ctcs"] == (objects["kind"] == "ctc").sum()


def test_a_study_is_scored_as_one_image_is(scored):
    image = cher2.read_image(scored.images / "P03" / "frame_01.ome.tif")
    alone = cher2.score_image(image).objects.drop(columns=["patient_id", "sample_id", "image"])
    stored = pd.read_parquet(scored.path / "images" / "P03__frame_01.ome.tif" / "objects.parquet")
    pd.testing.assert_frame_equal(stored.drop(columns=["patient_id", "sample_id", "image"]), alone)


def test_a_run_that_comes_to_nothing_leaves_an_old_study_as_it_was(study_copy, tmp_path, files_of):
    (tmp_path / "p.toml").write_text('[channels]\nher2 = "PE"\n', encoding="utf-8")
    before = files_of(study_copy)
    for force in (False, True):
        with pytest.raises(StudyError, match='no channel "PE" for the role her2'):
            run_study(tmp_path / "images", study_copy, protocol=tmp_path / "p.toml", workers=1, force=force)
        after = files_of(study_copy)
        assert {name: data for name, data in after.items() if not name.startswith(".measured")} == before


def test_a_run_that_comes_to_nothing_leaves_no_folder(images, tmp_path):
    (tmp_path / "p.toml").write_text('[channels]\nher2 = "PE"\n', encoding="utf-8")
    with pytest.raises(StudyError, match="not one of the 3 images"):
        run_study(images, tmp_path / "new" / "study", protocol=tmp_path / "p.toml", workers=1)
    assert not (tmp_path / "new").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(StudyError, match="not one of the 3 images"):
        run_study(images, tmp_path / "empty", protocol=tmp_path / "p.toml", workers=1)
    assert list((tmp_path / "empty").iterdir()) == []


def test_force_replaces_another_study(study_copy, tmp_path, synthetic):
    shutil.rmtree(tmp_path / "images" / "P01")
    with pytest.raises(StudyError, match="another study"):
        run_study(tmp_path / "images", study_copy, workers=1)
    run_study(tmp_path / "images", study_copy, workers=1, force=True)
    assert sorted(path.name for path in study_copy.glob("images/*")) == [
        f"P{k:02}__frame_01.ome.tif" for k in range(2, 9)
    ]
    assert "P01" not in patients_of(study_copy).index


def test_a_plan_that_no_longer_holds_is_not_carried_out(study_copy, tmp_path, results_of):
    # Two runs look at the study at once; the other one, with other cut-offs, is done before this one begins.
    study = Study(study_copy)
    plan = make_plan(tmp_path / "images", study, protocol=None, samples=None, force=False)
    (tmp_path / "p.toml").write_text("[grade]\ncutoffs = [30, 110, 200]\n", encoding="utf-8")
    run_study(tmp_path / "images", study_copy, protocol=tmp_path / "p.toml", workers=1)
    after = results_of(study_copy)
    with pytest.raises(StudyError, match="another program has written to the study") as caught:
        run.carry_out(plan, study, workers=1)
    assert "looks anew" in caught.value.remedy
    assert results_of(study_copy) == after


def test_a_study_that_another_holds_is_left_alone(study_copy, tmp_path, refused):
    with Study(study_copy).lock.held("compare"):
        words = ("run", tmp_path / "images", "-o", study_copy, "--workers", "1", "--force")
        for command in (words, ("report", study_copy)):
            refused(*command, says=["is being written by 'cher2 compare' on the computer", "process"])


def test_a_run_that_was_broken_off_at_its_very_beginning_goes_on(images, tmp_path):
    (tmp_path / "study" / ".measured").mkdir(parents=True)
    (tmp_path / "study" / ".samples.csv.partial-1").touch()
    assert len(run_study(images, tmp_path / "study", workers=1).derived.patients) == 3


def test_images_of_the_same_size_and_time_but_other_bytes_are_measured_again(study_copy, tmp_path):
    # As of an archive unpacked over them, or of a clock that was set back. The two files have the same size.
    one, other = (tmp_path / "images" / name / "frame_01.ome.tif" for name in ("P03", "P08"))
    size = max(path.stat().st_size for path in (one, other))
    for path in (one, other):
        path.write_bytes(path.read_bytes().ljust(size, b"\0"))
    run_study(tmp_path / "images", study_copy, workers=1)
    before, stat = cells_of(study_copy), one.stat()
    one.write_bytes(other.read_bytes())
    os.utime(one, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (one.stat().st_size, one.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    run_study(tmp_path / "images", study_copy, workers=1)
    after = cells_of(study_copy)
    count = after["patient_id"].value_counts()
    assert count["P03"] == count["P08"] == before["patient_id"].value_counts()["P08"]
