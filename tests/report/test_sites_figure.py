from xml.etree import ElementTree

import pandas as pd

from cher2.report.sites_figure import sites_by_group, sites_figure


def _counted():
    groups = pd.Series(["high", "high", "low", "low", "low", "excluded"], index=list("abcdef"))
    n_sites = pd.Series([1, 3, 3, 3, None, 7], index=list("abcdef"), dtype="Int8")
    return sites_by_group(groups, n_sites)


def test_patients_are_counted_by_group_and_number():
    # Whose sites are not all known, and who is in neither group, is counted nowhere.
    assert _counted().to_dict("list") == {"n_sites": [1, 2, 3], "high": [1, 0, 1], "low": [0, 0, 2]}


def test_a_patient_without_a_site_begins_the_axis_at_zero():
    counts = sites_by_group(pd.Series(["low"], index=["a"]), pd.Series([0], index=["a"]))
    assert counts.to_dict("list") == {"n_sites": [0], "high": [0], "low": [1]}


def test_the_figure_says_the_groups_sizes_and_the_numbers_over_the_bars():
    (panel,) = sites_figure(_counted(), 2).panels
    texts = ["".join(e.itertext()).strip() for e in ElementTree.fromstring(panel).iter() if e.tag.endswith("}text")]
    assert "cHER2 high (n = 2)" in texts
    assert "cHER2 low (n = 2)" in texts
    assert texts.count("2") >= 2  # the tick, and the two low patients of three sites
    assert "oligometastatic" in texts


def test_no_line_where_all_are_on_one_side_of_it():
    (panel,) = sites_figure(_counted(), 5).panels
    assert "oligometastatic" not in panel


def test_nobody_gives_no_panel():
    nobody = sites_by_group(pd.Series([], dtype=str), pd.Series([], dtype="Int8"))
    assert nobody.empty
    assert sites_figure(nobody, 2).panels == ()
