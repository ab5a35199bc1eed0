"""A PostgreSQL server of the tests' own: a temporary cluster behind a Unix socket, stopped and frozen at will."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.harness.polling import wait_for

DEADLINE_SECONDS = 30.0
PROGRAMS = ("initdb", "postgres", "psql", "createdb")


def programs_folder() -> Path | None:
    """Return where the server's programs are: on PATH, or where Debian keeps them, the newest version first."""
    on_path = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: _number(folder.parent.name))
    folders = [*([Path(on_path).parent] if on_path else []), *reversed(debian)]
    return next((folder for folder in folders if all((folder / name).exists() for name in PROGRAMS)), None)


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


class PostgresqlServer:
    """A temporary cluster that listens on a Unix socket only. PostgreSQL refuses to run as root: it runs as `nobody` then."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.folder = folder
        self._programs = programs
        self._databases = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        command = [programs / "initdb", "-D", folder / "data", "-U", "gatewayz", "-A", "trust", "-E", "UTF8"]
        subprocess.run([*command, "--locale=C", "--no-sync"], check=True, capture_output=True, cwd=folder, **self._as)

    def start(self) -> None:
        """Start the server; returns when it responds."""
        options = ["-k", self.folder, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=50"]
        with (self.folder / "log").open("ab") as log:
            command = [self._programs / "postgres", "-D", self.folder / "data", *options]
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True, **self._as
            )
        wait_for(
            lambda: self._run("psql", "-c", "SELECT 1", "postgres"),
            (self.folder / "log").read_text,
            timeout_seconds=DEADLINE_SECONDS,
        )

    def stop(self) -> None:
        """Stop the server: connections are cut, the data is kept."""
        if self._process is not None:
            self.thaw()
            self._process.send_signal(signal.SIGINT)  # "fast shutdown"
            self._process.wait(DEADLINE_SECONDS)
            self._process = None

    def freeze(self) -> None:
        """Stop every process of the server where it is; connections stay open and nothing responds."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server continue."""
        self._signal_all(signal.SIGCONT)

    def new_database(self) -> str:
        """Create an empty database; returns its URL."""
        self._databases += 1
        name = f"test_{self._databases}"
        assert self._run("createdb", name), (self.folder / "log").read_text()
        return f"postgresql+asyncpg://gatewayz@/{name}?host={self.folder}"

    def _signal_all(self, number: signal.Signals) -> None:
        """Signal the server and its workers, which lead process groups of their own."""
        if self._process is None:
            return
        pids = [self._process.pid, *_children(self._process.pid)]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _run(self, program: str, *arguments: str) -> bool:
        command = [self._programs / program, "-h", self.folder, "-U", "gatewayz", *arguments]
        return subprocess.run(command, check=False, capture_output=True, cwd=self.folder).returncode == 0


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def running_postgresql() -> Iterator[PostgresqlServer]:
    """A running server in a temporary folder; skips the test where no server is installed."""
    programs = programs_folder()
    if programs is None:
        pytest.skip(f"PostgreSQL is not installed: {', '.join(PROGRAMS)} not on PATH")
    # Directly under the temporary folder: the path of a Unix socket is at most 107 bytes long.
    folder = Path(tempfile.mkdtemp(prefix="gatewayz-pg-"))
    server = None
    try:
        server = PostgresqlServer(programs, folder)
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
