"""The project's habits: workflows and forms that are valid, sessions that exist, one version everywhere."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import cher2
from cher2.cli import app

ROOT = Path(__file__).parents[1]
YAML = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob(".github/**/*.yml"))
WORKFLOWS = [name for name in YAML if "/workflows/" in name]
FORMS = [name for name in YAML if "/ISSUE_TEMPLATE/" in name and not name.endswith("config.yml")]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def load(name):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def commands(workflow):
    return [step["run"] for job in load(workflow)["jobs"].values() for step in job["steps"] if "run" in step]


def filled(command, job):
    """Return a command for each entry of its job's matrix."""
    matrix = job.get("strategy", {}).get("matrix", {})
    found = [command]
    for key, values in matrix.items():
        found = [text.replace(f"${{{{ matrix.{key} }}}}", value) for text in found for value in values]
    return found


def sessions_of(text):
    """Return the sessions that nox is asked for: `nox -s lint "tests-3.11(pyqt6)"`."""
    asked = re.findall(r'nox -s ((?:"[^"]+"|[\w.]+)(?: (?:"[^"]+"|[a-z][\w.]*\b))*)', text)
    return {name.strip('"') for words in asked for name in re.findall(r'"[^"]+"|\S+', words)}


@pytest.fixture(scope="module")
def sessions():
    done = subprocess.run([sys.executable, "-m", "nox", "--list"], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(re.findall(r"^[*-] (\S+) -> ", done.stdout, re.MULTILINE))


def test_there_are_workflows_and_forms():
    assert [Path(name).stem for name in WORKFLOWS] == ["ci", "release", "scheduled"]
    assert [Path(name).stem for name in FORMS] == ["bug", "question", "wrong_number"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflows_have_what_runs_them(name):
    workflow = load(name)
    # YAML 1.1 reads the key "on" as true.
    assert workflow[True]
    for job in workflow["jobs"].values():
        assert job["runs-on"]
        assert all(("run" in step) != ("uses" in step) for step in job["steps"])
        assert set(job.get("needs", "").split()) <= set(workflow["jobs"])


@pytest.mark.parametrize("name", WORKFLOWS)
def test_actions_are_githubs_own_and_files_are_there(name):
    used = [step["uses"] for job in load(name)["jobs"].values() for step in job["steps"] if "uses" in step]
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in used)
    for script in re.findall(r"sh (tests/\S+)", "\n".join(commands(name))):
        assert (ROOT / script).is_file()


def test_sessions_that_are_named_exist(sessions):
    named = sessions_of(CONTRIBUTING)
    assert {"lint", "build", "tests-3.11(pyqt6)"} <= named
    asked = set()
    for name in WORKFLOWS:
        for job in load(name)["jobs"].values():
            for step in job["steps"]:
                for command in filled(step.get("run", ""), job):
                    asked |= sessions_of(command)
    assert {"tests-3.13(pyside6)", "smoke-3.12(pyqt6)"} <= asked
    assert named | asked <= sessions


def test_every_python_that_is_promised_is_tested(sessions):
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["classifiers"]
    promised = {line.split(" :: ")[-1] for line in classifiers if re.search(r":: 3\.\d+$", line)}
    assert {f"tests-{python}({qt})" for python in promised for qt in ("pyqt6", "pyside6")} <= sessions


@pytest.mark.parametrize("name", FORMS)
def test_forms_are_those_of_github(name):
    form = load(name)
    assert {"name", "description", "body"} <= set(form)
    asked = [entry for entry in form["body"] if entry["type"] != "markdown"]
    assert {entry["type"] for entry in asked} <= {"textarea", "input", "dropdown", "checkboxes"}
    assert len({entry["id"] for entry in asked}) == len(asked)
    assert all(entry["attributes"]["label"] for entry in asked)


def test_commands_that_forms_and_contributing_name_exist():
    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    text = CONTRIBUTING + "".join((ROOT / name).read_text(encoding="utf-8") for name in FORMS)
    named = set(re.findall(r"`cher2 ([a-z]+)", text))
    assert {"doctor", "verify", "info"} <= named <= known


def test_hooks_need_nothing_but_the_package_registry():
    config = load(".pre-commit-config.yaml")
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    assert {"ruff", "ruff-format", "mypy", "end-of-file-fixer"} <= {hook["id"] for hook in config["repos"][0]["hooks"]}


def test_the_version_is_one():
    assert re.fullmatch(r"\d+\.\d+\.\d+", cher2.__version__)
    assert load("CITATION.cff")["version"] == cher2.__version__
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0].startswith("Unreleased")
    dated = [heading for heading in headings if not heading.startswith("Unreleased")]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d{2}-\d{2}", heading) for heading in dated)
