"""The walls of the house: which room may import which, what is pure, and what starts at once."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cher2

ROOT = Path(cher2.__file__).parent
MODULES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in ROOT.rglob("*.py")
}

# docs/architecture.md draws these; a room imports rooms of lower rank, and its own.
RANKS = {
    "errors": 0,
    "palette": 0,
    "guards": 1,
    "protocol": 1,
    "images": 2,
    "cells": 3,
    "patients": 4,
    "cohorts": 5,
    "study": 5,
    "review": 6,
    "report": 7,
    "exchange": 7,
    "simulate": 8,
    "batch": 9,
    "audit": 10,
    "doctor": 10,
    "progress": 10,
    "napari": 11,
    "cli_ending": 12,
    "cli_info": 12,
    "cli_review": 12,
    "cli_study": 13,
    "cli": 14,
}

PURE = ("cells", "patients", "cohorts")
DESKTOP = {
    "napari",
    "qtpy",
    "magicgui",
    "superqt",
    "app_model",
    "PyQt5",
    "PyQt6",
    "PySide2",
    "PySide6",
    "vispy",
}
# The command that opens the review's window asks napari in only when it is called.
OPEN_A_WINDOW = {"cli_review.py": "cher2.napari.review_window"}
# Weights of a model can only be loaded from a disk; docs/architecture.md says so.
LOAD_MODELS = {"cells/segmenters/weights.py": {"pathlib"}, "cells/segmenters/stardist.py": {"pathlib"}}
FILES = {"pathlib", "os", "io", "shutil", "tempfile", "glob", "sqlite3", "socket", "urllib", "subprocess", "pyarrow"}


def room_of(name: str) -> str:
    return name.split("/")[0].removesuffix(".py")


def imports(tree: ast.Module) -> list[tuple[int, str]]:
    """Return every import of a module, those inside functions too, with its line."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import hides which room it enters"
            found.append((node.lineno, node.module))
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names if node.module == "cher2"]
    return found


def test_every_module_is_seen_and_has_a_rank():
    assert len(MODULES) > 40
    assert {room_of(name) for name in MODULES} - {"__init__"} <= set(RANKS)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_run_one_way(name):
    own = room_of(name)
    if own == "__init__":
        return
    for line, module in imports(MODULES[name]):
        if not module.startswith("cher2."):
            continue
        room = module.split(".")[1]
        if room == "__version__" or room == own:
            continue
        assert RANKS[room] < RANKS[own], f"{name}:{line} imports {module}: {own} stands below or beside {room}"


@pytest.mark.parametrize("name", sorted(name for name in MODULES if room_of(name) in PURE))
def test_pure_rooms_touch_no_file_and_print_nothing(name):
    forbidden_here = (FILES | DESKTOP) - LOAD_MODELS.get(name, set())
    for line, module in imports(MODULES[name]):
        assert module.split(".")[0] not in forbidden_here, f"{name}:{line} imports {module}"
    for node in ast.walk(MODULES[name]):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        forbidden = called in {"print", "open", "input", "read_csv", "to_csv", "read_parquet", "to_parquet", "savefig"}
        assert not forbidden, f"{name}:{node.lineno} calls {called}"


@pytest.mark.parametrize("name", sorted(name for name in MODULES if room_of(name) != "napari"))
def test_only_the_plugin_knows_napari_and_qt(name):
    for line, module in imports(MODULES[name]):
        assert module.split(".")[0] not in DESKTOP, f"{name}:{line} imports {module}"
        may = module == OPEN_A_WINDOW.get(name, "-")
        assert may or not module.startswith("cher2.napari"), f"{name}:{line} imports {module}"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_module_says_what_it_is_for(name):
    assert ast.get_docstring(MODULES[name]), f"{name} has no docstring"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_module_is_a_drawer(name):
    assert Path(name).stem not in {"utils", "util", "helpers", "common", "misc", "manager", "managers"}
    assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= 350


def loaded_by(statement: str) -> set[str]:
    """Return the top-level packages that a fresh Python has loaded after a statement."""
    code = f"import sys; {statement}; print(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement", ["import cher2", "import cher2.cli", "import cher2; dir(cher2); cher2.Cher2Error"]
)
def test_the_package_and_its_command_start_without_heavy_libraries(statement):
    heavy = {"numpy", "pandas", "cv2", "scipy", "skimage", "pydantic", "dask", "distributed", "matplotlib", "pyarrow"}
    heavy |= {"sqlalchemy", "psygnal"}
    loaded = loaded_by(statement)
    assert "cher2" in loaded
    assert not loaded & (heavy | DESKTOP)


def test_a_run_that_nobody_reviewed_loads_no_database_nor_figures():
    assert not loaded_by("import cher2.batch.run, cher2.report.renewal") & {"sqlalchemy", "matplotlib"}


def test_scoring_asks_for_no_segmenter_beside_the_built_in_one():
    score = (
        "import numpy; from cher2.cells.segmenters import registry; registry.entry_points = None; "
        "from cher2 import Image, score_image; "
        "score_image(Image(numpy.zeros((4, 64, 64), numpy.uint16), ('DAPI', 'CK', 'CD45', 'HER2'), 0.64))"
    )
    assert not loaded_by(score) & {"stardist", "csbdeep", "tensorflow", "cellpose", "torch"}


def test_scoring_needs_neither_dask_nor_a_display():
    loaded = loaded_by("from cher2.batch.run import run_study; from cher2.report.write import write_report")
    assert {"cv2", "pandas"} <= loaded
    assert not loaded & (DESKTOP | {"distributed"})
