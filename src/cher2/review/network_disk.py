"""Whether a file is on a disk that other computers write to as well: there, shared memory joins no two programs.

Told by the type of the file system, as the system names it. A type of FUSE that nobody knows is taken for a network's:
the wrong guess costs time, the other one decisions.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Protocol

import psutil

NETWORK = {"9p", "acfs", "afpfs", "afs", "auristorfs", "beegfs", "ceph", "cifs", "coda", "davfs", "drvfs", "fhgfs"}
NETWORK |= {"gfs2", "glusterfs", "gpfs", "lustre", "mmfs", "ncp", "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "orangefs"}
NETWORK |= {"panfs", "prl_fs", "pvfs2", "smb2", "smb3", "smbfs", "stornext", "vboxsf", "virtiofs", "vmhgfs", "webdav"}
NETWORK |= {"wekafs"}
"""Types of file systems that other computers, or the host of a virtual one, write to as well."""

LOCAL_FUSE = {"apfs", "bindfs", "cryfs", "encfs", "exfat", "ext4", "fuse-overlayfs", "gocryptfs", "mergerfs", "ntfs"}
LOCAL_FUSE |= {"ntfs-3g", "securefs", "squashfuse", "unionfs", "veracrypt", "zfs"}
"""Types behind FUSE that are disks of this computer."""


class Disk(Protocol):
    """A row of the system's table of mounted disks, as :func:`psutil.disk_partitions` gives it."""

    mountpoint: str
    fstype: str
    opts: str


def network_type(path: str | os.PathLike[str], disks: Iterable[Disk] | None = None) -> str:
    """Return the type of the network's file system that a path is on; empty where it is a disk of this computer.

    Parameters
    ----------
    path : path
        It need not be there yet.
    disks : iterable of Disk, optional
        The table of mounted disks, where it is not this computer's.

    Returns
    -------
    str
        As the system names it, as in ``nfs4`` or ``fuse.sshfs``; ``a share`` for one of Windows.
    """
    whole = os.path.realpath(path)
    if whole.startswith("\\\\"):
        return "a share"
    best, kind, options = "", "", ""
    for disk in psutil.disk_partitions(all=True) if disks is None else disks:
        inside = whole == disk.mountpoint or whole.startswith(disk.mountpoint.rstrip("/\\") + os.sep)
        # Of two disks at one place, the one mounted later is the one in use.
        if inside and len(disk.mountpoint) >= len(best):
            best, kind, options = disk.mountpoint, disk.fstype.lower(), disk.opts
    if os.name == "nt":
        return "a share" if "remote" in options else ""
    behind_fuse = kind == "fuse" or kind.startswith("fuse.")
    if behind_fuse and kind.removeprefix("fuse.") not in LOCAL_FUSE:
        return kind
    return kind if kind in NETWORK else ""
