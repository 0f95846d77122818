"""Network disks by written tables of mounts; a rollback journal there, by many programs at once."""

from __future__ import annotations

import contextlib
import sqlite3
from types import SimpleNamespace

import pytest
from appending import decision

from cher2.review.network_disk import network_type
from cher2.review.sqlite_file import stop_writing_ahead
from cher2.review.sqlite_log import SqliteLog


def mounts(*rows):
    return [SimpleNamespace(mountpoint=where, fstype=kind, opts="rw") for where, kind in rows]


NETWORKS = ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "fuse.rclone", "fuse.glusterfs", "9p", "lustre", "gpfs"]
NETWORKS += ["beegfs", "fuse.ceph", "fuse", "fuse.somebodys", "virtiofs", "afpfs", "smbfs"]


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network(kind):
    assert network_type("/mnt/lab/study/reviews.sqlite", mounts(("/", "ext4"), ("/mnt/lab", kind))) == kind


@pytest.mark.parametrize(
    "kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "apfs", "fuseblk", "fuse.mergerfs"]
)
def test_a_disk_of_this_computer(kind):
    assert network_type("/mnt/lab/study/reviews.sqlite", mounts(("/", "nfs4"), ("/mnt/lab", kind))) == ""


def test_the_innermost_and_the_last_mount_holds():
    table = mounts(("/", "ext4"), ("/data", "nfs4"), ("/data/local", "xfs"), ("/data2", "autofs"), ("/data2", "cifs"))
    assert network_type("/data/x", table) == "nfs4"
    assert network_type("/data/local/x", table) == ""
    assert network_type("/data2/x", table) == "cifs"
    assert network_type("/database/x", table) == ""
    assert network_type("/x", []) == ""


def test_a_file_stops_writing_ahead_only_where_nobody_else_has_it(tmp_path):
    path = tmp_path / "reviews.sqlite"
    with contextlib.closing(SqliteLog(path, "study")) as log:
        log.append([decision(1)])
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            stop_writing_ahead(path, 0.1)
        log.append([decision(2)])
    assert stop_writing_ahead(path, 0.1) is False
    with contextlib.closing(SqliteLog(path, "study")) as log:
        assert len(log.entries()) == 2
        assert "rollback journal" in log.note
