"""A scheduler and workers elsewhere: real processes of Dask's, found fit or refused before any work."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections import deque
from contextlib import ExitStack
from pathlib import Path

import cv2
import pandas
import pytest

import cher2
from cher2.batch import cluster, dispatch
from cher2.batch.engine import Shared, Task, open_engine
from cher2.batch.run import run_study
from cher2.errors import StudyError
from cher2.study.folder import Study

sys.path.insert(0, str(Path(__file__).parent))
from dask_processes import page_faults, process_id, scheduler, worker

PANDAS = "Metadata-Version: 2.1\nName: pandas\nVersion: 0.1\n"
COMMAND = Path(sysconfig.get_path("scripts")) / "cher2"


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """Return the address of a scheduler with one worker; both stand in another folder than the tests."""
    folder = tmp_path_factory.mktemp("elsewhere")
    with scheduler(folder) as (address, _), worker(address, folder):
        yield address


def pretend(folder, name, text):
    """Put a file into a folder that a worker loads before all others."""
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def outcomes(address, *tasks, shared=None):
    with open_engine(9, address, shared) as engine:
        return [outcome for _, outcome in engine(deque(tasks))]


def test_a_run_by_relative_paths_gives_what_one_process_gives(elsewhere, scored, tmp_path, monkeypatch, results_of):
    shutil.copytree(scored.images / "P02", tmp_path / "images" / "P02")
    monkeypatch.chdir(tmp_path)
    run_study("images", "study", scheduler=elsewhere)
    run_study("images", "alone", workers=1)
    assert results_of(tmp_path / "study") == results_of(tmp_path / "alone")


def test_a_worker_keeps_to_one_thread_and_keeps_its_memory(elsewhere):
    # Asked of the process itself; as Dask starts a worker, an array of this size is given back and mapped anew.
    assert outcomes(elsewhere, Task(cv2.getNumThreads, ())) == [1]
    faults = outcomes(elsewhere, *[Task(page_faults, ())] * 3)
    assert faults[-1] < 100


def test_a_worker_that_comes_later_takes_its_part(elsewhere, tmp_path):
    def come():
        stack.enter_context(worker(elsewhere, tmp_path))

    with ExitStack() as stack, open_engine(9, elsewhere) as engine:
        later = threading.Thread(target=come)
        tasks, seen = deque([Task(process_id, ())] * 10), set()
        for number, (_, outcome) in enumerate(engine(tasks)):
            seen.add(outcome)
            if number == 0:
                later.start()
            if len(seen) == 1 and number < 1000:
                tasks.append(Task(process_id, ()))
        later.join()
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("cher2.py", "__version__ = '0.0.1'", ["cher2 0.0.1", f"cher2 {cher2.__version__}"]),
        ("cher2.py", "raise ModuleNotFoundError('not here')", ["no cher2 that can be loaded", "not here"]),
        ("pandas-0.1.dist-info/METADATA", PANDAS, ["pandas 0.1 and not " + pandas.__version__]),
    ],
)
def test_a_worker_with_other_software_is_refused_with_both_versions(elsewhere, tmp_path, name, text, words):
    pretend(tmp_path, name, text)
    with worker(elsewhere, tmp_path, before=tmp_path), pytest.raises(StudyError) as caught:
        outcomes(elsewhere, Task(os.getpid, ()))
    for word in ("worker tcp://127.0.0.1", "here is other software", *words):
        assert word in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_worker_with_other_libraries_that_comes_later_stops_the_run_in_words(elsewhere, tmp_path, monkeypatch):
    monkeypatch.setattr(dispatch, "LOOK_EVERY_S", 0.2)
    pretend(tmp_path, "pandas-0.1.dist-info/METADATA", PANDAS)
    with open_engine(9, elsewhere) as engine:
        run = engine(deque([Task(process_id, ())] * 1000))
        next(run)
        with worker(elsewhere, tmp_path, before=tmp_path), pytest.raises(StudyError, match=r"pandas 0\.1 and not"):
            deque(run)


def test_a_worker_without_cher2_that_comes_later_ends_and_costs_nothing(elsewhere, tmp_path, monkeypatch):
    # Dask ends a worker that cannot unpack a task; what it held goes to another.
    monkeypatch.setattr(dispatch, "LOOK_EVERY_S", 0.2)
    pretend(tmp_path, "cher2.py", "raise ModuleNotFoundError('not here')")
    with open_engine(9, elsewhere) as engine:
        tasks = deque([Task(process_id, ())] * 10)
        run = engine(tasks)
        next(run)
        with worker(elsewhere, tmp_path, before=tmp_path) as unfit:
            for number, _ in enumerate(run):
                assert number < 1000
                if unfit.poll() is None:
                    tasks.append(Task(process_id, ()))
            assert unfit.poll() is not None


def test_a_scheduler_without_workers_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "FIRST_WORKER_S", 0.5)
    with scheduler(tmp_path) as (address, _), pytest.raises(StudyError, match="no worker") as caught:
        outcomes(address, Task(os.getpid, ()))
    assert f"dask worker {address}" in str(caught.value)


def test_the_last_worker_goes_and_none_comes(tmp_path, monkeypatch):
    monkeypatch.setattr(dispatch, "LOOK_EVERY_S", 0.2)
    monkeypatch.setattr(dispatch, "WITHOUT_WORKERS_S", 0.5)
    with scheduler(tmp_path) as (address, _), worker(address, tmp_path) as own, open_engine(9, address) as engine:
        run = engine(deque([Task(os.getpid, ()), Task(time.sleep, (60,))]))
        assert next(run)[1] == own.pid
        own.send_signal(signal.SIGTERM)
        with pytest.raises(StudyError, match="no worker"):
            next(run)


def test_a_scheduler_that_is_killed_stops_the_run_and_a_new_one_goes_on(tmp_path):
    with scheduler(tmp_path) as (address, own), worker(address, tmp_path), open_engine(9, address) as engine:
        tasks = deque([Task(process_id, ())] * 100)
        run = engine(tasks)
        next(run)
        own.kill()
        with pytest.raises(StudyError, match="scheduler has gone"):
            deque(run)
    port = int(address.rpartition(":")[2])
    with scheduler(tmp_path, port) as (again, _), worker(again, tmp_path):
        assert again == address
        assert len(outcomes(address, Task(os.getpid, ()))) == 1


def test_a_worker_that_sees_other_folders_is_refused(elsewhere, scored, tmp_path):
    study = Study(shutil.copytree(scored.path, tmp_path / "study")).path
    (study / ".measured").mkdir(exist_ok=True)
    images = sorted(scored.images.rglob("*.tif"))[:1]
    assert outcomes(elsewhere, Task(abs, (-1,)), shared=Shared(tuple(images), study)) == [1]
    assert not any((study / ".measured").iterdir())
    shutil.rmtree(study / ".measured")
    with pytest.raises(StudyError, match=f"does not see the study folder {study}"):
        outcomes(elsewhere, Task(abs, (-1,)), shared=Shared(tuple(images), study))


def hidden(folder):
    """Return the words that start a program which sees another, empty folder in the place of one."""
    words = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$1" && shift && exec "$@"', "sh", str(folder)]
    if not shutil.which("unshare") or subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount anything")
    return words


@pytest.mark.parametrize("which", ["images", "study"])
def test_a_worker_on_another_machine_is_refused_before_any_work(scored, tmp_path, which):
    shutil.copytree(scored.images / "P02", tmp_path / "images" / "P02")
    (tmp_path / "study").mkdir()
    words = hidden(tmp_path / which)
    (tmp_path / "dask").mkdir()
    with (
        scheduler(tmp_path / "dask") as (address, _),
        worker(address, tmp_path / "dask", through=words),
        pytest.raises(StudyError, match="does not see the " + which[:5]),
    ):
        run_study(tmp_path / "images", tmp_path / "study", scheduler=address)
    assert not any((tmp_path / "study").iterdir())


@pytest.fixture
def certificates(tmp_path):
    """Return files of a new authority and a key that it vouches for, as environment variables of Dask's settings."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cher2 test")])
    today = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (tmp_path / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *private))
    (tmp_path / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files = {"ca-file": "certificate.pem"}
    for role in ("scheduler", "worker", "client"):
        files |= {f"{role}__cert": "certificate.pem", f"{role}__key": "key.pem"}
    prefix = "DASK_DISTRIBUTED__COMM__TLS__"
    return {prefix + key.upper().replace("-", "_"): str(tmp_path / file) for key, file in files.items()}


def test_tls_by_dasks_own_settings(tmp_path, certificates, scored, results_of):
    shutil.copytree(scored.images / "P02", tmp_path / "images" / "P02")
    encrypted = {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True"}
    with (
        scheduler(tmp_path, 0, protocol="tls", **certificates, **encrypted) as (address, _),
        worker(address, tmp_path, **certificates, **encrypted),
    ):
        assert address.startswith("tls://")
        with pytest.raises(StudyError, match="no Dask scheduler answers"):
            outcomes(address, Task(os.getpid, ()))
        words = [COMMAND, "run", tmp_path / "images", "-o", tmp_path / "study", "--scheduler", address]
        done = subprocess.run(words, env=os.environ | certificates, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert results_of(tmp_path / "study").keys() >= {"patients.csv", "cells.csv"}
