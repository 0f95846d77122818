"""The command doctor: everything in one answer, as JSON too, and nobody's name in it."""

import getpass
import json
import re
import socket
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def said():
    from cher2.doctor.diagnosis import diagnose

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHER2_NAME_HOST", "1")
        return diagnose()


def test_nothing_that_the_base_needs_is_missing_here(said):
    assert said.missing == ()
    assert list(dict.fromkeys(finding.section for finding in said.findings)) == [
        *("software", "libraries", "extras", "window", "computer")
    ]
    (workers,) = [finding for finding in said.findings if finding.what == "worker processes"]
    assert workers.found.startswith("can be started")


def test_nobody_is_named(said):
    words = f"{said} {json.dumps(said.as_dict())}"
    for name in (socket.gethostname(), getpass.getuser(), str(Path.home())):
        assert not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", words), name


def test_the_command_prints_and_ends_by_what_was_found(command, monkeypatch, said):
    from cher2.doctor import diagnosis
    from cher2.doctor.findings import Diagnosis, Finding

    monkeypatch.setattr(diagnosis, "diagnose", lambda: said)
    ran = command("doctor")
    assert (ran.code, ran.out.strip()) == (0, str(said))
    lacking = Diagnosis((Finding("libraries", "scipy", "not installed", "missing", "pip install scipy"),))
    monkeypatch.setattr(diagnosis, "diagnose", lambda: lacking)
    ran = command("doctor", "--json")
    assert (ran.code, json.loads(ran.out)) == (1, lacking.as_dict())
