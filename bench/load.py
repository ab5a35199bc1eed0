"""Loads a server with wrk, or where it is not installed with `bench/closed_load.py`; the output names which one.

Both keep a fixed number of connections busy, each with one request at a time. wrk needs a tenth of the CPU.
"""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

from bench.closed_load import LoadResult
from demo.process import ChildFailedError, run_to_end

SCRIPT = Path(__file__).with_name("chat.lua")
PATH = "/v1/chat/completions"
TIMEOUT_SECONDS = 20
"""After this a request has failed."""

PYTHON_LOAD = "bench.closed_load"


class WrkSummary(msgspec.Struct, frozen=True):
    """The line that `chat.lua` prints; times in microseconds."""

    requests: int
    failed: int
    duration_us: int
    p50_us: int
    p99_us: int


class Load(msgspec.Struct, frozen=True):
    """A load program; `wrk` is its path, None stands for the Python program."""

    wrk: str | None

    @property
    def name(self) -> str:
        """What the output calls it."""
        return "wrk" if self.wrk else f"{PYTHON_LOAD} (wrk is not installed)"

    async def run(
        self, url: str, headers: Mapping[str, str], body: bytes, *, connections: int, seconds: float
    ) -> LoadResult:
        """Load one server; raises `ChildFailedError` when the program itself fails."""
        if self.wrk is None:
            return await _run_python(url, headers, body, connections=connections, seconds=seconds)
        arguments = [self.wrk, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
        arguments += ["--timeout", f"{TIMEOUT_SECONDS}s", "-s", str(SCRIPT), url + PATH]
        environ = os.environ | {
            "BENCH_BODY": body.decode(),
            "BENCH_HEADERS": "\n".join(f"{name}: {value}" for name, value in headers.items()),
        }
        done = await asyncio.to_thread(
            subprocess.run,
            arguments,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds + 2 * TIMEOUT_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise ChildFailedError(f"wrk failed: {done.stderr.strip() or done.stdout.strip()}")
        return parse_wrk(done.stdout)


def find_load() -> Load:
    """Return wrk where it is installed."""
    return Load(shutil.which("wrk"))


def parse_wrk(output: str) -> LoadResult:
    """Read the last line of wrk's output; raises `ChildFailedError` where the script has not printed it."""
    lines = output.strip().splitlines()
    try:
        summary = msgspec.json.decode(lines[-1] if lines else "", type=WrkSummary)
    except msgspec.DecodeError:
        raise ChildFailedError(f"wrk printed no summary: {output.strip()[-200:]}") from None
    return LoadResult(
        # wrk counts a response with an error status as a request too, a lost connection not.
        responded=max(0, summary.requests - summary.failed),
        failed=summary.failed,
        seconds=summary.duration_us / 1e6,
        p50_milliseconds=summary.p50_us / 1e3,
        p99_milliseconds=summary.p99_us / 1e3,
    )


async def _run_python(
    url: str, headers: Mapping[str, str], body: bytes, *, connections: int, seconds: float
) -> LoadResult:
    named = [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")]
    amounts = ("--connections", str(connections), "--seconds", str(seconds))
    output = await run_to_end((PYTHON_LOAD, "--url", url, *named, "--body", body.decode(), *amounts))
    return msgspec.json.decode(output, type=LoadResult)
