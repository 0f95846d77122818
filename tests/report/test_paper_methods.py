import re

import pytest

from cher2.protocol import Protocol
from cher2.report.paper_methods import methods_text


def _text(rules=None, **options):
    protocol = Protocol.from_dict(rules or {})
    return methods_text(protocol, {"cher2": "1.2.3", "numpy": "2.0"}, **options)


def _words(text):
    return " ".join(words for _, words, _ in text.paragraphs)


def test_what_the_protocol_decides_stands_in_the_text():
    words = _words(_text({"grade": {"cutoffs": [11, 22, 33]}, "patient": {"min_ctcs": 7, "ratio_threshold": 0.6}}))
    assert "0 below 11, 1+ from 11, 2+ from 22, 3+ from 33" in words
    assert "fewer than 7 CTCs" in words
    assert "strictly above 0.6" in words
    assert "cher2 1.2.3 (numpy 2.0)" in words


def test_only_automatic_gates_are_called_so():
    words = _words(_text({"identify": {"ck_min": 50}}))
    assert "The gates of DAPI, CD45 were found" in words
    fixed = {"identify": {"ck_min": 50, "dapi_min": 50, "cd45_max": 50}}
    assert "were found in each sample" not in _words(_text(fixed))


@pytest.mark.parametrize("unit", ["counts", "leukocyte_ratio", "leukocyte_sd"])
def test_the_unit_is_named(unit):
    words = _words(_text({"grade": {"unit": unit, "cutoffs": [1, 2, 3]}}))
    named = {"counts": "camera counts", "leukocyte_ratio": "median HER2", "leukocyte_sd": "1.4826 MAD"}
    assert named[unit] in words


def test_references_are_numbered_as_they_are_named_and_all_are_named():
    text = _text(survival=True)
    named = [int(number) for number in re.findall(r"\[(\d+)\]", _words(text))]
    assert list(dict.fromkeys(named)) == list(range(1, len(text.references) + 1))
    assert "REMARK" in text.references[-2]
    assert "STROBE" in text.references[-1]


def test_what_was_not_done_is_not_told():
    words = _words(_text(compared=False))
    assert "Fisher" not in words
    assert "Kaplan" not in _words(_text())
    assert "Kaplan" in _words(_text(survival=True))


@pytest.mark.parametrize(
    ("correction", "said"), [("holm", "Holm"), ("fdr_bh", "Benjamini"), ("none", "p-values were not adjusted")]
)
def test_the_correction_is_that_of_the_protocol(correction, said):
    assert said in _words(_text({"cohort": {"correction": correction}}))


def test_a_review_is_told_as_it_was():
    assert "2 readers judged 5 cells." in _words(_text(review="2 readers judged 5 cells"))
    assert "No grade was changed by a reader." in _words(_text())


def test_as_text_it_has_headings_items_and_a_list():
    text = str(_text())
    assert text.startswith("Assay. ")
    assert "(REMARK 5, 11; STROBE 7, 11)" in text
    assert "\n\nReferences\n1. Allard" in text
