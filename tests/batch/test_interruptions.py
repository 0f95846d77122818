"""Ctrl-C, and the death of a worker, in a real run with worker processes: nothing is lost and nobody is left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sysconfig
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from cher2.batch.run import run_study

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="children are looked up in /proc")

COMMAND = Path(sysconfig.get_path("scripts")) / "cher2"
COPIES = 3


@pytest.fixture(scope="module")
def many(scored, tmp_path_factory):
    """Return a folder of 24 frames, and what one process makes of them: its study."""
    home = tmp_path_factory.mktemp("many")
    for path in scored.images.rglob("*.tif"):
        for number in range(COPIES):
            copy = home / "images" / path.parent.name / f"frame_{number}.ome.tif"
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    run_study(home / "images", home / "study", workers=1)
    return home


@contextmanager
def started(images, study):
    """Start a run of two workers, give it out after its first images, and leave no process of it in the end."""
    words = [COMMAND, "run", images, "-o", study, "--workers", "2"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, **pipes, text=True, encoding="utf-8", start_new_session=True) as run:
        try:
            first = [run.stderr.readline() for _ in range(2)]
            assert all(line.startswith("[") for line in first), first
            run.first = first
            yield run
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)


def names_of(images):
    return {path.relative_to(images).as_posix() for path in images.rglob("*.tif")}


def state_of(pid):
    """Return a process's state and its parent; a process that has gone is as dead as a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "Z", 0
    state, parent = text.rsplit(")", 1)[1].split()[:2]
    return state, int(parent)


def is_alive(pid):
    return state_of(pid)[0] != "Z"


def children(pid):
    """Return the living processes that one has started."""
    everybody = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [child for child in everybody if state_of(child)[1] == pid and is_alive(child)]


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def workers_of(run):
    """Return the run's worker processes: its own children, or those of the server that forks them."""
    servers = [pid for pid in children(run.pid) if b"forkserver" in command_of(pid)]
    return [pid for server in servers for pid in children(server)] or [
        pid for pid in children(run.pid) if b"spawn_main" in command_of(pid)
    ]


def test_a_worker_that_is_killed_costs_nothing(many, tmp_path, results_of):
    with started(many / "images", tmp_path / "study") as run:
        os.kill(workers_of(run)[0], signal.SIGKILL)
        out, err = run.communicate(timeout=90)
    assert run.returncode == 0, err
    assert "Traceback" not in out + err
    # Each image is told once, whatever was tried twice: the count ends where it should, and none is left out.
    told = [line for line in err.splitlines() if line.startswith("[")]
    assert told[-1].startswith(f"[{8 * COPIES}/{8 * COPIES}]")
    assert {line.split()[1].rstrip(":") for line in [*run.first, *told]} == names_of(many / "images")
    # Two workers, one of them killed, give the bytes of one process.
    assert results_of(tmp_path / "study") == results_of(many / "study")


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_workers_end_with_their_command(many, tmp_path, name):
    with started(many / "images", tmp_path / "study") as run:
        family = [*children(run.pid), *workers_of(run)]
        began = time.monotonic()
        os.kill(run.pid, getattr(signal, name))
        _, err = run.communicate(timeout=60)
    assert run.returncode == (-signal.SIGKILL if name == "SIGKILL" else 128 + getattr(signal, name))
    assert ("Stopped." in err) == (name != "SIGKILL")
    while any(map(is_alive, family)) and time.monotonic() < began + 30:
        time.sleep(0.05)
    assert not any(map(is_alive, family))
    # Only who is killed cannot let the study go.
    assert (tmp_path / "study" / ".lock").exists() == (name == "SIGKILL")


def test_ctrl_c_ends_the_run_and_its_workers_and_the_next_goes_on(many, tmp_path, results_of):
    with started(many / "images", tmp_path / "study") as run:
        family = [run.pid, *children(run.pid), *workers_of(run)]
        assert len(workers_of(run)) == 2
        began = time.monotonic()
        # A terminal sends it to the whole group, workers included.
        os.killpg(run.pid, signal.SIGINT)
        out, err = run.communicate(timeout=60)
        took = time.monotonic() - began
    assert run.returncode == 130
    assert "Traceback" not in out + err
    assert "Stopped. The same command goes on where it stopped." in err
    assert took < 2
    while any(map(is_alive, family)) and time.monotonic() < began + 30:
        time.sleep(0.1)
    assert not any(map(is_alive, family))
    for folder in (tmp_path / "study").glob("images/*"):
        assert sorted(path.name for path in folder.iterdir()) == [
            "labels.tif",
            "measured.parquet",
            "objects.parquet",
            "score.json",
        ]
    calls = []
    run_study(many / "images", tmp_path / "study", workers=1, progress=calls.append)
    assert calls[0].done >= 2
    assert results_of(tmp_path / "study") == results_of(many / "study")


@pytest.mark.parametrize("seconds", [0.6, 1.2])
def test_ctrl_c_while_the_run_starts(many, tmp_path, seconds):
    words = [COMMAND, "run", many / "images", "-o", tmp_path / "study", "--workers", "2"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, **pipes, text=True, encoding="utf-8", start_new_session=True) as run:
        time.sleep(seconds)
        family = [run.pid, *children(run.pid), *workers_of(run)]
        os.killpg(run.pid, signal.SIGINT)
        out, err = run.communicate(timeout=30)
    assert run.returncode == 130
    assert "Traceback" not in out + err
    until = time.monotonic() + 10
    while any(map(is_alive, family)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(map(is_alive, family))
