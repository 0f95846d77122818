"""A small synthetic study, scored once for all tests, and the command line as a function."""

from __future__ import annotations

import gc
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import uuid
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings

from cher2 import cli
from cher2.simulate.settings import StudySettings
from cher2.simulate.study import simulate_study

# The same examples in every run of CI; CONTRIBUTING.md says how to run a night.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("night", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# A shell's job in the background ignores Ctrl-C, and so would every program that a test starts and stops.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# With this seed, all four groups are there: high, low, excluded and undefined.
SETTINGS = StudySettings(
    patients=8,
    frames_per_patient=1,
    frame_shape=(240, 320),
    leukocytes_per_frame=20,
    ctcs_per_patient=10,
    specks_per_frame=10,
    debris_per_frame=1,
    compress=True,
    seed=1,
)

CHER2 = Path(sysconfig.get_path("scripts")) / "cher2"


class Ran(NamedTuple):
    """What a command gave."""

    code: int
    out: str
    err: str


class Scored(NamedTuple):
    """A synthetic study and what ``cher2 run`` made of it; for reading only."""

    images: Path
    clinical: Path
    path: Path
    ran: Ran


# Each of the two processes of "make test" takes whole files: none of these is to be what one of them still does alone.
LONG = (
    "tests/napari/test_review_widget.py",
    "tests/batch/test_cluster.py",
    "tests/batch/test_interruptions.py",
    "tests/napari/test_review_pages.py",
    "tests/batch/test_verify.py",
    "tests/batch/test_bad_input.py",
    "tests/napari/test_score_widget.py",
    "tests/report/test_renewal.py",
    "tests/test_cli.py",
    "tests/review/test_final_results.py",
    "tests/batch/test_run.py",
    "tests/napari/test_outline_editor.py",
)


def pytest_collection_modifyitems(items):
    """Put the files that take longest first."""
    place = {file: number for number, file in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.nodeid.partition("::")[0], len(LONG)))


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Load all tests without searching for garbage, and leave the million objects loaded out of every later search."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory):
    """Return the folder of a synthetic study: images, clinical.csv, truth."""
    folder = tmp_path_factory.mktemp("synthetic") / "study"
    simulate_study(folder, SETTINGS)
    return folder


@pytest.fixture(scope="session")
def scored(synthetic, tmp_path_factory):
    """Return the synthetic study as the installed command scores it."""
    home = tmp_path_factory.mktemp("scored") / "study"
    images, clinical = synthetic / "images", synthetic / "clinical.csv"
    words = [CHER2, "run", images, "-o", home, "--clinical", clinical, "--workers", "1"]
    done = subprocess.run(words, capture_output=True, text=True, encoding="utf-8", check=False, timeout=120)
    return Scored(images, clinical, home, Ran(done.returncode, done.stdout, done.stderr))


@pytest.fixture(scope="session")
def s3():
    """Return a real S3 server on this machine, which s3fs here and in worker processes is led to."""
    from s3_server import S3Server

    settings = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "s3cret", "AWS_DEFAULT_REGION": "us-east-1"}
    server = S3Server()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (settings | {"AWS_ENDPOINT_URL": server.url}).items():
            patch.setenv(name, value)
        yield server
    server.stop()


@pytest.fixture
def bucket(s3):
    """Return an empty bucket of a name of its own, as a place."""
    from cher2.images.places import in_store, place

    bucket = place(f"s3://test-{uuid.uuid4().hex}")
    in_store(bucket)[0].mkdir(bucket.drive)
    s3.requests.clear()
    s3.busy.clear()
    return bucket


@pytest.fixture
def study_copy(scored, tmp_path):
    """Return a copy of the scored study that a test may change, beside its own copy of the images."""
    shutil.copytree(scored.images, tmp_path / "images")
    shutil.copytree(scored.path, tmp_path / "study")
    return tmp_path / "study"


@pytest.fixture
def images(synthetic, tmp_path):
    """Return a folder with the images of three patients (low, high, high) that a test may change."""
    for patient in ("P02", "P03", "P08"):
        shutil.copytree(synthetic / "images" / patient, tmp_path / "images" / patient)
    return tmp_path / "images"


@pytest.fixture
def command(monkeypatch, capsys):
    """Return the command line as a function: its words in, exit code and texts out."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["cher2", *map(str, words)])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture
def refused(command, tmp_path):
    """Return a function that runs a command which must be refused in one line, and leave nothing behind."""

    def run(*words, says=()):
        before = snapshot(tmp_path)
        ran = command(*words)
        assert ran.code == 2, ran
        # Lines of progress may stand before it, where images were tried.
        *progress, line = ran.err.splitlines()
        assert all(text.startswith("[") for text in progress), ran.err
        assert line.startswith("Error: "), ran.err
        assert line.endswith("."), ran.err
        for word in says:
            assert str(word) in line, ran.err
        assert snapshot(tmp_path) == before
        return line

    return run


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Return every file and folder below a folder with its bytes."""
    paths = sorted(folder.rglob("*"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in paths}


@pytest.fixture
def files_of():
    """Return a function that gives every file and folder below a folder with its bytes."""
    return snapshot


@pytest.fixture
def judge():
    """Return a function that stores decisions on a study: rows of the ledger's table, and a word for each.

    A word is a grade, "not" (no CTC), "is" (a CTC, without a grade), "skip" or "note".
    """
    from cher2.review.ledger import Ledger
    from cher2.review.open_log import open_log

    actions = {"not": ("not_ctc", "other"), "is": ("ctc", "ctc"), "skip": ("skip", "ctc"), "note": ("note", "ctc")}

    def store(study, rows, words, reader="Ada", reading="open", images=(), **more):
        with closing(open_log(study)) as log:
            ledger = Ledger(study, log.entries())
            for image in images:
                ledger.add_objects(image)
            decisions = []
            for row, word in zip(rows, words, strict=True):
                action, kind = actions.get(word, ("grade", "ctc"))
                after = (kind, None if word in actions else int(word))
                decisions.append(
                    ledger.decision_on(row, action, reader, ledger.machine(row), after, reading=reading, **more)
                )
            return log.append(decisions)

    return store


@pytest.fixture
def results_of():
    """Return a function that gives the bytes of all results of a study: what must not depend on how it ran."""

    def read(study: Path) -> dict[str, bytes | None]:
        kept = {
            name: data for name, data in snapshot(study).items() if Path(name).suffix in (".parquet", ".csv", ".tif")
        }
        scores = {name: json.loads(data) for name, data in snapshot(study).items() if name.endswith("score.json")}
        for score in scores.values():
            score["source"].pop("stamp")
        return kept | {name: json.dumps(score, sort_keys=True).encode() for name, score in scores.items()}

    return read


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a tiny distribution for one test, as pip would: its modules and its metadata."""
    site = tmp_path / "site"
    before = set(sys.modules)

    def put(name, version, modules, segmenters=None):
        home = site / f"{name.replace('-', '_')}-{version}.dist-info"
        home.mkdir(parents=True)
        (home / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
        lines = [f"{key} = {value}" for key, value in (segmenters or {}).items()]
        (home / "entry_points.txt").write_text("\n".join(["[cher2.segmenters]", *lines]), encoding="utf-8")
        for path, text in modules.items():
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        return site

    monkeypatch.syspath_prepend(site)
    yield put
    from cher2.cells.segmenters.registry import load_segmenter

    load_segmenter.cache_clear()
    for module in set(sys.modules) - before:
        if str(getattr(sys.modules[module], "__file__", "") or "").startswith(str(site)):
            del sys.modules[module]
