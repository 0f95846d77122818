"""How commands end that something breaks off: an exit code and a line, no traceback, nobody left."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from cher2.cli_ending import INTERRUPTED, TERMINATED, run_to_its_end
from cher2.errors import StudyError, refusal

WAIT = """
import signal, sys, time
# As a terminal's programs have it: under nohup, and in the background, they are told to ignore it.
number = int(sys.argv[1])
signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
from cher2.cli_ending import run_to_its_end
def command():
    try:
        print("begun", flush=True)
        time.sleep(60)
    finally:
        print("cleaned up", flush=True)
run_to_its_end(command)
"""

on_posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@on_posix
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_stops_it_in_order(name):
    number, pipes = getattr(signal, name), {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", WAIT, str(int(number))], **pipes, text=True) as run:
        assert run.stdout.readline() == "begun\n"
        began = time.monotonic()
        run.send_signal(number)
        out, err = run.communicate(timeout=20)
    assert time.monotonic() - began < 5
    assert (run.returncode, out) == (128 + number, "cleaned up\n")
    assert err == "Stopped. The same command goes on where it stopped.\n"


@on_posix
def test_what_nohup_says_holds():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with pytest.raises(SystemExit) as ended:
            run_to_its_end(lambda: os.kill(os.getpid(), signal.SIGHUP) or sys.exit(7))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert ended.value.code == 7


@on_posix
def test_handlers_are_those_of_before():
    before = signal.getsignal(signal.SIGTERM)
    run_to_its_end(lambda: None)
    assert signal.getsignal(signal.SIGTERM) == before


def broken(error):
    def command():
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (StudyError("bad", where="x", remedy="Do it"), 2, "Error: x: bad. Do it."),
        (OSError(errno.ENOSPC, "", "/s/a.csv"), 2, "Error: /s/a.csv: the system refuses .* Make room on the disk"),
        (OSError(errno.EMFILE, ""), 2, "Error: this computer: .*Too many open files.* 'ulimit -n 4096'"),
        (PermissionError(errno.EACCES, "", b"/s"), 2, "Error: /s: .*Permission denied.* Allow reading and writing"),
        (OSError("odd"), 2, r"Error: this computer: .*\(odd\)\. Look whether the disk"),
        (ImportError("libx.so: cannot open: Too many open files"), 2, "Error: this computer: .*Too many open files"),
        (MemoryError(), 2, "Error: this computer: .* fewer --workers"),
        (KeyboardInterrupt(), INTERRUPTED, "Stopped"),
        (SystemExit(TERMINATED), TERMINATED, "Stopped"),
    ],
)
def test_each_end_is_a_line_and_a_code(capsys, error, code, said):
    with pytest.raises(SystemExit) as ended:
        run_to_its_end(broken(error))
    err = capsys.readouterr().err
    assert ended.value.code == code
    assert re.match(said, err), err
    assert err.count("\n") == 1


def test_another_exit_code_is_the_commands_own():
    with pytest.raises(SystemExit) as ended:
        run_to_its_end(broken(SystemExit(1)))
    assert ended.value.code == 1


def test_faults_of_cher2_are_not_dressed_up():
    with pytest.raises(ZeroDivisionError):
        run_to_its_end(broken(ZeroDivisionError()))
    assert str(refusal(OSError(errno.EIO, "", "f"))).startswith("f: the system refuses what cher2 needs (")


@on_posix
@pytest.mark.parametrize("words", [["protocol", "--example"], ["--help"]])
def test_output_that_nobody_reads_ends_it_without_a_word(words):
    program = "from cher2.cli import main; main()"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", program, *words], **pipes) as run:
        run.stdout.close()
        assert run.stderr.read() == b""
        assert run.wait(60) == 141
