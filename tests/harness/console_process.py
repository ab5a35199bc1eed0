"""`gatewayz console` as a process of its own, for tests that kill and restart it on the same addresses and file."""

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from console.process import OTLP_LINE, PAGE_LINE
from tests.harness.polling import wait_for

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 30.0
READY_SECONDS = 60.0


class ConsoleProcess:
    """A console. `start` and `kill` may follow each other; the OTLP address stays the same."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.data = folder / "console.sqlite"
        self.log_path = folder / "console.log"
        self.page_url = self.otlp_url = ""
        self._options = options
        self._otlp_port = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        began = self.log_path.stat().st_size if self.log_path.exists() else 0
        arguments = ("--listen", "127.0.0.1:0", "--otlp", f"127.0.0.1:{self._otlp_port}", "--data", str(self.data))
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app", "console", *arguments, *self._options],
                cwd=ROOT,
                env=clean_environ(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

        def lines() -> list[str]:
            assert self.process is not None
            text = self.log_path.read_bytes()[began:].decode()
            found = [line.removeprefix("console: ") for line in text.splitlines()]
            assert any(line.startswith(PAGE_LINE) for line in found) or self.process.poll() is None, text
            return found if any(line.startswith(PAGE_LINE) for line in found) and text.endswith("\n") else []

        for line in wait_for(lines, self.output, timeout_seconds=READY_SECONDS):
            if line.startswith(OTLP_LINE):
                self.otlp_url = line.removeprefix(OTLP_LINE)
            elif line.startswith(PAGE_LINE):
                self.page_url = line.removeprefix(PAGE_LINE)
        self._otlp_port = int(self.otlp_url.rpartition(":")[2])

    @property
    def pid(self) -> int:
        """The process id."""
        assert self.process is not None
        return self.process.pid

    def output(self) -> str:
        """Return what it has printed so far."""
        return self.log_path.read_text()

    def kill(self) -> None:
        """End it by SIGKILL."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self, number: int) -> int:
        """Send a signal, wait and return the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)

    def rows(self, sql: str) -> list[Any]:
        """Return the rows of a query on its file."""
        connection = sqlite3.connect(f"{self.data.as_uri()}?mode=ro", uri=True)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()


@contextmanager
def running_console(folder: Path, *options: str) -> Iterator[ConsoleProcess]:
    """Yield a console that listens, and kill it at the end."""
    console = ConsoleProcess(folder, *options)
    try:
        console.start()
        yield console
    finally:
        console.kill()


def clean_environ() -> dict[str, str]:
    """Return the environment without telemetry's and the gateway's variables."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "GATEWAYZ_"))}


def used_port() -> socket.socket:
    """Return a listening socket."""
    return socket.create_server(("127.0.0.1", 0))
