"""One running server of a stack: start, stop, kill, freeze."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp

from compose.native.servers import ROOT, Server

_POLL_SECONDS: Final = 0.05
_LAST_LINES: Final = 8


class ServerFailedError(RuntimeError):
    """A server ended by itself, or did not become ready; the message quotes its last lines."""


class ServerProcess:
    """A server's process. For one event loop. Its output is appended to `log_path` over all its starts."""

    def __init__(self, server: Server, environ: Mapping[str, str], log_path: Path) -> None:
        self.server = server
        self.log_path = log_path
        self._environ = dict(environ)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The process id; raises RuntimeError where nothing runs."""
        if self._process is None:
            raise RuntimeError(f"{self.server.name} was not started")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it; it is not ready yet."""
        if self.is_running:
            return
        with self.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(ROOT / "compose" / "native" / "launch.py"),
                *self.server.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.server.folder,
                env=self._environ,
                start_new_session=True,
            )

    async def wait_ready(self, timeout_seconds: float = 60.0) -> float:
        """Return after how many seconds its own endpoint said that it is ready; raises `ServerFailedError`."""
        began = time.monotonic()
        timeout = aiohttp.ClientTimeout(total=2.0)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while time.monotonic() - began < timeout_seconds:
                if self._process is None or self._process.returncode is not None:
                    code = None if self._process is None else self._process.returncode
                    raise ServerFailedError(f"{self.server.name} ended with exit code {code}:\n{self.last_lines()}")
                try:
                    async with session.get(self.server.ready_url) as response:
                        if response.status == HTTPStatus.OK:
                            return time.monotonic() - began
                except (aiohttp.ClientError, TimeoutError):
                    pass
                await asyncio.sleep(_POLL_SECONDS)
        raise ServerFailedError(f"{self.server.name} was not ready within {timeout_seconds:g} s:\n{self.last_lines()}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens where no process runs."""
        if self.is_running:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    async def stop(self) -> bool:
        """End it by SIGTERM, after its patience by SIGKILL; return whether it ended by itself: what it held in memory is lost otherwise."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)  # a stopped process cannot end
        return await self._wait(self.server.stop_seconds)

    async def kill(self) -> None:
        """End it by SIGKILL."""
        self.signal(signal.SIGKILL)
        await self._wait(self.server.stop_seconds)

    async def _wait(self, timeout_seconds: float) -> bool:
        """Wait until it has ended; false where it had to be killed for that."""
        if self._process is None:
            return True
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._process.wait()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self._process.wait()
            return False
        return True

    def last_lines(self) -> str:
        """Return the end of its output."""
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-_LAST_LINES:])
