"""Starts the project's programs for tests without an event loop.

Tests with an event loop use `demo/process.py`.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.harness.polling import wait_for

ROOT = Path(__file__).parents[2]
UPSTREAM = ("demo.upstream.scripted_upstream", "--port", "0")
_READY_SECONDS = 60.0
_STOP_SECONDS = 60.0
_ADDRESS = " http://127.0.0.1:"


class Program:
    """One running program. `log_path` holds its stdout and stderr, `url` the address that it printed."""

    def __init__(self, process: subprocess.Popen[bytes], log_path: Path) -> None:
        self.process = process
        self.log_path = log_path
        self.url = wait_for(self._printed_url, self.output, timeout_seconds=_READY_SECONDS)

    def output(self) -> str:
        """Return what it has written so far."""
        return self.log_path.read_text()

    def stop(self) -> int:
        """Send SIGTERM, wait, and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_STOP_SECONDS)

    def _printed_url(self) -> str | None:
        lines = [line for line in self.output().splitlines(keepends=True) if _ADDRESS in line and line.endswith("\n")]
        assert lines or self.process.poll() is None, self.output()
        return lines[0].split()[-1] if lines else None


class Programs:
    """Starts `python -m ARGUMENTS`, each with a log file of its own in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str, environ: Mapping[str, str] = os.environ) -> Program:
        """Start a program and wait until it prints its address."""
        log_path = self.folder / f"program-{len(self._processes)}.log"
        with log_path.open("wb") as log:
            command = [sys.executable, "-m", *arguments]
            process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=subprocess.STDOUT)
        self._processes.append(process)
        return Program(process, log_path)

    def create_key(self, environ: Mapping[str, str], *options: str, plan: str = "free") -> str:
        """Create an API key with the gateway's command and return its secret."""
        made = subprocess.run(
            [sys.executable, "-m", "app", "keys", "create", "--name", plan, "--plan", plan, "--json", *options],
            cwd=ROOT,
            env=environ,
            capture_output=True,
            check=True,
        )
        return str(json.loads(made.stdout)["secret"])

    def end(self) -> None:
        """Kill what still runs, last first."""
        for process in reversed(self._processes):
            if process.poll() is None:
                process.kill()
            process.wait()


@contextmanager
def running_programs(folder: Path) -> Iterator[Programs]:
    """Yield a launcher whose programs end with the block."""
    programs = Programs(folder)
    try:
        yield programs
    finally:
        programs.end()
