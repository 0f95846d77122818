import io
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from cher2.palette import GRADE_COLOURS
from cher2.report.intensity_figure import count_intensities, intensity_figure

CUTOFFS = (30.0, 110.0, 340.0)


def test_every_cell_with_an_intensity_and_a_grade_is_counted_once():
    her2 = [-5.0, 20.0, 50.0, 50.0, 200.0, 5000.0, np.nan, 60.0]
    grades = [0, 0, 1, 1, 2, 3, 1, np.nan]
    counts = count_intensities(her2, grades, [1.0, 2.0, np.nan], CUTOFFS)
    assert {grade: int(number.sum()) for grade, number in counts.ctcs.items()} == {0: 2, 1: 2, 2: 1, 3: 1}
    assert counts.leukocytes.sum() == 2
    assert counts.edges[0] < -5
    assert counts.edges[-1] > 5000


def test_a_cell_is_counted_in_the_bin_that_holds_it():
    counts = count_intensities([200.0], [2], [], CUTOFFS)
    (at,) = np.flatnonzero(counts.ctcs[2])
    assert counts.edges[at] <= 200 < counts.edges[at + 1]


def test_bins_are_even_in_the_inverse_hyperbolic_sine():
    steps = np.diff(np.arcsinh(count_intensities([3.0, 900.0], [0, 3], [], CUTOFFS).edges / 30))
    assert steps == pytest.approx(np.full(60, steps[0]))


def test_all_cells_alike_still_have_bins():
    counts = count_intensities([30.0] * 5, [1] * 5, [30.0] * 3, (30.0, 30.0, 30.0))
    assert counts.ctcs[1].sum() == 5
    assert (np.diff(counts.edges) > 0).all()


def test_the_figure_names_grades_cutoffs_and_leukocytes():
    counts = count_intensities([10, 50, 60, 200, 900], [0, 1, 1, 2, 3], [5.0, 6.0], CUTOFFS)
    figure = intensity_figure(counts, CUTOFFS, "counts")
    (panel,) = figure.panels
    texts = ["".join(e.itertext()).strip() for e in ElementTree.fromstring(panel).iter() if e.tag.endswith("}text")]
    assert {"1+ (n = 2)", "leukocytes (n = 2)", "1+ from 30", "2+ from 110", "3+ from 340", "HER2, counts"} <= {*texts}
    assert all(colour in panel for colour in GRADE_COLOURS)
    numbers = pd.read_csv(io.StringIO(figure.numbers))
    assert numbers.filter(like="ctcs").to_numpy().sum() == 5
    assert numbers["leukocytes"].sum() == 2


def test_a_unit_of_another_size_has_ticks_of_its_own():
    counts = count_intensities([0.4, 3.0, 8.0], [0, 1, 3], [1.0], (2.0, 5.0, 7.0))
    (panel,) = intensity_figure(counts, (2.0, 5.0, 7.0), "medians").panels
    texts = ["".join(e.itertext()).strip() for e in ElementTree.fromstring(panel).iter() if e.tag.endswith("}text")]
    assert {"1", "5"} <= {*texts}


def test_no_ctc_gives_no_panel():
    assert intensity_figure(count_intensities([], [], [1.0], CUTOFFS), CUTOFFS, "counts").panels == ()
