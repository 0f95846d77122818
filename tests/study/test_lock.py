"""The lock of a study: one holder at a time, who is named; nobody who is dead is in the way."""

from __future__ import annotations

import getpass
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from cher2.errors import StudyError
from cher2.study.lock import LOCK, Holder, StudyLock, holder_of

HOLD = """
import sys, time
from pathlib import Path
from cher2.study.lock import StudyLock
with StudyLock(Path(sys.argv[1])).held("run"):
    print("held", flush=True)
    sys.stdin.read()
"""

# Each counts one up in a file, by reading and then writing: two at once would lose a count.
COUNT = """
import sys, time
from pathlib import Path
from cher2.errors import StudyError
from cher2.study.lock import StudyLock
study, done = Path(sys.argv[1]), 0
while done < 25:
    try:
        with StudyLock(study).held("run"):
            count = int((study / "count").read_text())
            time.sleep(0.0005)
            (study / "count").write_text(str(count + 1))
            done += 1
    except StudyError:
        time.sleep(0.001)
"""


@contextmanager
def another_holds(study):
    """Let another process hold a study."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(study)], **pipes, text=True) as other:
        try:
            assert other.stdout.readline() == "held\n"
            yield other
        finally:
            other.kill()


def test_the_second_is_refused_and_told_who_holds_it_but_no_user(tmp_path):
    with another_holds(tmp_path) as other:
        with pytest.raises(StudyError) as caught, StudyLock(tmp_path).held("report"):
            pass
        said = str(caught.value)
        assert said.startswith(f"{tmp_path}: the study is being written by 'cher2 run' on the computer ")
        assert f"{socket.gethostname()}, process {other.pid}, since 20" in said
        assert "Wait until that has ended" in said
        assert set(json.loads((tmp_path / LOCK).read_text())) == {"what", "host", "boot", "process", "began", "since"}
        assert getpass.getuser() not in (tmp_path / LOCK).read_text().replace(socket.gethostname(), "")
        other.stdin.close()
        assert other.wait(10) == 0
    assert not list(tmp_path.iterdir())


def test_whoever_holds_it_may_take_it_again(tmp_path):
    lock = StudyLock(tmp_path)
    with lock.held("run"):
        with lock.held("report"):
            assert holder_of(tmp_path).what == "run"
        with pytest.raises(StudyError, match=f"process {os.getpid()},"), StudyLock(tmp_path).held("run"):
            pass
    assert not list(tmp_path.iterdir())


def test_it_is_let_go_by_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), StudyLock(tmp_path).held("run"):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
def test_a_lock_of_a_dead_process_is_taken(tmp_path):
    with another_holds(tmp_path) as other:
        os.kill(other.pid, signal.SIGKILL)
        other.wait(10)
    assert holder_of(tmp_path).process == other.pid
    assert not holder_of(tmp_path).lives
    with StudyLock(tmp_path).held("run"):
        assert holder_of(tmp_path).process == os.getpid()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change",
    [
        {"process": os.getppid()},
        {"began": "1", "process": os.getpid()},
        {"boot": "before it was started anew"},
        {"host": "its former name"},
    ],
    ids=["number-taken-by-another", "own-number", "after-a-restart", "renamed"],
)
def test_a_lock_that_nobody_holds_any_more_is_taken(tmp_path, change):
    left = vars(Holder.this_process("run")) | change
    if "host" in change and not left["boot"]:
        pytest.skip("only Linux tells one running system from another")
    (tmp_path / LOCK).write_text(json.dumps(left))
    with StudyLock(tmp_path).held("run"):
        assert holder_of(tmp_path).process == os.getpid()


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"what": "run"}'])
def test_half_a_lock_is_taken(tmp_path, content):
    (tmp_path / LOCK).write_text(content)
    with StudyLock(tmp_path).held("run"):
        assert holder_of(tmp_path).lives


def test_a_lock_of_another_computer_is_believed_until_somebody_has_looked(tmp_path):
    left = vars(Holder.this_process("run")) | {
        "host": "scope2",
        "boot": "another",
        "process": 77,
        "since": "2026-11-22",
    }
    (tmp_path / LOCK).write_text(json.dumps(left))
    says = "computer scope2, process 77, since 2026-11-22, and this"
    with pytest.raises(StudyError, match=says) as caught, StudyLock(tmp_path).held("run"):
        pass
    assert caught.value.remedy.startswith("Look there. If it has ended, remove the study's file .lock")
    assert json.loads((tmp_path / LOCK).read_text()) == left
    (tmp_path / LOCK).unlink()
    with StudyLock(tmp_path).held("run"):
        pass


def test_of_many_that_begin_at_once_one_holds_it_at_a_time(tmp_path):
    (tmp_path / "count").write_text("0")
    started = [subprocess.Popen([sys.executable, "-c", COUNT, str(tmp_path)]) for _ in range(3)]
    assert [one.wait(60) for one in started] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "75"
    assert [path.name for path in tmp_path.iterdir()] == ["count"]


def test_a_folder_that_is_gone_is_named(tmp_path):
    with pytest.raises(StudyError, match="cannot be written to"), StudyLock(Path(tmp_path, "gone")).held("run"):
        pass
