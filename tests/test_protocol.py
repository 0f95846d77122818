"""The protocol: the contract's keys and defaults, TOML there and back, and errors that name key and value."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from strategies import examples, protocol_trees

from cher2.errors import ProtocolError
from cher2.protocol import ROLES, Protocol, Variable, example_toml

# As the contract writes it (section 4 of the plan), with the sites of the abstract spelt out.
CONTRACT = """
name = "CellSearch CXC, HER2-PE"
[channels]
dapi = "DAPI"
ck = "CK"
cd45 = "CD45"
her2 = "HER2"
[image]
pixel_size_um = 0.64
file_pattern = ""
overlap_px = 0
[compensation]
[segmentation]
segmenter = "built-in"
model = ""
[identify]
min_diameter_um = 4.0
max_diameter_um = 40.0
dapi_min = "auto"
ck_min = "auto"
cd45_max = "auto"
nucleus_overlap_min = 0.2
[grade]
unit = "counts"
cutoffs = [30.0, 110.0, 340.0]
[patient]
min_ctcs = 5
count = "all"
ratio_threshold = 0.75
draws = "first"
[cohort]
oligometastatic_max_sites = 2
no_site = "reject"
correction = "holm"
"""

SITES = ["liver", "lung", "cns", "bone", "lymph_nodes", "skin_soft_tissue", "serosa"]


def toml_of(section: str, line: str) -> str:
    return f"[{section}]\n{line}\n" if section else f"{line}\n"


def test_every_key_of_the_contract_has_the_contracts_default():
    values = Protocol().model_dump(mode="json")
    for section, expected in tomllib.loads(CONTRACT).items():
        if isinstance(expected, dict):
            assert {key: values[section][key] for key in expected} == expected, section
        else:
            assert values[section] == expected
    assert [site["column"] for site in values["cohort"]["sites"]] == SITES


def test_the_contracts_text_is_the_default_protocol():
    assert Protocol.from_toml(CONTRACT) == Protocol()
    assert Protocol.from_toml("") == Protocol()


def test_the_contracts_choices_are_accepted():
    for section, key, choices in [
        ("grade", "unit", ["counts", "leukocyte_ratio", "leukocyte_sd"]),
        ("patient", "count", ["all", "her2_positive"]),
        ("patient", "draws", ["first", "pool"]),
        ("cohort", "no_site", ["reject", "oligometastatic"]),
        ("cohort", "correction", ["holm", "fdr_bh", "none"]),
        ("image", "flat_field", ["auto", "none"]),
    ]:
        for choice in choices:
            chosen = Protocol.from_toml(toml_of(section, f'{key} = "{choice}"'))
            assert getattr(getattr(chosen, section), key) == choice


def test_the_example_is_the_defaults_and_explains_them(command):
    assert Protocol.from_toml(example_toml()) == Protocol()
    ran = command("protocol", "--example")
    assert ran.code == 0
    assert Protocol.from_toml(ran.out) == Protocol()
    for section, values in tomllib.loads(CONTRACT).items():
        if isinstance(values, dict):
            assert f"[{section}]" in ran.out
            assert all(f"\n{key} = " in ran.out for key in values)
    keys = [
        line for line in ran.out.splitlines() if " = " in line and not line.startswith(("name", "column", "title", "#"))
    ]
    assert keys
    assert all("# " in line for line in keys)


def test_the_command_prints_a_protocol_whole(command, tmp_path):
    path = tmp_path / "p.toml"
    path.write_text('[channels]\nher2 = "PE"\n', encoding="utf-8")
    ran = command("protocol", path)
    assert ran.code == 0
    assert Protocol.from_toml(ran.out) == Protocol.load(path)
    assert Protocol.load(path).channels.her2 == "PE"


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).map(str.strip).filter(bool)
channel_sets = st.lists(names | st.integers(0, 9), min_size=4, max_size=4, unique_by=lambda name: str(name).casefold())
fractions = st.floats(0, 1, exclude_max=True, allow_subnormal=False)
sizes = st.floats(0.01, 1e6, allow_subnormal=False)
gates = st.just("auto") | st.floats(0, 1e6, allow_subnormal=False)
ascending = st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3, unique=True).map(sorted)
spills = st.sampled_from([f"{a}->{b}" for a in ROLES for b in ROLES if a != b])
sites = st.lists(
    st.fixed_dictionaries({"column": names, "title": names}), min_size=1, max_size=4, unique_by=lambda s: s["column"]
)
variables = st.lists(
    st.fixed_dictionaries(
        # No site's name has a tilde at both ends.
        {"column": names.map(lambda name: f"~{name}~"), "kind": st.sampled_from(["ordinal", "categorical"])},
        optional={"title": names, "levels": st.lists(names | st.integers(), min_size=2, unique_by=str)},
    ),
    max_size=3,
    unique_by=lambda v: v["column"],
)

protocols = st.builds(
    Protocol.from_dict,
    st.fixed_dictionaries(
        {},
        optional={
            "name": names,
            "channels": channel_sets.map(lambda found: dict(zip(ROLES, found, strict=True))),
            "image": st.fixed_dictionaries(
                {"pixel_size_um": sizes, "overlap_px": st.integers(0, 500)},
                optional={"file_pattern": st.sampled_from(["", "{frame}_{channel}.jpg", "{channel}/é {frame}.tif"])},
            ),
            "compensation": st.dictionaries(spills, fractions, max_size=4),
            "segmentation": st.fixed_dictionaries({"segmenter": names}),
            "identify": st.fixed_dictionaries(
                {"dapi_min": gates, "ck_min": gates, "cd45_max": gates, "nucleus_overlap_min": fractions}
            ),
            "grade": st.fixed_dictionaries(
                {"unit": st.sampled_from(["counts", "leukocyte_ratio", "leukocyte_sd"]), "cutoffs": ascending}
            ),
            "patient": st.fixed_dictionaries({"min_ctcs": st.integers(1, 99), "ratio_threshold": fractions}),
            "cohort": st.fixed_dictionaries(
                {"oligometastatic_max_sites": st.integers(0, 9), "variables": variables}, optional={"sites": sites}
            ),
        },
    ),
)


@given(protocols)
def test_toml_there_and_back_is_the_same_protocol(protocol):
    again = Protocol.from_toml(protocol.to_toml())
    assert again == protocol
    assert again.fingerprint() == protocol.fingerprint()


def test_a_protocol_is_stored_and_loaded(tmp_path):
    protocol = Protocol.from_dict({"name": 'Zürich "PE"', "compensation": {"ck -> her2": 0.03}})
    path = tmp_path / "p.toml"
    path.write_text(protocol.to_toml(), encoding="utf-8")
    assert Protocol.load(path) == Protocol.load(str(path)) == protocol
    assert protocol.compensation == {"ck->her2": 0.03}


def test_a_protocol_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Protocol().grade.unit = "counts"


@pytest.mark.parametrize(
    ("text", "key", "remedy"),
    [
        ("[grade]\ncutofs = [1, 2, 3]", "grade.cutofs", "Did you mean cutoffs"),
        ("[grades]\nunit = 'counts'", "grades", "Did you mean grade"),
        ("[patient]\nmin_ctc = 3", "patient.min_ctc", "Did you mean min_ctcs"),
        ("[channels]\nher = 'PE'", "channels.her", "Did you mean her2"),
        ("[identify]\nzzz = 1", "identify.zzz", "Known keys here: cd45_max, ck_min"),
        ("[[cohort.sites]]\ncolumn = 'a'\ntitle = 'A'\ntitel = 'A'", "cohort.sites.0.titel", "Did you mean title"),
        ("[[cohort.variables]]\ncolumn = 'a'\nlevel = ['A']", "cohort.variables.0.level", "Did you mean levels"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known(text, key, remedy):
    with pytest.raises(ProtocolError) as caught:
        Protocol.from_toml(text, where="p.toml")
    assert caught.value.what == f"unknown key {key}"
    assert remedy in caught.value.remedy
    assert str(caught.value).startswith("p.toml: ")


@pytest.mark.parametrize(
    ("section", "line", "key", "value"),
    [
        ("", "name = ''", "name", "''"),
        ("", "name = 3", "name", "3"),
        ("", "grade = 3", "grade", "3"),
        ("channels", "dapi = ''", "channels.dapi", "''"),
        ("channels", "dapi = -1", "channels.dapi", "-1"),
        ("channels", "dapi = 1.5", "channels.dapi", "1.5"),
        ("channels", "dapi = 'CK'", "channels", "same channel"),
        ("channels", "dapi = 'ck'", "channels", "same channel"),
        ("channels", "dapi = 0\nck = '0'", "channels", "same channel"),
        ("image", "pixel_size_um = 0", "image.pixel_size_um", "0"),
        ("image", 'flat_field = "off"', "image.flat_field", "off"),
        ("image", "pixel_size_um = -0.64", "image.pixel_size_um", "-0.64"),
        ("image", "pixel_size_um = nan", "image.pixel_size_um", "nan"),
        ("image", "pixel_size_um = inf", "image.pixel_size_um", "inf"),
        ("image", "pixel_size_um = 'small'", "image.pixel_size_um", "'small'"),
        ("image", "overlap_px = -1", "image.overlap_px", "-1"),
        ("image", "overlap_px = 1.5", "image.overlap_px", "1.5"),
        ("image", "file_pattern = '{frame}.jpg'", "image.file_pattern", "{frame}.jpg"),
        ("compensation", "'ck->ck' = 0.1", "compensation", "ck->ck"),
        ("compensation", "'ck->pe' = 0.1", "compensation", "ck->pe"),
        ("compensation", "'ck->her2' = 1.0", "ck->her2", "1.0"),
        ("compensation", "'ck->her2' = -0.1", "ck->her2", "-0.1"),
        ("identify", "dapi_min = 'automatic'", "identify.dapi_min", "'automatic'"),
        ("identify", "ck_min = -1", "identify.ck_min", "-1"),
        ("identify", "min_diameter_um = 50", "identify", "min_diameter_um must be below max_diameter_um"),
        ("identify", "nucleus_overlap_min = 1.2", "identify.nucleus_overlap_min", "1.2"),
        ("grade", "unit = 'photons'", "grade.unit", "'photons'"),
        ("grade", "cutoffs = [30, 20, 340]", "grade.cutoffs", "30, 20, 340"),
        ("grade", "cutoffs = [30, 30, 340]", "grade.cutoffs", "30, 30, 340"),
        ("grade", "cutoffs = [30, 110]", "grade.cutoffs", "[30, 110]"),
        ("grade", "cutoffs = [1, 2, 3, 4]", "grade.cutoffs", "[1, 2, 3, 4]"),
        ("grade", "cutoffs = [30, 110, nan]", "grade.cutoffs", "nan"),
        ("grade", "cutoffs = 30", "grade.cutoffs", "30"),
        ("patient", "min_ctcs = 0", "patient.min_ctcs", "0"),
        ("patient", "min_ctcs = 2.5", "patient.min_ctcs", "2.5"),
        ("patient", "count = 'some'", "patient.count", "'some'"),
        ("patient", "ratio_threshold = 1.0", "patient.ratio_threshold", "1.0"),
        ("patient", "draws = 'last'", "patient.draws", "'last'"),
        ("cohort", "oligometastatic_max_sites = -1", "cohort.oligometastatic_max_sites", "-1"),
        ("cohort", "no_site = 'keep'", "cohort.no_site", "'keep'"),
        ("cohort", "correction = 'bonferroni'", "cohort.correction", "'bonferroni'"),
        ("cohort", "sites = []", "cohort.sites", "[]"),
        ("cohort", "sites = [{column = 'a', title = 'A'}, {column = 'a', title = 'B'}]", "cohort.sites", "same column"),
        ("cohort", "sites = [{column = 'a'}]", "cohort.sites.0.title", "required"),
        ("cohort", "sites = [{column = 'n_sites', title = 'A'}]", "cohort.sites", "cher2's own"),
        ("cohort", "variables = [{column = ''}]", "cohort.variables.0.column", "''"),
        ("cohort", "variables = [{column = 'a', kind = 'nominal'}]", "cohort.variables.0.kind", "'nominal'"),
        ("cohort", "variables = [{column = 'a', levels = ['x', 'y']}]", "cohort.variables.0", "levels need a kind"),
        ("cohort", "variables = [{column = 'a', kind = 'ordinal', levels = ['x', 'x']}]", "variables.0", "must differ"),
        ("cohort", "variables = [{column = 'a', kind = 'ordinal', levels = ['x', '']}]", "variables.0", "be empty"),
        ("cohort", "variables = [{column = 'a', kind = 'ordinal', levels = ['x']}]", "variables.0", "at least two"),
        ("cohort", "variables = [{column = 'a', kind = 'binary', levels = [0, 1, 2]}]", "variables.0", "two levels"),
        ("cohort", "variables = [{column = 'a', kind = 'ordinal', levels = [true, 1]}]", "levels.0", "string"),
        ("cohort", "variables = [{column = 'a', kind = 'ordinal', levels = 'ab'}]", "variables.0.levels", "tuple"),
        ("cohort", "variables = [{column = 'a'}, {column = 'a'}]", "cohort", "two variables name the same column"),
        ("cohort", "variables = [{column = 'liver'}]", "cohort", 'the variable "liver" is compared already'),
        ("cohort", "variables = [{column = 'n_sites'}]", "cohort", 'the variable "n_sites" is compared already'),
    ],
)
def test_a_bad_value_names_its_key_and_value(section, line, key, value):
    with pytest.raises(ProtocolError) as caught:
        Protocol.from_toml(toml_of(section, line), where="p.toml")
    assert key in caught.value.what
    assert value in caught.value.what
    assert caught.value.where == "p.toml"
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[grade\nunit = 3", "this is not TOML"),
        (b"cutoffs = ", "this is not TOML"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
        (b"[patient]\nmin_ctcs = 3\nmin_ctcs = 4", "this is not TOML"),
    ],
)
def test_a_file_that_is_no_protocol(tmp_path, content, says):
    path = tmp_path / "p.toml"
    path.write_bytes(content)
    with pytest.raises(ProtocolError, match=says) as caught:
        Protocol.load(path)
    assert caught.value.where == str(path)


def test_a_model_belongs_to_a_segmenter_beside_the_built_in_one():
    chosen = Protocol.from_toml('[segmentation]\nsegmenter = "stardist"\nmodel = "2D_demo"').segmentation
    assert (chosen.segmenter, chosen.model) == ("stardist", "2D_demo")
    with pytest.raises(ProtocolError, match='segmentation: "built-in" has no model'):
        Protocol.from_toml('[segmentation]\nmodel = "2D_demo"')
    with pytest.raises(ProtocolError, match=r"segmentation\.segmenter"):
        Protocol.from_toml('[segmentation]\nsegmenter = ""')
    with pytest.raises(ProtocolError, match=r"unknown key segmentation\.weights.*Known keys here: model, segmenter"):
        Protocol.from_toml('[segmentation]\nweights = "x"')


def test_variables_of_a_protocol():
    text = """
[[cohort.variables]]
column = "line"
title = "Line of therapy"
kind = "ordinal"
levels = [1, 2.0, 2.5, ">=3"]
[[cohort.variables]]
column = "age"
"""
    line, age = Protocol.from_toml(text).cohort.variables
    # A clinical table is read as text: the level 2 of TOML is its "2".
    assert line == Variable(column="line", title="Line of therapy", kind="ordinal", levels=("1", "2", "2.5", ">=3"))
    assert (age.title, age.kind, age.levels) == ("", "auto", ())
    assert Protocol.from_toml(Protocol.from_toml(text).to_toml()) == Protocol.from_toml(text)


def test_the_page_shows_the_example_as_it_is_printed():
    page = (Path(__file__).parents[1] / "docs" / "protocol.md").read_text(encoding="utf-8")
    assert f"```toml\n{example_toml()}\n```" in page


def test_the_commented_variable_of_the_example_is_one():
    marker = "# [[cohort.variables]]"
    _, _, commented = example_toml().partition(marker)
    text = "\n".join(line.removeprefix("# ") for line in (marker + commented).splitlines())
    (variable,) = Protocol.from_toml(text).cohort.variables
    assert variable.kind == "ordinal"


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ProtocolError, match="No such file"):
        Protocol.load(tmp_path / "none.toml")
    with pytest.raises(ProtocolError, match="directory"):
        Protocol.load(tmp_path)


CHANGES = {
    "name": "other",
    "channels": {"dapi": "Hoechst"},
    "image": {"overlap_px": 5},
    "compensation": {"ck->her2": 0.03},
    "segmentation": {"segmenter": "stardist"},
    "identify": {"ck_min": 100},
    "grade": {"cutoffs": [30, 110, 341]},
    "quality": {"staining_max": 2.0},
    "patient": {"min_ctcs": 3},
    "cohort": {"correction": "none"},
}


@pytest.mark.parametrize("changed", CHANGES)
def test_a_fingerprint_changes_with_its_section_and_only_with_it(changed):
    assert set(CHANGES) == set(Protocol.model_fields)
    default, other = Protocol(), Protocol.from_dict({changed: CHANGES[changed]})
    assert other.fingerprint() != default.fingerprint()
    for section in CHANGES:
        same = other.fingerprint(section) == default.fingerprint(section)
        assert same == (section != changed), section
    rest = [section for section in CHANGES if section != changed]
    assert other.fingerprint(*rest) == default.fingerprint(*rest)


def test_a_fingerprint_is_the_same_in_every_run():
    # It is compared with what older runs wrote: it may not depend on Python's own hash.
    assert Protocol().fingerprint("grade", "identify") == Protocol().fingerprint("identify", "grade")
    assert len(Protocol().fingerprint()) == 16
    assert json.loads(json.dumps(Protocol().fingerprint())) == Protocol().fingerprint()


@given(protocol_trees())
@settings(max_examples=examples(60))
def test_whatever_a_form_holds_is_a_protocol_or_an_error_in_one_line(tree):
    try:
        protocol = Protocol.from_dict(tree)
    except ProtocolError as error:
        words = error.remedy and str(error)
    else:
        words = "a result"
        assert Protocol.from_toml(protocol.to_toml()) == protocol
    assert words
    assert "\n" not in words


def test_brackets_in_brackets_without_end_are_refused():
    """Found by benchmarks/fuzz.py: tomllib goes as deep as they do, and raises a RecursionError."""
    with pytest.raises(ProtocolError, match="not TOML"):
        Protocol.from_toml("a = " + "[" * 3000)
