"""A real PostgreSQL server of one's own: in a temporary folder, on a free port, stopped by its own id.

The tests and ``benchmarks/review_faults.py`` use it. PostgreSQL refuses to run as root: there it runs as `postgres`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

HOW = "install it: sh tests/install_system_packages.sh postgresql (or your system's package of the PostgreSQL server)"
USER, PASSWORD = "cher2", "p@ss/wörd:s3cret"
IN_URL = "p%40ss%2Fw%C3%B6rd%3As3cret"
SECONDS = 30


def find_programs() -> Path | None:
    """Return the folder of PostgreSQL's newest server programs, or None where they are not installed."""
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = sorted(debian, key=lambda path: float(path.parent.parent.name))
    anywhere = shutil.which("initdb")
    return newest[-1].parent if newest else Path(anywhere).parent if anywhere else None


class PrivatePostgres:
    """A server with the superuser ``cher2``; `start` and `stop` it as often as you like, then `remove` it."""

    def __init__(self, *, fsync: bool = False) -> None:
        programs = find_programs()
        if programs is None:
            raise FileNotFoundError(f"the PostgreSQL server is not installed; {HOW}")
        self._programs = programs
        self._fsync = fsync
        self._user = {}
        # Not below pytest's folder, which only its own user may enter.
        self.folder = Path(tempfile.mkdtemp(prefix="cher2-postgres-", dir="/tmp"))
        if os.getuid() == 0:
            who = pwd.getpwnam("postgres")
            os.chown(self.folder, who.pw_uid, who.pw_gid)
            self._user = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}
        password = self.folder / "password"
        password.write_text(PASSWORD, encoding="utf-8")
        password.chmod(0o644)
        self._call(
            *("initdb", "-D", self.folder / "data", "-U", USER, "-A", "scram-sha-256"),
            *("--pwfile", password, "-E", "UTF8", "--locale=C", "--no-sync"),
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._server: subprocess.Popen[bytes] | None = None

    def _call(self, program: str, *words: object) -> None:
        command = [str(self._programs / program), *map(str, words)]
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=SECONDS, check=False, **self._user
        )
        assert done.returncode == 0, done.stderr

    def url(self, database: str = "postgres", user: str = USER, password: str = IN_URL) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server; it answers when this returns."""
        command = [self._programs / "postgres", "-D", self.folder / "data", "-p", str(self.port), "-h", "127.0.0.1"]
        # A crash of the server alone loses nothing without fsync, and the tests take half the time.
        command += ["-k", self.folder, "-c", f"fsync={'on' if self._fsync else 'off'}"]
        with (self.folder / "server.log").open("ab") as log:
            self._server = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, **self._user)
        until = time.monotonic() + SECONDS
        ask = [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ask, check=False).returncode != 0:
            if self._server.poll() is not None or time.monotonic() > until:
                raise RuntimeError((self.folder / "server.log").read_text(encoding="utf-8", errors="replace"))
            time.sleep(0.02)

    def stop(self, *, crash: bool = False) -> None:
        """Stop the server, breaking connections off; as if the machine had died, if asked."""
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT if crash else signal.SIGINT)
            self._server.wait(SECONDS)
            self._server = None

    def remove(self) -> None:
        """Stop the server, and remove its folder."""
        self.stop(crash=True)
        shutil.rmtree(self.folder)

    def execute(self, *statements: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run statements as the superuser, and return the rows of the last."""
        import psycopg

        # libpq's own form of a URL is the same.
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []
