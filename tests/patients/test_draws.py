"""Several blood draws of a patient: which are counted."""

import pandas as pd
import pytest

from cher2.errors import SampleSheetError
from cher2.patients.summary import summarise_patients
from cher2.protocol import Protocol

POOL = Protocol.model_validate({"patient": {"draws": "pool"}})


@pytest.fixture
def cells():
    """Draw A: five CTCs of 3+. Draw B: five of 1+. The rows of B come first."""
    draws = {"B": 1, "A": 3}
    return pd.concat(
        pd.DataFrame(
            {
                "patient_id": ["P1"] * 5,
                "sample_id": name,
                "image": f"{name}.tif",
                "kind": "ctc",
                "grade_auto": grade,
            }
        )
        for name, grade in draws.items()
    )


def sheet(dates, **columns):
    names = list(dates)
    table = {
        "patient_id": "P1",
        "sample_id": names,
        "image": [f"{n}.tif" for n in names],
        "drawn_on": dates.values(),
    }
    return pd.DataFrame(table | columns)


def only(table):
    assert len(table) == 1
    return table.iloc[0]


@pytest.mark.parametrize(
    ("dates", "group", "note"),
    [
        ({"A": "2021-03-01", "B": "2021-04-01"}, "high", "first of 2 draws (2021-03-01)"),
        ({"A": "2021-05-01", "B": "2021-04-01"}, "low", "first of 2 draws (2021-04-01)"),
        ({"A": "", "B": ""}, "high", "first of 2 draws (by the sheet's order)"),
        ({"B": None, "A": None}, "low", "first of 2 draws (by the sheet's order)"),
        (
            {"A": "2021-03-01", "B": "2021-03-01"},
            "high",
            "first of 2 draws (2021-03-01, by the order in the sheet)",
        ),
        ({"A": "2021-03-01T14:00", "B": "2021-03-01T09:00"}, "low", "first of 2 draws (2021-03-01)"),
    ],
)
def test_the_first_draw(cells, dates, group, note):
    patient = only(summarise_patients(cells, images=sheet(dates)))
    assert (patient["group"], patient["n_ctcs"], patient["n_images"]) == (group, 5, 1)
    assert patient["reason"].endswith(f"; {note}")


def test_without_a_sheet_the_first_draw_is_that_of_the_first_row(cells):
    patient = only(summarise_patients(cells))
    assert patient["group"] == "low"
    assert patient["reason"].endswith("first of 2 draws (by the sheet's order)")


def test_pooled(cells):
    patient = only(summarise_patients(cells, POOL, sheet({"A": "2021-03-01", "B": ""})))
    assert (patient["n_ctcs"], patient["n_images"], patient["cher2_ratio"]) == (10, 2, 0.5)
    assert patient["reason"] == "5 of 10 HER2+ CTCs are 2+ or 3+: ratio 0.50 is not above 0.75; 2 draws pooled"


def test_a_first_draw_without_any_object_is_still_the_first(cells):
    images = sheet({"A": "2021-03-01", "B": "2021-04-01"})
    patient = only(summarise_patients(cells[cells["sample_id"] == "B"], images=images))
    assert patient["reason"] == ("0 CTCs, fewer than the minimum of 5; no ratio; first of 2 draws (2021-03-01)")


def test_a_first_draw_that_could_not_be_read_is_not_replaced(cells):
    images = sheet({"A": "2021-03-01", "B": "2021-04-01"}, image=["", "B.tif"])
    patient = only(summarise_patients(cells[cells["sample_id"] == "B"], images=images))
    assert (patient["group"], patient["n_images"]) == ("excluded", 0)
    assert patient["reason"] == "no image of the patient's first of 2 draws (2021-03-01) could be read"


@pytest.mark.parametrize(
    ("dates", "message"),
    [
        ({"A": "2021-03-01", "B": ""}, "patient P1: 1 of the patient's 2 draws have a date"),
        ({"A": "2021-03-01", "B": "1.4.2021"}, "patient P1: drawn_on is '1.4.2021', which is no date"),
        ({"A": "2021-03-01", "B": "2021-04-01T09:00+02:00"}, "which is no date"),
    ],
)
def test_a_first_draw_that_cannot_be_told(cells, dates, message):
    with pytest.raises(SampleSheetError, match=message):
        summarise_patients(cells, images=sheet(dates))


def test_one_draw_with_two_dates(cells):
    """A sheet without sample_id makes one draw of all of a patient's images: two dates give it away."""
    images = sheet({"A": "2021-03-01", "B": "2021-04-01"}).drop(columns="sample_id")
    with pytest.raises(SampleSheetError, match="patient P1: one draw has two dates"):
        summarise_patients(cells.drop(columns="sample_id"), images=images)


def test_cells_without_sample_id_where_the_images_have_several_draws(cells):
    with pytest.raises(SampleSheetError, match="patient P1 has several draws, but the table has no column"):
        summarise_patients(cells.drop(columns="sample_id"), images=sheet({"A": "", "B": ""}))


@pytest.mark.parametrize("without", ["cells", "images"])
def test_one_table_alone_names_the_only_draw(cells, without):
    one, images = cells[cells["sample_id"] == "A"], sheet({"A": ""})
    if without == "cells":
        one = one.drop(columns="sample_id")
    else:
        images = images.drop(columns="sample_id")
    assert only(summarise_patients(one, images=images))["reason"] == (
        "5 of 5 HER2+ CTCs are 2+ or 3+: ratio 1.00 is above 0.75"
    )


def test_the_same_sample_name_of_two_patients_is_two_draws(cells):
    two = pd.concat([cells[cells["sample_id"] == "A"].assign(patient_id=name) for name in ("P1", "P2")])
    assert summarise_patients(two)["n_ctcs"].tolist() == [5, 5]
    assert "draw" not in " ".join(summarise_patients(two)["reason"])


def test_cells_of_an_unknown_draw_or_patient(cells):
    with pytest.raises(SampleSheetError, match="cells, row 1: patient P1 has cells of a draw that is not in"):
        summarise_patients(cells, images=sheet({"A": ""}))
    with pytest.raises(SampleSheetError, match="cells, row 1: patient P1 is not in the list of images"):
        summarise_patients(cells, images=sheet({"A": ""}, patient_id="P9"))
