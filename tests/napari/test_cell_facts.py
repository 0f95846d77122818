from dataclasses import replace

import pytest

from cher2.cells.objects import GRADES
from cher2.napari.cell_facts import (
    HIDDEN,
    CellFacts,
    ink_on,
    intensity_words,
    luminance,
    numbers_html,
    source_words,
    state_html,
)
from cher2.palette import GRADE_COLOURS

FACTS = CellFacts(
    patient_id="P7", sample_id="P7-b", image="P7/frame_3.tif", object_id=12, her2_intensity=312.4, her2_se=14.2,
    cutoffs=(30.0, 110.0, 340.0), diameter_um=12.44, ck_mean=512.0, cd45_mean=-3.2, dapi_mean=845.0, cohort="low",
    probabilities=(0.0, 0.01, 0.97, 0.02), grade_auto=2, grade_final=3, reader="AB",
)  # fmt: skip
NAN = float("nan")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "HER2 312 ± 14 counts"),
        ({"her2_se": 0.91}, "HER2 312.4 ± 0.9 counts"),
        ({"her2_intensity": -4.26, "her2_se": 0.123}, "HER2 −4.26 ± 0.12 counts"),
        ({"her2_intensity": 2.5, "her2_se": 0.04, "unit": "leukocyte_ratio"}, "HER2 2.50 ± 0.04 × leukocytes"),
        ({"her2_se": NAN}, "HER2 312.40 counts"),
        ({"her2_intensity": NAN, "not_graded": "HER2 saturated"}, "HER2 not measured: HER2 saturated"),
        ({"her2_intensity": NAN}, "HER2 not measured"),
    ],
)
def test_the_intensity_in_words(changes, words):
    assert intensity_words(replace(FACTS, **changes)) == words


def test_numbers_and_those_that_are_missing():
    html = numbers_html(replace(FACTS, dapi_mean=NAN, diameter_um=NAN))
    assert [part.split("</b>")[0] for part in html.split("<b>")[1:]] == ["–", "512", "−3", "–"]


def test_where_the_cell_is_from():
    assert source_words(FACTS) == ("Patient P7 (low) · sample P7-b", "Cell 12 of P7/frame_3.tif")
    assert source_words(replace(FACTS, sample_id="P7", cohort=""))[0] == "Patient P7"


def test_who_decided_what():
    final, automatic = state_html(FACTS)
    assert "3+" in final
    assert "by AB" in final
    assert "2+" in automatic
    final, _ = state_html(replace(FACTS, reader="", grade_final=2))
    assert "2+" in final
    assert final.endswith("not read yet")
    assert "no CTC" in state_html(replace(FACTS, kind_final="other", grade_final=None))[0]
    assert "without a grade" in state_html(replace(FACTS, grade_auto=None))[1]
    assert "<script" not in state_html(replace(FACTS, reader="<script>"))[0]


def test_a_blinded_reader_learns_nothing_but_the_own_decision():
    blind = replace(FACTS, blind=True)
    told = " ".join([*source_words(blind), *state_html(blind)])
    assert not [word for word in ("P7", "frame_3", "low", "2+") if word in told]
    assert told.count(HIDDEN) == 3
    assert "3+" in told
    unread = " ".join(state_html(replace(blind, reader="", grade_final=2)))
    assert "2+" not in unread
    assert "not read yet" in unread


def test_the_ink_on_a_grade_can_be_read():
    # W3C, Understanding WCAG 2.2, 1.4.3: #777777 on white has 4.48:1
    assert 1.05 / (luminance("#777777") + 0.05) == pytest.approx(4.48, abs=0.005)
    assert (luminance("#000000"), luminance("#ffffff")) == (0, pytest.approx(1))
    for grade in GRADES:
        first, second = (luminance(colour) + 0.05 for colour in (GRADE_COLOURS[grade], ink_on(GRADE_COLOURS[grade])))
        assert max(first, second) / min(first, second) >= 4.5
