"""Nothing leaves this computer: whatever a Python process does about sockets is seen by an audit hook.

An audit hook stands below every library, in C, and cannot be taken off again. It sees each attempt to connect, to send
and to look a name up. Loopback and sockets of the file system are let pass: Dask's workers, a test's own servers and
PostgreSQL talk over them.
"""

from __future__ import annotations

import ipaddress
import os
import sys

LOG = "CHER2_TEST_NETWORK_LOG"
"""The environment variable that names a file; every attempt is written there, a line each."""


def is_here(host):
    """Say whether a host is this computer; one without a name is."""
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if name in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(str(name).partition("%")[0]).is_loopback
    except ValueError:
        return False


def host_of(event, arguments):
    """Return the host that an audited event asks for, in a tuple; nothing where it asks for none."""
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        # A socket of the file system has a path, not a tuple.
        return (address[0],) if isinstance(address, tuple) and isinstance(address[0], (str, bytes)) else ()
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        return (arguments[0],)
    return ()


def own_names():
    """Return what this computer is called: Dask asks for its own address by that name."""
    import socket

    return {socket.gethostname(), socket.gethostname().partition(".")[0]}


def install(seen):
    """Call a function with each host elsewhere that this process turns to."""
    own = own_names()

    def hook(event, arguments):
        if event.startswith("socket."):
            for host in host_of(event, arguments):
                if not is_here(host) and host not in own:
                    seen(f"{event} {host}")

    sys.addaudithook(hook)


def refuse(what):
    """Write an attempt down and stop it; the attempt counts even if a library goes on as if nothing had been."""
    with open(os.environ[LOG], "a", encoding="utf-8") as file:  # noqa: PTH123  pathlib may not be loaded yet
        file.write(f"{what} by {sys.argv[:2]}\n")
    raise OSError(f"no network in tests: {what}")
