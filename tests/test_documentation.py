"""The documentation says what is there: commands and options, links, files, names in Python, and every page."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import itertools
import re
import sys
from pathlib import Path

import pytest
import yaml

import cher2
from cher2 import cohorts
from cher2.batch.run import run_study
from cher2.patients.uncertainty import jeffreys_interval, probability_above, wilson_interval

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), ROOT / "README.md", ROOT / "benchmarks" / "README.md"])
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\((?!https?:)([^)\s]+)\)")
COMMAND = re.compile(r"\bcher2 ([a-z]+|-{1,2}[a-z-]+)\b([^|#\n]*)")
OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z-]*|-[a-zA-Z]\b)")

SHELLS = ("sh", "console", "powershell", "")

# Inline code that begins with "cher2" and a word that is no command: the index, and its group.
NO_COMMANDS = {"ratio", "high", "low"}

OF_OTHERS = {
    *("--only", "--kills", "--times", "--study", "--ctcs", "--decisions", "--sqlite", "--lifetime", "--nthreads"),
}
"""Options of benchmarks and of Dask that pages name."""


def load(name: str):
    """Import a script of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def commands():
    return load("commands")


def prose(path: Path) -> str:
    """Return a page without its blocks of code."""
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def blocks(path: Path, *languages: str) -> list[str]:
    """Return a page's blocks of code in some languages."""
    return [text for _, language, text in FENCE.findall(path.read_text(encoding="utf-8")) if language in languages]


def whole_lines(block: str) -> list[str]:
    """Return a block's lines, those that go on after a backslash in one."""
    return re.sub(r"\\\n\s*", " ", block).splitlines()


def commands_in(path: Path) -> list[tuple[str, str]]:
    """Return the cher2 commands that a page prints: name, and the rest of the line."""
    text = path.read_text(encoding="utf-8")
    lines = [line for block in blocks(path, *SHELLS) for line in whole_lines(block)]
    lines += [line for line in text.splitlines() if line.startswith("    cher2 ")]
    lines += [code for code in INLINE.findall(prose(path)) if code.startswith("cher2 ")]
    found = [match.groups() for line in lines for match in COMMAND.finditer(line.split(" # ")[0])]
    return [(name, rest) for name, rest in found if name not in NO_COMMANDS]


def anchor(title: str) -> str:
    """Return the anchor that a heading gets, on the site and on a code host alike."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "")
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_and_option_exists(path, commands):
    known = commands.options_of_commands()
    for name, rest in commands_in(path):
        if name.startswith("-"):
            assert name in known[""] | {"--help"}, f"cher2 {name}"
            continue
        assert name in known, f"cher2 {name}{rest}"
        for option in OPTION.findall(rest):
            assert option in known[name] | {"--help"}, f"cher2 {name}{rest}"


def test_options_that_are_named_by_themselves_exist(commands):
    known = set().union(*commands.options_of_commands().values()) | OF_OTHERS
    named = [(path.name, code) for path in PAGES for code in INLINE.findall(prose(path)) if OPTION.match(code)]
    assert len(named) > 50
    assert [place for place in named if OPTION.match(place[1])[1] not in known] == []


def test_commands_are_found_where_pages_print_them():
    found = {name for path in PAGES for name, _ in commands_in(path)}
    assert {"run", "compare", "report", "review", "calibrate", "agreement", "export", "import", "verify"} <= found
    assert ("run", " s3://bucket/slides -o study --workers 4") in commands_in(DOCS / "cloud.md")
    assert sum(len(commands_in(path)) for path in PAGES) > 100
    assert whole_lines("cher2 run images \\\n    -o study\ncher2 report study") == [
        "cher2 run images  -o study",
        "cher2 report study",
    ]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(path):
    for target in LINK.findall(prose(path)):
        name, _, fragment = target.partition("#")
        page = (path.parent / name).resolve() if name else path
        assert page.exists(), f"{target}: there is no such file"
        assert path.parent != DOCS or page.is_relative_to(DOCS), f"{target}: the site has only what is in docs/"
        if fragment:
            titles = re.findall(r"^#+ +(.+)$", prose(page), re.MULTILINE)
            assert fragment in map(anchor, titles), f"{target}: there is no such heading"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_of_the_project_that_are_named_are_there(path):
    named = [code for code in INLINE.findall(prose(path)) if re.fullmatch(r"(tests|benchmarks|docs|src)/[\w/.]+", code)]
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_is_imported_in_examples_exists(path):
    for block in blocks(path, "python"):
        source = "\n".join(line[4:] for line in block.splitlines() if line[:4] in (">>> ", "... ")) or block
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("cher2"):
                module = importlib.import_module(str(node.module))
                assert [name.name for name in node.names if not hasattr(module, name.name)] == []


def test_every_page_stands_in_the_navigation_once():
    def files(entry) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        return [file for part in (entry.values() if isinstance(entry, dict) else entry) for file in files(part)]

    pages = sorted(path.name for path in DOCS.glob("*.md"))
    assert sorted(files(SITE["nav"])) == pages
    assert [next(iter(part)) for part in SITE["nav"][1:]] == ["Tutorial", "How-to", "Explanation", "Reference"]


def test_the_site_asks_no_other_server():
    assert SITE["theme"]["font"] is False
    assert "repo_url" not in SITE
    assert [url for url in SITE["extra"]["polyfills"] if not (DOCS / url).exists()] == []
    assert not any("://" in url for key in ("extra_css", "extra_javascript") for url in SITE.get(key, []))


def test_the_page_of_commands_is_up_to_date(commands):
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert commands.commands_page() == page, "run: python docs/commands.py"
    assert "| `--scenario standard / crowded / hard / drift / sample` |" in page


def test_the_page_of_python_holds_all_that_is_public():
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    documented = re.findall(r"^::: ([\w.]+)$", page, re.MULTILINE)
    public = {f"cher2.{name}" for name in cher2.__all__ if name != "cohorts"}
    public |= {f"cher2.cohorts.{name}" for name in cohorts.__all__ if name != "compare_cohorts"}
    assert public <= set(documented)
    for name in documented:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name


def test_a_benchmarks_section_replaces_its_own_and_leaves_the_others():
    validation = load("validation")
    old = "# Validation\n\nWords.\n\n## a.py\n\nold\n\n## b.py\n\nkept\n"
    new = validation.section("a.py", ["/data/blood", "--seed", "1"], "F1 of /data/blood: 0.9  \n", 0)
    page = validation.with_section(old, "a.py", new)
    assert page.startswith("# Validation\n\nWords.\n\n## a.py\n\n2")
    assert "$ python benchmarks/a.py blood --seed 1\nF1 of blood: 0.9\n```\n\n## b.py\n\nkept\n" in page
    assert "old" not in page
    assert "/data" not in page
    assert "No mark was missed." in new
    assert "A mark was missed." in validation.section("c.py", [], "x", validation.MISSED)
    assert validation.with_section(page, "c.py", "## c.py\n\nnew\n") == page + "\n## c.py\n\nnew\n"


def test_docstrings_become_markdown():
    pytest.importorskip("griffe", reason="the extra docs is not installed")
    docstrings = load("docstrings")
    text = "As :func:`~cher2.cells.score.score_image` [1]_ and :data:`SURE`.\n\n    .. [1] Efron.\n       J Stat.\n"
    assert docstrings.markdown(text) == "As `score_image` [1] and `SURE`.\n\n    1. Efron.\n       J Stat.\n"


def rows_of(page: str, first: str) -> list[list[str]]:
    """Return the cells of the table of a page whose header begins with a word."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first} |")) + 2
    table = itertools.takewhile(lambda line: line.startswith("|"), lines[start:])
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_the_tutorial_prints_what_the_sample_study_gives(tmp_path):
    samples = ROOT / "sample_images"
    files = {"protocol": samples / "protocol.toml", "clinical": samples / "clinical.csv"}
    derived = run_study(samples / "images", tmp_path / "study", workers=1, **files).derived
    patients = derived.patients.set_index("patient_id")
    rows = rows_of("first_study.md", "patient_id")
    assert len(rows) == 5
    for name, ctcs, grades, ratio, interval, group, reason in rows:
        found = patients.loc[name]
        assert [int(ctcs), group, reason] == [found["n_ctcs"], found["group"], found["reason"]]
        assert grades == ", ".join(str(found[f"n_grade_{grade}"]) for grade in range(4))
        known = found["group"] in ("high", "low")
        assert ratio == (f"{found['cher2_ratio']:.2f}" if known else "")
        assert interval == (f"{found['ratio_low']:.2f} to {found['ratio_high']:.2f}" if known else "")
    table = derived.comparison.table.set_index("variable")
    line = table.loc["oligometastatic"]
    counts = [line[f"{group}_{number}"] for group in ("high", "low") for number in ("n", "total")]
    assert counts == [3, 4, 1, 8]
    assert (round(line["odds_ratio"], 1), round(line["ci_low"], 2), round(line["ci_high"])) == (14.2, 0.59, 1253)


def test_the_intervals_of_the_page_on_intervals():
    rows = rows_of("ratio_interval.md", "x of n")
    assert len(rows) == 7
    for counts, ratio, jeffreys, wilson, above in rows:
        x, n = map(int, counts.split(" of "))
        assert ratio == f"{x / n:.2f}"
        assert jeffreys == "{:.2f} to {:.2f}".format(*jeffreys_interval(x, n))
        assert wilson == "{:.2f} to {:.2f}".format(*wilson_interval(x, n))
        assert above == f"{probability_above(x, n, 0.75):.2f}"
