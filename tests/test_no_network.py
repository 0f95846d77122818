"""cher2 asks nobody anything: no telemetry, no update check, no download, in any of its processes.

What a user names is another matter: images by URL, a database, a cluster.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from planted_names import leaks

TESTS = Path(__file__).parent
CHER2 = Path(sysconfig.get_path("scripts")) / "cher2"

IMPORT_ALL = """
import importlib, pkgutil, cher2
names = [m.name for m in pkgutil.walk_packages(cher2.__path__, "cher2.")]
optional = ("cellpose", "stardist", "review_window")
for name in names:
    if not name.endswith(optional): importlib.import_module(name)
import distributed, napari, npe2, pooch, zarr, anndata
plugins = npe2.PluginManager.instance()
plugins.discover()
assert "cher2" in [manifest.name for manifest in plugins.iter_manifests()]
from cher2.doctor.diagnosis import diagnose
assert diagnose().as_dict()
print(len(names))
"""


@pytest.fixture
def guarded(tmp_path):
    """Return a function that runs a program under the guard, without interfaces where the system allows it."""
    log = tmp_path / "network.log"
    paths = [str(TESTS / "without_network"), *filter(None, [os.environ.get("PYTHONPATH", "")])]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "CHER2_TEST_NETWORK_LOG": str(log),
        "QT_QPA_PLATFORM": "offscreen",
        "HOME": str(tmp_path),
    }

    def run(*words, alone=True):
        cut_off = [*without_interfaces(), *map(str, words)] if alone else [*map(str, words)]
        done = subprocess.run(
            cut_off, env=environment, capture_output=True, text=True, check=False, timeout=150, cwd=tmp_path
        )
        return done, log.read_text(encoding="utf-8") if log.exists() else ""

    return run


def without_interfaces():
    """Return the words that run a program in a network of its own, with nothing but loopback; none where that fails."""
    words = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up 2>/dev/null; exec "$@"', "sh"]
    if not shutil.which("unshare") or subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        return []
    # Without "ip" loopback stays down, and Dask's workers could not speak to one another.
    return words if shutil.which("ip") else []


def test_a_run_with_workers_and_its_report_reach_nobody(images, guarded, tmp_path):
    done, asked = guarded(sys.executable, CHER2, "run", images, "-o", tmp_path / "study", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert asked == ""
    # Workers tell of files, too, and by another way than this process.
    assert leaks(tmp_path / "study", [str(tmp_path)]) == {}
    page = (tmp_path / "study" / "report.html").read_text(encoding="utf-8")
    assert "Content-Security-Policy\" content=\"default-src 'none'; img-src data:" in page
    markup = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.findall(r"""(?:src|href|action|poster|data)\s*=\s*["']?(?!data:|#)[^"'\s>]+""", markup)
    assert not re.findall(r"url\((?!\s*[\"']?(?:data:|#))|@import", page)


def test_importing_everything_the_plugin_and_doctor_reach_nobody(guarded):
    done, asked = guarded(sys.executable, "-W", "ignore", "-c", IMPORT_ALL)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 250
    assert asked == ""


@pytest.mark.parametrize(
    "attempt",
    [
        "socket.create_connection(('192.0.2.1', 80), 0.2)",
        "socket.getaddrinfo('telemetry.example', 443)",
        "socket.gethostbyname('telemetry.example')",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
        "urllib.request.urlopen('http://telemetry.example/x')",
    ],
)
def test_the_guard_sees_whoever_tries(guarded, attempt):
    """Negative control; a library that swallows the error is seen all the same."""
    swallowing = f"import socket, urllib.request, contextlib\nwith contextlib.suppress(OSError): {attempt}"
    done, asked = guarded(sys.executable, "-c", swallowing, alone=False)
    assert done.returncode == 0, done.stderr
    assert "192.0.2.1" in asked or "telemetry.example" in asked


def test_the_guard_lets_this_computer_talk_to_itself(guarded):
    talk = (
        "import socket\nserver = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(server.getsockname()).close()\nsocket.getaddrinfo('localhost', 0)\n"
        "a, b = socket.socketpair()"
    )
    done, asked = guarded(sys.executable, "-c", talk, alone=False)
    assert done.returncode == 0, done.stderr
    assert asked == ""
