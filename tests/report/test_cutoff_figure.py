import io
from fractions import Fraction
from xml.etree import ElementTree

import pandas as pd
import pytest

from cher2.cohorts.cutoffs import scan_cutoffs
from cher2.cohorts.exact import fisher_two_by_two
from cher2.report.cutoff_figure import cutoff_figure


def _scan():
    values = [Fraction(k, 10) for k in range(1, 11)]
    return scan_cutoffs(values, [0, 0, 0, 1, 0, 1, 0, 1, 1, 1], permutations=200)


def test_every_threshold_is_drawn_with_its_fisher_p():
    numbers = pd.read_csv(io.StringIO(cutoff_figure(_scan(), 0.75, "bone").numbers))
    at = numbers[numbers["threshold"] == 0.7].iloc[0]
    assert at["p_value"] == pytest.approx(fisher_two_by_two(3, 0, 2, 5).p_value)


def test_the_note_gives_the_p_that_counts_the_search_in():
    scan = _scan()
    (note,) = cutoff_figure(scan, 0.75, "bone").notes
    assert note.endswith(f"is {scan.p_value:.3g}")
    assert note.startswith(f"Of {len(scan.table)} thresholds")


def test_threshold_and_title_are_said():
    (panel,) = cutoff_figure(_scan(), 0.75, "bone <b>").panels
    texts = [" ".join(e.itertext()) for e in ElementTree.fromstring(panel).iter()]
    assert any("threshold 0.75" in text for text in texts)
    assert any("p of bone <b> at every threshold" in text for text in texts)
