"""Dates and volumes of the sample sheet: refused before anything is measured."""

import pytest

from cher2.errors import SampleSheetError
from cher2.images.files import ImageFile
from cher2.study.samples import assign_samples


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("drawn_on", "01.02.2024", "row 2 gives drawn_on '01.02.2024'.*2021-03-31"),
        ("drawn_on", "2024-02-30", "row 2 gives drawn_on"),
        ("blood_ml", "abc", "row 2 gives blood_ml 'abc'"),
        ("blood_ml", "-3", "row 2 gives blood_ml"),
        ("blood_ml", "nan", "row 2 gives blood_ml"),
    ],
)
def test_a_date_or_volume_that_is_none(tmp_path, column, value, says):
    (tmp_path / "s.csv").write_text(f"image,patient_id,{column}\na.tif,P1,{value}\n", encoding="utf-8")
    with pytest.raises(SampleSheetError, match=says):
        assign_samples([ImageFile("a.tif", (tmp_path / "a.tif",))], tmp_path, tmp_path / "s.csv")


def test_dates_and_volumes_as_they_should_be(tmp_path):
    text = "image,patient_id,drawn_on,blood_ml\na.tif,P1,2024-02-29,7.5\nb.tif,P1,,\n"
    (tmp_path / "s.csv").write_text(text, encoding="utf-8")
    files = [ImageFile(name, (tmp_path / name,)) for name in ("a.tif", "b.tif")]
    table = assign_samples(files, tmp_path, tmp_path / "s.csv")
    assert table["drawn_on"].tolist() == ["2024-02-29", ""]
    assert table["blood_ml"].tolist() == ["7.5", ""]
