"""No output holds a name that nobody gave cher2: planted wherever a file or a computer may have one, sought in all."""

from __future__ import annotations

import base64
import gzip
import platform
import shutil
import socket
import sqlite3
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from planted_names import BORN, NAME, ROLES, found_in, leaks, png, write_all, write_bad

import cher2
from cher2.study.folder import Study
from cher2.study.provenance import read_provenance

NEEDLES = (NAME, BORN, "1903:07:19")
HOME = f"{NAME}_home"


@pytest.fixture(scope="module")
def frame(synthetic):
    return cher2.read_image(synthetic / "images" / "P08" / "frame_01.ome.tif").pixels[:, :160, :200].copy()


@pytest.fixture
def computer(tmp_path, monkeypatch):
    """Make this the computer of a person whose name it carries, and stand in that person's folder."""
    home = tmp_path / HOME
    home.mkdir()
    for variable in ("USER", "LOGNAME", "USERNAME", "HOSTNAME"):
        monkeypatch.setenv(variable, f"{NAME}_{variable}")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.setattr(socket, "gethostname", lambda: f"{NAME}_host")
    monkeypatch.setattr(platform, "node", lambda: f"{NAME}_node")
    monkeypatch.setattr("getpass.getuser", lambda: f"{NAME}_login")
    monkeypatch.delenv("CHER2_NAME_HOST", raising=False)
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def planted(computer, frame):
    """Return the folder of a person's images, of all formats, good and bad, and a clinical table with names."""
    write_all(computer / "images", frame)
    write_bad(computer / "images" / "P8", frame)
    patients = [f"P{number}" for number in range(1, 9)]
    clinical = pd.DataFrame({"patient_id": patients, "liver": ["1", "0"] * 4, "bone": "1", "age": range(40, 48)})
    clinical = clinical.assign(
        Name=f"{NAME}_clinical", **{"Date of birth": BORN, "notes": [f"{NAME} {p}" for p in patients]}
    )
    clinical.assign(seen=[BORN, "1903-07-19 10:00"] * 4).to_csv(computer / "clinical.csv", index=False)
    return computer


def nothing_in(ran):
    assert not found_in(f"{ran.out}\n{ran.err}".encode(errors="surrogatepass"), NEEDLES), ran
    return ran


def test_no_output_holds_a_planted_name(planted, command, judge, tmp_path):
    ran = nothing_in(command("run", "images", "-o", "../study", "--clinical", "clinical.csv", "--workers", "1"))
    assert ran.code == 1, ran
    study = tmp_path / "study"
    errors = pd.read_csv(study / "errors.csv")
    assert len(errors) == 8
    assert (
        "Not kept of the clinical table, since it may tell who a patient is: Name, Date of birth, notes, seen"
        in ran.out
    )
    cells = pd.read_csv(study / "cells.csv", dtype=str, keep_default_na=False)
    assert set(cells["patient_id"]) == {f"P{number}" for number in range(1, 8)}
    judge(Study(study), [0, 1, 2], ["3", "not", "note"], reader="R1", reason="debris beside it")
    for words in (
        ["agreement", "../study"],
        ["calibrate", "../study", "--spill"],
        ["compare", "../study", "--clinical", "clinical.csv"],
        ["verify", "../study", "--sample", "1", "--workers", "1"],
        ["export", "../study", "--as", "qupath", "-o", "../exports/qupath"],
        ["export", "../study", "--as", "labels", "-o", "../exports/labels"],
        ["export", "../study", "--as", "mcmicro", "-o", "../exports/mcmicro"],
        ["export", "../study", "--as", "cellprofiler", "-o", "../exports/cellprofiler"],
        ["export", "../study", "--as", "decisions", "-o", "../exports/decisions.csv"],
        ["export", "../study", "--as", "anndata", "-o", "../exports/cells.h5ad"],
        ["info", "--json", *sorted(path.relative_to(planted) for path in planted.glob("images/P*/*"))],
        ["info", "images"],
    ):
        if words[0] == "export":
            (tmp_path / "exports").mkdir(exist_ok=True)
        ran = nothing_in(command(*words))
        assert "raceback" not in ran.err
        # The way to the images is kept without the name of the home folder, and found.
        assert words[0] != "verify" or "is not found" not in ran.out
    assert len(list((tmp_path / "exports").rglob("*.*"))) > 30
    # The address of this computer's network card is a name, too: UUIDs of version 1 hold it.
    assert leaks(study, [*NEEDLES, str(tmp_path)]) == {}
    assert leaks(tmp_path / "exports", [*NEEDLES, str(tmp_path)]) == {}
    assert not any(b"-11f1-" in path.read_bytes() for path in (tmp_path / "exports").rglob("*.tif"))
    assert read_provenance(study)["images"] == "~/images"


def test_the_search_finds_a_name_wherever_it_is_packed(tmp_path, frame):
    """The test above proves nothing unless a leak would be seen: one of each kind is planted and found."""
    text = f"image of {NAME}"
    table = pa.Table.from_pandas(pd.DataFrame({"a": [text] * 3}))
    pq.write_table(table, tmp_path / "zipped.parquet", compression="zstd")
    with sqlite3.connect(tmp_path / "reviews.sqlite") as database:
        database.execute("create table t (a)")
        database.execute("insert into t values (?)", [text])
    database.close()
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", text * 9)
    picture = base64.b64encode(png(frame[0]))
    (tmp_path / "a.html").write_bytes(b'<!DOCTYPE html><img src="data:image/png;base64,' + picture + b'">')
    (tmp_path / "a.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "wide.txt").write_bytes(text.upper().encode("utf-16"))
    (tmp_path / "narrow.txt").write_bytes(text.encode("latin-1"))
    (tmp_path / f"{NAME}.txt").write_bytes(b"")
    import anndata

    anndata.AnnData(np.zeros((1, 1), np.float32), uns={"a": text}).write_h5ad(tmp_path / "a.h5ad", compression="gzip")
    assert set(leaks(tmp_path, [NAME])) == {path.name for path in tmp_path.iterdir()}
    assert not found_in(text.encode(), ["Somebody Else"])


def test_a_run_that_copied_a_text_would_be_seen(planted, command, tmp_path, monkeypatch):
    """The same with cher2 itself: one line that copies what the file says is enough."""
    from cher2.images.tiff import TiffFrames

    monkeypatch.setattr(
        TiffFrames,
        "read",
        lambda self, number, name, read=TiffFrames.read: read(self, number, name).named(self._first.tags.valueof(315)),
    )
    for folder in ("P2", "P3", "P4", "P5", "P6", "P7", "P8"):
        shutil.rmtree(planted / "images" / folder)
    command("run", "images", "-o", "../study", "--workers", "1")
    assert leaks(tmp_path / "study", NEEDLES)


def test_the_computers_name_is_told_only_where_asked(monkeypatch):
    from cher2.study.machine import describe_machine, host_if_asked

    monkeypatch.setattr(socket, "gethostname", lambda: "lab-7")
    assert host_if_asked() == ""
    assert "host" not in describe_machine()
    monkeypatch.setenv("CHER2_NAME_HOST", "1")
    assert host_if_asked() == describe_machine()["host"] == "lab-7"


def test_roles_are_those_of_the_protocol():
    channels = cher2.Protocol().channels
    assert (channels.dapi, channels.ck, channels.cd45, channels.her2) == ROLES
