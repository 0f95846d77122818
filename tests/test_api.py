"""The library in a notebook: one line each, and results that print readably."""

from __future__ import annotations

import pandas as pd
import pytest

import cher2


@pytest.fixture
def image(scored):
    return cher2.read_image(scored.images / "P03" / "frame_01.ome.tif")


def test_the_package_holds_what_a_notebook_needs():
    wanted = {"read_image", "score_image", "summarise_patients", "compare_cohorts", "Protocol", "Cher2Error", "Image"}
    assert wanted <= set(dir(cher2))
    assert set(cher2.__all__) | {"__version__"} == set(dir(cher2))
    assert all(getattr(cher2, name).__doc__ for name in cher2.__all__)
    assert cher2.__version__.count(".") == 2


def test_a_misspelt_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'cher2' has no attribute 'summarize_patients'"):
        _ = cher2.summarize_patients


def test_read_an_image(image):
    assert image.pixels.shape == (4, 240, 320)
    assert image.channels == ("DAPI", "CK", "CD45", "HER2")
    assert image.pixel_size_um == pytest.approx(0.64)


def test_score_an_image(image, scored):
    result = cher2.score_image(image)
    n0, n1, n2, n3 = ((result.ctcs["grade_auto"] == grade).sum() for grade in range(4))
    assert len(result.ctcs) == n0 + n1 + n2 + n3 >= 9
    assert str(result) == (
        f"{len(result.ctcs)} CTCs ({n0} graded 0, {n1} graded 1+, {n2} graded 2+, {n3} graded 3+), "
        f"{(result.objects['kind'] == 'leukocyte').sum()} leukocytes; cHER2 ratio {(n2 + n3) / (n1 + n2 + n3):.2f}"
    )
    assert result.labels.shape == image.shape


def test_score_by_a_protocol(image, tmp_path):
    (tmp_path / "p.toml").write_text("[grade]\ncutoffs = [1e4, 2e4, 3e4]\n", encoding="utf-8")
    result = cher2.score_image(image, cher2.Protocol.load(tmp_path / "p.toml"))
    assert result.ctcs["grade_auto"].eq(0).all()
    assert "undefined (no HER2+ CTC)" in str(result)


def test_from_an_image_to_a_patient_and_a_comparison(image, scored):
    objects = cher2.score_image(image).objects.assign(patient_id="P03")
    patient = cher2.summarise_patients(objects).iloc[0]
    assert patient["group"] == "high"
    assert patient["n_ctcs"] == (objects["kind"] == "ctc").sum()
    cells = pd.read_csv(scored.path / "cells.csv", keep_default_na=False, dtype={"grade": "Int8"})
    patients = cher2.summarise_patients(cells)
    comparison = cher2.compare_cohorts(patients, pd.read_csv(scored.clinical))
    assert "cHER2 high (2 patients) against cHER2 low (4 patients)" in str(comparison)
    assert "Liver" in str(comparison)
    assert "<table" in comparison._repr_html_()


def test_what_goes_wrong_is_one_error_of_the_package(tmp_path):
    with pytest.raises(cher2.Cher2Error, match="No such file"):
        cher2.read_image(tmp_path / "none.tif")
    with pytest.raises(cher2.Cher2Error, match="No such file"):
        cher2.Protocol.load(tmp_path / "none.toml")
