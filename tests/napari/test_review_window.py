"""``cher2 review`` as a reader starts it: a process of its own with a real window."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sysconfig
import time
from pathlib import Path

import pytest

CHER2 = Path(sysconfig.get_path("scripts")) / "cher2"


@pytest.fixture
def home(scored, tmp_path):
    shutil.copytree(scored.path, tmp_path / "study")
    shutil.copytree(scored.images, tmp_path / "images")
    return tmp_path / "study"


def places(home):
    """Return how many readers' places the database holds; one is stored a second after the window is shown."""
    try:
        with sqlite3.connect(f"file:{home / 'reviews.sqlite'}?mode=ro", uri=True) as database:
            return database.execute("SELECT count(*) FROM bookmarks").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def test_the_window_opens_and_ctrl_c_closes_it(home):
    words = [CHER2, "review", home, "--reader", "anna", "--images", home.parent / "images"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        end = time.monotonic() + 90
        while not places(home) and process.poll() is None and time.monotonic() < end:
            time.sleep(0.2)
        shown = places(home)
        process.send_signal(signal.SIGINT)
        try:
            said, _ = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert shown == 1, said
    assert process.returncode == 0, said
    assert "Traceback" not in said


def test_what_cannot_be_reviewed_is_refused_in_one_line_without_a_window(tmp_path):
    done = subprocess.run([CHER2, "review", tmp_path], capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 2
    assert "no study folder" in done.stderr
    assert len(done.stderr.splitlines()) == 1
