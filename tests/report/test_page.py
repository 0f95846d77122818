import base64
import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from cher2.cohorts.comparison import compare_cohorts
from cher2.protocol import Protocol
from cher2.report.page import ink_on, ratio_text, render_page
from cher2.report.thumbnails import Example

HELD = ("image/png", "application/pdf", "text/csv", "text/plain;charset=utf-8")
VOID = {"meta", "br", "img", "input", "link", "hr"}


class Page(HTMLParser):
    """A parsed page: its tags in order, its tables cell by cell, its text; refuses what is not balanced."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.tables, self.words = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.words.append(data)
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data

    @property
    def text(self):
        return " ".join("".join(self.words).split())

    def table(self, first_heading):
        for rows in self.tables:
            if rows[0][0].strip() == first_heading:
                return [[" ".join(cell.split()) for cell in row] for row in rows]
        raise AssertionError(f"no table {first_heading}")


@pytest.fixture(scope="module")
def page(make_content):
    """Return a function for a parsed page; the study's own is rendered once."""
    own = Page(render_page(make_content()))
    return lambda **changes: Page(render_page(make_content(**changes))) if changes else own


def test_the_page_opens_without_a_network(make_content):
    text = render_page(make_content())
    page = Page(text)
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base", "image", "foreignobject")
        for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            held = ("#", *(f"data:{kind};base64," for kind in HELD))
            assert (attributes.get(name) or "#").startswith(held)
    assert not re.search(r"(src|href)\s*=\s*[\"']?\s*(https?:)?//", text)
    assert "@import" not in text
    assert not re.search(r"url\((?!#|\"data:image/webp;base64,)", text)


def test_the_policy_allows_the_pages_own_script_and_no_other(make_content):
    text = render_page(make_content())
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    policy = next(a["content"] for tag, a in Page(text).tags if a.get("http-equiv"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_what_the_data_are_stands_at_the_top(page):
    assert page().text.startswith("A study – cHER2 report Research use only, not a diagnostic. SYNTHETIC DATA")
    real = page(synthetic=False)
    assert "Research use only, not a diagnostic" in real.text
    assert "SYNTHETIC" not in real.text.upper()


def test_the_numbers_of_the_patients_are_those_of_the_table(page, patients):
    rows = page().table("Patient")
    assert rows[0][:9] == ["Patient", "Images", "CTCs", "0", "1+", "2+", "3+", "HER2+", "cHER2 ratio(95 % interval)"]
    counts = ["n_images", "n_ctcs", *(f"n_grade_{grade}" for grade in range(4)), "n_her2_positive"]
    for row, expected in zip(rows[1:], patients.to_dict("records"), strict=True):
        assert row[0] == expected["patient_id"]
        assert [int(number) for number in row[1:8]] == [expected[name] for name in counts]
        assert row[10:] == [expected["group"], expected["reason"]]
        if np.isnan(expected["cher2_ratio"]):
            assert row[8:10] == ["–", "–"]
        else:
            numbers = [float(number) for number in re.findall(r"[\d.]+", row[8])]
            assert numbers == pytest.approx(
                [expected[name] for name in ("cher2_ratio", "ratio_low", "ratio_high")], abs=0.005
            )


def test_rows_sort_by_the_number_itself(page, patients):
    keys = [a["data-sort"] for tag, a in page().tags if tag == "td" and "data-sort" in a]
    ratios = [float(key) for key in keys[0::2]]
    np.testing.assert_array_equal(ratios, patients["cher2_ratio"])


def test_exactly_the_threshold_is_low_and_the_page_says_so(page):
    page = page()
    row = next(row for row in page.table("Patient") if row[0] == "P3")
    assert (row[8][:4], row[10]) == ("0.75", "low")
    assert "a ratio of exactly 0.75 is low" in page.text


@pytest.mark.parametrize(
    ("ratio", "shown"), [(0.75, "0.75"), (0.7503, "0.7503"), (0.7499, "0.7499"), (0.0, "0.00"), (1.0, "1.00")]
)
def test_a_ratio_beside_the_threshold_does_not_look_like_it(ratio, shown):
    assert ratio_text(ratio, 0.75) == shown


def test_the_comparison_is_laid_out_as_in_a_paper(page, comparison):
    page = page()
    rows = {row[0]: row[1:] for row in page.table("Patients with")[1:]}
    assert "Sites and oligometastatic disease (pre-specified)" in rows
    for line in comparison.table[comparison.table["kind"] == "binary"].to_dict("records"):
        shown = rows[next(name for name in rows if name.startswith(comparison.titles[line["variable"]]))]
        assert shown[0].startswith(f"{line['high_n']}/{line['high_total']}")
        assert shown[1].startswith(f"{line['low_n']}/{line['low_total']}")
        if np.isnan(line["p_value"]):
            assert shown[2] == line["test"]
        else:
            assert float(shown[2].split()[0]) == pytest.approx(line["odds_ratio"], rel=0.005)
            assert float(shown[3]) == pytest.approx(line["p_value"], rel=0.005)
            assert float(shown[4]) == pytest.approx(line["p_adjusted"], rel=0.005)
            assert shown[5] == line["test"]
    assert rows["CNS"][2] == "not estimable: nobody has it"
    for note in comparison.notes:
        assert note in page.text


def test_the_published_comparison(page, clinical):
    # ASCO 2021 abstract 3036: oligometastatic 16 of 21 high, 29 of 77 low; two-sided Fisher p = 0.00257.
    patients = pd.DataFrame({"patient_id": [f"P{i}" for i in range(98)], "group": ["high"] * 21 + ["low"] * 77})
    table = pd.DataFrame({"patient_id": patients["patient_id"], **dict.fromkeys(clinical.columns[1:], 1)})
    few = [i for i in range(98) if i < 16 or 21 <= i < 50]
    table.loc[few, list(clinical.columns[3:])] = 0
    rows = page(comparison=compare_cohorts(patients, table)).table("Patients with")
    row = next(row for row in rows if row[0].startswith("Oligometastatic"))
    assert row[1:3] + row[4:5] == ["16/21 (76%)", "29/77 (38%)", "0.00257"]


def test_further_columns_stand_below_their_variable(page, patients, clinical):
    further = clinical.assign(age=[41, 52, "", 60, 75, 86], subtype=[*"aabbcc"], trial=["=1+1", *"abcde"])
    shown = page(comparison=compare_cohorts(patients, further))
    rows = shown.table("Patients with")
    assert rows[0][-1] == "Missinghigh, low"
    age = next(row for row in rows if row[0] == "age, median (quartiles)")
    assert age[1:3] == ["63.5 (52.25 to 74.75)", "75 (75 to 75)"]
    assert age[-1] == "0, 1"
    at = next(at for at, row in enumerate(rows) if row[0] == "subtype")
    assert rows[at][1:4] == ["", "", ""]
    assert rows[at][6].startswith("Fisher's exact test of an r x c table")
    assert [row[:3] for row in rows[at + 1 : at + 4]] == [
        ["a", "1/2 (50%)", "0/2 (0%)"],
        ["b", "0/2 (0%)", "1/2 (50%)"],
        ["c", "1/2 (50%)", "1/2 (50%)"],
    ]
    assert "the column trial left out: '=1+1' looks like a formula" in shown.text


def test_another_split_is_not_called_cher2(page, patients, clinical):
    split = patients.assign(h_score=patients["group"])
    text = page(comparison=compare_cohorts(split, clinical, group="h_score")).text
    assert "h_score high against low" in text
    assert "more frequent in h_score high" in text
    assert "cHER2 high" not in text.partition("h_score high against low")[2].partition("Odds ratios with their")[0]
    assert "a ratio of exactly" not in text.partition("h_score high against low")[2].partition("Odds ratios with")[0]


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style></title><b>",
    "{{ 7 * 7 }}",
    r"$\frac{$",
    "nul\x00 escape\x1b control\x80",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_do_no_harm_wherever_they_stand(make_content, page, patients, comparison, examples, value):
    own = page()
    failed = pd.DataFrame([[value] * 3], columns=["image", "error", "message"])
    thumbnail = examples[0][0].thumbnail
    hostile = make_content(
        title=value,
        protocol=Protocol(name=value, channels={"her2": value}),
        patients=patients.assign(patient_id=[value, *patients["patient_id"][1:]], reason=value),
        comparison=type(comparison)(
            comparison.table, comparison.high, comparison.low, (value,), dict.fromkeys(comparison.titles, value)
        ),
        examples={**examples, 0: [Example(thumbnail, value, value, 1, 2.0)]},
        images_failed=failed,
        software={value: value},
        notes=[value],
        examples_chosen=value,
    )
    text = render_page(hostile)
    text.encode("utf-8")
    page = Page(text)
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", text)
    names = [tag for tag, _ in page.tags]
    assert set(names) == {tag for tag, _ in own.tags}
    # One that runs, and one that holds data.
    assert [a.get("type") for tag, a in page.tags if tag == "script"] == ["application/json", None]
    assert names.count("img") == 1
    assert not [a for _, attributes in page.tags for a in attributes if a.startswith("on")]
    if value.isprintable():
        assert page.table("Patient")[1][0] == value
        assert page.table("Image")[1] == [value] * 3
        assert page.text.startswith(value)


def test_a_protocol_in_words(page):
    protocol = Protocol.model_validate(
        {
            "identify": {"ck_min": 55, "cd45_max": "auto", "min_diameter_um": 5},
            "grade": {"unit": "leukocyte_ratio", "cutoffs": [1.5, 4, 12.5]},
            "patient": {"min_ctcs": 3, "count": "her2_positive", "ratio_threshold": 0.6, "draws": "pool"},
            "cohort": {"correction": "none", "no_site": "oligometastatic"},
            "compensation": {"ck->her2": 0.03},
            "segmentation": {"segmenter": "stardist", "model": "/home/jane/our_nuclei/"},
        }
    )
    text = page(protocol=protocol).text
    for words in (
        "CK+: from 55 counts",
        "CD45−: found in each sample from its own cells",
        "5 to 40 µm across",
        "multiples of the median leukocyte of the same sample",
        "0 below 1.5, 1+ from 1.5, 2+ from 4, 3+ from 12.5",
        "Fewer than 3 HER2+ CTCs: excluded",
        "strictly above 0.6; otherwise low, so that exactly 0.6 is low",
        "Several blood draws of a patient are pooled",
        "p is not adjusted",
        "A patient without any site counts as oligometastatic",
        "CK into HER2 3 %",
        "Found by the segmenter stardist, model our_nuclei, in place of cher2’s own",
        "the 99th percentile of all cells shown",  # no cut-off in counts that could set the contrast
    ):
        assert words in text
    assert "jane" not in text
    assert "segmenter" not in page().text
    assert "p is adjusted by Holm's method, apart for the sites" in page().text


def test_images_that_failed_are_named_and_counted(page):
    page = page()
    assert "Images read 6 of 7" in page.text.replace("Images read6", "Images read 6")
    assert page.table("Image")[1] == ["P9/b.tif", "ImageError", "P9/b.tif: the file is cut off. Copy it again."]
    assert "cher2 0.1.0, numpy 2.4.6" in page.text
    assert "The default cut-offs were used" in page.text


def test_the_caption_of_the_sheet_states_contrast_and_bar(page, examples):
    text = page(examples_chosen="By rank").text
    assert "HER2 is white from 510 counts" in text  # 1.5 x 340
    assert "(1.5 × the cut-off of 3+)" in text
    assert "the bar 10 µm" in text
    assert "By rank." in text
    assert "No cell to show of grade 2+." in text
    assert [row[0] for row in page().table("Grade")[1:]] == ["0", "1+", "3+"]


def test_without_a_clinical_table_the_page_says_how_to_give_one(page):
    text = page(comparison=None).text
    assert "The groups are not compared: no clinical table was given." in text
    assert "--clinical clinical.csv" in text
    assert "skin_soft_tissue" in text
    given = page(comparison=None, no_comparison="no patient is in both tables").text
    assert "The groups are not compared: no patient is in both tables." in given
    assert "no clinical table" not in given


def test_the_flow_is_there_and_left_out_where_it_is_not_known(page):
    for words in ("Patients screened: 8", "2 without an image", "Patients analysed: 4", "From the patients screened"):
        assert words in page().text
    assert "Patients screened" not in page(flow=None).text
    assert "Borderline: high or low, but less than 90 % sure of it." in page().text


def test_where_not_all_patients_are_in_the_figure_its_caption_says_so(page, patients):
    several = pd.concat([patients] * 90, ignore_index=True)
    several["patient_id"] = [f"P{i}" for i in range(len(several))]
    page = page(patients=several)
    assert "Shown are the 500 of 540 patients with the most HER2+ CTCs." in page.text
    assert len(page.table("Patient")) == 541


def test_an_empty_study_is_a_page_too(page, patients):
    empty = page(
        patients=patients.iloc[:0],
        comparison=None,
        examples={},
        images_failed=pd.DataFrame(columns=["image", "error", "message"]),
        n_images=0,
        software={},
        notes=(),
    )
    for words in (
        "No patient was analysed.",
        "There is no cell to show.",
        "None: every image was read.",
        "not recorded",
    ):
        assert words in empty.text
    assert not [tag for tag, _ in empty.tags if tag in ("svg", "img")]


def test_images_that_are_not_known_are_no_number(page, patients):
    rows = page(patients=patients.assign(n_images=pd.array([None] * len(patients), dtype="Int64")))
    assert {row[1] for row in rows.table("Patient")[1:]} == {"–"}


def test_the_same_study_gives_the_same_page(make_content):
    assert render_page(make_content()) == render_page(make_content())


def test_ink_has_the_contrast_that_wcag_asks_for():
    # Relative luminance of #767676 is 0.181: white on it has 4.54, black 4.62 (webaim.org's example pair).
    assert ink_on("#767676") == "#000000"
    assert ink_on("#000000") == "#ffffff"
    assert ink_on("#ffffff") == "#000000"
    assert ink_on("#0072b2") == "#ffffff"
