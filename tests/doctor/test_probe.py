"""A look into another Python: crashes, errors and hanging are told, and what was found before is kept."""

import sys

import pytest

from cher2.doctor.probe import look, without_folders


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("", ""),
        ("raise SystemExit(3)", "it ended with exit code 3"),
        ("raise ValueError('no such thing')", "ValueError: no such thing"),
        ("raise OSError('/home/meier/lib/libGL.so.1: not found')", "OSError: libGL.so.1: not found"),
    ],
)
def test_a_probe_that_ends(code, fault):
    told = look("-c", f"print('noise'); print('{{\"a\": 1}}', flush=True); {code}")
    assert told.facts == {"a": 1}
    assert told.fault == fault


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")
def test_a_probe_that_crashes():
    told = look("-c", "import os, sys; print('{\"a\": 1}', 'b', sep='\\n', flush=True); sys.stderr.write('why'); "
                "sys.stderr.flush(); os.abort()")  # fmt: skip
    assert told.facts == {"a": 1}
    assert told.fault == "it crashed (SIGABRT): why"


def test_a_probe_that_hangs():
    told = look("-c", "import time; print('{\"a\": 1}', flush=True); time.sleep(60)", timeout_s=2)
    assert told.facts == {"a": 1}
    assert told.fault == "no answer in 2 s"


def test_the_current_folder_is_not_looked_into(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    assert look("-c", "import json").fault == ""


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("cannot open /home/ann/a b/x.so", "cannot open a b/x.so"),
        (r"DLL load failed: C:\Users\Ann\lib\x.dll", "DLL load failed: x.dll"),
        ("no module named 'cv2'", "no module named 'cv2'"),
        ("1/2 done and/or not", "1/2 done and/or not"),
    ],
)
def test_folders_are_left_out(words, kept):
    assert without_folders(words) == kept
