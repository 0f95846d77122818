"""Cores, memory, disk and workers in words; what is short is told with what to do."""

from collections import namedtuple
from pathlib import Path

import cher2
from cher2.doctor import computer
from cher2.doctor.computer import computer_findings, look_at_workers
from cher2.doctor.probe import Told

FINE = Told({"another_process": True}, "")
MACHINE = {
    "cores": 8,
    "memory_gb": 16.0,
    "arithmetic": {"blas": "openblas 1", "vector_instructions": ["AVX2"], "threads": {"OMP_NUM_THREADS": "2"}},
}


def by_name(machine, workers=FINE):
    base = Told({"machine": machine} if machine else {}, "")
    return {finding.what: finding for finding in computer_findings(base, workers)}


def test_workers_that_cannot_be_started(tmp_path, monkeypatch):
    (tmp_path / "distributed.py").write_text("raise OSError('Function not implemented')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(cher2.__file__).parents[1]}")
    found = by_name(MACHINE, look_at_workers())["worker processes"]
    assert found.state == "missing"
    assert found.found == "cannot be started: OSError: Function not implemented"
    assert found.remedy.startswith("run with --workers 1")


def test_the_computer_in_words():
    found = by_name(MACHINE)
    assert {name: found[name].found for name in ("cores", "memory", "linear algebra", "OMP_NUM_THREADS")} == {
        "cores": "8",
        "memory": "16 GB",
        "linear algebra": "openblas 1",
        "OMP_NUM_THREADS": "2",
    }
    assert by_name(MACHINE | {"memory_gb": 2.0})["memory"].remedy == "with little memory, run with --workers 1"
    assert by_name(None)["cores and memory"].found == "not known: cher2 cannot be loaded"


def test_a_full_disk_and_no_folder_at_all(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(computer.shutil, "disk_usage", lambda _: usage(2**40, 2**40, 2**29))
    assert by_name(MACHINE)["disk for temporary files"].found == "0.5 GB free"

    def nowhere():
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(computer.tempfile, "gettempdir", nowhere)
    assert by_name(MACHINE)["disk for temporary files"].state == "missing"


def test_decisions_on_a_networks_disk_are_told_of():
    disk = namedtuple("disk", "mountpoint fstype opts")
    assert computer._decisions([disk("/", "ext4", "rw")]).state == "ok"
    found = computer._decisions([disk("/", "nfs4", "rw")])
    assert (found.state, "nfs4" in found.found, "PostgreSQL" in found.remedy) == ("optional", True, True)
