"""A Redis or Valkey server of the tests' own, behind a Unix socket in a temporary folder."""

import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness.polling import wait_for

DEADLINE_SECONDS = 30.0
PROGRAMS = ("valkey-server", "redis-server")


class RedisServer:
    """One server process; it keeps nothing on disk."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL for the gateway's configuration."""
        return f"unix://{self._folder / 'socket'}"

    def start(self) -> None:
        """Start the server, empty; returns when it responds."""
        path = self._folder / "socket"
        path.unlink(missing_ok=True)
        command = [self._program, "--port", "0", "--unixsocket", path, "--save", "", "--dir", self._folder]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        log_path, process = self._folder / "log", self._process
        wait_for(
            lambda: process.poll() is not None or _answers(path), log_path.read_text, timeout_seconds=DEADLINE_SECONDS
        )
        assert process.poll() is None, log_path.read_text()

    def stop(self) -> None:
        """Kill the server: connections are reset, the data is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(DEADLINE_SECONDS)
            self._process = None

    def freeze(self) -> None:
        """Stop the process where it is; connections stay open and nothing responds."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server continue."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def _answers(path: Path) -> bool:
    """Whether the server responds a ping: its socket file is there before it accepts."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(DEADLINE_SECONDS)
        try:
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(7) == b"+PONG\r\n"
        except OSError:
            return False


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    """A running server in a temporary folder; skips the test where no server is installed."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(f"Redis is not installed: neither {' nor '.join(PROGRAMS)} on PATH")
    folder = Path(tempfile.mkdtemp(prefix="gatewayz-redis-"))
    server = RedisServer(program, folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
