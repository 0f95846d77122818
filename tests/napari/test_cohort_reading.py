"""What the cohort widget reads and computes, without a window; the study's own tables say what must come out."""

from __future__ import annotations

from fractions import Fraction

import pandas as pd
import pytest

from cher2.errors import Cher2Error, ClinicalTableError, StudyError
from cher2.napari.cohort_reading import NO_TABLE, CohortChoice, read_cohorts, use_clinical
from cher2.report.derive import compare_by_index, read_clinical
from cher2.study.folder import Study


def outcome(work):
    """Return what a generator returns, and the words on the way."""
    words = []
    while True:
        try:
            words.append(next(work))
        except StopIteration as end:
            return end.value, words


def test_the_cohorts_are_those_of_the_studys_own_tables_and_nothing_is_written(scored, files_of):
    before = files_of(scored.path)
    view, words = outcome(read_cohorts(CohortChoice(scored.path)))
    assert files_of(scored.path) == before
    assert len(words) == 3
    stored = pd.read_csv(scored.path / "patients.csv", dtype={"patient_id": str})
    assert view.patients["group"].tolist() == stored["group"].tolist()
    assert set(stored["group"]) == {"high", "low", "excluded", "undefined"}
    written = pd.read_csv(scored.path / "comparison.csv", keep_default_na=False, dtype=str)
    assert view.comparison.table["high_n"].astype(str).tolist() == written["high_n"].tolist()
    assert view.comparison.table["low_summary"].tolist() == written["low_summary"].tolist()
    assert view.own_clinical
    assert view.read.synthetic
    assert view.patients["has_clinical"].all()
    assert view.forest.figure is not None
    assert view.sites.figure is not None
    assert [drawing.figure is not None for drawing in view.curves] == [True, True]


def test_another_split_is_that_of_the_command_and_needs_no_second_reading(scored):
    first, _ = outcome(read_cohorts(CohortChoice(scored.path, scored.clinical)))
    choice = CohortChoice(scored.path, scored.clinical, index="her2_positive_share", threshold="1/2")
    view, words = outcome(read_cohorts(choice, first.read))
    assert view.read is first.read
    assert len(words) == 2
    study = Study(scored.path)
    clinical = read_clinical(scored.clinical, study.protocol)
    assert str(view.comparison) == str(compare_by_index(study, clinical, "her2_positive_share", "1/2"))
    assert view.index_title == "HER2+ CTCs over all CTCs"
    for row in view.patients[view.patients["group"] != "excluded"].to_dict("records"):
        positive, graded = row["n_her2_positive"], sum(row[f"n_grade_{grade}"] for grade in range(4))
        assert row["group"] == ("high" if Fraction(positive, graded) > Fraction(1, 2) else "low")
        assert row["index_value"] == pytest.approx(positive / graded)
    texts = [text.get_text() for text in view.sites.figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    assert any(text.startswith("HER2+ CTCs over all CTCs (above 0.5) high (n = ") for text in texts)


def test_a_study_without_a_clinical_table_still_shows_its_patients(study_copy):
    (study_copy / "clinical.csv").unlink()
    view, _ = outcome(read_cohorts(CohortChoice(study_copy)))
    assert (view.fault, view.comparison, view.forest.figure) == (NO_TABLE, None, None)
    assert len(view.patients) == 8
    assert not view.patients["has_clinical"].any()


def test_a_table_of_other_patients_says_so_and_is_not_taken_over(study_copy, tmp_path, files_of):
    strangers = tmp_path / "strangers.csv"
    strangers.write_text("patient_id,liver,lung\nX1,1,0\nX2,0,1\n")
    before = files_of(study_copy)
    view, _ = outcome(read_cohorts(CohortChoice(study_copy, strangers)))
    assert "no patient is in both tables" in view.fault
    assert len(view.patients) == 8
    assert not view.patients["has_clinical"].any()
    with pytest.raises(ClinicalTableError, match="no clinical table to be used"):
        outcome(use_clinical(view))
    assert files_of(study_copy) == before


@pytest.mark.parametrize(
    ("choice", "kind", "says"),
    [
        ({"study": "nowhere"}, StudyError, "no study folder"),
        ({"index": "weak_share"}, Cher2Error, "no threshold is published"),
        ({"index": "strong_ctcs", "threshold": "1/0"}, Cher2Error, "is no number"),
        ({"index": "luck"}, Cher2Error, "there is no index"),
    ],
)
def test_what_makes_no_sense_is_refused(scored, tmp_path, choice, kind, says):
    chosen = CohortChoice(**({"study": scored.path} | choice | ({"study": tmp_path} if "study" in choice else {})))
    with pytest.raises(kind, match=says):
        outcome(read_cohorts(chosen))
