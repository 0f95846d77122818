import io
import re
from xml.etree import ElementTree

import pandas as pd

from cher2.cohorts.group_survival import survival_by_group
from cher2.report.survival_figure import survival_figure

SITES = ("liver", "lung", "cns", "bone", "lymph_nodes", "skin_soft_tissue", "serosa")


def _endpoint(groups, months, events):
    patients = pd.DataFrame({"patient_id": [f"P{k}" for k in range(len(groups))], "group": groups})
    clinical = pd.DataFrame({"patient_id": patients["patient_id"], "os_months": months, "os_event": events})
    for site in SITES:
        clinical[site] = 1
    return survival_by_group(patients, clinical, force=True).endpoints["os"]


def _texts(panel):
    return ["".join(e.itertext()).strip() for e in ElementTree.fromstring(panel).iter() if e.tag.endswith("}text")]


# Freireich et al., Blood 21 (1963) 699: remission of 6-MP and placebo, in every textbook of survival analysis.
TREATED = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
CENSORED = [0, 0, 0, 1, 0, 1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1]
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]


def _freireich():
    events = [1 - c for c in CENSORED] + [1] * 21
    return _endpoint(["high"] * 21 + ["low"] * 21, TREATED + PLACEBO, events)


def test_groups_events_tests_and_numbers_at_risk_are_written():
    figure = survival_figure(_freireich())
    (panel,) = figure.panels
    texts = _texts(panel)
    assert "cHER2 high (n = 21, 9 events)" in texts
    assert "cHER2 low (n = 21, 21 events)" in texts
    # survdiff(Surv(time, cens) ~ treat, MASS::gehan): chi-square 16.8, p = 4e-05
    assert any(re.fullmatch(r"log-rank p = 4\.1\de-05", text) for text in texts)
    assert any(text.startswith("hazard ratio 0.2") for text in texts)
    # Counted in the lists above: who has 0, 6, 12, 18, 24, 30 months or more.
    high, low = (texts[texts.index(group, texts.index("at risk")) :][1:7] for group in ("high", "low"))
    assert high == ["21", "21", "12", "9", "5", "4"]
    assert low == ["21", "12", "6", "2", "0", "0"]


def test_the_numbers_are_the_steps_of_the_curves():
    numbers = pd.read_csv(io.StringIO(survival_figure(_freireich()).numbers))
    at = numbers[(numbers["group"] == "high") & (numbers["time"] == 6)].iloc[0]
    # The textbook's 0.857 after three relapses among 21 at six weeks.
    assert (at["at_risk"], at["events"], round(at["survival"], 3)) == (21, 3, 0.857)


def test_it_comes_as_pdf_too():
    assert survival_figure(_freireich()).pdf.startswith(b"%PDF")


def test_one_group_is_drawn_and_the_reason_said():
    figure = survival_figure(_endpoint(["high", "high", "low"], [3, 5, None], [1, 0, None]))
    assert len(figure.panels) == 1
    assert figure.notes == ("no low patient has follow-up",)


def test_without_follow_up_there_is_no_panel_but_a_reason():
    figure = survival_figure(_endpoint(["high", "low"], [None, None], [None, None]))
    assert figure.panels == ()
    assert figure.notes == ("no patient has follow-up",)


def test_all_at_time_zero_still_has_an_axis():
    assert len(survival_figure(_endpoint(["high", "low"], [0, 0], [1, 1])).panels) == 1
