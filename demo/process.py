"""Starts and ends a child process.

The child prints a ready line with its URL. Its output goes to a log file. It has its own process group, so that Ctrl-C
reaches only the demo. `demo/watchdog.py` ends it when the demo is killed.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

READY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.02
_LAST_LINES: Final = 5
ROOT: Final = Path(__file__).resolve().parent.parent


class ChildFailedError(RuntimeError):
    """A process ended before it was ready, or did not become ready; the message quotes its last lines."""


class Child:
    """One running process. `url` comes from its ready line. `lifeline` is the write end of the watchdog's pipe."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log_path: Path, lifeline: int) -> None:
        self.name = name
        self.log_path = log_path
        self.url = ""
        self._process = process
        self._lifeline: int | None = lifeline

    @property
    def pid(self) -> int:
        """The process id, which is also that of its group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.returncode

    async def stop(self, timeout_seconds: float = STOP_SECONDS) -> int:
        """End the process and its group, by SIGTERM and after the timeout by SIGKILL; return its exit code."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._process.wait()
        except TimeoutError:
            self._signal(signal.SIGKILL)
        exit_code = await self._process.wait()
        self._close_lifeline()
        return exit_code

    async def wait_ready(self, ready_line: str, timeout_seconds: float = READY_SECONDS) -> None:
        """Wait until the process prints `ready_line` and a URL; raises `ChildFailedError`."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while not (url := _url_after(ready_line, self.log_path)):
                    if self.exit_code is not None:
                        raise ChildFailedError(
                            f"{self.name} ended with exit code {self.exit_code}:\n{self.last_lines()}"
                        )
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            raise ChildFailedError(
                f"{self.name} was not ready within {timeout_seconds:g} s:\n{self.last_lines()}"
            ) from None
        self.url = url

    def url_after(self, line: str) -> str:
        """Return the URL that follows a line that it has printed; empty where it has not."""
        return _url_after(line, self.log_path)

    def last_lines(self) -> str:
        """Return the end of its output."""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-_LAST_LINES:])

    def _close_lifeline(self) -> None:
        """Close the pipe, once."""
        lifeline, self._lifeline = self._lifeline, None
        if lifeline is not None:
            os.close(lifeline)

    def _signal(self, number: signal.Signals) -> None:
        """Signal the group, unless it has ended."""
        if self._process.returncode is None:
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                return


async def start_child(
    name: str, arguments: Sequence[str], *, log_path: Path, environ: Mapping[str, str] | None = None
) -> Child:
    """Start `python -m ARGUMENTS` from the project's folder; it is not ready yet."""
    watched, lifeline = os.pipe()
    try:
        with log_path.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "demo.watchdog",
                *arguments,
                stdin=watched,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                cwd=ROOT,
                env=dict(environ) if environ is not None else None,
                start_new_session=True,
            )
    except BaseException:
        # A process that was started nevertheless ends by this.
        os.close(lifeline)
        raise
    finally:
        os.close(watched)
    return Child(name, process, log_path, lifeline)


async def run_to_end(arguments: Sequence[str]) -> str:
    """Run `python -m ARGUMENTS` and return what it prints; raises `ChildFailedError` when it fails.

    In a thread: asyncio's own subprocess with pipes can hang when it is cancelled while it starts (CPython 3.11). A cancelled call
    returns at once, and the event loop's end waits for the process.
    """
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd=ROOT,
        start_new_session=True,
        timeout=READY_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise ChildFailedError(
            f"python -m {' '.join(arguments)} failed: {done.stderr.decode(errors='replace').strip()}"
        )
    return done.stdout.decode()


def _url_after(ready_line: str, log_path: Path) -> str:
    """Return what follows the ready line; empty while it is not there, or only half."""
    for line in log_path.read_text(errors="replace").splitlines(keepends=True):
        if line.startswith(ready_line) and line.endswith("\n"):
            return line.removeprefix(ready_line).strip()
    return ""
